"""What kind of file some bytes are: as their first bytes tell, else the file's suffix, else plain text."""

import re
from pathlib import PurePosixPath

from ingest.formats import programming_languages, zips

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
OLE = "application/x-ole-storage"
BINARY = "application/octet-stream"

_SUFFIXES = {
    **{
        suffix: programming_languages.media_type(language)
        for suffix, language in programming_languages.BY_SUFFIX.items()
    },
    ".txt": "text/plain",
    ".text": "text/plain",
    ".log": "text/plain",
    ".rst": "text/x-rst",
    ".rest": "text/x-rst",
    ".asciidoc": "text/asciidoc",
    ".adoc": "text/asciidoc",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".mdown": "text/markdown",
    ".mdx": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
    ".pdf": "application/pdf",
    ".docx": DOCX,
    ".docm": DOCX,
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".tab": "text/tab-separated-values",
    ".jsonl": "application/jsonl",
    ".ndjson": "application/jsonl",
    ".json": "application/json",
    ".geojson": "application/json",
    ".ipynb": "application/x-ipynb+json",
    ".xml": "application/xml",
    ".rss": "application/xml",
    ".atom": "application/xml",
    ".rdf": "application/xml",
    ".eml": "message/rfc822",
    ".mht": "multipart/related",
    ".mhtml": "multipart/related",
    ".mbox": "application/mbox",
    ".rtf": "application/rtf",
    ".doc": "application/msword",
    ".xls": "application/vnd.ms-excel",
    ".ppt": "application/vnd.ms-powerpoint",
    ".msg": "application/vnd.ms-outlook",
    ".xlsm": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptm": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".zip": "application/zip",
    ".tar": "application/x-tar",
    ".tgz": "application/gzip",
    ".tbz2": "application/x-bzip2",
    ".txz": "application/x-xz",
    ".gz": "application/gzip",
    ".bz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".epub": "application/epub+zip",
}
_MAGIC = (
    (b"{\\rtf", "application/rtf"),
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ", "application/x-xz"),
    (b"7z\xbc\xaf", "application/x-7z-compressed"),
    (b"Rar!", "application/vnd.rar"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ", "application/x-executable"),
    (b"SQLite format 3", "application/vnd.sqlite3"),
)
_OFFICE = (  # a name that only this kind of archive holds
    (b"xl/workbook.bin", "application/vnd.ms-excel.sheet.binary.macroenabled.12"),
    (b"word/document", DOCX),
    (b"xl/workbook", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/presentation", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    (b"application/epub+zip", "application/epub+zip"),
    (b"application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text"),
    (b"application/vnd.oasis.opendocument.spreadsheet", "application/vnd.oasis.opendocument.spreadsheet"),
    (b"application/vnd.oasis.opendocument.presentation", "application/vnd.oasis.opendocument.presentation"),
)
_OLE_STREAMS = (  # a stream that only this kind of compound file has ([MS-CFB] 2.6.1: names are padded with zeros)
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("Book", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("__properties_version1.0", "application/vnd.ms-outlook"),
)
_OLD_OFFICE = frozenset(kind for _, kind in _OLE_STREAMS)
_ZIPPED = frozenset(kind for _, kind in _OFFICE)
_HTML = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*(?:<\?xml[^>]*>\s*)?(?:<!doctype\s+html|<html[\s>])", re.IGNORECASE | re.DOTALL
)
_MAILBOX = re.compile(rb"From \S[^\r\n]*\d\d:\d\d[^\r\n]*\r?\n[!-9;-~]+:")
_HEADERS = re.compile(rb"(?:[!-9;-~]+:[^\n]*(?:\n[ \t][^\n]*)*(?:\n|\Z))+")
_HEADER_NAME = re.compile(rb"^([!-9;-~]+):", re.MULTILINE)
_BY_MAILERS = frozenset((b"message-id", b"received", b"mime-version", b"return-path", b"delivered-to"))  # not by people
_SAVED_PAGE = re.compile(rb"^(?:From: *<Saved by |Snapshot-Content-Location:)", re.MULTILINE | re.IGNORECASE)
_MARK = b"\xef\xbb\xbf"


def of_name(name: str) -> str | None:
    """What the suffix of a file name says; None for an unknown one."""
    return _SUFFIXES.get(PurePosixPath(name.lower()).suffix)


def of(name: str, content: bytes) -> str:
    """The media type of some bytes under a name. Plain text is assumed of what has no known suffix and no NUL."""
    named = of_name(name)
    head = content[:1024]
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        names = head[:120] + zips.directory(content)  # the first member of many formats tells its type
        return next((kind for part, kind in _OFFICE if part in names), named if named in _ZIPPED else "application/zip")
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        found = [kind for stream, kind in _OLE_STREAMS if stream.encode("utf-16-le") + bytes(6) in content]
        return named if named in found else next(iter(found), named or OLE)
    if head[257:262] == b"ustar":
        return "application/x-tar"
    if b"%PDF-" in head:  # not in an archive that holds one
        return "application/pdf"
    for magic, kind in _MAGIC:
        if head.startswith(magic) and (magic != b"MZ" or b"\x00" in head):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if named is None or named == "text/plain" or named in _OLD_OFFICE:  # many an .xls of the web is a page
        if _HTML.match(head.removeprefix(_MARK)):
            return "text/html"
        if mail := _mail(content[:16_384].removeprefix(_MARK)):
            return mail
        if named is None and head.removeprefix(_MARK).startswith(b"<?xml"):
            return "application/xml"
        if b"\x00" in head and named is None and not head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
            return BINARY
    return named or "text/plain"


def _mail(head: bytes) -> str | None:
    """Whether a text begins as mail does: a mailbox, a message, a page saved as one."""
    if _MAILBOX.match(head):
        return "application/mbox"
    headers = _HEADERS.match(head)
    if headers is None:
        return None
    if _SAVED_PAGE.search(headers[0]):
        return "multipart/related"
    names = {name.lower() for name in _HEADER_NAME.findall(headers[0])}
    return "message/rfc822" if b"from" in names and names & _BY_MAILERS else None
