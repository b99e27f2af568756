"""The sources of documents: files, pages and uploads, what is known of them, and what goes when they do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from rag.store.contents import parts
from rag.store.database import now
from rag.store.duplicates import places
from rag.store.tables import documents, sources


@dataclass(frozen=True, slots=True)
class SourceRead:
    """A source that was read to its end: what it held is complete with this transaction."""

    digest: bytes
    uris: frozenset[str]  # of all its documents; live ones that are not among them are retired
    sync_id: int | None = None  # the sync that looks after it from now on
    etag: str | None = None
    modified: str | None = None
    moved_from: str | None = None  # the address of the source before: what is left there goes


@dataclass(frozen=True, slots=True)
class LetGo:
    """What goes with some sources."""

    documents: frozenset[int]  # those that live
    decisions: tuple[int, ...]  # those that hold documents back


def let_go(connection: Connection, collection_id: int, uris: Sequence[str]) -> LetGo:
    """Mark sources as not taken in and looked after by nobody; what is to go with them."""
    found: list[int] = []
    alive: set[int] = set()
    for part in parts(uris):
        mine = and_(sources.c.collection_id == collection_id, sources.c.uri.in_(part))
        nothing = {"digest": None, "documents": 0, "sync_id": None, "etag": None, "modified": None}
        rows = connection.execute(update(sources).where(mine).values(nothing).returning(sources.c.id))
        found += [row[0] for row in rows]
    for ids in parts(found):
        rows = connection.execute(
            select(documents.c.id).where(documents.c.source_id.in_(ids), documents.c.removed_position.is_(None))
        )
        alive.update(row[0] for row in rows)
    held = places.held_back_of_sources(connection, collection_id, found)
    return LetGo(frozenset(alive), tuple(each.decision_id for each in held))


def forget(connection: Connection, ids: Sequence[int]) -> None:
    """A source that lost a document is no longer known whole: the next run reads it again."""
    for part in parts(ids):
        touched = select(documents.c.source_id).where(documents.c.id.in_(part), documents.c.source_id.is_not(None))
        connection.execute(update(sources).where(sources.c.id.in_(touched)).values(digest=None))


def ensure(connection: Connection, collection_id: int, uris: Sequence[str]) -> dict[str, int]:
    """The rows of sources, by uri. Until its last document is in, a source counts as not taken in."""
    if not uris:
        return {}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    stamp = now()
    command = (
        dialect.insert(sources)
        .on_conflict_do_update(index_elements=["collection_id", "uri"], set_={"digest": None})
        .returning(sources.c.uri, sources.c.id)
    )
    values = [{"collection_id": collection_id, "uri": uri, "documents": 0, "seen_at": stamp} for uri in uris]
    return {row[0]: row[1] for row in connection.execute(command, values)}


def complete(connection: Connection, read: Mapping[int, SourceRead]) -> None:
    """Say of sources, by id, that they were taken in whole."""
    stamp = now()
    for followed in (False, True):
        rows = [
            {
                "key": key,
                "digest": each.digest,
                "documents": len(each.uris),
                "seen_at": stamp,
                "etag": each.etag,
                "modified": each.modified,
                **({"sync_id": each.sync_id} if followed else {}),
            }
            for key, each in read.items()
            if (each.sync_id is not None) == followed
        ]
        if rows:
            connection.execute(update(sources).where(sources.c.id == bindparam("key")), rows)


def strays(connection: Connection, held: Mapping[int, frozenset[str]]) -> list[int]:
    """Live documents of sources, given by id with all that they hold now, that these no longer hold."""
    found: list[int] = []
    for part in parts(sorted(held)):
        rows = connection.execute(
            select(documents.c.id, documents.c.uri, documents.c.source_id).where(
                documents.c.source_id.in_(part), documents.c.removed_position.is_(None)
            )
        )
        found += [row[0] for row in rows if row[1] not in held[row[2]]]
    return found
