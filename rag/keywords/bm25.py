"""BM25 in the form of Lucene, and the total order of its scores: the formulas every keyword index shares.

A term gives weight · tf / (tf + k1 · (1 - b + b · length / average length)), where its weight is the number of times
the question says it times idf = ln(1 + (N - n + 0.5) / (n + 0.5)). The constant factor k1 + 1 is left out, as Lucene
does since version 8. Robertson and Zaragoza 2009; Kamphuis et al. 2020, "Which BM25 Do You Mean?".
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log1p

import numpy as np
from numpy.typing import NDArray

from rag.rankings.arrays import staged
from rag.types import Ids, Ranking

K1 = 1.2
B = 0.75
MAX_TERM = 10_000  # characters of the longest term an index takes in
SAMPLE = 16  # every so manieth score is looked at for a first bound on the k-th best
MANY = 2_000  # scores from which that is worth it

Scores = NDArray[np.float64]  # (n,)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a score depends on besides the chunk itself; of living chunks only."""

    documents: int
    average_length: float  # in terms
    frequency: Callable[[str], int]  # how many chunks hold a term


def idf(documents: int, frequency: int) -> float:
    """How telling a term is that `frequency` of the chunks hold; above 0 always."""
    return log1p((max(documents - frequency, 0) + 0.5) / (frequency + 0.5))


def weights(query: Iterable[str], statistics: Statistics) -> dict[str, float]:
    """What each different term of a question that is held weighs, in the order of the terms, so that sums come out
    the same."""
    found = {}
    for term, count in sorted(Counter(query).items()):
        if frequency := statistics.frequency(term):
            found[term] = count * idf(statistics.documents, frequency)
    return found


def norms(lengths: NDArray[np.integer], average_length: float) -> Scores:
    """What stands below the line for chunks of these lengths, in terms, besides the count.  (n,) → (n,)"""
    below: Scores = np.multiply(lengths, K1 * B / max(average_length, 1e-9), dtype=np.float64)
    below += K1 * (1 - B)
    return below


def gains(weight: float, counts: NDArray[np.integer], below: Scores) -> Scores:
    """What a term gives to chunks that say it `counts` times. counts (n,), their norms (n,), overwritten → (n,)"""
    below += counts
    np.divide(counts, below, out=below)
    below *= weight
    return below


def promising(scores: Scores, usable: NDArray[np.bool_], k: int) -> NDArray[np.intp]:
    """The usable rows with a score that may be among the k best of them, ascending.  (n,), (n,) → (m,)"""
    if len(scores) > MANY:
        some = scores[::SAMPLE][usable[::SAMPLE]]
        some = some[some > 0]  # partitioning mostly equal numbers takes a hundred times as long
        if len(some) >= k > 0:
            floor = np.partition(some, len(some) - k)[len(some) - k]  # not above the k-th best of all
            rows = np.flatnonzero(scores >= floor)
            return rows[usable[rows]]
    return np.flatnonzero((scores > 0) & usable)


def best(ids: Ids, scores: Scores, k: int) -> tuple[Ids, Scores]:
    """The k first by (-score, id).  (n,), (n,) → (≤ k,), (≤ k,)"""
    if len(ids) > k > 0:
        keep = np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])
        ids, scores = ids[keep], scores[keep]
    order = np.lexsort((ids, -scores))[: max(k, 0)]
    return ids[order], scores[order]


def ranking(ids: Ids, scores: Scores, k: int) -> Ranking:
    """The k best as hits with part "bm25"."""
    ids, scores = best(ids, scores, k)
    return staged("bm25", ids, scores)


def accept(ids: Ids, tokens: Sequence[Sequence[str]], removed: Ids) -> tuple[Ids, Ids]:
    """The changed ids as arrays. Raises ValueError on anything that an index must not take in."""
    ids, removed = np.asarray(ids, dtype=np.int64), np.asarray(removed, dtype=np.int64)
    if len(ids) != len(tokens):
        raise ValueError(f"{len(ids)} ids and the terms of {len(tokens)} chunks")
    if len(np.unique(ids)) != len(ids):
        raise ValueError("a chunk id is given twice")
    if np.isin(ids, removed).any():
        raise ValueError("a chunk id is both added and removed")
    for chunk, terms in zip(ids, tokens, strict=True):
        if len(" ".join(terms).split()) != len(terms) or max(map(len, terms), default=0) > MAX_TERM:
            raise ValueError(
                f"chunk {chunk} has a term that is empty, holds whitespace or is over {MAX_TERM} characters"
            )
    return ids, removed


def blended(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Weights added up term by term, in the order of the terms."""
    total: dict[str, float] = {}
    for part in parts:
        for term, weight in part.items():
            total[term] = total.get(term, 0.0) + weight
    return dict(sorted(total.items()))
