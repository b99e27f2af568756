"""Places that a collection follows: what was registered, which sources they brought, who is at it, how it went."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, exists, func, insert, select, text, update

from rag import locks
from rag.errors import Conflict, NotFound, WrongUsage
from rag.store.audit import record
from rag.store.collections import Collection, lock
from rag.store.contents import parts
from rag.store.database import Database, now
from rag.store.tables import collections, documents, sources, syncs
from rag.types import Metadata, MetadataValue

NAME_LENGTH = 100
HANDOVER_S = 1.0  # a server takes a moment to notice that a client was killed, and to let go of its locks
LOCKS = 0x726167  # the class of our advisory locks on PostgreSQL ("rag")

LocationKind = Literal["path", "page", "sitemap"]


@dataclass(frozen=True, slots=True)
class Location:
    """Where documents come from: a file or folder by its absolute path, a page or a sitemap by its URL."""

    kind: LocationKind
    place: str


@dataclass(frozen=True, slots=True)
class Follows:
    """What a sync is told: where from, and what holds for all that comes from there."""

    locations: tuple[Location, ...]
    owner: str = "local"
    metadata: Metadata = field(default_factory=dict)
    labels: frozenset[str] = frozenset()
    hosts: tuple[str, ...] = ()  # whose pages may be fetched


@dataclass(frozen=True, slots=True)
class StoredSync:
    id: int
    tenant_id: int
    collection_id: int
    collection: str  # its name
    name: str
    follows: Follows
    sources: int  # how many it looks after
    result: Metadata | None  # of the last run that ended
    created_at: datetime
    ran_at: datetime | None


@dataclass(frozen=True, slots=True)
class Known:
    """A source that a sync looks after, as it was taken in last."""

    uri: str
    digest: bytes | None  # None: not taken in whole
    documents: int  # that it held then, those that a policy holds back included
    live: bool  # whether any document of it stands
    etag: str | None
    modified: str | None


# ── what is registered ──────────────────────────────────────────────────────────────────────────────────────────────


def register(connection: Connection, collection: Collection, name: str, follows: Follows, *, actor: str) -> StoredSync:
    """Follow these locations under a name; what the name stood for before is replaced, its sources stay its own.

    Raises WrongUsage for what cannot be a name.
    """
    check_name(name)
    lock(connection, collection.id)
    places: list[MetadataValue] = [[each.kind, each.place] for each in follows.locations]
    values = {"locations": places, "settings": _settings(follows)}
    mine = (syncs.c.collection_id == collection.id) & (syncs.c.name == name)
    row = connection.execute(select(syncs.c.locations, syncs.c.settings).where(mine)).one_or_none()
    if row is None:
        stamp = {"collection_id": collection.id, "name": name, "created_at": now()}
        connection.execute(insert(syncs).values(values | stamp))
    elif {"locations": row.locations, "settings": row.settings} != values:
        connection.execute(update(syncs).where(mine).values(values))
    else:
        return get(connection, collection.tenant_id, name, collection.name)
    _audit(connection, collection, name, "sync register", {"locations": places}, actor)
    return get(connection, collection.tenant_id, name, collection.name)


def check_name(name: str) -> None:
    """Raise WrongUsage unless `name` can name a sync: 1…100 printable characters, no slash, no outer blanks."""
    if not name or len(name) > NAME_LENGTH or name != name.strip() or "/" in name or not name.isprintable():
        raise WrongUsage(
            f"{name!r} cannot name a sync: 1 to {NAME_LENGTH} printable characters, no slash, no blanks at the ends; "
            "the name comes before the paths: rag sync NAME PATH"
        )


def find(connection: Connection, tenant_id: int, name: str, collection: str) -> StoredSync | None:
    row = connection.execute(
        _select().where(collections.c.tenant_id == tenant_id, collections.c.name == collection, syncs.c.name == name)
    ).one_or_none()
    return None if row is None else _value(row)


def get(connection: Connection, tenant_id: int, name: str, collection: str) -> StoredSync:
    """The sync of this name. Raises NotFound, naming those that there are."""
    found = find(connection, tenant_id, name, collection)
    if found is None:
        there = listing(connection, tenant_id)
        names = [s.name if s.collection == collection else f"{s.name} (collection {s.collection})" for s in there]
        known = f"there are: {', '.join(names)}" if names else f"register it: rag sync {name} PATH"
        raise NotFound(f"no sync {name!r} in the collection {collection!r}; {known}")
    return found


def anywhere(connection: Connection, tenant_id: int, name: str, collection: str) -> StoredSync:
    """The sync of this name in a collection, else the only one of that name in another. Raises NotFound, and
    WrongUsage where several others have one."""
    there = [each for each in listing(connection, tenant_id) if each.name == name]
    if not there or any(each.collection == collection for each in there):
        return get(connection, tenant_id, name, collection)
    if len(there) > 1:
        names = ", ".join(each.collection for each in there)
        raise WrongUsage(f"there is a sync {name!r} in several collections ({names}); say which: --collection NAME")
    return there[0]


def draft(connection: Connection, tenant_id: int, name: str, collection: str, follows: Follows) -> StoredSync:
    """What `register` would make, without writing it. Its ids are 0 where they would be new."""
    there = find(connection, tenant_id, name, collection)
    if there is not None:
        return replace(there, follows=follows)
    query = select(collections.c.id).where(collections.c.tenant_id == tenant_id, collections.c.name == collection)
    return StoredSync(0, tenant_id, connection.scalar(query) or 0, collection, name, follows, 0, None, now(), None)


def listing(connection: Connection, tenant_id: int, collection: str | None = None) -> list[StoredSync]:
    """The syncs of a tenant, or of one of its collections, by collection and name."""
    query = _select().where(collections.c.tenant_id == tenant_id).order_by(collections.c.name, syncs.c.name)
    if collection is not None:
        query = query.where(collections.c.name == collection)
    return [_value(row) for row in connection.execute(query)]


def forget(connection: Connection, collection: Collection, sync: StoredSync, *, actor: str) -> None:
    """Follow it no longer. The sources it looked after stay, looked after by nobody."""
    lock(connection, collection.id)
    connection.execute(update(sources).where(sources.c.sync_id == sync.id).values(sync_id=None))
    connection.execute(delete(syncs).where(syncs.c.id == sync.id))
    _audit(connection, collection, sync.name, "sync remove", {}, actor)


def ended(connection: Connection, sync_id: int, result: Metadata) -> None:
    """Keep how a run went."""
    connection.execute(update(syncs).where(syncs.c.id == sync_id).values(result=dict(result), ran_at=now()))


# ── its sources ─────────────────────────────────────────────────────────────────────────────────────────────────────


def known(connection: Connection, sync_id: int) -> dict[str, Known]:
    """The sources that a sync looks after, by address."""
    rows = connection.execute(select(*_KNOWN).where(sources.c.sync_id == sync_id).order_by(sources.c.uri))
    return {row.uri: _known(row) for row in rows}


_KNOWN: tuple[ColumnElement[Any], ...] = (
    sources.c.uri,
    sources.c.digest,
    sources.c.documents,
    sources.c.etag,
    sources.c.modified,
    exists().where(documents.c.source_id == sources.c.id, documents.c.removed_position.is_(None)).label("live"),
)


def _known(row: Row[Any]) -> Known:
    digest = None if row.digest is None else bytes(row.digest)
    return Known(row.uri, digest, row.documents, row.live, row.etag, row.modified)


@dataclass(frozen=True, slots=True)
class Unowned:
    """Sources that are not a sync's: those that nobody looks after, and those of other syncs with these' names."""

    free: Mapping[str, Known]
    others: Mapping[str, str]


def unowned(connection: Connection, collection_id: int, sync_id: int, uris: Sequence[str]) -> Unowned:
    """Which of these addresses are those of sources, taken in at some time, that are not this sync's."""
    free: dict[str, Known] = {}
    others: dict[str, str] = {}
    columns: tuple[ColumnElement[Any], ...] = (*_KNOWN, syncs.c.name)
    for part in parts(uris):
        rows = connection.execute(
            select(*columns)
            .outerjoin(syncs, syncs.c.id == sources.c.sync_id)
            .where(
                sources.c.collection_id == collection_id,
                sources.c.uri.in_(part),
                func.coalesce(sources.c.sync_id, -1) != sync_id,
            )
        )
        for row in rows:
            if row.name is None:
                free[row.uri] = _known(row)
            else:
                others[row.uri] = row.name
    return Unowned(free, others)


def claim(connection: Connection, collection: Collection, sync_id: int, uris: Iterable[str]) -> None:
    """Look after these sources, as far as nobody does."""
    lock(connection, collection.id)
    for part in parts(list(uris)):
        mine = sources.c.collection_id == collection.id, sources.c.uri.in_(part), sources.c.sync_id.is_(None)
        connection.execute(update(sources).where(*mine).values(sync_id=sync_id))


# ── one run at a time ───────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def running(database: Database, sync: StoredSync) -> Iterator[None]:
    """Hold the right to run a sync while the block lasts; whoever is killed lets go of it at once.

    A file lock beside a SQLite database, an advisory lock of the session on PostgreSQL. Raises Conflict when another
    run has it.
    """
    file = Path(f"{database.file}.sync-{sync.id}.lock")
    with locks.held(file) if database.is_sqlite else _advisory_lock(database, sync) as held:
        if not held:
            raise Conflict(f"the sync {sync.name!r} is running already; wait for its end, or stop it")
        yield


@contextmanager
def _advisory_lock(database: Database, sync: StoredSync) -> Iterator[bool]:
    key = {"class": LOCKS, "key": sync.id % 2**31}
    options = {"isolation_level": "AUTOCOMMIT", "rag_write": True}  # no transaction stays open while it runs
    with database.engine.connect().execution_options(**options) as connection:
        asked = text("SELECT pg_try_advisory_lock(:class, :key)")
        held = bool(connection.scalar(asked, key))
        until = time.monotonic() + HANDOVER_S
        while not held and time.monotonic() < until:
            time.sleep(0.05)
            held = bool(connection.scalar(asked, key))
        try:
            yield held
        finally:
            if held:
                connection.execute(text("SELECT pg_advisory_unlock(:class, :key)"), key)


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _select() -> Select[Any]:
    mine = select(func.count()).where(sources.c.sync_id == syncs.c.id).scalar_subquery()
    return select(syncs, collections.c.name.label("collection"), collections.c.tenant_id, mine.label("sources")).join(
        collections, collections.c.id == syncs.c.collection_id
    )


def _value(row: Row[Any]) -> StoredSync:
    return StoredSync(
        row.id,
        row.tenant_id,
        row.collection_id,
        row.collection,
        row.name,
        _follows(row.locations, row.settings),
        row.sources,
        row.result,
        row.created_at,
        row.ran_at,
    )


def _settings(follows: Follows) -> dict[str, MetadataValue]:
    return {
        "owner": follows.owner,
        "metadata": dict(follows.metadata),
        "labels": [*sorted(follows.labels)],
        "hosts": [*follows.hosts],
    }


def _follows(locations: Sequence[Sequence[str]], settings: Mapping[str, Any]) -> Follows:
    kinds = {kind: kind for kind in get_args(LocationKind)}
    return Follows(
        tuple(Location(kinds[kind], place) for kind, place in locations),
        settings["owner"],
        settings["metadata"],
        frozenset(settings["labels"]),
        tuple(settings["hosts"]),
    )


def _audit(
    connection: Connection, collection: Collection, name: str, action: str, detail: Metadata, actor: str
) -> None:
    subject = f"{collection.name}/{name}"
    record(connection, collection.tenant_id, actor=actor, action=action, subject=subject, detail=detail)
