"""Electronic books (.epub): the chapters in the order of the spine, with their headings and what the package says."""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from ingest.encodings import decode
from ingest.errors import Damaged, Empty, Encrypted, IngestError, TooLarge
from ingest.formats import dom, properties
from ingest.formats.xmltree import local, text, tree
from ingest.formats.zips import MAX_UNPACKED, open_zip, read_member
from ingest.parsers import html
from ingest.types import Block, Failed, MetadataValue, Parsed, Source

if TYPE_CHECKING:
    from lxml.etree import _Element as Element
    from selectolax.lexbor import LexborNode

MEDIA_TYPES = ("application/epub+zip",)
SUFFIXES = (".epub",)

MAX_CHAPTER = 32 * 1024 * 1024  # bytes of one chapter
_EMPTY_ELEMENT = re.compile(  # XHTML closes these at once, which HTML takes for an opening
    r"<(a|b|i|em|strong|span|div|p|script|style|title|iframe|textarea|td|th|li)\b([^<>]*)/>", re.IGNORECASE
)
_DOCTYPE = re.compile(r"<!DOCTYPE[^>\[]*\[[^\]]*\]\s*>")  # with declarations of its own, which HTML takes for text
_XML_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9_.-]+)""")


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """One document; a chapter that is missing or damaged is Failed. Chapters without a heading take that of the table
    of contents. Raises Damaged, Encrypted (protected against copying), Empty, TooLarge. EPUB 3.3, 5 and 4.2."""
    with open_zip(source.content, source.uri) as archive:
        book = _Book(archive, source)
        found: list[Block] = []
        lost: list[Failed] = []
        left = MAX_UNPACKED
        for href in book.spine:
            try:
                chapter = book.read(href, min(left, MAX_CHAPTER))
                left -= len(chapter)
                found += _chapter(chapter, book.labels.get(href, ""), f"{source.uri}#{href}")
            except (Encrypted, TooLarge):
                raise
            except IngestError as error:
                lost.append(Failed(f"{source.uri}#{quote(href)}", str(error)))
    if not found:
        if lost:
            raise Damaged(f"{source.uri}: {lost[0].reason}")
        raise Empty(f"{source.uri}: the book has no text; if it holds pictures of text, it needs OCR")
    yield Parsed(found, title=book.title, metadata=book.metadata)
    yield from lost


class _Book:
    """What a book's package document says: its chapters' paths in order, title, metadata, and its table of contents."""

    def __init__(self, archive: zipfile.ZipFile, source: Source) -> None:
        self._archive = archive
        self._source = source
        self._members = {info.filename: info for info in archive.infolist()}
        container = tree(self.read("META-INF/container.xml", 1_000_000), source.uri)
        path = next((mark.get("full-path", "") for mark in container.iter("{*}rootfile")), "")
        package = tree(self.read(path, MAX_CHAPTER), source.uri)
        folder = posixpath.dirname(path)
        items = {item.get("id", ""): item for item in package.iter("{*}item")}
        self._paths = {key: _join(folder, item.get("href", "")) for key, item in items.items()}
        self.spine = [
            self._paths[key] for mark in package.iter("{*}itemref") if (key := mark.get("idref", "")) in self._paths
        ]
        self._refuse_protected()
        self.title, self.metadata = _about(package)
        self.labels = self._labels(items)

    def read(self, path: str, limit: int) -> bytes:
        """A member by its path. Raises Damaged when there is none."""
        info = self._members.get(path)
        if info is None:
            raise Damaged(f"{self._source.uri}: the book has no {path!r}; get it again or save it again")
        return read_member(self._archive, info, self._source.uri, limit)

    def _refuse_protected(self) -> None:
        """Encrypted fonts are common and harmless; encrypted chapters cannot be read."""
        if "META-INF/encryption.xml" not in self._members:
            return
        marks = tree(self.read("META-INF/encryption.xml", 10_000_000), self._source.uri).iter("{*}CipherReference")
        if {unquote(mark.get("URI", "")) for mark in marks} & set(self.spine):
            raise Encrypted(f"{self._source.uri}: the book is protected against copying; get it without protection")

    def _labels(self, items: "dict[str, Element]") -> dict[str, str]:
        """What the table of contents calls each chapter, by path: EPUB 3's navigation, else EPUB 2's NCX."""
        found: dict[str, str] = {}
        for key, item in items.items():
            navigation = "nav" in (item.get("properties") or "").split()
            if not navigation and item.get("media-type") != "application/x-dtbncx+xml":
                continue
            try:
                root = tree(self.read(self._paths[key], MAX_CHAPTER), self._source.uri)
            except IngestError:
                continue  # the chapters are worth more than their names
            folder = posixpath.dirname(self._paths[key])
            for href, label in _links(root) if navigation else _points(root):
                found.setdefault(_join(folder, href.partition("#")[0]), label)
        return found


def _links(root: "Element") -> Iterator[tuple[str, str]]:
    for link in root.iter("{*}a"):
        yield link.get("href", ""), text(link)


def _points(root: "Element") -> Iterator[tuple[str, str]]:
    for point in root.iter("{*}navPoint"):
        label = next((text(child) for child in point if local(child) == "navLabel"), "")
        yield next((child.get("src", "") for child in point if local(child) == "content"), ""), label


def _join(folder: str, href: str) -> str:
    """A member's path; one that leads out of the book finds no member."""
    return posixpath.normpath(posixpath.join(folder, unquote(href)))


def _chapter(content: bytes, label: str, uri: str) -> list[Block]:
    from selectolax.lexbor import LexborHTMLParser

    declared = _XML_ENCODING.match(content)
    page = decode(content, uri, declared[1].decode("ascii") if declared else None)
    page = _EMPTY_ELEMENT.sub(r"<\1\2></\1>", _DOCTYPE.sub("", page.replace("\x00", ""), count=1))
    html.refuse_depth(page, uri)
    tree_of_page = LexborHTMLParser(page)
    found = dom.blocks(tree_of_page.body, _skipped) if tree_of_page.body is not None else []
    if found and label and not any(block.kind == "heading" for block in found):
        return [Block("heading", label, level=1), *found]
    return found


def _skipped(node: "LexborNode") -> bool:
    """Tables of contents and what is not shown."""
    return node.tag == "nav" or html.hidden(node)


def _about(package: "Element") -> tuple[str, dict[str, MetadataValue]]:
    said: dict[str, list[str]] = {}
    modified = None
    for block in package.iterchildren("{*}metadata"):
        for element in block.iter("{*}*"):
            value = text(element)
            if local(element) == "meta" and element.get("property") == "dcterms:modified":
                modified = value
            elif value and element is not block:
                said.setdefault(local(element), []).append(value)
    first = {name: values[0] for name, values in said.items()}
    about = properties.metadata(
        authors=said.get("creator", []),
        modified=modified,
        keywords=said.get("subject", []),
        language=first.get("language"),
    )
    published = properties.moment(first.get("date"))
    return first.get("title", ""), {**about, "published": published} if published else about
