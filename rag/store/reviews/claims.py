"""Working on items of reviews: claims that never give one item to two reviewers at once, and leases on them.

A page that is open renews its lease; a browser that closes frees it; where neither is heard of any more it ends by
itself, and the item goes to whoever asks next. Saving a review (reviews.py) needs no lease: what a person has judged is
kept, however late it comes.

`at` is the time of a claim; the database's own where it is not given.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from rag.errors import Conflict
from rag.store.jobs import clock
from rag.store.reviews.items import Item, for_reviewer, get, missing, seen, settle
from rag.store.tables import interactions, review_items, review_skips
from rag.types import Principal

LEASE_S = 600.0  # far longer than a page takes to renew it, short enough that a lost item is soon back


class LockLost(Conflict):
    """Another reviewer may have the item by now."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The right to work on an item. `owner` is new at each claim: two windows of one person hold two of them."""

    item_id: int
    owner: str
    until: datetime


def claim(
    connection: Connection,
    asker: Principal,
    queue_id: int,
    *,
    lease_s: float = LEASE_S,
    skipped: bool = False,
    at: datetime | None = None,
) -> tuple[Item, Lock] | None:
    """Lock the next item of a queue for a reviewer: of those that wait, that nobody works on, that the reviewer may
    see, has not judged and has not skipped (with `skipped`: has skipped), the one of the highest priority, then the
    one that came in first. None when there is none.

    Two claims never take one item: on SQLite writers take turns, on PostgreSQL a row that another claim holds is
    passed over.
    """
    at = at or clock(connection)
    may = exists().where(interactions.c.id == review_items.c.interaction_id, seen(asker)).correlate(review_items)
    query = (
        select(review_items.c.id, review_items.c.interaction_id)
        .where(
            review_items.c.queue_id == queue_id,
            review_items.c.state == "waiting",
            _free(at),
            may,
            for_reviewer(asker.user, skipped=skipped),
        )
        .order_by(review_items.c.priority.desc(), review_items.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    while (row := connection.execute(query).one_or_none()) is not None:
        if not is_erased(connection, row.interaction_id):
            return _lock(connection, asker, row.id, secrets.token_hex(8), lease_s, at)
        ended = {"state": "done", "done_at": at}
        connection.execute(update(review_items).where(review_items.c.id == row.id).values(ended))
        settle(connection, [row.interaction_id])
    return None


def is_erased(connection: Connection, interaction_id: str) -> bool:
    """Whether the words of an interaction were erased: there is nothing left to judge."""
    return connection.scalar(select(interactions.c.erased_at).where(interactions.c.id == interaction_id)) is not None


def take(
    connection: Connection,
    asker: Principal,
    item_id: int,
    *,
    owner: str | None = None,
    lease_s: float = LEASE_S,
    at: datetime | None = None,
) -> tuple[Item, Lock]:
    """Lock one item, done or not; a window that has the lock, or had it (`owner`), holds it for a whole lease again.
    One that ended unnoticed is still its holder's until somebody takes the item. Raises NotFound, and LockLost while
    somebody else, or another window, works on it."""
    at = at or clock(connection)
    row = locked(connection, asker, item_id)
    held = row.lease_until is not None and row.lease_until >= at
    if held and row.lease_owner != owner:
        raise LockLost(f"{row.reviewer} works on item {item_id} until {row.lease_until:%H:%M} UTC; take another one")
    return _lock(connection, asker, item_id, owner or secrets.token_hex(8), lease_s, at)


def free(connection: Connection, asker: Principal, item_id: int, owner: str, *, until: datetime | None = None) -> bool:
    """Give a lock back; whether it was still held by this window. With `until` only as it was known then: a page that
    is loaded anew has renewed it before the one that it replaces says good-bye. Raises NotFound."""
    row = locked(connection, asker, item_id)
    if row.lease_owner != owner or (until is not None and row.lease_until > until):
        return False
    release(connection, item_id)
    return True


def skip(connection: Connection, asker: Principal, item_id: int, owner: str | None = None) -> None:
    """Pass over an item: this reviewer is not given it again unless they ask for what they skipped. Raises NotFound."""
    row = locked(connection, asker, item_id)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(review_skips)
        .values(item_id=item_id, reviewer=asker.user, created_at=clock(connection))
        .on_conflict_do_nothing()
    )
    if owner is not None and row.lease_owner == owner:
        release(connection, item_id)


def release(connection: Connection, item_id: int) -> None:
    """End the lock on an item, whosever it is."""
    ended = {"reviewer": None, "lease_owner": None, "lease_until": None}
    connection.execute(update(review_items).where(review_items.c.id == item_id).values(ended))


def locked(connection: Connection, asker: Principal, item_id: int) -> Row[Any]:
    """An item's row, kept from others until this transaction ends. Raises NotFound."""
    row = connection.execute(
        select(review_items)
        .join(interactions, interactions.c.id == review_items.c.interaction_id)
        .where(review_items.c.id == item_id, seen(asker))
        .with_for_update(of=review_items)
    ).one_or_none()
    if row is None:
        raise missing(item_id)
    return row


def _free(at: datetime) -> ColumnElement[bool]:
    return or_(review_items.c.lease_until.is_(None), review_items.c.lease_until < at)


def _lock(
    connection: Connection, asker: Principal, item_id: int, owner: str, lease_s: float, at: datetime
) -> tuple[Item, Lock]:
    until = at + timedelta(seconds=lease_s)
    connection.execute(
        update(review_items)
        .where(review_items.c.id == item_id)
        .values(reviewer=asker.user, lease_owner=owner, lease_until=until)
    )
    connection.execute(
        delete(review_skips).where(review_skips.c.item_id == item_id, review_skips.c.reviewer == asker.user)
    )
    return get(connection, asker, item_id, at=at), Lock(item_id, owner, until)
