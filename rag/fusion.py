"""Two rankings become one: pure functions from hits and their scores to a ranking with part "fused"."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rag.types import Hit, Part, Ranking


def weighted(
    arms: Sequence[Ranking], unranked: Sequence[Mapping[int, float]], weights: Sequence[float], k: int
) -> Ranking:
    """The arms' hits under the weighted sum of their stretched scores. `unranked` holds, for each arm, scores of hits
    that it did not rank; what is in neither counts as 0."""
    parts = parts_of(arms)
    chunks = sorted(parts)
    total = np.zeros(len(chunks))  # (n,)
    for arm, more, weight in zip(arms, unranked, weights, strict=True):
        scores = {**more, **{hit.chunk_id: hit.score for hit in arm}}
        total += weight * stretched(np.array([scores.get(chunk, 0.0) for chunk in chunks]))
    return placed({chunk: float(score) for chunk, score in zip(chunks, total, strict=True)}, parts, "fused", k)


def stretched(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """To 0…1; scores that are all the same say nothing, and become 0.  (n,) → (n,)"""
    spread = float(scores.max() - scores.min()) if len(scores) else 0.0
    return (scores - scores.min()) / spread if spread > 0 else np.zeros(len(scores))


def rrf(arms: Sequence[Ranking], k: int, *, rrf_k: int = 60) -> Ranking:
    """The arms' hits under the sum of their reciprocal ranks."""
    parts = parts_of(arms)
    scores = dict.fromkeys(sorted(parts), 0.0)
    for arm in arms:
        for place, hit in enumerate(sorted(arm, key=lambda hit: (-hit.score, hit.chunk_id)), start=1):
            scores[hit.chunk_id] += 1 / (rrf_k + place)
    return placed(scores, parts, "fused", k)


def parts_of(arms: Sequence[Ranking]) -> dict[int, dict[str, Part]]:
    parts: dict[int, dict[str, Part]] = {}
    for arm in arms:
        for hit in arm:
            parts.setdefault(hit.chunk_id, {}).update(hit.parts)
    return parts


def placed(scores: Mapping[int, float], parts: Mapping[int, Mapping[str, Part]], stage: str, k: int) -> Ranking:
    """The k best by (-score, chunk_id), each with this stage's part after its earlier ones."""
    best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[: max(k, 0)]
    return [
        Hit(chunk, score, {**parts[chunk], stage: Part(place, score)})
        for place, (chunk, score) in enumerate(best, start=1)
    ]
