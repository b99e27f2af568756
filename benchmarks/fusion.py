"""Which fusion should be the default: every way on SciFact and LiveQA-Med, chosen on the one and measured on the other.

    python benchmarks/fusion.py [DATA]

DATA is a data folder that is kept between runs (a temporary one without it): both sets are taken in by `rag eval`, as
anybody would. Every chunk is scored once in both arms; the ways of fusing are then arithmetic.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import measuring
import numpy as np
from numpy.typing import NDArray

from rag import config
from rag.app import opening
from rag.evaluate import read_folder
from rag.evaluation.metrics import by_query
from rag.evaluation.significance import mean, paired
from rag.rankings.fusion import ceiling, shares
from rag.search import Fusion
from rag.store import documents as document_store
from rag.types import Example, Hit

SETS = ("scifact", "liveqa-med-nih")
ALPHAS = tuple(step / 10 for step in range(2, 9))
FOLDS = 5
METRIC = "ndcg_cut_10"

Scores = NDArray[np.float64]  # (n,)
Scale = Callable[[Scores, float], Scores]
"""Scores of the candidates (n,) and the highest there could be → comparable scores (n,)"""


@dataclass(frozen=True)
class Judged:
    """One set with the scores of every chunk: q questions, n chunks."""

    examples: Sequence[Example]
    documents: list[list[str]]  # of each chunk
    dense: Scores  # (q, n)
    keyword: Scores  # (q, n)
    ceilings: list[float]  # (q,)


def zscore(scores: Scores, _: float) -> Scores:
    spread = float(scores.std())
    return (scores - scores.mean()) / spread if spread > 0 else np.zeros(len(scores))


SCALES: dict[str, tuple[Scale, Scale]] = {  # of dense and keyword scores
    "min-max": (lambda s, _: shares(s, (None, None)), lambda s, _: shares(s, (None, None))),
    "z-score": (zscore, zscore),
    "by the top": (lambda s, _: shares(s, (0.0, None)), lambda s, _: shares(s, (0.0, None))),
    "bounds": (lambda s, top: shares(s, (None, top)), lambda s, top: shares(s, (0.0, top))),
}


def read(name: str, data: Path) -> Judged:
    """Take the set in, if it is not, and score every chunk for every question."""
    folder = read_folder(measuring.DATA / name)
    ingested = measuring.rag("ingest", str(folder.corpus), "--collection", folder.collection, data=data)
    subprocess.run(ingested, check=True, stdout=subprocess.DEVNULL)
    settings = config.load({"data": data, "collection": folder.collection}).settings
    with opening(settings) as app:
        opened = app.opened()
        view = opened.indexes.view()
        ids = view.vectors.ids()
        with app.database.read() as connection:
            permitted = app.access.permitted(connection, app.local(), opened.collection.id, None)
            held = {
                passage.hit.chunk_id: [place.external_id or "" for place in passage.places]
                for passage in document_store.passages(
                    connection,
                    [Hit(chunk, 0.0, {}) for chunk in ids.tolist()],
                    permitted.predicate,
                    permitted.position,
                    {},
                )
            }
        questions = [example.question for example in folder.judged]
        terms = [view.question_terms(question) for question in questions]
        return Judged(
            folder.judged,
            [held[chunk] for chunk in ids.tolist()],
            (opened.embedder().embed_queries(questions) @ view.vectors.rows(ids.tolist()).T).astype(np.float64),
            np.stack([view.keywords.scores(each, ids) for each in terms]),
            [ceiling(each, view.keywords.statistics()) for each in terms],
        )


def first(scores: Scores, depth: int) -> NDArray[np.int64]:
    """The best chunks of an arm, by (-score, place)."""
    return np.lexsort((np.arange(len(scores)), -scores))[:depth]


def measured(judged: Judged, fuse: Callable[[int], tuple[NDArray[np.int64], Scores]]) -> Scores:
    """The metric of every question (q,)."""
    run = {}
    for number, example in enumerate(judged.examples):
        chunks, scores = fuse(number)
        found: dict[str, float] = {}
        for chunk, score in zip(chunks.tolist(), scores.tolist(), strict=True):
            for document in judged.documents[chunk]:
                found[document] = max(score, found.get(document, score))
        run[example.id] = found
    values = by_query(METRIC, {example.id: example.relevant for example in judged.examples}, run)
    return np.array([values[example.id] for example in judged.examples])


def candidates(judged: Judged, number: int, depth: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    near, worded = first(judged.dense[number], depth), first(judged.keyword[number], depth)
    return near, worded[judged.keyword[number][worded] > 0]


def mixed(judged: Judged, scale: str, alpha: float, depth: int = 100) -> Scores:
    of_dense, of_keyword = SCALES[scale]

    def fuse(number: int) -> tuple[NDArray[np.int64], Scores]:
        union = np.union1d(*candidates(judged, number, depth))
        dense = of_dense(judged.dense[number][union], 1.0)
        keyword = of_keyword(judged.keyword[number][union], judged.ceilings[number])
        return union, alpha * dense + (1 - alpha) * keyword

    return measured(judged, fuse)


def reciprocal(judged: Judged, k: int, depth: int = 100) -> Scores:
    def fuse(number: int) -> tuple[NDArray[np.int64], Scores]:
        arms = candidates(judged, number, depth)
        union = np.union1d(*arms)
        total = np.zeros(len(union))
        for arm in arms:
            total[np.searchsorted(union, arm)] += 1 / (k + np.arange(1, len(arm) + 1))
        return union, total

    return measured(judged, fuse)


def alone(judged: Judged, scores: Scores) -> Scores:
    """One arm without the other."""

    def fuse(number: int) -> tuple[NDArray[np.int64], Scores]:
        best = first(scores[number], 400)
        return best, scores[number][best]

    return measured(judged, fuse)


def told(values: Scores, against: Scores) -> dict[str, float]:
    figure, gain = mean(values.tolist()), paired(against, values)
    assert figure is not None
    assert gain is not None
    return {
        "value": round(figure.value, 4),
        "low": round(figure.low, 4),
        "high": round(figure.high, 4),
        "over_min_max": round(gain.mean.value, 4),
        "p": round(gain.p, 4),
    }


def main(data: Path) -> None:
    sets = {name: read(name, data) for name in SETS}
    values = {
        name: {
            **{(scale, alpha): mixed(judged, scale, alpha) for scale in SCALES for alpha in (*ALPHAS, Fusion().alpha)},
            **{("rrf", float(k)): reciprocal(judged, k) for k in (10, 60)},
            ("bm25", 0.0): alone(judged, judged.keyword),
            ("dense", 1.0): alone(judged, judged.dense),
        }
        for name, judged in sets.items()
    }
    result: dict[str, object] = {"metric": METRIC, "sets": {}}
    for name, found in values.items():
        plain = found["min-max", 0.5]
        other = values[next(each for each in SETS if each != name)]
        tuned = {}
        for scale in SCALES:
            ways = [(scale, alpha) for alpha in ALPHAS]
            chosen = max(ways, key=lambda way: (float(other[way].mean()), -abs(way[1] - 0.5)))
            fold = np.arange(len(plain)) % FOLDS
            held = np.empty(len(plain))
            for number in range(FOLDS):
                best = max(ways, key=lambda way: (float(found[way][fold != number].mean()), -abs(way[1] - 0.5)))
                held[fold == number] = found[best][fold == number]
            tuned[scale] = {
                "alpha_of_the_other_set": chosen[1],
                "tuned_on_the_other_set": told(found[chosen], plain),
                "held_out_folds": told(held, plain),
            }
        result["sets"][name] = {  # type: ignore[index]
            "questions": len(plain),
            "ways": {f"{way} {number:g}": told(each, plain) for (way, number), each in found.items()},
            "default": told(found["bounds", Fusion().alpha], plain),
            "tuned": tuned,
        }
    measuring.write("fusion", result)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
