"""What kind of file some bytes are: as their first bytes tell, else the file's suffix, else plain text."""

import re
from pathlib import PurePosixPath

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
OLE = "application/x-ole-storage"
BINARY = "application/octet-stream"

_SUFFIXES = {
    ".txt": "text/plain",
    ".text": "text/plain",
    ".log": "text/plain",
    ".rst": "text/plain",
    ".asciidoc": "text/plain",
    ".adoc": "text/plain",
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
    ".ipynb": "application/x-ipynb+json",
    ".xml": "application/xml",
    ".rss": "application/xml",
    ".eml": "message/rfc822",
    ".mht": "multipart/related",
    ".mhtml": "multipart/related",
    ".mbox": "application/mbox",
    ".rtf": "application/rtf",
    ".doc": "application/msword",
    ".xls": "application/vnd.ms-excel",
    ".ppt": "application/vnd.ms-powerpoint",
    ".msg": "application/vnd.ms-outlook",
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
    (b"word/document", DOCX),
    (b"xl/workbook", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/presentation", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    (b"application/epub+zip", "application/epub+zip"),
    (b"application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text"),
)
_ZIPPED = frozenset(kind for _, kind in _OFFICE)
_HTML = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*(?:<\?xml[^>]*>\s*)?(?:<!doctype\s+html|<html[\s>])", re.IGNORECASE | re.DOTALL
)
_MARK = b"\xef\xbb\xbf"


def of_name(name: str) -> str | None:
    """What the suffix of a file name says; None for an unknown one."""
    return _SUFFIXES.get(PurePosixPath(name.lower()).suffix)


def of(name: str, content: bytes) -> str:
    """The media type of some bytes under a name. Plain text is assumed of what has no known suffix and no NUL."""
    named = of_name(name)
    head = content[:1024]
    if b"%PDF-" in head:
        return "application/pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return next(
            (kind for part, kind in _OFFICE if part in content), named if named in _ZIPPED else "application/zip"
        )
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return named or OLE
    for magic, kind in _MAGIC:
        if head.startswith(magic) and (magic != b"MZ" or b"\x00" in head):
            return kind
    if named is None or named == "text/plain":
        if _HTML.match(head.removeprefix(_MARK)):
            return "text/html"
        if b"\x00" in head and named is None and not head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
            return BINARY
    return named or "text/plain"
