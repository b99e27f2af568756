"""Replays: on an unchanged index nothing differs; what was changed, removed, replaced or hidden is named."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from ingest.reading.pool import Pool
from ingest.types import Source
from rag.app import App, opening
from rag.ask import Question, ask
from rag.config import Settings
from rag.corpus import Arrival, Origin
from rag.errors import Conflict, NotFound, WrongSetting, WrongUsage
from rag.evaluate import read_folder
from rag.experiments.differences import difference, words
from rag.experiments.replay import Otherwise, replay, replays
from rag.store import documents as document_store
from rag.store import interactions as interaction_store
from rag.store.database import now
from rag.store.filters.tree import Filter
from rag.store.permitted import Predicate
from rag.store.tables import contents
from rag.types import (
    CancelToken,
    Event,
    Finish,
    GenerationSettings,
    Interaction,
    Message,
    Mode,
    Principal,
    Prompt,
    Text,
    Usage,
)
from tests.api import OTTERS, TIDES, small

ASKED = "What do sea otters do while they sleep?"
THEN = Otherwise(at_original_index=True)


@dataclass
class Seeded:
    """A generator that says words of the passages, drawn by the seed."""

    name: str = "seeded"
    revision: str = "1"
    context_tokens: int = 4000

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        drawn = random.Random(settings.seed)
        said = " ".join(passage.text for passage in prompt.passages).split()
        yield Text(" ".join(drawn.choices(said, k=12)) + ".")
        yield Usage(100, 12)
        yield Finish("stop")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """The processes that read sources: one for all of these tests."""
    with opening(small(tmp_path_factory.mktemp("pool"), parse_processes=1), create=True) as app:
        yield app.pool()


@contextmanager
def house(settings: Settings, pool: Pool) -> Iterator[App]:
    """An installation with two documents."""
    with opening(settings, create=True) as app:
        app.engines.reading = pool
        add(app, otters=OTTERS, tides=TIDES)
        yield app
        app.engines.reading = None


@pytest.fixture
def app(tmp_path: Path, pool: Pool) -> Iterator[App]:
    with house(small(tmp_path), pool) as app:
        yield app


@pytest.fixture
def either(database_url: str, tmp_path: Path, pool: Pool) -> Iterator[App]:
    """The same on SQLite and on PostgreSQL."""
    with house(small(tmp_path, database=database_url), pool) as app:
        yield app


def add(app: App, labels: Sequence[str] = (), **texts: str) -> None:
    arrivals = [
        Arrival(f"note:{name}", Source(f"note:{name}", "text/plain", text.encode())) for name, text in texts.items()
    ]
    app.corpus().add_sources(arrivals, Origin("local", labels=frozenset(labels)), total=len(arrivals))


def remove(app: App, name: str) -> int:
    """Take a document away; gives its id."""
    collection = app.collection()
    with app.database.read() as connection:
        rows = document_store.listing(connection, Predicate(collection.id, None), collection.position, limit=50)
    found = next(row.id for row in rows if row.uri == f"note:{name}")
    app.corpus().remove([found], actor="test")
    return found


def asked(app: App, text: str = ASKED, asker: Principal | None = None, generator: str = "extractive") -> Interaction:
    question = Question(text, 4, abstaining=app.abstaining(), generation=app.generation())
    return ask(app.answering(generator=generator), question, asker or app.local())


def texts(entry: Interaction) -> list[str]:
    return [passage.text for passage in entry.passages]


# ── real text ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_hundred_answers_come_out_the_same_until_a_document_is_removed(shared_data: Path, tmp_path: Path) -> None:
    folder = read_folder(shared_data / "xquad-en")
    with opening(small(tmp_path, scorers=("faithfulness",)), create=True) as app:
        app.corpus().add_paths([folder.corpus], Origin("local"), max_bytes=2**26)
        app.publish_due(app.collection())
        answering, asker, entries = app.answering(), app.local(), []
        modes: tuple[Mode, ...] = ("hybrid", "keyword", "semantic", "hybrid")
        for number, example in enumerate(folder.examples[:200]):
            mode = modes[number % 4]
            weighed = app.abstaining(asked={"mode": mode})
            question = Question(example.question, 3, mode, fusion=app.fusion(), abstaining=weighed)
            entries.append(ask(answering, question, asker))
        done = list(replays(app, entries, asker))
        assert [each.failure for each in done] == [None] * 200
        found = [each.difference for each in done if each.difference is not None]
        assert all(each.same_passages and each.same_answer and not each.settings for each in found)
        assert len({each.second.id for each in found} | {each.first.id for each in found}) == 400
        assert sum(bool(each.second.answer and not each.second.answer.abstained) for each in found) >= 80

        victim = entries[0].passages[0].places[0]
        holding = [entry for entry in entries if any(victim in passage.places for passage in entry.passages)]
        app.corpus().remove([victim.document_id], actor="test")
        for each in replays(app, holding[:5], asker):
            assert each.difference is not None
            named = [gone for gone in each.difference.gone if gone.reason == "removed"]
            assert named
            assert all(f"document {victim.document_id}" in gone.told and victim.uri in gone.told for gone in named)
        for each in replays(app, holding[:5], asker, THEN):
            assert each.difference is not None
            assert each.difference.same_passages
            assert each.difference.same_answer


# ── what differs, and why ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_replay_is_logged_and_names_what_it_replays(either: App) -> None:
    app = either
    entry = replace(asked(app), origin="synthetic")
    again, found = replay(app, entry, app.local())
    with app.database.read() as connection:
        kept = interaction_store.get(connection, app.tenant_id, again.id)
    assert (kept.replays_id, kept.origin, kept.question) == (entry.id, "synthetic", ASKED)
    assert found.same_passages
    assert found.same_answer
    assert not found.settings
    assert {name for name, (a, b) in found.scores.items() if a != b} == set()


def test_a_seeded_answer_comes_again_and_another_seed_gives_another(app: App) -> None:
    app.engines.generators["seeded"] = Seeded()
    entry = asked(app, generator="seeded")
    assert replay(app, entry, app.local())[1].same_answer
    _, found = replay(app, entry, app.local(), Otherwise(seed=7))
    assert not found.same_answer
    assert found.settings == {"seed": (0, 7)}
    assert found.tokens == (112, 112)


def test_what_is_asked_otherwise_is_told(app: App) -> None:
    entry = asked(app)
    _, found = replay(app, entry, app.local(), Otherwise(mode="keyword", passages=1, template="summary"))
    assert {"mode", "k", "template"} <= found.settings.keys()
    assert found.settings["mode"] == ("hybrid", "keyword")
    gone = found.gone[0]
    assert (gone.reason, gone.rank) in {("re-ranked", 2), ("not found", None)}
    with pytest.raises(WrongSetting, match="mode is one of"):
        replay(app, entry, app.local(), Otherwise(mode="guess"))
    with pytest.raises(NotFound, match="elsewhere"):
        replay(app, entry, app.local(), Otherwise(collection="elsewhere"))


def test_a_removed_and_a_replaced_document_are_told_apart(either: App) -> None:
    app = either
    entry = asked(app)
    assert len(entry.passages) == 2
    removed = remove(app, "tides")
    add(app, otters="Sea otters sleep on their backs, and hold each other by the paw.")
    _, found = replay(app, entry, app.local())
    told = {gone.passage.places[0].uri: gone for gone in found.gone}
    assert told["note:tides"].reason == "removed"
    assert f"document {removed}" in told["note:tides"].told
    assert told["note:otters"].reason == "replaced"
    assert [new.reason for new in found.new] == ["added"]
    assert not found.same_answer


def test_what_came_since_pushes_others_out(app: App) -> None:
    entry = asked(app)
    add(app, **{f"more{n}": f"Sea otters sleep while they hold hands, said keeper {n}." for n in range(4)})
    _, found = replay(app, entry, app.local())
    assert "pushed out" in {gone.reason for gone in found.gone}
    pushed = next(gone for gone in found.gone if gone.reason == "pushed out")
    assert "note:more" in pushed.told
    assert {new.reason for new in found.new} == {"added"}


def test_another_collection_is_told(app: App) -> None:
    entry = asked(app)
    arrival = Arrival("note:sea", Source("note:sea", "text/plain", OTTERS.encode()))
    app.corpus("sea").add_sources([arrival], Origin("local"), total=1)
    _, found = replay(app, entry, app.local(), Otherwise(collection="sea"))
    assert [kept.same_text for kept in found.kept] == [True]  # the same text, in another collection
    assert {gone.reason for gone in found.gone} == {"another collection"}
    with pytest.raises(WrongUsage, match="no original index"):
        replay(app, entry, app.local(), Otherwise(collection="sea", at_original_index=True))


def test_who_may_not_see_a_text_is_told_so(app: App) -> None:
    add(app, labels=["secret"], plan="Sea otters sleep in the secret harbour.")
    entry = asked(app)
    ann = Principal(app.tenant_id, "ann", frozenset())
    again, found = replay(app, entry, ann)
    assert "note:plan" not in {place.uri for passage in again.passages for place in passage.places}
    assert {gone.reason for gone in found.gone} == {"not permitted"}
    assert again.user == "ann"


def test_a_filter_stays(app: App) -> None:
    question = Question(ASKED, 4, where=Filter.parse({"uri": "note:otters"}))
    entry = ask(app.answering(), question, app.local())
    again, found = replay(app, entry, app.local())
    assert found.same_passages
    assert {place.uri for passage in again.passages for place in passage.places} == {"note:otters"}


# ── the index of then ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_index_of_then_holds_what_was_removed_and_nothing_that_came(app: App) -> None:
    entry = asked(app)
    remove(app, "otters")
    add(app, tides="The tide does not rise at all.", more="Sea otters sleep in shifts.")
    app.publish_due(app.collection())
    app.indexes(app.collection()).publish()
    again, found = replay(app, entry, app.local(), THEN)
    assert found.same_passages
    assert found.same_answer
    assert again.position == entry.position
    assert again.settings["at_position"] == entry.position
    later = asked(app)
    assert replay(app, later, app.local(), THEN)[1].same_passages  # and that of now is itself


def test_permissions_are_those_of_now_and_content_that_of_then(either: App) -> None:
    """Whoever sees part of a collection gets no text of then whose document is gone, or is not theirs any more."""
    app = either
    add(app, kept="Sea otters sleep in kelp.", hidden="Sea otters sleep on ice.", gone="Sea otters sleep on rocks.")
    add(app, twin="Sea otters sleep in kelp.")  # the same text at another address, which will be hidden
    ann = Principal(app.tenant_id, "ann", frozenset({"zoo"}))
    entry = asked(app, asker=ann)
    remove(app, "gone")
    add(app, labels=["secret"], hidden="Sea otters sleep on secret ice.")
    add(app, labels=["secret"], twin="Sea otters sleep in secret kelp.")
    add(app, labels=["zoo"], kept="Sea otters do not sleep.")
    again, _ = replay(app, entry, ann, THEN)
    kelp = next(passage for passage in again.passages if passage.text == "Sea otters sleep in kelp.")
    assert [place.uri for place in kelp.places] == ["note:kept"]
    assert not {"Sea otters sleep on ice.", "Sea otters sleep on rocks."} & set(texts(again))
    everything, _ = replay(app, entry, app.local(), replace(THEN, passages=10))
    assert {"Sea otters sleep on ice.", "Sea otters sleep on rocks."} <= set(texts(everything))
    hidden = {each.hit.chunk_id for each in everything.passages if each.text.endswith(("ice.", "rocks."))}
    assert len(hidden) == 2
    with app.database.read() as connection:
        permitted = app.access.permitted_then(connection, ann, app.collection().id, None, entry.position)
    assert not hidden & set(permitted.bitmap().ids().tolist())  # nor are they ranked


def test_nobody_gets_an_erased_text_again(either: App) -> None:
    app = either
    entry = asked(app)
    content = entry.passages[0].content_id
    remove(app, "otters")
    with app.database.write() as connection:
        connection.execute(update(contents).where(contents.c.id == content).values(erased_at=now()))
    again, found = replay(app, entry, app.local(), THEN)
    assert content not in {passage.content_id for passage in again.passages}
    assert [gone.reason for gone in found.gone] == ["erased"]


def test_an_erased_question_cannot_be_asked_again(app: App) -> None:
    with pytest.raises(Conflict, match="was erased"):
        replay(app, replace(asked(app), question=""), app.local())


def test_a_position_that_never_was_is_refused(app: App) -> None:
    entry = replace(asked(app), position=99)
    with pytest.raises(WrongUsage, match="99 never was"):
        replay(app, entry, app.local(), THEN)


# ── conversations ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_follow_up_is_replayed_with_what_was_said_before(app: App) -> None:
    answering = app.answering()
    ask(answering, Question(ASKED, conversation_id="talk"), app.local())
    entry = ask(answering, Question("And why?", conversation_id="talk"), app.local())
    again, found = replay(app, entry, app.local())
    assert entry.search_query != "And why?"
    assert again.search_query == entry.search_query
    assert (again.conversation_id, again.parent_id, again.turn) == (None, None, None)
    assert found.same_passages
    assert found.same_answer
    third, found = replay(app, again, app.local())
    assert third.search_query == entry.search_query, "also where a replay is replayed"
    assert third.prompt == again.prompt
    assert found.same_passages
    with pytest.raises(Conflict, match="which the log no longer holds"):
        replay(app, replace(entry, parent_id="0" * 26), app.local())


def test_a_history_that_came_with_the_request_cannot_be_had(app: App) -> None:
    history = (Message("user", ASKED), Message("assistant", "They hold hands."))
    entry = ask(app.answering(), Question("And why?", history=history), app.local())
    with pytest.raises(Conflict, match="history of its own"):
        replay(app, entry, app.local())
    (done,) = replays(app, [entry], app.local())
    assert done.difference is None
    assert done.failure is not None
    assert "history of its own" in done.failure


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.text(alphabet="ab .,\n", max_size=60), st.text(alphabet="ab .,\n", max_size=60))
def test_both_texts_can_be_read_from_their_difference(first: str, second: str) -> None:
    found = words(first, second)
    assert "".join(each.text for each in found if each.kind != "new") == first
    assert "".join(each.text for each in found if each.kind != "gone") == second
    assert all(each.text for each in found)


def test_whole_words_differ() -> None:
    told = [(each.kind, each.text) for each in words("It opened in 1937.", "It opened in 1938.")]
    assert told == [("same", "It opened in "), ("gone", "1937"), ("new", "1938"), ("same", ".")]


def test_the_difference_of_an_answer_to_itself_is_none(app: App) -> None:
    entry = asked(app)
    found = difference(app.database, app.access, entry, entry, app.local())
    assert found.same_passages
    assert found.same_answer
    assert not found.settings
