"""The text of OpenDocument content (OASIS ODF 1.3): headings, paragraphs, lists, tables, notes, in reading order."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ingest.formats import rows
from ingest.formats.xmltree import local
from ingest.types import Block, BlockKind

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

MAX_REPEATED = 1_000  # times a cell or row with text is given that the file says to repeat
_ASIDE = frozenset(("note", "annotation", "tracked-changes", "forms", "sequence-decls", "annotation-end", "ruby-text"))
_FRAMES = frozenset(
    ("frame", "text-box", "custom-shape", "rect", "g", "line", "ellipse", "connector", "polygon", "path")
)


class Walk:
    """Collects the blocks below elements; notes and comments come after the paragraph they belong to."""

    def __init__(self, page: int | None = None) -> None:
        self.found: list[Block] = []
        self._page = page
        self._waiting: list[str] = []  # notes and comments of the block that is being read
        self._number = 0  # of the last note

    def read(self, parent: "Element") -> None:
        """Read what an element holds: text, or sections, indexes and frames of text."""
        for child in parent:
            name = local(child)
            if name == "h":
                level = attribute(child, "outline-level")
                self.add("heading", self._text(child), int(level) if re.fullmatch("[1-9]", level) else 1)
            elif name == "p":
                self.add("paragraph", self._text(child))
                self._boxes(child)
            elif name == "list":
                self.add("list", "\n".join(self._items(child, 0)))
            elif name == "table":
                self._table(child)
            elif name not in _ASIDE:
                self.read(child)

    def add(self, kind: BlockKind, text: str, level: int = 0) -> None:
        """Add a block and the notes that were met in it."""
        if text.strip():
            self.found.append(Block(kind, text, level=min(level, 6), page=self._page))
        self.found += [Block("paragraph", note, page=self._page) for note in self._waiting]
        self._waiting.clear()

    def _boxes(self, paragraph: "Element") -> None:
        """Text boxes and shapes that are anchored in a paragraph."""
        for child in paragraph:
            if local(child) in _FRAMES:
                self.read(child)
            elif local(child) in ("span", "a"):
                self._boxes(child)

    def _items(self, items: "Element", depth: int) -> Iterator[str]:
        for item in items:
            first = True
            for child in item:
                if local(child) == "list":
                    yield from self._items(child, depth + 1)
                elif local(child) in ("p", "h") and (text := " ".join(self._text(child).split())):
                    yield "  " * depth + ("- " if first else "  ") + text
                    first = False

    def _table(self, table: "Element") -> None:
        lines = [[" ".join(cell.split()) for cell in row] for row in cells(table, self.cell_text)]
        self.add("table", rows.table(lines))

    def cell_text(self, cell: "Element") -> str:
        """All text of a cell, its nested tables as lines."""
        inner = Walk()
        inner.read(cell)
        return " ".join(block.text for block in inner.found)

    def _text(self, element: "Element") -> str:
        return re.sub(" {2,}", " ", "".join(self._pieces(element))).strip()

    def _pieces(self, element: "Element") -> Iterator[str]:
        yield _flat(element.text)
        for child in element:
            name = local(child)
            if name in ("s", "tab"):
                yield " "
            elif name == "line-break":
                yield "\n"
            elif name == "note":
                self._note(child)
            elif name == "annotation":
                self._comment(child)
            elif name not in _ASIDE and name not in _FRAMES and name:
                yield from self._pieces(child)
            yield _flat(child.tail)

    def _note(self, note: "Element") -> None:
        body = next((child for child in note if local(child) == "note-body"), None)
        text = self.cell_text(body) if body is not None else ""
        if text:
            self._number += 1
            self._waiting.append(f"[{self._number}] {text}")

    def _comment(self, comment: "Element") -> None:
        author = " ".join(next((child.text or "" for child in comment if local(child) == "creator"), "").split())
        text = self.cell_text(comment)
        if text:
            self._waiting.append(f"Comment by {author}: {text}" if author else f"Comment: {text}")


def cells(table: "Element", text: Callable[["Element"], str]) -> Iterator[list[str]]:
    """The rows of a table, those of its row groups and header included; without the empty ends of rows.

    Sheets say of their empty rest that it is repeated a million times: only what has text is repeated, and at most
    MAX_REPEATED times.
    """
    for child in table:
        name = local(child)
        if name == "table-row":
            row = _row(child, text)
            repeated = _repeated(child, "number-rows-repeated") if any(row) else 1
            for _ in range(repeated):
                yield row
        elif name in ("table-header-rows", "table-rows", "table-row-group"):
            yield from cells(child, text)


def _row(row: "Element", text: Callable[["Element"], str]) -> list[str]:
    found: list[str] = []
    gap = 0  # empty cells that count only when one with text follows
    for cell in row:
        if local(cell) not in ("table-cell", "covered-table-cell"):
            continue
        said = text(cell)
        repeated = _repeated(cell, "number-columns-repeated")
        if not said:
            gap += repeated
            continue
        found += [""] * gap + [said] * repeated
        gap = 0
    return found


def _repeated(element: "Element", name: str) -> int:
    times = attribute(element, name)
    return min(int(times), MAX_REPEATED) if re.fullmatch(r"[0-9]{1,9}", times) else 1


def attribute(element: "Element", name: str) -> str:
    """An attribute by its name without namespace, "" when absent."""
    return next((str(value) for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")


def _flat(text: str | None) -> str:
    """Blanks as ODF counts them: runs, line ends included, are one space (ODF 1.3 part 3, 6.1.2)."""
    return re.sub(r"[ \t\r\n]+", " ", text or "")
