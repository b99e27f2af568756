"""Tenants and collections: who owns a body of texts, which embedder it is in, and the counter its writers lock."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from rag.errors import Conflict, NotFound, WrongUsage
from rag.store.among import DIALECTS
from rag.store.database import now
from rag.store.prepared import Prepared
from rag.store.tables import changes, chunks, collections, documents, embedders, tenants
from rag.types import Embedder, Metadata

NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Collection:
    """A body of texts with one embedder, one counter and its own keyword statistics."""

    id: int
    tenant_id: int
    name: str
    embedder_id: int
    embedder: str  # its name
    fingerprint: str
    dim: int
    settings: Metadata  # chunk_tokens, overlap_tokens
    position: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CollectionCounts:
    documents: int
    chunks: int


def _select() -> Select[Any]:
    return select(
        collections.c.id,
        collections.c.tenant_id,
        collections.c.name,
        collections.c.embedder_id,
        embedders.c.name.label("embedder"),
        embedders.c.fingerprint,
        embedders.c.dim,
        collections.c.settings,
        collections.c.position,
        collections.c.created_at,
    ).join(embedders, embedders.c.id == collections.c.embedder_id)


def _value(row: Row[Any]) -> Collection:
    return Collection(**row._mapping)


def ensure_tenant(connection: Connection, name: str = "default") -> int:
    """The tenant of this name, made when it is not there. Needs a write transaction the first time."""
    found: int | None = connection.scalar(select(tenants.c.id).where(tenants.c.name == name))
    if found is None:
        _insert_once(connection, tenants, name=name, created_at=now())
        found = int(connection.execute(select(tenants.c.id).where(tenants.c.name == name)).scalar_one())
    return found


def _insert_once(connection: Connection, table: Table, **values: object) -> None:
    """Insert a row unless its like is there; another process may make it at the same moment."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())


def tenant(connection: Connection, name: str = "default") -> int | None:
    found: int | None = connection.scalar(select(tenants.c.id).where(tenants.c.name == name))
    return found


def tenant_name(connection: Connection, tenant_id: int) -> str:
    """The name of a tenant. Raises NotFound."""
    found: str | None = connection.scalar(select(tenants.c.name).where(tenants.c.id == tenant_id))
    if found is None:
        raise NotFound(f"no tenant with id {tenant_id}")
    return found


def ensure_embedder(connection: Connection, embedder: Embedder) -> int:
    """The row of this embedder's fingerprint, made when it is not there."""
    found: int | None = connection.scalar(select(embedders.c.id).where(embedders.c.fingerprint == embedder.fingerprint))
    if found is not None:
        return found
    _insert_once(
        connection,
        embedders,
        fingerprint=embedder.fingerprint,
        name=embedder.name,
        dim=embedder.dim,
        created_at=now(),
    )
    query = select(embedders.c.id).where(embedders.c.fingerprint == embedder.fingerprint)
    return int(connection.execute(query).scalar_one())


def ensure(connection: Connection, tenant_id: int, name: str, embedder: Embedder, settings: Metadata) -> Collection:
    """The collection of this name; made, with this embedder and these settings, when it is not there.

    Raises WrongUsage for what cannot be a name.
    """
    check_name(name)
    _insert_once(
        connection,
        collections,
        tenant_id=tenant_id,
        name=name,
        embedder_id=ensure_embedder(connection, embedder),
        settings=dict(settings),
        created_at=now(),
    )
    return get(connection, tenant_id, name)


def create(connection: Connection, tenant_id: int, name: str, embedder: Embedder, settings: Metadata) -> Collection:
    """Make a collection. Raises Conflict if the name is taken, WrongUsage if it cannot be a name."""
    check_name(name)
    if find(connection, tenant_id, name) is not None:
        raise Conflict(f"there is a collection {name!r} already")
    connection.execute(
        insert(collections).values(
            tenant_id=tenant_id,
            name=name,
            embedder_id=ensure_embedder(connection, embedder),
            settings=dict(settings),
            created_at=now(),
        )
    )
    return get(connection, tenant_id, name)


def check_name(name: str) -> None:
    """Raise WrongUsage unless `name` can name a collection: 1…100 printable characters, no slash, no outer blanks."""
    if not name or len(name) > NAME_LENGTH or name != name.strip() or "/" in name or not name.isprintable():
        raise WrongUsage(
            f"{name!r} cannot name a collection: 1 to {NAME_LENGTH} printable characters, "
            "no slash, no blanks at the ends"
        )


def find(connection: Connection, tenant_id: int, name: str) -> Collection | None:
    row = connection.execute(
        _select().where(collections.c.tenant_id == tenant_id, collections.c.name == name)
    ).one_or_none()
    return None if row is None else _value(row)


def get(connection: Connection, tenant_id: int, name: str) -> Collection:
    """The collection of this name. Raises NotFound, naming those that there are."""
    found = find(connection, tenant_id, name)
    if found is None:
        names = [collection.name for collection in listing(connection, tenant_id)]
        there = f"there are: {', '.join(names)}" if names else "nothing was ingested yet; run `rag ingest PATH`"
        raise NotFound(f"no collection {name!r}; {there}")
    return found


def change_settings(connection: Connection, collection_id: int, changed: Metadata) -> None:
    """Set some of a collection's settings; None takes one away."""
    lock(connection, collection_id)
    settings = connection.scalar(select(collections.c.settings).where(collections.c.id == collection_id))
    merged = {key: value for key, value in {**(settings or {}), **changed}.items() if value is not None}
    connection.execute(update(collections).where(collections.c.id == collection_id).values(settings=merged))


def by_id(connection: Connection, collection_id: int) -> Collection:
    row = connection.execute(_select().where(collections.c.id == collection_id)).one_or_none()
    if row is None:
        raise NotFound(f"no collection with id {collection_id}")
    return _value(row)


def listing(connection: Connection, tenant_id: int) -> list[Collection]:
    """Every collection of a tenant, by name."""
    rows = connection.execute(_select().where(collections.c.tenant_id == tenant_id).order_by(collections.c.name))
    return [_value(row) for row in rows]


def everything(connection: Connection) -> list[Collection]:
    """Every collection of every tenant, by id; for those who look after the house."""
    return [_value(row) for row in connection.execute(_select().order_by(collections.c.id))]


def counts(connection: Connection, collection_id: int) -> CollectionCounts:
    """How many documents and chunks are alive."""
    alive = []
    for table in (documents, chunks):
        query = (
            select(func.count())
            .select_from(table)
            .where(table.c.collection_id == collection_id, table.c.removed_position.is_(None))
        )
        alive.append(int(connection.scalar(query) or 0))
    return CollectionCounts(*alive)


def position(connection: Connection, collection_id: int) -> int:
    """The last committed position; one indexed read."""
    found = _POSITION.rows(connection, {"collection_id": collection_id})
    if not found:
        raise NotFound(f"no collection with id {collection_id}")
    return int(found[0][0])


_POSITION = Prepared(
    dict.fromkeys(DIALECTS, select(collections.c.position).where(collections.c.id == bindparam("collection_id")))
)


def lock(connection: Connection, collection_id: int) -> int:
    """Hold the counter until this transaction ends, without moving it: what is read now stays true."""
    found = connection.scalar(select(collections.c.position).where(collections.c.id == collection_id).with_for_update())
    if found is None:
        raise NotFound(f"no collection with id {collection_id}")
    return int(found)


def next_position(connection: Connection, collection_id: int) -> int:
    """Lock the counter until this transaction ends and take the next number.

    Because the lock is held until the commit, positions become visible in order and no reader passes over one.
    """
    taken = connection.execute(
        update(collections)
        .where(collections.c.id == collection_id)
        .values(position=collections.c.position + 1)
        .returning(collections.c.position)
    ).scalar_one_or_none()
    if taken is None:
        raise NotFound(f"no collection with id {collection_id}")
    return int(taken)


@dataclass(frozen=True, slots=True)
class Moved:
    """What one transaction did to a collection."""

    documents_added: int = 0
    documents_removed: int = 0
    chunks_added: int = 0
    chunks_removed: int = 0


def record_change(
    connection: Connection, collection_id: int, at: int, *, actor: str, action: str, moved: Moved
) -> None:
    """Write the row of a position; the transaction that took the number calls this once."""
    connection.execute(
        insert(changes).values(
            collection_id=collection_id,
            position=at,
            actor=actor,
            action=action,
            documents_added=moved.documents_added,
            documents_removed=moved.documents_removed,
            chunks_added=moved.chunks_added,
            chunks_removed=moved.chunks_removed,
            created_at=now(),
        )
    )


def require_embedder(collection: Collection, embedder: Embedder) -> None:
    """Raise WrongUsage unless the collection's vectors are this embedder's."""
    if collection.fingerprint != embedder.fingerprint:
        raise WrongUsage(
            f"the collection {collection.name!r} was embedded by {collection.fingerprint}, but the settings name "
            f"{embedder.fingerprint}; set `embedder` to the former, or ingest into a new collection"
        )
