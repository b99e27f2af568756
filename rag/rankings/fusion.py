"""Two rankings become one: pure functions from hits and their scores to a ranking with part "fused"."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rag.keywords.bm25 import Statistics, idf
from rag.rankings.arrays import Column, Columns, Scores, columns
from rag.types import Hit, Ids, Part, Ranking, Vectors

Span = tuple[float | None, float | None]
"""The scores that count as 0 and as 1; None: the lowest, the highest of the hits that are fused."""


Ask = Callable[[Ids], Scores]
"""What an arm gives to chunks, ascending (n,), that it did not rank.  → (n,)"""
Context = Callable[[Ids, Scores, Sequence[Scores]], Scores]
"""Chunks, ascending (n,), their sums (n,) and each arm's scores of them (n,) → what counts in place of the sums (n,)"""


def weighted(
    arms: Sequence[Ranking],
    asks: Sequence[Ask],
    spans: Sequence[Span],
    weights: Sequence[float],
    k: int,
    context: Context | None = None,
) -> Ranking:
    """The arms' hits under the weighted sum of their scores, each as its share of the arm's span.

    Each arm is asked for the scores of the hits that only another one ranked. With a span's ends given, two hits stand
    to each other the same whatever else is fused (the theoretical bounds of Bruch, Gai and Ingber 2023, taken for the
    upper end too); with (None, None) it is min-max normalisation.
    """
    given = [columns(arm) for arm in arms]
    chunks = _together(given)
    total, each = np.zeros(len(chunks)), []  # (n,)
    for arm, ask, span, weight in zip(given, asks, spans, weights, strict=True):
        own, unranked = np.zeros(len(chunks)), np.ones(len(chunks), dtype=bool)  # (n,)
        at = chunks.searchsorted(arm.ids)
        own[at], unranked[at] = arm.scores, False
        if unranked.any():
            own[unranked] = ask(chunks[unranked])
        total += weight * shares(own, span)
        each.append(own)
    return _placed(chunks, total if context is None else context(chunks, total, each), given, k)


class Groups(NamedTuple):
    """Hits of one text beside each other: g texts, m hits."""

    places: NDArray[np.intp]  # (m,) of the hits, text by text, best first
    starts: NDArray[np.intp]  # (g,) where each text's hits begin among them
    sizes: NDArray[np.intp]  # (g,)

    def means(self, values: Scores) -> Scores:
        """The mean of each text's hits.  (m,) → (g,)"""
        return np.add.reduceat(values, self.starts) / self.sizes

    def lengths(self, rows: Vectors) -> Scores:
        """How long the mean of each text's unit rows is; 1 if they all point one way.  (m, d) → (g,)"""
        total = rows[self.starts].astype(np.float64)  # (g, d)
        for place in range(1, int(self.sizes.max(initial=0))):
            more = self.sizes > place
            total[more] += rows[self.starts[more] + place]
        lengths: Scores = np.sqrt(np.einsum("gd,gd->g", total, total)) / self.sizes
        return np.maximum(lengths, 1e-9)  # rows that cancel out have cosines that do, too


def grouped(owners: Ids, scores: Scores, most: int) -> Groups:
    """The `most` best hits, by (-score, place), of each text of which there are two and more.  (n,), (n,)"""
    order = np.lexsort((-scores, owners))  # stable: equal ones keep their places
    own = owners[order]
    edges = np.concatenate(([0], np.flatnonzero(own[1:] != own[:-1]) + 1, [len(own)]))
    begins, sizes = edges[:-1], edges[1:] - edges[:-1]
    several = sizes > 1
    begins, sizes = begins[several], np.minimum(sizes[several], most)
    starts = sizes.cumsum() - sizes
    return Groups(order[np.repeat(begins - starts, sizes) + np.arange(sizes.sum())], starts, sizes)


def shares(scores: Scores, span: Span) -> Scores:
    """How far up its span each score stands; 0 for all where the span has no length.  (n,) → (n,)"""
    if not len(scores):
        return scores
    low = float(scores.min()) if span[0] is None else span[0]
    high = float(scores.max()) if span[1] is None else span[1]
    return (scores - low) / (high - low) if high > low else np.zeros(len(scores))


def stretched(scores: Scores) -> Scores:
    """To 0…1; scores that are all the same say nothing, and become 0.  (n,) → (n,)"""
    return shares(scores, (None, None))


def ceiling(terms: Iterable[str], statistics: Statistics) -> float:
    """What the terms of a question weigh together: no chunk's BM25 reaches it. Terms that no chunk holds count too, so
    that finding the rest of a question is not finding it whole."""
    frequency, documents = statistics.frequency, statistics.documents
    return sum(count * idf(documents, frequency(term)) for term, count in sorted(Counter(terms).items()))


def rrf(arms: Sequence[Ranking], k: int, *, rrf_k: int = 60) -> Ranking:
    """The arms' hits under the sum of their reciprocal ranks."""
    given = [columns(arm) for arm in arms]
    chunks = _together(given)
    total = np.zeros(len(chunks))  # (n,)
    for arm in given:
        ranked = arm.ids[np.lexsort((arm.ids, -arm.scores))]
        total[np.searchsorted(chunks, ranked)] += 1 / (rrf_k + np.arange(1, len(ranked) + 1))
    return _placed(chunks, total, given, k)


def parts_of(arms: Sequence[Ranking]) -> dict[int, Mapping[str, Part]]:
    """The parts of each chunk from all arms that ranked it."""
    parts: dict[int, Mapping[str, Part]] = {}
    for arm in arms:
        for chunk, _, own in arm:
            earlier = parts.get(chunk)
            parts[chunk] = own if earlier is None else {**earlier, **own}
    return parts


def placed(scores: Mapping[int, float], parts: Mapping[int, Mapping[str, Part]], stage: str, k: int) -> Ranking:
    """The k best by (-score, chunk_id), each with this stage's part after its earlier ones."""
    best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[: max(k, 0)]
    return [
        Hit(chunk, score, {**parts[chunk], stage: Part(place, score)})
        for place, (chunk, score) in enumerate(best, start=1)
    ]


def _together(arms: Sequence[Columns]) -> Ids:
    """The chunks of all arms, ascending (n,), each once."""
    return np.unique(np.concatenate([arm.ids for arm in arms]))


def _placed(chunks: Ids, scores: Scores, arms: Sequence[Columns], k: int) -> Columns:
    """The k best by (-score, chunk_id), with the parts of all arms that ranked them and part "fused"."""
    order = np.lexsort((chunks, -scores))[: max(k, 0)]
    parts: dict[str, Column] = {}
    for arm in arms:
        at = chunks.searchsorted(arm.ids)
        for stage, (own_ranks, own_scores) in arm.parts.items():
            ranks, values = np.zeros(len(chunks), np.int64), np.zeros(len(chunks))
            ranks[at], values[at] = own_ranks, own_scores
            parts[stage] = (ranks[order], values[order])
    best = scores[order]
    parts["fused"] = (np.arange(1, len(order) + 1), best)
    return Columns(chunks[order], best, parts)
