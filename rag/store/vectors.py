"""Vectors by what was embedded, and the feed from which every index is filled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import Connection, and_, bindparam, func, or_, select

from ingest.headings import embedded_text
from ingest.wording import counted
from rag.errors import StoreNotReady
from rag.store.among import DIALECTS, among
from rag.store.collections import Collection, position
from rag.store.database import Database
from rag.store.permitted import alive
from rag.store.prepared import Prepared
from rag.store.tables import chunks, collections, contents, embedders, vectors
from rag.types import ChangeBatch, Ids, Vectors

MANY = 500


def known(connection: Connection, collection: Collection, digests: Sequence[bytes]) -> set[bytes]:
    """Which of these embedded strings have a vector already."""
    found: set[bytes] = set()
    for i in range(0, len(digests), MANY):
        rows = connection.execute(
            select(vectors.c.digest).where(
                vectors.c.tenant_id == collection.tenant_id,
                vectors.c.embedder_id == collection.embedder_id,
                vectors.c.digest.in_(digests[i : i + MANY]),
            )
        )
        found.update(bytes(row[0]) for row in rows)
    return found


_OF_CHUNKS = Prepared(
    {
        dialect: select(chunks.c.id, vectors.c.data)
        .join(collections, collections.c.id == chunks.c.collection_id)
        .join(vectors, and_(vectors.c.tenant_id == collections.c.tenant_id, vectors.c.digest == chunks.c.digest))
        .join(embedders, embedders.c.id == vectors.c.embedder_id)
        .where(among(chunks.c.id, "ids", dialect), embedders.c.fingerprint == bindparam("fingerprint"))
        for dialect in DIALECTS
    }
)


def of_chunks(connection: Connection, ids: Sequence[int], fingerprint: str) -> dict[int, Vectors]:
    """The vectors (d,) that this embedder gave chunks, by id; those that it never embedded are left out."""
    rows = _OF_CHUNKS.rows(connection, {"ids": ids, "fingerprint": fingerprint})
    return {int(key): np.frombuffer(bytes(data), dtype="<f4").astype(np.float32, copy=False) for key, data in rows}


def pack(row: np.ndarray) -> bytes:
    """A vector as it is stored: float32, little endian."""
    return np.ascontiguousarray(row, dtype="<f4").tobytes()


def unpack(rows: Sequence[bytes], dim: int) -> Vectors:
    """Stored vectors as an array (n, dim)."""
    return np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), dim).astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class CollectionFeed:
    """One collection's chunks as its indexes follow them. Every call reads in a transaction of its own."""

    database: Database
    collection: Collection

    @property
    def dim(self) -> int:
        return self.collection.dim

    def position(self) -> int:
        with self.database.read() as connection:
            return position(connection, self.collection.id)

    def live_ids(self, at: int) -> Ids:
        query = select(chunks.c.id).where(chunks.c.collection_id == self.collection.id, alive(chunks, at))
        with self.database.read() as connection:
            return np.sort(np.fromiter((row[0] for row in connection.execute(query)), dtype=np.int64))

    def languages(self, at: int) -> tuple[str, ...]:
        held = contents.c.collection_id == self.collection.id
        found = []
        with self.database.read() as connection:
            following = select(contents.c.language).where(held).order_by(contents.c.language).limit(1)
            language = connection.execute(following).scalar()
            while language is not None:  # from one to the next: distinct values without reading every row
                spoken = (
                    select(chunks.c.id)
                    .join(contents, contents.c.id == chunks.c.content_id)
                    .where(held, contents.c.language == language, alive(chunks, at))
                    .limit(1)
                )
                if connection.execute(spoken).first() is not None:
                    found.append(language)
                language = connection.execute(following.where(contents.c.language > language)).scalar()
        return tuple(found)

    def changes(self, after: int, upto: int, batch: int = 4096) -> Iterator[ChangeBatch]:
        with self.database.read() as connection:
            removed = self._removed(connection, after, upto) if after else np.empty(0, np.int64)
            last = 0
            while True:
                found = self._added(connection, after, upto, last, batch)
                if not len(found.ids):
                    break
                last = int(found.ids[-1])
                yield replace(found, removed=removed)
                removed = np.empty(0, np.int64)
            if len(removed):
                yield replace(found, removed=removed)

    def _removed(self, connection: Connection, after: int, upto: int) -> Ids:
        rows = connection.execute(
            select(chunks.c.id).where(
                chunks.c.collection_id == self.collection.id,
                chunks.c.removed_position > after,
                chunks.c.removed_position <= upto,
                chunks.c.added_position <= after,
            )
        )
        return np.sort(np.fromiter((row[0] for row in rows), dtype=np.int64))

    def _added(self, connection: Connection, after: int, upto: int, last: int, batch: int) -> ChangeBatch:
        length = chunks.c.end - chunks.c.start
        rows = connection.execute(
            select(
                chunks.c.id,
                vectors.c.data,
                contents.c.title,
                chunks.c.headings,
                func.substr(contents.c.text, chunks.c.start + 1, length),
                contents.c.language,
            )
            .join(contents, contents.c.id == chunks.c.content_id)
            .outerjoin(
                vectors,
                and_(
                    vectors.c.digest == chunks.c.digest,
                    vectors.c.tenant_id == self.collection.tenant_id,
                    vectors.c.embedder_id == self.collection.embedder_id,
                ),
            )
            .where(
                chunks.c.collection_id == self.collection.id,
                chunks.c.id > last,
                chunks.c.added_position > after,
                chunks.c.added_position <= upto,
                or_(chunks.c.removed_position.is_(None), chunks.c.removed_position > upto),
            )
            .order_by(chunks.c.id)
            .limit(batch)
        ).all()
        if lost := [row[0] for row in rows if row[1] is None]:
            raise StoreNotReady(
                f"{counted(len(lost), 'chunk')} of {self.collection.name!r} without a vector (chunk {lost[0]} first); "
                "run `rag doctor --repair`"
            )
        texts = [embedded_text(row[2], tuple(row[3]), row[4]) for row in rows]
        ids = np.fromiter((row[0] for row in rows), dtype=np.int64)
        none, languages = np.empty(0, np.int64), [row[5] for row in rows]
        return ChangeBatch(ids, unpack([row[1] for row in rows], self.dim), texts, none, languages)
