"""Web pages saved with their pictures (MHTML, RFC 2557): the page itself."""

from collections.abc import Iterator
from dataclasses import replace
from email.message import Message

from ingest.errors import Empty
from ingest.parsers import _mail, html
from ingest.types import Parsed, Source

MEDIA_TYPES = ("multipart/related",)
SUFFIXES = (".mhtml", ".mht")


def parse(source: Source) -> Iterator[Parsed]:
    """One document: the root page; frames, styles and pictures are left out. Raises Empty, Damaged (no MIME)."""
    message = _mail.load(source)
    root = _root(message)
    content = _mail.payload(root) if root is not None else b""
    if root is None or not content.strip():
        raise Empty(f"{source.uri}: there is no web page in it; save the page again")
    page = replace(source, media_type="text/html", content=content, charset=_mail.charset(root))
    for item in html.parse(page):
        yield replace(item, title=item.title or _mail.header(message, "subject"))


def _root(message: Message) -> Message | None:
    """The part that `start` names (RFC 2387), else the first page."""
    pages = [part for part in message.walk() if part.get_content_type() in html.MEDIA_TYPES]
    start = str(message.get_param("start") or "").strip("<> ")
    named = (part for part in pages if start and str(part.get("content-id") or "").strip("<> ") == start)
    return next(named, pages[0] if pages else None)
