"""Quantiles of many values in little memory: counts in buckets whose width grows with the value, pure.

DDSketch (Masson, Rim and Lee, PVLDB 12, 2019): a quantile lies within 1 % of the true one, and sketches of parts add up
to the sketch of the whole, which quantiles themselves do not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

ACCURACY = 0.01
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
SMALLEST = 1e-3  # what is less counts as nothing
BUCKETS = 1280  # above the last lie values of more than 1e8


@dataclass(frozen=True, slots=True)
class Sketch:
    """How many values lie in each bucket that has some: bucket 0 holds nothing, bucket i values up to
    SMALLEST · GAMMA ** i."""

    buckets: NDArray[np.int16]  # (b,), ascending
    counts: NDArray[np.int64]  # (b,)

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    def quantile(self, share: float) -> float | None:
        """The value at rank ⌊share · (n − 1)⌋ of the sorted ones, within 1 %; None where there are none."""
        if not self.counts.size:
            return None
        rank = int(share * (self.n - 1))
        bucket = int(self.buckets[np.searchsorted(np.cumsum(self.counts), rank, side="right")])
        return 0.0 if bucket == 0 else float(SMALLEST * 2 * GAMMA**bucket / (GAMMA + 1))


def sketch(values: ArrayLike, each: int = 1) -> Sketch:
    """The sketch of values that are not negative, (n,), each of which stands for so many."""
    found = np.asarray(values, dtype=np.float64)
    steps = np.ceil(np.log(np.maximum(found, SMALLEST) / SMALLEST) / log(GAMMA))  # (n,), 0 for SMALLEST and less
    return _of_counts(np.bincount(np.clip(steps, 0, BUCKETS - 1).astype(np.int64)) * each)


def merged(sketches: Iterable[Sketch]) -> Sketch:
    """The sketch of the values of all."""
    parts = list(sketches)
    if not parts:
        return sketch([])
    buckets = np.concatenate([part.buckets for part in parts]).astype(np.int64)
    counts = np.concatenate([part.counts for part in parts])
    return _of_counts(np.bincount(buckets, weights=counts).astype(np.int64))


def _of_counts(dense: NDArray[np.int64]) -> Sketch:
    held = np.flatnonzero(dense)
    return Sketch(held.astype(np.int16), dense[held].astype(np.int64))
