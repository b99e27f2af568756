"""OpenDocument texts, spreadsheets and presentations (.odt, .ods, .odp), by their content.xml."""

import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest.errors import Damaged, Empty, Encrypted, IngestError
from ingest.formats import odf, properties, sheets
from ingest.formats.xmltree import local, text, tree
from ingest.formats.zips import open_zip, read_member
from ingest.types import Block, MetadataValue, Parsed, Source

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

MEDIA_TYPES = (
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
)
SUFFIXES = (".odt", ".ods", ".odp")

MAX_XML = 64 * 1024 * 1024  # bytes of one part; its tree takes about ten times as much memory


def parse(source: Source) -> Iterator[Parsed]:
    """One document: of a spreadsheet each sheet is a heading and a table, of a presentation each slide a page with its
    notes. Raises Damaged, Encrypted, Empty, TooLarge."""
    with open_zip(source.content, source.uri) as archive:
        if b":encryption-data" in _member(archive, "META-INF/manifest.xml", source):
            raise Encrypted(f"{source.uri}: it is encrypted in OpenDocument's own way; save it without a password")
        content = _member(archive, "content.xml", source)
        styles = _member(archive, "styles.xml", source)
        meta = _member(archive, "meta.xml", source)
    if not content:
        raise Damaged(f"{source.uri}: it has no content.xml; get it again or save it again")
    root = tree(content, f"{source.uri}: content.xml")
    body = next((inner for outer in root if local(outer) == "body" for inner in outer if local(inner)), None)
    if body is None:
        raise Damaged(f"{source.uri}: its content.xml has no body; get it again or save it again")
    title, about = _about(meta, source)
    if local(body) == "spreadsheet":
        found, more = _spreadsheet(body, source)
    elif local(body) == "presentation":
        found, more = _presentation(body)
    else:
        walk = odf.Walk()
        walk.read(body)
        found, more = _within(walk.found, styles, source), {}
    if not found:
        raise Empty(f"{source.uri}: the document has no text; if it holds pictures of text, it needs OCR")
    if not title and local(body) != "spreadsheet":
        title = next((block.text for block in found if block.kind == "heading" and block.level == 1), "")
    yield Parsed(found, title=title, metadata={**about, **more})


def _member(archive: zipfile.ZipFile, name: str, source: Source) -> bytes:
    """A part; b"" when there is none."""
    if name not in archive.namelist():
        return b""
    return read_member(archive, archive.getinfo(name), source.uri, MAX_XML)


def _within(found: list[Block], styles: bytes, source: Source) -> list[Block]:
    """A text between its running heads and feet, each given once; damaged styles have none."""
    running: dict[str, list[Block]] = {"header": [], "footer": []}
    try:
        root = tree(styles, source.uri) if styles else None
    except IngestError:
        root = None
    for element in (
        root.iter("{*}header", "{*}header-first", "{*}footer", "{*}footer-first") if root is not None else ()
    ):
        said = odf.Walk().cell_text(element)
        place = running[local(element).removesuffix("-first")]
        if any(letter.isalpha() for letter in said) and said not in [block.text for block in place]:
            place.append(Block("paragraph", said))
    return [*running["header"], *found, *running["footer"]]


def _spreadsheet(body: "Element", source: Source) -> tuple[list[Block], dict[str, MetadataValue]]:
    found: list[Block] = []
    names: list[MetadataValue] = []
    counter = sheets.Counter(source.uri)
    for table in body.iterchildren("{*}table"):
        name = odf.attribute(table, "name")
        names.append(name)
        found += sheets.blocks(name, odf.cells(table, _cell), counter)
    return found, {"sheet": names}


def _cell(cell: "Element") -> str:
    """A cell's value where it is a number or a date, so that no local form hides it, else its text."""
    kind = odf.attribute(cell, "value-type")
    if kind == "date":
        return odf.attribute(cell, "date-value").removesuffix("T00:00:00")
    if kind == "float":
        value = odf.attribute(cell, "value")
        try:
            return sheets.cell(float(value))
        except ValueError:
            return value
    return odf.Walk().cell_text(cell)


def _presentation(body: "Element") -> tuple[list[Block], dict[str, MetadataValue]]:
    found: list[Block] = []
    count = 0
    for count, page in enumerate(body.iterchildren("{*}page"), 1):
        walk = odf.Walk(count)
        shapes = [shape for shape in page if local(shape) not in ("notes", "forms", "annotation")]
        titles = [shape for shape in shapes if odf.attribute(shape, "class") == "title"]
        for shape in titles[:1]:
            walk.add("heading", odf.Walk().cell_text(shape), 1)
        for shape in shapes:
            if shape not in titles[:1]:
                walk.read(shape)
        for notes in page.iterchildren("{*}notes"):
            said = odf.Walk().cell_text(notes)
            walk.add("paragraph", f"Notes: {said}" if said else "")
        found += walk.found
    return found, {"slides": count}


def _about(meta: bytes, source: Source) -> tuple[str, dict[str, MetadataValue]]:
    """Title and metadata of meta.xml; a damaged one says nothing."""
    try:
        root = tree(meta, source.uri) if meta else None
    except IngestError:
        root = None
    if root is None:
        return "", {}
    said: dict[str, list[str]] = {}
    for element in root.iter("{*}*"):
        if not len(element) and (value := text(element)):
            said.setdefault(local(element), []).append(value)
    first = {name: values[0] for name, values in said.items()}
    return first.get("title", ""), properties.metadata(
        authors=(first.get("initial-creator") or first.get("creator"),),
        created=first.get("creation-date"),
        modified=first.get("date"),
        subject=first.get("subject"),
        keywords=said.get("keyword", []),
        language=first.get("language"),
    )
