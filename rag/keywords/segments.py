"""Some chunks and where their terms stand, as arrays in memory or mapped from disk: never changed, only merged."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rag.keywords.bm25 import Scores, gains
from rag.keywords.vocabulary import Vocabulary
from rag.rankings.arrays import find
from rag.types import Ids

ARRAYS = ("ids", "lengths", "text", "ends", "offsets", "rows", "counts", "tokens")  # one file each
BLOCK = 1 << 20  # postings, or tokens, that a merge holds in memory at a time
Make = Callable[[str, int, DTypeLike], NDArray[np.generic]]
"""An array to be filled: its name, length and type."""
Rows = NDArray[np.int32]
S = TypeVar("S", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Segment:
    """n chunks in the order of their ids, with an inverted file (for scores) and their terms in order (for phrases)."""

    ids: Ids  # (n,), ascending
    lengths: NDArray[np.int32]  # (n,), in terms
    alive: NDArray[np.bool_]  # (n,)
    vocabulary: Vocabulary
    offsets: NDArray[np.int64]  # (terms + 1,): the postings of term t are rows[offsets[t]:offsets[t + 1]]
    rows: Rows  # (postings,), by term, then ascending
    counts: NDArray[np.unsignedinteger]  # (postings,), how often the chunk says the term
    tokens: NDArray[np.int32]  # (sum of lengths,), the terms' numbers chunk by chunk as the text has them
    starts: NDArray[np.int64]  # (n + 1,), where each chunk's tokens begin
    gone: int = 0  # how many rows are not alive
    folder: Path | None = None  # of its files; None when it stands in memory

    def living(self) -> int:
        """How many of its chunks were not removed."""
        return len(self.ids) - self.gone

    def postings(self, term: str) -> tuple[Rows, NDArray[np.unsignedinteger]]:
        """The rows that hold a term, ascending, and how often."""
        number = self.vocabulary.number(term)
        if number is None:
            return self.rows[:0], self.counts[:0]
        held = slice(int(self.offsets[number]), int(self.offsets[number + 1]))
        return self.rows[held], self.counts[held]

    def frequency(self, term: str) -> int:
        """How many living chunks hold a term."""
        if self.gone:
            return int(np.count_nonzero(self.alive[self.postings(term)[0]]))
        number = self.vocabulary.number(term)
        return 0 if number is None else int(self.offsets[number + 1] - self.offsets[number])

    def score(self, weighed: Mapping[str, float], norms: Scores) -> Scores:
        """The score of every row; 0 where it holds no term.  norms (n,) → (n,)"""
        scores = np.zeros(len(self.ids))
        for term, weight in weighed.items():
            rows, counts = self.postings(term)
            at = rows.astype(np.intp)  # twice as fast as adding at narrower ones
            np.add.at(scores, at, gains(weight, counts, norms.take(at)))
        return scores

    def score_rows(self, rows: Rows, weighed: Mapping[str, float], norms: Scores) -> Scores:
        """The scores of some rows, the very same numbers.  rows (m,), norms (n,) → (m,)"""
        scores, below = np.zeros(len(rows)), norms[rows]
        for term, weight in weighed.items():
            held, counts = self.postings(term)
            here, at = find(held, rows)
            scores[here] += gains(weight, counts[at], below[here])
        return scores

    def place(self, ids: Ids) -> tuple[NDArray[np.intp], Rows]:
        """Which of the ids are living chunks of this segment, and their rows.  (m,) → (h,), (h,)"""
        here, rows = find(self.ids, ids)
        alive = self.alive[rows]
        return here[alive], rows[alive].astype(np.int32)

    def holding(self, phrase: Sequence[str], rows: Rows) -> Rows:
        """Those rows whose chunks hold these terms one right after the other.  (m,) → (h,)"""
        numbers = [self.vocabulary.number(term) for term in phrase]
        if None in numbers:
            return rows[:0]
        for held, _ in sorted(map(self.postings, set(phrase)), key=lambda postings: len(postings[0])):
            rows = rows[find(held, rows)[0]] if len(rows) < len(held) else held[find(rows, held)[0]]
        if len(phrase) == 1:
            return rows
        found = [rows[:0]]
        sizes = np.cumsum(self.lengths[rows], dtype=np.int64)
        for block in np.split(
            rows, np.searchsorted(sizes, np.arange(BLOCK, int(sizes[-1]), BLOCK)) if len(rows) else []
        ):
            found.append(block[self._phrase(numbers, block)])
        return np.concatenate(found)

    def _phrase(self, numbers: Sequence[int | None], rows: Rows) -> NDArray[np.bool_]:
        """Whether each row's tokens hold these numbers in a row.  (m,) → (m,)"""
        lengths = self.lengths[rows].astype(np.int64)
        tokens = self.tokens[spans(self.starts[rows], lengths)]
        owner = np.repeat(np.arange(len(rows)), lengths)
        at = np.flatnonzero(tokens == numbers[0])
        at = at[at + len(numbers) <= len(tokens)]
        at = at[owner[at] == owner[at + len(numbers) - 1]]
        for step, number in enumerate(numbers[1:], start=1):
            at = at[tokens[at + step] == number]
        held = np.zeros(len(rows), dtype=bool)
        held[owner[at]] = True
        return held

    def without(self, gone: Ids) -> "Segment":
        """The same chunks less these."""
        rows = find(self.ids, gone)[1]
        if not self.alive[rows].any():
            return self
        alive = self.alive.copy()
        alive[rows] = False
        return replace(self, alive=alive, gone=len(alive) - int(np.count_nonzero(alive)))


def spans(starts: NDArray[np.integer], lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """start, start + 1, … for each span, one after the other.  (n,), (n,) → (sum of lengths,)"""
    before = np.cumsum(lengths) - lengths
    return np.repeat(np.asarray(starts, np.int64) - before, lengths) + np.arange(int(lengths.sum()))


def in_memory(name: str, length: int, kind: DTypeLike) -> NDArray[np.generic]:
    """An array that lives as long as it is used."""
    return np.empty(length, kind)


def built(ids: Ids, tokens: Sequence[Sequence[str]]) -> Segment:
    """A segment of chunks and their terms, in any order."""
    order = np.argsort(ids, kind="stable")
    ordered = [tokens[place] for place in order.tolist()]
    met: defaultdict[str, int] = defaultdict(count().__next__)
    lengths = np.fromiter(map(len, ordered), np.int32, len(ordered))
    total = int(lengths.sum(dtype=np.int64))
    raw = np.fromiter(map(met.__getitem__, chain.from_iterable(ordered)), np.int32, total)
    terms = sorted(met)
    numbers = np.empty(len(met), np.int32)
    numbers[np.fromiter(map(met.__getitem__, terms), np.int64, len(met))] = np.arange(len(met), dtype=np.int32)
    numbered = numbers[raw]
    size = max(len(ids), 1)
    pairs = np.sort(numbered.astype(np.int64) * size + np.repeat(np.arange(len(ids)), lengths))
    first = np.flatnonzero(np.diff(pairs, prepend=-1))
    counts = np.diff(first, append=len(pairs))
    held, rows = np.divmod(pairs[first], size)
    offsets = np.searchsorted(held, np.arange(len(terms) + 1)).astype(np.int64)
    smallest = np.min_scalar_type(int(counts.max(initial=0)))
    return Segment(
        np.asarray(ids, np.int64)[order],
        lengths,
        np.ones(len(ids), dtype=bool),
        Vocabulary.of(terms),
        offsets,
        rows.astype(np.int32),
        counts.astype(smallest),
        numbered,
        _starts(lengths),
    )


def _starts(lengths: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def merge(segments: Sequence[Segment], make: Make = in_memory) -> Segment:
    """One segment with the living chunks of several; its arrays are filled block by block."""
    everyone = np.concatenate([segment.ids[segment.alive] for segment in segments])
    order = np.argsort(everyone, kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    places, before = [], 0  # of each segment's rows among the new rows; -1 for the dead
    for segment in segments:
        place = np.full(len(segment.ids), -1, np.int32)
        place[segment.alive] = rank[before : before + segment.living()]
        before += segment.living()
        places.append(place)
    lengths = np.concatenate([segment.lengths[segment.alive] for segment in segments])[order]
    terms, numbers, frequencies = _union(segments)
    vocabulary, starts, postings = Vocabulary.of(terms), _starts(lengths), int(frequencies.sum())
    widest = np.result_type(*(segment.counts.dtype for segment in segments))
    merged = Segment(
        _filled(make, "ids", everyone[order]),
        _filled(make, "lengths", lengths),
        np.ones(len(order), dtype=bool),
        Vocabulary(_filled(make, "text", vocabulary.text), _filled(make, "ends", vocabulary.ends)),
        _filled(make, "offsets", np.concatenate([[0], np.cumsum(frequencies, dtype=np.int64)])),
        cast(Rows, make("rows", postings, np.int32)),
        cast(NDArray[np.unsignedinteger], make("counts", postings, widest)),
        cast(Rows, make("tokens", int(starts[-1]), np.int32)),
        starts,
    )
    _merge_postings(merged, segments, places, numbers)
    for segment, place, own in zip(segments, places, numbers, strict=True):
        _copy_tokens(merged, segment, place, own)
    return merged


def _union(segments: Sequence[Segment]) -> tuple[list[str], list[NDArray[np.int32]], NDArray[np.int64]]:
    """The terms of living chunks; each segment's numbers among them (-1: none alive); how many chunks hold each."""
    own = [segment.vocabulary.terms() for segment in segments]
    held = []
    for segment in segments:
        if segment.living() == len(segment.ids):
            held.append(np.diff(segment.offsets))
        else:
            alive = np.concatenate([[0], np.cumsum(segment.alive[segment.rows], dtype=np.int64)])
            held.append(np.diff(alive[segment.offsets]))
    terms = sorted(
        {term for each, mine in zip(own, held, strict=True) for term, n in zip(each, mine.tolist(), strict=True) if n}
    )
    known = {term: number for number, term in enumerate(terms)}
    frequencies, numbers = np.zeros(len(terms), np.int64), []
    for each, mine in zip(own, held, strict=True):
        found = np.fromiter((known.get(term, -1) for term in each), np.int32, len(each))
        found[mine == 0] = -1
        frequencies[found[mine > 0]] += mine[mine > 0]
        numbers.append(found)
    return terms, numbers, frequencies


def _merge_postings(
    merged: Segment, segments: Sequence[Segment], places: Sequence[Rows], numbers: Sequence[NDArray[np.int32]]
) -> None:
    lasts = [np.maximum.accumulate(own) if len(own) else own for own in numbers]  # ascending, to be searched
    first, size = 0, max(len(merged.ids), 1)
    while first < len(merged.vocabulary):
        end = int(np.searchsorted(merged.offsets, merged.offsets[first] + BLOCK, side="right")) - 1
        end = min(max(end, first + 1), len(merged.vocabulary))
        keys, counts = [], []
        for segment, place, own, last in zip(segments, places, numbers, lasts, strict=True):
            low, high = (int(at) for at in np.searchsorted(last, (first, end)))
            held = slice(int(segment.offsets[low]), int(segment.offsets[high]))
            rows = place[segment.rows[held]]
            terms = np.repeat(own[low:high], np.diff(segment.offsets[low : high + 1]))
            alive = rows >= 0
            keys.append(terms[alive].astype(np.int64) * size + rows[alive])
            counts.append(segment.counts[held][alive])
        key, tally = np.concatenate(keys), np.concatenate(counts)
        order = np.argsort(key)
        target = slice(int(merged.offsets[first]), int(merged.offsets[end]))
        merged.rows[target] = (key % size)[order]
        merged.counts[target] = tally[order]
        first = end


def _copy_tokens(merged: Segment, segment: Segment, place: Rows, numbers: NDArray[np.int32]) -> None:
    ends = segment.starts[1:]
    first = 0
    while first < len(segment.ids):
        last = max(int(np.searchsorted(ends, segment.starts[first] + BLOCK, side="right")), first + 1)
        rows = np.flatnonzero(segment.alive[first:last]) + first
        lengths = segment.lengths[rows].astype(np.int64)
        tokens = segment.tokens[spans(segment.starts[rows], lengths)]
        merged.tokens[spans(merged.starts[place[rows]], lengths)] = numbers[tokens]
        first = last


def _filled(make: Make, name: str, content: NDArray[S]) -> NDArray[S]:
    array = cast(NDArray[S], make(name, len(content), content.dtype))
    array[:] = content
    return array


# ── on disk ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def into(folder: Path) -> Make:
    """Arrays that are files of this folder, mapped while they are filled."""

    def make(name: str, length: int, kind: DTypeLike) -> NDArray[np.generic]:
        path = folder / f"{name}.npy"
        if not length:  # nothing to map
            np.save(path, np.empty(0, kind))
            return np.empty(0, kind)
        mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(kind), shape=(length,))
        return np.asarray(mapped)

    return make


def mapped(folder: Path) -> Segment:
    """The segment of a folder. Raises OSError or ValueError when it is not there or not whole."""
    ids, lengths = _mapped(folder, "ids", np.int64), _mapped(folder, "lengths", np.int32)
    segment = Segment(
        ids,
        lengths,
        np.ones(len(ids), dtype=bool),
        Vocabulary(_mapped(folder, "text", np.uint8), _mapped(folder, "ends", np.int64)),
        _mapped(folder, "offsets", np.int64),
        _mapped(folder, "rows", np.int32),
        _mapped(folder, "counts", np.unsignedinteger),
        _mapped(folder, "tokens", np.int32),
        _starts(lengths),
        folder=folder,
    )
    if (
        len(lengths) != len(ids)
        or len(segment.offsets) != len(segment.vocabulary) + 1
        or not len(segment.rows) == len(segment.counts) == int(segment.offsets[-1])
        or len(segment.tokens) != int(segment.starts[-1])
    ):
        raise ValueError(f"{folder}: the arrays of the keyword index do not fit together")
    return segment


def _mapped(folder: Path, name: str, kind: type[S]) -> NDArray[S]:
    path = folder / f"{name}.npy"
    try:
        array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except EOFError as error:
        raise ValueError(f"{path} is cut off") from error
    if array.ndim != 1 or not np.issubdtype(array.dtype, kind):
        raise ValueError(f"{path} holds {array.dtype} in {array.ndim} dimensions, not a row of {kind.__name__}")
    return cast(NDArray[S], array)


def copy(source: Path, target: Path) -> None:
    """The files of a segment in another folder; linked, since they never change, where the file system can."""
    for name in ARRAYS:
        try:
            (target / f"{name}.npy").hardlink_to(source / f"{name}.npy")
        except OSError:
            shutil.copyfile(source / f"{name}.npy", target / f"{name}.npy")
