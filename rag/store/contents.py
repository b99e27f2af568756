"""Texts and their chunks: written once per collection, searchable exactly while a live document shows them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, exists, func, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ingest.types import Mark
from rag.store.collections import Collection
from rag.store.database import now
from rag.store.tables import chunks, contents, decisions, documents, vectors
from rag.types import MetadataValue

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
    cutting: bytes  # digest of the settings that the chunks were cut by
    language: str = ""


def ensure_contents(
    connection: Connection, collection_id: int, new: Mapping[bytes, NewContent | None]
) -> dict[bytes, int]:
    """The content id of every digest; contents that the store does not hold are written.

    Raises LookupError when a content was left out (None) that the store does not hold.
    """
    found: dict[bytes, int] = {}
    for part in parts(sorted(new)):
        rows = connection.execute(
            select(contents.c.digest, contents.c.id).where(
                contents.c.collection_id == collection_id, contents.c.digest.in_(part)
            )
        )
        found |= {bytes(row[0]): row[1] for row in rows}
    missing = {digest: content for digest, content in new.items() if digest not in found}
    if lost := [digest for digest, content in missing.items() if content is None]:
        raise LookupError(f"{len(lost)} contents were prepared as known but are not in the store")
    if not missing:
        return found
    stamp = now()
    values = [
        {
            "collection_id": collection_id,
            "digest": content.digest,
            "title": content.title,
            "text": content.text,
            "text_digest": content.text_digest,
            "outline": content.outline,
            "language": content.language,
            "cutting": content.cutting,
            "created_at": stamp,
        }
        for content in missing.values()
        if content is not None
    ]
    rows = connection.execute(insert(contents).returning(contents.c.digest, contents.c.id), values)
    return found | {bytes(row[0]): row[1] for row in rows}


@dataclass(frozen=True, slots=True)
class Stored:
    """A text as it is kept, to be cut anew."""

    title: str
    text: str
    marks: tuple[Mark, ...]
    new: NewContent  # itself without chunks


def cut_otherwise(
    connection: Connection, collection_id: int, cutting: bytes, *, after: int, limit: int
) -> list[tuple[int, Stored]]:
    """The contents, by id behind `after`, whose chunks were cut by other settings than `cutting` names: those shown,
    and those that may be at any moment, since a document of theirs is held back or a place of another's text."""
    live = documents.c.removed_position.is_(None)
    shown = exists().where(documents.c.content_id == contents.c.id, live)
    own = exists().where(documents.c.own_content_id == contents.c.id, live)
    waiting = exists().where(
        decisions.c.collection_id == collection_id,
        decisions.c.digest == contents.c.digest,
        decisions.c.held_back.is_not(None),
        decisions.c.ended_at.is_(None),
    )
    rows = connection.execute(
        select(contents)
        .where(
            contents.c.collection_id == collection_id,
            contents.c.id > after,
            contents.c.erased_at.is_(None),
            or_(contents.c.cutting.is_(None), contents.c.cutting != cutting),
            or_(shown, own, waiting),
        )
        .order_by(contents.c.id)
        .limit(limit)
    ).all()
    found = []
    for row in rows:
        new = NewContent(
            bytes(row.digest), row.title, row.text, bytes(row.text_digest), row.outline, (), b"", row.language
        )
        found.append((row.id, Stored(row.title, row.text, tuple(Mark(*mark) for mark in row.outline), new)))
    return found


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of chunks."""

    added: int
    removed: int
    revived: tuple[int, ...]  # contents that are shown again, with the chunks that they had


def settle(
    connection: Connection,
    collection_id: int,
    content_ids: Iterable[int],
    at: int,
    prepared: Mapping[int, NewContent],
) -> Settled:
    """Make chunks follow their contents: alive exactly while a live document shows it.

    A content that is not shown keeps its chunks as dead rows, so that it can be shown later without its source. One
    whose chunks were cut by other settings than the prepared ones gets the new chunks.
    """
    ids = sorted(content_ids)
    shown, chunked = _shown(connection, ids), _chunked(connection, ids)
    unseen = prepared.keys() & set(ids) - shown - chunked
    stale = otherwise_cut(connection, {key: prepared[key] for key in prepared.keys() & (shown | unseen)})
    for key in sorted(stale):
        connection.execute(update(contents).where(contents.c.id == key).values(cutting=prepared[key].cutting))
    recut = {key for key in stale & chunked if not _cut_alike(connection, key, prepared[key])}
    removed = _end(connection, sorted((chunked - shown) | recut), at)
    new = [key for key in sorted((shown - chunked) | recut) if key in prepared]
    added = _insert(connection, collection_id, new, prepared, at)
    uncut = unseen & stale | unseen - _cut_once(connection, sorted(unseen))
    _insert(connection, collection_id, sorted(uncut), prepared, at, until=at)
    revived = sorted(shown - chunked - prepared.keys())
    for content_id in revived:
        added += _revive(connection, content_id, at)
    return Settled(added, removed, tuple(revived))


def _shown(connection: Connection, ids: Sequence[int]) -> set[int]:
    return {
        row[0]
        for part in parts(ids)
        for row in connection.execute(
            select(documents.c.content_id)
            .distinct()
            .where(documents.c.content_id.in_(part), documents.c.removed_position.is_(None))
        )
    }


def _chunked(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Which of these contents have live chunks."""
    return {
        row[0]
        for part in parts(ids)
        for row in connection.execute(
            select(chunks.c.content_id)
            .distinct()
            .where(chunks.c.content_id.in_(part), chunks.c.removed_position.is_(None))
        )
    }


def _cut_once(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Which of these contents have chunks, alive or not."""
    return {
        row[0]
        for part in parts(ids)
        for row in connection.execute(select(chunks.c.content_id).distinct().where(chunks.c.content_id.in_(part)))
    }


def otherwise_cut(connection: Connection, prepared: Mapping[int, NewContent]) -> set[int]:
    """Which of these contents were cut by other settings than the chunks prepared for them."""
    found: set[int] = set()
    for part in parts(sorted(prepared)):
        for key, cutting in connection.execute(
            select(contents.c.id, contents.c.cutting).where(contents.c.id.in_(part))
        ).all():
            if cutting is None or bytes(cutting) != prepared[key].cutting:
                found.add(key)
    return found


def _cut_alike(connection: Connection, content_id: int, new: NewContent) -> bool:
    """Whether the live chunks of a content are those that were prepared for it."""
    rows = connection.execute(
        select(chunks.c.start, chunks.c.end, chunks.c.digest)
        .where(chunks.c.content_id == content_id, chunks.c.removed_position.is_(None))
        .order_by(chunks.c.ordinal)
    )
    return [(row[0], row[1], bytes(row[2])) for row in rows] == [(c.start, c.end, c.digest) for c in new.chunks]


def _end(connection: Connection, ids: Sequence[int], at: int) -> int:
    """End the live chunks of these contents; how many there were."""
    ended = 0
    for part in parts(ids):
        ended += connection.execute(
            update(chunks)
            .where(chunks.c.content_id.in_(part), chunks.c.removed_position.is_(None))
            .values(removed_position=at)
        ).rowcount
    return ended


def _insert(
    connection: Connection,
    collection_id: int,
    ids: Iterable[int],
    prepared: Mapping[int, NewContent],
    at: int,
    until: int | None = None,
) -> int:
    rows = [
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
            "removed_position": until,
        }
        for content_id in ids
        for chunk in prepared[content_id].chunks
    ]
    if rows:
        connection.execute(insert(chunks), rows)
    return len(rows)


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


def insert_vectors(connection: Connection, collection: Collection, new: Mapping[bytes, bytes]) -> None:
    """Keep these vectors; those that are known already stay as they are."""
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


def parts(values: Sequence[T]) -> Iterable[Sequence[T]]:
    """The values in pieces that fit into one IN (…)."""
    return (values[i : i + MANY] for i in range(0, len(values), MANY))
