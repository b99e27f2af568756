"""Two rankings become one: pure functions from hits and their scores to a ranking with part "fused"."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rag.keywords.bm25 import Statistics, idf
from rag.types import Hit, Ids, Part, Ranking

Scores = NDArray[np.float64]  # (n,)
Span = tuple[float | None, float | None]
"""The scores that count as 0 and as 1; None: the lowest, the highest of the hits that are fused."""


def weighted(
    arms: Sequence[Ranking],
    unranked: Sequence[Mapping[int, float]],
    spans: Sequence[Span],
    weights: Sequence[float],
    k: int,
) -> Ranking:
    """The arms' hits under the weighted sum of their scores, each as its share of the arm's span.

    `unranked` holds, for each arm, scores of hits that it did not rank; what is in neither counts as 0. With a span's
    ends given, two hits stand to each other the same whatever else is fused (the theoretical bounds of Bruch, Gai and
    Ingber 2023, taken for the upper end too); with (None, None) it is min-max normalisation.
    """
    chunks, parts = _together(arms)
    total = np.zeros(len(chunks))  # (n,)
    for arm, more, span, weight in zip(arms, unranked, spans, weights, strict=True):
        total += weight * shares(_scores(chunks, arm, more), span)
    return _placed(chunks, total, parts, k)


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
    chunks, parts = _together(arms)
    total = np.zeros(len(chunks))  # (n,)
    for arm in arms:
        ids, scores = _arrays(arm)
        ranked = ids[np.lexsort((ids, -scores))]
        total[np.searchsorted(chunks, ranked)] += 1 / (rrf_k + np.arange(1, len(ranked) + 1))
    return _placed(chunks, total, parts, k)


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


def _together(arms: Sequence[Ranking]) -> tuple[Ids, dict[int, Mapping[str, Part]]]:
    """The chunks of all arms, ascending (n,), and their parts."""
    parts = parts_of(arms)
    return np.array(sorted(parts), dtype=np.int64), parts


def _arrays(arm: Ranking) -> tuple[Ids, Scores]:
    return np.array([hit[0] for hit in arm], dtype=np.int64), np.array([hit[1] for hit in arm], dtype=np.float64)


def _scores(chunks: Ids, arm: Ranking, more: Mapping[int, float]) -> Scores:
    """What an arm gives each of these chunks (n,); 0 where it does not know."""
    known = {**more, **{chunk: score for chunk, score, _ in arm}}
    return np.array([known.get(chunk, 0.0) for chunk in chunks.tolist()], dtype=np.float64)


def _placed(chunks: Ids, scores: Scores, parts: Mapping[int, Mapping[str, Part]], k: int) -> Ranking:
    order = np.lexsort((chunks, -scores))[: max(k, 0)]
    return [
        Hit(chunk, score, {**parts[chunk], "fused": Part(place, score)})
        for place, (chunk, score) in enumerate(
            zip(chunks[order].tolist(), scores[order].tolist(), strict=True), start=1
        )
    ]
