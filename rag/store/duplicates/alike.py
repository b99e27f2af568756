"""Chunks that say the same: found when they are written, recorded as decisions, and brought together in an answer.

Nothing is taken out of an index for it, so every filter and permission finds what it found before. Chunks are equal
when the strings that are embedded for them are; near when the Jaccard similarity of their texts reaches the threshold;
of one meaning when the cosine of their vectors does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, and_, bindparam, exists, func, insert, select

from ingest.minhash import signatures
from rag.store.among import DIALECTS, among
from rag.store.collections import Collection, by_id, lock
from rag.store.contents import NewContent, parts
from rag.store.database import now
from rag.store.duplicates import near
from rag.store.duplicates.policies import Level, Policies, Rule
from rag.store.prepared import Prepared
from rag.store.tables import chunks, contents, decisions, documents, vectors
from rag.store.vectors import unpack

BLOCK = 4096  # vectors read at once
MOST = 3  # pairs recorded for one chunk and level, the most alike first


@dataclass(frozen=True, slots=True)
class Pair:
    """A chunk that was written a moment ago, and one that was there before."""

    content_id: int  # of the former
    digest: bytes
    other: bytes
    similarity: float


@dataclass(frozen=True, slots=True)
class Fresh:
    """A chunk that was written a moment ago."""

    digest: bytes
    text: str
    content_id: int


def record(
    connection: Connection,
    collection: Collection,
    written: Mapping[int, NewContent],
    revived: Sequence[int],
    *,
    at: int,
    actor: str,
) -> None:
    """Find what the chunks of contents that were just written, or are shown again, duplicate; keep it as decisions."""
    rules = Policies.of(collection.settings).chunk
    if not rules or not (written or revived):
        return
    every = [
        Fresh(chunk.digest, content.text[chunk.start : chunk.end], content_id)
        for content_id, content in sorted(written.items())
        for chunk in content.chunks
    ]
    every += _stored(connection, revived)
    if not every:
        return
    first: dict[bytes, Fresh] = {}
    for one in every:
        first.setdefault(one.digest, one)
    different = list(first.values())
    for rule in rules:
        if rule.level == "exact":
            pairs = _exact(connection, collection, every)
            copies = {(pair.content_id, pair.digest) for pair in pairs}
            different = [one for one in different if (one.content_id, one.digest) not in copies]
        elif rule.level == "near":
            pairs = _near(connection, collection, different, rule.threshold)
        else:
            pairs = _semantic(connection, collection, different, rule.threshold)
        _keep(connection, collection, rule, pairs, at=at, actor=actor)


def review(connection: Connection, collection: Collection, *, after: int, limit: int, actor: str) -> tuple[int, int]:
    """Find what the chunks of stored contents, by id behind `after`, duplicate by the present policies.

    Returns how many contents were looked at, and the id of the last.
    """
    at = lock(connection, collection.id)
    collection = by_id(connection, collection.id)
    shown = exists().where(chunks.c.content_id == contents.c.id, chunks.c.removed_position.is_(None))
    rows = connection.execute(
        select(contents.c.id)
        .where(contents.c.collection_id == collection.id, contents.c.id > after, shown)
        .order_by(contents.c.id)
        .limit(limit)
    ).all()
    record(connection, collection, {}, [row.id for row in rows], at=at, actor=actor)
    return len(rows), rows[-1].id if rows else after


def _stored(connection: Connection, content_ids: Sequence[int]) -> list[Fresh]:
    """The live chunks of stored contents."""
    text = func.substr(contents.c.text, chunks.c.start + 1, chunks.c.end - chunks.c.start)
    found: list[Fresh] = []
    for part in parts(content_ids):
        rows = connection.execute(
            select(chunks.c.digest, text, chunks.c.content_id)
            .join(contents, contents.c.id == chunks.c.content_id)
            .where(chunks.c.content_id.in_(part), chunks.c.removed_position.is_(None))
            .order_by(chunks.c.content_id, chunks.c.ordinal)
        )
        found += [Fresh(bytes(row[0]), row[1], row[2]) for row in rows]
    return found


def _exact(connection: Connection, collection: Collection, fresh: Sequence[Fresh]) -> list[Pair]:
    """The chunks whose embedded string stands in an older content as well."""
    oldest: dict[bytes, int] = {}
    for part in parts([one.digest for one in fresh]):
        rows = connection.execute(
            select(chunks.c.digest, func.min(chunks.c.content_id))
            .where(
                chunks.c.collection_id == collection.id,
                chunks.c.digest.in_(part),
                chunks.c.removed_position.is_(None),
            )
            .group_by(chunks.c.digest)
        )
        oldest |= {bytes(row[0]): row[1] for row in rows}
    return [
        Pair(one.content_id, one.digest, one.digest, 1.0)
        for one in fresh
        if oldest.get(one.digest, one.content_id) != one.content_id
    ]


def _near(connection: Connection, collection: Collection, fresh: Sequence[Fresh], threshold: float) -> list[Pair]:
    signed = signatures([one.text for one in fresh])
    items = [near.Item(one.digest, one.text, signature) for one, signature in zip(fresh, signed, strict=True)]

    def texts(digests: Sequence[bytes]) -> dict[bytes, str]:
        rows = connection.execute(
            select(chunks.c.digest, func.substr(contents.c.text, chunks.c.start + 1, chunks.c.end - chunks.c.start))
            .join(contents, contents.c.id == chunks.c.content_id)
            .where(
                chunks.c.collection_id == collection.id,
                chunks.c.digest.in_(digests),
                chunks.c.removed_position.is_(None),
            )
        )
        return {bytes(row[0]): row[1] for row in rows}

    def live(digests: Sequence[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        for part in parts(digests):
            rows = connection.execute(
                select(chunks.c.digest)
                .distinct()
                .where(
                    chunks.c.collection_id == collection.id,
                    chunks.c.digest.in_(part),
                    chunks.c.removed_position.is_(None),
                )
            )
            found.update(bytes(row[0]) for row in rows)
        return found

    found = near.match(connection, collection.id, "chunk", items, threshold, texts, live=live)
    return [
        Pair(one.content_id, one.digest, other.digest, other.similarity)
        for one, others in zip(fresh, found, strict=True)
        for other in others[:MOST]
    ]


def _semantic(connection: Connection, collection: Collection, fresh: Sequence[Fresh], threshold: float) -> list[Pair]:
    """Compared with every live chunk of the collection, in bounded memory."""
    joined = and_(
        vectors.c.digest == chunks.c.digest,
        vectors.c.tenant_id == collection.tenant_id,
        vectors.c.embedder_id == collection.embedder_id,
    )
    live = and_(chunks.c.collection_id == collection.id, chunks.c.removed_position.is_(None))
    own: dict[bytes, bytes] = {}
    for part in parts([one.digest for one in fresh]):
        rows = connection.execute(
            select(vectors.c.digest, vectors.c.data).where(
                vectors.c.tenant_id == collection.tenant_id,
                vectors.c.embedder_id == collection.embedder_id,
                vectors.c.digest.in_(part),
            )
        )
        own |= {bytes(row[0]): bytes(row[1]) for row in rows}
    digests = [one.digest for one in fresh]
    matrix = unpack([own[digest] for digest in digests], collection.dim)
    order = {digest: number for number, digest in enumerate(digests)}
    best: list[dict[bytes, float]] = [{} for _ in fresh]
    last = 0
    while block := connection.execute(
        select(chunks.c.id, chunks.c.digest, vectors.c.data)
        .join(vectors, joined)
        .where(live, chunks.c.id > last)
        .order_by(chunks.c.id)
        .limit(BLOCK)
    ).all():
        last = block[-1][0]
        cosines = matrix @ unpack([row[2] for row in block], collection.dim).T
        for here, there in zip(*np.nonzero(cosines >= threshold), strict=True):
            other = bytes(block[there][1])
            if order.get(other, -1) < here:
                best[here][other] = float(cosines[here, there])
    return [
        Pair(one.content_id, one.digest, other, similarity)
        for one, found in zip(fresh, best, strict=True)
        for other, similarity in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]
    ]


def _keep(
    connection: Connection, collection: Collection, rule: Rule, pairs: Sequence[Pair], *, at: int, actor: str
) -> None:
    if not pairs:
        return
    holders = _holders(connection, collection.id, {pair.digest for pair in pairs} | {pair.other for pair in pairs})
    known = _known(connection, collection.id, rule.level, [pair.digest for pair in pairs])
    stamp = now()
    rows = []
    for pair in pairs:
        mine = [holder for holder in holders.get(pair.digest, ()) if holder.content_id == pair.content_id]
        theirs = [holder for holder in holders.get(pair.other, ()) if holder.content_id != pair.content_id]
        if not mine or not theirs or (pair.digest, pair.other, mine[0].document_id) in known:
            continue
        if (pair.digest, pair.other, None) in known:
            continue
        rows.append(
            {
                "collection_id": collection.id,
                "position": at,
                "scope": "chunk",
                "level": rule.level,
                "policy": rule.policy,
                "similarity": pair.similarity,
                "uri": mine[0].uri,
                "digest": pair.digest,
                "document_id": mine[0].document_id,
                "against_uri": theirs[0].uri,
                "against_digest": pair.other,
                "against_id": theirs[0].document_id,
                "actor": actor,
                "created_at": stamp,
            }
        )
    if rows:
        connection.execute(insert(decisions), rows)


@dataclass(frozen=True, slots=True)
class Holder:
    """A live document that shows a chunk."""

    document_id: int
    uri: str
    content_id: int


def _holders(connection: Connection, collection_id: int, digests: set[bytes]) -> dict[bytes, list[Holder]]:
    """The live documents that show each chunk, the oldest first."""
    found: dict[bytes, list[Holder]] = {}
    for part in parts(sorted(digests)):
        rows = connection.execute(
            select(chunks.c.digest, chunks.c.content_id, documents.c.id, documents.c.uri)
            .join(documents, documents.c.content_id == chunks.c.content_id)
            .where(
                chunks.c.collection_id == collection_id,
                chunks.c.digest.in_(part),
                chunks.c.removed_position.is_(None),
                documents.c.removed_position.is_(None),
            )
            .order_by(documents.c.id)
        )
        for row in rows:
            found.setdefault(bytes(row.digest), []).append(Holder(row.id, row.uri, row.content_id))
    return found


def _known(
    connection: Connection, collection_id: int, level: Level, digests: Sequence[bytes]
) -> set[tuple[bytes, bytes, int | None]]:
    """The pairs that are recorded already, or were undone; with the document where every copy is a pair of its own."""
    found: set[tuple[bytes, bytes, int | None]] = set()
    for part in parts(digests):
        for column in (decisions.c.digest, decisions.c.against_digest):  # SQLite uses no index for one or the other
            rows = connection.execute(
                select(decisions.c.digest, decisions.c.against_digest, decisions.c.document_id).where(
                    decisions.c.collection_id == collection_id,
                    decisions.c.scope == "chunk",
                    decisions.c.level == level,
                    column.in_(part),
                )
            )
            for one, other, document_id in rows:
                said = document_id if level == "exact" else None
                found |= {(bytes(one), bytes(other), said), (bytes(other), bytes(one), said)}
    return found


@dataclass(frozen=True, slots=True)
class Alike:
    """Which chunks of a ranking say the same, and which of them is shown."""

    shown: tuple[int, ...]  # chunk ids, in the order of the ranking
    others: Mapping[int, tuple[int, ...]]  # of a shown chunk: those that it stands for


def only_exact(collection: Collection) -> bool:
    """Whether only chunks whose embedded strings are equal are brought together, if any."""
    return all(rule.level == "exact" for rule in Policies.of(collection.settings).chunk if rule.policy != "keep")


def together(connection: Connection, collection: Collection, ranking: Sequence[int]) -> Alike:
    """Bring together the chunks of a ranking, given by id, that the collection's policies call duplicates.

    A group stands where its best ranked chunk stood. Shown of it is that one (`alias`), the oldest (`skip`) or the
    newest (`newest`), as the policy of the strictest level in it says.
    """
    rules = [rule for rule in Policies.of(collection.settings).chunk if rule.policy != "keep"]
    if not rules or len(ranking) < 2:
        return Alike(tuple(ranking), {})
    digests = _digests(connection, ranking)
    head: dict[int, int] = {key: key for key in ranking}
    policy: dict[int, str] = {}

    def find(key: int) -> int:
        while head[key] != key:
            key = head[key]
        return key

    order = {key: place for place, key in enumerate(ranking)}
    for rule in rules:
        for one, other in _pairs(connection, collection.id, rule, ranking, digests):
            first, second = sorted((find(one), find(other)), key=order.__getitem__)
            if first != second:
                head[second] = first
                policy.setdefault(first, rule.policy)
    groups: dict[int, list[int]] = {}
    for key in ranking:
        groups.setdefault(find(key), []).append(key)
    shown, others = [], {}
    for first, members in groups.items():
        said = policy.get(first, "alias")
        chosen = min(members) if said == "skip" else max(members) if said == "newest" else first
        shown.append(chosen)
        if len(members) > 1:
            others[chosen] = tuple(key for key in members if key != chosen)
    return Alike(tuple(shown), others)


_DIGESTS = Prepared(
    {dialect: select(chunks.c.id, chunks.c.digest).where(among(chunks.c.id, "ids", dialect)) for dialect in DIALECTS}
)


def _digests(connection: Connection, ids: Sequence[int]) -> dict[int, bytes]:
    return {key: bytes(digest) for key, digest in _DIGESTS.rows(connection, {"ids": ids})}


def _pairs(
    connection: Connection, collection_id: int, rule: Rule, ranking: Sequence[int], digests: Mapping[int, bytes]
) -> list[tuple[int, int]]:
    """The pairs of a ranking that a rule calls duplicates."""
    holders: dict[bytes, list[int]] = {}
    for key in ranking:
        if key in digests:
            holders.setdefault(digests[key], []).append(key)
    if rule.level == "exact":
        return [(keys[0], key) for keys in holders.values() for key in keys[1:]]
    found: list[tuple[int, int]] = []
    for part in parts(sorted(holders)):
        given = {"collection_id": collection_id, "level": rule.level, "threshold": rule.threshold, "digests": part}
        for one, other in connection.execute(_PAIRS, given):
            if bytes(other) in holders:
                found.append((holders[bytes(one)][0], holders[bytes(other)][0]))
    return found


_PAIRS = select(decisions.c.digest, decisions.c.against_digest).where(
    decisions.c.collection_id == bindparam("collection_id"),
    decisions.c.scope == "chunk",
    decisions.c.level == bindparam("level"),
    decisions.c.similarity >= bindparam("threshold"),
    decisions.c.ended_at.is_(None),
    decisions.c.digest.in_(bindparam("digests", expanding=True)),
)
