"""Datasets: a version is what it was made of, for ever; the database itself refuses every change."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, delete, exc, insert, update

from rag.errors import Conflict, NotFound, WrongUsage
from rag.store import checks
from rag.store import collections as collection_store
from rag.store import datasets as store
from rag.store.database import Database
from rag.store.datasets import Item, NewVersion
from rag.store.tables import audit, dataset_items, dataset_versions


def item(key: str, text: str = "What?", **more: object) -> Item:
    return Item(key, "test", "human", {"question": text, **more}, f"I{key}")


def make(database: Database, *items: Item, name: str = "gold", kind: store.Kind = "log") -> tuple[store.Version, bool]:
    with database.write() as connection:
        tenant_id = collection_store.ensure_tenant(connection)
        return store.add(connection, tenant_id, NewVersion(name, kind, "default", items, {"label": "good"}, {"n": 1}))


def test_versions_follow_each_other_and_equal_items_make_none(database: Database) -> None:
    first, made = make(database, item("a"), item("b", "Wer? \x00 ü"))
    assert (first.named, first.items, made) == ("gold@1", 2, True)
    again, made = make(database, item("b", "Wer? \x00 ü"), item("a"))  # in another order, the same set
    assert (again, made) == (first, False)
    second, made = make(database, item("a"))
    assert (second.number, made, second.digest != first.digest) == (2, True, True)
    with database.read() as connection:
        assert store.get(connection, 1, "gold") == second
        assert store.get(connection, 1, "gold@1") == first
        assert [item.key for item in store.items(connection, first.id)] == ["a", "b"]
        assert store.items(connection, first.id)[1] == item("b", "Wer? \x00 ü")
        assert store.items(connection, first.id, split="train") == []
        assert [version.number for version in store.versions(connection, 1, "gold")] == [2, 1]
        assert store.listing(connection, 1, limit=5) == [second]
        assert store.listing(connection, 1, limit=5, before=second.id) == []
        assert store.holding(connection, 1, ["Ib", "Ic"]) == ["gold@1"]
        assert store.damaged(connection, first) == []
        assert store.digest_of(store.items(connection, first.id)) == first.digest


def test_a_number_that_meant_a_version_never_means_another(database: Database) -> None:
    make(database, item("a"))
    make(database, item("a"), item("b"))
    make(database, item("c"), name="gold%")  # another dataset's numbers are its own
    with database.write() as connection:
        store.remove(connection, 1, "gold@2", user="ada")
    assert make(database, item("c"))[0].named == "gold@3"
    with database.write() as connection:
        store.remove(connection, 1, "gold", user="ada")
    assert make(database, item("d"))[0].named == "gold@4"
    assert make(database, item("d"), name="gold%")[0].named == "gold%@2"


Change = Callable[[Connection, int], object]
CHANGES: dict[str, Change] = {
    "an item's text": lambda c, v: c.execute(update(dataset_items).values(content="{}")),
    "an item away": lambda c, v: c.execute(delete(dataset_items).where(dataset_items.c.key == "a")),
    "an item more": lambda c, v: c.execute(
        insert(dataset_items).values(
            version_id=v, number=9, key="z", split="test", origin="human", digest="", content="{}"
        )
    ),
    "the card": lambda c, v: c.execute(update(dataset_versions).values(card={})),
    "the seal": lambda c, v: c.execute(update(dataset_versions).values(sealed=False)),
}


def test_the_database_refuses_every_change(database: Database) -> None:
    version, _ = make(database, item("a"))
    for what, change in CHANGES.items():
        with pytest.raises(exc.DBAPIError, match="never changes"), database.write() as connection:
            change(connection, version.id)
        with database.read() as connection:
            assert store.get(connection, version_tenant(connection), "gold@1") == version, what
            assert store.items(connection, version.id) == [item("a")], what


def version_tenant(connection: Connection) -> int:
    found = collection_store.tenant(connection)
    assert found is not None
    return found


def test_a_version_goes_as_a_whole_and_the_audit_says_so(database: Database) -> None:
    make(database, item("a"))
    make(database, item("b"))
    with database.write() as connection:
        assert [v.number for v in store.remove(connection, 1, "gold@1", user="ada")] == [1]
        assert store.get(connection, 1, "gold").number == 2
        assert connection.execute(dataset_items.select()).one().key == "b"
        with pytest.raises(NotFound, match="no 1"):
            store.get(connection, 1, "gold@1")
        store.remove(connection, 1, "gold", user="ada")
        assert [row.subject for row in connection.execute(audit.select())] == ["gold@1", "gold"]
        with pytest.raises(NotFound, match="there is none yet"):
            store.get(connection, 1, "gold")


def test_what_cannot_be_kept_is_refused(database: Database) -> None:
    make(database, item("a"), name="first")  # a number that a refused transaction took does not come back
    for name in ("", " a", "a/b", "a@1", ".a", "a\n", "x" * 101, "a\\b"):
        with pytest.raises(WrongUsage, match="cannot name a dataset"):
            make(database, item("a"), name=name)
    with pytest.raises(WrongUsage, match="would be empty"):
        make(database)
    with pytest.raises(WrongUsage, match="comes twice"):
        make(database, item("a"), item("a"))
    make(database, item("a"))
    with pytest.raises(Conflict, match="of the kind 'log'"):
        make(database, item("b"), kind="questions")
    with database.read() as connection:
        with pytest.raises(WrongUsage, match="NAME@NUMBER"):
            store.get(connection, 1, "gold@x")
        with pytest.raises(NotFound, match="there are: gold, first"):
            store.get(connection, 1, "silver")
        with pytest.raises(NotFound):
            store.get(connection, 2, "gold")


def test_damage_is_found(database: Database) -> None:
    """Bits that turn below the database: the digests tell."""
    version, _ = make(database, item("a"), item("b"))
    with database.write() as connection:
        for row in ("dataset_items_sealed_update",):
            connection.exec_driver_sql(f"DROP TRIGGER {row}" + ("" if database.is_sqlite else " ON dataset_items"))
        connection.execute(update(dataset_items).where(dataset_items.c.key == "a").values(content='{"question":"!"}'))
        assert store.damaged(connection, version) == ["a"]
        told = checks.kept_datasets(connection)
        assert (told.ok, told.detail) == (False, "changed since they were kept: gold@1, item 'a'")
