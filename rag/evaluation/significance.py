"""How sure a mean is, and whether two differ: bootstrap intervals and paired randomisation tests over queries, pure.

Both draw from generators with a fixed seed, so the same values always give the same answer. n queries, m metrics.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 10_000  # of a bootstrap
FLIPS = 100_000  # of signs, where there are too many ways to try them all
EXACT = 16  # with at most so many queries that differ, every way is tried: 2 ** 16
LEVEL = 0.95
SEED = 20070101
AT_ONCE = 2**22  # random numbers held at one time
ROUNDING = 1e-12  # sums that differ by less, relative to what is summed, are the same

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over queries and the interval that its 95 % bootstrap gives; low ≤ value ≤ high."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more the second of two gets on the same queries."""

    mean: Mean  # second minus first
    p: float  # two-sided, 0…1; 1 where nothing differs
    wins: int  # queries on which the second is better
    losses: int


def mean(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = SEED) -> Mean | None:
    """The mean of one metric over queries with its interval; None where there are no queries."""
    return means(np.asarray(values, dtype=np.float64).reshape(-1, 1), resamples=resamples, seed=seed)[0]


def means(values: ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED) -> list[Mean | None]:
    """Each column's mean over its rows with its interval, all from the same resamples.  (n, m) → m

    The percentile bootstrap (Efron 1979; for retrieval Sakai 2006): queries are drawn with replacement, and the
    interval holds the middle 95 % of the means. It speaks of other queries like these, not of other judges or texts.
    """
    table = np.asarray(values, dtype=np.float64)  # (n, m)
    n, m = table.shape
    if not n:
        return [None] * m
    drawn = _blocks(resamples, n, lambda rows: _drawn(rows, n) @ table, seed) / n  # (resamples, m)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)  # (m,), (m,)
    found: list[Mean | None] = []
    for column in range(m):
        value = fsum(table[:, column]) / n
        # A mean of equal values may be rounded to either side of them.
        found.append(Mean(value, min(value, float(low[column])), max(value, float(high[column]))))
    return found


def paired(
    first: ArrayLike, second: ArrayLike, *, resamples: int = RESAMPLES, flips: int = FLIPS, seed: int = SEED
) -> Difference | None:
    """How the second differs from the first in one metric, on the same queries; None where there are no queries."""
    return paired_each(
        np.asarray(first, dtype=np.float64).reshape(-1, 1),
        np.asarray(second, dtype=np.float64).reshape(-1, 1),
        resamples=resamples,
        flips=flips,
        seed=seed,
    )[0]


def paired_each(
    first: ArrayLike, second: ArrayLike, *, resamples: int = RESAMPLES, flips: int = FLIPS, seed: int = SEED
) -> list[Difference | None]:
    """For each column the mean difference, its bootstrap interval, and the p of a two-sided paired randomisation test.
    (n, m), (n, m) → m

    If the two were alike, each query's difference could as well have had the other sign: p is the share of ways to set
    the signs that give a mean at least as far from zero (Fisher 1935; Smucker, Allan and Carterette 2007). Exact for
    at most 16 queries that differ, else from `flips` random ways and the one that was seen.
    """
    earlier, later = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if earlier.shape != later.shape:
        raise ValueError(f"the values are not of the same queries: {earlier.shape} and {later.shape}")
    table = later - earlier  # (n, m)
    found: list[Difference | None] = []
    for column, interval in enumerate(means(table, resamples=resamples, seed=seed)):
        differs = table[:, column]
        found.append(
            None
            if interval is None
            else Difference(interval, _p(differs, flips, seed), int((differs > 0).sum()), int((differs < 0).sum()))
        )
    return found


def holm(values: Sequence[float]) -> list[float]:
    """The p of several tests so corrected that the chance of even one false finding among them stays below the level
    (Holm 1979)."""
    corrected = [1.0] * len(values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, values[place] * (len(values) - rank)))
        corrected[place] = largest
    return corrected


def _p(differences: Values, flips: int, seed: int) -> float:
    sizes = np.abs(differences[differences != 0])  # (d,); the signs are set anew, and a zero has none
    if not sizes.size:
        return 1.0
    seen = abs(float(differences.sum())) - ROUNDING * float(sizes.sum())
    if sizes.size <= EXACT:
        ways = np.arange(2**sizes.size, dtype=np.int64)[:, None]
        signs = ((ways >> np.arange(sizes.size)) & 1) * 2.0 - 1  # (2 ** d, d)
        return float(np.mean(np.abs(signs @ sizes) >= seen))
    sums = _blocks(flips, sizes.size, lambda rows: _signs(rows, sizes.size) @ sizes[:, None], seed)  # (flips, 1)
    return (int(np.count_nonzero(np.abs(sums) >= seen)) + 1) / (flips + 1)


# ── drawing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

Rows = tuple[np.random.Generator, int]
"""Where to draw from, and how many rows."""


def _blocks(count: int, n: int, of: Callable[[Rows], Values], seed: int) -> Values:
    """`count` rows of what `of` gives, drawn in blocks that fit into memory."""
    generator = np.random.default_rng(seed)
    size = max(1, AT_ONCE // n)
    return np.concatenate([of((generator, min(size, count - begin))) for begin in range(0, count, size)])


def _drawn(rows: Rows, n: int) -> Values:
    """How often each of n queries is drawn when n are, with replacement.  → (rows, n)"""
    generator, count = rows
    picked = generator.integers(0, n, size=(count, n)) + np.arange(count)[:, None] * n
    return np.bincount(picked.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


def _signs(rows: Rows, n: int) -> Values:
    """Fair signs, 1 or -1.  → (rows, n)"""
    generator, count = rows
    bits = np.frombuffer(generator.bytes(-(-count * n // 8)), dtype=np.uint8)
    return np.unpackbits(bits)[: count * n].reshape(count, n).astype(np.float64) * 2 - 1
