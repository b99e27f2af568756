"""Queues of reviews: what they take in, what reviewers are told, which labels they give, and the items that wait.

An interaction is at most once in a queue, however often it is filled. Of a removed queue the reviews stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    update,
)

from rag.errors import Conflict, NotFound, WrongUsage
from rag.store.audit import record as record_audit
from rag.store.jobs import clock
from rag.store.reviews.items import settle
from rag.store.tables import review_guidelines, review_items, review_queues, reviews
from rag.types import Metadata

MOST_LABELS, MOST_REVIEWERS = 9, 20  # labels are chosen by the keys 1 to 9


@dataclass(frozen=True, slots=True)
class Label:
    """What a reviewer may say of an answer."""

    name: str
    value: float | None = None  # as a score, 0 bad … 1 good; None: it does not say how good the answer is


LABELS = (Label("correct", 1.0), Label("partly", 0.5), Label("wrong", 0.0), Label("cannot judge"))
SCORE = "correctness"


@dataclass(frozen=True, slots=True)
class Queue:
    id: int
    tenant_id: int
    name: str
    rule: Metadata  # as rag.reviews.filling writes it
    score: str  # the name under which a label is also a score of the interaction
    labels: tuple[Label, ...]
    reviewers: int  # so many different people an item needs
    guidelines: str  # Markdown
    guidelines_id: int
    user: str  # who made it
    created_at: datetime
    removed_at: datetime | None
    filled_at: datetime | None
    filled_score: int | None  # up to where its rule has looked at scores and feedback, by their ids
    filled_feedback: int | None

    def label(self, name: str) -> Label:
        """The label of this name. Raises WrongUsage, naming those that there are."""
        for label in self.labels:
            if label.name == name:
                return label
        raise WrongUsage(f"no label {name!r} in the queue {self.name!r}; there are: {_names(self.labels)}")


# ── queues ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def add(
    connection: Connection,
    tenant_id: int,
    name: str,
    rule: Metadata,
    *,
    user: str,
    guidelines: str = "",
    labels: Sequence[Label] = LABELS,
    reviewers: int = 1,
    score: str = SCORE,
) -> Queue:
    """Make a queue; the audit trail says who did. Raises WrongUsage, or Conflict when there is one of this name."""
    if not name.strip() or len(name) > 100 or not name.isprintable() or name != name.strip() or "/" in name:
        raise WrongUsage(f"{name!r} cannot name a queue: 1 to 100 printable characters without /, no space at the ends")
    if not score.isidentifier() or len(score) > 100:
        raise WrongUsage(f"{score!r} cannot name a score: letters, digits and _, not beginning with a digit")
    check_labels(labels)
    check_reviewers(reviewers)
    taken = connection.scalar(
        select(review_queues.c.id).where(
            review_queues.c.tenant_id == tenant_id, review_queues.c.name == name, review_queues.c.removed_at.is_(None)
        )
    )
    if taken is not None:
        raise Conflict(f"there is a queue {name!r}; choose another name, or change it")
    at = clock(connection)
    key = connection.execute(
        insert(review_queues).values(
            tenant_id=tenant_id,
            name=name,
            rule=dict(rule),
            score=score,
            labels=[{"name": label.name, "value": label.value} for label in labels],
            reviewers=reviewers,
            user=user,
            created_at=at,
        )
    ).inserted_primary_key
    assert key is not None
    _guide(connection, int(key[0]), guidelines, user, at)
    record_audit(connection, tenant_id, actor=user, action="review queue add", subject=name, detail={})
    return get(connection, tenant_id, name)


def change(
    connection: Connection,
    tenant_id: int,
    name: str,
    *,
    user: str,
    rule: Metadata | None = None,
    guidelines: str | None = None,
    reviewers: int | None = None,
) -> Queue:
    """Change what a queue takes in, tells, or asks for. Reviews keep the guidelines under which they were made; items
    that stand in it stay. Raises NotFound."""
    queue = get(connection, tenant_id, name, lock=True)
    values: dict[str, object] = {}
    if rule is not None and rule != queue.rule:  # what was looked at is looked at again
        values |= {"rule": dict(rule), "filled_at": None, "filled_score": None, "filled_feedback": None}
    if reviewers is not None:
        check_reviewers(reviewers)
        values["reviewers"] = reviewers
    if values:
        connection.execute(update(review_queues).where(review_queues.c.id == queue.id).values(values))
    if guidelines is not None and guidelines != queue.guidelines:
        _guide(connection, queue.id, guidelines, user, clock(connection))
    if reviewers is not None and reviewers != queue.reviewers:
        _recount(connection, queue.id, reviewers)
    record_audit(connection, tenant_id, actor=user, action="review queue change", subject=name, detail={})
    return get(connection, tenant_id, name)


def remove(connection: Connection, tenant_id: int, name: str, *, user: str) -> int:
    """Take a queue away with the items that nobody has reviewed or works on; reviews stay. How many there are. Raises
    NotFound."""
    queue = get(connection, tenant_id, name, lock=True)
    at, of = clock(connection), review_items.c.queue_id == queue.id
    judged = exists().where(reviews.c.item_id == review_items.c.id)
    worked_on = and_(review_items.c.lease_until.is_not(None), review_items.c.lease_until >= at)
    touched = list(connection.scalars(select(review_items.c.interaction_id).where(of)))
    connection.execute(delete(review_items).where(of, not_(or_(judged, worked_on))))
    ended = {"state": "done", "done_at": at}
    connection.execute(update(review_items).where(of, review_items.c.state == "waiting").values(ended))
    connection.execute(update(review_queues).where(review_queues.c.id == queue.id).values(removed_at=at))
    settle(connection, touched)
    kept = connection.scalar(
        select(func.count()).where(reviews.c.queue_id == queue.id, reviews.c.replaced_at.is_(None))
    )
    record_audit(
        connection, tenant_id, actor=user, action="review queue remove", subject=name, detail={"reviews": kept or 0}
    )
    return int(kept or 0)


def get(connection: Connection, tenant_id: int, name: str, *, lock: bool = False) -> Queue:
    """The queue of this name; with `lock` nobody else fills, changes or removes it before this transaction ends.
    Raises NotFound."""
    where = [review_queues.c.tenant_id == tenant_id, review_queues.c.name == name, review_queues.c.removed_at.is_(None)]
    found = _queues(connection, where, lock=lock)
    if not found:
        raise NotFound(f"no review queue {name!r}; `rag reviews queues list` shows them")
    return found[0]


def by_id(connection: Connection, queue_id: int) -> Queue:
    """A queue that is known to be there, removed or not."""
    return _queues(connection, [review_queues.c.id == queue_id])[0]


def listing(connection: Connection, tenant_id: int) -> list[Queue]:
    """The queues that are not removed, by name."""
    return _queues(connection, [review_queues.c.tenant_id == tenant_id, review_queues.c.removed_at.is_(None)])


def everywhere(connection: Connection) -> list[Queue]:
    """The queues of all tenants that are not removed, by name."""
    return _queues(connection, [review_queues.c.removed_at.is_(None)])


def _queues(connection: Connection, where: Sequence[ColumnElement[bool]], *, lock: bool = False) -> list[Queue]:
    newest = (
        select(func.max(review_guidelines.c.id))
        .where(review_guidelines.c.queue_id == review_queues.c.id)
        .correlate(review_queues)
        .scalar_subquery()
    )
    query = (
        select(review_queues, review_guidelines.c.id.label("guidelines_id"), review_guidelines.c.text)
        .join(review_guidelines, review_guidelines.c.id == newest)
        .where(*where)
        .order_by(review_queues.c.name)
    )
    if lock:  # rows that point to it may still be added: a review does not wait for the rule to be applied
        query = query.with_for_update(of=review_queues, key_share=True)
    return [_queue(row) for row in connection.execute(query)]


def _queue(row: Row[Any]) -> Queue:
    return Queue(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        rule=row.rule,
        score=row.score,
        labels=tuple(Label(each["name"], each["value"]) for each in row.labels),
        reviewers=row.reviewers,
        guidelines=row.text,
        guidelines_id=row.guidelines_id,
        user=row.user,
        created_at=row.created_at,
        removed_at=row.removed_at,
        filled_at=row.filled_at,
        filled_score=row.filled_score,
        filled_feedback=row.filled_feedback,
    )


def _guide(connection: Connection, queue_id: int, text: str, user: str, at: datetime) -> None:
    connection.execute(insert(review_guidelines).values(queue_id=queue_id, text=text, user=user, created_at=at))


def check_labels(labels: Sequence[Label]) -> None:
    """Raise WrongUsage unless these can be the labels of a queue."""
    names = [label.name for label in labels]
    if not 2 <= len(labels) <= MOST_LABELS or len(set(names)) < len(names):
        raise WrongUsage(f"a queue has 2 to {MOST_LABELS} labels, no two of one name; these are: {_names(labels)}")
    for label in labels:
        if not label.name.strip() or len(label.name) > 60 or not label.name.isprintable():
            raise WrongUsage(f"{label.name!r} cannot be a label: 1 to 60 printable characters")
        if label.value is not None and not 0 <= label.value <= 1:
            raise WrongUsage(f"the value of the label {label.name!r} must lie in 0…1, not {label.value}")


def check_reviewers(reviewers: int) -> None:
    if not 1 <= reviewers <= MOST_REVIEWERS:
        raise WrongUsage(f"an item is reviewed by 1 to {MOST_REVIEWERS} people, not {reviewers}")


def _names(labels: Sequence[Label]) -> str:
    return ", ".join(label.name for label in labels)


def _recount(connection: Connection, queue_id: int, reviewers: int) -> None:
    """Which items are done, after the number of reviewers that they need has changed."""
    having = select(func.count()).where(reviews.c.item_id == review_items.c.id, reviews.c.replaced_at.is_(None))
    enough = having.scalar_subquery() >= reviewers
    of = review_items.c.queue_id == queue_id
    turned = select(review_items.c.interaction_id).where(of, enough != (review_items.c.state == "done"))
    touched = list(connection.scalars(turned))
    connection.execute(
        update(review_items)
        .where(of)
        .values(
            state=case((enough, literal("done")), else_=literal("waiting")),
            done_at=case((enough, func.coalesce(review_items.c.done_at, clock(connection))), else_=null()),
        )
    )
    settle(connection, touched)
