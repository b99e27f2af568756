"""Follow-up questions: what is found when they are searched for as they are, resolved by the rules of
rag/answers/conversation.py, or joined to every question before them.

Run: python benchmarks/conversations.py [--data FOLDER] [--out NAME]

Takes in tests/followups/texts.jsonl and the three documentation folders of the shared test data (a second time that
takes seconds), and answers the earlier questions of each judged conversation with the extractive generator, as a
conversation would. A judged line names the documents that hold the answer of its last question; those that follow from
the questions before and those that stand alone are measured apart. Besides, real questions that nobody wrote as
follow-ups (XQuAD, LiveQA-Med, CLAP NQ) are each put behind another one of their set: how many do the rules change?
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from measuring import DATA, ROOT, rag, run, write

from rag.answers.conversation import Turn, standalone
from rag.app import App, opening
from rag.ask import Question, answer
from rag.config import load
from rag.search import Search, search
from rag.types import Passage

JUDGED = ROOT / "tests" / "followups"
FOLDERS = ("docs-fastapi", "docs-owasp-cheatsheets", "docs-ms-playbook")
SINGLE = ("xquad-en", "liveqa-med-nih", "clapnq-dev")
DEPTH = 10


@dataclass(frozen=True)
class Judged:
    """A question after others, and the documents that answer it."""

    history: list[str]
    question: str
    gold: list[str]  # ends of addresses, or external ids
    follows: bool


def judged() -> list[Judged]:
    lines = (JUDGED / "judged.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [Judged(row["history"], row["question"], row["gold"], row["follows"]) for row in rows]


def conversation(app: App, questions: Sequence[str]) -> list[Turn]:
    """The turns of a conversation that asks these questions, answered by quoting."""
    turns: list[Turn] = []
    answering = app.answering(generator="extractive")
    for question in questions:
        asked = standalone(question, turns)
        entry = answer(answering, Question(asked), app.local())
        said = entry.answer
        cited = () if said is None else tuple({c.passage for c in said.citations if c.passage is not None})
        titles = tuple(dict.fromkeys(entry.passages[number - 1].title for number in sorted(cited)))
        turns.append(Turn(question, "" if said is None else said.text, asked, titles))
    return turns


WAYS: dict[str, Callable[[str, Sequence[Turn]], str]] = {
    "as asked": lambda question, turns: question,
    "rules": standalone,
    "all questions joined": lambda question, turns: " ".join([*(turn.question for turn in turns), question]),
}


def rank(app: App, query: str, gold: Sequence[str]) -> int:
    """The rank of the first gold document among the documents found, from 1; 0 if it is not among the first DEPTH."""
    found: list[Passage] = list(search(app.opened(), Search(query, 3 * DEPTH), app.local()).passages)
    documents: list[str] = []
    for passage in found:
        names = [name for place in passage.places for name in (place.uri, place.external_id or "")]
        key = names[0]
        if key in documents:
            continue
        documents.append(key)
        if len(documents) > DEPTH:
            return 0
        if any(name == one or name.endswith("/" + one) for name in names for one in gold):
            return len(documents)
    return 0


def figures(ranks: Sequence[int]) -> dict[str, float]:
    return {
        "recall@10": round(sum(rank > 0 for rank in ranks) / len(ranks), 3),
        "mrr@10": round(sum(1 / rank for rank in ranks if rank) / len(ranks), 3),
    }


def changed() -> dict[str, object]:
    """Of real questions, each behind the one before it in its set: how many the rules change."""
    told: dict[str, object] = {}
    for name in SINGLE:
        rows = [json.loads(line) for line in (DATA / name / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
        texts = [row["text"] for row in rows]
        pairs = pairwise(texts)
        told[name] = {
            "questions": len(texts),
            "changed": sum(standalone(text, [Turn(before)]) != text for before, text in pairs),
        }
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "bench" / "conversations")
    parser.add_argument("--out", default="conversations")
    chosen = parser.parse_args()
    places = [JUDGED / "texts.jsonl", *(DATA / name for name in FOLDERS)]
    if run(rag("ingest", *map(str, places), data=chosen.data)).code not in (0, 3):
        raise SystemExit("rag ingest failed")
    questions = judged()
    ranks: dict[str, list[int]] = {name: [] for name in WAYS}
    lines: list[dict[str, object]] = []
    with opening(load({"data": chosen.data}).settings) as app:
        for one in questions:
            turns = conversation(app, one.history)
            asked = {name: way(one.question, turns) for name, way in WAYS.items()}
            for name, query in asked.items():
                ranks[name].append(rank(app, query, one.gold))
            lines.append(
                {
                    "history": one.history,
                    "question": one.question,
                    "follows": one.follows,
                    "rules": asked["rules"],
                    "ranks": {name: found[-1] for name, found in ranks.items()},
                }
            )
    kinds = {"follow-ups": True, "standing alone": False}
    result: dict[str, object] = {
        kind: {
            name: figures([found for found, one in zip(ranks[name], questions, strict=True) if one.follows is follows])
            for name in WAYS
        }
        | {"questions": sum(one.follows is follows for one in questions)}
        for kind, follows in kinds.items()
    }
    write(chosen.out, result | {"changed although they were asked alone": changed(), "lines": lines})


if __name__ == "__main__":
    main()
