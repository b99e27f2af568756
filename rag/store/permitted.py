"""Which chunks one asker may see at a position, and what of that changed since an earlier one."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select, true

from rag.store.filters import Filter
from rag.store.tables import chunks, contents, document_labels, documents
from rag.types import Ids


@dataclass(frozen=True, slots=True)
class Predicate:
    """What a document must be for its text to be seen: in this collection, unlabelled or under one of these labels,
    and passing the filter. Hashable, so that answers to it can be kept."""

    collection_id: int
    labels: frozenset[str] | None  # None: every label
    filter: Filter | None = None

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
        if self.filter is not None:
            terms.append(self.filter.condition(dialect))
        return and_(true(), *terms)


def alive(table: object, at: int | ColumnElement[int]) -> ColumnElement[bool]:
    """The rows of `documents` or `chunks` that stand at a position."""
    columns = table.c  # type: ignore[attr-defined]
    return and_(columns.added_position <= at, or_(columns.removed_position.is_(None), columns.removed_position > at))


def permitted_ids(connection: Connection, predicate: Predicate, at: int, among: list[int] | None = None) -> Ids:
    """The chunk ids that may be seen at a position, in no order; only those of the contents `among` when given."""
    query = select(chunks.c.id).where(chunks.c.collection_id == predicate.collection_id, alive(chunks, at))
    if not predicate.unrestricted:  # a live chunk has a live document; only what else is asked needs a look at it
        passing = (
            select(documents.c.content_id)
            .join(contents, contents.c.id == documents.c.content_id)
            .where(predicate.documents(connection.dialect.name, at))
        )
        query = query.where(chunks.c.content_id.in_(passing))
    if among is not None:
        query = query.where(chunks.c.content_id.in_(among))
    return np.fromiter((row[0] for row in connection.execute(query)), dtype=np.int64)


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
    rows = connection.execute(select(chunks.c.id).where(chunks.c.content_id.in_(content_ids)))
    return np.fromiter((row[0] for row in rows), dtype=np.int64)
