"""What an answer costs beside its generator: search, prompt, weighing, citations, scores and the log row.

    python benchmarks/around.py [MODELS] [--threads N]      # about four minutes

MODELS is the folder of exported models (a temporary one without it). Passages and questions are clapnq's: 597 documents
in a collection on SQLite, eight passages a question. The generator is a stand-in that speaks at once: about 200 words,
sentences of the prompt's passages with their markers, a share of them with a fifth of their words left out; a second
time it takes half a second for them, as quick as any language model, and scoring begins meanwhile. Times are
wall times of `rag.ask.ask` without the generator's own; the first text is that of `rag.ask.stream`. Before every
question all that is remembered of texts is forgotten: no passage was seen before.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import _lru_cache_wrapper
from pathlib import Path

import measuring
import numpy as np

from ingest.languages.sentences import sentences
from rag.app import App
from rag.ask import Answering, Done, Question, stream
from rag.config import load
from rag.corpus.batches import Origin
from rag.interpreter import tune
from rag.types import CancelToken, Event, Finish, GenerationSettings, Message, Prompt, Text, Usage

WORDS = 200
PASSAGES = 8
LEFT_OUT = 0.2  # of the words of a changed sentence
QUESTIONS, WARM = 120, 10
OF_TEXTS = (64, 4096)  # entries of a cache that holds texts, from fewest to most
CLAPNQ = measuring.DATA / "clapnq-dev"


@dataclass(frozen=True, slots=True)
class Quoting:
    """Says sentences of its prompt's passages, at once."""

    changed: float  # share of sentences in other words
    pace: float = 0.0  # words a second; 0: at once
    name: str = "quoting"
    revision: str = ""
    context_tokens: int = 4096

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content) // 4 for message in messages)

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        randomly = random.Random(prompt.question)
        said: list[str] = []
        told = 0
        while prompt.passages and sum(len(one.split()) for one in said) < WORDS:
            number = randomly.randrange(len(prompt.passages))
            text = prompt.passages[number].text
            start, end = randomly.choice(sentences(text))
            words = text[start:end].split()
            if randomly.random() < self.changed:
                words = [word for word in words if randomly.random() > LEFT_OUT]
            said.append(" ".join(words).rstrip(" .") + f" [{number + 1}].")
            if self.pace:
                time.sleep(len(words) / self.pace)
                yield Text(("" if told == 0 else " ") + said[-1])
                told += 1
        if not told:
            yield Text(" ".join(said) or "Nothing.")
        yield Usage(None, None)
        yield Finish("stop")


def forget() -> None:
    """Empty what functions remember of texts; what they remember of words is a vocabulary, and stays."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("rag.", "ingest.")):
            for value in vars(module).values():
                if isinstance(value, _lru_cache_wrapper):
                    entries = value.cache_parameters()["maxsize"] or 0
                    if OF_TEXTS[0] <= entries <= OF_TEXTS[1]:
                        value.cache_clear()


def measured(app: App, questions: Sequence[str], changed: float, pace: float = 0.0) -> dict[str, object]:
    principal, opened = app.local(), app.opened()
    answering = Answering(opened, Quoting(changed, pace), app.scorers())
    totals, firsts, stages = list[float](), list[float](), dict[str, list[float]]()
    for place, question in enumerate(questions):
        forget()
        began, first = time.perf_counter(), 0.0
        for step in stream(answering, Question(question, PASSAGES, abstaining=app.abstaining()), principal):
            if isinstance(step, Text) and not first:
                first = (time.perf_counter() - began) * 1000
            if isinstance(step, Done):
                spent = (time.perf_counter() - began) * 1000
                entry = step.interaction
        if place < WARM or entry.answer is None or entry.answer.abstained:
            continue
        totals.append(spent - entry.timings_ms["generate"])
        firsts.append(first)
        for name, taken in entry.timings_ms.items():
            stages.setdefault(name, []).append(taken)
    return {
        "answers": len(totals),
        "around_ms": {"p50": round(statistics.median(totals), 1), "p99": round(float(np.percentile(totals, 99)), 1)},
        "first_text_ms": {"p50": round(statistics.median(firsts), 1)},
        "stages_p50_ms": {name: round(statistics.median(taken), 2) for name, taken in stages.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="?", type=Path)
    parser.add_argument("--threads", type=int, default=0, help="of the embedding model; 0: as the settings choose")
    given = parser.parse_args()
    tune()
    lines = [json.loads(line) for line in (CLAPNQ / "queries.jsonl").open(encoding="utf-8")]
    questions = [line["text"] for line in lines][: QUESTIONS + WARM]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        wanted: dict[str, object] = {"data": data / "data", "threads": given.threads}
        if given.models is not None:
            wanted["models"] = given.models
        app = App.open(load(wanted, environment={}).settings, create=True)
        app.corpus().add_paths([CLAPNQ / "corpus.jsonl"], Origin("local"), max_bytes=2**30)
        result = {
            "words": WORDS,
            "passages": PASSAGES,
            "threads": given.threads or "default",
            "word for word": measured(app, questions, 0.0),
            "half in other words": measured(app, questions, 0.5),
            "word for word, told in half a second": measured(app, questions, 0.0, 2 * WORDS),
            "half in other words, told in half a second": measured(app, questions, 0.5, 2 * WORDS),
        }
        app.close()
    measuring.write("around", result)


if __name__ == "__main__":
    main()
