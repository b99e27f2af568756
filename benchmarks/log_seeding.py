"""A log of a million interactions written in bulk: the first as the program would, all others as copies of them."""

import random
import sqlite3
import sys
import time
from collections.abc import Callable
from datetime import datetime

from log_made import BATCH, LETTERS, SPAN, Made, Row, rows
from sqlalchemy import insert, text

from rag.store.database import Database, now
from rag.store.tables import log_terms, metadata

FIRST = 50_000  # interactions that are written one by one, triggers and all; more are copies of them, later in time
TAGS = (("billing", 0.1), ("wrong source", 0.02), ("good example", 0.01), ("escalated", 0.001), ("legal", 0.0002))
COLUMNS = (
    "id", "tenant_id", "collection", "user", "origin", "question", "search_query", "prompt_id", "prompt_tokens_packed",
    "answer", "abstained", "finish_reason", "error", "citations", "candidates", "model", "revision", "template",
    "settings", "position", "generation", "timings_ms", "total_ms", "left_out", "review_state", "prompt_digest",
    "said_digest", "created_at",
)  # fmt: skip
PASSAGES = ("interaction_id", "number", "chunk_id", "content_id", "start", "end", "title", "shown_id", "score", "parts", "cited")  # fmt: skip  # noqa: E501
SCORED = ("interaction_id", "name", "value", "explanation", "annotator_kind", "identifier", "created_at")
SAID = ("interaction_id", "user", "rating", "comment", "created_at")


def load(database: Database, made: Made, count: int, draw: random.Random) -> float:
    """Write the interactions in bulk, triggers and all; seconds taken."""
    began = time.perf_counter()
    tables = {
        "interactions": ("interactions", COLUMNS),
        "passages": ("interaction_passages", PASSAGES),
        "scores": ("scores", SCORED),
        "feedback": ("feedback", SAID),
    }
    sink = _sqlite(database) if database.is_sqlite else _postgresql(database)
    times = max(1, count // FIRST)
    for done, batch in enumerate(rows(made, count // times, SPAN / times, draw), 1):
        sink([(*tables[name], batch[name]) for name in tables])
        print(f"{done * BATCH:,} of {count:,}", file=sys.stderr, flush=True)
    if times > 1:
        _copy(database, times)
    _tag(database, made.tenant_id, draw)
    if not database.is_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    return time.perf_counter() - began


Sink = Callable[[list[tuple[str, tuple[str, ...], list[Row]]]], None]


def _sqlite(database: Database) -> Sink:
    connection = sqlite3.connect(str(database.file), isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=OFF", "cache_size=-400000", "wal_autocheckpoint=20000"):
        connection.execute(f"PRAGMA {pragma}")
    sqlite3.register_adapter(datetime, lambda moment: f"{moment:%Y-%m-%d %H:%M:%S.%f}")

    def write_rows(parts: list[tuple[str, tuple[str, ...], list[Row]]]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for table, columns, values in parts:
            names = ", ".join(f'"{name}"' for name in columns)
            connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})", values)
        connection.execute("COMMIT")

    return write_rows


def _postgresql(database: Database) -> Sink:
    import psycopg

    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg.connect(url)

    def write_rows(parts: list[tuple[str, tuple[str, ...], list[Row]]]) -> None:
        with connection.cursor() as cursor:
            for table, columns, values in parts:
                names = ", ".join(f'"{name}"' for name in columns)
                with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                    for row in values:
                        copy.write_row(row)
        connection.commit()

    return write_rows


KEYS = {  # the tables that are copied, and which of their columns names an interaction
    "interactions": "id",
    "interaction_passages": "interaction_id",
    "scores": "interaction_id",
    "feedback": "interaction_id",
    "interaction_facts": "interaction_id",
}


def _copy(database: Database, times: int) -> None:
    """Write what is there so many times less one again, each time later, with ids of its own; what triggers would write
    is copied as well."""
    triggers: list[tuple[str, str]] = []
    with database.write() as connection:
        run = connection.exec_driver_sql
        if database.is_sqlite:
            triggers = [(row[0], row[1]) for row in run("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")]
            for name, _ in triggers:
                run(f"DROP TRIGGER {name}")
        else:
            run("DROP INDEX ix_log_words_words")
        run("CREATE TABLE first_ones AS SELECT id FROM interactions")
        run("CREATE UNIQUE INDEX first_ones_id ON first_ones (id)")
    for number in range(1, times):
        letter, seconds = LETTERS[number + 1], int(SPAN.total_seconds()) // times * number
        with database.write() as connection:
            run = connection.exec_driver_sql
            if not database.is_sqlite:
                run("SET LOCAL session_replication_role = replica")
            for table, key in KEYS.items():
                run(_again(database, table, key, letter, seconds))
            run(_words_again(database, seconds))
        print(f"copy {number + 1} of {times}", file=sys.stderr, flush=True)
    with database.write() as connection:
        run = connection.exec_driver_sql
        run("DROP TABLE first_ones")
        for _, statement in triggers:
            run(statement)
        if not database.is_sqlite:
            run("SET LOCAL maintenance_work_mem = '512MB'")
            run("CREATE INDEX ix_log_words_words ON log_words USING gin (words)")


def _words_again(database: Database, seconds: int) -> str:
    """The statement that copies the index of words."""
    later = f"f.number + {seconds * 1000 * 1048576}"
    first = "FROM interaction_facts f JOIN first_ones o ON o.id = f.interaction_id"
    if database.is_sqlite:
        said = "i.question || char(10) || coalesce(i.answer, '')"
        joined = f"{first} JOIN interactions i ON i.id = f.interaction_id ORDER BY f.number"
        return f"INSERT INTO log_words (rowid, said) SELECT {later}, {said} {joined}"
    joined = f"{first} JOIN log_words w ON w.number = f.number"
    return f"INSERT INTO log_words (number, words) SELECT {later}, w.words {joined}"


def _again(database: Database, table: str, key: str, letter: str, seconds: int) -> str:
    """The statement that copies a table's first rows."""
    names = [column.name for column in metadata.tables[table].columns if column.name != "id" or key == "id"]
    told = []
    for name in names:
        value = f't."{name}"'
        if name == key:
            value = f"'0{letter}' || substr(t.{name}, 3)"
        elif name == "number" and table == "interaction_facts":
            value = f"t.number + {seconds * 1000 * 1048576}"
        elif name == "created_at" and database.is_sqlite:
            value = f"strftime('%Y-%m-%d %H:%M:%f', t.created_at, '+{seconds} seconds') || '000'"
        elif name == "created_at":
            value = f"t.created_at + interval '{seconds} seconds'"
        told.append(value)
    columns = ", ".join(f'"{name}"' for name in names)
    return (
        f"INSERT INTO {table} ({columns}) SELECT {', '.join(told)} FROM {table} t "
        f"JOIN first_ones o ON o.id = t.{key} ORDER BY t.{key}"
    )


def _tag(database: Database, tenant_id: int, draw: random.Random) -> None:
    """Tags on some of the interactions, written straight into their table, as 100,000 by hand would take long."""
    with database.write() as connection:
        for name, share in TAGS:
            connection.execute(insert(log_terms).values(tenant_id=tenant_id, field="tag", value=name))
            offset = draw.randrange(1, round(1 / share) + 1)
            connection.execute(
                text(
                    'INSERT INTO interaction_tags (tenant_id, tag_id, number, "user", created_at) '
                    "SELECT f.tenant_id, t.id, f.number, 'user001', :at FROM interaction_facts f, log_terms t "
                    "WHERE t.tenant_id = f.tenant_id AND t.field = 'tag' AND t.value = :name "
                    "AND (f.number / 1048576) % :each = :offset % :each"
                ),
                {"name": name, "each": round(1 / share), "offset": offset, "at": now().replace(tzinfo=None)},
            )
