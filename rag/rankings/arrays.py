"""Rankings kept as arrays: a hit is made when it is looked at, so that a hundred candidates cost as little as ten."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from rag.types import Hit, Ids, Part, Ranking

Scores = NDArray[np.float64]  # (n,)
Column = tuple[Ids, Scores]
"""One stage's ranks, 1-based, and scores of some hits, (n,) and (n,); a rank of 0 where it did not rank the hit."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns(Sequence[Hit]):
    """A ranking; equal to any other sequence of the same hits."""

    ids: Ids  # (n,), best first
    scores: Scores  # (n,)
    parts: Mapping[str, Column]  # by stage, in the order of the stages

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, place: int) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> "Columns": ...
    def __getitem__(self, place: int | slice) -> "Hit | Columns":
        if isinstance(place, slice):
            return self.at(place)
        parts = {
            stage: Part(int(ranks[place]), float(scores[place]))
            for stage, (ranks, scores) in self.parts.items()
            if ranks[place]
        }
        return Hit(int(self.ids[place]), float(self.scores[place]), parts)

    def __iter__(self) -> Iterator[Hit]:
        columns = [(stage, ranks.tolist(), scores.tolist()) for stage, (ranks, scores) in self.parts.items()]
        for place, (chunk, score) in enumerate(zip(self.ids.tolist(), self.scores.tolist(), strict=True)):
            parts = {stage: Part(ranks[place], scores[place]) for stage, ranks, scores in columns if ranks[place]}
            yield Hit(chunk, score, parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list

    def at(self, places: slice | Ids | NDArray[np.bool_]) -> "Columns":
        """The hits at these places, in the order of `places`."""
        parts = {stage: (ranks[places], scores[places]) for stage, (ranks, scores) in self.parts.items()}
        return Columns(self.ids[places], self.scores[places], parts)


def find(held: NDArray[np.integer], wanted: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which of `wanted` are in `held` (ascending), and where there.  (n,), (m,) → (h,), (h,)"""
    if not len(held) or not len(wanted):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    at = held.searchsorted(wanted.astype(held.dtype, copy=False))
    at[at == len(held)] = 0
    here = np.flatnonzero(held[at] == wanted)
    return here, at[here]


def staged(stage: str, ids: Ids, scores: NDArray[np.floating]) -> Columns:
    """The ranking of a first stage.  ids (n,), scores (n,), best first"""
    exact = scores.astype(np.float64)
    return Columns(ids, exact, {stage: (np.arange(1, len(ids) + 1), exact)})


def columns(ranking: Ranking) -> Columns:
    """The same ranking as arrays."""
    if isinstance(ranking, Columns):
        return ranking
    ids = np.array([hit.chunk_id for hit in ranking], dtype=np.int64)
    scores = np.array([hit.score for hit in ranking], dtype=np.float64)
    stages = dict.fromkeys(stage for hit in ranking for stage in hit.parts)
    nothing = Part(0, 0.0)
    parts = {}
    for stage in stages:
        told = [hit.parts.get(stage, nothing) for hit in ranking]
        parts[stage] = (np.array([part.rank for part in told]), np.array([part.score for part in told]))
    return Columns(ids, scores, parts)


def joined(*rankings: Ranking) -> Columns:
    """One ranking behind the other."""
    given = [columns(ranking) for ranking in rankings]
    parts = {}
    for stage in dict.fromkeys(stage for one in given for stage in one.parts):
        told = [one.parts.get(stage, (np.zeros(len(one), np.int64), np.zeros(len(one)))) for one in given]
        parts[stage] = (np.concatenate([ranks for ranks, _ in told]), np.concatenate([scores for _, scores in told]))
    return Columns(np.concatenate([one.ids for one in given]), np.concatenate([one.scores for one in given]), parts)


def ids_of(ranking: Ranking) -> Ids:
    """The chunk ids of a ranking (n,), best first."""
    return columns(ranking).ids
