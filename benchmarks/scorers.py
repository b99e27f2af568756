"""What scoring an answer costs, scorer by scorer, and what reading only the beginning of an answer loses.

    python benchmarks/scorers.py [MODELS]

MODELS is the folder of exported models (a temporary one without it). The answers are sentences of clapnq passages, some
word for word, some with a fifth of their words left out, marked with the passage they are from: about 200 words over
eight passages. Times are processor time of one thread, medians. Relevancy is that of each question's gold answer
against the gold answers of all others.
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import measuring
import numpy as np

from ingest.languages.sentences import sentences
from rag import embedders, scorers
from rag.citations import cite
from rag.evaluation import references
from rag.language import beginnings
from rag.rankings.wrapped import Recalling
from rag.types import Answer, Embedder, Example, Hit, Interaction, Models, Part, Passage, Usage

ANSWERS = 20
WORDS = 200
PASSAGES = 8
LEFT_OUT = 0.2  # of the words of a changed sentence
READ = (16, 32, 48, 64, 96, 256)  # tokens
CLAPNQ = measuring.DATA / "clapnq-dev"


def passages(randomly: random.Random, corpus: Sequence[str]) -> tuple[Passage, ...]:
    chosen = randomly.sample(corpus, PASSAGES)
    return tuple(
        Passage(Hit(i, 1.0, {"dense": Part(i, 0.5)}), text, "", (), (), None, 0, len(text), i)
        for i, text in enumerate(chosen, 1)
    )


def answered(randomly: random.Random, shown: Sequence[Passage], *, changed: float) -> str:
    """About WORDS words of sentences from the passages, a share of them changed."""
    said: list[str] = []
    while sum(len(one.split()) for one in said) < WORDS:
        number = randomly.randrange(len(shown))
        text = shown[number].text
        start, end = randomly.choice(sentences(text))
        words = text[start:end].split()
        if randomly.random() < changed:
            words = [word for word in words if randomly.random() > LEFT_OUT]
        said.append(" ".join(words).rstrip(" .") + f" [{number + 1}].")
    return " ".join(said)


def interaction(question: str, text: str, shown: tuple[Passage, ...]) -> Interaction:
    answer = Answer(text, cite(text, shown), False, "none", "stop", Usage(None, None))
    return Interaction(
        id="", created_at="", tenant_id=1, collection="", user="", conversation_id=None, origin="synthetic",
        question=question, search_query=question, prompt=None, answer=answer, error=None, passages=shown, candidates=(),
        model="", revision="", template="", settings={}, position=1, generation=1, timings_ms={},
    )  # fmt: skip


def milliseconds(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return (time.process_time() - began) * 1000


def costs(embedder: Embedder, corpus: Sequence[str], questions: Sequence[str], changed: float) -> dict[str, float]:
    """The median cost of checking the citations and of every scorer, in milliseconds; the question is embedded."""
    randomly, taken = random.Random(1), dict[str, list[float]]()
    held = Example("q", "", ("The gold answer has a dozen words or so, as they often have.",), {"d1": 1})
    every = scorers.load(Models(embedder), [*scorers.DEFAULT, *scorers.WITH_REFERENCE])
    for question in questions[: ANSWERS + 1]:
        shown = passages(randomly, corpus)
        text = answered(randomly, shown, changed=changed)
        embedder.embed_queries([question])
        spent = {"cite": milliseconds(lambda text=text, shown=shown: cite(text, shown))}  # type: ignore[misc]
        entry = interaction(question, text, shown)
        for scorer in every:
            spent[scorer.name] = milliseconds(lambda s=scorer, e=entry: s.score([e], [held]))  # type: ignore[misc]
        spent["the default set"] = sum(spent[name] for name in scorers.DEFAULT)
        for name, one in spent.items():
            taken.setdefault(name, []).append(one)
    return {name: round(statistics.median(each[1:]), 3) for name, each in taken.items()}  # the first one opens things


def relevancy(embedder: Embedder, questions: Sequence[str], answers: Sequence[str]) -> dict[str, dict[str, float]]:
    """How well relevancy tells a question's answer from the others', and what it costs, by how much is read."""
    asked = embedder.embed_queries(questions)  # (q, d)
    found = {}
    for tokens in READ:
        texts = beginnings(answers, embedder.count_tokens, min(tokens, embedder.max_tokens))
        cosines = asked @ embedder.embed_passages(texts).T  # (q, q)
        own, others = np.diag(cosines), cosines[~np.eye(len(cosines), dtype=bool)]
        long = beginnings(["word " * 300], embedder.count_tokens, min(tokens, embedder.max_tokens))
        found[str(tokens)] = {
            "auroc": round(float((own[:, None] > others[None, :]).mean()), 4),
            "nearest": round(float((own >= cosines.max(axis=1)).mean()), 4),
            "ms_of_a_long_answer": round(
                statistics.median(milliseconds(lambda: embedder.embed_passages(long)) for _ in range(7)),  # noqa: B023
                2,
            ),
        }
    return found


def main() -> None:
    lines = [json.loads(line) for line in (CLAPNQ / "answers.jsonl").open(encoding="utf-8")]
    gold = [(line["question"], line["answers"][0]) for line in lines if line["answers"]]
    corpus = [json.loads(line)["text"] for line in (CLAPNQ / "corpus.jsonl").open(encoding="utf-8")]
    questions, answers = [question for question, _ in gold], [answer for _, answer in gold]
    with tempfile.TemporaryDirectory() as folder:
        models_dir = Path(sys.argv[1] if len(sys.argv) > 1 else folder)
        inner = embedders.load("sentence_transformers:all-MiniLM-L6-v2", models_dir=models_dir, threads=1)
        embedder = Recalling(inner)
        began = time.process_time()
        references.bleu("a", ["a"])
        opening_ms = (time.process_time() - began) * 1000
        long = [text for text in corpus if 600 <= len(text) <= 1400]
        result: dict[str, object] = {
            "answers": ANSWERS,
            "words": WORDS,
            "passages": PASSAGES,
            "ms_word_for_word": costs(embedder, long, questions, 0.0),
            "ms_mostly_changed": costs(embedder, long, questions, 0.6),
            "relevancy_by_tokens_read": relevancy(embedder, questions, answers),
            "ms_importing_sacrebleu": round(opening_ms, 1),
        }
    measuring.write("scorers", result)


if __name__ == "__main__":
    main()
