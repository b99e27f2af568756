"""Semantic duplicates: documents whose mean vectors are close, compared exactly with every document of a collection.

A document's centroid is the mean of its chunks' vectors, scaled to unit length; it is kept beside the MinHash
signatures, so that chunks are read once. A comparison reads every centroid of the collection (1.5 kB each at 384
dimensions), in bounded memory; this level is off unless it is asked for.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from sqlalchemy import Connection, func, insert, select

from rag.store.collections import Collection
from rag.store.contents import NewContent, parts
from rag.store.tables import chunks, signatures, vectors
from rag.store.vectors import pack, unpack
from rag.types import Vectors

SCOPE = "centroid"
BLOCK = 4096  # centroids read at once


def match(
    connection: Connection,
    collection: Collection,
    items: Sequence[tuple[bytes, int]],
    threshold: float,
    prepared: Mapping[int, NewContent],
) -> list[list[tuple[bytes, float]]]:
    """For each (content digest, content id) the digests of other contents with a cosine of at least `threshold`, most
    similar first; of the items themselves, earlier ones only. Their centroids are kept; those of `prepared` contents,
    whose chunks are not written yet, are made of the chunks prepared for them. One without chunks matches nothing.
    """
    own = _centroids(connection, collection, dict(items), prepared)
    found: list[dict[bytes, float]] = [{} for _ in items]
    given = {digest: number for number, (digest, _) in reversed(list(enumerate(items)))}
    rows = [number for number, (digest, _) in enumerate(items) if digest in own]
    if not rows:
        return [[] for _ in items]
    matrix = np.stack([own[items[number][0]] for number in rows])
    last = 0
    while block := connection.execute(
        select(signatures.c.id, signatures.c.digest, signatures.c.data)
        .where(
            signatures.c.collection_id == collection.id,
            signatures.c.scope == SCOPE,
            signatures.c.id > last,
            func.length(signatures.c.data) == 4 * collection.dim,
        )
        .order_by(signatures.c.id)
        .limit(BLOCK)
    ).all():
        last = block[-1][0]
        cosines = matrix @ unpack([row[2] for row in block], collection.dim).T
        for here, there in zip(*np.nonzero(cosines >= threshold), strict=True):
            number, other = rows[here], bytes(block[there][1])
            if other != items[number][0] and given.get(other, -1) < number:
                found[number][other] = float(cosines[here, there])
    return [sorted(each.items(), key=lambda pair: (-pair[1], pair[0])) for each in found]


def _centroids(
    connection: Connection, collection: Collection, ids: dict[bytes, int], prepared: Mapping[int, NewContent]
) -> dict[bytes, Vectors]:
    """The centroid (d,) of each content, computed and kept where it was not."""
    found: dict[bytes, Vectors] = {}
    for part in parts(sorted(ids)):
        for digest, data in connection.execute(
            select(signatures.c.digest, signatures.c.data).where(
                signatures.c.collection_id == collection.id,
                signatures.c.scope == SCOPE,
                signatures.c.digest.in_(part),
            )
        ):
            found[bytes(digest)] = unpack([data], collection.dim)[0]
    new: dict[bytes, Vectors | None] = {}
    for digest in sorted(ids.keys() - found.keys()):
        content = prepared.get(ids[digest])
        strings = [chunk.digest for chunk in content.chunks] if content else _strings(connection, ids[digest])
        new[digest] = _mean(connection, collection, strings)
    known = {digest: row for digest, row in new.items() if row is not None}
    if known:
        connection.execute(
            insert(signatures),
            [
                {"collection_id": collection.id, "scope": SCOPE, "digest": digest, "data": pack(row)}
                for digest, row in known.items()
            ],
        )
    return found | known


def _strings(connection: Connection, content_id: int) -> list[bytes]:
    """The digests of the embedded strings of a content's last chunks."""
    last = select(func.max(chunks.c.added_position)).where(chunks.c.content_id == content_id).scalar_subquery()
    rows = connection.execute(
        select(chunks.c.digest)
        .where(chunks.c.content_id == content_id, chunks.c.added_position == last)
        .order_by(chunks.c.ordinal)
    )
    return [bytes(row[0]) for row in rows]


def _mean(connection: Connection, collection: Collection, strings: Sequence[bytes]) -> Vectors | None:
    """The unit mean (d,) of the vectors of some strings; None without any."""
    data: dict[bytes, bytes] = {}
    for part in parts(strings):
        rows = connection.execute(
            select(vectors.c.digest, vectors.c.data).where(
                vectors.c.tenant_id == collection.tenant_id,
                vectors.c.embedder_id == collection.embedder_id,
                vectors.c.digest.in_(part),
            )
        )
        data |= {bytes(row[0]): bytes(row[1]) for row in rows}
    found = [data[string] for string in strings if string in data]
    if not found:
        return None
    mean = unpack(found, collection.dim).mean(axis=0)
    length = float(np.linalg.norm(mean))
    return (mean / length).astype(np.float32) if length > 0 else None
