"""How sure a share or a mean is that was counted, not sampled again: closed forms, pure."""

from dataclasses import dataclass
from math import sqrt

Z = 1.959964  # of the normal distribution, for 95 %


@dataclass(frozen=True, slots=True)
class Share:
    """So many of n, and where the true share lies with 95 % confidence."""

    count: int
    n: int
    value: float
    low: float
    high: float


def share(count: int, n: int) -> Share | None:
    """`count` of `n` with the score interval of Wilson (1927), which holds near 0 and 1 too; None of nothing."""
    if not n:
        return None
    value, spread = count / n, Z * Z / n
    middle = (value + spread / 2) / (1 + spread)
    half = Z * sqrt(value * (1 - value) / n + spread / (4 * n)) / (1 + spread)
    return Share(count, n, value, max(0.0, min(value, middle - half)), min(1.0, max(value, middle + half)))


@dataclass(frozen=True, slots=True)
class Average:
    """A mean of n values, and its interval of 95 %; both ends None for a single value, whose spread nobody knows."""

    n: int
    value: float
    low: float | None
    high: float | None


def average(n: int, total: float, squares: float) -> Average | None:
    """The mean of n values by their sum and the sum of their squares, ± 1.96 standard errors; None of nothing."""
    if not n:
        return None
    value = total / n
    if n == 1:
        return Average(1, value, None, None)
    variance = max(0.0, (squares - total * value) / (n - 1))
    half = Z * sqrt(variance / n)
    return Average(n, value, value - half, value + half)
