"""Keyword search at size: building, opening, latency, filters, phrases and misspelt words, beside bm25s as oracle.

Run: python benchmarks/keywords.py [FOLDER] [--questions N] (one thread; texts.jsonl and queries.jsonl made by
benchmarks/corpora.py). Every filtered ranking is compared with the masked full one, and the first ten with those of
bm25s' Lucene variant on the same terms. Beside the time that passed stands the processor time of the searching thread,
which other work on the machine disturbs less. "Update" adds 100 chunks and removes 100, as seen by the next question.
"""

import argparse
import json
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import bm25s
import numpy as np
from corpora import FOLDER
from measuring import write

from rag.indexes.tails import Only
from rag.keywords import exact
from rag.keywords.analysis import analyse
from rag.keywords.asked import Asked, asked
from rag.types import Bitmap, Ids

BATCH = 4_096
K = 100
SHARES = (0.5, 0.05, 0.005, 0.0002)
NONE = np.empty(0, np.int64)


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(ask: Callable[[Asked], object], questions: Sequence[Asked]) -> dict[str, list[float]]:
    """p50 and p99 in ms, of a second round."""
    for question in questions[:50]:
        ask(question)
    passed, worked = [], []
    for question in questions:
        began, processor = time.perf_counter(), time.thread_time()
        ask(question)
        worked.append(time.thread_time() - processor)
        passed.append(time.perf_counter() - began)
    return {
        name: np.percentile(np.array(times) * 1e3, [50, 99]).round(3).tolist()
        for name, times in (("passed_ms", passed), ("processor_ms", worked))
    }


def everyone(ids: Ids) -> Only:
    """A permitted set that no search has seen yet."""
    return Only(1, Bitmap.of(ids))


def rival(tokens: list[list[str]], index: exact.ExactKeywords, questions: Sequence[Asked]) -> dict[str, object]:
    """bm25s on the same terms: how long it takes, and whether the first ten are the same."""
    oracle = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    began = time.process_time()
    oracle.index(tokens, show_progress=False)
    result: dict[str, object] = {"build_processor_s": round(time.process_time() - began, 1)}
    result |= timed(lambda question: oracle.retrieve([list(question)], k=K, show_progress=False), questions[:100])
    same, worst = [], 0.0
    every = everyone(np.arange(len(tokens)))
    for question in questions:
        plain = list(question)
        [ours] = index.search([plain], 10, every)
        places, scores = oracle.retrieve([plain], k=12, show_progress=False)
        found = [(float(score), int(place)) for place, score in zip(places[0], scores[0], strict=True) if score > 0]
        if len(found) > 10 and found[9][0] - found[10][0] < 1e-5 * found[9][0]:
            found = [each for each in found if each[0] > found[9][0] * (1 + 1e-5)]  # a tie at the cut: either may come
        theirs = {place for _, place in found[:10]}
        same.append(theirs <= {hit.chunk_id for hit in ours})
        worst = max([worst, *(abs(hit.score / score - 1) for hit, (score, _) in zip(ours, found, strict=False))])
    return {**result, "same_first_ten": float(np.mean(same)), "worst_score_difference": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER / "100k")
    parser.add_argument("--questions", type=int, default=500)
    options = parser.parse_args()
    began = time.process_time()
    tokens = [analyse(f"{each['title']}\n{each['text']}") for each in lines(options.folder / "texts.jsonl")]
    analysed = time.process_time() - began
    asked_for = [asked(each["text"], ["en"]) for each in lines(options.folder.parent / "queries.jsonl")]
    questions, before = asked_for[: options.questions], megabytes()
    result: dict[str, object] = {"chunks": len(tokens), "terms_a_chunk": round(sum(map(len, tokens)) / len(tokens), 1)}
    result["analysis_processor_s"] = round(analysed, 1)
    with tempfile.TemporaryDirectory() as name:
        work, saved = Path(name) / "work", Path(name) / "saved"
        for folder in (work, saved):
            folder.mkdir()
        began, index = time.process_time(), exact.new(work)
        for first in range(0, len(tokens), BATCH):
            some = tokens[first : first + BATCH]
            index.apply(np.arange(first, first + len(some)), some, NONE, 1)
        index.save(saved)
        result["build_processor_s"] = round(time.process_time() - began, 1)
        result["build_peak_mb_more"] = round(megabytes() - before)
        result["disk_mb"] = round(sum(path.stat().st_size for path in saved.iterdir()) / 1e6, 1)
        began = time.perf_counter()
        index = exact.open(saved)
        index.statistics()
        result["open_ms"] = round((time.perf_counter() - began) * 1e3, 1)

        chance = np.random.default_rng(0)
        every = everyone(np.arange(len(tokens)))
        result["search"] = timed(lambda question: index.search([question], K, every), questions)
        for share in SHARES:
            some = np.sort(chance.choice(len(tokens), max(int(share * len(tokens)), 1), replace=False))
            result[f"search_{share:.2%}_permitted_cold"] = timed(
                lambda question, some=some: index.search([question], K, everyone(some)), questions
            )
            may = set(some.tolist())
            for question in questions[:25]:
                [full], [among] = (
                    index.search([question], len(tokens), every),
                    index.search([question], K, everyone(some)),
                )
                masked = [(hit.chunk_id, hit.score) for hit in full if hit.chunk_id in may][:K]
                if [(hit.chunk_id, hit.score) for hit in among] != masked:
                    raise SystemExit(f"a filtered ranking differs from the masked full one: {question}")
        hundred = np.sort(chance.choice(len(tokens), 100, replace=False))
        result["scores_of_100"] = timed(lambda question: index.scores(question, hundred), questions)
        pick = random.Random(0)
        phrases = []
        for question in questions:
            said = pick.choice([each for each in pick.sample(tokens, 20) if len(each) > 3])
            at = pick.randrange(len(said) - 2)
            phrases.append(Asked((*question, *said[at : at + 3]), ((tuple(said[at : at + 3]),),)))
        result["phrase_of_3"] = timed(lambda question: index.search([question], K, every), phrases)
        misspelt = []
        for number, question in enumerate(questions[:200]):
            word = f"{max(question, key=len, default='word')[:6]}q{chr(97 + number % 26)}"
            misspelt.append(Asked((*question, word), (), ((word,),)))
        result["misspelt_word"] = timed(lambda question: index.search([question], K, every), misspelt)
        updates, more = [], index.following()
        for round_ in range(10):
            began = time.thread_time()
            new = np.arange(len(tokens) + 100 * round_, len(tokens) + 100 * (round_ + 1))
            more = more.following()
            more.apply(new, tokens[:100], np.arange(100 * round_, 100 * (round_ + 1)), round_ + 2)
            more.search(questions[:1], K, everyone(new))
            updates.append((time.thread_time() - began) * 1e3)
        result["update_processor_ms"] = round(float(np.median(updates)), 1)
        result["search_after_updates"] = timed(lambda question: more.search([question], K, every), questions)
        result["bm25s"] = rival(tokens, index, questions)
    write(f"keywords_{options.folder.name}", result)


if __name__ == "__main__":
    main()
