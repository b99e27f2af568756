"""Datasets that are kept: each name has versions 1, 2, …, and a version never changes once it is written.

Nothing here updates a version or its items; triggers of the database refuse it to everybody else. A version can only
go as a whole, which the audit trail says.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal, cast

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from rag.errors import Conflict, NotFound, WrongUsage
from rag.store import audit
from rag.store.database import now
from rag.store.tables import dataset_items, dataset_versions, datasets

Kind = Literal["log", "questions"]
"""What a dataset is made of: answered questions of the log, or questions that nobody has asked yet."""
Split = Literal["train", "validation", "test"]
Origin = Literal["human", "synthetic", "generated"]
Content = Mapping[str, object]  # JSON

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
NAME_LENGTH = 100
AT_ONCE = 200  # rows of an insert
REMOVED = "dataset remove"  # in the audit trail


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a dataset."""

    key: str  # once in a version
    split: Split
    origin: Origin
    content: Content
    interaction_id: str | None = None  # where it comes from; None: from no answer

    @property
    def digest(self) -> str:
        """Of everything but where it comes from: 32 hexadecimal digits (BLAKE2b), the same everywhere."""
        written = canonical({"key": self.key, "split": self.split, "origin": self.origin, "content": self.content})
        return blake2b(written.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version as it is handed in."""

    name: str
    kind: Kind
    collection: str  # whose documents it judges
    items: tuple[Item, ...]
    query: Content  # what it was made from
    card: Content  # see rag.exports.cards
    user: str = "local"


@dataclass(frozen=True, slots=True)
class Version:
    """A version that is kept, without its items."""

    id: int
    name: str
    kind: Kind
    number: int
    digest: str
    collection: str
    items: int
    query: Content
    card: Content
    user: str
    created_at: datetime

    @property
    def named(self) -> str:
        """NAME@NUMBER, which means this version for ever."""
        return f"{self.name}@{self.number}"


def canonical(value: object) -> str:
    """JSON that is the same text for the same value; one with a lone surrogate, which no database takes, is ASCII."""
    written = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        written.encode()
    except UnicodeEncodeError:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return written


def digest_of(items: Iterable[Item]) -> str:
    """Of all items, in whatever order: 32 hexadecimal digits."""
    return _digest_of(item.digest for item in items)


def _digest_of(digests: Iterable[str]) -> str:
    return blake2b("\n".join(sorted(digests)).encode(), digest_size=16).hexdigest()


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def add(connection: Connection, tenant_id: int, new: NewVersion) -> tuple[Version, bool]:
    """Keep a version, and say whether it is a new one: where the newest has the same items, that one is given back.

    Raises WrongUsage for a name that cannot be one, for no items and for a key that comes twice; Conflict for a name
    that is a dataset of another kind.
    """
    check_name(new.name)
    if not new.items:
        raise WrongUsage(f"the dataset {new.name!r} would be empty: nothing fits what was asked for")
    seen: set[str] = set()
    for item in new.items:
        if item.key in seen:
            raise WrongUsage(f"the key {item.key!r} comes twice")
        seen.add(item.key)
    dataset_id = _ensure(connection, tenant_id, new)
    newest = connection.execute(_of(tenant_id, new.name).limit(1)).one_or_none()
    digests = [item.digest for item in new.items]
    digest = _digest_of(digests)
    if newest is not None and newest.digest == digest:
        return _value(newest), False
    number = max(0 if newest is None else int(newest.number), _removed(connection, tenant_id, new.name)) + 1
    key = connection.execute(
        insert(dataset_versions).values(
            dataset_id=dataset_id,
            number=number,
            digest=digest,
            collection=new.collection,
            items=len(new.items),
            query=dict(new.query),
            card=dict(new.card),
            sealed=False,
            user=new.user,
            created_at=now(),
        )
    ).inserted_primary_key
    assert key is not None
    rows = [
        {
            "version_id": key[0],
            "number": place,
            "key": item.key,
            "interaction_id": item.interaction_id,
            "split": item.split,
            "origin": item.origin,
            "digest": item_digest,
            "content": canonical(item.content),
        }
        for place, (item, item_digest) in enumerate(zip(new.items, digests, strict=True), 1)
    ]
    for begin in range(0, len(rows), AT_ONCE):
        connection.execute(insert(dataset_items), rows[begin : begin + AT_ONCE])
    connection.execute(update(dataset_versions).where(dataset_versions.c.id == key[0]).values(sealed=True))
    return get(connection, tenant_id, f"{new.name}@{number}"), True


def _ensure(connection: Connection, tenant_id: int, new: NewVersion) -> int:
    found = connection.execute(
        select(datasets.c.id, datasets.c.kind).where(datasets.c.tenant_id == tenant_id, datasets.c.name == new.name)
    ).one_or_none()
    if found is not None:
        if found.kind != new.kind:
            raise Conflict(
                f"the dataset {new.name!r} is of the kind {found.kind!r}, not {new.kind!r}; give another name"
            )
        return int(found.id)
    key = connection.execute(
        insert(datasets).values(tenant_id=tenant_id, name=new.name, kind=new.kind, created_at=now())
    ).inserted_primary_key
    assert key is not None
    return int(key[0])


def _removed(connection: Connection, tenant_id: int, name: str) -> int:
    """The highest number of a version that was removed, as the audit trail tells; 0 where none was: a number that once
    meant a version never means another."""
    told = audit.details(connection, tenant_id, REMOVED, name, f"{name}@")
    numbers = [number for detail in told for number in cast(list[int], detail["versions"])]
    return max(numbers, default=0)


def remove(connection: Connection, tenant_id: int, named: str, *, user: str) -> list[Version]:
    """Forget a version (NAME@NUMBER) or all of a dataset (NAME). Raises NotFound. The audit trail says who did; the
    numbers are not given again."""
    name, at, _ = named.partition("@")
    gone = [get(connection, tenant_id, named)] if at else versions(connection, tenant_id, name)
    for version in gone:
        connection.execute(delete(dataset_versions).where(dataset_versions.c.id == version.id))
    if not connection.execute(_of(tenant_id, name).limit(1)).all():
        connection.execute(delete(datasets).where(datasets.c.tenant_id == tenant_id, datasets.c.name == name))
    detail: dict[str, Any] = {"versions": [version.number for version in gone]}
    audit.record(connection, tenant_id, actor=user, action=REMOVED, subject=named, detail=detail)
    return gone


def check_name(name: str) -> None:
    """Raise WrongUsage unless `name` can name a dataset: 1…100 printable characters, no slash, no @, no outer blanks,
    not beginning with a point."""
    wrong = not name or len(name) > NAME_LENGTH or name != name.strip() or name.startswith(".")
    if wrong or "/" in name or "\\" in name or "@" in name or not name.isprintable():
        raise WrongUsage(
            f"{name!r} cannot name a dataset: 1 to {NAME_LENGTH} printable characters, no slash, no @, no blanks at "
            "the ends, no point at the beginning"
        )


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def get(connection: Connection, tenant_id: int, named: str) -> Version:
    """The version that NAME (the newest) or NAME@NUMBER means. Raises NotFound, naming what there is."""
    name, at, number = named.partition("@")
    query = _of(tenant_id, name)
    if at:
        if not (number.isascii() and number.isdecimal()) or len(number) > 9:
            raise WrongUsage(f"{named!r} names no version: write NAME or NAME@NUMBER")
        query = query.where(dataset_versions.c.number == int(number))
    row = connection.execute(query.limit(1)).one_or_none()
    if row is not None:
        return _value(row)
    kept = versions(connection, tenant_id, name) if at else []
    if kept:
        raise NotFound(f"the dataset {name!r} has the versions 1 to {kept[0].number}, no {number}")
    names = [version.name for version in listing(connection, tenant_id, limit=10)]
    known = f"there are: {', '.join(names)}" if names else "there is none yet: rag datasets make NAME"
    raise NotFound(f"no dataset {name!r}; {known}")


def versions(connection: Connection, tenant_id: int, name: str) -> list[Version]:
    """Every version of a dataset, the newest first. Raises NotFound."""
    rows = connection.execute(_of(tenant_id, name)).all()
    return [_value(row) for row in rows] or [get(connection, tenant_id, name)]


def listing(
    connection: Connection, tenant_id: int, *, limit: int, before: int | None = None, kind: Kind | None = None
) -> list[Version]:
    """The newest version of every dataset, the youngest first, beginning behind the version of the id `before`."""
    newest = select(func.max(dataset_versions.c.id)).group_by(dataset_versions.c.dataset_id)
    query = _select().where(datasets.c.tenant_id == tenant_id, dataset_versions.c.id.in_(newest))
    if before is not None:
        query = query.where(dataset_versions.c.id < before)
    if kind is not None:
        query = query.where(datasets.c.kind == kind)
    return [_value(row) for row in connection.execute(query.order_by(dataset_versions.c.id.desc()).limit(limit))]


def everything(connection: Connection) -> list[Version]:
    """Every version of every dataset of all tenants, in the order in which they were kept."""
    return [_value(row) for row in connection.execute(_select().order_by(dataset_versions.c.id))]


def items(
    connection: Connection, version_id: int, *, split: Split | None = None, origin: Origin | None = None
) -> list[Item]:
    """What a version holds, in its order; of one split or origin, where these are given."""
    table = dataset_items.c
    query = select(dataset_items).where(table.version_id == version_id).order_by(table.number)
    if split is not None:
        query = query.where(table.split == split)
    if origin is not None:
        query = query.where(table.origin == origin)
    return [
        Item(row.key, row.split, row.origin, json.loads(row.content), row.interaction_id)
        for row in connection.execute(query)
    ]


def holding(connection: Connection, tenant_id: int, interaction_ids: Sequence[str]) -> list[str]:
    """The versions that hold something of these interactions, as NAME@NUMBER: what an erasure must also take away."""
    query = (
        select(datasets.c.name, dataset_versions.c.number)
        .join(dataset_versions, dataset_versions.c.dataset_id == datasets.c.id)
        .join(dataset_items, dataset_items.c.version_id == dataset_versions.c.id)
        .where(datasets.c.tenant_id == tenant_id, dataset_items.c.interaction_id.in_(interaction_ids))
        .distinct()
        .order_by(datasets.c.name, dataset_versions.c.number)
    )
    return [f"{row.name}@{row.number}" for row in connection.execute(query)]


def damaged(connection: Connection, version: Version) -> list[str]:
    """The keys of items whose digest is not that of what they say; "" among them where the version's own is not."""
    rows = connection.execute(
        select(dataset_items.c.key, dataset_items.c.digest).where(dataset_items.c.version_id == version.id)
    ).all()
    kept = {row.key: row.digest for row in rows}
    wrong = [item.key for item in items(connection, version.id) if item.digest != kept[item.key]]
    whole = _digest_of(kept.values()) == version.digest and len(kept) == version.items
    return wrong if whole else ["", *wrong]


def _select() -> Select[Any]:
    return select(dataset_versions, datasets.c.name, datasets.c.kind).join(
        datasets, datasets.c.id == dataset_versions.c.dataset_id
    )


def _of(tenant_id: int, name: str) -> Select[Any]:
    """The versions of a dataset, the newest first."""
    return (
        _select()
        .where(datasets.c.tenant_id == tenant_id, datasets.c.name == name)
        .order_by(dataset_versions.c.number.desc())
    )


def _value(row: Row[Any]) -> Version:
    return Version(
        row.id,
        row.name,
        row.kind,
        row.number,
        row.digest,
        row.collection,
        row.items,
        row.query,
        row.card,
        row.user,
        row.created_at,
    )
