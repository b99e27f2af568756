"""One collection's two indexes at one position: opened when first used, and built upon when the position moves."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, Self, TypeVar

from rag.indexes.tails import FollowedKeywords, FollowedVectors
from rag.keywords.asked import Asked, asked
from rag.types import ChangeBatch, Feed

REMEMBERED = 4_096  # changed chunks of one step that are read once for both indexes


class Followed(Protocol):
    """What an index and its tail are to the code that opens and extends them."""

    @property
    def position(self) -> int: ...

    @property
    def tail(self) -> int: ...

    def extended(self, batches: Iterable[ChangeBatch], upto: int) -> Self: ...


F = TypeVar("F", bound=Followed)


class Arm(Generic[F]):
    """One of the two indexes of a view, opened and brought up to its position when first used."""

    def __init__(self, position: int, base: Callable[[], F], changes: "Changes", built: F | None = None) -> None:
        self.position = position
        self._base = base
        self._changes = changes
        self._near = built  # the nearest earlier state that is built, if any
        self._built = built if built is not None and built.position == position else None
        self._lock = threading.Lock()

    def get(self) -> F:
        """The index at this position."""
        if self._built is None:
            with self._lock:
                if self._built is None:
                    base = self._near or self._base()
                    self._built = base.extended(self._changes(base.position, self.position), self.position)
                    self._near = self._built
        return self._built

    def at(self, position: int) -> "Arm[F]":
        """The same index at a later position; what is built already is built upon."""
        return Arm(position, self._base, self._changes, self._near)

    def built(self) -> F | None:
        """The index, if it was ever used."""
        return self._built


class Changes:
    """Reads the feed; a small step is kept, since both indexes ask for it one after the other."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._last: tuple[int, int, list[ChangeBatch]] | None = None

    def __call__(self, after: int, upto: int) -> Iterator[ChangeBatch]:
        if after == upto:
            return
        last = self._last
        if last is not None and last[:2] == (after, upto):
            yield from last[2]
            return
        kept: list[ChangeBatch] | None = []
        size = 0
        for batch in self._feed.changes(after, upto):
            size += len(batch.ids)
            if kept is not None:
                kept = [*kept, batch] if size <= REMEMBERED else None
            yield batch
        if kept is not None:
            self._last = (after, upto, kept)


@dataclass(frozen=True, slots=True)
class View:
    """One collection's indexes at one position, for as long as it is held; searched from any thread."""

    position: int
    generation: int  # of the snapshot underneath; 0 when there is none
    since: int  # the snapshot's own position; what came later is in the tail
    _vectors: Arm[FollowedVectors] = field(repr=False)
    _keywords: Arm[FollowedKeywords] = field(repr=False)
    _languages: Callable[[], tuple[str, ...]] = field(repr=False)

    @property
    def vectors(self) -> FollowedVectors:
        """Opened on first use."""
        return self._vectors.get()

    @property
    def keywords(self) -> FollowedKeywords:
        """Opened on first use."""
        return self._keywords.get()

    @property
    def languages(self) -> tuple[str, ...]:
        """Of the chunks alive at this position; read on first use."""
        return self._languages()

    def later(self, position: int, languages: Callable[[], tuple[str, ...]]) -> "View":
        """The same indexes at a later position."""
        vectors, keywords = self._vectors.at(position), self._keywords.at(position)
        return View(position, self.generation, self.since, vectors, keywords, languages)

    def ready(self) -> "View":
        """This view, its vectors opened. Raises StoreNotReady where they are not there."""
        self._vectors.get()
        return self

    def tail(self) -> int | None:
        """How many chunks the longer tail of the two holds; None where neither was used yet."""
        return max(
            (arm.tail for arm in (self._vectors.built(), self._keywords.built()) if arm is not None), default=None
        )

    def question_terms(self, question: str) -> Asked:
        """What to ask `keywords` for, so that it finds the question's words in every language held."""
        return asked(question, self.languages)
