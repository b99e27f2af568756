"""PDF files: the text layer, page by page; lines are joined to paragraphs again."""

import re
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING

from ingest import layout
from ingest.errors import Damaged, Empty, Encrypted
from ingest.layout import Line
from ingest.types import Block, MetadataValue, Parsed, Source

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfTextPage

MEDIA_TYPES = ("application/pdf",)
SUFFIXES = (".pdf",)

_PDFIUM = Lock()  # the library must not be entered by two threads of a process at once
_META = {"Author": "author", "Subject": "subject", "Keywords": "keywords", "CreationDate": "created"}
_DATE = re.compile(r"D:(\d{4})(\d{2})?(\d{2})?")
_UNTITLED = re.compile(  # what programs write when nobody wrote a title
    r"(?:\(?(?:untitled|anonymous|unspecified|document|title)\)?|microsoft word - .*"
    r"|.*\.(?:docx?|odt|tex|dvi|pdf|indd|xlsx?|pptx?))?\s*",
    re.IGNORECASE,
)
# Where a line divides a word the library joins its halves by U+FFFE; a compound's own hyphen looks the same.
_COMPOUND = re.compile("[\ufffe\x02](?=[A-Z0-9])")
_DIVIDED = re.compile("[\ufffe\x02]")


def parse(source: Source) -> Iterator[Parsed]:
    """One document, its blocks with their page. Pages that cannot be read are left out and listed in the metadata.

    Raises Encrypted when a password is needed, Empty when no page has a text layer, Damaged when nothing can be read.
    """
    with _PDFIUM:
        parsed = _read(source)
    yield parsed


def _read(source: Source) -> Parsed:
    import pypdfium2
    import pypdfium2.raw

    try:
        document = pypdfium2.PdfDocument(source.content)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise Encrypted(f"{source.uri}: it needs a password; save it without one and add it again") from error
        raise Damaged(
            f"{source.uri}: it is no readable PDF ({error}); open it in a viewer and save it again"
        ) from error
    try:
        pages: list[list[Line]] = []
        bad: list[int] = []
        for number in range(1, len(document) + 1):
            try:
                pages.append(_lines(document, number))
            except pypdfium2.PdfiumError:
                bad.append(number)
        metadata = document.get_metadata_dict(skip_empty=True)
    finally:
        document.close()
    blocks = layout.blocks(pages)
    count = len(pages) + len(bad)
    if not blocks:
        if bad and len(bad) == count:
            raise Damaged(f"{source.uri}: none of its {count} pages can be read; open it in a viewer and save it again")
        raise Empty(f"{source.uri}: no text on its {count} pages, it is probably a scan; it needs OCR (try ocrmypdf)")
    title = metadata.pop("Title", "")
    if _UNTITLED.fullmatch(title):
        title = _first_heading(blocks)
    about = _metadata(metadata) | {"pages": count}
    if bad:
        about["unreadable_pages"] = list[MetadataValue](bad)
    return Parsed(blocks, title=title, metadata=about)


def _lines(document: "PdfDocument", number: int) -> list[Line]:
    """The lines of a page in the order of the file, with their place and size."""
    page = document[number - 1]
    try:
        textpage = page.get_textpage()
        try:
            return _placed(textpage, number)
        finally:
            textpage.close()
    finally:
        page.close()


def _placed(textpage: "PdfTextPage", number: int) -> list[Line]:
    import pypdfium2.raw as pdfium

    text: str = textpage.get_text_range()
    wide = not text.isascii() and any(character > "\uffff" for character in text)
    found = []
    matrix = pdfium.FS_MATRIX()
    for match in re.finditer(r"\S(?:[^\r\n\f]*\S)?", text):
        # The library counts characters in UTF-16.
        units = len(text[: match.start()].encode("utf-16-le")) // 2 if wide else match.start()
        first = pdfium.FPDFText_GetCharIndexFromTextIndex(textpage, units)
        last = pdfium.FPDFText_GetCharIndexFromTextIndex(textpage, units + len(match.group()) - 1)
        if first < 0:
            continue
        left, top, right, _ = textpage.get_charbox(first, loose=True)
        _, bottom, right, _ = textpage.get_charbox(last, loose=True) if last > first else (left, top, right, 0.0)
        size = pdfium.FPDFText_GetFontSize(textpage, first)
        if pdfium.FPDFText_GetMatrix(textpage, first, matrix):
            size *= matrix.d if matrix.d > abs(matrix.b) else 0.0
        line = _DIVIDED.sub("", _COMPOUND.sub("-", match.group()))
        found.append(Line(" ".join(line.split()), number, size, left, right, top, bottom))
    return found


def _first_heading(blocks: Sequence[Block]) -> str:
    """The largest heading of the first page, unless it is a numbered section's."""
    headings = [one for one in blocks if one.kind == "heading" and one.page == 1]
    largest = min(headings, key=lambda one: one.level, default=None)
    return largest.text if largest is not None and not largest.text[:1].isdigit() else ""


def _metadata(found: dict[str, str]) -> dict[str, MetadataValue]:
    about: dict[str, MetadataValue] = {}
    for key, name in _META.items():
        value = found.get(key, "").strip()
        date = _DATE.match(value)
        if date and name == "created":
            value = "-".join(part for part in date.groups() if part)
        if value and not _UNTITLED.fullmatch(value):
            about[name] = value
    return about
