"""What became of one document: found by id, address or external id, whether it stands, was removed, or is held back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, or_, select

from rag.store.documents import shown_title
from rag.store.duplicates.places import HeldBack, held_back, labels_of
from rag.store.duplicates.policies import Level, Policy
from rag.store.filters.tree import Filter
from rag.store.permitted import Predicate, alive
from rag.store.tables import chunks, contents, decisions, documents


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """One document, whatever became of it."""

    id: int | None  # None: a policy on duplicates holds it back
    uri: str
    external_id: str | None
    title: str
    labels: frozenset[str]
    content_id: int  # whose text is searched for it
    own_content_id: int | None  # its own text, where it stands for a nearly equal one
    removed_position: int | None
    removed_at: datetime | None
    erased: bool


@dataclass(frozen=True, slots=True)
class StandIn:
    """The document that stands for another, and why."""

    document_id: int
    uri: str
    level: Level
    policy: Policy
    similarity: float


def look(connection: Connection, collection_id: int, named: str) -> list[Whereabouts]:
    """The documents that a name can mean, likeliest first: by id, by uri, by external id; what stands before what is
    held back, and that before what was removed, the newest first."""
    found: dict[int, Whereabouts] = {}
    wanted = [documents.c.uri == named, documents.c.external_id == named]
    if named.isascii() and named.isdigit() and len(named) < 19:
        wanted.insert(0, documents.c.id == int(named))
    kept = _held(connection, collection_id, named)
    for condition in wanted:
        rows = _rows(connection, collection_id, condition)
        for one in (*(row for row in rows if row.removed_position is None), *rows):
            found.setdefault(one.id or 0, one)
    standing = [one for one in found.values() if one.removed_position is None]
    return [*standing, *kept, *(one for one in found.values() if one.removed_position is not None)]


def _rows(connection: Connection, collection_id: int, condition: ColumnElement[bool]) -> list[Whereabouts]:
    rows = connection.execute(
        select(documents, contents.c.title, contents.c.erased_at)
        .join(contents, contents.c.id == documents.c.content_id)
        .where(documents.c.collection_id == collection_id, condition)
        .order_by(documents.c.id.desc())
    ).all()
    labels = labels_of(connection, [row.id for row in rows])
    return [
        Whereabouts(
            row.id,
            row.uri,
            row.external_id,
            shown_title(row.title, row.name),
            frozenset(labels.get(row.id, ())),
            row.content_id,
            row.own_content_id,
            row.removed_position,
            row.removed_at,
            row.erased_at is not None,
        )
        for row in rows
    ]


def _held(connection: Connection, collection_id: int, named: str) -> list[Whereabouts]:
    external = decisions.c.held_back["external_id"].as_string()
    uris = connection.scalars(
        select(decisions.c.uri).where(
            decisions.c.collection_id == collection_id,
            decisions.c.ended_at.is_(None),
            decisions.c.held_back.is_not(None),
            or_(decisions.c.uri == named, external == named),
        )
    ).all()
    return [_value(each) for each in held_back(connection, collection_id, sorted(set(uris))).values()]


def _value(held: HeldBack) -> Whereabouts:
    place = held.place
    return Whereabouts(
        None, place.uri, place.external_id, place.name, place.labels, held.content_id, None, None, None, False
    )


def stands(connection: Connection, predicate: Predicate, at: int, document_id: int) -> bool:
    """Whether a document stands at a position and passes."""
    found = connection.scalar(
        select(documents.c.id)
        .join(contents, contents.c.id == documents.c.content_id)
        .where(predicate.documents(connection.dialect.name, at), documents.c.id == document_id)
    )
    return found is not None


def newer(connection: Connection, collection_id: int, uri: str) -> int | None:
    """The document that stands at an address now."""
    found = connection.scalar(
        select(documents.c.id).where(
            documents.c.collection_id == collection_id, documents.c.uri == uri, documents.c.removed_position.is_(None)
        )
    )
    return None if found is None else int(found)


def stand_in(connection: Connection, predicate: Predicate, at: int, one: Whereabouts) -> StandIn | None:
    """The document that stands for one that was merged into it, if it may be seen."""
    mine = decisions.c.document_id == one.id if one.id is not None else decisions.c.held_back.is_not(None)
    row = connection.execute(
        select(decisions)
        .where(
            decisions.c.collection_id == predicate.collection_id,
            decisions.c.scope == "document",
            decisions.c.ended_at.is_(None),
            decisions.c.policy != "keep",
            decisions.c.uri == one.uri,
            mine,
        )
        .order_by(decisions.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None or row.against_id is None or not stands(connection, predicate, at, row.against_id):
        return None
    return StandIn(row.against_id, row.against_uri, row.level, row.policy, row.similarity)


def chunks_at(connection: Connection, content_id: int, at: int) -> list[int]:
    """The chunks of a content that stand at a position, in order."""
    return list(
        connection.scalars(
            select(chunks.c.id).where(chunks.c.content_id == content_id, alive(chunks, at)).order_by(chunks.c.ordinal)
        )
    )


def span(connection: Connection, chunk_id: int) -> tuple[int, int]:
    """Where a chunk stands in its text."""
    row = connection.execute(select(chunks.c.start, chunks.c.end).where(chunks.c.id == chunk_id)).one()
    return int(row[0]), int(row[1])


def failing(
    connection: Connection, predicate: Predicate, at: int, document_id: int, conditions: Sequence[Filter]
) -> list[Filter]:
    """The conditions that a document does not pass."""
    return [
        each
        for each in conditions
        if not stands(connection, Predicate(predicate.collection_id, predicate.labels, each), at, document_id)
    ]
