"""The entries of a feed (RSS, RDF, Atom) as documents; elements are known by their names, whatever their namespace."""

import re
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ingest.formats import dom
from ingest.formats.xml_text import local
from ingest.parsers.html import refuse_depth
from ingest.types import Block, Failed, MetadataValue, Parsed

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_FEEDS = ("rss", "feed", "rdf")
_TEXTS = ("encoded", "content", "description", "summary", "subtitle")  # the fullest first
_PUBLISHED = ("published", "pubdate", "issued", "date", "created")
_UPDATED = ("updated", "modified", "lastbuilddate")
_LONGEST_TITLE = 2_000  # characters
_MARKUP = re.compile(r"<[a-zA-Z/!]|&[#\w]+;")


def entries(root: "Element", uri: str) -> Iterator[Parsed | Failed]:
    """A document an entry, its fragment its own id where that is unique, else "item=N"; nothing for what is no feed.
    One without title and text is Failed."""
    if local(root) not in _FEEDS:
        return
    channel = next((child for child in root if local(child) == "channel"), root)
    feed: dict[str, MetadataValue] = {"feed": _first(channel, ("title",)), "language": _language(root, channel)}
    seen: set[str] = set()
    items = [node for node in (*channel, *(root if channel is not root else ())) if local(node) in ("item", "entry")]
    for number, item in enumerate(items, 1):
        place = f"item={number}"
        name = _first(item, ("guid", "id")) or _attribute(item, "about")
        title, blocks = _plain(_first(item, ("title",))), _blocks(item, uri)
        if not blocks and not title:
            where = f"{uri}#{place}"
            yield Failed(where, f"{where}: the entry has neither title nor text; correct it and add the file again")
            continue
        fragment = place if not name or name in seen else name
        seen.add(name)
        about = {key: value for key, value in (feed | _metadata(item)).items() if value}
        yield Parsed(blocks or [Block("paragraph", title)], title, name or None, about, fragment)


def _blocks(item: "Element", uri: str) -> list[Block]:
    """The fullest text of an entry: HTML, escaped or not, or plain text."""
    from lxml import etree
    from selectolax.lexbor import LexborHTMLParser

    texts = []
    for node in item:
        if local(node) in _TEXTS:
            inner = "".join(etree.tostring(child, encoding="unicode") for child in node)
            texts.append(((node.text or "") + inner).strip())
    text = max(texts, key=len, default="")
    if not text:
        return []
    if not _MARKUP.search(text):
        return [Block("paragraph", piece) for piece in re.split(r"\n\s*\n", text) if piece.strip()]
    refuse_depth(text, uri)
    body = LexborHTMLParser(f"<body>{text}").body
    return dom.blocks(body, lambda _: False) if body is not None else []


def _plain(text: str) -> str:
    """A title, in which some feeds leave markup."""
    from selectolax.lexbor import LexborHTMLParser

    if not _MARKUP.search(text):
        return " ".join(text.split())
    body = LexborHTMLParser(f"<body>{text[:_LONGEST_TITLE]}").body
    return " ".join((body.text(deep=True) if body is not None else text).split())


def _metadata(item: "Element") -> dict[str, MetadataValue]:
    authors = [_author(node) for node in item if local(node) in ("author", "creator")]
    words = [" ".join((node.text or node.get("term") or "").split()) for node in item if local(node) == "category"]
    return {
        "author": ", ".join(dict.fromkeys(author for author in authors if author)),
        "created": _date(item, _PUBLISHED),
        "modified": _date(item, _UPDATED),
        "keywords": list[MetadataValue](dict.fromkeys(word for word in words if word)),
        "link": _link(item),
    }


def _author(node: "Element") -> str:
    return _first(node, ("name", "email")) if len(node) else " ".join((node.text or "").split())


def _link(item: "Element") -> str:
    """RSS writes the address as text; Atom as an attribute, of several links the one to the page itself."""
    for node in item:
        if local(node) == "link" and node.get("rel") in (None, "alternate"):
            address = (node.text or "").strip() or node.get("href") or ""
            if address:
                return str(address)
    return ""


def _date(item: "Element", names: tuple[str, ...]) -> str:
    """ISO 8601; "" for what is no date."""
    text = _first(item, names)
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(text).isoformat()
    except (ValueError, IndexError, TypeError):
        return ""


def _language(root: "Element", channel: "Element") -> str:
    return _first(channel, ("language",)) or root.get("{http://www.w3.org/XML/1998/namespace}lang") or ""


def _attribute(node: "Element", name: str) -> str:
    return next((str(value) for key, value in node.attrib.items() if str(key).rpartition("}")[2] == name), "")


def _first(node: "Element", names: tuple[str, ...]) -> str:
    """The text of the first child with one of the names, in the order of the names."""
    for name in names:
        for child in node:
            if local(child) == name and (text := " ".join("".join(child.itertext()).split())):
                return text
    return ""
