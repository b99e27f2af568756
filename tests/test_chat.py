"""`rag chat` on a small installation: questions through a pipe, commands, Ctrl-C, and a terminal that is played."""

import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.answers.confidence import THRESHOLD
from rag.answers.telling import Telling
from rag.cli import chat
from rag.types import Event, Finish, Text
from tests.cli_house import House, Result, build


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = build(tmp_path_factory.mktemp("chat"))
    (house.docs / "hostile.txt").write_text("Walruses\n\nWalruses are \x1b[31mred\x1b[0m and \u202eheavy animals.\n")
    assert house("ingest", str(house.docs)).code == 0
    return house


@pytest.fixture
def say(house: House, monkeypatch: pytest.MonkeyPatch) -> "Say":
    return Say(house, monkeypatch)


class Say:
    """Puts lines into the command's standard input."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self._house, self._patch = house, monkeypatch

    def __call__(self, *lines: str, flags: tuple[str, ...] = ()) -> Result:
        self._patch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))
        return self._house("chat", *flags)


def logged(house: House, *flags: str) -> list[dict[str, object]]:
    """The log, the oldest first."""
    found = house("logs", "-n", "50", "--json", *flags).json["interactions"]
    assert isinstance(found, list)
    return found[::-1]


def test_each_line_is_a_question_that_knows_those_before(house: House, say: Say) -> None:
    result = say("When was the Golden Gate Bridge opened?", "", "How long is its main span?", "/quit", "never asked")
    assert (result.code, result.err) == (0, "")
    assert "> How long is its main span?" in result.out
    assert "Searched for: How long is Golden Gate Bridge's main span?" in result.out
    assert "Sources" in result.out
    assert "1,280 metres" in result.out
    assert "never asked" not in result.out
    assert "\x1b" not in result.out, "no colours in a pipe"
    first, second = logged(house)[-2:]
    assert (second["kind"], second["parent_id"]) == ("continuation", first["interaction_id"])
    shown = house("logs", "show", str(second["interaction_id"])).out
    assert f"turn 2: continuation, after {first['interaction_id']}" in shown
    assert "Searched for\nHow long is Golden Gate Bridge" in shown


def test_a_session_can_be_strict_and_refuse_nothing(house: House, say: Say) -> None:
    for flags, kept in ((("--strict", "--abstain", "never"), (True, 0)), ((), (False, THRESHOLD))):
        assert say("When was the Golden Gate Bridge opened?", "/quit", flags=flags).code == 0
        settings = house("logs", "show", str(logged(house)[-1]["interaction_id"]), "--json").json["settings"]
        assert isinstance(settings, dict)
        assert (settings["strict"], settings["abstain_threshold"]) == kept


def test_branches_and_regenerations_are_linked(house: House, say: Say) -> None:
    result = say(
        "Where does Mount Etna stand?",
        "Is it tall?",
        "/branch 1",
        "Is it active?",
        "/regenerate",
        "/branch",
        "/branch 0",
        "Who destroyed Pompeii?",
        "/new",
        "What is green tea?",
        "/sources",
    )
    assert result.code == 0
    entries = logged(house)[-6:]
    assert [entry["kind"] for entry in entries] == [
        "first",
        "continuation",
        "branch",
        "regeneration",
        "branch",
        "first",
    ]
    one, _, branch, again, _, other = entries
    assert branch["parent_id"] == again["parent_id"] == one["interaction_id"]
    assert again["regenerates_id"] == branch["interaction_id"]
    assert again["question"] == "Is it active?"
    assert other["conversation_id"] != one["conversation_id"]
    assert "* 4 (regeneration): Is it active?" in result.out
    assert "asked again with seed 1, temperature 0.7" in result.err
    assert "Green tea is brewed at 80 degrees." in result.out.split("> What is green tea?")[1]


def test_a_conversation_is_gone_on_with(house: House, say: Say) -> None:
    say("Where does Mount Etna stand?")
    earlier = logged(house)[-1]
    conversation = str(earlier["conversation_id"])
    assert say("/branch", "Why?", flags=("--conversation", conversation)).code == 0
    later = logged(house)[-1]
    assert (later["conversation_id"], later["parent_id"]) == (conversation, earlier["interaction_id"])
    say("Where does Mount Etna stand?", flags=("--conversation", "my own"))
    assert logged(house)[-1]["conversation_id"] == "my own"


@pytest.mark.parametrize("line", ["/nonsense", "/regenerate", "/branch 7", "/sources"])
def test_what_cannot_be_done_is_said_and_the_rest_goes_on(house: House, say: Say, line: str) -> None:
    result = say(line, "Where does Mount Etna stand?")
    assert result.code == 3
    assert result.err.startswith("rag: ")
    assert "Sicily" in result.out


def test_a_collection_that_is_not_there_is_told_at_once(say: Say) -> None:
    result = say("anything?", flags=("--collection", "nowhere"))
    assert (result.code, result.out) == (1, "")
    assert "nowhere" in result.err


def test_documents_cannot_steer_the_terminal(say: Say) -> None:
    result = say("What colour are walruses?", "/sources")
    assert "alruses are" in result.out
    assert "\x1b" not in result.out
    assert "\u202e" not in result.out


def test_ctrl_c_stops_the_answer_and_not_the_program(house: House, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Telling.events
    interrupted: list[str] = []

    def events(self: Telling, beginning: Iterator[Event] | None) -> Iterator[Text]:
        if interrupted:
            yield from told(self, beginning)
            return

        def speaking() -> Iterator[Event]:
            yield Text("It stands ")
            os.kill(os.getpid(), signal.SIGINT)
            interrupted.append("once")
            yield Finish("cancelled")

        yield from told(self, speaking())

    monkeypatch.setattr(Telling, "events", events)
    result = say("Where does Mount Etna stand?", "Who destroyed Pompeii?")
    assert result.code == 0
    assert "It stands" in result.out
    assert "Vesuvius" in result.out
    first, second = logged(house)[-2:]
    assert (first["finish_reason"], first["answer"]) == ("cancelled", "It stands ")
    assert second["finish_reason"] == "stop"


def test_a_terminal_gives_lines_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    said: list[object] = ["one", KeyboardInterrupt(), "  two  ", EOFError()]

    def typed(prompt: str) -> str:
        assert prompt == chat.PROMPT
        next_one = said.pop(0)
        if isinstance(next_one, BaseException):
            raise next_one
        return str(next_one)

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", typed)
    assert list(chat.lines()) == ["one", "two"]


def test_another_users_conversation_is_not_found(house: House, say: Say, tmp_path: Path) -> None:
    from rag.app import opening
    from rag.config import Settings
    from rag.store import interactions as store
    from tests.test_interactions import interaction

    settings = Settings(data=house.data, models=house.models, embedder="hashing:256", generator="extractive")
    with opening(settings) as app:
        theirs = interaction(app.collection(), user="eve", conversation_id="hers", passages=(), candidates=())
        with app.database.write() as connection:
            store.record(connection, app.database, theirs, app.collection().id)
    result = say("Why?", flags=("--conversation", "hers"))
    assert result.code == 1
    assert "no conversation 'hers'" in result.err
    assert json.dumps("hers") not in result.out


def test_ask_branches_and_asks_again_in_a_conversation(house: House, say: Say) -> None:
    assert say("When was the Golden Gate Bridge opened?", "How long is its main span?", "/quit").code == 0
    first, second = logged(house)[-2:]
    again = house("ask", "--regenerate", str(second["interaction_id"]), "--json").json
    branch = house("ask", "--parent", str(first["interaction_id"]), "Who", "designed", "it?", "--json").json
    told = {one["interaction_id"]: one for one in logged(house)}
    assert told[again["interaction_id"]]["kind"] == "regeneration"
    assert told[again["interaction_id"]]["question"] == second["question"]
    assert told[branch["interaction_id"]]["kind"] == "branch"
    nothing = house("ask")
    assert nothing.code == 2
    assert "--regenerate ID asks an earlier one again" in nothing.err
    other = house("ask", "--regenerate", str(second["interaction_id"]), "Another question?")
    assert other.code != 0
    assert "has the words that it had" in other.err
