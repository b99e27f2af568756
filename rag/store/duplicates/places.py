"""Documents that ask for a place, stand or are held back, and the rows in which decisions on them are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, false, insert, not_, or_, select, update

from rag.errors import Conflict, NotFound
from rag.store.collections import Collection
from rag.store.contents import parts
from rag.store.database import now
from rag.store.duplicates.policies import Policies, Rule
from rag.store.tables import contents, decisions, document_labels, documents
from rag.types import Metadata, MetadataValue


@dataclass(frozen=True, slots=True)
class Place:
    """All that is said of a document but its text."""

    uri: str
    source_id: int | None
    external_id: str | None
    name: str
    media_type: str
    metadata: Metadata
    owner: str
    labels: frozenset[str]

    def state(self) -> dict[str, object]:
        """What makes two revisions of one place differ, besides their texts."""
        return {
            "external_id": self.external_id,
            "name": self.name,
            "media_type": self.media_type,
            "metadata": dict(self.metadata),
            "owner": self.owner,
            "labels": self.labels,
        }


@dataclass(frozen=True, slots=True)
class Arriving:
    """A document that asks for a place: new, changed, restored, or released."""

    place: Place
    content_id: int  # of its own text
    digest: bytes  # likewise
    since: datetime  # when this revision came to us first
    previous_id: int | None = None
    signature: bytes | None = None  # MinHash of its text, where it was computed already


@dataclass(slots=True)
class Standing:
    """A live document that shows its own text, or one placed in this transaction that will."""

    place: Place
    content_id: int
    digest: bytes
    since: datetime
    id: int | None  # None: not written yet


@dataclass(frozen=True, slots=True)
class Seat:
    """Where an arriving document was placed."""

    arriving: Arriving
    shows: int  # the content that it is a place of
    reason: str = ""  # "" unless it duplicates another
    duplicate: bool = False  # its text stands elsewhere already


@dataclass(frozen=True, slots=True)
class Decision:
    """One duplicate and what was done about it."""

    rule: Rule
    similarity: float
    which: Place
    which_digest: bytes
    against: Standing
    held_back: dict[str, MetadataValue] | None = None

    @property
    def reason(self) -> str:
        """In words, for reports."""
        what = "the same text as" if self.rule.level == "exact" else f"{self.rule.level}-duplicate of"
        share = "" if self.rule.level == "exact" else f" (similarity {self.similarity:.2f})"
        done = {"alias": "one more place of it", "skip": "left out", "newest": "the newer one stands"}
        return f"{what} {self.against.place.uri}{share}: {done.get(self.rule.policy, 'both are kept')}"


def place_of(row: Row[Any], labels: Mapping[int, set[str]]) -> Place:
    """The place that a row of `documents` tells of."""
    get = row._mapping
    return Place(
        get["uri"],
        get["source_id"],
        get["external_id"],
        get["name"],
        get["media_type"],
        get["metadata"],
        get["owner"],
        frozenset(labels.get(get["id"], ())),
    )


def labels_of(connection: Connection, ids: Sequence[int]) -> dict[int, set[str]]:
    """The labels of each document that has any."""
    found: dict[int, set[str]] = {}
    for part in parts(ids):
        for row in connection.execute(
            select(document_labels.c.document_id, document_labels.c.label).where(
                document_labels.c.document_id.in_(part)
            )
        ):
            found.setdefault(row[0], set()).add(row[1])
    return found


def kept_back(place: Place, since: datetime) -> dict[str, MetadataValue]:
    return {
        "uri": place.uri,
        "source_id": place.source_id,
        "external_id": place.external_id,
        "name": place.name,
        "media_type": place.media_type,
        "metadata": dict(place.metadata),
        "owner": place.owner,
        "labels": sorted(place.labels),  # type: ignore[dict-item]  # strings are JSON values
        "since": since.isoformat(),
    }


def kept_place(kept: Mapping[str, object]) -> Place:
    """The place of a document that was held back."""
    source_id, metadata, labels = kept["source_id"], kept["metadata"], kept["labels"]
    assert isinstance(metadata, dict)
    assert isinstance(labels, list)
    return Place(
        str(kept["uri"]),
        None if source_id is None else int(str(source_id)),
        None if kept["external_id"] is None else str(kept["external_id"]),
        str(kept["name"]),
        str(kept["media_type"]),
        metadata,
        str(kept["owner"]),
        frozenset(str(label) for label in labels),
    )


def arriving_of(kept: Mapping[str, object], content_id: int, digest: bytes) -> Arriving:
    return Arriving(kept_place(kept), content_id, digest, datetime.fromisoformat(str(kept["since"])))


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A document that a policy keeps out."""

    decision_id: int
    place: Place
    digest: bytes
    content_id: int
    since: datetime


def held_back(connection: Connection, collection_id: int, uris: Sequence[str]) -> dict[str, HeldBack]:
    """Which of these addresses are those of documents that are held back."""
    found: dict[str, HeldBack] = {}
    for part in parts(uris):
        for row in _held_rows(connection, collection_id, decisions.c.uri.in_(part)):
            found[row.place.uri] = row
    return found


def held_back_of_sources(connection: Connection, collection_id: int, source_ids: Sequence[int]) -> list[HeldBack]:
    """The documents of these sources that are held back."""
    source_id = decisions.c.held_back["source_id"].as_integer()
    return [held for part in parts(source_ids) for held in _held_rows(connection, collection_id, source_id.in_(part))]


def held_otherwise(connection: Connection, collection: Collection) -> list[HeldBack]:
    """The documents that are held back by rules which are not the collection's any longer."""
    rules = Policies.of(collection.settings).document
    same = [
        and_(
            decisions.c.level == rule.level,
            decisions.c.policy == rule.policy,
            decisions.c.similarity >= rule.threshold,
        )
        for rule in rules
    ]
    return _held_rows(connection, collection.id, not_(or_(false(), *same)))


def _held_rows(connection: Connection, collection_id: int, condition: ColumnElement[bool]) -> list[HeldBack]:
    rows = connection.execute(
        select(decisions.c.id, decisions.c.digest, decisions.c.held_back, contents.c.id.label("content_id"))
        .join(
            contents,
            and_(contents.c.collection_id == decisions.c.collection_id, contents.c.digest == decisions.c.digest),
        )
        .where(
            decisions.c.collection_id == collection_id,
            decisions.c.ended_at.is_(None),
            decisions.c.held_back.is_not(None),
            condition,
        )
    ).all()
    return [
        HeldBack(
            row.id,
            kept_place(row.held_back),
            bytes(row.digest),
            row.content_id,
            datetime.fromisoformat(row.held_back["since"]),
        )
        for row in rows
    ]


def reversible(connection: Connection, collection_id: int, decision_id: int) -> Arriving | None:
    """The document that a decision was about, to be placed anew; None where nothing was done to it.

    Raises NotFound, and Conflict when there is nothing that can be reversed.
    """
    row = connection.execute(
        select(decisions, contents.c.id.label("content_id"))
        .outerjoin(
            contents,
            and_(contents.c.collection_id == decisions.c.collection_id, contents.c.digest == decisions.c.digest),
        )
        .where(decisions.c.collection_id == collection_id, decisions.c.id == decision_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"no decision {decision_id}; `rag dedup report` shows them")
    if row.ended_at is not None:
        raise Conflict(f"decision {decision_id} holds no longer: it was {row.ending} on {row.ended_at:%Y-%m-%d}")
    both = {row.against_id} if row.held_back is not None else {row.document_id, row.against_id}
    alive = select(documents.c.id).where(documents.c.id.in_(both), documents.c.removed_position.is_(None))
    if len(connection.execute(alive).all()) < len(both):
        raise Conflict(f"decision {decision_id}: its document was removed or replaced")
    if row.policy == "keep" or row.scope == "chunk":
        return None
    if row.held_back is not None:
        return arriving_of(row.held_back, row.content_id, bytes(row.digest))
    if row.level == "exact":
        raise Conflict(
            f"decision {decision_id}: equal texts are stored once, each document keeps its place; remove one"
        )
    document = connection.execute(select(documents).where(documents.c.id == row.document_id)).one()
    place = place_of(document, labels_of(connection, [document.id]))
    return Arriving(place, row.content_id, bytes(row.digest), document.created_at, previous_id=document.id)


def write_decisions(
    connection: Connection,
    collection_id: int,
    made: Sequence[Decision],
    ids: Mapping[str, int],
    *,
    at: int,
    actor: str,
) -> None:
    """Keep the decisions; `ids` are of the live documents, by uri. A pair that is recorded already is not again."""
    if not made:
        return
    known = _recorded(connection, collection_id, {each.which_digest for each in made})
    stamp = now()
    rows = []
    for each in made:
        against = each.against.id if each.against.id is not None else ids.get(each.against.place.uri)
        key = (each.rule.level, each.which.uri, each.against.place.uri, each.which_digest, each.against.digest)
        if each.held_back is None and key in known:
            continue
        rows.append(
            {
                "collection_id": collection_id,
                "position": at,
                "scope": "document",
                "level": each.rule.level,
                "policy": each.rule.policy,
                "similarity": each.similarity,
                "uri": each.which.uri,
                "digest": each.which_digest,
                "document_id": None if each.held_back is not None else ids.get(each.which.uri),
                "against_uri": each.against.place.uri,
                "against_digest": each.against.digest,
                "against_id": against,
                "held_back": each.held_back,
                "actor": actor,
                "created_at": stamp,
            }
        )
    if rows:
        connection.execute(insert(decisions), rows)


def _recorded(
    connection: Connection, collection_id: int, digests: set[bytes]
) -> set[tuple[str, str, str, bytes, bytes]]:
    """The pairs that open decisions name already, whose two documents both live."""
    one, other = documents.alias(), documents.alias()
    found = set()
    for part in parts(sorted(digests)):
        rows = connection.execute(
            select(decisions)
            .join(one, one.c.id == decisions.c.document_id)
            .join(other, other.c.id == decisions.c.against_id)
            .where(
                decisions.c.collection_id == collection_id,
                decisions.c.scope == "document",
                decisions.c.digest.in_(part),
                decisions.c.ended_at.is_(None),
                one.c.removed_position.is_(None),
                other.c.removed_position.is_(None),
            )
        )
        found |= {(row.level, row.uri, row.against_uri, bytes(row.digest), bytes(row.against_digest)) for row in rows}
    return found


def end_decisions(connection: Connection, ids: Sequence[int], ending: str, *, by: str) -> None:
    """Say that decisions no longer hold, and why: undone, released, superseded."""
    for part in parts(ids):
        connection.execute(
            update(decisions).where(decisions.c.id.in_(part)).values(ended_at=now(), ending=ending, ended_by=by)
        )
