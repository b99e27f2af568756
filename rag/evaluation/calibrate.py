"""When to refuse: the confidence of a collection's answers fitted to judged questions, and a threshold chosen by them.

Every question is searched as everybody's is. Three ways are tried: the weights as they are, their confidence mapped
anew (Platt 1999), and weights fitted with those as a prior. What is reported was measured on folds that had no part in
fitting. Coverage is the share of questions that are answered, risk the share of those that should not have been; AURC
is the mean risk over all coverages (Geifman, Uziel and El-Yaniv 2019). n questions, f features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ingest.wording import counted
from rag.answers.confidence import FEATURES, OF_MODE, Abstaining, Model, weigh
from rag.errors import WrongUsage
from rag.evaluate import Progress, Way, documents, embedded
from rag.evaluation.tune import fold_of
from rag.search import OpenCollection, Search, search
from rag.store.filters.tree import Filter
from rag.types import Example, Metadata, Mode, Principal

FOLDS = 5
MOST_REFUSED = 0.05  # of the answerable
FEWEST = 20  # questions with an answer, and as many without, from which a threshold can be told
ENOUGH = 100  # … from which weights can
PRIOR = 20.0  # how many questions' worth the weights as they are count for
STEPS = 50
RESAMPLES = 2_000
SEED = 20070101
TABLE = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)  # coverages that are shown

Rows = NDArray[np.float64]  # (n, f)
Values = NDArray[np.float64]  # (n,)
Flags = NDArray[np.bool_]  # (n,)
How = Literal["as it is", "mapped", "refitted"]


# ── what is judged ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Judged:
    """Questions, what was found for them, and whether it answers them."""

    examples: tuple[Example, ...]
    features: Rows
    answerable: Flags
    found: Flags  # whether what answers is among the passages; of one that is not judged, whether it is answerable

    @property
    def right(self) -> Flags:
        """Which questions are better answered than refused: those with an answer that was found."""
        return self.answerable & self.found


def gather(
    opened: OpenCollection,
    examples: Sequence[Example],
    way: Way,
    passages: int,
    principal: Principal,
    *,
    hide: bool = False,
    progress: Progress = lambda done, total: None,
) -> Judged:
    """Search for every question. One with gold answers, or else with judged documents, is answerable.

    With `hide` every question that has judged documents is asked once more with these out of sight: then it has no
    answer.
    """
    asked = [(example, False) for example in examples]
    if hide:
        asked += [(replace(example, answers=()), True) for example in examples if _relevant(example)]
    rows, answerable, found = [], [], []
    embedder = None if way.mode == "keyword" else opened.embedder()
    for place, (example, ready) in enumerate(embedded(opened, [example for example, _ in asked], way.mode)):
        hidden, relevant = asked[place][1], _relevant(example)
        out_of_sight = {"$nin": sorted(relevant)}  # of ids and of addresses: what judgements call a document by
        where = Filter.parse({"external_id": out_of_sight, "uri": out_of_sight}) if hidden else None
        request = Search(example.question, passages, way.mode, where, way.fusion, way.refining)
        result = search(ready, request, principal, way.reranker)
        assert result.held is not None
        rows.append(weigh(example.question, result.passages, result.candidates, result.held, embedder).features)
        answerable.append(not hidden and bool(example.answers or relevant))
        found.append(hidden or not relevant or not relevant.isdisjoint(documents(result.passages)))
        progress(place + 1, len(asked))
    return Judged(
        tuple(example for example, _ in asked),
        np.array(rows, dtype=np.float64).reshape(len(rows), len(FEATURES)),
        np.array(answerable, dtype=bool),
        np.array(found, dtype=bool),
    )


def _relevant(example: Example) -> set[str]:
    return {key for key, grade in example.relevant.items() if grade > 0}


# ── fitting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def fit(
    rows: Rows, target: Flags, prior: Sequence[float], strength: float, importance: Values, group: NDArray[np.int64]
) -> tuple[Values, Values]:
    """Logistic regression with a Gaussian prior around `prior` (f,), each feature in units of its spread, and a bias
    for each group (n,).  → weights (f,), biases (g,)

    `importance` (n,) says how much a question counts; `strength` how many questions the prior does. Newton's method.
    """
    spread = rows.std(axis=0)
    spread[spread == 0] = 1.0
    shown = np.eye(int(group.max()) + 1)[group]  # (n, g)
    design = np.hstack([rows / spread, shown])
    start = np.concatenate([np.asarray(prior) * spread, np.zeros(shown.shape[1])])
    held = np.concatenate([np.full(rows.shape[1], strength), np.full(shown.shape[1], 1e-6)])
    theta = start.copy()
    for _ in range(STEPS):
        likely = _logistic(design @ theta)
        gradient = design.T @ (importance * (likely - target)) + held * (theta - start)
        curvature = (design * (importance * likely * (1 - likely))[:, None]).T @ design + np.diag(held)
        step = np.linalg.solve(curvature, gradient)
        length = float(np.abs(step).max())
        theta -= step * min(1.0, 2.0 / length if length else 1.0)
        if length < 1e-9:
            break
    return theta[: rows.shape[1]] / spread, theta[rows.shape[1] :]


def refitted(judged: Judged, rows: NDArray[np.int64], now: Model, mode: Mode) -> Model:
    """Weights fitted to these rows, those of `now` as a prior; a feature that the mode tells nothing of keeps none."""
    features = judged.features[rows] * [name in OF_MODE[mode] for name in FEATURES]
    one, group = np.ones(len(rows)), np.zeros(len(rows), dtype=np.int64)
    weights, bias = fit(features, judged.answerable[rows], now.weights, PRIOR, one, group)
    return Model(tuple(weights.tolist()), float(bias[0]))


def mapped(judged: Judged, rows: NDArray[np.int64], now: Model) -> Model:
    """The same order of questions, with a confidence that is theirs: slope and intercept fitted to these rows."""
    scores = _scores(now, judged.features[rows])[:, None]
    one, group = np.ones(len(rows)), np.zeros(len(rows), dtype=np.int64)
    [slope], [bias] = fit(scores, judged.answerable[rows], [1.0], PRIOR, one, group)
    slope = max(float(slope), 0.05)  # never the other way round
    return Model(tuple(slope * weight for weight in now.weights), slope * now.bias + float(bias))


def _scores(model: Model, rows: Rows) -> Values:
    return np.asarray(rows @ np.asarray(model.weights) + model.bias)


def _logistic(scores: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-np.clip(scores, -500, 500))))


# ── measuring ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the interval that its 95 % bootstrap over questions gives."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Point:
    """One place of a risk-coverage curve."""

    coverage: float  # share of questions answered
    risk: float  # share of these that should not have been
    threshold: float  # confidence from which they are


def auroc(confidence: Values, positive: Flags) -> float:
    """How often a positive one has the higher confidence; ties count half. NaN where one kind is missing."""
    above, below = confidence[positive], np.sort(confidence[~positive])
    if not len(above) or not len(below):
        return float("nan")
    wins = np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")
    return float(wins.sum() / (2 * len(above) * len(below)))


def interval(confidence: Values, positive: Flags, *, resamples: int = RESAMPLES) -> Interval:
    """`auroc` with its interval, both kinds drawn apart (Efron 1979)."""
    rng = np.random.default_rng(SEED)
    above, below = confidence[positive], confidence[~positive]
    flags = np.repeat([True, False], [len(above), len(below)])
    drawn = [
        auroc(np.concatenate([rng.choice(above, len(above)), rng.choice(below, len(below))]), flags)
        for _ in range(resamples)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(auroc(confidence, positive), float(low), float(high))


def curve(confidence: Values, right: Flags) -> tuple[Point, ...]:
    """Risk at every coverage, from all questions answered down to one; those of one confidence come together."""
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(~right[order])
    points = [
        Point(n / len(order), float(wrong[n - 1]) / n, float(confidence[order[n - 1]]))
        for n in range(len(order), 0, -1)
        if n == len(order) or confidence[order[n]] < confidence[order[n - 1]]
    ]
    return tuple(points)


def aurc(points: Sequence[Point]) -> float:
    """The area under a risk-coverage curve: the mean risk over coverages."""
    widths = [one.coverage - other.coverage for one, other in zip(points, [*points[1:], Point(0, 0, 1)], strict=True)]
    return float(sum(width * point.risk for width, point in zip(widths, points, strict=True)))


def below_refused(confidence: Values, answerable: Flags, most: float) -> float:
    """The highest threshold under which at most this share of the answerable is refused."""
    told = np.sort(confidence[answerable])
    return float(told[min(len(told) - 1, int(most * len(told)))])


def for_precision(confidence: Values, right: Flags, least: float) -> float:
    """The lowest threshold from which at least this share of the answered is right. Raises WrongUsage without one."""
    points = curve(confidence, right)
    for point in points:
        if 1 - point.risk >= least:
            return point.threshold
    best = max(1 - point.risk for point in points)
    raise WrongUsage(f"no threshold reaches a precision of {least:g}; the highest that one does is {best:.3f}")


# ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Tried:
    """One way, measured on folds that had no part in fitting it."""

    how: How
    auroc: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What calibrating found. Figures are of questions that had no part in fitting."""

    mode: Mode
    questions: int
    answerable: int
    unfound: int  # answerable ones whose judged documents are not among the passages
    folds: int
    how: How
    best: Abstaining
    auroc: Interval
    refused_answerable: float  # share
    refused_unanswerable: float
    points: tuple[Point, ...]
    aurc: float
    tried: tuple[Tried, ...]

    def table(self) -> tuple[Point, ...]:
        """The curve at the coverages of TABLE."""
        return tuple(min(self.points, key=lambda point: abs(point.coverage - coverage)) for coverage in TABLE)

    def settings(self) -> Metadata:
        """As a collection keeps it."""
        told = [(round(point.coverage, 4), round(point.risk, 4)) for point in self.table()]
        return self.best.settings(self.mode, told)


def calibrate(
    judged: Judged,
    now: Model,
    mode: Mode,
    *,
    most_refused: float = MOST_REFUSED,
    least_precision: float | None = None,
    folds: int = FOLDS,
) -> Calibrated:
    """Fit and choose. Raises WrongUsage where there are too few questions of a kind, or no threshold fits."""
    for kind, number in (("with", int(judged.answerable.sum())), ("without", int((~judged.answerable).sum()))):
        if number < FEWEST:
            raise WrongUsage(
                f"{counted(number, 'question')} {kind} an answer: too few to calibrate by; there must be {FEWEST}. "
                "--hide asks every judged question once more with its documents out of sight"
            )
    fold = _folds(judged.examples, folds)
    few = min(int(judged.answerable.sum()), int((~judged.answerable).sum())) < ENOUGH
    ways: tuple[How, ...] = ("as it is", "mapped") if few else ("as it is", "mapped", "refitted")
    confidences = {how: _held_out(judged, fold, now, mode, how) for how in ways}
    tried = tuple(_tried(how, confidences[how], judged.answerable) for how in ways)
    how = min(tried, key=lambda way: way.log_loss).how
    confidence = confidences[how]
    threshold = (
        below_refused(confidence, judged.answerable, most_refused)
        if least_precision is None
        else for_precision(confidence, judged.right, least_precision)
    )
    refused, points = confidence < threshold, curve(confidence, judged.right)
    return Calibrated(
        mode=mode,
        questions=len(judged.examples),
        answerable=int(judged.answerable.sum()),
        unfound=int((judged.answerable & ~judged.found).sum()),
        folds=folds,
        how=how,
        best=Abstaining(_model(judged, np.arange(len(judged.examples)), now, mode, how), threshold),
        auroc=interval(confidence, judged.answerable),
        refused_answerable=float(refused[judged.answerable].mean()),
        refused_unanswerable=float(refused[~judged.answerable].mean()),
        points=points,
        aurc=aurc(points),
        tried=tried,
    )


def _folds(examples: Sequence[Example], folds: int) -> NDArray[np.int64]:
    """The fold of each question (n,); one that is asked twice is in one fold."""
    once = list({example.id: example for example in examples}.values())
    number = dict(zip((example.id for example in once), fold_of(once, folds).tolist(), strict=True))
    return np.array([number[example.id] for example in examples], dtype=np.int64)


def _model(judged: Judged, rows: NDArray[np.int64], now: Model, mode: Mode, how: How) -> Model:
    if how == "refitted":
        return refitted(judged, rows, now, mode)
    return mapped(judged, rows, now) if how == "mapped" else now


def _held_out(judged: Judged, fold: NDArray[np.int64], now: Model, mode: Mode, how: How) -> Values:
    """The confidence of every question by a model fitted without its fold (n,)."""
    found = np.empty(len(fold))
    for number in range(int(fold.max()) + 1):
        model = _model(judged, np.flatnonzero(fold != number), now, mode, how)
        found[fold == number] = _logistic(_scores(model, judged.features[fold == number]))
    return found


def _tried(how: How, confidence: Values, answerable: Flags) -> Tried:
    likely = np.clip(np.where(answerable, confidence, 1 - confidence), 1e-12, 1)
    return Tried(how, auroc(confidence, answerable), float(-np.log(likely).mean()))
