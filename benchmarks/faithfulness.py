"""Is an answer borne out by its text? The faithfulness score against human judgements, cross-validated.

    python -m benchmarks.faithfulness [--embedded] [--data FOLDER] [--json FILE]

The data are begin-wow (dialogue answers, fully attributable to their text or not) and scifact-claims (claims that an
abstract supports, contradicts, or says nothing of). The weights of rag/scorers/_grounds.py are fitted on four fifths
and judge the fifth, five folds, three seeds; and on the one set to judge the other. An area under the ROC curve has a
95 % interval from 1,000 bootstrap samples of examples. The last lines are the weights fitted on everything.
"""

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag import embedders
from rag.checks.reading import read
from rag.scorers._grounds import BY_WORDS, EMBEDDED, WRONG, Observed, Weights
from rag.scorers.faithfulness import Faithfulness, sentences_of
from rag.types import Embedder, Hit, Passage

Floats = NDArray[np.float64]
DIALOGUE = "begin-wow"
GROUPS = {
    "Fully attributable": True,
    "Not fully attributable": False,
    "SUPPORT": True,
    "CONTRADICT": False,
    "NOT_ENOUGH_INFO": False,
}
CONTRASTS = {
    "begin-wow: attributable or not": ("Fully attributable", "Not fully attributable"),
    "scifact-claims: support or contradiction": ("SUPPORT", "CONTRADICT"),
    "scifact-claims: support or not enough": ("SUPPORT", "NOT_ENOUGH_INFO"),
}
SHARES = {
    "Fully attributable": 2.0,
    "Not fully attributable": 2.0,
    "SUPPORT": 3.0,
    "CONTRADICT": 1.0,
    "NOT_ENOUGH_INFO": 2.0,
}
"""What a label counts in the fit, whatever the number of its examples."""
FOLDS, SEEDS, SAMPLES = 5, 3, 1000
RIDGE = 10.0  # draws the weights of standardised observations to 0; from 10 to 100 no area changes by over 0.007


@dataclass(frozen=True, slots=True)
class Judged:
    """An example and what was observed of it."""

    label: str
    parts: tuple[Observed | None, ...]  # of each sentence; None where it is there word for word
    whole: Observed | None  # of the answer as one
    overlap: float  # the share of content words that the text has: the baseline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RAG_TEST_DATA", "../shared/data")))
    parser.add_argument("--models", type=Path, default=Path(os.environ.get("RAG_MODELS", "models")))
    parser.add_argument("--embedded", action="store_true", help="groundedness in place of faithfulness")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    embedder = embedders.load(embedders.DEFAULT, models_dir=given.models, threads=1) if given.embedded else None
    report(observed(given.data, embedder), EMBEDDED if given.embedded else BY_WORDS, given.json)


def observed(folder: Path, embedder: Embedder | None) -> list[Judged]:
    scorer = Faithfulness(embedder)
    started = time.process_time()
    found = [seen(scorer, answer, text, label) for answer, text, label in examples(folder)]
    print(f"{len(found)} answers, {(time.process_time() - started) / len(found) * 1000:.1f} ms of processor time each")
    return found


def examples(folder: Path) -> Iterator[tuple[str, str, str]]:
    """(answer, text, label)"""
    for line in (folder / DIALOGUE / "examples.jsonl").read_text().splitlines():
        one = json.loads(line)
        if one["label"] in GROUPS:
            yield one["answer"], one["context"], one["label"]
    for line in (folder / "scifact-claims" / "claims.jsonl").read_text().splitlines():
        one = json.loads(line)
        yield one["claim"], " ".join(one["context_sentences"]), one["label"]


def seen(scorer: Faithfulness, answer: str, text: str, label: str) -> Judged:
    passages = (Passage(Hit(1, 1.0, {}), text, "", (), (), None, 0, len(text), 1),)
    wanted = set(read(answer).content)
    overlap = len(wanted & read(text).keys) / len(wanted) if wanted else 0.0
    borne = sentences_of(answer, passages)
    if not borne:
        nothing = Observed((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), wrong=False)
        return Judged(label, (nothing,), nothing, overlap)
    *parts, whole = scorer.observed(answer, borne, passages)
    return Judged(label, tuple(parts), whole, overlap)


# ── fitting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def fitted(data: Sequence[Judged]) -> Floats:
    """The bias and the weights, by Newton's method on the weighted logistic loss with a ridge.  → (1 + 6,)"""
    kept = [one for one in data if one.whole is not None]
    rows = np.array([one.whole.weighed for one in kept if one.whole])  # (n, 6)
    truth = np.array([GROUPS[one.label] for one in kept], dtype=np.float64)  # (n,)
    counts = Counter(one.label for one in kept)
    shares = np.array([SHARES[one.label] / counts[one.label] for one in kept])
    shares *= len(kept) / shares.sum()
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    plain = np.hstack([np.ones((len(rows), 1)), (rows - mean) / spread])  # (n, 7)
    ridge = np.diag([0.0, *[RIDGE] * rows.shape[1]])
    weights = np.zeros(plain.shape[1])
    for _ in range(25):
        told = 1 / (1 + np.exp(-plain @ weights))
        slope = plain.T @ (shares * (truth - told)) - ridge @ weights
        bend = (plain * (shares * told * (1 - told))[:, None]).T @ plain + ridge
        weights = weights + np.linalg.solve(bend, slope)
    return np.array([weights[0] - float(weights[1:] / spread @ mean), *(weights[1:] / spread)])


def value(one: Judged, weights: Floats) -> float:
    """The faithfulness score under these weights."""

    def likely(seen: Observed | None) -> float:
        if seen is None:
            return 1.0
        return (WRONG if seen.wrong else 1.0) / (1 + float(np.exp(-(weights[0] + np.dot(weights[1:], seen.weighed)))))

    return (float(np.mean([likely(part) for part in one.parts])) + likely(one.whole)) / 2


def out_of_fold(data: Sequence[Judged], seed: int) -> Floats:
    """Each example's score under weights fitted without its fold.  → (n,)"""
    random = np.random.default_rng(seed)
    folds = np.empty(len(data), dtype=np.int64)
    for label in GROUPS:
        places = random.permutation([i for i, one in enumerate(data) if one.label == label])
        folds[places] = np.arange(len(places)) % FOLDS
    values = np.empty(len(data))
    for fold in range(FOLDS):
        weights = fitted([one for one, its in zip(data, folds, strict=True) if its != fold])
        for i in np.flatnonzero(folds == fold):
            values[i] = value(data[i], weights)
    return values


# ── measuring ───────────────────────────────────────────────────────────────────────────────────────────────────────


def area(good: Floats, bad: Floats) -> float:
    """The area under the ROC curve; ties count half."""
    ordered = np.sort(bad)
    below, upto = np.searchsorted(ordered, good, "left"), np.searchsorted(ordered, good, "right")
    return float((below + upto).sum() / 2 / len(good) / len(bad))


def interval(good: Floats, bad: Floats) -> tuple[float, float]:
    random = np.random.default_rng(0)
    areas = [area(random.choice(good, len(good)), random.choice(bad, len(bad))) for _ in range(SAMPLES)]
    low, high = np.percentile(areas, [2.5, 97.5])
    return float(low), float(high)


def report(data: Sequence[Judged], shipping: Weights, path: Path | None) -> None:
    labels = np.array([one.label for one in data])
    folded = [out_of_fold(data, seed) for seed in range(SEEDS)]
    dialogue = np.isin(labels, CONTRASTS["begin-wow: attributable or not"])
    across = np.empty(len(data))
    for train in (dialogue, ~dialogue):
        weights = fitted([one for one, trained in zip(data, train, strict=True) if trained])
        across[~train] = [value(one, weights) for one, trained in zip(data, train, strict=True) if not trained]
    shipped = np.array([value(one, np.array([shipping.bias, *shipping.each])) for one in data])
    overlaps = np.array([one.overlap for one in data])
    figures: dict[str, dict[str, object]] = {}
    for name, (good, bad) in CONTRASTS.items():

        def auc(values: Floats, good: str = good, bad: str = bad) -> float:
            return area(values[labels == good], values[labels == bad])

        low, high = interval(folded[0][labels == good], folded[0][labels == bad])
        figures[name] = {
            "word overlap": auc(overlaps),
            "out of fold": float(np.mean([auc(values) for values in folded])),
            "interval": [low, high],
            "trained on the other set": auc(across),
            "shipped weights": auc(shipped),
        }
        print(name, json.dumps({key: np.round(told, 4).tolist() for key, told in figures[name].items()}))
    weights = fitted(data)
    names = ("BIAS", "SUPPORT", "LETTERS", "COSINE", "OPINION", "MISSING", "NEGATION")
    print("\n".join(f"{name} = {weight:.3f}" for name, weight in zip(names, weights, strict=True)))
    if path:
        path.write_text(json.dumps({"figures": figures, "weights": dict(zip(names, weights, strict=True))}, indent=1))


if __name__ == "__main__":
    main()
