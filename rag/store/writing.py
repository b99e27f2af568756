"""Writing documents: one short transaction takes in a batch of whole documents with all that belongs to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from sqlalchemy import Connection, func, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from rag.store.collections import Collection, Moved, lock, next_position, record_change
from rag.store.database import now
from rag.store.tables import chunks, contents, document_labels, documents, sources, vectors
from rag.types import Metadata, MetadataValue

Kind = Literal["added", "updated", "unchanged", "duplicate"]
T = TypeVar("T")
MANY = 500  # values in one IN (…): SQLite's and PostgreSQL's planners both stay quick


@dataclass(frozen=True, slots=True)
class NewChunk:
    ordinal: int
    start: int
    end: int
    headings: tuple[str, ...]
    page: int | None
    digest: bytes  # of exactly the string that is embedded


@dataclass(frozen=True, slots=True)
class NewContent:
    digest: bytes
    title: str
    text: str
    text_digest: bytes
    outline: list[MetadataValue]
    chunks: tuple[NewChunk, ...]


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


@dataclass(frozen=True, slots=True)
class Written:
    kind: Kind
    document_id: int
    content_id: int


@dataclass(frozen=True, slots=True)
class SourceRead:
    """A source that was read to its end: what it held is complete with this transaction."""

    digest: bytes
    uris: frozenset[str]  # of all its documents; live ones that are not among them are retired


@dataclass(frozen=True, slots=True)
class Live:
    """A document as it stands before the batch."""

    id: int
    content_id: int
    state: Mapping[str, object] = field(default_factory=dict)


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

    `complete` names the sources whose last document is in this batch. URIs within a batch must differ.
    Raises LookupError when a content was left out that the store does not hold.
    """
    lock(connection, collection.id)
    source_ids = _ensure_sources(connection, collection.id, batch, complete)
    content_ids = _ensure_contents(connection, collection.id, batch)
    before = _live_by_uri(connection, collection.id, [document.uri for document in batch])
    held = _contents_with_live_documents(connection, sorted(set(content_ids.values())))
    kinds: list[Kind] = []
    for document in batch:
        content_id = content_ids[document.content_digest]
        old = before.get(document.uri)
        if old is not None:
            same = old.content_id == content_id and old.state == _state(document)
            kinds.append("unchanged" if same else "updated")
        else:
            kinds.append("duplicate" if content_id in held else "added")
        held.add(content_id)
    gone = [before[d.uri].id for d, kind in zip(batch, kinds, strict=True) if kind == "updated"]
    for uri, read in complete.items():
        gone += _strays(connection, source_ids[uri], read.uris)
    fresh = [
        (document, before.get(document.uri)) for document, kind in zip(batch, kinds, strict=True) if kind != "unchanged"
    ]
    ids: dict[str, int] = {uri: live.id for uri, live in before.items()}
    if gone or fresh:
        at = next_position(connection, collection.id)
        left = retire(connection, gone, at)
        ids |= _insert_documents(connection, collection.id, source_ids, fresh, content_ids, at)
        _insert_vectors(connection, collection, new_vectors)
        prepared = {content_ids[d.content_digest]: d.content for d in batch if d.content is not None}
        arrived = {content_ids[document.content_digest] for document, _ in fresh}
        added, removed = settle(connection, collection.id, left | arrived, at, prepared)
        moved = Moved(len(fresh), len(gone), added, removed)
        record_change(connection, collection.id, at, actor=actor, action="add", moved=moved)
    for uri, read in complete.items():
        connection.execute(
            update(sources)
            .where(sources.c.id == source_ids[uri])
            .values(digest=read.digest, documents=len(read.uris), seen_at=now())
        )
    return [
        Written(kind, ids[document.uri], content_ids[document.content_digest])
        for document, kind in zip(batch, kinds, strict=True)
    ]


def remove_documents(connection: Connection, collection: Collection, ids: Sequence[int], *, actor: str) -> int:
    """Take documents out of search from the next request on. Returns how many were alive."""
    lock(connection, collection.id)
    alive = [
        row[0]
        for part in _parts(ids)
        for row in connection.execute(
            select(documents.c.id).where(
                documents.c.id.in_(part),
                documents.c.collection_id == collection.id,
                documents.c.removed_position.is_(None),
            )
        )
    ]
    if not alive:
        return 0
    at = next_position(connection, collection.id)
    left = retire(connection, alive, at)
    added, removed = settle(connection, collection.id, left, at, {})
    moved = Moved(0, len(alive), added, removed)
    record_change(connection, collection.id, at, actor=actor, action="remove", moved=moved)
    return len(alive)


def retire(connection: Connection, ids: Sequence[int], at: int) -> set[int]:
    """End these documents at a position; returns the contents they stood on."""
    left: set[int] = set()
    for part in _parts(ids):
        rows = connection.execute(
            update(documents)
            .where(documents.c.id.in_(part), documents.c.removed_position.is_(None))
            .values(removed_position=at, removed_at=now())
            .returning(documents.c.content_id, documents.c.source_id)
        ).all()
        left.update(row[0] for row in rows)
        touched = sorted({row[1] for row in rows if row[1] is not None})
        # A source that lost a document is no longer known whole: the next run reads it again.
        connection.execute(update(sources).where(sources.c.id.in_(touched)).values(digest=None))
    return left


def settle(
    connection: Connection,
    collection_id: int,
    content_ids: Iterable[int],
    at: int,
    prepared: Mapping[int, NewContent],
) -> tuple[int, int]:
    """Make chunks follow their contents: alive exactly while a live document holds it. → chunks (added, removed)"""
    ids = sorted(content_ids)
    held = _contents_with_live_documents(connection, ids)
    chunked = {
        row[0]
        for part in _parts(ids)
        for row in connection.execute(
            select(chunks.c.content_id)
            .distinct()
            .where(chunks.c.content_id.in_(part), chunks.c.removed_position.is_(None))
        )
    }
    removed = 0
    for part in _parts(sorted(chunked - held)):
        removed += connection.execute(
            update(chunks)
            .where(chunks.c.content_id.in_(part), chunks.c.removed_position.is_(None))
            .values(removed_position=at)
        ).rowcount
    rows: list[dict[str, object]] = []
    added = 0
    for content_id in sorted(held - chunked):
        new = prepared.get(content_id)
        if new is None:
            added += _revive(connection, content_id, at)
            continue
        rows += [
            {
                "collection_id": collection_id,
                "content_id": content_id,
                "ordinal": chunk.ordinal,
                "start": chunk.start,
                "end": chunk.end,
                "headings": list(chunk.headings),
                "page": chunk.page,
                "digest": chunk.digest,
                "added_position": at,
            }
            for chunk in new.chunks
        ]
    if rows:
        connection.execute(insert(chunks), rows)
    return added + len(rows), removed


def _revive(connection: Connection, content_id: int, at: int) -> int:
    """New chunks like those of the content's last lifetime; their vectors are still there."""
    last = select(func.max(chunks.c.removed_position)).where(chunks.c.content_id == content_id).scalar_subquery()
    names = ["collection_id", "content_id", "ordinal", "start", "end", "headings", "page", "digest"]
    old = select(*(chunks.c[name] for name in names), literal(at)).where(
        chunks.c.content_id == content_id, chunks.c.removed_position == last
    )
    return connection.execute(
        insert(chunks).from_select([*names, "added_position"], old.order_by(chunks.c.id))
    ).rowcount


def _ensure_sources(
    connection: Connection, collection_id: int, batch: Sequence[NewDocument], complete: Mapping[str, SourceRead]
) -> dict[str, int]:
    """The row of every source in the batch. Until its last document is in, a source counts as not taken in."""
    uris = sorted({document.source_uri for document in batch if document.source_uri is not None} | complete.keys())
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    found: dict[str, int] = {}
    for uri in uris:
        row = dialect.insert(sources).values(collection_id=collection_id, uri=uri, documents=0, seen_at=now())
        found[uri] = connection.execute(
            row.on_conflict_do_update(index_elements=["collection_id", "uri"], set_={"digest": None}).returning(
                sources.c.id
            )
        ).scalar_one()
    return found


def _strays(connection: Connection, source_id: int, uris: frozenset[str]) -> list[int]:
    """Live documents of a source that it no longer holds."""
    rows = connection.execute(
        select(documents.c.id, documents.c.uri).where(
            documents.c.source_id == source_id, documents.c.removed_position.is_(None)
        )
    )
    return [row[0] for row in rows if row[1] not in uris]


def _ensure_contents(connection: Connection, collection_id: int, batch: Sequence[NewDocument]) -> dict[bytes, int]:
    """The content id of every digest in the batch; contents the store does not hold are written."""
    wanted = {document.content_digest for document in batch}
    found: dict[bytes, int] = {}
    for part in _parts(sorted(wanted)):
        rows = connection.execute(
            select(contents.c.digest, contents.c.id).where(
                contents.c.collection_id == collection_id, contents.c.digest.in_(part)
            )
        )
        found |= {bytes(row[0]): row[1] for row in rows}
    new = {d.content_digest: d.content for d in batch if d.content_digest not in found and d.content is not None}
    if missing := wanted - found.keys() - new.keys():
        raise LookupError(f"{len(missing)} contents were prepared as known but are not in the store")
    if new:
        stamp = now()
        values = [
            {
                "collection_id": collection_id,
                "digest": content.digest,
                "title": content.title,
                "text": content.text,
                "text_digest": content.text_digest,
                "outline": content.outline,
                "created_at": stamp,
            }
            for content in new.values()
        ]
        rows = connection.execute(insert(contents).returning(contents.c.digest, contents.c.id), values)
        found |= {bytes(row[0]): row[1] for row in rows}
    return found


def _contents_with_live_documents(connection: Connection, ids: Sequence[int]) -> set[int]:
    return {
        row[0]
        for part in _parts(ids)
        for row in connection.execute(
            select(documents.c.content_id)
            .distinct()
            .where(documents.c.content_id.in_(part), documents.c.removed_position.is_(None))
        )
    }


def _state(document: NewDocument) -> dict[str, object]:
    return {
        "external_id": document.external_id,
        "name": document.name,
        "media_type": document.media_type,
        "metadata": dict(document.metadata),
        "owner": document.owner,
        "labels": document.labels,
    }


def _live_by_uri(connection: Connection, collection_id: int, uris: Sequence[str]) -> dict[str, Live]:
    found: dict[str, Live] = {}
    for part in _parts(uris):
        rows = connection.execute(
            select(documents).where(
                documents.c.collection_id == collection_id,
                documents.c.uri.in_(part),
                documents.c.removed_position.is_(None),
            )
        ).mappings()
        alive = list(rows)
        labels: dict[int, set[str]] = {}
        for row in connection.execute(
            select(document_labels.c.document_id, document_labels.c.label).where(
                document_labels.c.document_id.in_([row["id"] for row in alive])
            )
        ):
            labels.setdefault(row[0], set()).add(row[1])
        for document in alive:
            state: dict[str, object] = {
                name: document[name] for name in ("external_id", "name", "media_type", "metadata", "owner")
            }
            state["labels"] = frozenset(labels.get(document["id"], set()))
            found[document["uri"]] = Live(document["id"], document["content_id"], state)
    return found


def _insert_documents(
    connection: Connection,
    collection_id: int,
    source_ids: Mapping[str, int],
    fresh: Sequence[tuple[NewDocument, Live | None]],
    content_ids: Mapping[bytes, int],
    at: int,
) -> dict[str, int]:
    if not fresh:
        return {}
    stamp = now()
    values = [
        {
            "collection_id": collection_id,
            "content_id": content_ids[document.content_digest],
            "source_id": None if document.source_uri is None else source_ids[document.source_uri],
            "previous_id": None if old is None else old.id,
            "uri": document.uri,
            "external_id": document.external_id,
            "name": document.name,
            "media_type": document.media_type,
            "metadata": dict(document.metadata),
            "owner": document.owner,
            "added_position": at,
            "created_at": stamp,
        }
        for document, old in fresh
    ]
    rows = connection.execute(insert(documents).returning(documents.c.uri, documents.c.id), values)
    ids = {row[0]: row[1] for row in rows}
    labelled = [
        {"document_id": ids[document.uri], "label": label} for document, _ in fresh for label in sorted(document.labels)
    ]
    if labelled:
        connection.execute(insert(document_labels), labelled)
    return ids


def _insert_vectors(connection: Connection, collection: Collection, new: Mapping[bytes, bytes]) -> None:
    if not new:
        return
    values = [
        {
            "tenant_id": collection.tenant_id,
            "embedder_id": collection.embedder_id,
            "digest": digest,
            "data": data,
        }
        for digest, data in sorted(new.items())
    ]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(vectors).on_conflict_do_nothing(), values)


def _parts(values: Sequence[T]) -> Iterable[Sequence[T]]:
    return (values[i : i + MANY] for i in range(0, len(values), MANY))
