"""Which chunks have lost their vector, or have a wrong one, what to embed for them, and putting the new ones in."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select

from ingest.chunk import embedded_text
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.tables import chunks, contents, vectors
from rag.store.vectors import unpack

BATCH = 4096
UNIT = 1e-3  # how far from 1 the length of a stored vector may be


@dataclass(frozen=True, slots=True)
class Broken:
    """What the live chunks without a sound vector need."""

    strings: Mapping[bytes, str]  # digest → the string to embed anew
    lost: tuple[int, ...]  # chunks whose text is not what was embedded once: nothing can be embedded for them


def broken_vectors(database: Database, connection: Connection, collection: Collection) -> Broken:
    """Find every live chunk whose vector is missing, of a wrong size, not finite or not of length 1."""
    strings: dict[bytes, str] = {}
    lost: list[int] = []
    last = 0
    while rows := connection.execute(
        select(chunks.c.id, chunks.c.digest, vectors.c.data)
        .outerjoin(vectors, _vector_of(collection))
        .where(chunks.c.collection_id == collection.id, chunks.c.removed_position.is_(None), chunks.c.id > last)
        .order_by(chunks.c.id)
        .limit(BATCH)
    ).all():
        last = rows[-1][0]
        for key, digest in ((row[0], bytes(row[1])) for row in rows if not _sound(row[2], collection.dim)):
            string = _embedded(connection, key)
            if database.digest(string) == digest:
                strings[digest] = string
            else:
                lost.append(key)
    return Broken(strings, tuple(lost))


def _vector_of(collection: Collection) -> ColumnElement[bool]:
    return and_(
        vectors.c.digest == chunks.c.digest,
        vectors.c.tenant_id == collection.tenant_id,
        vectors.c.embedder_id == collection.embedder_id,
    )


def _sound(data: bytes | None, dim: int) -> bool:
    if data is None or len(data) != 4 * dim:
        return False
    return bool(abs(np.linalg.norm(unpack([data], dim)[0]) - 1) <= UNIT)  # False for NaN as well


def _embedded(connection: Connection, chunk_id: int) -> str:
    """The string that was embedded for a chunk, as its text stands now."""
    title, headings, text = connection.execute(
        select(
            contents.c.title,
            chunks.c.headings,
            func.substr(contents.c.text, chunks.c.start + 1, chunks.c.end - chunks.c.start),
        )
        .join(contents, contents.c.id == chunks.c.content_id)
        .where(chunks.c.id == chunk_id)
    ).one()
    return embedded_text(title, tuple(headings), text)


def replace_vectors(connection: Connection, collection: Collection, new: Mapping[bytes, bytes]) -> None:
    """Put these vectors in the place of what stands under their digests, if anything does."""
    for digest, data in sorted(new.items()):
        connection.execute(
            delete(vectors).where(
                vectors.c.tenant_id == collection.tenant_id,
                vectors.c.embedder_id == collection.embedder_id,
                vectors.c.digest == digest,
            )
        )
        connection.execute(
            insert(vectors).values(
                tenant_id=collection.tenant_id, embedder_id=collection.embedder_id, digest=digest, data=data
            )
        )
