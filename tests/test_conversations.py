"""Conversations on both databases: turns as trees, whose they are, and answers that know what was said before."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ulid import ULID

from rag.ask import Answering, Question, ask
from rag.errors import GeneratorFailed, NotFound, WrongUsage
from rag.prompt import built_in
from rag.search import OpenCollection
from rag.store import collections as collection_store
from rag.store import interactions as interaction_store
from rag.store.collections import Collection
from rag.store.database import Database, now
from rag.store.interactions import Query
from rag.store.log import conversations as store
from rag.store.log import forgetting
from rag.types import GenerationSettings, Interaction, Message, Principal, Template
from tests.test_ask import Speaking, corpus, embedder, opened, principal
from tests.test_interactions import collection, interaction

__all__ = ["collection", "corpus", "embedder", "opened", "principal"]  # fixtures


def logged(database: Database, where: Collection, number: int, **changes: object) -> Interaction:
    entry = interaction(where, number, **({"conversation_id": "C"} | changes))
    with database.write() as connection:
        return interaction_store.record(connection, database, entry, where.id)


def placed(database: Database, where: Collection, user: str = "ann", **asked: str | None) -> store.Placed:
    with database.read() as connection:
        return store.place(connection, Principal(where.tenant_id, user), **asked)


def turns(database: Database, where: Collection, conversation: str = "C") -> list[store.Node]:
    with database.read() as connection:
        return store.turns_of(connection, Principal(where.tenant_id, "ann"), conversation)


def test_turns_are_numbered_and_know_what_they_are(database: Database, collection: Collection) -> None:
    first = logged(database, collection, 1)
    second = logged(database, collection, 2, parent_id=first.id)
    branch = logged(database, collection, 3, parent_id=first.id)
    again = logged(database, collection, 4, parent_id=first.id, regenerates_id=second.id)
    assert [(node.turn, node.kind, node.parent_id) for node in turns(database, collection)] == [
        (1, "first", None),
        (2, "continuation", first.id),
        (3, "branch", first.id),
        (4, "regeneration", first.id),
    ]
    with database.read() as connection:
        assert interaction_store.get(connection, collection.tenant_id, again.id) == again
    assert placed(database, collection, conversation_id="C").parent_id == again.id, "the newest turn is gone on from"
    assert placed(database, collection, conversation_id="C", parent=branch.id).parent_id == branch.id
    assert placed(database, collection, conversation_id="C", parent="root") == store.Placed("C")
    regenerated = placed(database, collection, regenerates=branch.id.lower())
    assert (regenerated.parent_id, regenerated.regenerates_id, regenerated.question) == (first.id, branch.id, "who?")


def test_what_was_said_is_read_along_the_branch(database: Database, collection: Collection) -> None:
    first = logged(database, collection, 1, question="one?", search_query="one?")
    left = logged(database, collection, 2, parent_id=first.id, question="left?", search_query="left one?")
    right = logged(database, collection, 3, parent_id=first.id, question="right?")
    failed = logged(database, collection, 4, parent_id=right.id, answer=None, prompt=None, passages=(), error="no")
    path = placed(database, collection, conversation_id="C", parent=left.id).turns
    assert [(turn.question, turn.standalone) for turn in path] == [("one?", "one?"), ("left?", "left one?")]
    assert path[-1].titles == ("a",), "what the last answer cites"
    assert placed(database, collection, conversation_id="C").parent_id == right.id, "not from what failed"
    assert [turn.question for turn in placed(database, collection, parent=failed.id).turns] == ["one?", "right?"]


def test_only_the_last_turns_of_a_long_branch_are_read(
    database: Database, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RECALLED", 3)
    parent = None
    for number in range(1, 7):
        parent = logged(database, collection, number, parent_id=parent, question=f"{number}?").id
    path = placed(database, collection, conversation_id="C").turns
    assert [turn.question for turn in path] == ["4?", "5?", "6?"]


def test_a_conversation_is_its_users_alone(database: Database, collection: Collection) -> None:
    entry = logged(database, collection, 1)
    alone = logged(database, collection, 2, conversation_id=None)
    with database.write() as connection:
        other = collection_store.ensure_tenant(connection, "other")
    for stranger in (Principal(collection.tenant_id, "bob"), Principal(other, "ann")):
        with database.read() as connection:
            assert store.listing(connection, stranger, limit=9) == []
            with pytest.raises(NotFound):
                store.turns_of(connection, stranger, "C")
            with pytest.raises(NotFound):
                store.listing(connection, stranger, limit=9, before="C")
            for asked in ({"conversation_id": "C"}, {"parent": entry.id}, {"regenerates": alone.id}):
                with pytest.raises(NotFound):
                    store.place(connection, stranger, **asked)
        stolen = {"tenant_id": stranger.tenant_id, "user": stranger.user}
        with pytest.raises(NotFound, match="conversation"):
            logged(database, collection, 9, **stolen)
    assert len(turns(database, collection)) == 1


def test_a_parent_stands_in_its_conversation(database: Database, collection: Collection) -> None:
    first = logged(database, collection, 1)
    alone = logged(database, collection, 2, conversation_id=None)
    for asked in (
        {"parent": alone.id},
        {"parent": "root"},
        {"parent": first.id, "conversation_id": "D"},
        {"regenerates": first.id, "conversation_id": "D"},
        {"regenerates": first.id, "parent": first.id},
    ):
        with pytest.raises(WrongUsage):
            placed(database, collection, **asked)
    with pytest.raises(NotFound, match="no turn"):
        logged(database, collection, 3, parent_id=alone.id)
    assert placed(database, collection, conversation_id="D") == store.Placed("D"), "one that is not there begins"


def test_lists_are_newest_first_and_paged(database: Database, collection: Collection) -> None:
    for number in range(1, 6):
        logged(database, collection, number, conversation_id=f"c{number}", question=f"{number}?")
    logged(database, collection, 6, conversation_id="c2", parent_id=interaction(collection, 2).id)
    seen: list[tuple[str, str, int]] = []
    before = None
    with database.read() as connection:
        while page := store.listing(connection, Principal(collection.tenant_id, "ann"), limit=2, before=before):
            seen += [(each.id, each.question, each.turns) for each in page]
            before = page[-1].id
    assert sorted(seen) == [("c1", "1?", 1), ("c2", "2?", 2), ("c3", "3?", 1), ("c4", "4?", 1), ("c5", "5?", 1)]
    assert [name for name, _, _ in seen] == sorted((name for name, _, _ in seen), reverse=True)


STEPS = st.lists(
    st.tuples(st.sampled_from(["go on", "branch", "again", "root", "fail"]), st.integers(0, 9)), max_size=8
)


def test_a_conversation_whose_beginning_was_pruned_goes_on(database: Database, collection: Collection) -> None:
    today = now().isoformat(timespec="milliseconds")
    first = logged(database, collection, 1, question="one?")
    second = logged(database, collection, 2, parent_id=first.id, question="two?", created_at=today)
    logged(database, collection, 3, parent_id=second.id, question="three?", created_at=today)
    assert forgetting.prune(database, collection.tenant_id, 30, actor="ann") == 1
    with database.read() as connection:
        (told,) = store.listing(connection, Principal(collection.tenant_id, "ann"), limit=10)
    assert (told.question, told.turns) == ("two?", 2)
    again = placed(database, collection, regenerates=second.id)
    assert (again.parent_id, again.turns) == (None, ())
    assert logged(database, collection, 4, parent_id=again.parent_id, regenerates_id=second.id).turn == 4


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_sequence_of_turns_makes_a_tree(database: Database, collection: Collection, steps: list[object]) -> None:
    """Turns are numbered without a gap, every parent stands before its child and in the same conversation, a
    regeneration has the parent of what it asks again, and what comes beside another child of a parent is a branch."""
    conversation, ids = str(ULID()), list[str]()
    for step, number in steps:  # type: ignore[misc]
        some = ids[number % len(ids)] if ids else None
        asked: dict[str, str | None] = {"conversation_id": conversation}
        if some is not None and step == "branch":
            asked = {"parent": some}
        elif some is not None and step == "again":
            asked = {"regenerates": some}
        elif step == "root":
            asked |= {"parent": "root"}
        found = placed(database, collection, **asked)
        changes: dict[str, object] = {"answer": None, "error": "no"} if step == "fail" else {}
        where = {"conversation_id": conversation, "parent_id": found.parent_id, "regenerates_id": found.regenerates_id}
        assert found.conversation_id == conversation
        ids.append(logged(database, collection, 1, id=str(ULID()), **where, **changes).id)
    if not ids:
        return
    known = turns(database, collection, conversation)
    assert [node.id for node in known] == ids
    assert [node.turn for node in known] == list(range(1, len(ids) + 1))
    by_id = {node.id: node for node in known}
    for node in known:
        before = [other for other in known if other.turn < node.turn]
        assert node.parent_id is None or by_id[node.parent_id] in before
        beside = [other for other in before if other.parent_id == node.parent_id and other.error is None]
        if node.regenerates_id is not None:
            assert by_id[node.regenerates_id].parent_id == node.parent_id
            assert node.kind == "regeneration"
        else:
            expected = "branch" if beside else "first" if node.parent_id is None else "continuation"
            assert node.kind == expected


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def answering(opened: OpenCollection, speaker: Speaking, template: Template | None = None) -> Answering:
    return Answering(opened, speaker, [], None, template or built_in(), built_in("conversation"), "rules")


def test_a_follow_up_is_searched_for_with_what_it_means(opened: OpenCollection, principal: Principal) -> None:
    speaker = Speaking(["They are yellow [1]."])
    with_rules = answering(opened, speaker)
    first = ask(with_rules, Question("What colour are bananas?", conversation_id="C"), principal)
    second = ask(with_rules, Question("How do they grow?", conversation_id="C"), principal)
    assert (first.kind, first.search_query, first.template) == ("first", first.question, built_in().version)
    assert (second.kind, second.parent_id, second.turn) == ("continuation", first.id, 2)
    assert second.search_query == "How do colour bananas grow?"
    assert second.passages[0].places[0].title == "bananas.txt"
    assert second.settings["rewritten_by"] == "rules"
    assert second.template == built_in("conversation").version
    shown = speaker.asked[-1]
    assert shown.question == second.search_query, "who reads no messages is asked what is meant"
    assert "What colour are bananas?" in shown.messages[-1].content
    assert shown.messages[-1].content.endswith("Question: How do they grow?")
    with opened.database.read() as connection:
        assert interaction_store.get(connection, principal.tenant_id, second.id) == second


def test_a_question_is_asked_again_with_another_seed(opened: OpenCollection, principal: Principal) -> None:
    speaker = Speaking(["Red."])
    who = answering(opened, speaker)
    first = ask(who, Question("What colour are apples?", conversation_id="C"), principal)
    second = ask(who, Question("Where do they grow?", conversation_id="C"), principal)
    again = ask(who, Question("", regenerates=second.id, generation=GenerationSettings(seed=7)), principal)
    assert (again.question, again.search_query) == (second.question, second.search_query)
    assert (again.kind, again.parent_id, again.regenerates_id) == ("regeneration", first.id, second.id)
    assert again.settings["seed"] == 7
    branch = ask(who, Question("Are they sour?", parent=first.id), principal)
    assert (branch.kind, branch.conversation_id) == ("branch", "C")
    single = ask(who, Question("What colour are cherries?"), principal)
    twice = ask(who, Question("", regenerates=single.id), principal)
    assert (twice.kind, twice.conversation_id, twice.regenerates_id) == ("regeneration", None, single.id)
    with pytest.raises(WrongUsage, match="words that it had"):
        ask(who, Question("Other words?", regenerates=second.id), principal)


def test_anothers_conversation_is_not_found_and_left_as_it_is(opened: OpenCollection, principal: Principal) -> None:
    who = answering(opened, Speaking(["Red."]))
    first = ask(who, Question("What colour are apples?", conversation_id="C"), principal)
    eve = replace(principal, user="eve")
    for question in (
        Question("And bananas?", conversation_id="C"),
        Question("And bananas?", parent=first.id),
        Question("", regenerates=first.id),
    ):
        with pytest.raises(NotFound):
            ask(who, question, eve)
    with opened.database.read() as connection:
        assert interaction_store.count(connection, principal.tenant_id, Query(conversation_id="C")) == 1
        refused = interaction_store.listing(connection, principal.tenant_id, Query(user="eve"), limit=9)
    assert [(entry.conversation_id, entry.parent_id, entry.answer) for entry in refused] == [(None, None, None)] * 3
    assert all(entry.error is not None and "Red" not in entry.error for entry in refused), "asked, and not found"


def test_history_can_be_given_without_a_conversation(opened: OpenCollection, principal: Principal) -> None:
    said = (Message("user", "What colour are bananas?"), Message("assistant", "Yellow."))
    entry = ask(answering(opened, Speaking(["In bunches."])), Question("How do they grow?", history=said), principal)
    assert entry.search_query == "How do colour bananas grow?"
    assert (entry.conversation_id, entry.kind) == (None, None)


def test_the_prompt_never_exceeds_the_context(opened: OpenCollection, principal: Principal) -> None:
    """However long the history: the oldest turns go first, and how many is told."""
    words = ["apples " * 40]
    speaker = Speaking(words, context_tokens=500)
    asked = {"generation": GenerationSettings(max_tokens=60), "conversation_id": "C"}
    entries = [
        ask(answering(opened, speaker), Question(f"Where do apples grow, number {n}?", **asked), principal)  # type: ignore[arg-type]
        for n in range(8)
    ]
    for entry in entries:
        assert entry.prompt is not None
        assert entry.prompt.tokens <= 500 - 60
        assert entry.prompt.tokens == speaker.count_tokens(entry.prompt.messages)
    last = entries[-1].prompt
    assert last is not None
    assert last.left_out is not None
    assert 0 < last.left_out.turns < 14
    assert "number 6?" in last.messages[-1].content
    assert "number 0?" not in last.messages[-1].content
    long = tuple(Message("user", "kelp " * 5000) for _ in range(3))
    stateless = ask(answering(opened, speaker), Question("Where do apples grow?", history=long), principal)
    assert stateless.prompt is not None
    assert stateless.prompt.tokens <= 500


def test_a_failure_is_a_turn_that_nothing_continues(opened: OpenCollection, principal: Principal) -> None:
    good, bad = Speaking(["Red."]), Speaking(["Re"], fails=True)
    first = ask(answering(opened, good), Question("What colour are apples?", conversation_id="C"), principal)
    with pytest.raises(GeneratorFailed):
        ask(answering(opened, bad), Question("And bananas?", conversation_id="C"), principal)
    third = ask(answering(opened, good), Question("And cherries?", conversation_id="C"), principal)
    assert (third.turn, third.parent_id, third.kind) == (3, first.id, "continuation")


def test_who_names_a_template_gets_it(opened: OpenCollection, principal: Principal) -> None:
    named = Answering(opened, Speaking(["Red."]), [], None, built_in(), None, "off")
    first = ask(named, Question("What colour are apples?", conversation_id="C"), principal)
    second = ask(named, Question("And bananas?", conversation_id="C"), principal)
    assert second.template == first.template == built_in().version
    assert second.search_query == "And bananas?"
    assert second.prompt is not None
    assert second.prompt.left_out is not None
    assert second.prompt.left_out.turns == 2, "what the template has no place for is told"


def test_what_was_logged_before_begins_a_turn_each(database_url: str) -> None:
    """Names of conversations were labels: nothing that bears one was asked with the others' history."""
    from sqlalchemy import MetaData, Table, insert

    from rag.store import database as database_store
    from rag.store.tables import conversations

    database = database_store.connect(database_url)
    database_store.upgrade(database, "0004")
    with database.write() as connection:
        interactions = Table("interactions", MetaData(), autoload_with=connection)  # as it was then
        tenant = collection_store.ensure_tenant(connection)
        connection.execute(insert(conversations).values(id="C", tenant_id=tenant, user="u", created_at=now()))
        for number, name in ((1, "C"), (2, None), (3, "C")):
            connection.execute(
                insert(interactions).values(
                    id=f"0{number}", tenant_id=tenant, conversation_id=name, collection="x", user="u", origin="human",
                    question=f"{number}?", search_query="q", citations=[], candidates=[], model="m", revision="",
                    template="t", settings={}, position=0, generation=0, timings_ms={}, total_ms=0.0, created_at=now(),
                )
            )  # fmt: skip
    database_store.upgrade(database)
    with database.read() as connection:
        found = store.turns_of(connection, Principal(tenant, "u"), "C")
        assert [(node.id, node.turn, node.kind, node.parent_id) for node in found] == [
            ("01", 1, "first", None),
            ("03", 2, "first", None),
        ]
        assert store.place(connection, Principal(tenant, "u"), conversation_id="C").parent_id == "03"
    database.close()
