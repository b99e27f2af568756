"""Statements that are compiled once answer as SQLAlchemy does."""

import pytest
from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.exc import OperationalError, ProgrammingError

from rag.store.among import DIALECTS, among
from rag.store.database import Database, now
from rag.store.prepared import Prepared
from rag.store.tables import tenants

IDS = {
    dialect: select(tenants.c.id, func.upper(tenants.c.name), tenants.c.id + 7, tenants.c.created_at)
    .where(among(tenants.c.id, "ids", dialect), tenants.c.name != bindparam("name"))
    .order_by(tenants.c.id)
    for dialect in DIALECTS
}


def test_rows_are_those_of_sqlalchemy(database: Database) -> None:
    prepared = Prepared(IDS)
    with database.write() as connection:
        for name in ("north", "süd", "west"):
            connection.execute(insert(tenants).values(name=name, created_at=now()))
    with database.read() as connection:
        every = list(connection.scalars(select(tenants.c.id)))
        for ids in ([], every, every[1:]):
            given = {"ids": ids, "name": "west"}
            expected = connection.execute(IDS[connection.dialect.name], given).all()
            assert prepared.rows(connection, given) == [tuple(row) for row in expected]
        assert expected


def test_an_error_is_told_as_sqlalchemy_tells_it(database: Database) -> None:
    absent = Prepared(dict.fromkeys(DIALECTS, select(func.no_such_function(tenants.c.id))))
    with pytest.raises((OperationalError, ProgrammingError), match="no_such_function"), database.read() as connection:
        absent.rows(connection, {})
