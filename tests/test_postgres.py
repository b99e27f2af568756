"""A database that a test gave back is lent again only when nothing tells it from a new one."""

from pathlib import Path

import psycopg
import pytest

from rag.corpus import Origin, open_corpus
from rag.store import database as database_store
from rag.types import Embedder
from tests.postgres import Databases


def identity(databases: Databases, name: str) -> int:
    """The same as long as it is the same files."""
    found = databases.administering.execute("SELECT oid FROM pg_database WHERE datname = %s", [name]).fetchone()
    assert found
    return int(found[0])


def everything(databases: Databases, name: str) -> dict[str, object]:
    """What every table, catalogs among them, and every sequence holds."""
    with databases.inside(name) as connection:
        tables = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND NOT relisshared ORDER BY 1"
        held: dict[str, object] = {
            table: sorted(map(str, connection.execute(f"SELECT xmin, * FROM {table}")))
            for (table,) in connection.execute(tables).fetchall()
        }
        sequences = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'S'"
        for (sequence,) in connection.execute(sequences).fetchall():
            held[sequence] = connection.execute(f"SELECT last_value, is_called FROM {sequence}").fetchone()
        return held


def test_one_with_rows_is_as_new_when_it_is_lent_again(postgres: Databases, embedder: Embedder, tmp_path: Path) -> None:
    new = everything(postgres, name := postgres.lend(postgres.migrated))
    (tmp_path / "bridge.md").write_text("The bridge was opened in 1932.")
    opened = database_store.connect(postgres.url(name))
    corpus = open_corpus(opened, "default", "default", embedder, chunk_tokens=64, overlap_tokens=0)
    corpus.add_paths([tmp_path], Origin("local"), max_bytes=1000)
    opened.close()
    assert everything(postgres, name) != new
    number = identity(postgres, name)
    postgres.give_back(name)
    again = postgres.lend(postgres.migrated)
    assert (identity(postgres, again), again != name) == (number, True)
    assert everything(postgres, again) == new
    postgres.give_back(again)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE own (n integer)",
        "CREATE TEMPORARY TABLE own (n integer)",
        "CREATE EXTENSION vector",
        "ALTER TABLE interactions DISABLE TRIGGER ALL",
        "ALTER FUNCTION log_said STRICT",
        "DROP INDEX ix_documents_content_id",
        "ALTER SEQUENCE collections_id_seq INCREMENT BY 2",
        "TRUNCATE collections CASCADE",
        "ANALYZE collections",
        "UPDATE installation SET secret = secret",
        "DELETE FROM installation",
    ],
)
def test_one_that_changed_otherwise_is_dropped(postgres: Databases, change: str) -> None:
    name = postgres.lend(postgres.migrated)
    number = identity(postgres, name)
    with postgres.inside(name) as connection:
        connection.execute(change)
    postgres.give_back(name)
    gone = "SELECT datname FROM pg_database WHERE oid = %s"
    assert postgres.administering.execute(gone, [number]).fetchone() is None


def test_nobody_writes_to_one_that_was_given_back(postgres: Databases) -> None:
    name = postgres.lend(postgres.migrated)
    with postgres.inside(name) as left_behind:
        postgres.give_back(name)
        with pytest.raises(psycopg.OperationalError):
            left_behind.execute("DELETE FROM installation")
        left_behind.close()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres.inside(name)
