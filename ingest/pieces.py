"""Blocks become pieces that fit a token budget each: whole blocks, else their sentences or lines, else words, else
clusters of characters."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ingest.languages.clusters import cut
from ingest.languages.sentences import sentences
from ingest.sections import Section, Span
from ingest.types import CountTokens

Joint = Literal["section", "block", "line", "sentence", "word"]
"""What begins with a piece. A cut before a "line", "sentence" or "word" tears a block."""

_LINE = re.compile(r"\S[^\n]*")


@dataclass(frozen=True, slots=True)
class Piece:
    """Text[start:end], which fits the budget of its section."""

    start: int
    end: int
    tokens: int  # without the special ones
    section: int  # number of its section
    joint: Joint


@dataclass(frozen=True, slots=True)
class Part:
    """What may become a piece once its tokens are counted."""

    span: Span
    section: int
    joint: Joint
    language: str  # of its sentences


def parts(text: str, found: Sequence[Section], longest: int, language: str) -> list[list[Part]]:
    """The blocks of all sections in order, each as a list of one part; one of more than `longest` characters already
    divided, since it will hardly fit, so that its text need not be counted twice."""
    groups = []
    for number, section in enumerate(found):
        for index, span in enumerate(section.body):
            whole = Part(span, number, "block" if index else "section", language)
            groups.append([whole] if span.end - span.start <= longest else _natural(text, whole))
    return groups


def texts(text: str, groups: Sequence[Sequence[Part]]) -> list[str]:
    """The text of each part, in order."""
    return [text[part.span.start : part.span.end] for group in groups for part in group]


def pieces(
    text: str, groups: Sequence[Sequence[Part]], capacity: Sequence[int], special: int, count_tokens: CountTokens
) -> list[Piece]:
    """The pieces of all parts in order, none over its section's capacity (only a single character may be).

    All that is too long is divided and counted at once, then what still is: the tokenizer is called a few times.
    """
    sizes = iter(count_tokens(texts(text, groups)))
    done: list[Piece] = []
    longer: list[tuple[Part, int]] = []
    for group in groups:
        counted = [(part, max(0, next(sizes) - special)) for part in group]
        first, last, total = group[0], group[-1], sum(size for _, size in counted)
        if total <= capacity[first.section]:
            done.append(Piece(first.span.start, last.span.end, total, first.section, first.joint))
        else:
            longer.extend(counted)
    while longer:
        divided: list[Part] = []
        for part, size in longer:
            if size <= capacity[part.section] or part.span.end - part.span.start < 2:
                done.append(Piece(part.span.start, part.span.end, size, part.section, part.joint))
            else:
                divided.extend(_divided(text, part, size, capacity[part.section]))
        counts = count_tokens(texts(text, [divided])) if divided else []
        longer = [(part, max(0, size - special)) for part, size in zip(divided, counts, strict=True)]
    return sorted(done, key=lambda piece: piece.start)


def _divided(text: str, part: Part, size: int, capacity: int) -> list[Part]:
    """Its lines or sentences; else even stretches, cut at a blank where one is near, else where nothing is torn."""
    natural = _natural(text, part)
    if len(natural) > 1:
        return natural
    span = part.span
    count = max(2, -(-size * 11 // (capacity * 10)))
    step = max(1, (span.end - span.start) // count)
    edges = [span.start]
    while span.end - edges[-1] > step:
        stop = edges[-1] + step
        blank = max(text.rfind(" ", edges[-1] + step // 2, stop), text.rfind("\n", edges[-1] + step // 2, stop))
        edges.append(blank + 1 if blank > edges[-1] else cut(text, edges[-1] + step // 2, stop, span.end))
    return _trimmed(text, part, [*pairwise(edges), (edges[-1], span.end)], "word")


def _natural(text: str, part: Part) -> list[Part]:
    """Its sentences if it is prose; its lines otherwise, the sentences of a single line."""
    span = part.span
    if span.kind not in ("paragraph", "heading"):
        lines = [match.span() for match in _LINE.finditer(text, span.start, span.end)]
        if len(lines) > 1:
            return _trimmed(text, part, lines, "line")
    found = sentences(text[span.start : span.end], part.language)
    return _trimmed(text, part, [(span.start + start, span.start + end) for start, end in found], "sentence")


def _trimmed(text: str, part: Part, found: Sequence[tuple[int, int]], joint: Joint) -> list[Part]:
    """The stretches as parts, without blanks around them; the first one begins what the whole began."""
    inner: list[Part] = []
    for start, end in found:
        piece = text[start:end]
        bare = piece.strip()
        if bare:
            start += len(piece) - len(piece.lstrip())
            span = Span(start, start + len(bare), part.span.kind)
            inner.append(Part(span, part.section, joint if inner else part.joint, part.language))
    return inner
