"""A text and its outline become sections: the headings they stand under and the spans of the blocks they hold."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from ingest.types import BlockKind, Mark

LONGEST_HEADING = 200  # characters; what is longer was set as a heading by mistake and is read as a paragraph

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")


@dataclass(frozen=True, slots=True)
class Span:
    """Text[start:end] without blanks around it."""

    start: int
    end: int
    kind: BlockKind


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under one heading path, up to the next heading.

    `lead` are the heading lines that stand directly before the first block: the innermost ones of `path`, each of which
    has no block of its own but the last. A heading under which nothing stands is a block of its parent's section.
    """

    path: tuple[str, ...]  # outermost first
    lead: tuple[Span, ...]
    body: tuple[Span, ...]  # never empty


def sections(text: str, outline: Sequence[Mark]) -> list[Section]:
    """The sections of a text in order. Every character that is not blank is in one block or one lead."""
    found: list[Section] = []
    path: list[tuple[int, str]] = []  # level and text
    lead: list[Span] = []
    body: list[Span] = []

    def close(level: int) -> None:
        """Write down what stands before a heading of this level."""
        names = tuple(name for _, name in path)
        if body:
            found.append(Section(names, tuple(lead), tuple(body)))
        elif lead and path[-1][0] >= level:
            found.append(Section(names[:-1], tuple(lead[:-1]), (lead[-1],)))
        else:
            return
        lead.clear()
        body.clear()

    for level, name, span in _blocks(text, outline):
        if not level:
            body.append(span)
            continue
        close(level)
        while path and path[-1][0] >= level:
            path.pop()
        path.append((level, name))
        lead.append(span)
    close(0)
    return found


def pages(outline: Sequence[Mark]) -> tuple[list[int], list[int]]:
    """Where each page begins, and its number; both ascending by offset."""
    marks = sorted((mark for mark in outline if mark.kind == "page" and mark.value.isdigit()), key=lambda m: m.offset)
    return [mark.offset for mark in marks], [int(mark.value) for mark in marks]


def _blocks(text: str, outline: Sequence[Mark]) -> Iterator[tuple[int, str, Span]]:
    """(level, heading, span) of each block in order, level 0 for all but headings."""
    marks = sorted((mark for mark in outline if mark.kind != "page"), key=lambda mark: mark.offset)
    first = marks[0].offset if marks else len(text)
    yield from ((0, "", span) for span in _paragraphs(text, 0, first))
    for mark, following in zip_longest(marks, marks[1:]):
        end = following.offset if following else len(text)
        if mark.kind == "heading":
            name = mark.value
            if 0 < len(name) <= LONGEST_HEADING and name.strip() and text.startswith(name, mark.offset):
                yield max(mark.level, 1), " ".join(name.split()), _trimmed(text, mark.offset, mark.offset + len(name))
                yield from ((0, "", span) for span in _paragraphs(text, mark.offset + len(name), end))
            else:
                yield from ((0, "", span) for span in _paragraphs(text, mark.offset, end))
        elif mark.kind != "page" and text[mark.offset : end].strip():
            yield 0, "", _trimmed(text, mark.offset, end, mark.kind)


def _paragraphs(text: str, start: int, end: int) -> Iterator[Span]:
    """The pieces of text[start:end] between blank lines."""
    for gap in _BLANK_LINES.finditer(text, start, end):
        if text[start : gap.start()].strip():
            yield _trimmed(text, start, gap.start())
        start = gap.end()
    if text[start:end].strip():
        yield _trimmed(text, start, end)


def _trimmed(text: str, start: int, end: int, kind: BlockKind = "paragraph") -> Span:
    piece = text[start:end]
    return Span(start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip()), kind)
