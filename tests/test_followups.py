"""Follow-ups as questions of their own: by rules, and by a generator that the rules stand behind."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answers.conversation import Turn, depends, messages_of, resolved, standalone, turns_of
from rag.answers.rewriting import LONGEST, Rewrite, rewritten
from rag.errors import GeneratorFailed
from rag.keywords.analysis import analyse
from rag.types import (
    CancelToken,
    Event,
    Fallback,
    Finish,
    GenerationSettings,
    Generator,
    Message,
    Prompt,
    Text,
    Usage,
)

JUDGED = Path(__file__).parent / "followups"
BRIDGE = Turn("When was the Golden Gate Bridge opened?", "It was opened in 1937 [1].", titles=("Bridges",))
FRANCE = Turn("What is the capital of France?", "Paris [1].")
PARAMETERS = Turn("How are path parameters declared in FastAPI?")
ACME = Turn("Who founded Acme?", "Acme was founded by Ana Costa in 1990 [1].")


@pytest.mark.parametrize(
    ("before", "question", "expected"),
    [
        (FRANCE, "And of Germany?", "What is the capital of Germany?"),
        (FRANCE, "and in Germany?", "What is the capital in Germany?"),
        (FRANCE, "What about Spain?", "What is the capital of Spain?"),
        (PARAMETERS, "and query parameters?", "How are query parameters declared in FastAPI?"),
        (PARAMETERS, "What about Flask?", "How are path parameters declared in Flask?"),
        (BRIDGE, "And the Bay Bridge?", "When was the Bay Bridge opened?"),
        (BRIDGE, "why?", "why? (Golden Gate Bridge opened)"),
        (BRIDGE, "Who painted it?", "Who painted Golden Gate Bridge?"),
        (PARAMETERS, "How do I validate that?", "How do I validate that? (path parameters declared FastAPI)"),
        (PARAMETERS, "What are the advantages?", "What are the advantages? (path parameters declared FastAPI)"),
        (ACME, "When was she born?", "When was Ana Costa born?"),
        (ACME, "Where is it?", "Where is Acme?"),
        (Turn("Was ist die Hauptstadt von Frankreich?"), "Und von Spanien?", "Was ist die Hauptstadt von Spanien?"),
        (Turn("Was ist die Hauptstadt von Frankreich?"), "Warum?", "Warum? (Hauptstadt Frankreich)"),
        (Turn("Quelle est la capitale de la France ?"), "Et de l'Italie ?", "Quelle est la capitale de l'Italie ?"),
    ],
)
def test_a_follow_up_gets_the_subject_of_the_question_before(before: Turn, question: str, expected: str) -> None:
    assert standalone(question, [before]) == expected


@pytest.mark.parametrize(
    "question",
    [
        "How are query parameters declared?",
        "What does the middleware do when it receives a request?",  # its noun stands in the question
        "How do sea otters keep their pups warm?",
        "Is it possible to declare several body parameters?",  # it means nothing
        "What time is it in Tokyo?",
        "How long does it take to install Docker?",
        "Are there limits on uploads?",
        "How do I make sure that a request is valid?",  # that opens a clause
        "And how are settings read from the environment?",
        "What does this error mean: connection refused by the server?",
        "Gibt es Führungen im Wasserturm?",
        "Wann wurde die Mauer gebaut?",
        "Y a-t-il des orchidées dans le jardin ?",
        "docker compose",
        "?",
        "",
    ],
)
def test_a_question_that_stands_alone_is_left_alone(question: str) -> None:
    assert standalone(question, [BRIDGE]) == question
    assert not depends(question, [BRIDGE])


def test_the_subject_is_carried_through_a_row_of_follow_ups() -> None:
    turns = [Turn("What is the capital of France?", "Paris."), Turn("And of Spain?", "Madrid.")]
    assert standalone("What is its population?", turns) == "What is capital Spain's population?"
    assert [turn.standalone for turn in resolved(turns)] == [
        "What is the capital of France?",
        "What is the capital of Spain?",
    ]


def test_the_first_question_has_nothing_to_lean_on() -> None:
    assert standalone("Why?", []) == "Why?"


SAID = "why it and what about in the of FastAPI Germany is how it's 1937 ? they ' - é 日本"
WORDS = st.sampled_from([*SAID.split(), "\n", ""])


@given(st.lists(WORDS, max_size=12).map(" ".join), st.lists(st.lists(WORDS, max_size=9).map(" ".join), max_size=4))
def test_whatever_is_said_little_is_added_and_only_what_was_said(question: str, history: list[str]) -> None:
    turns = [Turn(text) for text in history]
    found = standalone(question, turns)
    assert standalone(question, turns) == found
    said = set(analyse(" ".join([*history, question]), "")) | {"s"}
    assert set(analyse(found.replace("'s", " "), "")) <= said | {term.removesuffix("'s") for term in said}
    assert len(found.split()) <= len(question.split()) + max([0, *(len(text.split()) for text in history)]) * 4 + 16


def test_messages_and_turns_are_the_same_conversation() -> None:
    messages = (Message("user", "a?"), Message("assistant", "b"), Message("user", "c?"))
    assert turns_of((Message("assistant", "hello"), *messages)) == (Turn("a?", "b"), Turn("c?"))
    assert messages_of(turns_of(messages)) == messages


def test_the_judged_set_is_whole() -> None:
    rows = [json.loads(line) for line in (JUDGED / "judged.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = {json.loads(line)["_id"] for line in (JUDGED / "texts.jsonl").read_text(encoding="utf-8").splitlines()}
    assert sum(row["follows"] for row in rows) >= 60
    assert all(set(row["gold"]) <= texts for row in rows if row["set"] == "invented")


def test_what_the_rules_take_for_a_follow_up() -> None:
    """On the judged conversations: none that stands alone is changed, and most that follow are."""
    rows = [json.loads(line) for line in (JUDGED / "judged.jsonl").read_text(encoding="utf-8").splitlines()]
    leaning = [depends(row["question"], [Turn(text) for text in row["history"]]) for row in rows]
    assert not any(found for found, row in zip(leaning, rows, strict=True) if not row["follows"])
    assert sum(found for found, row in zip(leaning, rows, strict=True) if row["follows"]) >= 70


# ── by a generator ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Rewriting:
    """A generator that says what it is told, and remembers what it was asked."""

    says: str
    fails: bool = False
    falls: bool = False
    name: str = "speaking"
    revision: str = "1"
    context_tokens: int = 400
    asked: list[tuple[Prompt, GenerationSettings]] = field(default_factory=list)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        self.asked.append((prompt, settings))
        if self.falls:
            yield Fallback("extractive", "1", self.name, "it is down")
        yield Text(self.says)
        if self.fails:
            raise GeneratorFailed("the server went away")
        yield Usage(1, 1)
        yield Finish("stop")


def by(generator: Generator, question: str, how: Rewrite = "auto", turns: Sequence[Turn] = (FRANCE,)) -> object:
    found = rewritten(question, turns, how, generator, threading.Event())
    return found.text, found.by, found.failure


def test_a_language_model_rewrites_greedily_within_bounds() -> None:
    speaker = Rewriting(' "What is the capital of Germany?" [1]\nBerlin')
    assert by(speaker, "and Germany?") == ("What is the capital of Germany?", "generator", None)
    ((prompt, settings),) = speaker.asked
    assert (settings.temperature, settings.max_tokens) == (0.0, 96)
    assert "What is the capital of France?" in prompt.messages[-1].content
    assert prompt.tokens + settings.max_tokens <= speaker.context_tokens


def test_a_question_that_stands_alone_costs_no_generation_unless_asked_for() -> None:
    speaker = Rewriting("How are query parameters declared?")
    assert by(speaker, "How are query parameters declared?")[1] == "rules"  # type: ignore[index]
    assert speaker.asked == []
    assert by(speaker, "How are query parameters declared?", "generator")[1] == "generator"  # type: ignore[index]
    assert len(speaker.asked) == 1


@pytest.mark.parametrize(
    ("speaker", "reason"),
    [
        (Rewriting("", fails=True), "went away"),
        (Rewriting("   \n "), "no rewritten question"),
        (Rewriting("Berlin is a large city on the river Spree"), "not hold what was asked"),
        (Rewriting("Germany bread recipe flour yeast oven"), "nobody said"),
        (Rewriting("Germany " * LONGEST), "longer than"),
        (Rewriting("What is the capital of Germany?", falls=True), "it is down"),
        (Rewriting("x", context_tokens=10), "10"),
    ],
)
def test_where_the_generator_cannot_the_rules_do_and_it_is_told(speaker: Rewriting, reason: str) -> None:
    text, who, failure = by(speaker, "and Germany?")  # type: ignore[misc]
    assert (text, who) == ("What is the capital of Germany?", "rules")
    assert reason in str(failure)


def test_the_setting_says_who_rewrites() -> None:
    speaker = Rewriting("What is the capital of Germany?")
    assert by(speaker, "and Germany?", "off") == ("and Germany?", None, None)
    assert by(speaker, "and Germany?", "rules") == ("What is the capital of Germany?", "rules", None)
    assert by(speaker, "and Germany?", turns=()) == ("and Germany?", None, None)
    assert speaker.asked == []
    quoting = Rewriting("", name="extractive")
    assert by(quoting, "and Germany?") == ("What is the capital of Germany?", "rules", None)
    assert by(quoting, "and Germany?", "generator") == (
        "What is the capital of Germany?",
        "rules",
        "extractive is no language model",
    )
