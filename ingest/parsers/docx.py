"""Word documents (.docx): headings, paragraphs, lists and tables in the order of the document."""

import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING

from ingest import rows
from ingest.errors import Damaged, Empty, TooLarge
from ingest.media_types import DOCX
from ingest.types import Block, MetadataValue, Parsed, Source

if TYPE_CHECKING:
    from docx.document import Document as WordDocument
    from docx.oxml.xmlchemy import BaseOxmlElement
    from docx.table import Table, _Cell
    from docx.text.paragraph import Paragraph

MEDIA_TYPES = (DOCX,)
SUFFIXES = (".docx",)

MAX_UNPACKED = 1_000_000_000  # bytes of all parts together
MAX_RATIO = 200  # unpacked to packed; above it and above 50 MB the archive is a bomb

_LEVEL = re.compile(r"(?:heading|überschrift|titre|título|titolo)\s*([1-9])", re.IGNORECASE)
_LIST = re.compile(r"list|aufzählung|puces", re.IGNORECASE)
_ORDERED = re.compile(r"number", re.IGNORECASE)


def parse(source: Source) -> Iterator[Parsed]:
    """One document with its core properties. Raises Damaged, Empty, TooLarge (an archive that unpacks to too much)."""
    _refuse_bomb(source)
    import docx

    document = docx.Document(BytesIO(source.content))
    blocks = list(_blocks(document))
    properties = document.core_properties
    title = (properties.title or "").strip()
    if title.casefold() in ("", "word document", "document", "microsoft word document"):
        title = next((block.text for block in blocks if block.kind == "heading" and block.level == 1), "")
    if not blocks:
        raise Empty(f"{source.uri}: the document has no text; if it holds pictures of text, it needs OCR")
    yield Parsed(blocks, title=title, metadata=_metadata(document))


def _refuse_bomb(source: Source) -> None:
    try:
        with zipfile.ZipFile(BytesIO(source.content)) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Damaged(f"{source.uri}: it is cut off or damaged ({error}); get it again or save it again") from error
    if unpacked > MAX_UNPACKED or (unpacked > 50_000_000 and unpacked > MAX_RATIO * len(source.content)):
        raise TooLarge(f"{source.uri}: it unpacks to {unpacked:,} bytes; if that is meant, save it as text")


def _blocks(document: "WordDocument") -> Iterator[Block]:
    from docx.table import Table

    items: list[str] = []
    for part in _parts(document.element.body, document):
        if isinstance(part, Table):
            block = _table(part)
        else:
            item = _item(part)
            if item:
                items.append(item)
                continue
            block = _paragraph(part)
        if block is None:
            continue
        if items:
            yield Block("list", "\n".join(items))
            items = []
        yield block
    if items:
        yield Block("list", "\n".join(items))


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
        if "wordprocessingml" not in node.tag or any(node.iterancestors("{*}Fallback")):
            continue  # a text box stands in the file twice: as drawn today, and as older programs draw it
        if name == "tab" and node.getparent().tag.endswith("}tabs"):
            continue  # a tab stop, not a tab
        parts.append({"t": node.text or "", "tab": " ", "noBreakHyphen": "-"}.get(name, "\n"))
    return "".join(parts).strip()


def _style(paragraph: "Paragraph") -> str:
    return str(paragraph.style.name or "") if paragraph.style is not None else ""


def _item(paragraph: "Paragraph") -> str:
    """A paragraph as a line of a list; "" when it is none."""
    text, style = _text(paragraph), _style(paragraph)
    properties = paragraph._p.pPr
    numbering = properties.numPr if properties is not None else None
    if not text or _LEVEL.match(style) or not (numbering is not None or _LIST.search(style)):
        return ""
    level = numbering.ilvl.val if numbering is not None and numbering.ilvl is not None else 0
    return "  " * level + "- " + " ".join(text.split())


def _paragraph(paragraph: "Paragraph") -> Block | None:
    text, style = _text(paragraph), _style(paragraph)
    if not text:
        return None
    level = _LEVEL.match(style)
    if level or style == "Title":
        return Block("heading", text, level=min(6, int(level[1])) if level else 1)
    return Block("paragraph", text)


def _table(table: "Table") -> Block | None:
    """A table with its first row as header; one of a single row or column as plain rows."""
    cells: list[list[str]] = []
    for row in table.rows:
        seen: list[object] = []
        texts: list[str] = []
        for cell in row.cells:  # a merged cell is given once for every column it covers
            if not any(cell._tc is other for other in seen):
                texts.append(_cell_text(_parts(cell._tc, cell)))
                seen.append(cell._tc)
        cells.append(texts)
    if not any(any(row) for row in cells):
        return None
    width = max(len(row) for row in cells)
    headed = len(cells) > 1 and width > 1 and len(cells[0]) == width and all(cells[0])
    return Block("table", rows.lines(cells[0], cells[1:]) if headed else rows.lines((), cells))


def _cell_text(parts: "Iterator[Paragraph | Table]") -> str:
    from docx.table import Table

    texts = []
    for part in parts:
        nested = _table(part) if isinstance(part, Table) else None
        texts.append(nested.text if nested else "" if isinstance(part, Table) else _text(part))
    return " ".join(text for text in texts if text)


def _metadata(document: "WordDocument") -> dict[str, MetadataValue]:
    properties = document.core_properties
    about: dict[str, MetadataValue] = {
        key: value.strip()
        for key in ("author", "subject", "keywords", "category", "language")
        if (value := getattr(properties, key) or "").strip()
    }
    for key in ("created", "modified"):
        moment = getattr(properties, key)
        if moment is not None:
            about[key] = moment.isoformat()
    return about
