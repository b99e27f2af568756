"""A generator with another behind it: who speaks, why, and what the log keeps; a busy one over HTTP."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from rag.api import problems
from rag.app import App, opening
from rag.ask import Done, Question, Started, stream
from rag.config import load
from rag.errors import Busy, GeneratorFailed, ModelNotReady, NotReady
from rag.generators import Falling, Unready
from rag.shapes.answers import ask_json
from rag.store import interactions as interaction_store
from rag.store.interactions import Query
from rag.types import (
    CancelToken,
    Event,
    Fallback,
    Finish,
    GenerationSettings,
    Generator,
    Interaction,
    Message,
    Prompt,
    Text,
    Usage,
)

PROMPT = Prompt("?", (Message("user", "?"),), (), "", 0)


@dataclass
class Speaking:
    """Says its words, and then fails if it is to."""

    name: str
    words: Sequence[str] = ()
    error: Exception | None = None
    context_tokens: int = 4000
    revision: str = "1"
    at_stop: bool = False
    asked: int = 0

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self.context_tokens // 10

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        self.asked += 1
        yield from map(Text, self.words)
        if self.error is not None:
            raise self.error
        yield Usage(1, len(self.words))
        yield Finish("cancelled" if cancel.is_set() else "stop", self.at_stop)


def events(generator: Generator, cancel: threading.Event | None = None) -> list[Event]:
    return list(generator.generate(PROMPT, GenerationSettings(), cancel or threading.Event()))


def test_the_second_is_silent_while_the_first_speaks() -> None:
    first, second = Speaking("first", ("It", " is.")), Speaking("second", ("No.",))
    falling = Falling(first, second)
    assert events(falling) == [Text("It"), Text(" is."), Usage(1, 2), Finish("stop")]
    assert second.asked == 0
    assert (falling.name, falling.revision) == ("first", "1")


@pytest.mark.parametrize(
    ("words", "error", "reason"),
    [
        ((), GeneratorFailed("the server went away"), "the server went away"),
        ((), Busy("too many", 1.0), "too many"),
        ((), ModelNotReady("no model"), "no model"),
        ((" ", "\n"), GeneratorFailed("gone"), "gone"),
        ((), None, "first gave an empty answer"),
        ((" ",), None, "first gave an empty answer"),
    ],
)
def test_the_second_speaks_where_the_first_said_nothing(
    words: Sequence[str], error: Exception | None, reason: str
) -> None:
    falling = Falling(Speaking("first", words, error), Speaking("second", ("Yes.",)))
    assert events(falling) == [Fallback("second", "1", "first", reason), Text("Yes."), Usage(1, 1), Finish("stop")]


def test_after_the_first_word_a_failure_is_a_failure() -> None:
    second = Speaking("second", ("Yes.",))
    heard: list[Event] = []
    with pytest.raises(GeneratorFailed, match="gone"):
        heard.extend(events(Falling(Speaking("first", ("It",), GeneratorFailed("gone")), second)))
    assert second.asked == 0


def test_what_is_no_failure_of_a_generator_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        events(Falling(Speaking("first", (), ZeroDivisionError()), Speaking("second", ("Yes.",))))


def test_whoever_has_gone_gets_no_second() -> None:
    cancel = threading.Event()
    cancel.set()
    second = Speaking("second", ("Yes.",))
    assert events(Falling(Speaking("first"), second), cancel) == [Usage(1, 0), Finish("cancelled")]
    assert second.asked == 0


def test_whom_a_stop_string_left_without_a_word_has_answered() -> None:
    second = Speaking("second", ("Yes.",))
    silent = Speaking("first", (" ",), at_stop=True)
    assert events(Falling(silent, second)) == [Text(" "), Usage(1, 1), Finish("stop", at_stop=True)]
    assert second.asked == 0


def test_a_prompt_must_fit_both() -> None:
    small, large = Speaking("small", context_tokens=100), Speaking("large", context_tokens=900)
    for falling in (Falling(small, large), Falling(large, small)):
        assert falling.context_tokens == 100
        assert falling.count_tokens(PROMPT.messages) == 90
    unready = Falling(Unready("none", ModelNotReady("no")), small)
    assert (unready.context_tokens, unready.count_tokens(PROMPT.messages)) == (100, 10)


# ── through the application ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "apples.txt").write_text("Apples are red. They grow on trees in the garden.")
    return tmp_path


def opened(folder: Path, **flags: object) -> App:
    from rag.corpus import Origin

    chosen = load({"data": str(folder / "data"), "embedder": "hashing:256", **flags}, {}, folder).settings
    with opening(chosen, create=True) as app:
        app.corpus().add_paths([folder / "apples.txt"], Origin("local"), max_bytes=2**20)
    return App.open(chosen)


def logged(app: App) -> Interaction:
    with app.database.read() as connection:
        (entry,) = interaction_store.listing(connection, app.tenant_id, Query(), limit=10)
        return interaction_store.get(connection, app.tenant_id, entry.id)


def test_answer_and_log_say_who_spoke_and_why(folder: Path) -> None:
    app = opened(folder, generator="transformers:./absent", fallback="extractive")
    steps = list(stream(app.answering(), Question("Which colour are apples?"), app.local()))
    done = steps[-1]
    assert isinstance(done, Done)
    for entry in (done.interaction, logged(app)):
        assert entry.answer is not None
        assert entry.answer.text
        assert entry.model == entry.answer.generator == "extractive"
        assert entry.settings["fallback_from"] == "transformers:./absent"
        assert "there is no folder ./absent" in str(entry.settings["fallback_reason"])
        assert ask_json(entry)["fallback"] == {
            "instead_of": "transformers:./absent",
            "reason": entry.settings["fallback_reason"],
        }
    app.close()


def test_without_the_setting_nobody_speaks_instead(folder: Path) -> None:
    app = opened(folder, generator="transformers:./absent")
    with pytest.raises(NotReady, match="there is no folder"):
        app.answering()
    app.close()


def test_a_busy_generator_is_503_before_anything_is_told(folder: Path) -> None:
    class Full(Speaking):
        def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
            raise Busy("sixteen are waiting", 4.2)

    app = opened(folder, generator="extractive")
    answering = app.answering()
    full = type(answering)(answering.opened, Full("full"), answering.scorers)
    heard: list[object] = []
    with pytest.raises(Busy) as refused:
        heard.extend(stream(full, Question("Which colour are apples?"), app.local()))
    assert not any(isinstance(step, Started) for step in heard)
    response = problems.of(refused.value)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert logged(app).error == "sixteen are waiting"
    app.close()
