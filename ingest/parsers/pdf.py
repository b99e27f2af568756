"""PDF files: the text layer page by page, scanned pages by OCR, the table of contents as headings, attachments."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

from ingest import nested
from ingest.errors import Damaged, Empty, Encrypted, IngestError, TooLarge
from ingest.formats import layout, ocr, textlayer
from ingest.formats.layout import Line
from ingest.formats.pdf_keys import without_password
from ingest.types import Block, Failed, MetadataValue, Parsed, Source
from ingest.wording import counted

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

MEDIA_TYPES = ("application/pdf",)
SUFFIXES = (".pdf",)

MAX_PAGES = 10_000
MAX_OCR_PAGES = 100  # of one file; each takes about a second
MAX_ATTACHMENTS = 500

_PDFIUM = Lock()  # the library must not be entered by two threads of a process at once
_DPI = 250  # of a page drawn for OCR
_STAMP = 40  # characters that a scanner may put on a page; a page with more has a text layer
_PATHS = 30  # drawn shapes on a page without text from which on they may be letters
_MAX_TITLES = 5_000  # of the table of contents
_DATE = re.compile(r"(?:D:)?(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:(Z)|([-+])(\d{2})'?(\d{2})?)?")
_UNTITLED = re.compile(  # what programs write when nobody wrote a title
    r"(?:\(?(?:untitled|anonymous|unspecified|document|title)\)?|microsoft word - .*"
    r"|.*\.(?:docx?|odt|tex|dvi|pdf|indd|xlsx?|pptx?))?\s*",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _Found:
    """What the pages of a file hold, in their order."""

    lines: list[list[Line]] = field(default_factory=list)
    scanned: dict[int, ocr.Recognised] = field(default_factory=dict)  # by page
    bad: list[int] = field(default_factory=list)  # pages the library cannot read
    unread: list[int] = field(default_factory=list)  # scans that were not read: no tesseract, or too many
    failed: dict[int, str] = field(default_factory=dict)  # pages whose OCR failed, and why
    attachments: list[tuple[str, bytes | None]] = field(default_factory=list)


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """One document, its blocks with their page, then the documents attached to it. Pages that cannot be read, or that
    need OCR where there is none, are Failed, with the page in their address.

    Raises Encrypted when a password is needed, Empty when no page has text, Damaged when nothing can be read, TooLarge
    above MAX_PAGES.
    """
    with _PDFIUM:
        parsed, found, pages = _read(source)
    if parsed is not None:
        yield parsed
        yield from _failures(source, found)
    else:
        error = _nothing(source, found, pages)
        if not found.attachments:
            raise error
        yield Failed(source.uri, str(error))
    yield from nested.members(source, (_member(source, *attached) for attached in found.attachments))


def _member(source: Source, name: str, content: bytes | None) -> nested.Member:
    def read() -> bytes:
        if content is None:
            raise Damaged(f"{nested.address(source, name)}: it cannot be taken out of the PDF; add it by itself")
        return content

    return nested.Member(name, read)


def _read(source: Source) -> tuple[Parsed | None, _Found, int]:
    """The document, None when it has no text, with what was found and its number of pages."""
    document = _opened(source)
    try:
        count = len(document)
        if count > MAX_PAGES:
            raise TooLarge(f"{source.uri}: {count:,} pages, over the limit of {MAX_PAGES:,}; divide it")
        found = _Found()
        for number in range(1, count + 1):
            _page(document, number, found, source)
        found.attachments = _attachments(document)
        blocks = layout.blocks(found.lines, _titles(document))
        metadata = document.get_metadata_dict(skip_empty=True)
        language = _language(document)
    finally:
        document.close()
    texts = [Block("paragraph", text, page=page) for page, one in found.scanned.items() for text in one.paragraphs]
    if texts:
        blocks = sorted([*blocks, *texts], key=lambda block: block.page or 0)
    if not blocks:
        return None, found, count
    title = metadata.pop("Title", "")
    if _UNTITLED.fullmatch(title):
        title = _first_heading(blocks)
    about = _metadata(metadata) | {"pages": count}
    if language:
        about["language"] = language
    if texts:
        about["ocr_pages"] = [page for page, one in found.scanned.items() if one.paragraphs]
        about["ocr_confidence"] = min(one.confidence for one in found.scanned.values() if one.paragraphs)
    if found.bad:
        about["unreadable_pages"] = list[MetadataValue](found.bad)
    return Parsed(blocks, title=title, metadata=about), found, count


def _opened(source: Source) -> "PdfDocument":
    import pypdfium2
    import pypdfium2.raw as pdfium

    content: bytes | None = source.content
    for password in (None, *source.passwords, None):
        try:
            return pypdfium2.PdfDocument(content, password=password)
        except pypdfium2.PdfiumError as error:
            code = getattr(error, "err_code", None)
            if code == pdfium.FPDF_ERR_SECURITY:
                raise Encrypted(
                    f"{source.uri}: it is encrypted in a way that is not known here; save it without and add it again"
                ) from error
            if code != pdfium.FPDF_ERR_PASSWORD:
                raise Damaged(
                    f"{source.uri}: it is no readable PDF ({error}); open it in a viewer and save it again"
                ) from error
        if password == (source.passwords or (None,))[-1]:
            content = without_password(source.content)
            if content is None:
                break
    tried = (
        f"of the {counted(len(source.passwords), 'password')} given none opens it"
        if source.passwords
        else "none was given"
    )
    raise Encrypted(f"{source.uri}: it needs a password, {tried}; give its password, or save it without one")


def _page(document: "PdfDocument", number: int, found: _Found, source: Source) -> None:
    """Add what one page holds; the page is closed again, so that memory does not grow with their number."""
    import pypdfium2

    try:
        page = document[number - 1]
        try:
            textpage = page.get_textpage()
            try:
                lines = textlayer.lines(textpage, number)
            finally:
                textpage.close()
            if sum(len(line.text) for line in lines) <= _STAMP and _is_picture(page):
                lines = _scan(page, number, lines, found, source)
        finally:
            page.close()
    except pypdfium2.PdfiumError:
        found.bad.append(number)
        return
    found.lines.append(lines)


def _is_picture(page: "PdfPage") -> bool:
    """Whether something is seen on a page that may be text: a picture on a third of it, or many drawn shapes."""
    import pypdfium2.raw as pdfium

    width, height = page.get_size()
    paths = 0
    for one in islice(page.get_objects(max_depth=3), 1000):
        if one.type == pdfium.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = one.get_bounds()
            if (right - left) * (top - bottom) * 3 >= width * height:
                return True
        paths += one.type == pdfium.FPDF_PAGEOBJ_PATH
    return paths >= _PATHS


def _scan(page: "PdfPage", number: int, lines: list[Line], found: _Found, source: Source) -> list[Line]:
    """Read a page by OCR; the lines of its text layer that remain."""
    if not ocr.available() or len(found.scanned) >= MAX_OCR_PAGES:
        found.unread.append(number)
        return lines
    try:
        one = ocr.recognise(_drawn(page), f"{source.uri}#page={number}", dpi=_DPI)
    except IngestError as error:
        found.failed[number] = str(error)
        return lines
    if sum(map(len, one.paragraphs)) > sum(len(line.text) for line in lines):
        found.scanned[number] = one
        return []
    found.scanned[number] = ocr.Recognised((), 0.0)
    return lines


def _drawn(page: "PdfPage") -> bytes:
    """The page in greys as PGM, with fewer dots where it is too large."""
    width, height = page.get_size()
    scale = min(_DPI / 72, (ocr.MAX_PIXELS / 2 / max(width * height, 1.0)) ** 0.5)
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        pixels = memoryview(bitmap.buffer).cast("B")
        rows = [pixels[row * bitmap.stride : row * bitmap.stride + bitmap.width] for row in range(bitmap.height)]
        return b"".join((b"P5 %d %d 255\n" % (bitmap.width, bitmap.height), *rows))
    finally:
        bitmap.close()


def _attachments(document: "PdfDocument") -> list[tuple[str, bytes | None]]:
    """The names and contents of attached files; None for one that cannot be taken out."""
    import pypdfium2

    found: list[tuple[str, bytes | None]] = []
    for number in range(min(document.count_attachments(), MAX_ATTACHMENTS)):
        name = f"attachment {number + 1}"
        try:
            attachment = document.get_attachment(number)
            name = attachment.get_name() or name
            found.append((name, bytes(attachment.get_data())))
        except (pypdfium2.PdfiumError, UnicodeDecodeError):
            found.append((name, None))
    return found


def _titles(document: "PdfDocument") -> dict[tuple[int, str], int]:
    """The headings of the table of contents, by page and text."""
    import pypdfium2

    titles: dict[tuple[int, str], int] = {}
    try:
        for item in islice(document.get_toc(max_depth=6), _MAX_TITLES):
            place = item.get_dest()
            index = None if place is None else place.get_index()
            name = layout.folded(item.get_title())
            if index is not None and name:
                titles.setdefault((index + 1, name), item.level + 1)
    except (pypdfium2.PdfiumError, UnicodeDecodeError):
        return titles  # it only helps; the text is read without it
    return titles


def _language(document: "PdfDocument") -> str:
    """What the file says its language is (BCP 47); "" when it does not."""
    from ctypes import POINTER, c_ushort, cast, create_string_buffer

    import pypdfium2.raw as pdfium

    size = pdfium.FPDFCatalog_GetLanguage(document, None, 0)
    if not 2 < size <= 200:
        return ""
    buffer = create_string_buffer(size)
    pdfium.FPDFCatalog_GetLanguage(document, cast(buffer, POINTER(c_ushort)), size)
    return buffer.raw.decode("utf-16-le", "replace").strip("\x00").strip()


def _failures(source: Source, found: _Found) -> Iterator[Failed]:
    """The pages of a document that are missing from it."""
    for pages in _runs(found.bad):
        where = f"{source.uri}#page={pages}"
        yield Failed(
            where, f"{where}: it cannot be read, the other pages are; open the file in a viewer and save it again"
        )
    for pages in _runs(found.unread):
        where = f"{source.uri}#page={pages}"
        yield Failed(where, f"{where}: it is a scan and {_remedy()}")
    for number, reason in found.failed.items():
        yield Failed(f"{source.uri}#page={number}", reason)


def _runs(numbers: Sequence[int]) -> list[str]:
    """Ascending numbers as "3" and "5-9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [str(first) if first == last else f"{first}-{last}" for first, last in runs]


def _remedy() -> str:
    if ocr.available():
        return f"only {MAX_OCR_PAGES} pages of a file are read by OCR; divide it"
    return f"needs OCR; {ocr.INSTALL} and add it again"


def _nothing(source: Source, found: _Found, count: int) -> IngestError:
    """Why there is no text at all."""
    pages = counted(count, "page")
    if found.bad and len(found.bad) == count:
        return Damaged(f"{source.uri}: of its {pages} none can be read; open it in a viewer and save it again")
    if found.unread:
        return Empty(f"{source.uri}: no text on its {pages}, it is a scan and {_remedy()}")
    if found.failed:
        return Empty(f"{source.uri}: no text on its {pages}, and OCR failed; {next(iter(found.failed.values()))}")
    seen = "OCR sees none either" if found.scanned else "they are blank"
    return Empty(f"{source.uri}: no text on its {pages}, {seen}; leave it out, or scan it again")


def _first_heading(blocks: Sequence[Block]) -> str:
    """The largest heading of the first page, unless it is a numbered section's."""
    headings = [one for one in blocks if one.kind == "heading" and one.page == 1]
    largest = min(headings, key=lambda one: one.level, default=None)
    return largest.text if largest is not None and not largest.text[:1].isdigit() else ""


def _metadata(found: dict[str, str]) -> dict[str, MetadataValue]:
    about: dict[str, MetadataValue] = {}
    author = ", ".join(part.strip() for part in found.get("Author", "").split(";") if part.strip())
    keywords = [part.strip() for part in re.split(r"[;,]", found.get("Keywords", "")) if part.strip()]
    subject = found.get("Subject", "").strip()
    if not _UNTITLED.fullmatch(author):
        about["author"] = author
    if not _UNTITLED.fullmatch(subject):
        about["subject"] = subject
    if keywords:
        about["keywords"] = list[MetadataValue](keywords)
    for key, name in (("CreationDate", "created"), ("ModDate", "modified")):
        date = iso_date(found.get(key, ""))
        if date:
            about[name] = date
    return about


def iso_date(text: str) -> str:
    """A PDF's date (D:20260210153000+01'00') as ISO 8601, as exact as it is given; "" for none."""
    match = _DATE.match(text.strip())
    if match is None:
        return ""
    digits = [part for part in match.groups()[:6] if part is not None]
    try:
        moment = datetime(*(int(part) for part in (*digits, *("01", "01", "0", "0", "0")[len(digits) - 1 :])))  # type: ignore[arg-type]
        if len(digits) < 4:
            return "-".join(digits)
        if match[7]:
            moment = moment.replace(tzinfo=UTC)
        elif match[8]:
            offset = timedelta(hours=int(match[9]), minutes=int(match[10] or 0))
            moment = moment.replace(tzinfo=timezone(offset if match[8] == "+" else -offset))
    except ValueError:
        return ""
    return moment.isoformat()
