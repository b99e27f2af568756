"""reStructuredText: headings, lists, tables, code and the text of directives; nothing is included or executed."""

import re
from collections.abc import Iterator

from ingest.encodings import decode
from ingest.errors import Empty
from ingest.formats import restructured
from ingest.types import MetadataValue, Parsed, Source

MEDIA_TYPES = ("text/x-rst", "text/prs.fallenstein.rst")
SUFFIXES = (".rst", ".rest")

_FIELDS = {"author": "author", "authors": "author", "date": "created", "language": "language", "subject": "subject"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def parse(source: Source) -> Iterator[Parsed]:
    """One document; its title is the first heading of level 1. Raises Empty, Unsupported, Damaged (encoding)."""
    text = decode(source.content, source.uri, source.charset).replace("\r\n", "\n").replace("\r", "\n")
    blocks, fields = restructured.blocks(text.replace("\x00", ""))
    blocks = [block for block in blocks if block.text.strip()]
    if not blocks:
        raise Empty(f"{source.uri}: the file has no text; leave it out, or replace it by a version with text")
    title = next((block.text for block in blocks if block.kind == "heading" and block.level == 1), "")
    about: dict[str, MetadataValue] = {
        key: value
        for name, value in fields.items()
        if value and (key := _FIELDS.get(name)) and (key != "created" or _DATE.fullmatch(value))
    }
    yield Parsed(blocks, title=title, metadata=about)
