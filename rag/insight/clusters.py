"""Questions of one topic brought together, and words that tell it from the others; pure.

Average-link agglomeration (Sokal and Michener, 1958) over cosines: no number of clusters to guess, nothing drawn by
chance. Labels are the words of a cluster with the highest c-TF-IDF (Grootendorst, 2022): frequent in it, and rare
in the other questions.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from rag.keywords.analysis import analyse, words
from rag.types import Vectors

ALIKE = 0.4  # cosine at which two clusters are one, on average over their pairs
WORDS = 4  # of a label


@dataclass(frozen=True, slots=True)
class Cluster:
    """Questions of one topic."""

    label: tuple[str, ...]  # the most telling words, as they are written
    members: tuple[int, ...]  # rows, the most typical first


def clusters(vectors: Vectors, texts: Sequence[str], *, weights: Sequence[int], smallest: int) -> list[Cluster]:
    """The clusters of n questions (vectors (n, d), unit rows) that stand for at least `smallest` questions, each text
    for as many as its weight; the largest first."""
    groups = [group for group in _groups(vectors) if sum(weights[row] for row in group) >= smallest]
    groups.sort(key=lambda group: (-sum(weights[row] for row in group), group[0]))
    labels = _labels([[texts[row] for row in group] for group in groups], texts)
    return [Cluster(label, tuple(_typical(vectors, group))) for group, label in zip(groups, labels, strict=True)]


def _groups(vectors: Vectors) -> list[list[int]]:
    if len(vectors) < 2:
        return [[row] for row in range(len(vectors))]
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(vectors.astype(np.float64), "average", metric="cosine")
    of: NDArray[np.int32] = fcluster(tree, 1 - ALIKE, "distance")  # (n,), the number of each row's cluster
    found: dict[int, list[int]] = {}
    for row, number in enumerate(of):
        found.setdefault(int(number), []).append(row)
    return list(found.values())


def _typical(vectors: Vectors, group: list[int]) -> list[int]:
    """The rows of a group, those nearest to its middle first."""
    near = vectors[group] @ vectors[group].mean(axis=0)  # (g,)
    return [group[at] for at in sorted(range(len(group)), key=lambda at: (-round(float(near[at]), 6), group[at]))]


def _labels(groups: Sequence[Sequence[str]], texts: Sequence[str]) -> list[tuple[str, ...]]:
    """For each group its words with the highest tf · ln(1 + A / f): tf, how often in it; f, how often in all; A, words
    of a group on average."""
    everywhere, written = Counter[str](), dict[str, Counter[str]]()
    for text in texts:
        for term, word in _terms(text):
            everywhere[term] += 1
            written.setdefault(term, Counter())[word] += 1
    average = sum(everywhere.values()) / max(1, len(groups))
    found = []
    for group in groups:
        inside = Counter(term for text in group for term, _ in _terms(text))
        worth = {term: count * log(1 + average / everywhere[term]) for term, count in inside.items()}
        best = sorted(worth, key=lambda term: (-worth[term], term))[:WORDS]
        found.append(tuple(max(written[term].items(), key=lambda pair: (pair[1], pair[0]))[0] for term in best))
    return found


def _terms(text: str) -> list[tuple[str, str]]:
    """The terms of a text, each with its word as it stands there; function words have none."""
    found = []
    for word in words(text):
        terms = analyse(word)
        if terms and not word.isdecimal():
            found.append((terms[0], word.lower()))
    return found
