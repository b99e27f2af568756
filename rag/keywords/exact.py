"""Exact BM25 in memory: the reference for every other backend, and the tail of chunks newer than the main index."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rag.keywords.bm25 import Scores, Statistics, accept, norms, ranking, weights
from rag.types import Bitmap, Ids, Permitted, Ranking

LENGTHS: Literal["exact", "byte"] = "exact"
ARRAYS = ("ids", "lengths", "offsets", "rows", "counts")  # of a segment, one file each


@dataclass(frozen=True, slots=True)
class Segment:
    """Some chunks and their postings, never changed."""

    ids: Ids  # (n,)
    lengths: NDArray[np.int64]  # (n,), in terms
    alive: NDArray[np.bool_]  # (n,)
    vocabulary: dict[str, int]  # term → its number t
    offsets: NDArray[np.int64]  # (terms + 1,): the postings of t are rows[offsets[t]:offsets[t + 1]]
    rows: NDArray[np.int32]  # (postings,), by term, then ascending
    counts: NDArray[np.int32]  # (postings,), how often the chunk says the term

    def postings(self, term: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The rows that hold a term, and how often."""
        number = self.vocabulary.get(term)
        if number is None:
            return self.rows[:0], self.counts[:0]
        held = slice(self.offsets[number], self.offsets[number + 1])
        return self.rows[held], self.counts[held]

    def score(self, query: Sequence[tuple[str, float]], statistics: Statistics) -> tuple[Scores, NDArray[np.bool_]]:
        """The score of every row and whether it holds any term.  → (n,), (n,)"""
        scores, holds = np.zeros(len(self.ids)), np.zeros(len(self.ids), dtype=bool)
        norm = norms(self.lengths, statistics)
        for term, weight in query:
            rows, counts = self.postings(term)
            scores[rows] += weight * counts / (counts + norm[rows])
            holds[rows] = True
        return scores, holds


def _segment(ids: Ids, tokens: Sequence[Sequence[str]]) -> Segment:
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    lengths = np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens))
    terms = np.fromiter((numbers[term] for chunk in tokens for term in chunk), dtype=np.int64, count=lengths.sum())
    rows = np.repeat(np.arange(len(ids)), lengths)
    return _assemble(ids, lengths, dict(numbers), terms, rows, np.ones(len(terms), dtype=np.int64))


def _assemble(
    ids: Ids, lengths: NDArray[np.int64], vocabulary: dict[str, int], terms: Ids, rows: Ids, counts: Ids
) -> Segment:
    """A segment from loose postings (p,): equal (term, row) pairs are added up."""
    pairs, inverse = np.unique(terms * max(len(ids), 1) + rows, return_inverse=True)
    totals = np.bincount(inverse, weights=counts, minlength=len(pairs)).astype(np.int32)
    held, at = np.divmod(pairs, max(len(ids), 1))
    offsets = np.searchsorted(held, np.arange(len(vocabulary) + 1))
    return Segment(ids, lengths, np.ones(len(ids), dtype=bool), vocabulary, offsets, at.astype(np.int32), totals)


def _merge(segments: Sequence[Segment]) -> Segment:
    """One segment with the living chunks of several."""
    vocabulary: dict[str, int] = {}
    terms, rows, counts = [], [], []
    before = 0
    for segment in segments:
        numbers = np.array(
            [vocabulary.setdefault(term, len(vocabulary)) for term in segment.vocabulary], dtype=np.int64
        )
        keep = segment.alive[segment.rows]
        places = np.cumsum(segment.alive) - 1 + before
        terms.append(np.repeat(numbers, np.diff(segment.offsets))[keep])
        rows.append(places[segment.rows][keep])
        counts.append(segment.counts[keep])
        before += int(segment.alive.sum())
    ids = np.concatenate([segment.ids[segment.alive] for segment in segments])
    lengths = np.concatenate([segment.lengths[segment.alive] for segment in segments])
    return _assemble(ids, lengths, vocabulary, np.concatenate(terms), np.concatenate(rows), np.concatenate(counts))


class ExactKeywords:
    """BM25 over segments that are never changed, merged so that each is at least twice the next. `apply` puts a new
    tuple of segments in place of the old one."""

    def __init__(self, position: int = 0, segments: tuple[Segment, ...] = ()) -> None:
        self._state = (position, segments)  # one attribute, so that a search sees all of a change or none

    @property
    def position(self) -> int:
        return self._state[0]

    def __len__(self) -> int:
        return sum(int(segment.alive.sum()) for segment in self._state[1])

    def ids(self) -> Ids:
        held = [segment.ids[segment.alive] for segment in self._state[1]]
        return np.sort(np.concatenate(held)) if held else np.empty(0, np.int64)

    def copy(self) -> "ExactKeywords":
        """An index of its own with the same content; costs nothing."""
        return ExactKeywords(*self._state)

    def apply(self, ids: Ids, tokens: Sequence[Sequence[str]], removed: Ids, upto: int) -> None:
        ids, removed = accept(ids, tokens, removed)
        gone = np.concatenate([removed, ids])
        segments = [_without(segment, gone) for segment in self._state[1]]
        if len(ids):
            segments.append(_segment(ids, tokens))
        while len(segments) > 1 and 2 * len(segments[-1].ids) >= len(segments[-2].ids):
            segments[-2:] = [_merge(segments[-2:])]
        self._state = (upto, tuple(segment for segment in segments if segment.alive.any()))

    def statistics(self) -> Statistics:
        """Of the living chunks, with exact lengths."""
        segments = self._state[1]
        documents = sum(int(segment.alive.sum()) for segment in segments)
        terms = sum(int(segment.lengths[segment.alive].sum()) for segment in segments)

        def frequency(term: str) -> int:
            return sum(int(segment.alive[segment.postings(term)[0]].sum()) for segment in segments)

        return Statistics(documents, terms / documents if documents else 0.0, frequency, "exact")

    def search(
        self, queries: Sequence[Sequence[str]], k: int, permitted: Permitted, statistics: Statistics | None = None
    ) -> list[Ranking]:
        segments = self._state[1]
        statistics = statistics or self.statistics()
        bitmap = permitted.bitmap()
        return [_search(segments, query, k, bitmap, statistics) for query in queries]

    def dead(self) -> float:
        return 0.0  # removed chunks leave the statistics at once

    def save(self, folder: Path) -> None:
        position, segments = self._state
        merged = _merge(segments) if segments else _segment(np.empty(0, np.int64), [])
        (folder / "vocabulary.txt").write_text("\n".join(merged.vocabulary), encoding="utf-8", newline="\n")
        (folder / "state.json").write_text(json.dumps({"position": position}), encoding="utf-8")
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(merged, name))


def _without(segment: Segment, gone: Ids) -> Segment:
    dies = np.isin(segment.ids, gone)
    return replace(segment, alive=segment.alive & ~dies) if dies.any() else segment


def _search(
    segments: Sequence[Segment], query: Sequence[str], k: int, bitmap: Bitmap, statistics: Statistics
) -> Ranking:
    weighed = weights(query, statistics)
    ids, scores = [np.empty(0, np.int64)], [np.empty(0)]
    for segment in segments:
        rough, holds = segment.score(weighed, statistics)
        found = np.flatnonzero(holds & segment.alive)
        found = found[bitmap.mask(segment.ids[found])]
        ids.append(segment.ids[found])
        scores.append(rough[found])
    return ranking(np.concatenate(ids), np.concatenate(scores), max(k, 0))


def new(folder: Path) -> ExactKeywords:
    """An empty index; nothing is written before `save`."""
    return ExactKeywords()


def open(folder: Path) -> ExactKeywords:
    """What `save` wrote. Raises OSError or ValueError when it is not there or not whole."""
    text = (folder / "vocabulary.txt").read_text(encoding="utf-8")
    vocabulary = {term: number for number, term in enumerate(text.split("\n") if text else ())}
    position = int(json.loads((folder / "state.json").read_text(encoding="utf-8"))["position"])
    try:
        ids, lengths, offsets, rows, counts = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ARRAYS)
    except EOFError as error:
        raise ValueError(f"{folder}: an array is cut off") from error
    if len(offsets) != len(vocabulary) + 1:
        raise ValueError(f"{folder}: {len(vocabulary)} terms but postings of {len(offsets) - 1}")
    segment = Segment(ids, lengths, np.ones(len(ids), dtype=bool), vocabulary, offsets, rows, counts)
    return ExactKeywords(position, (segment,) if len(ids) else ())
