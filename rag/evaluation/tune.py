"""Which fusion suits a collection, by its own judged questions: tried on some of them, reported on the others.

Every way is searched with as everybody searches. The questions are split into folds; for each fold the way is chosen
that is best on the other folds, and measured on this one (nested cross-validation: Varma and Simon 2006). So the figure
reported is that of choosing like this, not that of the luckiest of many ways. n questions, c ways.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from ingest.wording import counted
from rag.errors import WrongUsage
from rag.evaluate import Progress, Way, searched
from rag.evaluation.metrics import by_query, metric
from rag.evaluation.significance import Difference, Mean, mean, paired
from rag.rankings.wrapped import Embedded
from rag.search import Fusion, OpenCollection
from rag.types import Example, Principal

ALPHAS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
DEPTHS = (50, 100, 200)
RRF_KS = (10, 60)
FOLDS = 5
FEWEST = 20  # judged questions from which anything can be told

Values = NDArray[np.float64]  # (c, n)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning found. Figures are of questions that had no part in choosing."""

    metric: str
    queries: int
    folds: int
    now: Fusion
    best: Fusion  # on all questions; the present one where no other is better
    fold_choices: tuple[Fusion, ...]
    default: Mean  # of the present way
    held_out: Mean  # of choosing
    gain: Difference
    tried: tuple[tuple[Fusion, float], ...]  # every way with its mean over all questions

    @property
    def significant(self) -> bool:
        """Whether choosing gained more than chance explains: the gain's 95 % interval lies above 0."""
        return self.best != self.now and self.gain.mean.low > 0


def ways(now: Fusion) -> tuple[Fusion, ...]:
    """What is tried, the present way first."""
    weighted = [replace(now, method="weighted", alpha=alpha, depth=depth) for depth in DEPTHS for alpha in ALPHAS]
    ranks = [replace(now, method="rrf", rrf_k=rrf_k) for rrf_k in RRF_KS]
    return tuple(dict.fromkeys([now, *weighted, *ranks]))


def tune(
    opened: OpenCollection,
    examples: Sequence[Example],
    now: Fusion,
    principal: Principal,
    *,
    name: str = "ndcg_cut_10",
    folds: int = FOLDS,
    progress: Progress = lambda done, total: None,
) -> Tuned:
    """Try every way on every judged question. Raises WrongUsage where there are too few of them, or of folds, and where
    they judge documents of another collection."""
    metric(name)
    if len(examples) < FEWEST:
        raise WrongUsage(f"{counted(len(examples), 'judged question')}: too few to tune by; there must be {FEWEST}")
    if not 2 <= folds <= len(examples):
        raise WrongUsage(f"the folds lie between 2 and the number of questions, {len(examples)}, not {folds}")
    asked = list(dict.fromkeys(example.question for example in examples))
    known = Embedded.of(opened.embedder(), asked)  # once, not once a way
    ready = replace(opened, embedder=lambda: known)
    judged = {example.id: example.relevant for example in examples}
    tried = ways(now)
    values, met = np.empty((len(tried), len(examples))), False  # whether any judged document was found
    for number, way in enumerate(tried):
        before = number * len(examples)

        def told(done: int, _: int, before: int = before) -> None:
            progress(before + done, len(tried) * len(examples))

        found = searched(ready, examples, Way("hybrid", way), principal, told)
        met |= any(judged[key].keys() & ranking.keys() for key, ranking in found.rankings.items())
        scores = by_query(name, judged, found.rankings)
        values[number] = [scores[example.id] for example in examples]
    if not met:
        raise WrongUsage(
            f"no search finds a document that these questions judge: {opened.collection.name!r} is not the "
            "collection they are about"
        )
    return choose(tried, values, fold_of(examples, folds), name)


def choose(tried: Sequence[Fusion], values: Values, fold: NDArray[np.int64], name: str) -> Tuned:
    """Choose by what every way got on every question: `values` (c, n), of which the first row is the present way, and
    the fold of each question (n,)."""
    picked = [_best(values[:, fold != number]) for number in _numbers(fold)]
    held_out = np.empty(values.shape[1])
    for number, choice in zip(_numbers(fold), picked, strict=True):
        held_out[fold == number] = values[choice, fold == number]
    default, ours, gain = mean(values[0].tolist()), mean(held_out.tolist()), paired(values[0], held_out)
    assert default is not None
    assert ours is not None
    assert gain is not None  # there are questions
    return Tuned(
        metric=name,
        queries=values.shape[1],
        folds=len(picked),
        now=tried[0],
        best=tried[_best(values)],
        fold_choices=tuple(tried[choice] for choice in picked),
        default=default,
        held_out=ours,
        gain=gain,
        tried=tuple((way, float(row.mean())) for way, row in zip(tried, values, strict=True)),
    )


def fold_of(examples: Sequence[Example], folds: int) -> NDArray[np.int64]:
    """The fold of each question (n,), by its id alone: equal sizes, and the same in whatever order they come."""
    order = sorted(range(len(examples)), key=lambda at: blake2b(examples[at].id.encode(), digest_size=8).digest())
    fold = np.empty(len(examples), dtype=np.int64)
    fold[order] = np.arange(len(examples)) % folds
    return fold


def _numbers(fold: NDArray[np.int64]) -> Iterator[int]:
    yield from range(int(fold.max()) + 1)


def _best(values: Values) -> int:
    """The way with the highest mean; of equal ones the first."""
    return int(np.argmax(values.mean(axis=1).round(12)))
