"""Source code: one document without headings, torn where its top-level definitions begin; its language is metadata."""

import re
from collections.abc import Iterator

from ingest.encodings import decode
from ingest.errors import Empty
from ingest.formats.programming_languages import BY_MEDIA_TYPE, BY_SUFFIX
from ingest.types import Block, Parsed, Source

MEDIA_TYPES = tuple(BY_MEDIA_TYPE)
SUFFIXES = tuple(BY_SUFFIX)

_LONG = 3_000  # characters: what is longer is torn at inner definitions too
_CLOSING = re.compile(r"[)\]}>]|\*/|--\]\]|(?:end|else|elif|except|finally|catch)\b(?!\s*[=.\[])")
_INDENT = re.compile(r"[ \t]*")


def parse(source: Source) -> Iterator[Parsed]:
    """One document. Raises Empty, Unsupported (binary data), Damaged (a broken encoding)."""
    text = decode(source.content, source.uri, source.charset).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise Empty(f"{source.uri}: the file has no text; leave it out, or replace it by a version with text")
    yield Parsed(
        [Block("code", piece) for piece in pieces(text)],
        metadata={"programming_language": BY_MEDIA_TYPE[source.media_type]},
    )


def pieces(text: str) -> list[str]:
    """The code in order, torn at blank lines before its outermost definitions; long ones at those within them."""
    return [piece for outer in _torn(text.split("\n"), 0) for piece in outer]


def _torn(lines: list[str], depth: int) -> list[list[str]]:
    """The pieces of some lines, in groups that begin at the least indented lines behind a blank one."""
    starts = _starts(lines)
    if not starts:
        return [["\n".join(lines)]]
    found: list[list[str]] = []
    for begin, end in zip([0, *starts], [*starts, len(lines)], strict=True):
        piece = "\n".join(lines[begin:end]).strip("\n")
        if not piece.strip():
            continue
        if len(piece) > _LONG and depth < 3 and end - begin > 1:
            head, *rest = piece.split("\n")
            inner = [one for group in _torn(rest, depth + 1) for one in group]
            found.append([f"{head}\n{inner[0]}", *inner[1:]] if inner else [piece])
        else:
            found.append([piece])
    return found


def _starts(lines: list[str]) -> list[int]:
    """The lines behind a blank one that are indented least of these, without those that only close something."""
    behind = [
        number
        for number in range(1, len(lines))
        if lines[number].strip() and not lines[number - 1].strip() and not _CLOSING.match(lines[number].lstrip())
    ]
    if not behind:
        return []
    widths = {number: len(_INDENT.match(lines[number])[0].expandtabs(4)) for number in behind}  # type: ignore[index]
    least = min(widths.values())
    return [number for number in behind if widths[number] == least]
