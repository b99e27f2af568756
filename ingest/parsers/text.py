"""Plain text: paragraphs between blank lines; nothing is taken for a title."""

import re
from collections.abc import Iterator

from ingest.encodings import decode
from ingest.errors import Empty
from ingest.types import Block, Parsed, Source

MEDIA_TYPES = ("text/plain",)
SUFFIXES = (".txt", ".text", ".log")

_BETWEEN = re.compile(r"\n[^\S\n]*\n\s*?(?=[^\S\n]*\S|$)")
_ITEM = re.compile(r"[^\S\n]*(?:[-*+•‣◦]|\d{1,3}[.)])\s")
_INDENTED = re.compile(r"(?:\t| {4})[^\n]*(?:\n+(?:\t| {4})[^\n]*)+")


def parse(source: Source) -> Iterator[Parsed]:
    """One document. Raises Empty, Unsupported (binary data), Damaged (a broken encoding)."""
    text = decode(source.content, source.uri, source.charset).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise Empty(f"{source.uri}: the file has no text; leave it out, or replace it by a version with text")
    yield Parsed([_block(piece) for piece in _BETWEEN.split(text) if piece.strip()])


def _block(text: str) -> Block:
    if _ITEM.match(text):
        return Block("list", text)
    if _INDENTED.fullmatch(text.rstrip("\n")):
        return Block("code", text)
    return Block("paragraph", text)
