"""One collection's indexes as a cache of SQL: a snapshot on disk, an exact tail of newer changes, and who folds them.

`Indexes.view()` is always up to date: what no snapshot holds yet is read from the feed and searched in memory. A
missing, damaged or foreign snapshot therefore costs time, never an answer.
"""

import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from rag import keywords as keyword_backends
from rag import vectors as vector_backends
from rag.errors import Conflict, IndexDamaged, StoreNotReady
from rag.indexes.generations import Generation, Generations, Kind
from rag.indexes.tails import NONE, FollowedKeywords, FollowedVectors, KeywordSettings
from rag.indexes.views import Arm, Changes, View
from rag.keywords import ScoredIndex
from rag.keywords.analysis import VERSION, chunk_terms
from rag.keywords.exact import ExactKeywords
from rag.types import Feed, Ids
from rag.vectors import StoredVectors
from rag.vectors.exact import ExactVectors
from rag.vectors.tuning import RECALL, Tuning

log = logging.getLogger(__name__)

TAIL = 2_000  # chunks a tail may hold before it is worth folding in …
TAIL_SHARE = 0.1  # … and the share of the snapshot …
TAIL_MOST = 10_000  # … and more than this many never: comparing them takes a millisecond a question
FIRST = 200  # chunks from which a first snapshot is worth writing
DEAD = 0.2  # share of removed chunks from which the keyword index is written anew
CHECKED = 4_096  # vectors whose length is checked at once
SMALL = 20_000  # chunks of an earlier position that may stay in memory
UNIT = 1e-3  # how far from 1 the length of a stored vector may be


class HasPosition(Protocol):
    @property
    def position(self) -> int: ...


P = TypeVar("P", bound=HasPosition)


@dataclass(frozen=True, slots=True)
class Told:
    """A published generation: how its vectors are searched, and what its files take."""

    generation: int
    position: int
    chunks: int
    tuning: Tuning
    sizes: Mapping[str, int]  # bytes of each file


class Indexes:
    """The indexes of one collection under one embedder. Safe for many threads and processes at once.

    `folder` is the collection's own; `recall` says which share of the true nearest a vector search is to find, and is
    read at each publication. Damage is healed from SQL by the next publication; until then `damage` tells of it.
    Raises WrongSetting for a backend that there is not.
    """

    def __init__(
        self,
        folder: Path,
        feed: Feed,
        *,
        fingerprint: str,
        vectors: str = "faiss",
        keywords: str = "exact",
        recall: Callable[[], float] = lambda: RECALL,
    ) -> None:
        self._feed = feed
        self._recall = recall
        self._vectors = vector_backends.backend(vectors)
        self._keywords = keyword_backends.backend(keywords)
        self._settings = KeywordSettings(chunk_terms)
        self._generations = Generations(folder, Kind(fingerprint, feed.dim, vectors, keywords, VERSION))
        self._changes = Changes(feed)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._view: View | None = None
        self._earlier: View | None = None  # the last one of an earlier position that was asked for
        self._chunks = 0  # in the generation under the view
        self._damage: dict[str, None] = {}
        self._broken = 0  # a generation that was found damaged when it was opened

    @property
    def damage(self) -> tuple[str, ...]:
        """What was found wrong with the current snapshot while it was used, in words; empty when nothing was."""
        return tuple(self._damage)

    # ── reading ──

    def view(self, known: int | None = None) -> View:
        """The indexes at the feed's present position; `known` is that position where the caller has just read it."""
        view = self._view
        if view is not None and self._fresh(view, known):
            return view
        with self._lock:
            view = self._view
            if view is not None and self._fresh(view):
                return view
            stamp, position = self._generations.stamp(), self._feed.position()
            if view is None or stamp != self._stamp or view.position > position or self._rests_on_damage(view):
                view = self._reload(stamp, position)
            else:
                view = view.later(position, self._languages(position))
            self._view = view
            return view

    def at(self, position: int) -> View:
        """The indexes as they stood at a position that is not later than the feed's: on the current snapshot where
        that is as old, else from SQL alone, which takes time and memory for the words and the vector of every chunk of
        then. The last one is kept until `let_go`. Raises Conflict where the vectors of then are no longer there."""
        now = self.view()
        if position == now.position:
            return now
        with self._lock:
            kept = self._earlier
            base = None if position < now.since or not now.generation else self._current(now.position)
            number = base.number if base is not None else 0
            if kept is None or kept.generation != number or kept.position > position:
                since = base.position if base is not None else 0
                changes = Changes(self._feed)
                vectors = Arm(position, lambda: self._open_vectors(base), changes)
                keywords = Arm(position, lambda: self._open_keywords(base), changes)
                kept = View(position, number, since, vectors, keywords, self._languages(position))
            elif kept.position < position:
                kept = kept.later(position, self._languages(position))
            try:
                self._earlier = kept.ready()
            except StoreNotReady as error:
                raise Conflict(f"the index as it stood at position {position} cannot be had again: {error}") from error
            return kept

    def let_go(self) -> None:
        """Forget the indexes of an earlier position, unless they are small."""
        with self._lock:
            if self._earlier is not None and (self._earlier.tail() or 0) > SMALL:
                self._earlier = None

    def _fresh(self, view: View, known: int | None = None) -> bool:
        return (
            (view.position == known or view.position == self._feed.position())
            and self._stamp == self._generations.stamp()
            and not self._rests_on_damage(view)
        )

    def _rests_on_damage(self, view: View) -> bool:
        return view.generation != 0 and view.generation == self._broken

    def _reload(self, stamp: tuple[int, int] | None, position: int) -> View:
        """A view on the current generation, or on none when it cannot be used."""
        if stamp != self._stamp:
            self._damage, self._broken = {}, 0
        self._stamp = stamp
        self._changes = Changes(self._feed)
        base = None
        try:
            base = self._current(position)
        except IndexDamaged as error:
            self._note(str(error))
        if base is not None and base.number == self._broken:
            base = None
        self._chunks = base.chunks if base else 0
        return View(
            position,
            base.number if base else 0,
            base.position if base else 0,
            Arm(position, lambda: self._open_vectors(base), self._changes),
            Arm(position, lambda: self._open_keywords(base), self._changes),
            self._languages(position),
        )

    def _languages(self, position: int) -> Callable[[], tuple[str, ...]]:
        return cache(lambda: self._feed.languages(position))

    def _current(self, position: int) -> Generation | None:
        """The current generation. Raises IndexDamaged when it cannot be used by a feed at this position."""
        base = self._generations.current()
        if base is not None and base.position > position:
            raise IndexDamaged(
                f"{base.folder} is at position {base.position}, but the database at {position}: "
                "an older database was put in place; `rag rebuild` makes the index anew"
            )
        return base

    def _open_vectors(self, base: Generation | None) -> FollowedVectors:
        main = self._opened(base, "vectors", self._vectors.open, self._vectors.CHECKED_WHEN_READ)

        def healed(error: IndexDamaged, position: int) -> FollowedVectors:
            """Everything from SQL; the part was sound when it was opened, but not where it was read just now."""
            self._blame(base, error)
            return self._followed(None).extended(self._feed.changes(0, position), position)

        return self._followed(main, healed)

    def _followed(
        self, main: StoredVectors | None, healed: Callable[[IndexDamaged, int], FollowedVectors] | None = None
    ) -> FollowedVectors:
        tail = ExactVectors(main.position if main else 0, NONE, np.empty((0, self._feed.dim), np.float32))
        return FollowedVectors(main, tail, NONE, tail.position, healed)

    def _open_keywords(self, base: Generation | None) -> FollowedKeywords:
        main = self._opened(base, "keywords", self._keywords.open)
        return FollowedKeywords(main.following() if main else ExactKeywords(), self._settings)

    def _opened(
        self,
        base: Generation | None,
        part: str,
        open_part: Callable[[Path], P],
        unread: frozenset[str] = frozenset(),
    ) -> P | None:
        """One part of a generation; None, and a note, when it is damaged."""
        if base is None:
            return None
        try:
            base.verify(part, unread)
            opened = open_part(base.folder / part)
            if opened.position != base.position:
                raise IndexDamaged(f"{base.folder / part} is at position {opened.position}, not {base.position}")
        except (IndexDamaged, OSError, ValueError, KeyError) as error:
            self._blame(base, error)
            return None
        return opened

    def _blame(self, base: Generation | None, error: Exception) -> None:
        if base is not None and self._generations.stamp() == self._stamp:  # else only superseded and cleared away
            self._broken = base.number
            self._note(str(error))

    def _note(self, problem: str) -> None:
        if problem not in self._damage:
            self._damage[problem] = None
            log.error("index damaged, answering from the database: %s", problem)

    # ── writing ──

    def due(self, view: View) -> bool:
        """Whether so much changed since the snapshot that folding it in is worth the work."""
        if self._damage:
            return True
        limit = max(TAIL, min(TAIL_MOST, TAIL_SHARE * self._chunks)) if view.generation else FIRST
        tail = view.tail()
        if tail is not None:
            return tail > limit
        size = 0
        for batch in self._feed.changes(view.since, view.position):
            size += len(batch.ids) + len(batch.removed)
            if size > limit:
                return True
        return False

    def publish(self, *, rebuild: bool = False, tune: bool = False) -> int | None:
        """Fold everything up to the feed's present position into a new generation, and return its number.

        None when another thread or process is doing so; the current number when there is nothing to fold. With
        `rebuild`, or when the current generation is damaged, everything is read from SQL; nothing is embedded. With
        `tune`, how vectors are searched is settled anew, whatever was settled before.
        """
        with self._generations.lock() as held:
            if not held:
                return None
            position = self._feed.position()
            base = None if rebuild else self._sound(position)
            if base is not None and base.position == position and not tune:
                return base.number
            with self._generations.staging() as staging:
                chunks = self._write(staging, base, position, tune)
                return self._generations.publish(staging, position, chunks).number

    def _sound(self, position: int) -> Generation | None:
        """The current generation if every byte of it is right: what is built upon it would inherit its faults."""
        try:
            base = self._current(position)
        except IndexDamaged as error:
            self._note(str(error))
            return None
        problems = base.problems() if base else []
        for problem in problems:
            self._note(problem)
        return None if problems else base

    def _write(self, staging: Path, base: Generation | None, position: int, tune: bool) -> int:
        """Both parts at a position, in `staging`.  → how many chunks they hold"""
        after = base.position if base else 0
        work = staging / "work"
        work.mkdir()
        vectors = self._vectors.open(base.folder / "vectors", work) if base else self._vectors.new(self._feed.dim, work)
        keywords = self._working_copy(base, work / "keywords")
        for batch in self._feed.changes(after, position):
            vectors.apply(batch.ids, batch.vectors, batch.removed, position)
            keywords.apply(batch.ids, self._settings.terms(batch), batch.removed, position)
        vectors.apply(NONE, np.empty((0, self._feed.dim), np.float32), NONE, position)
        vectors.tune(self._recall(), anew=tune)
        keywords.apply(NONE, [], NONE, position)
        if keywords.dead() > DEAD:
            keywords = self._working_copy(None, work / "anew")
            for batch in self._feed.changes(0, position):
                keywords.apply(batch.ids, self._settings.terms(batch), batch.removed, position)
            keywords.apply(NONE, [], NONE, position)
        for part, index in (("vectors", vectors), ("keywords", keywords)):
            (staging / part).mkdir()
            index.save(staging / part)
        shutil.rmtree(work)
        return len(vectors)

    def _working_copy(self, base: Generation | None, folder: Path) -> ScoredIndex:
        folder.mkdir(parents=True)
        if base is None:
            return self._keywords.new(folder)
        self._keywords.open(base.folder / "keywords").save(folder)
        return self._keywords.open(folder)

    # ── telling ──

    def told(self) -> Told | None:
        """How the current generation's vectors are searched, and what they take; None when there is none.

        Raises IndexDamaged when it cannot be used.
        """
        base = self._current(self._feed.position())
        if base is None:
            return None
        try:
            base.verify("vectors", self._vectors.CHECKED_WHEN_READ)
            index = self._vectors.open(base.folder / "vectors")
        except (OSError, ValueError) as error:
            raise IndexDamaged(f"the vector index cannot be opened: {error}; `rag rebuild` makes it anew") from error
        sizes = {name: held.size for name, held in base.files.items()}
        return Told(base.number, base.position, base.chunks, index.tuning, sizes)

    # ── checking ──

    def check(self) -> list[str]:
        """Every problem of the current generation, in words; empty when it is healthy or when there is none."""
        try:
            base = self._current(self._feed.position())
        except IndexDamaged as error:
            return [str(error)]
        if base is None:
            return []
        if problems := base.problems():
            return problems
        return [*self._check_vectors(base), *self._check_keywords(base)]

    def _check_vectors(self, base: Generation) -> list[str]:
        try:
            index = self._vectors.open(base.folder / "vectors")
        except (OSError, ValueError) as error:
            return [f"the vector index cannot be opened: {error}"]
        problems = _differences("vector", index.ids(), self._feed.live_ids(base.position))
        ids = index.ids()
        for first in range(0, len(ids), CHECKED):
            block = index.take(np.arange(first, min(first + CHECKED, len(ids)))).astype(np.float64)
            off = ~(np.abs(np.linalg.norm(block, axis=1) - 1) <= UNIT)  # true of NaN as well
            problems += [f"the vector of chunk {ids[first + row]} is not of length 1" for row in np.flatnonzero(off)]
        return problems

    def _check_keywords(self, base: Generation) -> list[str]:
        try:
            index = self._keywords.open(base.folder / "keywords")
        except (OSError, ValueError) as error:
            return [f"the keyword index cannot be opened: {error}"]
        return _differences("keyword", index.ids(), self._feed.live_ids(base.position))


def _differences(part: str, held: Ids, alive: Ids) -> list[str]:
    problems = []
    for ids, what in ((np.setdiff1d(alive, held), "lacks"), (np.setdiff1d(held, alive), "still holds")):
        if len(ids):
            problems.append(f"the {part} index {what} {len(ids)} chunks, chunk {ids[0]} first")
    return problems
