"""Does confidence tell questions with an answer from those without: fitted, held out, and carried over to other sets.

    python benchmarks/abstention.py [DATA] [--fit]

DATA is a data folder that is kept between runs (a temporary one without it): the sets are taken in as `rag calibrate`
does. clapnq-dev brings its own questions without an answer; of the other judged sets every question is asked once more
with its judged documents out of sight. For the documentation folders doc_questions.json has questions of our own, with
and without an answer, and every third answerable one of a folder is asked of the others too. "notes" are made of XQuAD:
one to three sentences of each paragraph, several articles to a file as people keep notes; what was asked of a paragraph
has an answer where the sentences hold it, and none where they do not. Each set counts by SHARES. All have one
intercept: the threshold has to serve a collection of which nothing is known.

--fit prints the weights for rag/answers/confidence.py. The result holds for every set five folds (those of the other
sets in every fit); each set fitted on the others alone; the default weights; and the folds of clapnq-dev alone, as
`rag calibrate` would fit it.
"""

import json
import random
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import measuring
import numpy as np
from numpy.typing import NDArray

from rag import config
from rag.answers.confidence import DEFAULTS, FEATURES, OF_MODE, THRESHOLD, Model
from rag.app import opening
from rag.evaluate import Way, read_folder
from rag.evaluation.calibrate import (
    Interval,
    Judged,
    aurc,
    auroc,
    below_refused,
    calibrate,
    curve,
    fit,
    gather,
    interval,
)
from rag.evaluation.tune import fold_of
from rag.language import sentence_spans
from rag.search import Fusion
from rag.types import Example, Mode

OWN = "clapnq-dev"
DOCS = ("docs-fastapi", "docs-owasp-cheatsheets", "docs-ms-playbook")
NOTES = "notes"
SHARES = {OWN: 6.0, "xquad-en": 1.0, "scifact": 0.5, "liveqa-med-nih": 0.5, NOTES: 0.5, **dict.fromkeys(DOCS, 0.7)}
ASKED = Path(__file__).with_name("doc_questions.json")
MOST = 600  # questions of a set, the first by their ids' digests
STRENGTH = 0.004  # of the prior around 0, in shares
FOLDS = 5
MODES: tuple[Mode, ...] = ("hybrid", "semantic", "keyword")


def read(name: str, data: Path, mode: Mode) -> Judged:
    """Take the set in, if it is not, and search for every question."""
    if name in DOCS:
        source, collection, examples = measuring.DATA / name, name, documented(name)
    elif name == NOTES:
        source, collection = data / NOTES, NOTES
        examples = noted(source)
    else:
        folder = read_folder(measuring.DATA / name)
        source, collection = folder.corpus, folder.collection
        fold = fold_of(folder.examples, max(1, -(-len(folder.examples) // MOST)))
        examples = [example for example, number in zip(folder.examples, fold, strict=True) if number == 0]
    ingested = measuring.rag("ingest", str(source), "--collection", collection, data=data)
    done = subprocess.run(ingested, check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 3):  # 3: a file could not be read
        raise SystemExit(f"{source} could not be taken in")
    settings = config.load({"data": data, "collection": collection}).settings
    with opening(settings) as app:
        way = Way(mode, Fusion())
        return gather(app.opened(), examples, way, settings.passages, app.local(), hide=name not in (OWN, NOTES, *DOCS))


def documented(name: str) -> list[Example]:
    """The questions on a documentation folder; one with an answer has some gold answer, which nobody reads."""
    sets = json.loads(ASKED.read_text(encoding="utf-8"))
    foreign = [question for other in DOCS if other != name for question in sets[other]["answerable"][::3]]
    unanswered = [*sets[name]["unanswerable"], *foreign]
    told: list[tuple[str, tuple[str, ...]]] = [(question, ("there is one",)) for question in sets[name]["answerable"]]
    told += [(question, ()) for question in unanswered]
    return [Example(str(number), question, answers) for number, (question, answers) in enumerate(told, 1)]


def noted(folder: Path) -> list[Example]:
    """Write notes into the folder: sentences of XQuAD's paragraphs under their articles' titles, four to six articles a
    file. The questions on these paragraphs: all whose answer stands there, and as many whose does not."""
    draw, told = random.Random(5), measuring.DATA / "xquad-en"
    read = read_folder(told)
    written: dict[str, tuple[str, str]] = {}  # paragraph → title, what is noted of it
    for line in (told / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
        paragraph = json.loads(line)
        spans, many = sentence_spans(paragraph["text"]), draw.choice((1, 2, 2, 3))
        first = draw.randrange(max(1, len(spans) - many + 1))
        start, end = spans[first][0], spans[first : first + many][-1][1]
        written[paragraph["_id"]] = (paragraph["title"], paragraph["text"][start:end])
    folder.mkdir(parents=True, exist_ok=True)
    left, number = draw.sample(list(written.values()), len(written)), 0
    while left:
        page: dict[str, str] = {}
        for title, text in left:
            if title not in page and len(page) < draw.choice((4, 5, 6)):
                page[title] = text
        left = [each for each in left if each not in page.items()]
        parts = "\n\n".join(f"## {title}\n\n{text}" for title, text in page.items())
        (folder / f"notes-{number:03}.md").write_text(f"# Notes {number}\n\n{parts}\n", encoding="utf-8")
        number += 1
    kept: tuple[list[Example], list[Example]] = [], []
    for example in read.examples:
        (paragraph_id,) = example.relevant
        held = any(answer in written[paragraph_id][1] for answer in example.answers)
        answers = example.answers if held else ()
        kept[not held].append(replace(example, answers=answers, relevant={}))
    answered, unanswered = kept
    return [*answered, *draw.sample(unanswered, min(len(answered), len(unanswered)))]


def fitted(sets: dict[str, Judged], rows: dict[str, NDArray[np.int64]], mode: Mode) -> Model:
    """The model of these rows of each set."""
    used = [name for name in sets if len(rows[name])]
    shown = [name in OF_MODE[mode] for name in FEATURES]
    features = np.concatenate([sets[name].features[rows[name]] for name in used]) * shown
    target = np.concatenate([sets[name].answerable[rows[name]] for name in used])
    importance = np.concatenate([np.full(len(rows[name]), SHARES[name] / len(rows[name])) for name in used])
    weights, biases = fit(
        features, target, [0.0] * len(FEATURES), STRENGTH, importance, np.zeros(len(target), np.int64)
    )
    return Model(tuple(weights.tolist()), float(biases[0]))


def confidence(model: Model, judged: Judged) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-(judged.features @ np.asarray(model.weights) + model.bias))))


def told(likely: NDArray[np.float64], judged: Judged, threshold: float) -> dict[str, object]:
    """The figures of one set, at a threshold."""
    points, refused = curve(likely, judged.right), likely < threshold
    return {
        "auroc": shown(interval(likely, judged.answerable)),
        "aurc": round(aurc(points), 4),
        "threshold": round(threshold, 4),
        "refused_answerable": round(float(refused[judged.answerable].mean()), 4),
        "refused_unanswerable": round(float(refused[~judged.answerable].mean()), 4),
        "curve": [[round(point.coverage, 3), round(point.risk, 4)] for point in points[:: max(1, len(points) // 20)]],
    }


def shown(value: Interval) -> dict[str, float]:
    return {"value": round(value.value, 4), "low": round(value.low, 4), "high": round(value.high, 4)}


def held_out(sets: dict[str, Judged], mode: Mode, name: str) -> NDArray[np.float64]:
    """The confidences of one set, of every fifth by the model of all else."""
    everything = {other: np.arange(len(judged.examples)) for other, judged in sets.items()}
    fold = fold_of(sets[name].examples, FOLDS)
    held = np.empty(len(fold))
    for number in range(FOLDS):
        model = fitted(sets, everything | {name: np.flatnonzero(fold != number)}, mode)
        held[fold == number] = confidence(model, sets[name])[fold == number]
    return held


def measured(sets: dict[str, Judged], mode: Mode) -> dict[str, object]:
    everything = {name: np.arange(len(judged.examples)) for name, judged in sets.items()}
    nothing = np.empty(0, np.int64)
    own = sets[OWN]
    result: dict[str, object] = {
        "five_folds": {name: told(held_out(sets, mode, name), judged, THRESHOLD) for name, judged in sets.items()}
    }
    cosine = own.features[:, FEATURES.index("cosine")]
    result["cosine_alone"] = told(cosine, own, below_refused(cosine, own.answerable, 0.05))
    alone = calibrate(own, DEFAULTS[mode], mode)
    result["calibrated_alone"] = {
        "how": alone.how,
        "auroc": shown(Interval(alone.auroc.value, alone.auroc.low, alone.auroc.high)),
        "refused_answerable": round(alone.refused_answerable, 4),
        "refused_unanswerable": round(alone.refused_unanswerable, 4),
        "tried": {way.how: [round(way.auroc, 4), round(way.log_loss, 4)] for way in alone.tried},
    }
    result["left_out"] = {
        name: {
            "auroc": round(
                auroc(confidence(fitted(sets, everything | {name: nothing}, mode), judged), judged.answerable), 4
            ),
            "cosine_alone": round(auroc(judged.features[:, FEATURES.index("cosine")], judged.answerable), 4),
        }
        for name, judged in sets.items()
    }
    result["default_weights"] = {
        name: told(confidence(DEFAULTS[mode], judged), judged, THRESHOLD) for name, judged in sets.items()
    }
    return result


def main(data: Path, *, print_weights: bool) -> None:
    results: dict[str, object] = {"threshold": THRESHOLD}
    for mode in MODES:
        sets = {name: read(name, data, mode) for name in SHARES}
        if print_weights:
            model = fitted(sets, {name: np.arange(len(judged.examples)) for name, judged in sets.items()}, mode)
            rounded = replace(
                model, weights=tuple(round(weight, 2) for weight in model.weights), bias=round(model.bias, 2)
            )
            print(mode, rounded, flush=True)
        results[mode] = measured(sets, mode)
    measuring.write("abstention", results)


if __name__ == "__main__":
    arguments = [one for one in sys.argv[1:] if one != "--fit"]
    if arguments:
        main(Path(arguments[0]), print_weights="--fit" in sys.argv)
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder), print_weights="--fit" in sys.argv)
