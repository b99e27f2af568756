"""An HTML tree becomes blocks: headings, paragraphs, lists, tables, code, in reading order."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ingest.formats import rows
from ingest.types import Block

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

Skip = Callable[["LexborNode"], bool]


def tags(names: str) -> frozenset[str]:
    """A set of tag names."""
    return frozenset(names.split())


INVISIBLE = tags("""
    script style noscript template svg canvas iframe object embed audio video map head link meta select option
    datalist input textarea button dialog""")
_BREAKING = tags("""
    address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure footer
    form frameset header hgroup hr html legend main menu nav p section summary table tbody td tfoot th thead tr
    caption search""")
_LISTS = ("ul", "ol", "menu", "dir")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLANKS = re.compile(r"\s+")
_AROUND_BREAK = re.compile(r" *\n *")
_ANCHORS = frozenset("#¶§🔗")


def blocks(root: "LexborNode", skip: Skip) -> list[Block]:
    """The blocks below a node, without what `skip` names and what is never shown (scripts, forms' fields)."""
    walk = _Walk(skip)
    walk.run(root)
    return walk.found


class _Walk:
    """A walk over a tree in document order, without recursion: pages may be nested deeply."""

    def __init__(self, skip: Skip) -> None:
        self.found: list[Block] = []
        self._skip = skip
        self._text: list[str] = []  # of the block that is being read
        self._items: list[str] = []  # lines of the list that is being read
        self._lists: list[int | None] = []  # open lists: the number of the last item, None for bullets
        self._marked = True  # whether the current item has its bullet

    def run(self, root: "LexborNode") -> None:
        stack: list[tuple[LexborNode, bool]] = [(root, True)]
        while stack:
            node, entering = stack.pop()
            if not entering:
                self._leave(node)
            elif self._enter(node):
                stack.append((node, False))
                stack.extend((child, True) for child in reversed(list(node.iter(include_text=True))))
        self._end_block()
        self._end_list()

    def _enter(self, node: "LexborNode") -> bool:
        """Read a node; whether its children are to be read as well."""
        tag = node.tag or ""
        if tag == "-text":
            self._text.append(_BLANKS.sub(" ", node.text_content or ""))
            return False
        if tag in INVISIBLE or tag.startswith("-") or self._skip(node):
            return False
        if tag == "br":
            self._text.append("\n")
        elif tag == "img":
            self._text.append(f" {node.attributes.get('alt') or ''} ")
        elif tag == "a" and node.text(deep=True).strip() in _ANCHORS:
            return False
        elif tag == "pre":
            self._add(Block("code", node.text(deep=True)))
            return False
        elif tag == "table" and not _is_layout(node):
            for block in _table(node, self._skip):
                self._add(block)
            return False
        else:
            self._open(tag, node)
            return True
        return False

    def _open(self, tag: str, node: "LexborNode") -> None:
        if tag in _LISTS:
            self._end_block()
            start = node.attributes.get("start") or "1"
            self._lists.append(int(start) - 1 if tag == "ol" and re.fullmatch(r"\d{1,9}", start) else None)
        elif tag == "li":
            self._end_block()
            self._marked = False
            if self._lists and self._lists[-1] is not None:
                self._lists[-1] += 1
        elif tag in _HEADINGS or tag in _BREAKING:
            self._end_block()

    def _leave(self, node: "LexborNode") -> None:
        tag = node.tag or ""
        if tag in _HEADINGS:
            text = self._taken().replace("\n", " ")
            if text:
                self._add(Block("heading", text, level=_HEADINGS[tag]))
        elif tag in _LISTS:
            self._end_block()
            if self._lists:
                self._lists.pop()
            if not self._lists:
                self._end_list()
        elif tag == "li" or tag in _BREAKING:
            self._end_block()

    def _taken(self) -> str:
        text = _AROUND_BREAK.sub("\n", "".join(self._text))
        self._text.clear()
        return re.sub(r" {2,}", " ", text).strip()

    def _end_block(self) -> None:
        text = self._taken()
        if not text:
            return
        if not self._lists:
            self._end_list()
            self.found.append(Block("paragraph", text))
            return
        number = self._lists[-1]
        bullet = "- " if number is None else f"{number}. "
        indent = "  " * (len(self._lists) - 1)
        first = indent + (" " * len(bullet) if self._marked else bullet)
        self._items.append(first + text.replace("\n", "\n" + indent + " " * len(bullet)))
        self._marked = True

    def _end_list(self) -> None:
        if self._items:
            self.found.append(Block("list", "\n".join(self._items)))
            self._items = []

    def _add(self, block: Block) -> None:
        """Add a block that is whole, even in the middle of a list."""
        self._end_block()
        self._end_list()
        if block.text.strip():
            self.found.append(block)


def _is_layout(table: "LexborNode") -> bool:
    """Whether a table only places things on the page: it holds another table, a heading, or has a single cell a row."""
    if table.css_first("table table, h1, h2, h3, pre") is not None:
        return True
    return table.attributes.get("role") == "presentation"


def _table(table: "LexborNode", skip: Skip) -> Iterator[Block]:
    caption = table.css_first("caption")
    if caption is not None and caption.text(deep=True).strip():
        yield Block("paragraph", _cell(caption))
    header: Sequence[str] = ()
    body: list[list[str]] = []
    for number, row in enumerate(table.css("tr")):
        if skip(row):
            continue
        cells = [cell for cell in row.iter() if cell.tag in ("td", "th")]
        texts = [_cell(cell) for cell in cells for _ in range(_span(cell))]
        if number == 0 and cells and (all(cell.tag == "th" for cell in cells) or _in_head(row)):
            header = texts
        else:
            body.append(texts)
    yield Block("table", rows.lines(header, body))


def _in_head(row: "LexborNode") -> bool:
    return row.parent is not None and row.parent.tag == "thead"


def _span(cell: "LexborNode") -> int:
    """How many columns a cell takes. A body cell over several columns is written once only."""
    span = cell.attributes.get("colspan") or "1"
    return min(int(span), 50) if cell.tag == "th" and re.fullmatch(r"[1-9]\d?", span) else 1


def _cell(cell: "LexborNode") -> str:
    texts = [block.text for block in _blocks_of(cell)]
    return " ".join(" ".join(texts).split())


def _blocks_of(cell: "LexborNode") -> list[Block]:
    walk = _Walk(lambda _: False)
    walk.run(cell)
    return walk.found
