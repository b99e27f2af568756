"""What became of chunks since they were found: removed, replaced, recut, erased; and where they stand now."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from rag.store.among import DIALECTS, among
from rag.store.prepared import Prepared
from rag.store.tables import chunks, contents, documents


@dataclass(frozen=True, slots=True)
class Stood:
    """A document that holds, or held, a chunk's text."""

    document_id: int
    uri: str
    added_position: int
    removed_position: int | None
    successor_id: int | None  # the document that stands at its address now


@dataclass(frozen=True, slots=True)
class Fate:
    """One chunk, whatever became of it."""

    chunk_id: int
    collection_id: int
    added_position: int
    removed_position: int | None
    erased: bool
    documents: tuple[Stood, ...]  # by id

    def stands(self, at: int) -> bool:
        """Whether it stood at a position."""
        return self.added_position <= at and (self.removed_position is None or self.removed_position > at)

    def held(self, at: int) -> bool:
        """Whether a document held its text at a position."""
        return any(
            each.added_position <= at and (each.removed_position is None or each.removed_position > at)
            for each in self.documents
        )


_CHUNKS = Prepared(
    {
        dialect: select(
            chunks.c.id,
            chunks.c.collection_id,
            chunks.c.added_position,
            chunks.c.removed_position,
            chunks.c.content_id,
            contents.c.erased_at,
        )
        .join(contents, contents.c.id == chunks.c.content_id)
        .where(among(chunks.c.id, "ids", dialect))
        for dialect in DIALECTS
    }
)


def fates(connection: Connection, chunk_ids: Sequence[int]) -> dict[int, Fate]:
    """What became of each of these chunks; those that never were are left out."""
    rows = list(_CHUNKS.rows(connection, {"ids": sorted(set(chunk_ids))}))
    successor = documents.alias("successor")
    held: dict[int, list[Stood]] = {}
    for row in connection.execute(
        select(
            documents.c.content_id,
            documents.c.id,
            documents.c.uri,
            documents.c.added_position,
            documents.c.removed_position,
            successor.c.id,
        )
        .outerjoin(
            successor,
            (successor.c.collection_id == documents.c.collection_id)
            & (successor.c.uri == documents.c.uri)
            & successor.c.removed_position.is_(None)
            & (successor.c.id != documents.c.id),
        )
        .where(documents.c.content_id.in_({row[4] for row in rows}))
        .order_by(documents.c.id)
    ):
        held.setdefault(row[0], []).append(Stood(*row[1:]))
    return {
        row[0]: Fate(row[0], row[1], row[2], row[3], row[5] is not None, tuple(held.get(row[4], ()))) for row in rows
    }
