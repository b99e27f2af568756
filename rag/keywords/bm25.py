"""BM25 in the form of Lucene, and the total order of its scores: the formulas every keyword index shares.

A term gives weight · tf / (tf + k1 · (1 - b + b · length / average length)), where its weight is the number of times
the question says it times idf = ln(1 + (N - n + 0.5) / (n + 0.5)). The constant factor k1 + 1 is left out, as Lucene
does since version 8. Robertson and Zaragoza 2009; Kamphuis et al. 2020, "Which BM25 Do You Mean?".
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log1p
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rag.types import Hit, Ids, Part, Ranking

K1 = 1.2
B = 0.75
TIE = 2e-6
"""Scores this near to their neighbour, relatively, count as equal: the same float32 terms summed in another order."""

Scores = NDArray[np.float64]  # (n,)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a score depends on besides the chunk itself."""

    documents: int
    average_length: float  # in terms
    frequency: Callable[[str], int]  # how many chunks hold a term
    lengths: Literal["exact", "byte"]  # "byte": rounded down to what Lucene and tantivy keep in one byte


def idf(documents: int, frequency: int) -> float:
    """How telling a term is that `frequency` of the chunks hold; above 0 always."""
    return log1p((max(documents - frequency, 0) + 0.5) / (frequency + 0.5))


def weights(query: Sequence[str], statistics: Statistics) -> list[tuple[str, float]]:
    """Each different term of a question with its weight, in the order of the terms, so that sums come out the same."""
    return [
        (term, count * idf(statistics.documents, statistics.frequency(term)))
        for term, count in sorted(Counter(query).items())
    ]


def norms(lengths: NDArray[np.int64], statistics: Statistics) -> Scores:
    """What a term frequency competes with in a chunk of each length.  lengths (n,) → (n,)"""
    if statistics.lengths == "byte":
        lengths = byte_lengths(lengths)
    return np.asarray(K1 * (1 - B + B * lengths / max(statistics.average_length, 1e-9)))


def byte_lengths(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lengths as Lucene's one-byte norms keep them: exact to 40, then with four significant bits, rounded down."""
    return _BYTE_LENGTHS[np.searchsorted(_BYTE_LENGTHS, lengths, side="right") - 1]


def _decode(byte: int) -> int:
    if byte < 24:
        return byte
    bits, shift = (byte - 24) & 7, ((byte - 24) >> 3) - 1
    return 24 + (bits if shift < 0 else (bits | 8) << shift)


_BYTE_LENGTHS = np.array([_decode(byte) for byte in range(256)], dtype=np.int64)


def settle(ids: Ids, scores: Scores) -> tuple[Ids, Scores]:
    """Ids and scores by (-score, id), scores that are equal but for rounding made equal.  (n,), (n,) → (n,), (n,)"""
    order = np.lexsort((ids, -scores))
    ids, scores = ids[order], scores[order]
    first = np.ones(len(ids), dtype=bool)
    first[1:] = scores[:-1] - scores[1:] > TIE * np.abs(scores[:-1])
    scores = scores[first][np.cumsum(first) - 1]  # each group takes its highest score
    order = np.lexsort((ids, -scores))
    return ids[order], scores[order]


def ranking(ids: Ids, scores: Scores, k: int) -> Ranking:
    """The k best as hits with part "bm25"."""
    ids, scores = settle(ids, scores)
    return [
        Hit(chunk, score, {"bm25": Part(place, score)})
        for place, (chunk, score) in enumerate(zip(ids[:k].tolist(), scores[:k].tolist(), strict=True), start=1)
    ]


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


MAX_TERM = 10_000  # characters; tantivy drops a term of 65,530 bytes and more without a word
