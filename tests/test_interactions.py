"""The log on both databases: what is recorded is read back whole, listed newest first, filtered and judged."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from rag.errors import NotFound, WrongUsage
from rag.store import collections as collection_store
from rag.store import interactions as interaction_store
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.interactions import Query, ScoreRange
from rag.store.tables import texts
from rag.types import (
    Answer,
    Citation,
    Cut,
    Hit,
    Interaction,
    LeftOut,
    Message,
    Part,
    Passage,
    Place,
    Prompt,
    Score,
    Usage,
)
from tests.test_store import Named, add, document


@pytest.fixture
def collection(database: Database) -> Collection:
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        collection = collection_store.create(connection, tenant, "default", Named(), {})
    add(database, collection, document(database, "file:///a", "Anna wrote it. It rained."))
    return collection


def interaction(collection: Collection, number: int = 1, **changes: object) -> Interaction:
    """A logged question with one passage, one further candidate, a citation and a score."""
    hit = Hit(1, 0.9, {"dense": Part(1, 0.8), "bm25": Part(2, 7.5)})
    place = Place(1, "file:///a", None, "a", {"year": 2020})
    passage = Passage(hit, "Anna wrote it.", "a", ("Top", "Sub"), (place,), 3, 0, 14, 1)
    prompt = Prompt("who?", (Message("system", "be true"), Message("user", "who?")), (passage,), "answer@1", 12)
    citation = Citation(0, 18, 1, 0, 14, "Anna wrote it.", 1.0, "supported", True)
    answer = Answer("Anna wrote it. [1]", (citation,), False, "extractive", "stop", Usage(None, None))
    entry = Interaction(
        id=f"01J{number:023d}",
        created_at=(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)).isoformat(timespec="milliseconds"),
        tenant_id=collection.tenant_id,
        collection="default",
        user="ann",
        conversation_id=None,
        origin="human",
        question="who?",
        search_query="who?",
        prompt=prompt,
        answer=answer,
        error=None,
        passages=(passage,),
        candidates=(Hit(2, 0.1, {"dense": Part(9, 0.1)}),),
        model="extractive",
        revision="1",
        template="answer@1",
        settings={"k": 8},
        position=1,
        generation=0,
        timings_ms={"total": 12.5, "search": 3.0},
        scores=(Score("faithfulness", 1.0, identifier="faithfulness@1"), Score("answer_relevancy", None)),
    )
    return replace(entry, **changes)  # type: ignore[arg-type]


def record(database: Database, collection: Collection, *entries: Interaction) -> None:
    with database.write() as connection:
        for entry in entries:
            interaction_store.record(connection, database, entry, collection.id)


def ids(database: Database, where: Collection, **query: object) -> list[int]:
    with database.read() as connection:
        found = interaction_store.listing(connection, where.tenant_id, Query(**query), limit=100)  # type: ignore[arg-type]
    return [int(entry.id[3:]) for entry in found]


def test_what_is_recorded_is_read_back_whole(database: Database, collection: Collection) -> None:
    entry = interaction(collection, conversation_id="01CONVERSATION", turn=1, kind="first")
    record(database, collection, entry)
    with database.read() as connection:
        assert interaction_store.get(connection, collection.tenant_id, entry.id) == entry
        assert interaction_store.get(connection, collection.tenant_id, entry.id.lower()) == entry


def test_what_a_prompt_left_out_is_read_back(database: Database, collection: Collection) -> None:
    entry = interaction(collection)
    assert entry.prompt is not None
    left_out = LeftOut(900, (Cut(2, 7, 3, 10, 400, 95), Cut(4, 9, 3, 400, 500, 20)), 3)
    entry = replace(entry, prompt=replace(entry.prompt, left_out=left_out))
    record(database, collection, entry)
    with database.read() as connection:
        assert interaction_store.get(connection, collection.tenant_id, entry.id) == entry


def test_a_prompt_that_was_sent_twice_is_kept_once(database: Database, collection: Collection) -> None:
    record(database, collection, interaction(collection, 1), interaction(collection, 2))
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(texts)) == 2, "its frame, and where a passage stood"


def test_a_failure_is_an_entry_without_answer(database: Database, collection: Collection) -> None:
    failed = interaction(collection, prompt=None, answer=None, error="no such model", passages=(), scores=())
    record(database, collection, failed)
    with database.read() as connection:
        assert interaction_store.get(connection, collection.tenant_id, failed.id) == failed
    assert ids(database, collection, failed=True) == [1]
    assert ids(database, collection, failed=False) == []


def test_lists_are_newest_first_and_paged_by_id(database: Database, collection: Collection) -> None:
    record(database, collection, *(interaction(collection, n) for n in range(1, 8)))
    seen, before = [], None
    with database.read() as connection:
        while True:
            page = interaction_store.listing(connection, collection.tenant_id, Query(), limit=3, before=before)
            if not page:
                break
            seen += [int(entry.id[3:]) for entry in page]
            before = page[-1].id
        assert interaction_store.count(connection, collection.tenant_id, Query()) == 7
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_every_filter_narrows(database: Database, collection: Collection) -> None:
    low = (Score("faithfulness", 0.2), Score("faithfulness", None))
    record(
        database,
        collection,
        interaction(collection, 1),
        interaction(collection, 2, question="100% of WHAT_is_it?", model="other", scores=low),
        interaction(collection, 3, user="bob", conversation_id="C", scores=()),
    )
    assert ids(database, collection, text="what_IS") == [2]
    assert ids(database, collection, text="100%") == [2]
    assert ids(database, collection, text="0% of_") == []
    assert ids(database, collection, text="WHA*") == [2]
    assert ids(database, collection, text='"is what"') == []
    assert ids(database, collection, text="rained") == []
    assert ids(database, collection, text="anna WROTE") == [3, 2, 1]
    assert ids(database, collection, model="other") == [2]
    assert ids(database, collection, user="bob") == [3]
    assert ids(database, collection, conversation_id="C") == [3]
    assert ids(database, collection, collection="nope") == []
    assert ids(database, collection, scores=(ScoreRange("faithfulness", most=0.5),)) == [2]
    assert ids(database, collection, scores=(ScoreRange("faithfulness", 0.5),)) == [1]
    assert ids(database, collection, scores=(ScoreRange("answer_relevancy"),)) == [], "what does not apply is no zero"
    assert ids(database, collection, since=datetime(2026, 1, 1, 2, tzinfo=UTC)) == [3, 2]
    assert ids(database, collection, until=datetime(2026, 1, 1, 2, tzinfo=UTC)) == [1]


def test_other_tenants_see_nothing(database: Database, collection: Collection) -> None:
    record(database, collection, interaction(collection, conversation_id="C"))
    with database.write() as connection:
        other = collection_store.ensure_tenant(connection, "other")
        assert interaction_store.listing(connection, other, Query(), limit=9) == []
        with pytest.raises(NotFound):
            interaction_store.get(connection, other, interaction(collection).id)
        with pytest.raises(NotFound):
            interaction_store.add_feedback(
                connection, other, interaction(collection).id, user="x", rating=1, label=None, comment=None
            )
    stolen = interaction(collection, 2, tenant_id=other, conversation_id="C")
    with pytest.raises(NotFound, match="conversation"):
        record(database, collection, stolen)


def test_feedback_is_kept_with_who_gave_it(database: Database, collection: Collection) -> None:
    entry = interaction(collection)
    record(database, collection, entry)
    with database.write() as connection:
        tell = {"user": "bob", "label": None, "comment": None}
        interaction_store.add_feedback(connection, collection.tenant_id, entry.id, **{**tell, "rating": -1})
        interaction_store.add_feedback(
            connection, collection.tenant_id, entry.id, **{**tell, "rating": None, "label": "wrong"}
        )
        with pytest.raises(WrongUsage):
            interaction_store.add_feedback(connection, collection.tenant_id, entry.id, **{**tell, "rating": None})
        with pytest.raises(WrongUsage):
            interaction_store.add_feedback(connection, collection.tenant_id, entry.id, **{**tell, "rating": 5})
    with database.read() as connection:
        given = [(f.user, f.rating, f.label) for f in interaction_store.feedback_of(connection, entry.id)]
    assert given == [("bob", -1, None), ("bob", None, "wrong")]


def test_the_beginning_of_an_id_is_enough_when_it_is_unique(database: Database, collection: Collection) -> None:
    record(database, collection, interaction(collection, 1), interaction(collection, 12))
    with database.read() as connection:
        get = interaction_store.get
        assert get(connection, collection.tenant_id, interaction(collection, 12).id[:-1]).id.endswith("12")
        with pytest.raises(NotFound, match="several"):
            get(connection, collection.tenant_id, "01J")
        with pytest.raises(NotFound, match="no interaction"):
            get(connection, collection.tenant_id, "%")


def test_evidence_stays_when_a_document_is_removed(database: Database, collection: Collection) -> None:
    from rag.store import writing

    entry = interaction(collection)
    record(database, collection, entry)
    with database.write() as connection:
        writing.remove_documents(connection, collection, [1], actor="test")
    with database.read() as connection:
        assert interaction_store.get(connection, collection.tenant_id, entry.id).passages[0].text == "Anna wrote it."


def test_a_change_of_a_logged_prompt_is_found(database: Database, collection: Collection) -> None:
    from rag.store.checks import prompts

    record(database, collection, interaction(collection))
    with database.read() as connection:
        assert prompts(database, connection).ok
    with database.write() as connection:
        connection.execute(text("UPDATE texts SET text = 'other'"))
    with database.read() as connection:
        assert not prompts(database, connection).ok
