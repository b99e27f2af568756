"""Reviews: what people judge of logged answers and passages. The newest of a person holds; those before it stay.

A label is also written as a score of the interaction (annotator_kind HUMAN, by the reviewer's name), so that whatever
reads scores reads it: the log, dashboards, gates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, func, insert, select, update

from rag.errors import Conflict, NotFound
from rag.store.jobs import clock
from rag.store.log import scores as score_store
from rag.store.reviews.claims import is_erased, locked, release
from rag.store.reviews.items import seen, settle
from rag.store.reviews.queues import Queue, by_id
from rag.store.reviews.texts import Grade, Judged, graded
from rag.store.tables import (
    interactions,
    review_items,
    review_passages,
    review_queues,
    review_skips,
    reviews,
    scores,
)
from rag.types import Principal, Score

MANY = 500  # values in one IN (…)


@dataclass(frozen=True, slots=True)
class Said:
    """What a reviewer says of one interaction."""

    label: str
    corrected_answer: str | None = None
    passages: tuple[Judged, ...] = ()
    tags: tuple[str, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Review:
    id: int
    item_id: int
    queue_id: int
    queue: str
    interaction_id: str
    guidelines_id: int  # what the reviewer was told
    reviewer: str
    label: str
    value: float | None  # of the label
    corrected_answer: str | None
    passages: tuple[Grade, ...]
    tags: tuple[str, ...]
    note: str | None
    created_at: datetime
    replaced_at: datetime | None  # None: it holds


@dataclass(frozen=True, slots=True)
class Query:
    """Which reviews to list. Every condition given must hold."""

    queue: str | None = None
    reviewer: str | None = None
    interaction_id: str | None = None
    label: str | None = None
    corrected: bool | None = None  # with a corrected answer, or without
    since: datetime | None = None
    until: datetime | None = None
    history: bool = False  # also those that were replaced or taken back
    tag: str | None = None


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def save(connection: Connection, asker: Principal, item_id: int, said: Said) -> Review:
    """Keep what a reviewer says of an item, in place of what they said of it before; the item is done when as many
    people as its queue asks for have reviewed it. Needs no lock, and ends the reviewer's own.

    Raises NotFound, WrongUsage for a label or passage that there is not, and Conflict where the words of the answer
    were erased: what is said of them would bring them back.
    """
    row = locked(connection, asker, item_id)
    if is_erased(connection, row.interaction_id):
        raise Conflict(f"the words of interaction {row.interaction_id} were erased: there is nothing left to judge")
    queue = by_id(connection, row.queue_id)
    label = queue.label(said.label)
    grades = graded(connection, asker, row.interaction_id, said.passages)
    at = clock(connection)
    connection.execute(update(reviews).where(_holding(item_id, asker.user)).values(replaced_at=at))
    key = connection.execute(
        insert(reviews).values(
            tenant_id=asker.tenant_id,
            item_id=item_id,
            queue_id=queue.id,
            interaction_id=row.interaction_id,
            guidelines_id=queue.guidelines_id,
            reviewer=asker.user,
            label=label.name,
            value=label.value,
            corrected_answer=said.corrected_answer or None,
            tags=list(dict.fromkeys(said.tags)),
            note=said.note or None,
            created_at=at,
        )
    ).inserted_primary_key
    assert key is not None
    if grades:
        connection.execute(
            insert(review_passages),
            [
                {
                    "review_id": int(key[0]),
                    "content_id": grade.content_id,
                    "start": grade.start,
                    "end": grade.end,
                    "number": grade.number,
                    "grade": grade.grade,
                }
                for grade in grades
            ],
        )
    skipped = review_skips.c.item_id == item_id, review_skips.c.reviewer == asker.user
    connection.execute(delete(review_skips).where(*skipped))
    if row.reviewer == asker.user:
        release(connection, item_id)
    _finish(connection, queue, item_id, row.interaction_id, at)
    score = Score(queue.score, label.value, label.name, said.note or None, "HUMAN", asker.user)
    score_store.replace(connection, [(row.interaction_id, score)])
    return get(connection, asker, int(key[0]))


def withdraw(connection: Connection, asker: Principal, review_id: int) -> Review:
    """Take back one's own review: it stays in the history and no longer counts, and its item waits again. Raises
    NotFound, also for one that was replaced."""
    found = get(connection, asker, review_id)
    row = locked(connection, asker, found.item_id)
    at = clock(connection)
    own = _holding(found.item_id, asker.user)
    if not connection.execute(update(reviews).where(own, reviews.c.id == review_id).values(replaced_at=at)).rowcount:
        raise NotFound(f"no review {review_id} of yours that holds; `rag reviews list` shows them")
    queue = by_id(connection, row.queue_id)
    given = scores.c.interaction_id == found.interaction_id, scores.c.name == queue.score
    by = scores.c.annotator_kind == "HUMAN", scores.c.identifier == asker.user
    connection.execute(delete(scores).where(*given, *by))
    if (other := _elsewhere(connection, asker, found.interaction_id, queue.score)) is not None:
        score_store.replace(connection, [(found.interaction_id, other)])
    _finish(connection, queue, found.item_id, found.interaction_id, at)
    return get(connection, asker, review_id)


def _elsewhere(connection: Connection, asker: Principal, interaction_id: str, score: str) -> Score | None:
    """The score of this name that another review of the asker still gives the interaction: that of another queue."""
    row = connection.execute(
        select(reviews.c.value, reviews.c.label, reviews.c.note)
        .join(review_queues, review_queues.c.id == reviews.c.queue_id)
        .where(
            reviews.c.interaction_id == interaction_id,
            reviews.c.reviewer == asker.user,
            reviews.c.replaced_at.is_(None),
            review_queues.c.score == score,
        )
        .order_by(reviews.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Score(score, row.value, row.label, row.note, "HUMAN", asker.user)


def _holding(item_id: int, reviewer: str) -> ColumnElement[bool]:
    return (reviews.c.item_id == item_id) & (reviews.c.reviewer == reviewer) & reviews.c.replaced_at.is_(None)


def _finish(connection: Connection, queue: Queue, item_id: int, interaction_id: str, at: datetime) -> None:
    """Whether an item whose row is locked is done now, written there and in the log."""
    having = select(func.count()).where(reviews.c.item_id == item_id, reviews.c.replaced_at.is_(None))
    done = int(connection.scalar(having) or 0) >= queue.reviewers or queue.removed_at is not None
    values = {"state": "done", "done_at": at} if done else {"state": "waiting", "done_at": None}
    connection.execute(update(review_items).where(review_items.c.id == item_id).values(values))
    settle(connection, [interaction_id])


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def get(connection: Connection, asker: Principal, review_id: int) -> Review:
    """One review of an interaction that the asker may see. Raises NotFound."""
    found = _reviews(connection, [seen(asker), reviews.c.id == review_id])
    if not found:
        raise NotFound(f"no review {review_id}; `rag reviews list` shows them")
    return found[0]


def listing(
    connection: Connection, asker: Principal, query: Query = Query(), *, limit: int, before: int | None = None
) -> list[Review]:
    """The newest reviews first, from behind the id `before` on; those that hold, of what the asker may see."""
    where = [seen(asker), *_conditions(connection, query)]
    if before is not None:
        where.append(reviews.c.id < before)
    return _reviews(connection, where, limit=limit)


def of_interaction(connection: Connection, asker: Principal, interaction_id: str) -> list[Review]:
    """What holds of an interaction, the newest first."""
    return _reviews(
        connection, [seen(asker), reviews.c.interaction_id == interaction_id, reviews.c.replaced_at.is_(None)]
    )


def _conditions(connection: Connection, query: Query) -> list[ColumnElement[bool]]:
    """What a row of the reviews, joined with its queue, must fulfil."""
    where: list[ColumnElement[bool]] = [] if query.history else [reviews.c.replaced_at.is_(None)]
    for column, value in (
        (review_queues.c.name, query.queue),
        (reviews.c.reviewer, query.reviewer),
        (reviews.c.interaction_id, query.interaction_id),
        (reviews.c.label, query.label),
    ):
        if value is not None:
            where.append(column == value)
    if query.corrected is not None:
        without = reviews.c.corrected_answer.is_(None)
        where.append(~without if query.corrected else without)
    if query.tag is not None:
        listed = func.jsonb_array_elements_text if connection.dialect.name == "postgresql" else func.json_each
        each = listed(reviews.c.tags).table_valued("value")
        where.append(exists(select(each.c.value).where(each.c.value == query.tag)))
    if query.since is not None:
        where.append(reviews.c.created_at >= query.since)
    if query.until is not None:
        where.append(reviews.c.created_at < query.until)
    return where


@dataclass(frozen=True, slots=True)
class Rating:
    """A label that holds, for measures of agreement."""

    item_id: int
    interaction_id: str
    reviewer: str
    label: str
    value: float | None


def ratings(connection: Connection, queue_id: int) -> list[Rating]:
    """Every label of a queue that holds, by item and reviewer."""
    rows = connection.execute(
        select(reviews.c.item_id, reviews.c.interaction_id, reviews.c.reviewer, reviews.c.label, reviews.c.value)
        .where(reviews.c.queue_id == queue_id, reviews.c.replaced_at.is_(None))
        .order_by(reviews.c.item_id, reviews.c.reviewer)
    )
    return [Rating(*row) for row in rows]


def _reviews(connection: Connection, where: Sequence[ColumnElement[bool]], *, limit: int | None = None) -> list[Review]:
    rows = connection.execute(
        select(reviews, review_queues.c.name.label("queue"))
        .join(review_queues, review_queues.c.id == reviews.c.queue_id)
        .join(interactions, interactions.c.id == reviews.c.interaction_id)
        .where(*where)
        .order_by(reviews.c.id.desc())
        .limit(limit)
    ).all()
    grades = _grades(connection, [row.id for row in rows])
    return [_review(row, grades.get(row.id, ())) for row in rows]


def _grades(connection: Connection, review_ids: Sequence[int]) -> dict[int, tuple[Grade, ...]]:
    table, found = review_passages.c, dict[int, tuple[Grade, ...]]()
    for start in range(0, len(review_ids), MANY):
        part = review_ids[start : start + MANY]
        for row in connection.execute(
            select(table.review_id, table.content_id, table.start, table.end, table.grade, table.number)
            .where(table.review_id.in_(part))
            .order_by(table.review_id, table.number.is_(None), table.number, table.content_id, table.start)
        ):
            found[row[0]] = (*found.get(row[0], ()), Grade(*row[1:]))
    return found


def _review(row: Row[Any], passages: tuple[Grade, ...]) -> Review:
    return Review(
        id=row.id,
        item_id=row.item_id,
        queue_id=row.queue_id,
        queue=row.queue,
        interaction_id=row.interaction_id,
        guidelines_id=row.guidelines_id,
        reviewer=row.reviewer,
        label=row.label,
        value=row.value,
        corrected_answer=row.corrected_answer,
        passages=passages,
        tags=tuple(row.tags),
        note=row.note,
        created_at=row.created_at,
        replaced_at=row.replaced_at,
    )
