"""Near-duplicates across runs: MinHash signatures and their LSH bands in SQL, every candidate verified by true Jaccard.

Bands are a cache of the signatures for one threshold; `rebuild` makes them anew for another. Texts are not kept here:
the caller says how to read them.

Band keys are random, so each batch would touch nearly every page of a large tree, and SQLite writes whole pages. New
rows therefore go into a small tree (`recent`), and with each batch those in one part of all keys move on to the large
one: a quarter of the bytes written and half the time at 100,000 texts. PostgreSQL appends and takes them as they come.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    any_,
    cast,
    delete,
    false,
    func,
    insert,
    literal,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite

from ingest.minhash import band_keys, estimates, least_estimate, near
from ingest.shingles import Shingles, shingle_sets
from rag.store.tables import bands, signatures

Scope = Literal["document", "chunk"]
Live = Callable[[Sequence[bytes]], set[bytes]]
"""Which of some digests are those of texts that still count; only these are verified, and count towards the most."""
Texts = Callable[[Sequence[bytes]], Mapping[bytes, str]]
"""Reads the texts of some digests; one that is gone is left out, and its digest is then near to nothing."""
T = TypeVar("T")

MANY = 500  # values in one IN (…)
PAGE = 1_000  # signatures whose bands are made anew at once
READ = 64  # stored texts held in memory at once
MOST = 100  # stored texts verified for one item
_PARTS = 32  # one of so many parts of all keys moves on with each batch
_SALT = {"document": 0, "chunk": 0x5851F42D4C957F2D}  # keeps the two scopes' keys apart: no candidates across them


@dataclass(frozen=True, slots=True)
class Item:
    """A text to be compared."""

    digest: bytes  # of a content (document) or of an embedded string (chunk)
    text: str
    signature: bytes  # ingest.minhash.text_signature(text)


@dataclass(frozen=True, slots=True)
class Near:
    """Another text, and how alike it is."""

    digest: bytes
    similarity: float  # true Jaccard of the shingle sets, threshold…1


def match(
    connection: Connection,
    collection_id: int,
    scope: Scope,
    items: Sequence[Item],
    threshold: float,
    texts: Texts,
    *,
    live: Live | None = None,
    most: int = MOST,
) -> list[list[Near]]:
    """For each item what is near to it, as `find` says; then all items are kept for later calls."""
    found = find(connection, collection_id, scope, items, threshold, texts, live=live, most=most)
    add(connection, collection_id, scope, [(item.digest, item.signature) for item in items], threshold)
    return found


def find(
    connection: Connection,
    collection_id: int,
    scope: Scope,
    items: Sequence[Item],
    threshold: float,
    texts: Texts,
    *,
    live: Live | None = None,
    most: int = MOST,
) -> list[list[Near]]:
    """For each item the stored texts and the earlier items of the batch that are near to it, the nearest first.

    Every similarity is the true Jaccard, none below the threshold; ties are ordered by digest. Of the stored texts, the
    `most` that look nearest by signature are verified for each item, so the thousandth copy of a form letter costs no
    more than the hundredth. Changes nothing. Holds the shingles of the items and READ stored texts in memory.
    """
    pairs = [(item.digest, item.signature) for item in items]
    stored = candidates(connection, collection_id, scope, pairs, threshold, live=live, most=most)
    within = _within(pairs, threshold)
    wanted = sorted({i for i in range(len(items)) if stored[i] or within[i]} | {j for one in within for j in one})
    sets = dict(zip(wanted, shingle_sets([items[i].text for i in wanted]), strict=True))
    found: list[dict[bytes, float]] = [{} for _ in items]
    askers: dict[bytes, list[int]] = {}
    for i in wanted:
        for digest in stored[i]:
            askers.setdefault(digest, []).append(i)
        for j in within[i]:
            _judge(found[i], items[j].digest, sets[i], sets[j], threshold)
    for digest, other in _stored_sets(sorted(askers), texts):
        for i in askers[digest]:
            _judge(found[i], digest, sets[i], other, threshold)
    ordered = (sorted(one.items(), key=lambda pair: (-pair[1], pair[0])) for one in found)
    return [[Near(digest, similarity) for digest, similarity in one] for one in ordered]


def candidates(
    connection: Connection,
    collection_id: int,
    scope: Scope,
    items: Sequence[tuple[bytes, bytes]],
    threshold: float,
    *,
    live: Live | None = None,
    most: int = MOST,
) -> list[list[bytes]]:
    """For each (digest, signature) the stored digests that share a band and look near enough by signature to be worth
    verifying: at most `most`, the most alike first. An item's own digest is not among them."""
    rows = [[key ^ _SALT[scope] for key in row] for row in band_keys([data for _, data in items], threshold)]
    query = select(bands.c.hash, bands.c.signature_id).where(
        bands.c.collection_id == collection_id,
        bands.c.recent.in_([False, True]),
        _among(connection, bands.c.hash, {key for row in rows for key in row}),
    )
    holders: dict[int, list[int]] = {}
    for key, signature_id in connection.execute(query):
        holders.setdefault(key, []).append(signature_id)
    if not holders:
        return [[] for _ in items]
    ids = [{one for key in row for one in holders.get(key, ())} for row in rows]
    known = _signatures(connection, sorted(set().union(*ids)))
    if live is not None:
        counting = live(sorted({digest for digest, _ in known.values()}))
        known = {key: pair for key, pair in known.items() if pair[0] in counting}
    return [
        _nearest(item, [known[one] for one in sorted(mine & known.keys())], threshold, most)
        for item, mine in zip(items, ids, strict=True)
    ]


def add(
    connection: Connection, collection_id: int, scope: Scope, items: Sequence[tuple[bytes, bytes]], threshold: float
) -> None:
    """Keep the (digest, signature) pairs with their bands. Digests that are kept already stay as they are."""
    fresh = dict(items)
    if not fresh:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    command = (
        dialect.insert(signatures)
        .on_conflict_do_nothing(index_elements=["collection_id", "scope", "digest"])
        .returning(signatures.c.id, signatures.c.digest)
    )
    values = [
        {"collection_id": collection_id, "scope": scope, "digest": digest, "data": data}
        for digest, data in fresh.items()
    ]
    kept = [(row[0], scope, fresh[bytes(row[1])]) for row in connection.execute(command, values)]
    recent = connection.dialect.name == "sqlite"
    _insert_bands(connection, collection_id, kept, threshold, recent=recent)
    if recent and kept:
        _move_on(connection, collection_id, max(row[0] for row in kept))


def remove(
    connection: Connection, collection_id: int, scope: Scope, digests: Sequence[bytes], threshold: float
) -> None:
    """Forget some digests; those that are not kept are no error. The threshold is the one they were added with: under
    another one their bands stay until `rebuild`, and are passed over meanwhile."""
    for part in _parts(digests, MANY):
        command = (
            delete(signatures)
            .where(
                signatures.c.collection_id == collection_id,
                signatures.c.scope == scope,
                signatures.c.digest.in_(part),
            )
            .returning(signatures.c.id, signatures.c.data)
        )
        gone = connection.execute(command).all()
        keys = band_keys([bytes(row[1]) for row in gone], threshold)
        connection.execute(
            delete(bands).where(
                bands.c.collection_id == collection_id,
                bands.c.recent.in_([False, True]),
                _among(connection, bands.c.hash, {key ^ _SALT[scope] for row in keys for key in row}),
                _among(connection, bands.c.signature_id, {row[0] for row in gone}),
            )
        )


def rebuild(connection: Connection, collection_id: int, threshold: float) -> int:
    """Make the bands of a collection anew from its signatures, for this threshold. Returns how many signatures."""
    connection.execute(delete(bands).where(bands.c.collection_id == collection_id))
    total = last = 0
    while True:
        rows = connection.execute(
            select(signatures.c.id, signatures.c.scope, signatures.c.data)
            .where(
                signatures.c.collection_id == collection_id,
                signatures.c.scope.in_(list(_SALT)),
                signatures.c.id > last,
            )
            .order_by(signatures.c.id)
            .limit(PAGE)
        ).all()
        if not rows:
            return total
        made = [(row[0], row[1], bytes(row[2])) for row in rows]
        _insert_bands(connection, collection_id, made, threshold, recent=False)
        total += len(rows)
        last = rows[-1][0]


def _insert_bands(
    connection: Connection,
    collection_id: int,
    rows: Sequence[tuple[int, Scope, bytes]],
    threshold: float,
    *,
    recent: bool,
) -> None:
    """The bands of some signatures (id, scope, data), in the order of the primary key: each page is met once."""
    salted = zip(rows, band_keys([data for _, _, data in rows], threshold), strict=True)
    pairs = sorted({(key ^ _SALT[scope], one) for (one, scope, _), keys in salted for key in keys})
    if not pairs:
        return
    if connection.dialect.name == "postgresql":
        hashes, ids = (literal(list(one), postgresql.ARRAY(BigInteger)) for one in zip(*pairs, strict=True))
        columns: tuple[ColumnElement[int], ...] = (func.unnest(hashes), func.unnest(ids))
    else:  # one parameter for thousands of rows: a row of parameters each costs three times the insertion
        text = ",".join([f'"{key}":{one}' for key, one in pairs])
        each = func.json_each(f"{{{text}}}").table_valued("key", "value").c
        columns = (cast(each.key, BigInteger), each.value)
    every = select(literal(collection_id), literal(recent), *columns)
    connection.execute(insert(bands).from_select(["collection_id", "recent", "hash", "signature_id"], every))


def _move_on(connection: Connection, collection_id: int, last_id: int) -> None:
    """Move the recent rows of one part of all keys into the large tree. Which part follows from the newest id by the
    golden ratio, whose multiples visit all parts evenly, however many ids a batch takes."""
    width = 2**64 // _PARTS
    low = last_id * 0x9E3779B97F4A7C15 % 2**64 * (2**64 + width) // 2**64 - 2**63 - width
    part = (
        bands.c.collection_id == collection_id,
        bands.c.recent == true(),
        bands.c.hash.between(max(low, -(2**63)), min(low + width, 2**63 - 1)),
    )
    moved = select(bands.c.collection_id, false(), bands.c.hash, bands.c.signature_id).where(*part)
    connection.execute(insert(bands).from_select(["collection_id", "recent", "hash", "signature_id"], moved))
    connection.execute(delete(bands).where(*part))


def _signatures(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
    """Digest and signature by id; of those that are kept no more, nothing."""
    found: dict[int, tuple[bytes, bytes]] = {}
    for part in _parts(ids, MANY):
        query = select(signatures.c.id, signatures.c.digest, signatures.c.data).where(signatures.c.id.in_(part))
        found |= {row[0]: (bytes(row[1]), bytes(row[2])) for row in connection.execute(query)}
    return found


def _nearest(
    item: tuple[bytes, bytes], others: Sequence[tuple[bytes, bytes]], threshold: float, most: int
) -> list[bytes]:
    """The digests of the others that are worth verifying against an item, the most alike first, `most` of them."""
    others = [other for other in others if other[0] != item[0]]
    if not others:
        return []
    likeness = estimates(item[1], [data for _, data in others]).tolist()
    least = least_estimate(threshold)
    ranked = sorted((-value, digest) for value, (digest, _) in zip(likeness, others, strict=True) if value >= least)
    return [digest for _, digest in ranked[:most]]


def _within(items: Sequence[tuple[bytes, bytes]], threshold: float) -> list[list[int]]:
    """For each item the earlier ones of the batch that share a band; those of an equal digest are the same text."""
    rows = band_keys([data for _, data in items], threshold)
    shared = {key for key, count in Counter(chain.from_iterable(rows)).items() if count > 1}
    earlier: dict[int, list[int]] = {key: [] for key in shared}
    found: list[list[int]] = []
    for i, row in enumerate(rows):
        mine: set[int] = set()
        for key in shared.intersection(row):
            mine.update(earlier[key])
            earlier[key].append(i)
        found.append(sorted(j for j in mine if items[j][0] != items[i][0]))
    return found


def _stored_sets(digests: Sequence[bytes], texts: Texts) -> Iterator[tuple[bytes, Shingles]]:
    """The shingles of stored texts, a few texts in memory at a time."""
    for part in _parts(digests, READ):
        read = sorted(texts(part).items())
        yield from zip([digest for digest, _ in read], shingle_sets([text for _, text in read]), strict=True)


def _judge(found: dict[bytes, float], digest: bytes, mine: Shingles, other: Shingles, threshold: float) -> None:
    """Report the other text if it is near enough."""
    similarity = near(mine, other, threshold)
    if similarity is not None:
        found[digest] = similarity


def _among(connection: Connection, column: ColumnElement[int], values: Collection[int]) -> ColumnElement[bool]:
    """The column holds one of thousands of values, as a single parameter: a parameter each costs more than the
    lookup."""
    ordered = sorted(values)
    if connection.dialect.name == "postgresql":
        return column == any_(literal(ordered, postgresql.ARRAY(BigInteger)))
    return column.in_(select(func.json_each(json.dumps(ordered)).table_valued("value").c.value))


def _parts(values: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (values[i : i + size] for i in range(0, len(values), size))
