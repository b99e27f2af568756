"""Which chunks one asker may see at a position, and what of that changed since an earlier one."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, Text, and_, cast, exists, func, or_, select, true

from rag.errors import WrongFilter
from rag.store.filters.conditions import condition, path
from rag.store.filters.tree import FIELDS, Filter, must_be_known
from rag.store.tables import chunks, contents, document_labels, documents
from rag.types import Ids


@dataclass(frozen=True, slots=True)
class Predicate:
    """What a document must be for its text to be seen: in this collection, unlabelled or under one of these labels,
    and passing the filter. Hashable, so that answers to it can be kept."""

    collection_id: int
    labels: frozenset[str] | None  # None: every label
    filter: Filter | None = None
    then: bool = False  # an earlier moment is meant: under labels only what may still be seen at its address now

    @property
    def unrestricted(self) -> bool:
        """Whether every live document of the collection passes."""
        return self.labels is None and self.filter is None

    def documents(self, dialect: str, at: int | ColumnElement[int]) -> ColumnElement[bool]:
        """The documents (joined with their contents) that pass at a position."""
        terms = [documents.c.collection_id == self.collection_id, alive(documents, at)]
        if self.labels is not None:
            labelled = exists().where(document_labels.c.document_id == documents.c.id).correlate(documents)
            shared = (
                exists()
                .where(
                    document_labels.c.document_id == documents.c.id, document_labels.c.label.in_(sorted(self.labels))
                )
                .correlate(documents)
            )
            terms.append(or_(~labelled, shared))
            if self.then:
                terms.append(self._still_seen())
        if self.filter is not None:
            terms.append(condition(self.filter, dialect))
        return and_(true(), *terms)

    def _still_seen(self) -> ColumnElement[bool]:
        """Whether a document stands at the address now, unlabelled or under one of the labels."""
        present, mine = documents.alias("present"), document_labels.alias("mine")
        bears = exists().where(mine.c.document_id == present.c.id).correlate(present)
        shared = bears.where(mine.c.label.in_(sorted(self.labels or ())))
        return (
            exists()
            .where(
                present.c.collection_id == documents.c.collection_id,
                present.c.uri == documents.c.uri,
                present.c.removed_position.is_(None),
                or_(~bears, shared),
            )
            .correlate(documents)
        )


def alive(table: object, at: int | ColumnElement[int]) -> ColumnElement[bool]:
    """The rows of `documents` or `chunks` that stand at a position."""
    columns = table.c  # type: ignore[attr-defined]
    return and_(columns.added_position <= at, or_(columns.removed_position.is_(None), columns.removed_position > at))


def standing(table: object) -> ColumnElement[bool]:
    """The rows of `documents` or `chunks` that stand at the moment of the transaction; read from an index alone."""
    found: ColumnElement[bool] = table.c.removed_position.is_(None)  # type: ignore[attr-defined]
    return found


def permitted_ids(connection: Connection, predicate: Predicate, at: int, among: list[int] | None = None) -> Ids:
    """The chunk ids that may be seen at a position, in no order; only those of the contents `among` when given."""
    return _permitted(connection, predicate, at, alive(chunks, at), among)


def permitted_now(connection: Connection, predicate: Predicate, now: int) -> Ids:
    """As `permitted_ids` at `now`, which must be the position of this transaction."""
    return _permitted(connection, predicate, now, standing(chunks), None)


def permitted_then(connection: Connection, predicate: Predicate, at: int) -> Ids:
    """The chunk ids of an earlier position that may be seen now, in no order; none whose text was erased since."""
    found = permitted_ids(connection, predicate, at)
    erased = (
        select(chunks.c.id)
        .join(contents, contents.c.id == chunks.c.content_id)
        .where(chunks.c.collection_id == predicate.collection_id, contents.c.erased_at.is_not(None))
    )
    return found[~np.isin(found, integers(connection, erased)[0])]


def still_seen(connection: Connection, predicate: Predicate, document_ids: Sequence[int]) -> set[int]:
    """Those of some documents, of whatever moment, at whose address one stands now that may be seen."""
    found = connection.scalars(select(documents.c.id).where(documents.c.id.in_(document_ids), predicate._still_seen()))
    return set(found)


def _permitted(
    connection: Connection, predicate: Predicate, at: int, there: ColumnElement[bool], among: list[int] | None
) -> Ids:
    query = select(chunks.c.id).where(chunks.c.collection_id == predicate.collection_id, there)
    if not predicate.unrestricted:  # a live chunk has a live document; only what else is asked needs a look at it
        passing = (
            select(documents.c.content_id)
            .join(contents, contents.c.id == documents.c.content_id)
            .where(predicate.documents(connection.dialect.name, at))
        )
        query = query.where(chunks.c.content_id.in_(passing))
    if among is not None:
        query = query.where(chunks.c.content_id.in_(among))
    return integers(connection, query)[0]


def integers(connection: Connection, query: Select[Any]) -> list[Ids]:
    """The rows of a query for integers, as one array a column, in one order: the database joins each column to a text,
    which numpy reads ten times as fast as a driver makes rows."""
    found = query.subquery()
    if connection.dialect.name == "postgresql":
        joined = [func.string_agg(cast(column, Text), ",") for column in found.c]
    else:
        joined = [func.group_concat(column) for column in found.c]
    row = connection.execute(select(*joined)).one()
    return [np.fromstring(text or "", dtype=np.int64, sep=",") for text in row]


def came_and_went(connection: Connection, collection_id: int, after: int, upto: int) -> tuple[Ids, Ids]:
    """The chunks that came, and those that went, in (after, upto]; what did both is in the second."""
    mine = chunks.c.collection_id == collection_id
    came, went = chunks.c.added_position, chunks.c.removed_position
    added = integers(connection, select(chunks.c.id).where(mine, came > after, came <= upto))[0]
    removed = integers(connection, select(chunks.c.id).where(mine, went > after, went <= upto))[0]
    return added[~np.isin(added, removed)], removed


def touched_contents(connection: Connection, collection_id: int, after: int, upto: int) -> list[int]:
    """The contents of which a document or a chunk came or went in (after, upto]."""
    found: set[int] = set()
    for table in (documents, chunks):
        for column in (table.c.added_position, table.c.removed_position):
            rows = connection.execute(
                select(table.c.content_id)
                .distinct()
                .where(table.c.collection_id == collection_id, column > after, column <= upto)
            )
            found.update(row[0] for row in rows)
    return sorted(found)


def chunks_of(connection: Connection, content_ids: list[int]) -> Ids:
    """Every chunk, alive or not, of these contents."""
    return integers(connection, select(chunks.c.id).where(chunks.c.content_id.in_(content_ids)))[0]


# ── fields that nobody has ──────────────────────────────────────────────────────────────────────────────────────────


def require_known(connection: Connection, predicate: Predicate, at: int) -> None:
    """Raise WrongFilter for a key that is neither a field of documents nor in the metadata of one that the asker may
    see at a position, naming those that come near; a collection without documents knows every key."""
    if predicate.filter is None:
        return
    unknown = [
        key for key in sorted(must_be_known(predicate.filter.tree())) if not _has(connection, predicate, at, key)
    ]
    if unknown:
        refuse(connection, predicate, at, unknown)


def _has(connection: Connection, predicate: Predicate, at: int, key: str) -> bool:
    has: ColumnElement[bool]
    if connection.dialect.name == "postgresql":
        has = func.jsonb_exists(documents.c.metadata, key)
    else:
        has = func.json_type(documents.c.metadata, path(key)).is_not(None)
    return connection.execute(_visible(connection, predicate, at).where(has).limit(1)).first() is not None


def _visible(connection: Connection, predicate: Predicate, at: int) -> Select[Any]:
    """Whatever the filter: its fields may be named to whoever may see one of the documents."""
    whoever = Predicate(predicate.collection_id, predicate.labels)
    return select(documents.c.id).where(whoever.documents(connection.dialect.name, at))


def refuse(connection: Connection, predicate: Predicate, at: int, unknown: Sequence[str]) -> None:
    """Raise WrongFilter for those of these keys that no document has which the asker may see; reads all of them."""
    if connection.execute(_visible(connection, predicate, at).limit(1)).first() is None:
        return
    if connection.dialect.name == "postgresql":
        named = func.jsonb_object_keys(documents.c.metadata).table_valued("key").render_derived()
    else:
        named = func.json_each(documents.c.metadata).table_valued("key")
    found = connection.execute(
        _visible(connection, predicate, at).with_only_columns(named.c.key).join(named, true()).distinct()
    )
    known = sorted({row[0] for row in found} - set(FIELDS))
    for key in unknown:
        if key not in known:
            near = get_close_matches(key, [*FIELDS, *known], n=3, cutoff=0.5)
            there = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join([*FIELDS, *known][:30])}"
            raise WrongFilter(f"no document has a field {key!r}; {there} (to ask whether it is there, use $exists)")
