"""Writing documents: one short transaction takes in a batch of whole documents with all that belongs to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from rag.store import sources as source_store
from rag.store.collections import Collection, Moved, by_id, change_settings, lock, next_position, record_change
from rag.store.contents import NewChunk, NewContent, ensure_contents, insert_vectors, otherwise_cut, parts, settle
from rag.store.database import now
from rag.store.duplicates import alike, places
from rag.store.duplicates.places import Arriving, HeldBack, Place, Seat
from rag.store.duplicates.placing import Placed, Placing
from rag.store.sources import SourceRead
from rag.store.tables import document_labels, documents
from rag.types import Metadata, Outcome

__all__ = [
    "NewChunk",
    "NewContent",
    "NewDocument",
    "Record",
    "SourceRead",
    "Written",
    "remove_documents",
    "retire_sources",
    "write_documents",
]

Kind = Literal["added", "updated", "unchanged", "duplicate"]
Record = Callable[[Connection, Sequence[Outcome]], None]
"""Called within the transaction that makes the outcomes true; what it raises rolls the transaction back."""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A place where a content stands. `content` may be left out when the store had it when this was prepared."""

    content_digest: bytes
    content: NewContent | None
    source_uri: str | None  # the file, page or upload it came from, when that is tracked
    uri: str
    external_id: str | None
    name: str
    media_type: str
    metadata: Metadata
    owner: str
    labels: frozenset[str] = frozenset()
    signature: bytes | None = None  # MinHash of the text, where it was computed already
    moved_from: str | None = None  # the address it stood at before, which it leaves in the same transaction


@dataclass(frozen=True, slots=True)
class Written:
    kind: Kind
    uri: str
    document_id: int | None  # None: a policy keeps it out
    reason: str = ""  # what it duplicates, and what was done about that


@dataclass(frozen=True, slots=True)
class Live:
    """A document as it stands before the batch."""

    id: int
    own_content_id: int
    place: Place
    since: datetime


def locked(connection: Connection, collection: Collection) -> Collection:
    """Hold the collection until this transaction ends; how it is set now, which may not be how it was when opened."""
    lock(connection, collection.id)
    return by_id(connection, collection.id)


def cut_by_others(opened: Collection, collection: Collection) -> bool:
    """Whether the settings by which texts are cut were changed since a collection was opened."""
    return any(opened.settings.get(key) != collection.settings.get(key) for key in ("chunk_tokens", "overlap_tokens"))


def write_documents(
    connection: Connection,
    collection: Collection,
    batch: Sequence[NewDocument],
    new_vectors: Mapping[bytes, bytes],
    *,
    actor: str,
    complete: Mapping[str, SourceRead],
) -> list[Written]:
    """Take in a batch; one result a document, in order. Moves the position only if anything changed.

    `complete` names the sources whose last document is in this batch. URIs within a batch must differ. A document that
    was moved is the next revision of the one at its former address, and is not compared with it.
    Raises LookupError when a content was left out that the store does not hold.
    """
    opened, collection = collection, locked(connection, collection)
    if cut_by_others(opened, collection):
        change_settings(connection, collection.id, {"recut": True})  # these texts were cut as it was set before
    named = {document.source_uri for document in batch if document.source_uri is not None}
    source_ids = source_store.ensure(connection, collection.id, sorted(named | complete.keys()))
    new: dict[bytes, NewContent | None] = {document.content_digest: None for document in batch}
    new |= {document.content_digest: document.content for document in batch if document.content is not None}
    content_ids = ensure_contents(connection, collection.id, new)
    uris = [document.uri for document in batch]
    moved = {document.uri: document.moved_from for document in batch if document.moved_from is not None}
    before = live_at(connection, collection.id, [*uris, *moved.values()])
    waiting = places.held_back(connection, collection.id, [*uris, *moved.values()])
    arriving: list[Arriving] = []
    for document in batch:
        place, content_id = _place(document, source_ids), content_ids[document.content_digest]
        old, held = before.get(document.uri), waiting.get(document.uri)
        if not _same(place, content_id, old, held):
            former = moved.get(document.uri, "")
            origin = waiting.get(former) or before.get(former)
            since = now() if origin is None else origin.since  # moving makes no revision newer
            last = old or before.get(former)
            previous = None if last is None else last.id
            arriving.append(Arriving(place, content_id, document.content_digest, since, previous, document.signature))
    arrived = {one.place.uri for one in arriving}
    left = arrived | {moved[uri] for uri in arrived & moved.keys()}
    gone = {before[uri].id for uri in left & before.keys()}
    withdrawn = [waiting[uri].decision_id for uri in left & waiting.keys()]
    whole = {source_ids[uri]: read.uris for uri, read in complete.items()}
    gone.update(source_store.strays(connection, whole))
    for held in places.held_back_of_sources(connection, collection.id, sorted(whole)):
        if held.place.source_id is not None and held.place.uri not in whole[held.place.source_id]:
            withdrawn.append(held.decision_id)
    let_go = source_store.let_go(
        connection, collection.id, [read.moved_from for read in complete.values() if read.moved_from is not None]
    )
    gone |= let_go.documents
    withdrawn += let_go.decisions
    places.end_decisions(connection, withdrawn, "superseded", by=actor)
    placed, ids = Placed(), {uri: live.id for uri, live in before.items()}
    prepared = {content_ids[d.content_digest]: d.content for d in batch if d.content is not None}
    if gone or arriving or otherwise_cut(connection, prepared):
        insert_vectors(connection, collection, new_vectors)
        action = "add" if gone or arriving else "cut"
        placed, fresh = move(connection, collection, arriving, gone, prepared, actor=actor, action=action)
        ids |= fresh
    source_store.complete(connection, {source_ids[uri]: read for uri, read in complete.items()})
    return [result_of(uri, arrived, before, placed, ids, moved.get(uri)) for uri in uris]


def result_of(
    uri: str,
    arrived: set[str],
    before: Mapping[str, Live],
    placed: Placed,
    ids: Mapping[str, int],
    moved_from: str | None = None,
) -> Written:
    """What became of one document of a batch."""
    if uri not in arrived:
        return Written("unchanged", uri, ids.get(uri))
    held = placed.held.get(uri)
    if held is not None:
        return Written("duplicate", uri, None, held.reason)
    seat = placed.seats[uri]
    if moved_from is not None and moved_from in before:
        return Written("updated", uri, ids[uri], f"moved from {moved_from}")
    kind: Kind = "updated" if uri in before else "duplicate" if seat.duplicate else "added"
    return Written(kind, uri, ids[uri], seat.reason)


def _place(document: NewDocument, source_ids: Mapping[str, int]) -> Place:
    return Place(
        document.uri,
        None if document.source_uri is None else source_ids[document.source_uri],
        document.external_id,
        document.name,
        document.media_type,
        dict(document.metadata),
        document.owner,
        document.labels,
    )


def _same(place: Place, content_id: int, old: Live | None, held: HeldBack | None) -> bool:
    """Whether a document says nothing new: it stands as it is, or is held back as it is."""
    if old is not None:
        return old.own_content_id == content_id and old.place.state() == place.state()
    return held is not None and held.content_id == content_id and held.place.state() == place.state()


def move(
    connection: Connection,
    collection: Collection,
    arriving: Sequence[Arriving],
    gone: set[int],
    prepared: Mapping[int, NewContent],
    *,
    actor: str,
    action: str,
) -> tuple[Placed, dict[str, int]]:
    """Documents come and go at the next position; what follows for others, for chunks and for the record is done.

    Returns where everything was placed, and the ids of the new documents by uri.
    """
    at = next_position(connection, collection.id)
    left = retire(connection, sorted(gone), at)
    source_store.forget(connection, sorted(gone))
    placed = Placing(connection, collection, prepared).place(arriving, gone)
    ids = follow(connection, collection, placed, left, len(gone), prepared, at=at, actor=actor, action=action)
    return placed, ids


def follow(
    connection: Connection,
    collection: Collection,
    placed: Placed,
    left: set[int],
    gone: int,
    prepared: Mapping[int, NewContent],
    *,
    at: int,
    actor: str,
    action: str,
    known: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Write what was decided, and do all that follows; the ids of the new documents by uri. `known` are those of
    documents that were judged and stay."""
    left = left | retire(connection, sorted(placed.retired), at)
    seats = list(placed.seats.values())
    ids = _insert_documents(connection, collection.id, seats, at)
    places.write_decisions(connection, collection.id, placed.decisions, {**(known or {}), **ids}, at=at, actor=actor)
    touched = left | {seat.shows for seat in seats} | {seat.arriving.content_id for seat in seats} | prepared.keys()
    settled = settle(connection, collection.id, touched, at, prepared)
    shown = {seat.shows for seat in seats}
    written = {key: content for key, content in prepared.items() if key in shown}
    alike.record(connection, collection, written, settled.revived, at=at, actor=actor)
    moved = Moved(len(seats), gone + len(placed.retired), settled.added, settled.removed)
    record_change(connection, collection.id, at, actor=actor, action=action, moved=moved)
    return ids


def remove_documents(connection: Connection, collection: Collection, ids: Sequence[int], *, actor: str) -> int:
    """Take documents out of search from the next request on. Returns how many were alive."""
    collection = locked(connection, collection)
    alive = {
        row[0]
        for part in parts(ids)
        for row in connection.execute(
            select(documents.c.id).where(
                documents.c.id.in_(part),
                documents.c.collection_id == collection.id,
                documents.c.removed_position.is_(None),
            )
        )
    }
    if alive:
        move(connection, collection, [], alive, {}, actor=actor, action="remove")
    return len(alive)


def retire_sources(connection: Connection, collection: Collection, uris: Sequence[str], *, actor: str) -> int:
    """Let sources go that are there no longer, with all their documents; how many of these were alive.

    Documents of theirs that a policy held back do not come back either. No sync looks after the sources any more.
    """
    collection = locked(connection, collection)
    let_go = source_store.let_go(connection, collection.id, uris)
    places.end_decisions(connection, let_go.decisions, "superseded", by=actor)
    if let_go.documents:
        move(connection, collection, [], set(let_go.documents), {}, actor=actor, action="remove")
    return len(let_go.documents)


def recut(
    connection: Connection,
    collection: Collection,
    prepared: Mapping[int, NewContent],
    new_vectors: Mapping[bytes, bytes],
    *,
    actor: str,
) -> None:
    """Give contents, by id, the chunks that were prepared for them in place of those they have; nothing is done when
    the collection says by now that texts are cut otherwise."""
    opened, collection = collection, locked(connection, collection)
    if cut_by_others(opened, collection):
        return
    insert_vectors(connection, collection, new_vectors)
    move(connection, collection, [], set(), prepared, actor=actor, action="cut")


def retire(connection: Connection, ids: Sequence[int], at: int) -> set[int]:
    """End these documents at a position; returns the contents they showed."""
    left: set[int] = set()
    for part in parts(ids):
        rows = connection.execute(
            update(documents)
            .where(documents.c.id.in_(part), documents.c.removed_position.is_(None))
            .values(removed_position=at, removed_at=now())
            .returning(documents.c.content_id)
        )
        left.update(row[0] for row in rows)
    return left


def live_at(connection: Connection, collection_id: int, uris: Sequence[str]) -> dict[str, Live]:
    """The live documents at these addresses."""
    found: dict[str, Live] = {}
    for part in parts(uris):
        rows = connection.execute(
            select(documents).where(
                documents.c.collection_id == collection_id,
                documents.c.uri.in_(part),
                documents.c.removed_position.is_(None),
            )
        ).all()
        labels = places.labels_of(connection, [row.id for row in rows])
        for row in rows:
            own = row.content_id if row.own_content_id is None else row.own_content_id
            found[row.uri] = Live(row.id, own, places.place_of(row, labels), row.created_at)
    return found


def _insert_documents(connection: Connection, collection_id: int, seats: Sequence[Seat], at: int) -> dict[str, int]:
    if not seats:
        return {}
    values = [
        {
            "collection_id": collection_id,
            "content_id": seat.shows,
            "own_content_id": None if seat.shows == seat.arriving.content_id else seat.arriving.content_id,
            "source_id": seat.arriving.place.source_id,
            "previous_id": seat.arriving.previous_id,
            "uri": seat.arriving.place.uri,
            "external_id": seat.arriving.place.external_id,
            "name": seat.arriving.place.name,
            "media_type": seat.arriving.place.media_type,
            "metadata": dict(seat.arriving.place.metadata),
            "owner": seat.arriving.place.owner,
            "added_position": at,
            "created_at": seat.arriving.since,
        }
        for seat in seats
    ]
    rows = connection.execute(insert(documents).returning(documents.c.uri, documents.c.id), values)
    ids = {row[0]: row[1] for row in rows}
    labelled = [
        {"document_id": ids[seat.arriving.place.uri], "label": label}
        for seat in seats
        for label in sorted(seat.arriving.place.labels)
    ]
    if labelled:
        connection.execute(insert(document_labels), labelled)
    return ids
