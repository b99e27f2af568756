"""Trying what a write would do: on a copy of a SQLite database, in a PostgreSQL transaction that is taken back."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock

from sqlalchemy import Connection

from rag.store.database import Database, connect


@contextmanager
def trial(database: Database) -> Iterator[Database]:
    """A database like this one, to be written to; nothing of it stays.

    SQLite is copied to a temporary file. On PostgreSQL all is done in one transaction: who writes to the same
    collections waits until the trial ends.
    """
    if database.file is None:
        with database.engine.connect().execution_options(rag_write=True) as connection:
            outer = connection.begin()
            try:
                yield _Taken(database.engine, database.url, database._secret, connection=connection)
            finally:
                outer.rollback()
        return
    with tempfile.TemporaryDirectory(prefix="rag-trial-") as folder:
        file = Path(folder) / "rag.db"
        with closing(sqlite3.connect(database.file)) as there, closing(sqlite3.connect(file)) as here:
            there.backup(here)
        copy = connect(f"sqlite:///{file}")
        try:
            yield copy
        finally:
            copy.close()


@dataclass(frozen=True, slots=True)
class _Taken(Database):
    """A database whose every transaction is a part of one that will be taken back; threads take turns."""

    connection: Connection = field(kw_only=True)
    turn: RLock = field(kw_only=True, default_factory=RLock)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self.turn:
            yield self.connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self.turn, self.connection.begin_nested():
            yield self.connection

    def close(self) -> None:
        """It belongs to the database that is tried."""
