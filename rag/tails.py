"""A snapshot of an index and an exact tail of newer changes, searched as one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rag.keywords import ScoredIndex
from rag.keywords.bm25 import Statistics, ranking
from rag.keywords.exact import ExactKeywords
from rag.types import Bitmap, ChangeBatch, Hit, Ids, Part, Permitted, Ranking, Vectors
from rag.vectors import StoredVectors
from rag.vectors.exact import ExactVectors

NONE: Ids = np.empty(0, np.int64)
ChunkTerms = Callable[[str, str], Sequence[str]]
"""The terms of a chunk, by its text and its language."""


@dataclass(frozen=True, slots=True)
class Only:
    """A permitted set that is known already."""

    position: int
    _bitmap: Bitmap

    def bitmap(self) -> Bitmap:
        return self._bitmap


class Without:
    """The permitted chunks less those removed since the snapshot; the last answer is kept, as indexes expect."""

    def __init__(self, removed: Ids) -> None:
        self._removed = removed
        self._last: tuple[Bitmap, Bitmap] | None = None

    def of(self, permitted: Permitted) -> Only:
        """The same set without the removed chunks."""
        bitmap = permitted.bitmap()
        last = self._last
        if last is None or last[0] is not bitmap:
            last = (bitmap, self._less(bitmap))
            self._last = last
        return Only(permitted.position, last[1])

    def _less(self, bitmap: Bitmap) -> Bitmap:
        gone = self._removed[bitmap.mask(self._removed)]
        if not len(gone):
            return bitmap
        bits = bitmap.bits.copy()
        np.bitwise_and.at(bits, gone >> 3, ~(np.uint8(1) << (gone & 7).astype(np.uint8)))
        return Bitmap(bits)


def _nearest(hits: Ranking, k: int) -> Ranking:
    best = sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))[:k]
    return [Hit(hit.chunk_id, hit.score, {"dense": Part(place, hit.score)}) for place, hit in enumerate(best, start=1)]


def _ranked(hits: Ranking, k: int) -> Ranking:
    return ranking(np.array([hit.chunk_id for hit in hits]), np.array([hit.score for hit in hits]), k)


class FollowedVectors:
    """A vector index at a later position than its snapshot. Never changed; `extended` gives the next one."""

    def __init__(self, main: StoredVectors | None, tail: ExactVectors, removed: Ids, position: int) -> None:
        self._main, self._tail, self._removed = main, tail, removed
        self._without = Without(removed)
        self.position = position

    def __len__(self) -> int:
        return len(self.ids())

    def ids(self) -> Ids:
        return _held(self._main.ids() if self._main else None, self._removed, self._tail.ids())

    @property
    def tail(self) -> int:
        """How many chunks came or went since the snapshot."""
        return len(self._tail) + len(self._removed)

    def search(self, queries: Vectors, k: int, permitted: Permitted) -> list[Ranking]:
        """As VectorIndex says."""
        tails = self._tail.search(queries, k, permitted)
        if self._main is None:
            return tails
        mains = self._main.search(queries, k, self._without.of(permitted))
        return [_nearest([*main, *tail], k) if tail else main for main, tail in zip(mains, tails, strict=True)]

    def rows(self, ids: Sequence[int]) -> Vectors:
        """The vectors (n, d) of chunks, in the order of their ids. Raises KeyError for one that is not held."""
        wanted = np.asarray(ids, dtype=np.int64)
        found = np.empty((len(wanted), self._tail.rows().shape[1]), np.float32)
        todo = np.ones(len(wanted), dtype=bool)
        for index in (self._tail, self._main):
            if index is not None and len(index):
                held = index.ids()
                at = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
                here = todo & (held[at] == wanted)
                found[here] = index.rows()[at[here]]
                todo &= ~here
        if todo.any():
            raise KeyError(f"chunk {wanted[todo][0]} has no vector at position {self.position}")
        return found

    def extended(self, batches: Iterable[ChangeBatch], upto: int) -> "FollowedVectors":
        """The same index with these changes, standing at `upto`."""
        collected = list(batches)
        tail = self._tail.copy()
        if collected:
            added = np.concatenate([batch.ids for batch in collected])
            gone = np.concatenate([batch.removed for batch in collected])
            tail.apply(added, np.concatenate([batch.vectors for batch in collected]), gone, upto)
        return FollowedVectors(self._main, tail, _removed(self._removed, collected), upto)


class FollowedKeywords:
    """A keyword index at a later position than its snapshot. Never changed; `extended` gives the next one.

    Both halves weigh a term by its frequency in both, and lengths by the snapshot's average, in the snapshot's
    precision: a chunk scores the same in either half.
    """

    def __init__(
        self, main: ScoredIndex | None, tail: ExactKeywords, removed: Ids, settings: "KeywordSettings"
    ) -> None:
        self._main, self._tail, self._removed, self._settings = main, tail, removed, settings
        self._without = Without(removed)
        self.position = tail.position
        self._statistics = self._combined()

    def _combined(self) -> Statistics:
        tail = replace(self._tail.statistics(), lengths=self._settings.lengths)
        if self._main is None:
            return tail
        main = self._main.statistics()
        if not main.documents:
            return tail
        return replace(
            main,
            documents=main.documents + tail.documents,
            average_length=main.average_length or tail.average_length,
            frequency=lambda term: main.frequency(term) + tail.frequency(term),
        )

    def __len__(self) -> int:
        return len(self.ids())

    def ids(self) -> Ids:
        return _held(self._main.ids() if self._main else None, self._removed, self._tail.ids())

    @property
    def tail(self) -> int:
        """How many chunks came or went since the snapshot."""
        return len(self._tail) + len(self._removed)

    def statistics(self) -> Statistics:
        """What terms weigh in both halves."""
        return self._statistics

    def search(self, queries: Sequence[Sequence[str]], k: int, permitted: Permitted) -> list[Ranking]:
        """As KeywordIndex says."""
        tails = self._tail.search(queries, k, permitted, self._statistics)
        if self._main is None:
            return tails
        mains = self._main.search(queries, k, self._without.of(permitted), self._statistics)
        return [_ranked([*main, *tail], k) if tail else main for main, tail in zip(mains, tails, strict=True)]

    def extended(self, batches: Iterable[ChangeBatch], upto: int) -> "FollowedKeywords":
        """The same index with these changes, standing at `upto`."""
        tail = self._tail.copy()
        removed = self._removed
        for batch in batches:
            tail.apply(batch.ids, self._settings.terms(batch), batch.removed, upto)
            removed = _removed(removed, [batch])
        tail.apply(NONE, [], NONE, upto)
        return FollowedKeywords(self._main, tail, removed, self._settings)


@dataclass(frozen=True, slots=True)
class KeywordSettings:
    """How texts become terms, and how precisely lengths are known."""

    chunk_terms: ChunkTerms
    lengths: Literal["exact", "byte"]

    def terms(self, batch: ChangeBatch) -> list[Sequence[str]]:
        """The terms of each added chunk, in its own language."""
        return [self.chunk_terms(*each) for each in zip(batch.texts, batch.languages, strict=True)]


def _removed(before: Ids, batches: Sequence[ChangeBatch]) -> Ids:
    return np.unique(np.concatenate([before, *(batch.removed for batch in batches)]))


def _held(main: Ids | None, removed: Ids, tail: Ids) -> Ids:
    return tail if main is None else np.union1d(np.setdiff1d(main, removed), tail)
