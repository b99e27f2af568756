"""What surrounds one document: its earlier versions, other places of its text, the answers that were shown it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Integer, cast, func, select

from rag.errors import NotFound
from rag.store.collections import Collection
from rag.store.documents import StoredDocument, get, get_removed, selecting, stored
from rag.store.permitted import Predicate, still_seen
from rag.store.tables import documents, interaction_passages, interactions
from rag.types import Principal

MOST_VERSIONS = 100


@dataclass(frozen=True, slots=True)
class Citing:
    """An answer whose generator was shown a passage of a document's text."""

    interaction_id: str
    question: str
    user: str
    cited: bool  # the answer cites it; else it was only shown
    passages: int  # of this text, in its prompt
    created_at: datetime


def one(connection: Connection, collection: Collection, asker: Principal, document_id: int) -> StoredDocument:
    """A document that stands, or that stood once. Raises NotFound for one that the asker may not see.

    One that is gone may be seen by whom it was shown to; with labels only by its owner, and by those who may see what
    stands at its address now.
    """
    predicate = Predicate(collection.id, asker.labels)
    try:
        return get(connection, predicate, collection.position, document_id)
    except NotFound:
        found = get_removed(connection, predicate, document_id)
    if asker.labels is None or found.owner == asker.user:
        return found
    if not still_seen(connection, Predicate(collection.id, asker.labels, then=True), [document_id]):
        raise NotFound(f"no document {document_id}")
    return found


def versions(
    connection: Connection, collection: Collection, asker: Principal, document: StoredDocument
) -> list[StoredDocument]:
    """The document, what stands at its address now, and what stood there before each of them: the newest first,
    MOST_VERSIONS at most, those that the asker may see."""
    now = connection.scalar(
        select(documents.c.id).where(
            documents.c.collection_id == collection.id,
            documents.c.uri == document.uri,
            documents.c.removed_position.is_(None),
        )
    )
    ids = {document.id, *_before(connection, document.id)}
    if now is not None:
        ids |= {now, *_before(connection, now)}
    return list(_seen(connection, collection, asker, sorted(ids, reverse=True)[:MOST_VERSIONS]))


def _before(connection: Connection, document_id: int) -> list[int]:
    """The documents that this one followed, the newest first."""
    found: list[int] = []
    at: int | None = document_id
    while at is not None and len(found) <= MOST_VERSIONS:
        at = connection.scalar(select(documents.c.previous_id).where(documents.c.id == at))
        if at is not None:
            found.append(at)
    return found


def _seen(connection: Connection, collection: Collection, asker: Principal, ids: list[int]) -> Iterator[StoredDocument]:
    for document_id in ids:
        try:
            yield one(connection, collection, asker, document_id)
        except NotFound:
            continue


def places(connection: Connection, predicate: Predicate, at: int, document: StoredDocument) -> list[StoredDocument]:
    """The other documents that hold the same text and may be seen, by id."""
    query = (
        selecting()
        .where(
            documents.c.content_id == document.content_id,
            documents.c.id != document.id,
            predicate.documents(connection.dialect.name, at),
        )
        .order_by(documents.c.id)
    )
    return stored(connection, connection.execute(query).all())


def citing(
    connection: Connection, asker: Principal, content_id: int, *, limit: int, before: str | None = None
) -> list[Citing]:
    """The answers whose generator was shown this text, the newest first, from behind the interaction `before` on. An
    asker who is bound to labels sees their own only."""
    table, asked = interaction_passages.c, interactions.c
    query = (
        select(
            asked.id,
            asked.question,
            asked.user,
            func.max(cast(table.cited, Integer)).label("cited"),
            func.count().label("passages"),
            asked.created_at,
        )
        .join(interactions, asked.id == table.interaction_id)
        .where(table.content_id == content_id, asked.tenant_id == asker.tenant_id)
        .group_by(asked.id, asked.question, asked.user, asked.created_at)
        .order_by(asked.id.desc())
        .limit(limit)
    )
    if asker.labels is not None:
        query = query.where(asked.user == asker.user)
    if before is not None:
        query = query.where(asked.id < before)
    return [
        Citing(row.id, row.question, row.user, bool(row.cited), row.passages, row.created_at)
        for row in connection.execute(query)
    ]
