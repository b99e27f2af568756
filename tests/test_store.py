"""The store on SQLite and on PostgreSQL: what is written is read back, positions come in order, ids stay unique."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete, func, insert, select, text

from rag.access import Access
from rag.errors import Conflict, NotAuthenticated, NotFound, WrongUsage
from rag.store import collections as collection_store
from rag.store import documents as document_store
from rag.store import tokens as token_store
from rag.store import writing
from rag.store.checks import collection_checks, stored_text
from rag.store.collections import Collection
from rag.store.database import Database, connect, now, upgrade
from rag.store.filters.tree import Filter
from rag.store.permitted import Predicate
from rag.store.tables import audit, chunks, contents, documents, tenants
from rag.store.vectors import CollectionFeed, pack
from rag.types import Hit, Principal, Vectors

DIM = 4


@dataclass(frozen=True)
class Named:
    """An embedder in name only: the store keeps its fingerprint and never calls it."""

    name: str = "none"
    fingerprint: str = "none/4"
    dim: int = DIM
    max_tokens: int = 256

    def count_tokens(self, texts: object) -> list[int]:
        raise AssertionError

    def embed_queries(self, texts: object) -> Vectors:
        raise AssertionError

    def embed_passages(self, texts: object) -> Vectors:
        raise AssertionError


@pytest.fixture
def collection(database: Database) -> Collection:
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        return collection_store.create(connection, tenant, "default", Named(), {})


def vector(seed: int) -> np.ndarray:
    row = np.random.default_rng(seed).normal(size=DIM)
    return (row / np.linalg.norm(row)).astype(np.float32)


def document(database: Database, uri: str, words: str, **changes: object) -> writing.NewDocument:
    """A one-chunk document whose chunk is its whole text."""
    digest = database.digest(words)
    content = writing.NewContent(
        digest=digest,
        title="",
        text=words,
        text_digest=database.digest(stored_text("", words)),
        outline=[],
        chunks=(writing.NewChunk(0, 0, len(words), (), None, digest),),
        cutting=b"whole",
    )
    new = writing.NewDocument(digest, content, None, uri, None, uri, "text/plain", {}, "local")
    return replace(new, **changes)  # type: ignore[arg-type]


def add(
    database: Database, collection: Collection, *new: writing.NewDocument, **complete: object
) -> list[writing.Written]:
    vectors = {
        chunk.digest: pack(vector(int.from_bytes(chunk.digest[:4], "big")))
        for one in new
        if one.content is not None
        for chunk in one.content.chunks
    }
    with database.write() as connection:
        return writing.write_documents(connection, collection, new, vectors, actor="test", complete=complete)  # type: ignore[arg-type]


def seen(
    database: Database, collection: Collection, where: Filter | None = None, labels: frozenset[str] | None = None
) -> set[str]:
    """The texts that may be seen now."""
    with database.read() as connection:
        permitted = Access().permitted(connection, Principal(1, "x", labels), collection.id, where)
        ids = permitted.bitmap().ids()
        hits = [Hit(int(i), 0.0, {}) for i in ids]
        found = document_store.passages(connection, hits, permitted.predicate, permitted.position)
        assert len(found) == len(ids)
        return {passage.text for passage in found}


def sound(database: Database, collection: Collection) -> None:
    with database.read() as connection:
        assert [c for c in collection_checks(database, connection, collection) if not c.ok] == []


def test_three_copies_share_one_text_and_two_removals_leave_it(database: Database, collection: Collection) -> None:
    written = add(database, collection, *(document(database, f"file:///{i}", "the same words") for i in range(3)))
    assert [w.kind for w in written] == ["added", "duplicate", "duplicate"]
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(contents)) == 1
        assert connection.scalar(select(func.count()).select_from(chunks)) == 1
    for one in written[:2]:
        with database.write() as connection:
            assert writing.remove_documents(connection, collection, [one.document_id], actor="test") == 1
        assert seen(database, collection) == {"the same words"}
    with database.write() as connection:
        writing.remove_documents(connection, collection, [written[2].document_id], actor="test")
    assert seen(database, collection) == set()
    sound(database, collection)


def test_a_text_that_comes_back_gets_new_chunks_and_needs_no_embedding(
    database: Database, collection: Collection
) -> None:
    first = add(database, collection, document(database, "file:///a", "words"))[0]
    with database.write() as connection:
        writing.remove_documents(connection, collection, [first.document_id], actor="test")
    again = document(database, "file:///b", "words", content=None)
    assert [w.kind for w in add(database, collection, again)] == ["added"]
    assert seen(database, collection) == {"words"}
    with database.read() as connection:
        lives = connection.execute(
            select(chunks.c.added_position, chunks.c.removed_position).order_by(chunks.c.id)
        ).all()
    assert [tuple(life) for life in lives] == [(1, 2), (3, None)]
    sound(database, collection)


def test_writing_the_same_again_changes_nothing(database: Database, collection: Collection) -> None:
    add(database, collection, document(database, "file:///a", "words"))
    assert [w.kind for w in add(database, collection, document(database, "file:///a", "words"))] == ["unchanged"]
    with database.read() as connection:
        assert collection_store.position(connection, collection.id) == 1


def test_an_update_replaces_the_text_and_names_the_row_before(database: Database, collection: Collection) -> None:
    old = add(database, collection, document(database, "file:///a", "old words"))[0]
    new = add(database, collection, document(database, "file:///a", "new words"))[0]
    assert new.kind == "updated"
    assert new.document_id > old.document_id
    assert seen(database, collection) == {"new words"}
    with database.read() as connection:
        found = document_store.get(connection, Predicate(collection.id, None), 2, new.document_id)
        assert found.previous_id == old.document_id
        with pytest.raises(NotFound):
            document_store.get(connection, Predicate(collection.id, None), 2, old.document_id)
    sound(database, collection)


def test_a_search_can_be_repeated_as_of_an_earlier_position(database: Database, collection: Collection) -> None:
    add(database, collection, document(database, "file:///a", "old words"))
    add(database, collection, document(database, "file:///a", "new words"))
    with database.read() as connection:
        then = Access().permitted(connection, Principal(1, "x"), collection.id, at=1)
        hits = [Hit(int(i), 0.0, {}) for i in then.bitmap().ids()]
        texts = [p.text for p in document_store.passages(connection, hits, then.predicate, 1)]
    assert texts == ["old words"]


def test_a_source_read_whole_retires_what_it_no_longer_holds(database: Database, collection: Collection) -> None:
    def read(digest: bytes, *uris: str) -> dict[str, writing.SourceRead]:
        return {"file:///s": writing.SourceRead(digest, frozenset(uris))}

    one = document(database, "file:///s#1", "one", source_uri="file:///s")
    two = document(database, "file:///s#2", "two", source_uri="file:///s")
    add(database, collection, one, two, **read(b"v1", one.uri, two.uri))
    with database.read() as connection:
        assert document_store.source_documents(connection, collection.id, "file:///s", b"v1") == 2
    add(database, collection, one)  # a batch that is not the source's last: it is no longer known whole
    with database.read() as connection:
        assert document_store.source_documents(connection, collection.id, "file:///s", b"v1") is None
    add(database, collection, one, **read(b"v2", one.uri))
    assert seen(database, collection) == {"one"}
    sound(database, collection)


def test_labels_and_filters_act_on_every_place(database: Database, collection: Collection) -> None:
    add(
        database,
        collection,
        document(database, "file:///open", "open words"),
        document(database, "file:///closed", "closed words", labels=frozenset({"hr"})),
        document(database, "file:///both-open", "shared words", metadata={"year": 2020}),
        document(database, "file:///both-closed", "shared words", labels=frozenset({"hr"}), metadata={"year": 1999}),
    )
    everyone = frozenset[str]()
    assert seen(database, collection, labels=everyone) == {"open words", "shared words"}
    assert seen(database, collection, labels=frozenset({"hr"})) == {"open words", "closed words", "shared words"}
    assert seen(database, collection, labels=frozenset({"sales"})) == {"open words", "shared words"}
    old = Filter.parse({"year": {"$lt": 2000}})
    assert seen(database, collection, old) == {"shared words"}
    assert seen(database, collection, old, everyone) == set(), "the filter must hold at a place that may be seen"


def test_a_kept_bitmap_follows_every_change(database: Database, collection: Collection) -> None:
    access, asker = Access(), Principal(1, "x", frozenset({"hr"}))
    where = Filter.parse({"year": {"$gte": 2000}})
    rng = np.random.default_rng(7)
    alive: dict[str, int] = {}
    for step in range(40):
        uri = f"file:///{rng.integers(12)}"
        if uri in alive and rng.random() < 0.4:
            with database.write() as connection:
                writing.remove_documents(connection, collection, [alive.pop(uri)], actor="test")
        else:
            labels = frozenset({str(rng.choice(["hr", "sales"]))}) if rng.random() < 0.5 else frozenset[str]()
            words = f"words {rng.integers(6)}"
            new = document(database, uri, words, labels=labels, metadata={"year": 1990 + int(rng.integers(20))})
            alive[uri] = add(database, collection, new)[0].document_id
        with database.read() as connection:
            kept = access.permitted(connection, asker, collection.id, where)
            fresh = Access().permitted(connection, asker, collection.id, where)
        assert kept.bitmap().ids().tolist() == fresh.bitmap().ids().tolist(), step
    sound(database, collection)


def test_two_writers_take_positions_in_the_order_they_commit(database: Database, collection: Collection) -> None:
    """The second writer cannot take a number before the first has committed, so no reader passes over one."""
    first_holds, second_done = threading.Event(), threading.Event()
    order: list[str] = []

    def second() -> None:
        first_holds.wait(30)
        add(database, collection, document(database, "file:///second", "second"))
        order.append("second")
        second_done.set()

    thread = threading.Thread(target=second)
    thread.start()
    new = document(database, "file:///first", "first")
    with database.write() as connection:
        writing.write_documents(
            connection, collection, [new], {new.content_digest: pack(vector(1))}, actor="test", complete={}
        )
        first_holds.set()
        assert not second_done.wait(0.3), "the second writer went past the first one's lock"
        with database.read() as reader:
            assert collection_store.position(reader, collection.id) == 0
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
    feed = CollectionFeed(database, collection)
    batches = list(feed.changes(0, 2))
    assert [len(b.ids) for b in batches] == [2]
    assert [text for b in feed.changes(0, 1) for text in b.texts] == ["first"]
    assert [text for b in feed.changes(1, 2) for text in b.texts] == ["second"]
    sound(database, collection)


def test_the_feed_leads_from_any_position_to_any_later_one(database: Database, collection: Collection) -> None:
    rng = np.random.default_rng(3)
    alive: dict[str, int] = {}
    for _ in range(25):
        uri = f"file:///{rng.integers(8)}"
        if uri in alive and rng.random() < 0.5:
            with database.write() as connection:
                writing.remove_documents(connection, collection, [alive.pop(uri)], actor="test")
        else:
            alive[uri] = add(database, collection, document(database, uri, f"w{rng.integers(5)}"))[0].document_id
    feed = CollectionFeed(database, collection)
    last = feed.position()
    for after in range(0, last + 1, 3):
        for upto in range(after, last + 1, 4):
            held = set(feed.live_ids(after).tolist())
            for batch in feed.changes(after, upto, batch=2):
                held |= set(batch.ids.tolist())
                held -= set(batch.removed.tolist())
                assert np.allclose(np.linalg.norm(batch.vectors, axis=1), 1)
            assert sorted(held) == feed.live_ids(upto).tolist()


def test_ids_are_never_reused(database: Database, collection: Collection) -> None:
    first = add(database, collection, document(database, "file:///a", "words"))[0].document_id
    with database.write() as connection:
        connection.execute(delete(chunks))
        connection.execute(delete(documents))
    again = add(database, collection, document(database, "file:///b", "words", content=None))
    assert again[0].document_id > first


def test_a_write_that_fails_leaves_nothing(database: Database, collection: Collection) -> None:
    def fail() -> None:
        with database.write() as connection:
            new = [document(database, "file:///a", "words")]
            writing.write_documents(connection, collection, new, {}, actor="test", complete={})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.read() as connection:
        assert collection_store.position(connection, collection.id) == 0
        assert connection.scalar(select(func.count()).select_from(contents)) == 0


def test_a_read_sees_one_moment(database: Database, collection: Collection) -> None:
    with database.read() as connection:
        before = collection_store.position(connection, collection.id)
        add(database, collection, document(database, "file:///a", "words"))
        assert collection_store.position(connection, collection.id) == before
    with database.read() as connection:
        assert collection_store.position(connection, collection.id) == before + 1


def test_collections_have_names_people_can_use(database: Database, collection: Collection) -> None:
    with database.write() as connection:
        with pytest.raises(Conflict, match="already"):
            collection_store.create(connection, collection.tenant_id, "default", Named(), {})
        for name in ("", " x", "a/b", "a\nb", "x" * 101):
            with pytest.raises(WrongUsage):
                collection_store.create(connection, collection.tenant_id, name, Named(), {})
    with database.read() as connection, pytest.raises(NotFound, match="there are: default"):
        collection_store.get(connection, collection.tenant_id, "nope")


def test_a_token_is_shown_once_and_ends_when_revoked(database: Database, collection: Collection) -> None:
    with database.write() as connection:
        secret = token_store.create(connection, database, collection.tenant_id, "ann", labels=["hr"])
        assert secret not in str(connection.execute(text("SELECT * FROM tokens")).all())
        with pytest.raises(Conflict):
            token_store.create(connection, database, collection.tenant_id, "ann")
    with database.read() as connection:
        assert token_store.principal(connection, database, secret).labels == frozenset({"hr"})
        assert token_store.any_alive(connection)
        with pytest.raises(NotAuthenticated):
            token_store.principal(connection, database, secret + "x")
    with database.write() as connection:
        token_store.revoke(connection, collection.tenant_id, "ann")
    with database.read() as connection:
        told = connection.execute(select(audit.c.actor, audit.c.action, audit.c.subject).order_by(audit.c.id)).all()
        assert [tuple(row) for row in told] == [("local", "token create", "ann"), ("local", "token revoke", "ann")]
        assert not token_store.any_alive(connection)
        with pytest.raises(NotAuthenticated):
            token_store.principal(connection, database, secret)


def test_foreign_keys_hold(database: Database, collection: Collection) -> None:
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(
            insert(chunks).values(
                collection_id=collection.id, content_id=999, ordinal=0, start=0, end=1, headings=[], digest=b"x",
                added_position=1,
            )
        )  # fmt: skip


def test_damage_is_named(database: Database, collection: Collection) -> None:
    """Each invariant, broken by hand, is found by its own check."""
    breaks = {
        "texts": "UPDATE contents SET text = 'other' WHERE id = 1",
        "offsets": 'UPDATE chunks SET "end" = 999 WHERE id = 1',
        "lifetimes": "UPDATE chunks SET removed_position = 1 WHERE id = 1",
        "positions": "UPDATE collections SET position = 9",
        "vectors": "DELETE FROM vectors WHERE id = 1",
    }
    add(database, collection, document(database, "file:///a", "words"), document(database, "file:///b", "others"))
    for name, statement in breaks.items():
        with database.engine.connect().execution_options(rag_write=True) as connection:
            transaction = connection.begin()
            connection.exec_driver_sql(statement)
            bad = [c.name for c in collection_checks(database, connection, collection) if not c.ok]
            transaction.rollback()
        assert f"default: {name}" in bad
    sound(database, collection)


def test_a_long_wal_is_folded_into_the_database_and_no_reader_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = connect(f"sqlite:///{tmp_path / 'rag.db'}")
    upgrade(database)
    wal = tmp_path / "rag.db-wal"
    monkeypatch.setattr("rag.store.database.CHECKPOINT_BYTES", 100_000)

    def write(name: str) -> None:
        with database.write() as connection:
            connection.execute(insert(tenants).values(name=name * 100_000, created_at=now()))

    write("a")
    assert wal.stat().st_size == 0
    with database.read() as connection:
        before = connection.scalar(select(func.count()).select_from(tenants))
        write("b")
        assert wal.stat().st_size > 100_000, "what a reader may still need stays"
        assert connection.scalar(select(func.count()).select_from(tenants)) == before
    write("c")
    assert wal.stat().st_size == 0
    with database.read() as connection:
        assert connection.scalar(text("PRAGMA busy_timeout")) == 30_000
    database.close()
