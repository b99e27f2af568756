"""What people said of logged answers, gathered for datasets: reviews that hold, feedback, blind preferences."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import ColumnElement, Connection, func, or_, select

from rag.store.interactions import Query, conditions
from rag.store.tables import (
    contents,
    documents,
    feedback,
    interactions,
    preferences,
    review_guidelines,
    review_passages,
    reviews,
)

AT_ONCE = 500  # ids of one query
Which = Literal["reviewed", "judged", "all"]
"""Of which interactions: those with a review, those of which anybody said anything, all."""


@dataclass(frozen=True, slots=True)
class Graded:
    """How relevant a reviewer finds a text."""

    number: int | None  # cited as [number]; None: a better one, named from a search
    grade: int  # 0…3
    content_id: int
    document: str  # external id, or else the address, of a document that holds the text
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Review:
    """One person's judgement."""

    label: str
    value: float | None  # of the label, 0 bad … 1 good
    corrected_answer: str | None
    guidelines_id: int
    graded: tuple[Graded, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was said of one interaction."""

    reviews: tuple[Review, ...] = ()
    ratings: tuple[int, ...] = ()  # the newest of each person
    better_than: tuple[str, ...] = ()  # interactions whose answers somebody liked less, blind


@dataclass(slots=True)
class _Gathering:
    reviews: list[Review] = field(default_factory=list)
    ratings: dict[str, int] = field(default_factory=dict)
    better_than: list[str] = field(default_factory=list)


def ids(connection: Connection, tenant_id: int, query: Query, which: Which) -> list[str]:
    """The interactions that fulfil a query and have been judged so far, the oldest first."""
    wanted = select(interactions.c.id).where(*conditions(tenant_id, query), *_judged(which))
    return list(connection.scalars(wanted.order_by(interactions.c.id)))


def _judged(which: Which) -> list[ColumnElement[bool]]:
    column = interactions.c.id
    reviewed = column.in_(select(reviews.c.interaction_id).where(reviews.c.replaced_at.is_(None)))
    if which == "all":
        return []
    if which == "reviewed":
        return [reviewed]
    said = select(feedback.c.interaction_id)
    compared = preferences.c.choice.in_(("first", "second"))
    first, second = (select(part).where(compared) for part in (preferences.c.first_id, preferences.c.second_id))
    return [or_(reviewed, column.in_(said), column.in_(first), column.in_(second))]


def of(connection: Connection, interaction_ids: Sequence[str]) -> dict[str, Evidence]:
    """What was said of each of these interactions."""
    found = {each: _Gathering() for each in interaction_ids}
    for begin in range(0, len(interaction_ids), AT_ONCE):
        part = interaction_ids[begin : begin + AT_ONCE]
        _reviews(connection, part, found)
        _ratings(connection, part, found)
        _preferences(connection, part, found)
    return {
        each: Evidence(tuple(one.reviews), tuple(one.ratings.values()), tuple(one.better_than))
        for each, one in found.items()
    }


def _reviews(connection: Connection, part: Sequence[str], found: dict[str, _Gathering]) -> None:
    table = reviews.c
    rows = connection.execute(
        select(table.id, table.interaction_id, table.label, table.value, table.corrected_answer, table.guidelines_id)
        .where(table.interaction_id.in_(part), table.replaced_at.is_(None))
        .order_by(table.id)
    ).all()
    graded = _graded(connection, [row.id for row in rows])
    for row in rows:
        passages = tuple(graded.get(row.id, ()))
        review = Review(row.label, row.value, row.corrected_answer or None, row.guidelines_id, passages)
        found[row.interaction_id].reviews.append(review)


def _graded(connection: Connection, review_ids: Sequence[int]) -> dict[int, list[Graded]]:
    table, found = review_passages.c, dict[int, list[Graded]]()
    rows = connection.execute(
        select(
            table.review_id,
            table.number,
            table.grade,
            table.content_id,
            contents.c.title,
            func.substr(contents.c.text, table.start + 1, table.end - table.start).label("text"),
        )
        .join(contents, contents.c.id == table.content_id)
        .where(table.review_id.in_(review_ids))
        .order_by(table.review_id, table.number.is_(None), table.number, table.content_id, table.start)
    ).all()
    names = named(connection, sorted({row.content_id for row in rows}))
    for row in rows:
        document, name = names.get(row.content_id, ("", ""))
        if document:  # a text that no document ever held cannot be found by a search either
            one = Graded(row.number, row.grade, row.content_id, document, row.title or name, row.text)
            found.setdefault(row.review_id, []).append(one)
    return found


def named(connection: Connection, content_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """What a document that holds each content is called in judgements, its external id or else its address, and its
    name: a live one before one that is gone, of several the oldest."""
    table, found = documents.c, dict[int, tuple[str, str]]()
    rows = connection.execute(
        select(table.content_id, table.external_id, table.uri, table.name)
        .where(table.content_id.in_(content_ids))
        .order_by(table.removed_position.is_not(None), table.id)
    )
    for row in rows:
        found.setdefault(row.content_id, (row.external_id or row.uri, row.name))
    return found


def _ratings(connection: Connection, part: Sequence[str], found: dict[str, _Gathering]) -> None:
    rows = connection.execute(
        select(feedback.c.interaction_id, feedback.c.user, feedback.c.rating)
        .where(feedback.c.interaction_id.in_(part), feedback.c.rating.is_not(None))
        .order_by(feedback.c.id)
    )
    for row in rows:
        found[row.interaction_id].ratings[row.user] = row.rating


def _preferences(connection: Connection, part: Sequence[str], found: dict[str, _Gathering]) -> None:
    table = preferences.c
    rows = connection.execute(
        select(table.first_id, table.second_id, table.choice)
        .where(or_(table.first_id.in_(part), table.second_id.in_(part)), table.choice.in_(("first", "second")))
        .order_by(table.id)
    )
    for row in rows:
        better, worse = (row.first_id, row.second_id) if row.choice == "first" else (row.second_id, row.first_id)
        if better in found and worse not in found[better].better_than:
            found[better].better_than.append(worse)


def answers(connection: Connection, interaction_ids: Sequence[str]) -> dict[str, str]:
    """What was answered in each of these interactions that has an answer whose words were not erased."""
    table, found = interactions.c, dict[str, str]()
    for begin in range(0, len(interaction_ids), AT_ONCE):
        part = interaction_ids[begin : begin + AT_ONCE]
        there = table.id.in_(part), table.answer.is_not(None), table.erased_at.is_(None)
        rows = connection.execute(select(table.id, table.answer).where(*there))
        found |= {row.id: row.answer for row in rows}
    return found


def guidelines(connection: Connection, guidelines_ids: Sequence[int]) -> list[str]:
    """What reviewers were told, each text once, the oldest first."""
    rows = connection.scalars(
        select(review_guidelines.c.text)
        .where(review_guidelines.c.id.in_(guidelines_ids))
        .order_by(review_guidelines.c.id)
    )
    return list(dict.fromkeys(text for text in rows if text.strip()))
