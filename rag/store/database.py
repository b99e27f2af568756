"""One database, SQLite or PostgreSQL: connections, short write transactions, consistent reads, migrations."""

import json
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from sqlalchemy import Connection as Connection  # what every function of the store takes
from sqlalchemy import Engine, create_engine, event, exc, insert, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from rag import locks
from rag.errors import Conflict, StoreNotReady
from rag.store.tables import installation

log = logging.getLogger(__name__)

HEAD = "0012"  # the newest migration; a test keeps it equal to Alembic's head, so that opening needs no Alembic
BUSY_TIMEOUT_S = 30.0
CHECKPOINT_BYTES = 8 * 2**20  # a WAL longer than this is folded into the database by whoever holds the lock
UNIQUE_VIOLATION = "23505"  # as PostgreSQL calls it
FIXED_SQLITE = (3, 51, 3)  # the first SQLite whose WAL survives two checkpointing connections


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Database:
    """An open database. Safe to share between threads; make one a process (never carry it over a fork)."""

    engine: Engine
    url: URL
    _secret: list[bytes] = field(default_factory=list, repr=False)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @property
    def file(self) -> Path | None:
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database, however long it lasts. It must not write."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits when the block ends and leaves nothing behind when it raises.

        On SQLite it takes the write lock at once (BEGIN IMMEDIATE): a read turned write fails without waiting. On
        PostgreSQL two may find that a name is free and both take it: to the later one that is a Conflict.
        """
        with self.engine.connect().execution_options(rag_write=True) as connection:
            try:
                with connection.begin():
                    yield connection
            except exc.OperationalError as error:
                if "database is locked" in str(error):
                    raise StoreNotReady(
                        f"the database stayed locked for {BUSY_TIMEOUT_S:.0f} s: another process holds a long "
                        "transaction; end it and try again"
                    ) from error
                if "disk" in str(error) or "full" in str(error):
                    raise StoreNotReady(f"the database could not be written: {error.orig}") from error
                raise
            except exc.IntegrityError as error:
                if getattr(error.orig, "sqlstate", None) == UNIQUE_VIOLATION:
                    raise Conflict("somebody else wrote the same at this very moment; try again") from error
                raise
        if self.is_sqlite:
            self._checkpoint()

    def _checkpoint(self) -> None:
        """Fold a long WAL into the database, at most one connection of all processes at a time.

        SQLite below 3.51.3 can corrupt a WAL when two connections checkpoint at once, so automatic checkpoints are
        off and this one stands behind a file lock.
        """
        file = self.file
        wal = Path(f"{file}-wal")
        if file is None or not wal.exists() or wal.stat().st_size < CHECKPOINT_BYTES:
            return
        with checkpoint_lock(file, wait=False) as held:
            if not held:
                return
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout=0")  # a reader of an older moment is not waited for
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # else it would stay as long as it was
                connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}")

    def digest(self, data: bytes | str) -> bytes:
        """The keyed content address of some bytes (or of a text in UTF-8), 32 bytes (BLAKE2b, RFC 7693)."""
        if not self._secret:
            with self.read() as connection:
                secret = connection.scalar(select(installation.c.secret))
            if secret is None:
                raise StoreNotReady("the database holds no installation secret; run `rag db upgrade`")
            self._secret.append(secret)
        raw = data.encode() if isinstance(data, str) else data
        return blake2b(raw, key=self._secret[0], digest_size=32).digest()

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def checkpoint_lock(file: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the right to checkpoint this SQLite database; False when it is taken and `wait` is off."""
    with locks.held(Path(f"{file}.checkpoint.lock"), wait_s=BUSY_TIMEOUT_S if wait else 0) as mine:
        yield mine


def connect(url: str) -> Database:
    """Open a database by SQLAlchemy URL. It may be empty; `require_current` says whether it can be used."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise StoreNotReady(
                "an in-memory database would lose every answer it logged; name a file: sqlite:///rag.db"
            )
        folder = Path(str(parsed.database)).resolve().parent
        if not folder.is_dir():
            raise StoreNotReady(f"the folder of the database does not exist: {folder}; create it first")
        timeout = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
        engine = create_engine(parsed, connect_args=timeout, json_serializer=_plain)
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    elif parsed.get_backend_name() == "postgresql":
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(parsed, pool_pre_ping=True, pool_size=8, max_overflow=8)
        event.listen(engine, "begin", _postgresql_begin)
    else:
        raise StoreNotReady(f"{parsed.get_backend_name()} is not supported; use sqlite:/// or postgresql://")
    return Database(engine, parsed)


def _plain(value: object) -> str:
    """JSON with its letters as they are: older versions of SQLite do not find the key "\\u00fcber" as "über"."""
    written = json.dumps(value, ensure_ascii=False)
    try:
        written.encode()
    except UnicodeEncodeError:  # a lone surrogate, as a file name may hold one
        return json.dumps(value)
    return written


def _sqlite_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a logged answer survives a power cut
        "foreign_keys=ON",
        "wal_autocheckpoint=0",
        "cache_size=-16384",
        "mmap_size=67108864",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    if connection.get_execution_options().get("rag_write", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:  # takes no lock, so that it cannot fail; past SQLAlchemy, which takes ten times as long as SQLite
        connection.connection.cursor().execute("BEGIN")


def _postgresql_begin(connection: Connection) -> None:
    if not connection.get_execution_options().get("rag_write", False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


# ── migrations ──────────────────────────────────────────────────────────────────────────────────────────────────────


def migrations_folder() -> Path:
    """Alembic's folder: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).resolve().parents[1] / "migrations"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "migrations"


def current(database: Database) -> str | None:
    """The migration the database stands at; None when it is empty."""
    try:
        with database.read() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return found
    except exc.OperationalError as error:
        raise StoreNotReady(f"the database cannot be opened ({shown(database.url)}): {error.orig}") from error
    except exc.DatabaseError as error:
        raise StoreNotReady(f"the database is damaged ({shown(database.url)}): {error.orig}") from error


def shown(url: URL) -> str:
    """The URL without its password."""
    return url.render_as_string(hide_password=True)


def require_current(database: Database) -> None:
    """Raise StoreNotReady unless the database stands at this program's version."""
    found = current(database)
    if found == HEAD:
        return
    if found is None:
        raise StoreNotReady(f"the database is empty ({shown(database.url)}); run `rag db upgrade`")
    if found > HEAD:
        raise StoreNotReady(f"the database is of a newer version ({found}) than this program ({HEAD}); upgrade rag")
    raise StoreNotReady(f"the database stands at {found}, this program needs {HEAD}; run `rag db upgrade`")


def upgrade(database: Database, revision: str = "head") -> str:
    """Bring the tables to a revision and make sure that the installation has its secret. Returns the revision.

    Runs on a connection of its own with foreign keys off (a table rebuild with them on deletes child rows) and checks
    them before it commits.
    """
    _alembic(database, "upgrade", revision)
    found = current(database) or ""
    if found == HEAD:
        with database.write() as connection:
            if connection.scalar(select(installation.c.id)) is None:
                connection.execute(insert(installation).values(id=1, secret=secrets.token_bytes(32), created_at=now()))
    return found


def downgrade(database: Database, revision: str) -> str | None:
    """Take the tables back to a revision ("base" for none)."""
    _alembic(database, "downgrade", revision)
    return current(database)


def _alembic(database: Database, direction: str, revision: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    try:
        with database.engine.connect() as connection:
            if database.is_sqlite:
                _foreign_keys(connection, on=False)
            try:
                with connection.execution_options(rag_write=True).begin():
                    config.attributes["connection"] = connection
                    (command.upgrade if direction == "upgrade" else command.downgrade)(config, revision)
                    if database.is_sqlite:
                        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
                        if orphans:
                            raise StoreNotReady(f"the migration would orphan {len(orphans)} rows; nothing was changed")
            finally:
                if database.is_sqlite:
                    _foreign_keys(connection, on=True)
    except exc.OperationalError as error:
        raise StoreNotReady(f"the database cannot be opened ({shown(database.url)}): {error.orig}") from error


def _foreign_keys(connection: Connection, *, on: bool) -> None:
    """Switch enforcement on the raw connection: inside a transaction the pragma would be ignored."""
    raw = connection.connection.dbapi_connection
    assert raw is not None
    cursor = raw.cursor()
    cursor.execute(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}")
    cursor.close()
