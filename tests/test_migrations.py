"""Migrations: up, down and up again with rows in the tables, on both databases, ending at exactly rag.store.tables."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, insert, select, text

from rag.errors import StoreNotReady
from rag.store import collections as collection_store
from rag.store import database as database_store
from rag.store.tables import chunks, contents, documents, interactions, metadata, templates, tenants
from rag.types import Template
from tests.test_store import Named, add, document


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(database_store.migrations_folder()))
    return ScriptDirectory.from_config(config)


def test_the_program_knows_the_newest_migration() -> None:
    assert scripts().get_current_head() == database_store.HEAD


def test_up_down_and_up_with_rows(database_url: str) -> None:
    database = database_store.connect(database_url)
    assert database_store.current(database) is None
    with pytest.raises(StoreNotReady, match="rag db upgrade"):
        database_store.require_current(database)
    revisions = [script.revision for script in reversed(list(scripts().walk_revisions()))]
    for _ in range(2):
        for revision in revisions:
            assert database_store.upgrade(database, revision) == revision
        database_store.require_current(database)
        with database.write() as connection:
            tenant = collection_store.ensure_tenant(connection)
            collection = collection_store.create(connection, tenant, "default", Named(), {})
        add(database, collection, document(database, "file:///a", "words"))
        with database.read() as connection:
            assert connection.scalar(select(func.count()).select_from(chunks)) == 1
        for script in list(scripts().walk_revisions()):
            database_store.downgrade(database, str(script.down_revision or "base"))
        with pytest.raises(StoreNotReady):
            database_store.require_current(database)
    database.close()


def test_the_tables_are_those_of_the_program(database: database_store.Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_template_that_the_log_names_is_kept(database_url: str) -> None:
    """0004 writes down the text of the only template before it, where it was used."""
    database = database_store.connect(database_url)
    database_store.upgrade(database, "0003")
    made = database_store.now()
    with database.write() as connection:
        connection.execute(insert(tenants), [{"name": name, "created_at": made} for name in ("asked", "silent")])
        values = {
            "tenant_id": 1, "collection": "x", "user": "u", "origin": "human", "question": "q", "search_query": "q",
            "citations": [], "candidates": [], "model": "m", "revision": "", "template": "answer@c07ec9db",
            "settings": {}, "position": 0, "generation": 0, "timings_ms": {}, "total_ms": 0.0, "created_at": made,
        }  # fmt: skip
        connection.execute(insert(interactions), [values | {"id": key} for key in ("01", "02")])
    database_store.upgrade(database)
    with database.read() as connection:
        row = connection.execute(select(templates)).one()
    assert (row.tenant_id, row.name, row.turn, row.user, row.created_at) == (1, "answer", None, None, made)
    assert Template(row.name, row.text).version == "answer@c07ec9db" == f"{row.name}@{row.digest}"
    database.close()


def test_upgrading_twice_changes_nothing(database: database_store.Database) -> None:
    before = database.digest("x")
    assert database_store.upgrade(database) == database_store.HEAD
    reopened = database_store.connect(database.url.render_as_string(hide_password=False))
    assert reopened.digest("x") == before, "the secret of the installation stays"
    reopened.close()


def test_a_table_rebuild_keeps_autoincrement_and_child_rows(tmp_path: object) -> None:
    """What a later migration on SQLite would do: rebuild `documents`; ids stay unused, children stay."""
    from alembic.operations import Operations

    database = database_store.connect(f"sqlite:///{tmp_path}/rag.db")
    database_store.upgrade(database)
    with database.write() as connection:
        collection = collection_store.create(
            connection, collection_store.ensure_tenant(connection), "default", Named(), {}
        )
    labelled = document(database, "file:///a", "words", labels=frozenset({"x"}))
    last = add(database, collection, labelled, document(database, "file:///b", "other"))[-1].document_id
    with database.engine.connect() as connection:
        database_store._foreign_keys(connection, on=False)
        with connection.execution_options(rag_write=True).begin():
            operations = Operations(MigrationContext.configure(connection))
            with operations.batch_alter_table(
                "documents", recreate="always", table_kwargs={"sqlite_autoincrement": True}
            ) as batch:
                batch.alter_column("name", new_column_name="name")
            connection.execute(documents.delete().where(documents.c.id == last))
            connection.execute(chunks.delete().where(chunks.c.content_id == 2))
        database_store._foreign_keys(connection, on=True)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM document_labels").scalar() == 1
        assert "AUTOINCREMENT" in str(
            connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'documents'").scalar()
        )
    again = add(database, collection, document(database, "file:///c", "third"))
    assert again[0].document_id > last
    database.close()


def test_a_newer_database_is_refused(database: database_store.Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreNotReady, match="newer version"):
        database_store.require_current(database)


def test_a_file_that_is_no_database_is_named(tmp_path: object) -> None:
    with open(f"{tmp_path}/rag.db", "w") as file:  # noqa: PTH123
        file.write("this is no database, but long enough to look like one to somebody who hopes" * 20)
    with pytest.raises(StoreNotReady, match=r"rag\.db"):
        database_store.current(database_store.connect(f"sqlite:///{tmp_path}/rag.db"))


def test_names_are_quoted_where_they_must_be(database: database_store.Database) -> None:
    """`user`, `end` and `position` are words of SQL."""
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        connection.execute(
            insert(interactions).values(
                id="01", tenant_id=tenant, collection="x", user="u", origin="human", question="q", search_query="q",
                citations=[], candidates=[], model="m", revision="", template="t", settings={}, position=0,
                generation=0, timings_ms={}, total_ms=0.0, created_at=database_store.now(),
            )
        )  # fmt: skip
        assert connection.scalar(select(interactions.c.user)) == "u"
        assert connection.scalar(select(func.count()).select_from(tenants)) == 1
        assert connection.scalar(select(func.count()).select_from(contents)) == 0


def test_keys_that_are_not_ascii_are_found_after_the_third(tmp_path: object) -> None:
    database = database_store.connect(f"sqlite:///{tmp_path}/rag.db")
    database_store.upgrade(database)
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        collection = collection_store.create(connection, tenant, "default", Named(), {})
    add(database, collection, document(database, "file:///a", "words"))
    with database.write() as connection:  # as earlier versions wrote it
        connection.execute(text("UPDATE documents SET metadata = :old"), {"old": '{"\\u00fcber": "\\ud83d\\ude00"}'})
    database_store.downgrade(database, "0002")
    database_store.upgrade(database)
    with database.read() as connection:
        assert connection.scalar(text("SELECT json_extract(metadata, '$.\"über\"') FROM documents")) == "😀"
    database.close()
