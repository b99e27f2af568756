"""Do questions drift away from the corpus? The share that lies out of what a collection was asked before; pure.

A question is as near to a corpus as its nearest passage (the cosine that the search by meaning gave it when it was
asked). It counts as *out* when it is farther than 95 of 100 questions of a reference period that were answered: not
refused, not failed, not rated bad. That is the rule of the nearest neighbour for what is out of distribution (Sun,
Ming, Zhu and Li, ICML 2022). The share of all questions that are out is then compared between the two periods; its
interval draws both anew, the limit with them (the bootstrap of Efron, 1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from rag.evaluation.significance import Mean
from rag.insight.figures import Step, step_of, steps
from rag.insight.intervals import Share, share

INSIDE = 0.95  # of the answered questions of the reference period
ENOUGH = 50  # answered questions that a limit needs
RESAMPLES = 1000
SEED = 20220717


@dataclass(frozen=True, slots=True)
class Near:
    """A question and how near its nearest passage was."""

    id: str
    at: datetime
    text: str
    cosine: float
    answered: bool  # not refused, not failed, not rated bad


@dataclass(frozen=True, slots=True)
class DriftPoint:
    since: datetime
    until: datetime
    out: Share | None  # None: no question then
    median: float | None  # cosine


@dataclass(frozen=True, slots=True)
class Drift:
    """Two periods compared."""

    limit: float  # a question whose nearest passage has a lower cosine is out
    before: Share  # out in the reference period
    now: Share
    change: Mean  # now minus before
    points: Sequence[DriftPoint]
    step: Step
    farthest: Sequence[Near]  # of now, those that are out, the farthest first


def drift(
    before: Sequence[Near], now: Sequence[Near], since: datetime, until: datetime, *, shown: int = 10
) -> Drift | None:
    """How the questions of now compare with those before; None where either has too few to tell."""
    answered = np.array([one.cosine for one in before if one.answered])
    if len(answered) < ENOUGH or len(now) < ENOUGH:
        return None
    limit = float(np.quantile(answered, 1 - INSIDE))
    shares = [share(sum(one.cosine < limit for one in period), len(period)) for period in (before, now)]
    assert shares[0] is not None
    assert shares[1] is not None
    out = sorted((one for one in now if one.cosine < limit), key=lambda one: (one.cosine, one.id))
    step = step_of(since, until)
    return Drift(
        limit, shares[0], shares[1], _change(before, now), _points(now, limit, since, until, step), step, out[:shown]
    )


def _change(before: Sequence[Near], now: Sequence[Near]) -> Mean:
    """The share out of now minus that before, with the interval of the bootstrap over both."""
    draw = np.random.default_rng(SEED)
    earlier, later = np.array([one.cosine for one in before]), np.array([one.cosine for one in now])  # (n,), (m,)
    answered = np.array([one.answered for one in before])

    def differs(first: NDArray[np.float64], kept: NDArray[np.bool_], second: NDArray[np.float64]) -> float:
        limit = np.quantile(first[kept], 1 - INSIDE)
        return float((second < limit).mean() - (first < limit).mean())

    found = []
    for _ in range(RESAMPLES):
        drawn = draw.integers(0, len(earlier), len(earlier))
        if answered[drawn].any():
            again = later[draw.integers(0, len(later), len(later))]
            found.append(differs(earlier[drawn], answered[drawn], again))
    low, high = np.quantile(found, [0.025, 0.975])
    value = differs(earlier, answered, later)
    return Mean(value, min(value, float(low)), max(value, float(high)))


def _points(now: Sequence[Near], limit: float, since: datetime, until: datetime, step: Step) -> list[DriftPoint]:
    found = []
    for begin, end in steps(since, until, step):
        cosines = [one.cosine for one in now if begin <= one.at < end]
        middle = float(np.median(cosines)) if cosines else None
        out = share(sum(cosine < limit for cosine in cosines), len(cosines))
        found.append(DriftPoint(max(begin, since), min(end, until), out, middle))
    return found
