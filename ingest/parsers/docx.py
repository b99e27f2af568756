"""Word documents (.docx): headings, paragraphs, lists and tables in the order of the document; notes and comments stand
after the paragraph they belong to, running heads and feet once each."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ingest.errors import Damaged, Empty
from ingest.formats import ooxml, rows
from ingest.media_types import DOCX
from ingest.types import Block, Failed, Parsed, Source

if TYPE_CHECKING:
    from docx.document import Document as WordDocument
    from docx.oxml.xmlchemy import BaseOxmlElement
    from docx.table import Table, _Cell
    from docx.text.paragraph import Paragraph

MEDIA_TYPES = (DOCX,)
SUFFIXES = (".docx", ".docm")

_LEVEL = re.compile(r"(?:heading|überschrift|titre|título|titolo)\s*([1-9])", re.IGNORECASE)
_LIST = re.compile(r"list|aufzählung|puces", re.IGNORECASE)
_NO_TITLE = ("", "word document", "document", "microsoft word document")  # what programs write when there is none
_MAX_ORIGINS = 10  # styles that a style is made from, one from the other; they may stand in a circle
_SIGNS = {"tab": " ", "noBreakHyphen": "-"}
_WORD = re.compile(r"[^\W\d_]{2}")


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """One document with its core properties; a part beside the text that is damaged is Failed.

    Raises Damaged, Encrypted, Empty, TooLarge.
    """
    import docx

    found, lost = ooxml.mended(source, ooxml.parts(source))
    for failed in lost:
        if "#word/document" in failed.uri or failed.uri.endswith(".rels"):
            raise Damaged(f"{source.uri}: it is damaged: {failed.reason}")
    document = docx.Document(ooxml.package(found))
    notes = _Notes(document)
    blocks = [
        *_running(document, "header"),
        *_blocks(document, _styles(document), notes),
        *_running(document, "footer"),
    ]
    blocks += notes.rest()
    if not blocks:
        raise Empty(f"{source.uri}: the document has no text; if it holds pictures of text, it needs OCR")
    title, about = ooxml.core(ooxml.core_part(found), source.uri)
    if title.casefold() in _NO_TITLE:
        title = next((block.text for block in blocks if block.kind == "heading" and block.level == 1), "")
    yield Parsed(blocks, title=title, metadata=about)
    yield from lost


class _Notes:
    """Footnotes, endnotes and comments, each given once: where it is referred to, else at the end."""

    _KINDS = ("footnote", "endnote", "comment")

    def __init__(self, document: "WordDocument") -> None:
        from docx.oxml.parser import parse_xml

        self._document = document
        self._number = 0
        self._found: dict[tuple[str, str], BaseOxmlElement] = {}
        for relation in document.part.rels.values():
            kind = relation.reltype.rpartition("/")[2].removesuffix("s")
            if kind in self._KINDS and not relation.is_external and relation.target_part.blob:
                for note in parse_xml(relation.target_part.blob).iterchildren(f"{{*}}{kind}"):
                    self._found[kind, _attribute(note, "id")] = note

    def of(self, element: "BaseOxmlElement") -> Iterator[Block]:
        """What is referred to within an element."""
        for mark in element.iter(*(f"{{*}}{kind}Reference" for kind in self._KINDS)):
            kind = mark.tag.rpartition("}")[2].removesuffix("Reference")
            note = self._found.pop((kind, _attribute(mark, "id")), None)
            if note is not None:
                yield from self._block(kind, note)

    def rest(self) -> Iterator[Block]:
        """Comments that nothing refers to; notes without a reference were deleted."""
        for (kind, _), note in list(self._found.items()):
            if kind == "comment":
                yield from self._block(kind, note)

    def _block(self, kind: str, note: "BaseOxmlElement") -> Iterator[Block]:
        text = _cell_text(_parts(note, self._document))
        if not text:
            return
        if kind == "comment":
            author = _attribute(note, "author")
            yield Block("paragraph", f"Comment by {author}: {text}" if author else f"Comment: {text}")
            return
        self._number += 1
        yield Block("paragraph", f"[{self._number}] {text}")


def _attribute(element: "BaseOxmlElement", name: str) -> str:
    return next((str(value) for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")


def _running(document: "WordDocument", place: str) -> Iterator[Block]:
    """The texts of all running heads or feet, once each; page numbers are none."""
    seen: set[str] = set()
    for section in document.sections:
        for name in (place, f"first_page_{place}", f"even_page_{place}"):
            part = getattr(section, name)
            text = "" if part.is_linked_to_previous else _cell_text(_parts(part._element, part))
            if text not in seen and _WORD.search(text):
                seen.add(text)
                yield Block("paragraph", text)


def _blocks(container: "WordDocument | _Cell", styles: Mapping[str, str], notes: _Notes) -> Iterator[Block]:
    from docx.table import Table, _Cell

    element = container._tc if isinstance(container, _Cell) else container.element.body
    items: list[str] = []
    waiting: list[Block] = []  # notes of a list that is not at its end
    for part in _parts(element, container):
        item = "" if isinstance(part, Table) else _item(part, styles)
        if item:
            items.append(item)
            waiting += notes.of(part._p)
            continue
        blocks = list(_table(part, styles, notes) if isinstance(part, Table) else _paragraph(part, styles, notes))
        if items and blocks:
            yield Block("list", "\n".join(items))
            yield from waiting
            items, waiting = [], []
        yield from blocks
    if items:
        yield Block("list", "\n".join(items))
        yield from waiting


def _parts(element: "BaseOxmlElement", parent: "WordDocument | _Cell") -> "Iterator[Paragraph | Table]":
    """The paragraphs and tables in an element, those in content controls (cover pages, forms) included."""
    from docx.table import Table
    from docx.text.paragraph import Paragraph

    for child in element.iterchildren("{*}p", "{*}tbl", "{*}sdt", "{*}sdtContent", "{*}ins", "{*}customXml"):
        name = child.tag.rpartition("}")[2]
        if name == "p":
            yield Paragraph(child, parent)
        elif name == "tbl":
            yield Table(child, parent)
        else:
            yield from _parts(child, parent)


def _text(paragraph: "Paragraph") -> str:
    """A paragraph's text: hyperlinks, fields, insertions, text boxes included; what was deleted under review is not."""
    parts: list[str] = []
    for node in paragraph._p.iter("{*}t", "{*}tab", "{*}br", "{*}cr", "{*}p", "{*}noBreakHyphen"):
        name = node.tag.rpartition("}")[2]
        if (
            "wordprocessingml" not in node.tag
            or next(node.iterancestors("{*}Fallback", "{*}moveFrom"), None) is not None
        ):
            continue  # a text box stands in the file twice: as drawn today, and as older programs draw it
        if name == "tab" and node.getparent().tag.endswith("}tabs"):
            continue  # a tab stop, not a tab
        parts.append((node.text or "") if name == "t" else _SIGNS.get(name, "\n"))
    return "".join(parts).strip()


def _styles(document: "WordDocument") -> dict[str, str]:
    """The name of each paragraph style by its id, that of the default one under ""; a style that is made from a
    heading has the heading's. (Asking python-docx for each paragraph's style takes a millisecond each time.)"""
    names: dict[str, str] = {}
    origins: dict[str, str] = {}
    for style in document.styles.element.iterchildren("{*}style"):
        key = _attribute(style, "styleId")
        for child in style.iterchildren("{*}name", "{*}basedOn"):
            found = names if child.tag.endswith("}name") else origins
            found[key] = _attribute(child, "val")
        if _attribute(style, "type") == "paragraph" and _attribute(style, "default") in ("1", "true", "on"):
            names[""] = names.get(key, "")
    return {key: _heading_name(key, names, origins) for key in names}


def _heading_name(key: str, names: Mapping[str, str], origins: Mapping[str, str]) -> str:
    origin = key
    for _ in range(_MAX_ORIGINS):
        if _LEVEL.match(names.get(origin, "")):
            return names[origin]
        origin = origins.get(origin, "")
    return names[key]


def _style(paragraph: "Paragraph", styles: Mapping[str, str]) -> str:
    mark = paragraph._p.find("{*}pPr/{*}pStyle")
    key = _attribute(mark, "val") if mark is not None else ""
    return styles.get(key) or styles.get("", "")


def _item(paragraph: "Paragraph", styles: Mapping[str, str]) -> str:
    """A paragraph as a line of a list; "" when it is none."""
    text, style = _text(paragraph), _style(paragraph, styles)
    properties = paragraph._p.pPr
    numbering = properties.numPr if properties is not None else None
    if not text or _LEVEL.match(style) or not (numbering is not None or _LIST.search(style)):
        return ""
    level = numbering.ilvl.val if numbering is not None and numbering.ilvl is not None else 0
    return "  " * level + "- " + " ".join(text.split())


def _paragraph(paragraph: "Paragraph", styles: Mapping[str, str], notes: _Notes) -> Iterator[Block]:
    text, style = _text(paragraph), _style(paragraph, styles)
    level = _LEVEL.match(style)
    if text and (level or style.casefold() == "title"):
        yield Block("heading", text, level=min(6, int(level[1])) if level else 1)
    elif text:
        yield Block("paragraph", text)
    yield from notes.of(paragraph._p)


def _table(table: "Table", styles: Mapping[str, str], notes: _Notes) -> Iterator[Block]:
    """A table with its first row as header; one of a single row or column as plain rows; one that only frames other
    tables as what it frames."""
    from docx.table import _Cell

    cells = [row._tr.tc_lst for row in table.rows]
    width = max((len(row) for row in cells), default=0)
    if width == 1 and any(tc.find(".//{*}tbl") is not None for row in cells for tc in row):
        for row in cells:
            for tc in row:
                yield from _blocks(_Cell(tc, table), styles, notes)
        return
    text = _table_text(table)
    if text:
        yield Block("table", text)
    yield from notes.of(table._tbl)


def _table_text(table: "Table") -> str:
    from docx.table import _Cell

    texts: list[list[str]] = []
    above: dict[int, str] = {}  # by column: what a cell that is merged downwards says
    for row in table.rows:
        column, line = 0, []
        for tc in row._tr.tc_lst:
            span, merged = _merging(tc)
            text = above.get(column, "") if merged else _cell_text(_parts(tc, _Cell(tc, table)))
            above[column] = text
            column += span
            line.append(text)
        texts.append(line)
    return rows.table(texts)


def _merging(cell: "BaseOxmlElement") -> tuple[int, bool]:
    """How many columns a cell takes, and whether it goes on with the one above."""
    span = cell.find("{*}tcPr/{*}gridSpan")
    down = cell.find("{*}tcPr/{*}vMerge")
    columns = _attribute(span, "val") if span is not None else "1"
    merged = down is not None and _attribute(down, "val") != "restart"
    return int(columns) if re.fullmatch(r"[0-9]{1,3}", columns) else 1, merged


def _cell_text(parts: "Iterator[Paragraph | Table]") -> str:
    from docx.table import Table

    texts = (_table_text(part) if isinstance(part, Table) else _text(part) for part in parts)
    return " ".join(text for text in texts if text)
