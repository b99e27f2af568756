"""What surrounds a document, and finding documents by what they are called, on both databases."""

from dataclasses import replace
from pathlib import Path

import pytest

from rag.errors import NotFound
from rag.store import collections as collection_store
from rag.store import documents as document_store
from rag.store import finding, histories, writing
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.duplicates import decisions as decision_store
from rag.store.permitted import Predicate
from rag.types import Principal
from tests.cli_house import build
from tests.test_interactions import interaction, record
from tests.test_store import Named, add, document

ANN = frozenset({"ann"})


@pytest.fixture
def collection(database: Database) -> Collection:
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        return collection_store.create(connection, tenant, "default", Named(), {})


def present(database: Database, collection: Collection) -> Collection:
    with database.read() as connection:
        return collection_store.by_id(connection, collection.id)


def test_versions_follow_each_other_whichever_is_asked_for(database: Database, collection: Collection) -> None:
    for words in ("first", "second", "third"):
        add(database, collection, document(database, "note:1", words))
    add(database, collection, document(database, "note:2", "first"))
    now = present(database, collection)
    asker = Principal(now.tenant_id, "local")
    with database.read() as connection:
        for start in (1, 2, 3):
            one = histories.one(connection, now, asker, start)
            assert [each.id for each in histories.versions(connection, now, asker, one)] == [3, 2, 1]
        alone = histories.one(connection, now, asker, 4)
        assert [each.id for each in histories.versions(connection, now, asker, alone)] == [4]
        with pytest.raises(NotFound):
            histories.one(connection, now, asker, 5)


def test_what_is_gone_is_seen_by_its_owner_and_by_who_may_see_what_follows(
    database: Database, collection: Collection
) -> None:
    add(database, collection, document(database, "note:1", "open to all", owner="eve"))
    add(database, collection, document(database, "note:1", "for bob", owner="eve", labels=frozenset({"bob"})))
    add(database, collection, document(database, "note:2", "one of ann", owner="ann", labels=ANN))
    with database.write() as connection:
        writing.remove_documents(connection, collection, [3], actor="ann")
    now = present(database, collection)
    every, eve = Principal(now.tenant_id, "any"), Principal(now.tenant_id, "eve", ANN)
    bob, ann = Principal(now.tenant_id, "bob", frozenset({"bob"})), Principal(now.tenant_id, "ann", ANN)

    def seen(asker: Principal) -> list[int]:
        found = []
        with database.read() as connection:
            for number in (1, 2, 3):
                try:
                    found.append(histories.one(connection, now, asker, number).id)
                except NotFound:
                    continue
        return found

    assert seen(every) == [1, 2, 3]
    assert seen(bob) == [1, 2], "what stood open before what he may see"
    assert seen(ann) == [3], "her own; the address of the other one is bob's by now"
    assert seen(eve) == [1], "her own, which she had seen"


def test_other_places_of_a_text(database: Database, collection: Collection) -> None:
    add(database, collection, document(database, "note:1", "same"), document(database, "note:2", "same"))
    add(database, collection, document(database, "note:3", "same", labels=ANN), document(database, "note:4", "other"))
    now = present(database, collection)
    with database.read() as connection:
        one = document_store.get(connection, Predicate(now.id, None), now.position, 1)
        whole = histories.places(connection, Predicate(now.id, None), now.position, one)
        bound = histories.places(connection, Predicate(now.id, frozenset({"x"})), now.position, one)
        decided = decision_store.of_document(connection, Predicate(now.id, None), now.position, 2)
        others = decision_store.of_document(connection, Predicate(now.id, None), now.position, 4)
    assert [each.uri for each in whole] == ["note:2", "note:3"]
    assert [each.uri for each in bound] == ["note:2"]
    assert {(each.level, each.document_id, each.against_id) for each in decided} >= {("exact", 2, 1)}
    assert others == []


def test_the_answers_that_were_shown_a_text_come_newest_first(database: Database, collection: Collection) -> None:
    add(database, collection, document(database, "file:///a", "Anna wrote it. It rained."))
    shown = interaction(collection, 1)
    again = replace(shown.passages[0], start=15, end=25)
    twice = interaction(collection, 2, passages=(shown.passages[0], again), user="bob", question="again?")
    answer = twice.answer
    assert answer is not None
    silent = interaction(collection, 3, answer=replace(answer, citations=()), question="silent?")
    record(database, collection, shown, twice, silent)
    asker = Principal(collection.tenant_id, "local")
    with database.read() as connection:
        rows = histories.citing(connection, asker, 1, limit=10)
        assert [(row.question, row.cited, row.passages) for row in rows] == [
            ("silent?", False, 1),
            ("again?", True, 2),
            ("who?", True, 1),
        ]
        assert histories.citing(connection, asker, 1, limit=1, before=rows[0].interaction_id) == rows[1:2]
        bob = Principal(collection.tenant_id, "bob", ANN)
        assert [row.question for row in histories.citing(connection, bob, 1, limit=10)] == ["again?"]
        assert histories.citing(connection, replace(asker, tenant_id=99), 1, limit=10) == []


def test_documents_are_found_by_their_words(database: Database, collection: Collection) -> None:
    add(
        database,
        collection,
        document(database, "note:1", "a", name="Sea Otters"),
        document(database, "note:2", "b", name="otter_100%", external_id="X-7", labels=ANN),
        document(database, "note:3", "c", name="Tides"),
    )
    now = present(database, collection)

    def found(words: str = "", **asked: object) -> list[int]:
        with database.read() as connection:
            rows = finding.found(connection, Predicate(now.id, None), now.position, words=words, limit=10, **asked)  # type: ignore[arg-type]
        return [row.id for row in rows]

    assert found() == [1, 2, 3]
    assert found(order="newest") == [3, 2, 1]
    assert found(order="newest", after=3) == found(after=0, order="arrival")[1::-1]
    assert found("OTTER") == [1, 2]
    assert found("otter sea") == [1]
    assert found("0%") == found("r_1") == found("x-7") == [2]
    assert found("note:3") == [3]
    assert found(label="ann") == [2]
    assert found("nothing of it") == []


def test_the_command_line_finds_documents_and_tells_what_surrounds_one(tmp_path: Path) -> None:
    house = build(tmp_path)
    assert house("ingest", str(house.docs)).code == 0
    newest = house("documents", "list", "--newest", "--json").json["documents"]
    ids = [each["document_id"] for each in newest]  # type: ignore[attr-defined, index]
    assert ids == [3, 2, 1]
    found = house("documents", "list", "-q", "VOLCANO txt", "--json").json["documents"]
    assert [each["uri"].rpartition("/")[2] for each in found] == ["volcanoes.txt"]  # type: ignore[attr-defined, index]
    assert "no such documents" in house("documents", "list", "--label", "staff").out
    refused = house("documents", "list", "--removed", "-q", "tea")
    assert (refused.code, "--removed" in refused.err) == (2, True)
    document = found[0]["document_id"]  # type: ignore[index]
    asked = house("ask", "How tall is Mount Etna?", "--json").json["interaction_id"]
    (house.docs / "volcanoes.txt").write_text("Mount Etna smokes.\n")
    assert house("ingest", str(house.docs)).code == 0
    told = house("documents", "history", str(document))
    assert told.code == 0
    assert str(asked) in told.out
    assert "until" in told.out
    assert "stands" in told.out
    assert house("documents", "history", "99").code != 0
