"""Which consecutive words of a sentence to keep where it is too long: those that most likely hold the answer; pure."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag.generators._evidence import Candidate
from rag.generators._extractive.features import Query, fitting, nearness
from rag.language import is_content

SHORTEST = 8  # words to which a sentence may be cut
# How likely a word is of the answer, set on where the answers of XQuAD stand in their sentences; see the log.
QUIET = 0.07  # what a word weighs far from every word of the question; beside all of them it weighs 1 more
OWN = 0.3  # factor of the question's own words
FITTING = 5.0  # … of a word of the kind asked for
SMALL = 0.15  # … of words that carry no meaning
CLEAN = 0.01  # what it is worth, of the whole, that a window begins or ends where a clause does
_CLAUSE_ENDS = re.compile(r"[,;:.!?)\]–—][\"'”’»]*$")


@dataclass(frozen=True, slots=True)
class Windows:
    """A sentence's words between blanks, and for each number of them the best window."""

    spans: tuple[tuple[int, int], ...]
    kept: tuple[tuple[float, int], ...]  # index: words kept; (share of the answer's likely mass, first word)

    @property
    def length(self) -> int:
        return len(self.spans)

    @classmethod
    def of(cls, query: Query, one: Candidate) -> "Windows":
        spans = tuple((match.start(), match.end()) for match in re.finditer(r"\S+", one.text))
        masses = np.zeros(len(spans))
        at = 0
        for word, mass in zip(one.words, token_masses(query, one), strict=True):
            while spans[at][1] <= word.start:
                at += 1
            masses[at] += mass
        ends = [_CLAUSE_ENDS.search(one.text[start:end]) is not None for start, end in spans]
        return cls(spans, tuple(kept_shares(masses, ends)))


def token_masses(query: Query, one: Candidate) -> NDArray[np.float64]:
    """How likely each word of a sentence belongs to the answer, up to a factor.  → (len(one.words),)

    Answers stand near the question's words, are not these words themselves, and are of the kind asked for.
    """
    masses = QUIET + nearness(query, one.words)
    fits = fitting(query, one)
    for at, word in enumerate(one.words):
        if word.stem in query.stems:
            masses[at] *= OWN
        elif fits[at]:
            masses[at] *= FITTING
        elif not is_content(word):
            masses[at] *= SMALL
    return masses


def kept_shares(masses: NDArray[np.float64], ends: list[bool]) -> list[tuple[float, int]]:
    """For each window length 0…n the share of the mass that the best window of so many words keeps, and its first.

    ends: for each word whether a clause ends with it. Of windows that keep about as much, one that begins or ends with
    a clause is better.
    """
    n = len(masses)
    sums = np.concatenate([[0.0], np.cumsum(masses)])
    total = float(sums[-1]) or 1.0
    begins = np.array([True, *ends[:-1]]) if n else np.zeros(0, dtype=bool)
    closes = np.array([*ends[:-1], True]) if n else np.zeros(0, dtype=bool)
    found = [(0.0, 0)]
    for length in range(1, n + 1):
        inside = (sums[length:] - sums[:-length]) / total
        clean = begins[: n - length + 1].astype(np.float64) + closes[length - 1 :]
        begin = int(np.argmax(inside + CLEAN * clean))
        found.append((float(inside[begin]), begin))
    return found


def splits(one: int, other: int, budget: int) -> list[tuple[int, int]]:
    """How two sentences of so many words may share the budget: whole when they fit, else every cut of both."""
    if one + other <= budget:
        return [(one, other)]
    low, high = max(min(SHORTEST, one), budget - other), min(one, budget - min(SHORTEST, other))
    return [(length, budget - length) for length in range(low, high + 1)]
