"""Items of review queues: interactions that wait for reviews, why they are in, and what the log says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    not_,
    null,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from rag.errors import NotFound
from rag.store.jobs import clock
from rag.store.tables import interactions, review_items, review_queues, review_skips, reviews
from rag.types import Principal

ItemState = Literal["waiting", "done"]
BY_HAND = "hand"  # what chose an item that a person put in
MANY = 500  # values in one IN (…)


@dataclass(frozen=True, slots=True)
class Counts:
    """How a queue stands, as one reviewer sees it."""

    waiting: int  # items that need further reviews, locked ones included
    locked: int  # of these, those that somebody works on now
    done: int
    open: int  # of those that wait, those that the reviewer may be given: not judged by them, not skipped
    skipped: int  # of those that wait, those that the reviewer has passed over


@dataclass(frozen=True, slots=True)
class Item:
    """An interaction in a queue."""

    id: int
    queue_id: int
    queue: str
    interaction_id: str
    reasons: tuple[str, ...]  # why it is in
    priority: int  # higher goes first
    state: ItemState
    reviewer: str | None  # who works on it; None where nobody does, or their lease has ended
    until: datetime | None  # of that lease
    reviews: int  # that hold
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewItem:
    """An interaction to be put into a queue."""

    interaction_id: str
    reasons: tuple[str, ...]
    chosen_by: str = BY_HAND  # the clause of the rule whose quota it counts for
    priority: int = 0


def seen(asker: Principal) -> ColumnElement[bool]:
    """The interactions that an asker may see: all of the tenant; of one who is bound to labels their own, since the
    passages of others may bear other labels."""
    own = interactions.c.tenant_id == asker.tenant_id
    return own if asker.labels is None else and_(own, interactions.c.user == asker.user)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def put(connection: Connection, tenant_id: int, queue_id: int, new: Sequence[NewItem]) -> list[str]:
    """Put interactions into a queue; which of them were not in it before. Those that are gone are left out."""
    at, added = clock(connection), list[str]()
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    wanted = {item.interaction_id: item for item in new}
    keys = list(wanted)
    for start in range(0, len(keys), MANY):
        part = keys[start : start + MANY]
        own = select(interactions.c.id).where(interactions.c.tenant_id == tenant_id, interactions.c.id.in_(part))
        here = set(connection.scalars(own))
        values = [
            {
                "queue_id": queue_id,
                "interaction_id": key,
                "chosen_by": wanted[key].chosen_by,
                "reasons": list(wanted[key].reasons),
                "priority": wanted[key].priority,
                "state": "waiting",
                "created_at": at,
            }
            for key in part
            if key in here
        ]
        if values:
            added += connection.scalars(
                dialect.insert(review_items)
                .values(values)
                .on_conflict_do_nothing(index_elements=["queue_id", "interaction_id"])
                .returning(review_items.c.interaction_id)
            )
    settle(connection, added)
    return added


def among(connection: Connection, queue_id: int, interaction_ids: Sequence[str]) -> set[str]:
    """Which of these interactions are in a queue."""
    found = connection.scalars(
        select(review_items.c.interaction_id).where(
            review_items.c.queue_id == queue_id, review_items.c.interaction_id.in_(interaction_ids)
        )
    )
    return set(found)


def chosen(connection: Connection, queue_id: int) -> dict[str, int]:
    """How many items each clause of the rule has put into a queue."""
    rows = connection.execute(
        select(review_items.c.chosen_by, func.count())
        .where(review_items.c.queue_id == queue_id)
        .group_by(review_items.c.chosen_by)
    )
    return {row[0]: int(row[1]) for row in rows}


def waiting(connection: Connection, queue_id: int) -> int:
    """How many items of a queue need further reviews."""
    found = connection.scalar(
        select(func.count()).where(review_items.c.queue_id == queue_id, review_items.c.state == "waiting")
    )
    return int(found or 0)


def looked_at(connection: Connection, queue_id: int, marks: Mapping[str, object]) -> None:
    """Note how far the rule of a queue has looked: filled_at, filled_score, filled_feedback."""
    connection.execute(update(review_queues).where(review_queues.c.id == queue_id).values(dict(marks)))


def settle(connection: Connection, interaction_ids: Sequence[str]) -> None:
    """Write what the log says of the review of these interactions: "queued" while an item of theirs waits, "reviewed"
    when none does any more, nothing where there is none."""
    of = review_items.c.interaction_id == interactions.c.id
    state = case(
        (exists().where(of, review_items.c.state == "waiting").correlate(interactions), literal("queued")),
        (exists().where(of).correlate(interactions), literal("reviewed")),
        else_=null(),
    )
    wanted = sorted(set(interaction_ids))
    for start in range(0, len(wanted), MANY):
        part = interactions.c.id.in_(wanted[start : start + MANY])
        in_turn = select(interactions.c.id).where(part).order_by(interactions.c.id).with_for_update(key_share=True)
        connection.execute(in_turn).all()  # two that settle the same ones wait for each other, never in a circle
        connection.execute(update(interactions).where(part).values(review_state=state))


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def get(connection: Connection, asker: Principal, item_id: int, *, at: datetime | None = None) -> Item:
    """An item of an interaction that the asker may see, as its lock stands `at` a time, else now. Raises NotFound."""
    row = connection.execute(_items(connection, asker, at).where(review_items.c.id == item_id)).one_or_none()
    if row is None:
        raise missing(item_id)
    return _item(row)


def missing(item_id: int) -> NotFound:
    return NotFound(f"no review item {item_id}; `rag reviews next` gives one")


def of_interaction(connection: Connection, asker: Principal, interaction_id: str) -> list[Item]:
    """The items of an interaction, by queue; those of removed queues are left out."""
    query = _items(connection, asker).where(
        review_items.c.interaction_id == interaction_id, review_queues.c.removed_at.is_(None)
    )
    return [_item(row) for row in connection.execute(query.order_by(review_queues.c.name))]


def listing(
    connection: Connection,
    asker: Principal,
    queue_id: int,
    *,
    limit: int,
    after: int = 0,
    state: ItemState | None = None,
) -> list[Item]:
    """The items of a queue in the order in which they came in, from behind the id `after` on."""
    query = _items(connection, asker).where(review_items.c.queue_id == queue_id, review_items.c.id > after)
    if state is not None:
        query = query.where(review_items.c.state == state)
    return [_item(row) for row in connection.execute(query.order_by(review_items.c.id).limit(limit))]


def counts(connection: Connection, asker: Principal, queue_id: int) -> Counts:
    """How a queue of the asker's tenant stands, counting what they may see."""
    columns = review_items.c
    may = exists().where(interactions.c.id == columns.interaction_id, seen(asker)).correlate(review_items)
    own = () if asker.labels is None else (may,)  # whoever may see all is not asked of every item
    here = and_(columns.queue_id == queue_id, *own)
    still = columns.state == "waiting"
    locked = and_(still, columns.lease_until >= clock(connection))
    waiting, held, done = connection.execute(
        select(
            func.count(case((still, 1))), func.count(case((locked, 1))), func.count(case((columns.state == "done", 1)))
        )
        .select_from(review_items)
        .where(here)
    ).one()
    # What somebody judged or skipped is little beside a queue: what is left for them is the rest.
    judged = select(reviews.c.item_id).where(
        reviews.c.queue_id == queue_id, reviews.c.reviewer == asker.user, reviews.c.replaced_at.is_(None)
    )
    passed = select(review_skips.c.item_id).where(review_skips.c.reviewer == asker.user)
    by_them = select(func.count(case((columns.id.in_(judged), 1))), func.count()).select_from(review_items)
    by_them = by_them.where(here, still, columns.id.in_(judged.union(passed)))
    seen_to, either = connection.execute(by_them).one()
    return Counts(waiting, held, done, open=waiting - either, skipped=either - seen_to)


def for_reviewer(reviewer: str, *, skipped: bool = False) -> ColumnElement[bool]:
    """The items that a reviewer has not judged, and has not skipped either; or, with `skipped`, just those."""
    judged = exists().where(
        reviews.c.item_id == review_items.c.id, reviews.c.reviewer == reviewer, reviews.c.replaced_at.is_(None)
    )
    passed = exists().where(review_skips.c.item_id == review_items.c.id, review_skips.c.reviewer == reviewer)
    return and_(not_(judged), passed if skipped else not_(passed))


def _items(connection: Connection, asker: Principal, at: datetime | None = None) -> Select[Any]:
    held = and_(review_items.c.lease_until.is_not(None), review_items.c.lease_until >= (at or clock(connection)))
    having = select(func.count()).where(reviews.c.item_id == review_items.c.id, reviews.c.replaced_at.is_(None))
    return (
        select(
            review_items,
            review_queues.c.name.label("queue"),
            held.label("held"),
            having.scalar_subquery().label("reviews"),
        )
        .join(review_queues, review_queues.c.id == review_items.c.queue_id)
        .join(interactions, interactions.c.id == review_items.c.interaction_id)
        .where(seen(asker))
    )


def _item(row: Row[Any]) -> Item:
    return Item(
        id=row.id,
        queue_id=row.queue_id,
        queue=row.queue,
        interaction_id=row.interaction_id,
        reasons=tuple(row.reasons),
        priority=row.priority,
        state=row.state,
        reviewer=row.reviewer if row.held else None,
        until=row.lease_until if row.held else None,
        reviews=row.reviews,
        created_at=row.created_at,
    )
