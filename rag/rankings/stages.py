"""What each stage of one search was given, kept, and took: retrievers that are watched keep their shape."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rag.rankings.arrays import Scores, ids_of
from rag.retrieve import Arm
from rag.types import Ids, Permitted, Ranking, Retriever

Q = TypeVar("Q")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a search."""

    name: str
    given: int  # chunks it chose among; dense and bm25: those that may be seen
    kept: int  # chunks it handed on
    ms: float  # of its own, without the stages before it


class Trail:
    """Gathers what the stages of one search did. A stage that is asked again, for more, counts with its last ranking
    and all of its time."""

    def __init__(self) -> None:
        self._arms: dict[str, Ranking] = {}
        self._later: dict[str, Ranking] = {}
        self._ms: dict[str, float] = {}
        self._spans: list[tuple[float, float]] = []  # when an arm was at work, from and to

    def arm(self, name: str, arm: "Arm[Q]") -> "WatchedArm[Q]":
        self._arms[name] = ()  # arms keep their order, whichever ends first
        return WatchedArm(name, arm, self)

    def over(self, name: str, retriever: Retriever) -> "Watched":
        return Watched(name, retriever, self)

    def note(self, name: str, ranking: Ranking, since: float, *, arm: bool = False) -> None:
        """A stage ended that began at `since`."""
        until = time.perf_counter()
        (self._arms if arm else self._later)[name] = ranking
        self._ms[name] = self._ms.get(name, 0.0) + (until - since) * 1000
        if arm:
            self._spans.append((since, until))

    def stages(self, permitted: int) -> tuple[Stage, ...]:
        """In the order in which they ran; `permitted` chunks could be seen."""
        told = [Stage(name, permitted, len(ranking), self._ms[name]) for name, ranking in self._arms.items()]
        ranked = [ids_of(ranking).tolist() for ranking in self._arms.values()]
        given = len(set().union(*ranked)) if told else permitted
        before = _covered(self._spans) * 1000
        for name, ranking in self._later.items():
            told.append(Stage(name, given, len(ranking), max(0.0, self._ms[name] - before)))
            given, before = len(ranking), self._ms[name]
        return tuple(told)


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """How long at least one of them lasted."""
    total, last = 0.0, 0.0
    for since, until in sorted(spans):
        total += max(0.0, until - max(since, last))
        last = max(last, until)
    return total


@dataclass(frozen=True, slots=True)
class Watched:
    """Another retriever, watched; for one question at a time."""

    name: str
    retriever: Retriever
    trail: Trail

    def retrieve(self, questions: Sequence[str], k: int, permitted: Permitted) -> list[Ranking]:
        since = time.perf_counter()
        rankings = self.retriever.retrieve(questions, k, permitted)
        for ranking in rankings:
            self.trail.note(self.name, ranking, since)
        return rankings


@dataclass(frozen=True, slots=True)
class WatchedArm(Generic[Q]):
    """Another arm, watched; for one question at a time."""

    name: str
    arm: Arm[Q]
    trail: Trail

    def encode(self, questions: Sequence[str]) -> Q:
        return self.arm.encode(questions)

    def scores(self, encoded: Q, place: int, chunks: Ids) -> Scores:
        return self.arm.scores(encoded, place, chunks)

    def ceilings(self, encoded: Q) -> list[float]:
        return self.arm.ceilings(encoded)

    def search(self, encoded: Q, k: int, permitted: Permitted) -> list[Ranking]:
        since = time.perf_counter()
        rankings = self.arm.search(encoded, k, permitted)
        for ranking in rankings:
            self.trail.note(self.name, ranking, since, arm=True)
        return rankings
