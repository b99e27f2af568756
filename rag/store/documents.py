"""Reading documents, and the passages that a ranking points to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, exists, func, or_, select, true

from rag.errors import NotFound
from rag.store.among import DIALECTS, among
from rag.store.filters.tree import Own, keys, matches, microseconds, origin_of
from rag.store.permitted import Predicate, require_known, still_seen
from rag.store.prepared import Prepared
from rag.store.tables import chunks, contents, document_labels, documents, sources
from rag.types import Hit, Metadata, Passage, Place

MANY = 500


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it is listed: the place, not the text."""

    id: int
    collection_id: int
    content_id: int
    previous_id: int | None
    uri: str
    external_id: str | None
    title: str
    media_type: str
    metadata: Metadata
    owner: str
    labels: tuple[str, ...]
    characters: int
    created_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredChunk:
    id: int
    ordinal: int
    start: int
    end: int
    headings: tuple[str, ...]
    page: int | None


def shown_title(title: str, name: str) -> str:
    """What a document is called: its text's own title, else the name of the place."""
    return title or name


def selecting() -> Select[Any]:
    """What `stored` reads of documents; conditions are the caller's."""
    return select(
        documents.c.id,
        documents.c.collection_id,
        documents.c.content_id,
        documents.c.previous_id,
        documents.c.uri,
        documents.c.external_id,
        contents.c.title,
        documents.c.name,
        documents.c.media_type,
        documents.c.metadata,
        documents.c.owner,
        func.length(contents.c.text).label("characters"),
        documents.c.created_at,
        documents.c.removed_at,
    ).join(contents, contents.c.id == documents.c.content_id)


def stored(connection: Connection, rows: Sequence[Row[Any]]) -> list[StoredDocument]:
    """The documents in rows of `selecting`, with their labels."""
    labels: dict[int, list[str]] = {}
    ids = [row.id for row in rows]
    for i in range(0, len(ids), MANY):
        for document_id, label in connection.execute(
            select(document_labels.c.document_id, document_labels.c.label)
            .where(document_labels.c.document_id.in_(ids[i : i + MANY]))
            .order_by(document_labels.c.label)
        ):
            labels.setdefault(document_id, []).append(label)
    return [
        StoredDocument(
            row.id,
            row.collection_id,
            row.content_id,
            row.previous_id,
            row.uri,
            row.external_id,
            shown_title(row.title, row.name),
            row.media_type,
            row.metadata,
            row.owner,
            tuple(labels.get(row.id, ())),
            row.characters,
            row.created_at,
            row.removed_at,
        )
        for row in rows
    ]


def listing(
    connection: Connection, predicate: Predicate, at: int, *, after: int = 0, limit: int
) -> list[StoredDocument]:
    """The documents that may be seen, by id, beginning behind the id `after`.

    Raises WrongFilter for a field that none of them has.
    """
    require_known(connection, predicate, at)
    query = (
        selecting()
        .where(predicate.documents(connection.dialect.name, at), documents.c.id > after)
        .order_by(documents.c.id)
        .limit(limit)
    )
    return stored(connection, connection.execute(query).all())


def removed(connection: Connection, predicate: Predicate, *, after: int = 0, limit: int) -> list[StoredDocument]:
    """The documents that were removed and can be restored, by id behind `after`: the last of each address, neither
    followed by a newer revision nor erased. The predicate's labels and filter count, not its moment."""
    mine = documents.c.collection_id == predicate.collection_id
    last = select(func.max(documents.c.id)).where(mine).group_by(documents.c.uri)
    followed = select(documents.c.previous_id).where(mine, documents.c.previous_id.is_not(None))
    query = (
        selecting()
        .where(
            documents.c.removed_position.is_not(None),
            predicate.documents(connection.dialect.name, documents.c.removed_position - 1),
            contents.c.erased_at.is_(None),
            documents.c.id > after,
            documents.c.id.in_(last),
            documents.c.id.not_in(followed),
        )
        .order_by(documents.c.id)
        .limit(limit)
    )
    return stored(connection, connection.execute(query).all())


def get_removed(connection: Connection, predicate: Predicate, document_id: int) -> StoredDocument:
    """A document that was removed, if it could be seen when it stood. Raises NotFound."""
    query = selecting().where(
        documents.c.id == document_id,
        documents.c.removed_position.is_not(None),
        predicate.documents(connection.dialect.name, documents.c.removed_position - 1),
    )
    found = stored(connection, connection.execute(query).all())
    if not found:
        raise NotFound(f"no document {document_id} was removed")
    return found[0]


def get(connection: Connection, predicate: Predicate, at: int, document_id: int) -> StoredDocument:
    """One live document that may be seen. Raises NotFound for one that is gone, or not to be seen: no difference."""
    query = selecting().where(predicate.documents(connection.dialect.name, at), documents.c.id == document_id)
    found = stored(connection, connection.execute(query).all())
    if not found:
        raise NotFound(f"no document {document_id}")
    return found[0]


def collection_of(connection: Connection, document_id: int) -> int:
    """The collection of a document, alive or not."""
    found = connection.scalar(select(documents.c.collection_id).where(documents.c.id == document_id))
    if found is None:
        raise NotFound(f"no document {document_id}")
    return int(found)


def text_of(connection: Connection, content_id: int) -> str:
    found = connection.scalar(select(contents.c.text).where(contents.c.id == content_id))
    if found is None:
        raise NotFound(f"no content {content_id}")
    return str(found)


def chunks_of(connection: Connection, content_id: int) -> list[StoredChunk]:
    """The live chunks of a content, in order."""
    rows = connection.execute(
        select(chunks.c.id, chunks.c.ordinal, chunks.c.start, chunks.c.end, chunks.c.headings, chunks.c.page)
        .where(chunks.c.content_id == content_id, chunks.c.removed_position.is_(None))
        .order_by(chunks.c.ordinal)
    )
    return [StoredChunk(r[0], r[1], r[2], r[3], tuple(r[4]), r[5]) for r in rows]


def cut_as(connection: Connection, collection_id: int, digest: bytes, cutting: bytes) -> bool:
    """Whether the collection holds this content, alive or not, with chunks that were cut as `cutting` names."""
    found = _CUTTING.rows(connection, {"collection_id": collection_id, "digest": digest})
    return bool(found) and bytes(found[0][0]) == cutting


_CUTTING = Prepared(  # asked for every document that comes in
    dict.fromkeys(
        DIALECTS,
        select(contents.c.cutting).where(
            contents.c.collection_id == bindparam("collection_id"), contents.c.digest == bindparam("digest")
        ),
    )
)


def owners_of(connection: Connection, collection_id: int, source_uris: Sequence[str]) -> set[str]:
    """Whose live documents stand in these sources."""
    found: set[str] = set()
    for i in range(0, len(source_uris), MANY):
        rows = connection.execute(
            select(documents.c.owner)
            .distinct()
            .join(sources, sources.c.id == documents.c.source_id)
            .where(
                sources.c.collection_id == collection_id,
                sources.c.uri.in_(source_uris[i : i + MANY]),
                documents.c.removed_position.is_(None),
            )
        )
        found.update(row[0] for row in rows)
    return found


def source_documents(connection: Connection, collection_id: int, uri: str, digest: bytes) -> int | None:
    """How many documents a source holds, if it was taken in whole with this digest and all are alive; else None."""
    return connection.scalar(
        select(sources.c.documents).where(
            sources.c.collection_id == collection_id, sources.c.uri == uri, sources.c.digest == digest
        )
    )


def passages(
    connection: Connection,
    hits: Sequence[Hit],
    predicate: Predicate,
    at: int,
    others: Mapping[int, Sequence[int]] = MappingProxyType({}),
) -> list[Passage]:
    """The texts behind a ranking, in its order, each with every place that may be seen; `others` are chunks that say
    the same as a hit's, whose places it has as well.

    Read in the transaction that ranked, so that a text whose last place went away in between cannot appear.
    """
    wanted = [hit.chunk_id for hit in hits]
    rows = _chunk_rows(connection, [*wanted, *(other for key in wanted for other in others.get(key, ()))])
    places = _places(connection, {row.content_id for row in rows.values()}, predicate, at)
    found = []
    for hit in hits:
        row = rows.get(hit.chunk_id)
        if row is None or not places.get(row.content_id):
            continue
        same = {rows[key].content_id for key in (hit.chunk_id, *others.get(hit.chunk_id, ())) if key in rows}
        there = {place.document_id: place for key in same for place in places.get(key, ())}
        found.append(
            Passage(
                hit=hit,
                text=row.text,
                title=places[row.content_id][0].title,
                headings=tuple(row.headings),
                places=tuple(there[key] for key in sorted(there)),
                page=row.page,
                start=row.start,
                end=row.end,
                content_id=row.content_id,
            )
        )
    return found


class ChunkRow(NamedTuple):
    id: int
    content_id: int
    headings: Sequence[str]
    page: int | None
    start: int
    end: int
    text: str


_CHUNKS = Prepared(
    {
        dialect: select(
            chunks.c.id,
            chunks.c.content_id,
            chunks.c.headings,
            chunks.c.page,
            chunks.c.start,
            chunks.c.end,
            func.substr(contents.c.text, chunks.c.start + 1, chunks.c.end - chunks.c.start),
        )
        .join(contents, contents.c.id == chunks.c.content_id)
        .where(among(chunks.c.id, "ids", dialect))
        for dialect in DIALECTS
    }
)


def _chunk_rows(connection: Connection, ids: Sequence[int]) -> Mapping[int, ChunkRow]:
    return {row[0]: ChunkRow._make(row) for row in _CHUNKS.rows(connection, {"ids": ids})}


def _placed(dialect: str, *, labelled: bool, filtered: bool) -> Select[Any]:
    """The documents that stand at a position and hold one of some contents, by id; under one of some labels if they
    have any; with what a filter may ask.

    The sum keeps SQLite from the index over a whole collection, which it takes for as good as that over contents.
    """
    asked = (documents.c.media_type, documents.c.owner, documents.c.created_at, documents.c.source_id)
    mine = document_labels.c.document_id == documents.c.id
    shared = document_labels.c.label.in_(bindparam("labels", expanding=True))
    seen = or_(~exists().where(mine).correlate(documents), exists().where(mine, shared).correlate(documents))
    return (
        select(
            documents.c.content_id,
            documents.c.id,
            documents.c.uri,
            documents.c.external_id,
            contents.c.title,
            documents.c.name,
            documents.c.metadata,
            *(asked if filtered else ()),
        )
        .join(contents, contents.c.id == documents.c.content_id)
        .where(
            among(documents.c.content_id, "ids", dialect),
            documents.c.collection_id + 0 == bindparam("collection_id"),
            documents.c.added_position <= bindparam("at"),
            or_(documents.c.removed_position.is_(None), documents.c.removed_position > bindparam("at")),
            seen if labelled else true(),
        )
        .order_by(documents.c.id)
    )


class PlaceRow(NamedTuple):
    content_id: int
    id: int
    uri: str
    external_id: str | None
    title: str  # of the content
    name: str  # of the place
    metadata: Metadata


_PLACES = {
    (dialect, labelled, filtered): _placed(dialect, labelled=labelled, filtered=filtered)
    for dialect in DIALECTS
    for labelled in (False, True)
    for filtered in (False, True)
}
_EVERY_PLACE = Prepared({dialect: _PLACES[dialect, False, False] for dialect in DIALECTS})
_SOURCES = select(sources.c.id, sources.c.uri).where(sources.c.id.in_(bindparam("ids", expanding=True)))
_LANGUAGES = select(contents.c.id, contents.c.language).where(contents.c.id.in_(bindparam("ids", expanding=True)))


def _places(connection: Connection, content_ids: set[int], predicate: Predicate, at: int) -> dict[int, list[Place]]:
    found: dict[int, list[Place]] = {}
    given: dict[str, object] = {"ids": sorted(content_ids), "collection_id": predicate.collection_id, "at": at}
    rows: Iterable[PlaceRow | Row[Any]]
    if predicate.unrestricted:
        rows = map(PlaceRow._make, _EVERY_PLACE.rows(connection, given))
    else:
        if predicate.labels is not None:
            given["labels"] = sorted(predicate.labels)
        statement = _PLACES[connection.dialect.name, predicate.labels is not None, predicate.filter is not None]
        there: Sequence[Row[Any]] = connection.execute(statement, given).all()
        if predicate.then and predicate.labels is not None:
            seen = still_seen(connection, predicate, [row.id for row in there])
            there = [row for row in there if row.id in seen]
        rows = _passing(connection, there, predicate)
    for row in rows:
        place = Place(row.id, row.uri, row.external_id, shown_title(row.title, row.name), row.metadata)
        found.setdefault(row.content_id, []).append(place)
    return found


def _passing(connection: Connection, rows: Sequence[Row[Any]], predicate: Predicate) -> Sequence[Row[Any]]:
    """Those of some documents that pass the filter: looked at one by one, since a new filter's SQL takes longer to be
    made than a page of documents to be read."""
    if predicate.filter is None or not rows:
        return rows
    tree = predicate.filter.tree()
    asked = keys(tree)
    source: dict[int, str] = {}
    if asked & {"source", "origin"}:
        source = _texts(connection, _SOURCES, {row.source_id for row in rows if row.source_id is not None})
    language: dict[int, str] = {}
    if "language" in asked:
        language = _texts(connection, _LANGUAGES, {row.content_id for row in rows})
    passing = []
    for row in rows:
        origin = source.get(row.source_id)
        texts = {
            "uri": row.uri,
            "external_id": row.external_id,
            "title": shown_title(row.title, row.name),
            "media_type": row.media_type,
            "owner": row.owner,
            "language": language.get(row.content_id) or None,
            "source": origin,
            "origin": origin_of(row.uri if origin is None else origin),
        }
        if matches(tree, Own(texts, microseconds(row.created_at), row.metadata)):
            passing.append(row)
    return passing


def _texts(connection: Connection, statement: Select[int, str], ids: set[int]) -> dict[int, str]:
    """What a statement for ids and texts says of these ids."""
    found: dict[int, str] = {}
    wanted = sorted(ids)
    for i in range(0, len(wanted), MANY):
        found |= {row[0]: row[1] for row in connection.execute(statement, {"ids": wanted[i : i + MANY]})}
    return found
