"""Words that no chunk holds, and the held ones they may be misspellings of.

The distance counts letters left out, put in, replaced, or swapped with their neighbour (optimal string alignment,
Damerau 1964): one up to seven letters, two beyond. Short words and whatever holds a digit are never replaced.
"""

from collections.abc import Callable, Iterable

SHORTEST = 4  # letters of a word that may be replaced
LONG = 8  # letters from which two mistakes may be made
LONGEST = 40  # letters; what is longer is no misspelt word
MOST = 3  # words that one may be replaced by
TRUST = 0.5  # what a replacement weighs, of what the word itself would


def correctable(term: str) -> bool:
    """Whether an unknown term may be a misspelt word."""
    return SHORTEST <= len(term) <= LONGEST and term.isalpha()


def nearest(term: str, candidates: Iterable[str], frequency: Callable[[str], int]) -> list[str]:
    """The held terms it may be a misspelling of: only the nearest, the most frequent first, MOST at most."""
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extract

    cutoff = 1 if len(term) < LONG else 2
    found = extract(term, list(dict.fromkeys(candidates)), scorer=OSA.distance, score_cutoff=cutoff, limit=None)
    held = [(int(distance), -count, other) for other, distance, _ in found if (count := frequency(other))]
    return [other for distance, _, other in sorted(held)[:MOST] if distance == min(held)[0]]


def spread(term: str) -> int:
    """In how many bytes a term may differ from one that is near enough; a plain word's letters are as plain."""
    return (1 if len(term) < LONG else 2) * (1 if term.isascii() else 3)
