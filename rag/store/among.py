"""`column IN (ids)` whose SQL is always the same: the ids are one parameter, however many there are.

SQLAlchemy writes an IN anew for every call, with one parameter a value; for thirty ids that takes longer than the
database does.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Dialect,
    Text,
    TypeDecorator,
    any_,
    bindparam,
    cast,
    func,
    select,
)

DIALECTS = ("sqlite", "postgresql")


class IdList(TypeDecorator[Iterable[int]]):
    """Integers as one text: a JSON array for SQLite, an array literal for PostgreSQL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[int] | None, dialect: Dialect) -> str:
        listed = ",".join(map(str, value or ()))
        return f"{{{listed}}}" if dialect.name == "postgresql" else f"[{listed}]"


def among(column: ColumnElement[int], name: str, dialect: str) -> ColumnElement[bool]:
    """Whether an integer column has one of the values bound to a name."""
    listed: Any = bindparam(name, type_=IdList)
    if dialect == "postgresql":
        return column == any_(cast(listed, ARRAY(BigInteger)))
    return column.in_(select(func.json_each(listed).table_valued("value").c.value))
