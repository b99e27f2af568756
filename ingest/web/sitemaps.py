"""Sitemaps (sitemaps.org 0.9): the pages a site lists, or further sitemaps; as XML, RSS, Atom or plain text."""

import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Literal

from ingest.errors import Damaged, IngestError, TooLarge
from ingest.types import Failed

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_URLS = 50_000  # of one sitemap by the protocol; here of all sitemaps of an index together
MAX_SITEMAPS = 1_000  # of an index
MAX_DEPTH = 3  # indexes within indexes

Kind = Literal["page", "sitemap"]

_ENTRIES: dict[str, Kind] = {"url": "page", "sitemap": "sitemap", "item": "page", "entry": "page"}
_ROOTS = ("urlset", "sitemapindex", "rss", "RDF", "feed")


@dataclass(frozen=True, slots=True)
class Entry:
    """A page that a sitemap lists."""

    url: str
    modified: str | None = None  # lastmod as the site writes it, a W3C date; None when it does not say


@dataclass(frozen=True, slots=True)
class Listed:
    """What one sitemap says: a page, or a further sitemap."""

    kind: Kind
    url: str
    modified: str | None


def walk(
    first: str, fetch: Callable[[str], bytes], check: Callable[[str], str], *, max_bytes: int
) -> Iterator[Entry | Failed]:
    """The pages of a sitemap and of the sitemaps it lists, each once, in order; one that is left out is Failed.

    `check` gives the address as it is kept, or raises an error of ingest.errors when it may not be asked. What `fetch`
    and `read` raise for the first sitemap is raised, for a further one it is Failed.
    """
    waiting, asked, seen = deque([(first, 1)]), {first}, set[str]()
    while waiting:
        place, depth = waiting.popleft()
        try:
            for listed in read(fetch(place), place, max_bytes=max_bytes):
                try:
                    url = check(listed.url)
                    if listed.kind == "sitemap" and url not in asked:
                        _check_room(url, depth, len(asked))
                        asked.add(url)
                        waiting.append((url, depth + 1))
                except IngestError as error:
                    yield Failed(listed.url, str(error))
                    continue
                if listed.kind == "sitemap" or url in seen:
                    continue
                if len(seen) == MAX_URLS:
                    yield Failed(place, f"{place}: over {MAX_URLS:,} pages are listed; name the sitemaps of its parts")
                    return
                seen.add(url)
                yield Entry(url, listed.modified)
        except IngestError as error:
            if place == first:
                raise
            yield Failed(place, str(error))


def _check_room(url: str, depth: int, asked: int) -> None:
    if depth >= MAX_DEPTH:
        raise TooLarge(
            f"{url}: it lies in {depth} indexes of sitemaps, at most {MAX_DEPTH - 1} are opened; name it itself"
        )
    if asked >= MAX_SITEMAPS:
        raise TooLarge(f"{url}: over {MAX_SITEMAPS:,} sitemaps are listed; name it itself")


def read(content: bytes, uri: str, *, max_bytes: int) -> Iterator[Listed]:
    """What a sitemap lists, in order; gzip is unpacked to at most `max_bytes`.

    Raises Damaged for what is no sitemap, TooLarge.
    """
    content = unpacked(content, uri, max_bytes=max_bytes)
    if content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        yield from _xml(content, uri)
        return
    lines = content.decode("utf-8-sig", "replace").split()
    if not lines or any(not line.lower().startswith(("http://", "https://")) for line in lines):
        raise Damaged(f"{uri}: this is no sitemap; name one in XML, or a text with one address a line")
    yield from (Listed("page", line, None) for line in lines)


def unpacked(content: bytes, uri: str, *, max_bytes: int) -> bytes:
    """The content, out of gzip if it is packed so. Raises TooLarge, Damaged."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    unpacker = zlib.decompressobj(wbits=31)
    try:
        out = unpacker.decompress(content, max_bytes + 1)
    except zlib.error as error:
        raise Damaged(f"{uri}: it begins as gzip and breaks off ({error})") from error
    if len(out) > max_bytes:
        raise TooLarge(f"{uri}: unpacked it is over the limit of {max_bytes:,} bytes; raise the limit (max_bytes)")
    return out


def _xml(content: bytes, uri: str) -> Iterator[Listed]:
    """The entries of an XML sitemap or feed, read as a stream; entities are not resolved, nothing is fetched."""
    from lxml import etree

    known = False
    try:
        for _, element in etree.iterparse(
            BytesIO(content),
            events=("end",),
            tag=[f"{{*}}{name}" for name in (*_ENTRIES, *_ROOTS)],
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
        ):
            kind = _ENTRIES.get(_name(element))
            known = known or kind is None
            if kind is None:
                continue
            url, modified = _said(element)
            if url:
                yield Listed(kind, url, modified)
            element.clear()
            while element.getprevious() is not None:  # what was read is let go, or a long list fills the memory
                del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise Damaged(f"{uri}: this is no sitemap, or not whole ({error}); check the address") from error
    if not known:
        raise Damaged(f"{uri}: this is no sitemap: neither <urlset> nor <sitemapindex> is in it; check the address")


def _name(element: "_Element") -> str:
    return str(element.tag).rpartition("}")[2]


def _said(element: "_Element") -> tuple[str, str | None]:
    """The address and the date of an entry."""
    url, modified = "", None
    for child in element.iterchildren("{*}*"):
        name, text = _name(child), (child.text or "").strip()
        if name in ("loc", "link") and not url and child.get("rel", "alternate") == "alternate":
            url = text or child.get("href", "").strip()
        elif name in ("lastmod", "updated", "pubDate") and text:
            modified = text
    return url, modified
