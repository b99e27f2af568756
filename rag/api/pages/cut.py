"""A document's text as it was cut: stretches between the borders of its chunks, with some words marked. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rag.store.documents import StoredChunk

WINDOW = 12_000  # characters on one page of a document, about
BEFORE = 2_500  # of these at most before what is marked


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some text between two borders."""

    text: str
    begins: StoredChunk | None  # the chunk that begins with it
    shared: bool  # two chunks hold it: they overlap
    marked: bool


@dataclass(frozen=True, slots=True)
class View:
    """A part of a text, with where the parts beside it begin."""

    stretches: tuple[Stretch, ...]
    start: int
    end: int
    before: int | None  # where the part before begins; None at the beginning
    behind: int | None  # None at the end


def view(text: str, chunks: Sequence[StoredChunk], start: int, mark: tuple[int, int] | None = None) -> View:
    """The text from `start` on, about WINDOW characters, cut at the borders of its chunks; with a mark, the part around
    it. A mark that does not lie in the text marks nothing."""
    if mark is not None and not 0 <= mark[0] < mark[1] <= len(text):
        mark = None
    begin = _border(chunks, mark[0] - BEFORE) if mark is not None else _border(chunks, start)
    end = len(text) if begin + WINDOW * 5 // 4 >= len(text) else max(_border(chunks, begin + WINDOW), begin + 1)
    if mark is not None:
        end = max(end, mark[1])
    if begin >= len(text):
        begin = 0
    cuts = {begin, end, *(edge for chunk in chunks for edge in (chunk.start, chunk.end)), *(mark or ())}
    edges = sorted(edge for edge in cuts if begin <= edge <= end)
    starting = {chunk.start: chunk for chunk in reversed(chunks)}
    stretches = tuple(
        Stretch(
            text[low:high],
            starting.get(low),
            sum(chunk.start <= low and high <= chunk.end for chunk in _near(chunks, low, high)) > 1,
            mark is not None and mark[0] <= low and high <= mark[1],
        )
        for low, high in pairwise(edges)
    )
    before = _border(chunks, max(begin - WINDOW, 0)) if begin else None
    return View(stretches, begin, end, before, end if end < len(text) else None)


def _border(chunks: Sequence[StoredChunk], at: int) -> int:
    """The last beginning of a chunk at or before this place."""
    return max((chunk.start for chunk in chunks if chunk.start <= at), default=0)


def _near(chunks: Sequence[StoredChunk], low: int, high: int) -> Sequence[StoredChunk]:
    return [chunk for chunk in chunks if chunk.start < high and chunk.end > low]
