"""Statements that every search makes, compiled once: what is left of a call is the database's own work.

SQLAlchemy looks up and binds a compiled statement anew for every execution, which for a few rows by key takes longer
than the database does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.exc import DBAPIError

Rows = list[tuple[Any, ...]]
Process = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    order: tuple[str, ...] | None  # of the parameters; None where they go by name
    constants: dict[str, object]  # parameters whose values stand in the statement
    binds: Mapping[str, Process]
    results: tuple[tuple[int, Process], ...]  # the columns that the driver gives in another form

    def bound(self, name: str, value: object) -> object:
        """A value as the driver takes it."""
        process = self.binds.get(name)
        return value if process is None else process(value)


class Prepared:
    """A statement whose text never depends on its values. Safe to share between threads."""

    def __init__(self, statements: Mapping[str, Select[Any]]) -> None:
        """statements: by the dialect's name."""
        self._statements = statements
        self._compiled: dict[str, _Compiled] = {}

    def statement(self, dialect: str) -> Select[Any]:
        """The statement as it is made for a dialect, by its name."""
        return self._statements[dialect]

    def rows(self, connection: Connection, values: Mapping[str, object]) -> Rows:
        """The rows for these values, in the connection's transaction. Raises what SQLAlchemy raises."""
        compiled = self._for(connection.dialect)
        given = compiled.constants | {name: compiled.bound(name, value) for name, value in values.items()}
        cursor = connection.connection.cursor()
        driver = connection.dialect.loaded_dbapi
        try:
            cursor.execute(compiled.sql, given if compiled.order is None else [given[name] for name in compiled.order])
            found = list(cursor.fetchall())
        except driver.Error as error:
            raise DBAPIError.instance(compiled.sql, None, error, driver.Error, dialect=connection.dialect) from error
        finally:
            cursor.close()
        return _processed(found, compiled.results) if compiled.results else found

    def _for(self, dialect: Dialect) -> _Compiled:
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _compile(self._statements[dialect.name], dialect)
        return found


def _compile(statement: Select[Any], dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect)
    binds, constants, results = {}, {}, []
    for parameter, name in compiled.bind_names.items():
        if process := parameter.type.dialect_impl(dialect).bind_processor(dialect):
            binds[name] = process
        if not parameter.required:
            constants[name] = compiled.params[name]
    for place, column in enumerate(statement.selected_columns):
        if process := column.type.dialect_impl(dialect).result_processor(dialect, None):
            results.append((place, process))
    order = None if compiled.positiontup is None else tuple(compiled.positiontup)
    return _Compiled(str(compiled), order, constants, binds, tuple(results))


def _processed(rows: Sequence[Sequence[Any]], results: Sequence[tuple[int, Process]]) -> Rows:
    found = []
    for row in rows:
        told = list(row)
        for place, process in results:
            told[place] = process(told[place])
        found.append(tuple(told))
    return found
