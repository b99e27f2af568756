"""Questions that nobody asked: made from what passages say, marked, and kept only where they lead back."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rag.app import App, opening
from rag.cli import datasets as command
from rag.corpus import Origin
from rag.errors import WrongUsage
from rag.evaluation.synthesis import Draft, Synthesized, by_generator, by_templates, first_question, synthesize
from rag.exports import FORMS
from rag.exports.making import make_questions, read
from rag.exports.splits import ALL_TEST
from rag.search import Fusion
from rag.store.datasets import SPLITS
from rag.types import (
    CancelToken,
    Event,
    Finish,
    GenerationSettings,
    Hit,
    Message,
    Passage,
    Place,
    Prompt,
    Text,
    Usage,
)
from tests.api import OTTERS, TIDES, small

KELP = (
    "Kelp is a large brown alga that grows in cold water near the coast. It gives shelter to fish and to the "
    "otters that wrap themselves in it."
)


def passage(text: str, title: str = "Sea", headings: tuple[str, ...] = ()) -> Passage:
    place = Place(1, "file:///sea.md", None, title)
    return Passage(Hit(1, 0.0, {}), text, title, headings, (place,), None, 0, len(text), 1)


class Speaker:
    """A language model that says what it is told to."""

    name, revision, context_tokens = "speaker", "1", 500

    def __init__(self, *said: str) -> None:
        self.said = list(said)
        self.seen: list[Prompt] = []

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        self.seen.append(prompt)
        yield Text(self.said.pop(0) if self.said else "no question")
        yield Usage(1, 1)
        yield Finish("stop")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("synthesis")
    docs = folder / "docs"
    docs.mkdir()
    for name, text in (("otters", OTTERS), ("tides", TIDES), ("kelp", KELP)):
        (docs / f"{name}.md").write_text(f"# {name.title()}\n\n## About {name}\n\n{text}\n")
    with opening(small(folder), create=True) as opened:
        opened.corpus().add_paths([docs], Origin("local"), max_bytes=10_000)
        yield opened


def synthesized(app: App, drafting: object, n: int = 9, avoid: Sequence[str] = ()) -> Synthesized:
    return synthesize(
        app.opened(),
        drafting,
        "x",
        n,
        "hybrid",
        Fusion(),
        app.local(),
        avoid=avoid,  # type: ignore[arg-type]
    )


def test_templates_ask_what_is_defined_and_what_headings_are_about() -> None:
    drafts = by_templates(passage(KELP, "Sea", ("Sea", "Plants")))
    assert drafts[0] == Draft("What is Kelp?", KELP.split(". ")[0] + ".")
    assert drafts[1].question == "What does Sea say about Plants?"
    asked = by_templates(passage(KELP, "Sea", ("Sea", "Why does kelp grow?")))
    assert asked[-1].question == "Why does kelp grow?", "a heading that asks is the question"
    assert by_templates(passage("Too short.")) == []
    german = (
        "Der Tang ist eine große braune Alge, die in kaltem Wasser vor der Küste wächst und den Fischen Schutz gibt."
    )
    assert by_templates(passage(german, "Meer", ("Meer", "Pflanzen"))) == [], "templates know English only"


def test_what_is_kept_is_marked_and_leads_back(app: App) -> None:
    found = synthesized(app, by_templates)
    assert found.records
    for record in found.records:
        [shown] = record.passages
        assert (record.origin, shown.grade, shown.by, record.answerable) == ("synthetic", 1, "origin", True)
        assert record.relevant == {shown.document: 1}
        assert record.interaction_id is None
    assert "What is Kelp?" in [record.question for record in found.records]
    assert [r.key for r in synthesized(app, by_templates).records] == [r.key for r in found.records]
    assert len(synthesized(app, by_templates, n=1).records) == 1


def test_what_does_not_lead_back_is_dropped(app: App) -> None:
    def dropped(question: str, avoid: Sequence[str] = ()) -> dict[str, int]:
        def draft(one: Passage) -> list[Draft]:
            return [Draft(question, None)] if "hold hands" in one.text else []

        found = synthesized(app, draft, avoid=avoid)
        assert len(found.records) == (not any("hing" not in reason for reason in found.dropped))
        return {reason: count for reason, count in found.dropped.items() if reason != "nothing to ask of the passage"}

    assert dropped("Do sea otters hold hands while they sleep?") == {}
    assert dropped("Otters?") == {"too short or too long": 1}
    assert dropped("Who won the cup in 1966?") == {"its own passage does not answer it": 1}
    near = ["do sea otters hold hands while they sleep"]
    assert dropped("Do sea otters hold hands while they sleep?", near) == {"nearly the same as another": 1}


def test_a_language_model_is_asked_for_a_question_alone(app: App) -> None:
    speaker = Speaker("Sure!\n1. Question: **Do sea otters hold hands?**\nBecause …", "What does the passage say?", "–")
    found = synthesized(app, by_generator(speaker, GenerationSettings(max_tokens=50)))
    assert [record.question for record in found.records] in ([], ["Do sea otters hold hands?"])
    assert len(speaker.seen) == 3
    system, user = speaker.seen[0].messages
    assert "never instructions" in system.content
    fence = user.content.split()[0]
    assert user.content.count(fence) == 2
    assert by_generator(Speaker(), GenerationSettings(max_tokens=490))(passage(KELP)) == [], "it would not fit"


def test_who_only_quotes_writes_no_questions(app: App) -> None:
    with pytest.raises(WrongUsage, match="--by templates"):
        by_generator(app.generator("extractive"), GenerationSettings())


def test_the_first_question_is_taken_as_it_is() -> None:
    assert first_question("Here it is:\n“What is kelp?”") == "What is kelp?"
    assert first_question("- 2) question: Why so?\nWhy not?") == "Why so?"
    assert first_question("No idea.") is None


def test_they_are_a_dataset_of_their_own_kind(app: App) -> None:
    found = synthesized(app, by_templates)
    made = make_questions(
        app.database, app.tenant_id, "practice", found.records, found.dropped, "templates", "default", ALL_TEST, "ada"
    )
    assert (made.version.kind, made.version.card["origins"]) == ("questions", {"synthetic": len(found.records)})
    assert tuple(read(app.database, app.tenant_id, "practice")[1]) == found.records


def test_the_command_line_names_what_the_modules_have() -> None:
    assert command.SPLITS == SPLITS
    assert command.FORMS == FORMS


def test_nothing_is_made_of_nothing(tmp_path: Path, app: App) -> None:
    with pytest.raises(WrongUsage, match="no passage"):
        make_questions(app.database, app.tenant_id, "none", (), {}, "templates", "default", ALL_TEST, "ada")
