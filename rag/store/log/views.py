"""Saved views: queries of the log that somebody comes back to, by name. Each is its user's own."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from rag.errors import NotFound, WrongUsage
from rag.store.database import now
from rag.store.interactions import Query, query_json, query_value
from rag.store.tables import saved_views

LONGEST = 100  # characters of a name


@dataclass(frozen=True, slots=True)
class View:
    name: str
    query: Query
    created_at: datetime  # when it was saved last


def save(connection: Connection, tenant_id: int, user: str, name: str, query: Query) -> View:
    """Keep a query under a name, in place of the one that the name meant. Raises WrongUsage for a name that is none."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST or not name.isprintable():
        raise WrongUsage(f"a view's name has 1 to {LONGEST} characters that can be seen, not {name[:120]!r}")
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    made = now()
    told = {"query": query_json(query), "created_at": made}
    connection.execute(
        dialect.insert(saved_views)
        .values(tenant_id=tenant_id, user=user, name=name, **told)
        .on_conflict_do_update(index_elements=["tenant_id", "user", "name"], set_=told)
    )
    return View(name, query, made)


def get(connection: Connection, tenant_id: int, user: str, name: str) -> View:
    """The user's view of this name. Raises NotFound."""
    for view in listing(connection, tenant_id, user):
        if view.name == name:
            return view
    raise NotFound(f"no view {name!r}; `rag logs views` lists yours")


def listing(connection: Connection, tenant_id: int, user: str) -> list[View]:
    """The user's views, by name."""
    columns = saved_views.c
    rows = connection.execute(
        select(columns.name, columns.query, columns.created_at)
        .where(columns.tenant_id == tenant_id, columns.user == user)
        .order_by(columns.name)
    )
    return [View(row.name, query_value(row.query), row.created_at) for row in rows]


def remove(connection: Connection, tenant_id: int, user: str, name: str) -> None:
    """Forget the user's view of this name. Raises NotFound."""
    columns = saved_views.c
    gone = connection.execute(
        delete(saved_views).where(columns.tenant_id == tenant_id, columns.user == user, columns.name == name)
    )
    if not gone.rowcount:
        raise NotFound(f"no view {name!r}; `rag logs views` lists yours")
