"""A snapshot of an index and an exact tail of newer changes, searched as one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

import numpy as np

from rag.errors import IndexDamaged
from rag.keywords import ScoredIndex
from rag.keywords.asked import Phrase
from rag.keywords.bm25 import Scores, Statistics
from rag.rankings.arrays import find
from rag.types import Bitmap, ChangeBatch, Ids, Permitted, Ranking, Vectors
from rag.vectors import StoredVectors
from rag.vectors.exact import ExactVectors
from rag.vectors.finalists import nearest

T = TypeVar("T")
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


class FollowedVectors:
    """A vector index at a later position than its snapshot. Never changed; `extended` gives the next one.

    A snapshot checks what it reads. When that turns out to be damaged, `healed` is told so and asked for an index of
    the same position that does without the snapshot; every question from then on is answered by that.
    """

    def __init__(
        self,
        main: StoredVectors | None,
        tail: ExactVectors,
        removed: Ids,
        position: int,
        healed: "Callable[[IndexDamaged, int], FollowedVectors] | None" = None,
    ) -> None:
        self._main, self._tail, self._removed = main, tail, removed
        self._without = Without(removed)
        self.position = position
        self._healed = healed
        self._instead: FollowedVectors | None = None
        self._lock = Lock()

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
        return self._sound(lambda index: index._search(queries, k, permitted))

    def _search(self, queries: Vectors, k: int, permitted: Permitted) -> list[Ranking]:
        tails = self._tail.search(queries, k, permitted)
        if self._main is None:
            return tails
        mains = self._main.search(queries, k, self._without.of(permitted))
        return [nearest([main, tail], k) if len(tail) else main for main, tail in zip(mains, tails, strict=True)]

    def rows(self, ids: Sequence[int] | Ids) -> Vectors:
        """The vectors (n, d) of chunks, in the order of their ids. Raises KeyError for one that is not held."""
        return self._sound(lambda index: index._rows(ids))

    def _sound(self, asked: "Callable[[FollowedVectors], T]") -> T:
        """What the index answers, without its snapshot if that is found damaged."""
        if self._instead is None:
            try:
                return asked(self)
            except IndexDamaged as error:
                if self._healed is None:
                    raise
                with self._lock:
                    if self._instead is None:
                        self._instead = self._healed(error, self.position)
        return asked(self._instead)

    def _rows(self, ids: Sequence[int] | Ids) -> Vectors:
        wanted = np.asarray(ids, dtype=np.int64)
        found = np.empty((len(wanted), self._tail.dim), np.float32)
        todo = np.arange(len(wanted))
        for index in (self._tail, self._main):
            if index is not None and len(index):
                here, at = find(index.ids(), wanted[todo])
                if len(here) == len(wanted):
                    return index.take(at)
                found[todo[here]] = index.take(at)
                todo = np.delete(todo, here)
        if len(todo):
            raise KeyError(f"chunk {wanted[todo[0]]} has no vector at position {self.position}")
        return found

    def extended(self, batches: Iterable[ChangeBatch], upto: int) -> "FollowedVectors":
        """The same index with these changes, standing at `upto`."""
        if self._instead is not None:
            return self._instead.extended(batches, upto)
        collected = list(batches)
        tail = self._tail.copy()
        if collected:
            added = np.concatenate([batch.ids for batch in collected])
            gone = np.concatenate([batch.removed for batch in collected])
            tail.apply(added, np.concatenate([batch.vectors for batch in collected]), gone, upto)
        return FollowedVectors(self._main, tail, _removed(self._removed, collected), upto, self._healed)


class FollowedKeywords:
    """A keyword index at a later position than its snapshot. Never changed; `extended` gives the next one.

    It is one index: the snapshot's files, and what came since in memory. So it answers as a fresh index would.
    """

    def __init__(self, index: ScoredIndex, settings: "KeywordSettings", changed: Ids = NONE) -> None:
        self._index, self._settings, self._changed = index, settings, changed
        self.position = index.position

    def __len__(self) -> int:
        return len(self._index)

    def ids(self) -> Ids:
        return self._index.ids()

    @property
    def tail(self) -> int:
        """How many chunks came or went since the snapshot."""
        return len(self._changed)

    def statistics(self) -> Statistics:
        """Of the living chunks."""
        return self._index.statistics()

    def search(self, queries: Sequence[Sequence[str]], k: int, permitted: Permitted) -> list[Ranking]:
        """As KeywordIndex says; a query may be `rag.keywords.asked.Asked`."""
        return self._index.search(queries, k, permitted)

    def scores(self, query: Sequence[str], ids: Ids) -> Scores:
        """The scores (n,) that search gives these chunks, whoever may see them; 0 where it would not find them."""
        return self._index.scores(query, ids)

    def holding(self, phrases: Iterable[Phrase], permitted: Permitted) -> Ids:
        """The permitted chunks that hold every phrase, ascending."""
        return self._index.holding(phrases, permitted)

    def corrected(self, query: Sequence[str]) -> dict[str, list[str]]:
        """For each word of a question that no chunk holds, those it is taken for; {} where nothing is replaced."""
        return self._index.corrected(query)

    def extended(self, batches: Iterable[ChangeBatch], upto: int) -> "FollowedKeywords":
        """The same index with these changes, standing at `upto`."""
        index, changed = self._index.following(), self._changed
        for batch in batches:
            index.apply(batch.ids, self._settings.terms(batch), batch.removed, upto)
            changed = np.union1d(changed, np.concatenate([batch.ids, batch.removed]))
        index.apply(NONE, [], NONE, upto)
        return FollowedKeywords(index, self._settings, changed)


@dataclass(frozen=True, slots=True)
class KeywordSettings:
    """How texts become terms."""

    chunk_terms: ChunkTerms

    def terms(self, batch: ChangeBatch) -> list[Sequence[str]]:
        """The terms of each added chunk, in its own language."""
        return [self.chunk_terms(*each) for each in zip(batch.texts, batch.languages, strict=True)]


def _removed(before: Ids, batches: Sequence[ChangeBatch]) -> Ids:
    return np.unique(np.concatenate([before, *(batch.removed for batch in batches)]))


def _held(main: Ids | None, removed: Ids, tail: Ids) -> Ids:
    return tail if main is None else np.union1d(np.setdiff1d(main, removed), tail)
