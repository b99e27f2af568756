"""Second looks at documents: judged again by other policies, put back, and decisions on duplicates reversed."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from rag.errors import Conflict, NotFound
from rag.store import writing
from rag.store.collections import Collection, change_settings, lock, next_position
from rag.store.database import now
from rag.store.duplicates import places
from rag.store.duplicates.places import Arriving
from rag.store.duplicates.placing import Placing
from rag.store.tables import contents, documents, sources
from rag.store.writing import Written


@dataclass(frozen=True, slots=True)
class Reviewed:
    """How far a review of the documents that stand has come."""

    documents: int  # judged in this step
    duplicates: int  # found among them
    after: int  # the last id that was judged


def review_documents(connection: Connection, collection: Collection, *, after: int, limit: int, actor: str) -> Reviewed:
    """Judge live documents, by id behind `after`, by the collection's present policies on places."""
    collection = writing.locked(connection, collection)
    rows = connection.execute(
        select(documents, contents.c.digest)
        .join(contents, contents.c.id == func.coalesce(documents.c.own_content_id, documents.c.content_id))
        .where(
            documents.c.collection_id == collection.id,
            documents.c.removed_position.is_(None),
            documents.c.id > after,
        )
        .order_by(documents.c.id)
        .limit(limit)
    ).all()
    if not rows:
        return Reviewed(0, 0, after)
    labels = places.labels_of(connection, [row.id for row in rows])
    standing = {
        row.id: Arriving(
            places.place_of(row, labels),
            row.own_content_id or row.content_id,
            bytes(row.digest),
            row.created_at,
            previous_id=row.id,
        )
        for row in rows
    }
    placed = Placing(connection, collection, {}).review(standing, {row.id: row.content_id for row in rows})
    ids = {row.uri: row.id for row in rows}
    if placed.retired or placed.seats:
        at = next_position(connection, collection.id)
        writing.follow(connection, collection, placed, set(), 0, {}, at=at, actor=actor, action="dedup", known=ids)
    elif placed.decisions:
        at = lock(connection, collection.id)
        places.write_decisions(connection, collection.id, placed.decisions, ids, at=at, actor=actor)
    return Reviewed(len(rows), len(placed.decisions), rows[-1].id)


def release_held(connection: Connection, collection: Collection, *, limit: int, actor: str) -> int:
    """Ask again for a place for documents that the collection's present policies would not hold back, the first ones;
    how many these were."""
    collection = writing.locked(connection, collection)
    held = places.held_otherwise(connection, collection)[:limit]
    places.end_decisions(connection, [each.decision_id for each in held], "superseded", by=actor)
    if held:
        arriving = [Arriving(each.place, each.content_id, each.digest, each.since) for each in held]
        writing.move(connection, collection, arriving, set(), {}, actor=actor, action="dedup")
    return len(held)


def restore_document(connection: Connection, collection: Collection, document_id: int, *, actor: str) -> Written:
    """Put a removed document back as it was; policies on duplicates are heard again.

    Raises NotFound, and Conflict when it lives, or another stands at its address.
    """
    collection = writing.locked(connection, collection)
    row = connection.execute(
        select(documents, contents.c.digest, contents.c.erased_at)
        .join(contents, contents.c.id == documents.c.content_id)
        .where(documents.c.id == document_id, documents.c.collection_id == collection.id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"no document {document_id}")
    if row.removed_position is None:
        raise Conflict(f"document {document_id} was not removed")
    if row.erased_at is not None:
        raise Conflict(f"the text of document {document_id} was erased; it cannot be restored")
    if living := writing.live_at(connection, collection.id, [row.uri]):
        raise Conflict(f"{row.uri} is document {living[row.uri].id} by now; remove that one first")
    content_id, digest = row.content_id, bytes(row.digest)
    if row.own_content_id is not None:
        content_id = row.own_content_id
        digest = bytes(connection.execute(select(contents.c.digest).where(contents.c.id == content_id)).scalar_one())
    place = places.place_of(row, places.labels_of(connection, [document_id]))
    change_settings(connection, collection.id, {"recut": True})  # its chunks may be older than how texts are cut now
    return _bring(connection, collection, Arriving(place, content_id, digest, now(), document_id), actor, "restore")


def undo_decision(connection: Connection, collection: Collection, decision_id: int, *, actor: str) -> Written | None:
    """Reverse what was done about one duplicate: its two documents stand beside each other from now on.

    None where nothing had been done but to record it. Raises NotFound, and Conflict when the decision holds no longer
    or cannot be reversed.
    """
    collection = writing.locked(connection, collection)
    found = places.reversible(connection, collection.id, decision_id)
    places.end_decisions(connection, [decision_id], "undone", by=actor)
    if found is None:
        return None
    if found.previous_id is None and writing.live_at(connection, collection.id, [found.place.uri]):
        raise Conflict(f"another document stands at {found.place.uri} by now; remove it first")
    gone = set() if found.previous_id is None else {found.previous_id}
    return _bring(connection, collection, found, actor, "undo", gone)


def _bring(
    connection: Connection,
    collection: Collection,
    one: Arriving,
    actor: str,
    action: str,
    gone: set[int] = frozenset(),  # type: ignore[assignment]  # read only
) -> Written:
    waiting = places.held_back(connection, collection.id, [one.place.uri])
    places.end_decisions(connection, [held.decision_id for held in waiting.values()], "superseded", by=actor)
    whose = [held.place.source_id for held in waiting.values()]  # what it says now is there no longer: read it again
    connection.execute(update(sources).where(sources.c.id.in_(whose)).values(digest=None))
    placed, ids = writing.move(connection, collection, [one], set(gone), {}, actor=actor, action=action)
    return writing.result_of(one.place.uri, {one.place.uri}, {}, placed, ids)
