"""A document becomes chunks within a token budget: cut where sections, blocks and sentences end, nothing lost.

How cuts are chosen. The text is a row of pieces: blocks, or the sentences, lines or words of a block that does not fit.
Every way to cut the row has a cost, and the cheapest one is found exactly, by dynamic programming. It costs to leave a
chunk half empty (embedding takes its time, and a chunk of ten words says little), to tear a block, to part an
introduction from its list, and to hold two sections in one chunk. So sections that are long enough stay alone, tiny
neighbours under one parent are packed together, and a section a little too long becomes two even halves, not a full
chunk and a crumb.

What a chunk stands under. Its headings are those common to all of its text. It never takes in text from outside the
section it begins in, unless the heading line of that section is part of it: no heading is ever lost from sight.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ingest.headings import Fitted, embedded_text
from ingest.languages.clusters import cut
from ingest.languages.sentences import sentences
from ingest.pieces import Piece, parts, pieces, texts
from ingest.sections import Section, pages, sections
from ingest.types import Chunk, ChunkSettings, CountTokens, Mark

__all__ = ["MIN_TOKENS", "chunk", "embedded_text"]

LIKELY_TOO_LONG = 3  # characters a token: a block with more of them than this is expected not to fit
MIN_TOKENS = 16  # below this a title, a heading and a word do not fit together

# What a cut costs, in units of the cost of an empty chunk's emptiness.
_CHUNK = 0.3  # a chunk at all
_TORN = {"section": 0.0, "block": 0.0, "line": 0.25, "sentence": 0.3, "word": 3.0}  # a cut before a piece
_INTRODUCTION = 0.3  # a cut behind a colon
_SIBLING = 0.9  # another section in the same chunk
_CHILD = 0.7  # … that is a part of the one before

_Cut = tuple[int, int, int]  # first piece, piece after the last, how many headings are common


def chunk(
    text: str,
    outline: Sequence[Mark],
    title: str,
    settings: ChunkSettings,
    count_tokens: CountTokens,
    language: str = "en",
) -> list[Chunk]:
    """Cut a normalised text, in order. [] for a blank one. `language` says how its sentences end; see sentences.

    For every chunk, `count_tokens([embedded_text(title, chunk.headings, chunk.text)])[0] <= settings.max_tokens`, and
    `chunk.text == text[chunk.start:chunk.end]` without blanks around it. Every character that is neither blank nor part
    of a heading line is in a chunk; a heading line is in a chunk, or in the path of one (where a path takes more than a
    quarter of the budget its outermost headings are left out of `headings`). The same input gives the same chunks.
    `count_tokens` is called a handful of times, with all there is to count.
    Raises ValueError when max_tokens is below MIN_TOKENS or the overlap is over half of it.
    """
    limit, overlap = settings.max_tokens, settings.overlap_tokens
    if limit < MIN_TOKENS:
        raise ValueError(f"max_tokens is {limit}; a chunk needs at least {MIN_TOKENS}")
    if not 0 <= overlap <= limit // 2:
        raise ValueError(f"overlap_tokens is {overlap}; it must be from 0 to half of max_tokens, {limit // 2}")
    found = sections(text, outline)
    if not found:
        return []
    paths = [section.path[:depth] for section in found for depth in range(len(section.path) + 1)]
    leads = [text[line.start : line.end] for section in found for line in section.lead]
    groups = parts(text, found, LIKELY_TOO_LONG * limit, language)
    count = Remembered(count_tokens)
    count(["", *(embedded_text(title, path, "") for path in paths), *leads, *texts(text, groups)])  # all in one call
    special = count([""])[0]
    fitted = Fitted(title, paths, limit // 4, special, count)
    room = limit - special - overlap
    row = pieces(text, groups, [max(1, room - fitted.tokens(s.path)) for s in found], special, count)
    sizes = iter(count(leads))
    lead = [[max(0, next(sizes) - special) for _ in section.lead] for section in found]
    cuts = _cheapest(text, row, found, lead, fitted, room)
    chunks = _within(_assembled(text, row, found, cuts, fitted), title, limit, count_tokens)
    if overlap:
        chunks = _overlapping(text, chunks, found, title, settings, count, language)
    return _paged(chunks, outline)


class Remembered:
    """A counter that counts no text twice. One for each document: it keeps all it was given."""

    def __init__(self, count_tokens: CountTokens) -> None:
        self._count_tokens = count_tokens
        self._known: dict[str, int] = {}

    def __call__(self, texts: Sequence[str]) -> list[int]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._count_tokens(new), strict=True))
        return [self._known[text] for text in texts]


def _cheapest(
    text: str,
    row: Sequence[Piece],
    found: Sequence[Section],
    lead: Sequence[Sequence[int]],
    fitted: Fitted,
    room: int,
) -> list[_Cut]:
    """The cuts of least cost; of equal ones, the one with the shorter last chunk."""
    best = [float("inf")] * (len(row) + 1)
    best[0] = 0.0
    back: list[_Cut] = [(0, 0, 0)] * (len(row) + 1)
    after = [_after(text, row, number) for number in range(len(row))]
    tokens = [piece.tokens for piece in row]
    opens = [piece.joint == "section" for piece in row]
    unfilled = [(1 - total / room) ** 2 for total in range(room + 1)]
    for first, piece in enumerate(row):
        path = found[piece.section].path
        known = len(path) - (len(lead[piece.section]) if opens[first] else 0)
        common, size, crossed, start = len(path), 0, 0.0, best[first] + _CHUNK
        above = fitted.tokens(path)  # tokens of the headings: those that are common, and the others in the text
        for last in range(first, len(row)):
            if last > first and opens[last]:
                previous, section = found[row[last - 1].section].path, found[row[last].section].path
                common = _common(path[:common], section)
                if common < known:
                    break
                crossed += _CHILD if section[: len(previous)] == previous else _SIBLING
                size += sum(lead[row[last].section])
                shown = sum(lead[piece.section][-(len(path) - common) :]) if common < len(path) else 0
                above = shown + fitted.tokens(path[:common])
            size += tokens[last]
            total = size + above
            if total > room:
                if last > first:
                    break
                total = room
            cost = start + unfilled[total] + crossed + after[last]
            if cost <= best[last + 1]:
                best[last + 1], back[last + 1] = cost, (first, last + 1, common)
    cuts: list[_Cut] = []
    end = len(row)
    while end:
        cuts.append(back[end])
        end = back[end][0]
    return cuts[::-1]


def _after(text: str, row: Sequence[Piece], number: int) -> float:
    """What it costs to cut behind a piece."""
    if number + 1 == len(row) or row[number + 1].joint == "section":
        return 0.0
    return _TORN[row[number + 1].joint] + (_INTRODUCTION if text[row[number].end - 1] == ":" else 0.0)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many headings two paths share from the outermost on."""
    for depth, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return depth
    return min(len(one), len(other))


def _assembled(
    text: str,
    row: Sequence[Piece],
    found: Sequence[Section],
    cuts: Sequence[_Cut],
    fitted: Fitted,
) -> list[Chunk]:
    chunks = []
    for ordinal, (first, after, common) in enumerate(cuts):
        section = found[row[first].section]
        shown = len(section.path) - common  # headings of the first section that are not common: they go into the text
        start, end = section.lead[-shown].start if shown else row[first].start, row[after - 1].end
        headings = fitted.headings(section.path[:common])
        chunks.append(Chunk(ordinal, start, end, text[start:end], headings, page=None))
    return chunks


def _paged(chunks: Sequence[Chunk], outline: Sequence[Mark]) -> list[Chunk]:
    offsets, numbers = pages(outline)
    if not offsets:
        return list(chunks)
    places = [bisect_right(offsets, one.start) for one in chunks]
    return [replace(one, page=numbers[at - 1] if at else None) for one, at in zip(chunks, places, strict=True)]


def _overlapping(
    text: str,
    chunks: Sequence[Chunk],
    found: Sequence[Section],
    title: str,
    settings: ChunkSettings,
    count: "Remembered",
    language: str,
) -> list[Chunk]:
    """The chunks with the last sentences of the chunk before in front, where both hold text of one section."""
    special = count([""])[0]
    begins = [(section.lead or section.body)[0].start for section in found]
    spans: list[list[tuple[int, int]]] = [[]]
    for before, after in pairwise(chunks):
        body = found[bisect_right(begins, after.start) - 1].body[0].start
        low = max(body, before.start)
        inside = sentences(text[low : before.end], language) if low < before.end and body < after.start else []
        taken = [(low + start, low + end) for start, end in inside]
        spans.append([span for span in taken if span[0] > before.start])  # never the whole chunk before
    sizes = iter(count([text[start:end] for taken in spans for start, end in taken]))
    longer = []
    for one, taken in zip(chunks, spans, strict=True):
        counted = [(start, max(0, next(sizes) - special)) for start, _ in taken]
        start, left = one.start, settings.overlap_tokens
        for earlier, size in reversed(counted):
            left -= size
            if left < 0:
                break
            start = earlier
        longer.append(replace(one, start=start, text=text[start : one.end]))
    totals = count([embedded_text(title, one.headings, one.text) for one in longer])
    return [
        one if total <= settings.max_tokens else plain for plain, one, total in zip(chunks, longer, totals, strict=True)
    ]


def _within(chunks: Sequence[Chunk], title: str, limit: int, count_tokens: CountTokens) -> list[Chunk]:
    """The chunks, counted whole; one that is over the limit after all is halved.

    Sizes of parts add up for WordPiece; other tokenizers may need a token more for the whole than for its parts.
    """
    while True:
        sizes = count_tokens([embedded_text(title, one.headings, one.text) for one in chunks])
        if all(size <= limit for size in sizes):
            return [replace(one, ordinal=number) for number, one in enumerate(chunks)]
        chunks = [part for one, size in zip(chunks, sizes, strict=True) for part in _halved(one, size > limit)]


def _halved(one: Chunk, too_long: bool) -> list[Chunk]:
    if not too_long:
        return [one]
    if len(one.text) < 2:
        raise ValueError(f"max_tokens is too small: {one.text!r} under {one.headings} does not fit")
    middle = len(one.text) // 2
    blank = max(one.text.rfind(" ", 1, middle), one.text.rfind("\n", 1, middle))
    middle = blank if blank > middle // 2 else cut(one.text, 0, middle, len(one.text))
    parts = []
    for start, end in ((0, middle), (middle, len(one.text))):
        piece = one.text[start:end]
        begin = one.start + start + len(piece) - len(piece.lstrip())
        bare = piece.strip()
        if bare:
            parts.append(replace(one, start=begin, end=begin + len(bare), text=bare))
    return parts
