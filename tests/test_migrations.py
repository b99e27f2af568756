"""Migrations: up, down and up again with rows in the tables, on both databases, ending at exactly rag.store.tables."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, Table, func, insert, select, text

from rag.errors import StoreNotReady
from rag.store import collections as collection_store
from rag.store import database as database_store
from rag.store import interactions as log
from rag.store.tables import chunks, contents, documents, interactions, metadata, templates, tenants
from rag.types import Hit, Part, Template
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


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_the_tables_are_those_of_the_program(database: database_store.Database) -> None:
    def searched(_: object, name: str | None, *__: object) -> bool:
        """The index of words is made in another way on each database; that of states, which are worked out, none of
        them tells as it was written: test_log asks by it."""
        return name is None or not ("log_words" in name or name.endswith("_state_number"))

    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": searched})
        assert compare_metadata(context, metadata) == []


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
        then = Table("interactions", MetaData(), autoload_with=connection)
        connection.execute(insert(then), [values | {"id": key} for key in ("01", "02")])
    database_store.upgrade(database)
    with database.read() as connection:
        row = connection.execute(select(templates)).one()
    assert (row.tenant_id, row.name, row.turn, row.user, row.created_at) == (1, "answer", None, None, made)
    assert Template(row.name, row.text).version == "answer@c07ec9db" == f"{row.name}@{row.digest}"
    database.close()


def test_what_was_logged_before_is_found_and_packed(database_url: str) -> None:
    """0006 gives facts and words to what is in the log, and lays out ranks and places anew; 0005 gets them back."""
    database = database_store.connect(database_url)
    database_store.upgrade(database)
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        collection = collection_store.create(connection, tenant, "default", Named(), {})
    add(database, collection, document(database, "file:///a", "words of a document"))
    database_store.downgrade(database, "0005")
    made = database_store.now()
    with database.write() as connection:
        then = MetaData()
        then.reflect(connection, only=["interactions", "interaction_passages", "scores", "feedback"])
        values = {
            "tenant_id": tenant, "collection": "x", "user": "u", "origin": "human", "question": "How Über?",
            "search_query": "q", "citations": [], "candidates": [[7, 0.1, {"dense": [1, 0.5]}]], "model": "m",
            "revision": "", "template": "t@1", "settings": {"confidence": 0.5}, "position": 0, "generation": 0,
            "timings_ms": {}, "total_ms": 0.0, "created_at": made,
        }  # fmt: skip
        connection.execute(insert(then.tables["interactions"]), [values | {"id": key} for key in ("01", "02")])
        passage = {
            "interaction_id": "01", "number": 1, "chunk_id": 1, "content_id": 1, "start": 0, "end": 5, "title": "T",
            "headings": ["T", "H"], "page": 3, "places": [], "score": 0.3, "parts": {"bm25": [2, 1.1]}, "cited": True,
        }  # fmt: skip
        connection.execute(insert(then.tables["interaction_passages"]).values(passage))
        judged = {"interaction_id": "01", "annotator_kind": "CODE", "identifier": "", "created_at": made}
        score = [judged | {"name": name, "value": value} for name, value in (("f", 0.25), ("f", 0.75), ("g", None))]
        connection.execute(insert(then.tables["scores"]), score)
        said = {"interaction_id": "02", "user": "u", "rating": -1, "created_at": made}
        connection.execute(insert(then.tables["feedback"]).values(said))
    for _ in range(2):
        database_store.upgrade(database)
        with database.read() as connection:
            entry = log.get(connection, tenant, "01")
            for query, meant in (
                (log.Query(text="über"), ["02", "01"]),
                (log.Query(scores=(log.ScoreRange("f", 0.7),), user="u", template="t"), ["01"]),
                (log.Query(feedback="bad", confidence_min=0.5, since=made), ["02"]),
            ):
                assert log.page(connection, tenant, query, limit=9) == meant, query
        assert entry.candidates == (Hit(7, 0.1, {"dense": Part(1, 0.5)}),)
        assert [(each.text, each.headings, each.page) for each in entry.passages] == [("words", ("T", "H"), 3)]
        assert entry.passages[0].hit.parts == {"bm25": Part(2, 1.1)}
        database_store.downgrade(database, "0005")
        with database.read() as connection:
            then = MetaData()
            then.reflect(connection, only=["interactions", "interaction_passages"])
            rows = connection.execute(select(then.tables["interaction_passages"])).mappings().all()
            assert [dict(row) for row in rows] == [passage]
            assert connection.scalar(select(then.tables["interactions"].c.candidates)) == values["candidates"]
    database.close()


def test_replays_that_were_logged_before_are_told_apart(database_url: str) -> None:
    """0012 marks them among the facts, and what is logged from then on."""
    database = database_store.connect(database_url)
    database_store.upgrade(database, "0011")
    made = database_store.now()
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
    values = {
        "tenant_id": tenant, "collection": "x", "user": "u", "origin": "human", "question": "q", "search_query": "q",
        "citations": [], "candidates": [], "model": "m", "revision": "", "template": "t@1", "settings": {},
        "position": 0, "generation": 0, "timings_ms": {}, "total_ms": 0.0, "created_at": made,
    }  # fmt: skip
    for _ in range(2):
        with database.write() as connection:
            for key, replays in (("01", None), ("02", "01")):
                connection.execute(insert(interactions), values | {"id": key, "replays_id": replays})
        database_store.upgrade(database)
        with database.write() as connection:
            for key, replays in (("03", None), ("04", "01")):
                connection.execute(insert(interactions), values | {"id": key, "replays_id": replays})
        with database.read() as connection:
            for query, meant in ((log.Query(replays=True), ["04", "02"]), (log.Query(replays=False), ["03", "01"])):
                assert log.page(connection, tenant, query, limit=9) == meant
        with database.write() as connection:
            connection.execute(interactions.delete())
        database_store.downgrade(database, "0011")
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
