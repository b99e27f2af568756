"""How far reviewers agree beyond what chance would give: Cohen's kappa, Krippendorff's alpha, percent agreement.

A measure that is not defined, as where nobody judged the same item or all gave one label only, is None, never 0 or 1.
Intervals are 95 % percentile bootstraps over items (Efron & Tibshirani 1993, "An Introduction to the Bootstrap",
chapter 13), with a fixed seed: the same labels give the same interval.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scale = Literal["nominal", "ordinal"]
Matrix = NDArray[np.float64]

RESAMPLES = 1000
CHUNK = 50  # resamples drawn at once
INSIDE = (2.5, 97.5)  # percentiles


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of agreement over items that at least two people labelled."""

    value: float | None  # None: not defined
    low: float | None  # of the 95 % interval; None where there are fewer than two items, or no value
    high: float | None
    items: int
    labels: int  # that count


@dataclass(frozen=True, slots=True)
class Pair:
    """Two reviewers, over the items that both have labelled."""

    one: str
    other: str
    kappa: Measure
    agreement: Measure  # the share of items to which both gave the same label


@dataclass(frozen=True, slots=True)
class Agreement:
    """All reviewers of a queue."""

    alpha: Measure  # every label is a category of its own
    ordinal: Measure | None  # alpha with the labels in their order; None where labels have no order
    agreement: Measure  # of two labels of one item: how often they are the same
    pairs: tuple[Pair, ...]


Labels = Mapping[str, Mapping[str, str]]
"""Of each item, by reviewer, the label."""


def of(items: Labels, order: Sequence[str] | None = None) -> Agreement:
    """The agreement of everybody, and of every two. `order`: labels from the lowest to the highest; those that are
    not in it have no place, and count as missing for `ordinal`."""
    reviewers = sorted({reviewer for each in items.values() for reviewer in each})
    pairs = tuple(
        Pair(one, other, kappa(shared), percent(shared))
        for one, other in combinations(reviewers, 2)
        if (shared := _shared(items, one, other))
    )
    everybody = [list(each.values()) for each in items.values()]
    ordinal = None if order is None else alpha(everybody, "ordinal", order)
    return Agreement(alpha(everybody), ordinal, percent(everybody), pairs)


def _shared(items: Labels, one: str, other: str) -> list[tuple[str, str]]:
    return [(each[one], each[other]) for each in items.values() if one in each and other in each]


# ── measures ────────────────────────────────────────────────────────────────────────────────────────────────────────


def kappa(pairs: Sequence[tuple[str, str]]) -> Measure:
    """Cohen's kappa of two people, a pair of labels an item (Cohen 1960, "A Coefficient of Agreement for Nominal
    Scales"): (po - pe) / (1 - pe). None where chance alone would always agree."""
    labels = sorted({label for pair in pairs for label in pair})
    at = {label: number for number, label in enumerate(labels)}
    cells = np.zeros((len(pairs), len(labels), len(labels)))  # (items, labels of the one, labels of the other)
    for row, (one, other) in zip(cells, pairs, strict=True):
        row[at[one], at[other]] = 1
    return _measured(cells, _kappa, labels=2 * len(pairs))


def alpha(items: Sequence[Sequence[str]], scale: Scale = "nominal", order: Sequence[str] | None = None) -> Measure:
    """Krippendorff's alpha of any number of people, the labels that each item got (Krippendorff 2011, "Computing
    Krippendorff's Alpha-Reliability"): 1 - observed / expected disagreement; items with one label are left out. None
    where there is no variation. Ordinal: `order` is the scale, labels that are not in it are missing."""
    known = sorted({label for item in items for label in item}) if order is None else list(order)
    counts = _counts(items, known)
    kept = counts[counts.sum(axis=1) >= 2]
    cells = kept[:, :, None] * kept[:, None, :]  # (items, labels, labels)
    diagonal = np.arange(len(known))
    cells[:, diagonal, diagonal] -= kept
    cells /= (kept.sum(axis=1) - 1)[:, None, None]
    return _measured(cells, _alpha_nominal if scale == "nominal" else _alpha_ordinal, labels=int(kept.sum()))


def percent(items: Sequence[Sequence[str]]) -> Measure:
    """Of two labels of one item, how often they are the same: the mean over items that have two or more."""
    known = sorted({label for item in items for label in item})
    counts = _counts(items, known)
    kept = counts[counts.sum(axis=1) >= 2]
    size = kept.sum(axis=1)
    same = (kept * (kept - 1)).sum(axis=1) / np.maximum(size * (size - 1), 1)  # (items,)
    cells = np.stack([same, np.ones_like(same)], axis=1)[:, :, None]  # (items, 2, 1)
    return _measured(cells, lambda sums: _ratio(sums[:, 0, 0], sums[:, 1, 0]), labels=int(size.sum()))


def _counts(items: Sequence[Sequence[str]], known: Sequence[str]) -> Matrix:
    """How often each item got each label.  → (items, labels)"""
    at = {label: number for number, label in enumerate(known)}
    counts = np.zeros((len(items), len(known)))
    for row, item in zip(counts, items, strict=True):
        for label in item:
            if label in at:
                row[at[label]] += 1
    return counts


# Each of these takes sums over items of their cells (resamples, labels, labels) and gives (resamples,), NaN where not
# defined.


def _kappa(sums: Matrix) -> Matrix:
    total = sums.sum(axis=(1, 2))
    observed = np.trace(sums, axis1=1, axis2=2)
    chance = (sums.sum(axis=2) * sums.sum(axis=1)).sum(axis=1)
    return _ratio(observed * total - chance, total * total - chance)


def _alpha_nominal(sums: Matrix) -> Matrix:
    labels = sums.shape[1]
    return _alpha(sums, np.broadcast_to(1 - np.eye(labels), sums.shape))


def _alpha_ordinal(sums: Matrix) -> Matrix:
    """The distance of two ranks is the number of labels between their middles."""
    marginal = sums.sum(axis=2)  # (resamples, labels)
    upto = marginal.cumsum(axis=1) - marginal / 2
    return _alpha(sums, (upto[:, :, None] - upto[:, None, :]) ** 2)


def _alpha(sums: Matrix, distance: Matrix) -> Matrix:
    marginal = sums.sum(axis=2)
    total = marginal.sum(axis=1)
    observed = (sums * distance).sum(axis=(1, 2))
    expected = (marginal[:, :, None] * marginal[:, None, :] * distance).sum(axis=(1, 2))
    return 1 - _ratio(observed * (total - 1), expected)


def _ratio(above: Matrix, below: Matrix) -> Matrix:
    """NaN where the divisor is zero."""
    found: Matrix = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.abs(below) > 1e-12)
    return found


def _measured(cells: Matrix, statistic: Callable[[Matrix], Matrix], *, labels: int) -> Measure:
    """A measure and its interval from what each item adds to it.  cells (items, …)"""
    items = len(cells)
    value = _value(statistic(cells.sum(axis=0)[None])[0]) if cells.size else None
    if value is None or items < 2:
        return Measure(value, None, None, items, labels)
    # Items that add the same are drawn together: a multinomial of their shares is that of the items, and far fewer.
    kinds, times = np.unique(cells.reshape(items, -1), axis=0, return_counts=True)  # (kinds, …), (kinds,)
    random, drawn = np.random.default_rng(0), list[Matrix]()
    for _ in range(RESAMPLES // CHUNK):
        counted = random.multinomial(items, times / items, size=CHUNK)  # (resamples, kinds)
        drawn.append(statistic((counted @ kinds).reshape(CHUNK, *cells.shape[1:])))
    found = np.concatenate(drawn)
    found = found[~np.isnan(found)]
    if not found.size:
        return Measure(value, None, None, items, labels)
    low, high = np.percentile(found, INSIDE)
    return Measure(value, float(low), float(high), items, labels)


def _value(found: float) -> float | None:
    return None if np.isnan(found) else float(found)
