"""AsciiDoc: headings, lists, tables, code and attributes; nothing is included or executed."""

import re
from collections.abc import Iterator

from ingest.encodings import decode
from ingest.errors import Empty
from ingest.formats import asciidoc_text
from ingest.types import MetadataValue, Parsed, Source

MEDIA_TYPES = ("text/asciidoc", "text/x-asciidoc")
SUFFIXES = (".asciidoc", ".adoc")

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def parse(source: Source) -> Iterator[Parsed]:
    """One document; its title is the first heading of level 1. Raises Empty, Unsupported, Damaged (encoding)."""
    text = decode(source.content, source.uri, source.charset).replace("\r\n", "\n").replace("\r", "\n")
    blocks, attributes = asciidoc_text.blocks(text.replace("\x00", ""), source.uri)
    if not blocks:
        raise Empty(f"{source.uri}: the file has no text; leave it out, or replace it by a version with text")
    title = next((block.text for block in blocks if block.kind == "heading" and block.level == 1), "")
    yield Parsed(blocks, title=title, metadata=_metadata(attributes))


def _metadata(attributes: dict[str, str]) -> dict[str, MetadataValue]:
    found: dict[str, MetadataValue] = {
        name: attributes[key]
        for key, name in (("author", "author"), ("lang", "language"), ("subject", "subject"))
        if attributes.get(key)
    }
    date = _DATE.match(attributes.get("revdate", ""))
    if date:
        found["created"] = date[0]
    keywords = [word.strip() for word in attributes.get("keywords", "").split(",") if word.strip()]
    return found | {"keywords": list[MetadataValue](keywords)} if keywords else found
