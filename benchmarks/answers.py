"""How good the embedded answers are: gold answers held and human answers met, beside the plainest thing to do.

    python benchmarks/answers.py [DATA] [--limit N]

DATA is a data folder that is kept between runs (a temporary one without it): XQuAD and CLAPnq are taken in by
`rag ingest`, as anybody would, and every question goes the way that everybody's go. The plain rival of each answer is
the beginning of the passage that was found first: its first two sentences, and no more words than an answer may have.
With --limit only the first N questions of each set are asked, and nothing is kept under results/.
"""

import argparse
import json
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import fsum
from pathlib import Path

import measuring

from ingest.languages.sentences import sentences
from rag import config
from rag.answers.claims import MARKER
from rag.app import opening
from rag.ask import Question, answer
from rag.cli.progress import told
from rag.evaluate import Way, embedded, judge, read_folder
from rag.types import Interaction

SETS = ("xquad-en", "clapnq-dev")
WORDS = 60  # that an answer has at most


@dataclass(frozen=True)
class Held:
    """One answer against the gold ones, the better of several."""

    contains: bool
    rouge_l: float  # F1 of the longest common subsequence of words (Lin 2004)
    token_f1: float  # of the bags of words (Rajpurkar et al. 2016), articles kept


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def harmonic(common: int, said: int, gold: int) -> float:
    return 2 * common / (said + gold) if common else 0.0


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    row = [0] * (len(other) + 1)
    for word in one:
        above = row
        row = [0]
        for j, against in enumerate(other):
            row.append(above[j] + 1 if word == against else max(above[j + 1], row[j]))
    return row[-1]


def held(text: str, golds: Sequence[str]) -> Held:
    """The best over the gold answers, each measure by itself."""
    said = words(text)
    wanted = [words(gold) for gold in golds]
    return Held(
        any(gold.lower() in text.lower() for gold in golds),
        max(harmonic(longest_common(said, gold), len(said), len(gold)) for gold in wanted),
        max(harmonic(sum((Counter(said) & Counter(gold)).values()), len(said), len(gold)) for gold in wanted),
    )


def plain(entry: Interaction) -> str:
    """The first two sentences of the first passage, cut to the words that an answer may have."""
    if not entry.passages:
        return ""
    text = entry.passages[0].text
    first = " ".join(text[start:end] for start, end in sentences(text)[:2])
    return " ".join(first.split()[:WORDS])


def figures(found: Sequence[Held]) -> dict[str, float]:
    n = len(found)
    return {
        "contains_gold": round(sum(one.contains for one in found) / n, 4),
        "rouge_l": round(fsum(one.rouge_l for one in found) / n, 4),
        "token_f1": round(fsum(one.token_f1 for one in found) / n, 4),
    }


def measured(name: str, data: Path, limit: int | None) -> dict[str, object]:
    """One set: our answers and the plain ones, over the questions that have a gold answer."""
    folder = read_folder(measuring.DATA / name)
    ingested = measuring.rag("ingest", str(folder.corpus), "--collection", folder.collection, data=data)
    subprocess.run(ingested, check=True, stdout=subprocess.DEVNULL)
    settings = config.load({"data": data, "collection": folder.collection}).settings
    asked = [example for example in folder.examples if example.answers][:limit]
    ours, rivals, verdicts = [], [], []
    with opening(settings) as app:
        way = Way(settings.mode, app.fusion(asked={}), app.reranker(), app.refining())
        answering = replace(app.answering(generator="extractive"), scorers=())
        progress, seconds = told(name), 0.0
        for done, (example, ready) in enumerate(embedded(answering.opened, asked, way.mode), 1):
            question = Question(example.question, settings.passages, way.mode, fusion=way.fusion, refining=way.refining)
            began = time.process_time()
            entry = answer(replace(answering, opened=ready), question, app.local())
            seconds += time.process_time() - began
            assert entry.answer is not None
            ours.append(held(MARKER.sub("", entry.answer.text), example.answers))
            rivals.append(held(plain(entry), example.answers))
            verdicts.append(judge(app.database, example, entry))
            progress(done, len(asked))
    quotes = sum(one.citations for one in verdicts)
    return {
        "questions": len(asked),
        "extractive": figures(ours),
        "first two sentences of the first passage": figures(rivals),
        "abstained": round(sum(one.abstained for one in verdicts) / len(asked), 4),
        "quotes": quotes,
        "quotes_verbatim": sum(one.verbatim for one in verdicts) / quotes if quotes else None,
        "max_words": max(one.words for one in verdicts),
        "max_sentences": max(one.sentences for one in verdicts),
        "processor_ms": round(1000 * seconds / len(asked), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--limit", type=int)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = {name: measured(name, chosen.data or Path(temporary), chosen.limit) for name in SETS}
    if chosen.limit is None:
        measuring.write("answers", found)
    else:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
