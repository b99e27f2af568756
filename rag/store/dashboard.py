"""The log in figures: what was asked, answered, taken, scored and said in a span of time, by collection, model,
template and whose question it was.

Aggregates over the narrow rows of `interaction_facts`, so that a span costs little even among a million interactions.
Only how long each stage took stands in the log's own rows: of a span with very many of them an even sample is read.
`rag.insight.spans` keeps what was read; `count` and `judged_after` say when that no longer holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, and_, case, false, func, or_, select

from rag.store.log.facts import number_at
from rag.store.tables import feedback, interaction_facts, interactions, log_terms, scores

STAGED = 500  # interactions of a span and an origin whose stages are read
IDS = 500  # of a condition

Counted = Literal["human", "synthetic", "generated", "all"]
"""Whose questions count: those of this origin that replay no other one; all: whatever is in the log."""

_facts = interaction_facts.c
_KEY = (_facts.collection_term_id, _facts.model_id, _facts.template_id, _facts.origin_id, _facts.replay)


class Group(NamedTuple):
    """What figures are told apart by."""

    collection: str
    model: str
    template: str
    origin: str
    replay: bool


@dataclass(frozen=True, slots=True)
class Sum:
    """Values that were added up, and their squares, so that sums of spans give means and their spread."""

    n: int
    total: float
    squares: float


@dataclass(frozen=True, slots=True)
class Taken:
    """How long a stage took, in milliseconds."""

    values: NDArray[np.float64]  # (n,)
    each: int  # so many interactions each value stands for


@dataclass(frozen=True, slots=True)
class Tally:
    """One group's figures in a span."""

    questions: int
    refused: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    good: int  # interactions that somebody rated good
    bad: int
    users: NDArray[np.int64]  # (u,), each user once, as the tenant's number of the name
    taken: Mapping[str, Taken] = field(default_factory=dict)  # by stage
    scores: Mapping[str, Sum] = field(default_factory=dict)  # by name: the newest value of each interaction


# ── reading a span ──────────────────────────────────────────────────────────────────────────────────────────────────


def tallies(connection: Connection, tenant_id: int, since: datetime, until: datetime) -> dict[Group, Tally]:
    """The figures of every group that has interactions in the span; `since` belongs to it, `until` does not."""
    here = within(tenant_id, since, until)
    names = _names(connection, tenant_id)
    slots, others = _score_names(connection, tenant_id)
    users = _users(connection, here)
    sums = _sums(connection, here, slots)
    taken = _taken(connection, here, {key: one.questions for key, one in sums.items()})
    more = _judged(connection, here, others) if others else {}
    return {
        _group(key, names): replace(one, users=users[key], taken=taken[key], scores={**one.scores, **more.get(key, {})})
        for key, one in sums.items()
    }


_Key = tuple[int, int, int, int, bool]
"""A group as the database knows it: by the columns of _KEY."""


def _keyed(row: Sequence[Any]) -> tuple[_Key, Sequence[Any]]:
    """Whose row of the database this is, and what stands behind the columns of _KEY."""
    collection, model, template, origin, replay, *told = row
    return (collection, model, template, origin, replay), told


def _group(key: _Key, names: Mapping[int, str]) -> Group:
    collection, model, template, origin, replay = key
    return Group(names[collection], names[model], names[template], names[origin], replay)


def _origin(key: _Key) -> tuple[int, bool]:
    """Whose questions a group has."""
    return key[-2], key[-1]


def _names(connection: Connection, tenant_id: int) -> dict[int, str]:
    wanted = ("collection", "model", "template", "origin")
    rows = connection.execute(
        select(log_terms.c.id, log_terms.c.value).where(
            log_terms.c.tenant_id == tenant_id, log_terms.c.field.in_(wanted)
        )
    )
    return {row[0]: row[1] for row in rows}


def _score_names(connection: Connection, tenant_id: int) -> tuple[dict[str, int], list[str]]:
    """The names of scores by their column among the facts, and those that have none."""
    rows = connection.execute(
        select(log_terms.c.value, log_terms.c.slot)
        .where(log_terms.c.tenant_id == tenant_id, log_terms.c.field == "score")
        .order_by(log_terms.c.id)
    ).all()
    return {name: slot for name, slot in rows if slot is not None}, [name for name, slot in rows if slot is None]


def _sums(connection: Connection, here: Sequence[ColumnElement[bool]], slots: Mapping[str, int]) -> dict[_Key, Tally]:
    """Everything that can be added up."""

    def counted(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count(case((condition, 1)))

    values = [_facts[f"score_{slot}"] for slot in slots.values()]
    rows = connection.execute(
        select(
            *_KEY,
            func.count(),
            counted(_facts.abstained),
            counted(_facts.failed),
            func.coalesce(func.sum(_facts.prompt_tokens), 0),
            func.coalesce(func.sum(_facts.completion_tokens), 0),
            counted(_facts.good > 0),
            counted(_facts.bad > 0),
            *(of for value in values for of in (func.count(value), func.sum(value), func.sum(value * value))),
        )
        .where(*here)
        .group_by(*_KEY)
    )
    nobody = np.empty(0, dtype=np.int64)
    found = {}
    for row in rows:
        key, told = _keyed(row)
        judged = {name: Sum(*told[7 + 3 * at : 10 + 3 * at]) for at, name in enumerate(slots) if told[7 + 3 * at]}
        questions, refused, failed, asked_in, answered_in, good, bad = told[:7]
        found[key] = Tally(questions, refused, failed, asked_in, answered_in, good, bad, nobody, {}, judged)
    return found


def _users(connection: Connection, here: Sequence[ColumnElement[bool]]) -> dict[_Key, NDArray[np.int64]]:
    found: dict[_Key, list[int]] = {}
    for row in connection.execute(select(*_KEY, _facts.user_id).where(*here).distinct()):
        key, (user,) = _keyed(row)
        found.setdefault(key, []).append(user)
    return {key: np.array(users, dtype=np.int64) for key, users in found.items()}


def _taken(
    connection: Connection, here: Sequence[ColumnElement[bool]], questions: Mapping[_Key, int]
) -> dict[_Key, dict[str, Taken]]:
    """How long stages took: "total" of every interaction, the others of every `each`-th of an origin in the order of
    the log, so that many questions of one origin leave no few of another out."""
    totals: dict[_Key, list[float]] = {}
    for row in connection.execute(select(*_KEY, _facts.total_ms).where(*here)):
        key, (total,) = _keyed(row)
        totals.setdefault(key, []).append(total)
    counts: dict[tuple[int, bool], int] = {}
    for key, count in questions.items():
        counts[_origin(key)] = counts.get(_origin(key), 0) + count
    each = {origin: max(1, -(-count // STAGED)) for origin, count in counts.items()}
    place = func.row_number().over(partition_by=(_facts.origin_id, _facts.replay), order_by=_facts.number)
    numbered = select(*_KEY, _facts.interaction_id, place.label("at")).where(*here).subquery()
    columns = numbered.c
    chosen = [
        and_(columns.origin_id == origin_id, columns.replay.is_(replay), columns.at % step == 0)
        for (origin_id, replay), step in each.items()
    ]
    rows = connection.execute(
        select(*(columns[one.name] for one in _KEY), interactions.c.timings_ms)
        .join(interactions, interactions.c.id == columns.interaction_id)
        .where(or_(false(), *chosen))
    )
    stages: dict[_Key, dict[str, list[float]]] = {}
    for timed in rows:
        key, (timings,) = _keyed(timed)
        mine = stages.setdefault(key, {})
        for stage, taken in timings.items():
            if stage != "total":
                mine.setdefault(stage, []).append(taken)
    return {
        key: {
            "total": Taken(np.array(total), 1),
            **{stage: Taken(np.array(values), each[_origin(key)]) for stage, values in stages.get(key, {}).items()},
        }
        for key, total in totals.items()
    }


def _judged(
    connection: Connection, here: Sequence[ColumnElement[bool]], names: Sequence[str]
) -> dict[_Key, dict[str, Sum]]:
    """The newest values of scores that have no column among the facts."""
    newest = (
        select(func.max(scores.c.id).label("id"), *_KEY)
        .join(interaction_facts, _facts.interaction_id == scores.c.interaction_id)
        .where(*here, scores.c.name.in_(names), scores.c.value.is_not(None))
        .group_by(*_KEY, scores.c.interaction_id, scores.c.name)
        .subquery()
    )
    grouped, value = [newest.c[one.name] for one in _KEY], scores.c.value
    rows = connection.execute(
        select(*grouped, scores.c.name, func.count(value), func.sum(value), func.sum(value * value))
        .join(scores, scores.c.id == newest.c.id)
        .group_by(*grouped, scores.c.name)
    )
    found: dict[_Key, dict[str, Sum]] = {}
    for row in rows:
        key, (name, *told) = _keyed(row)
        found.setdefault(key, {})[name] = Sum(*told)
    return found


# ── whether it still holds ──────────────────────────────────────────────────────────────────────────────────────────


class Judged(NamedTuple):
    """A score or a rating, and the interaction that it is of, of whatever tenant."""

    id: int
    interaction_id: str


@dataclass(frozen=True, slots=True)
class Marks:
    """The highest id of a score and of a rating."""

    score: int
    feedback: int


def marks(connection: Connection) -> Marks:
    """Where scores and ratings stand now."""
    last = [connection.scalar(select(func.coalesce(func.max(table.c.id), 0))) for table in (scores, feedback)]
    return Marks(last[0] or 0, last[1] or 0)


def judged_after(connection: Connection, after: Marks, limit: int) -> tuple[list[Judged], list[Judged]]:
    """Scores and ratings with higher ids than these, of every tenant, at most `limit` of each, by id."""
    found = []
    for table, mark in ((scores, after.score), (feedback, after.feedback)):
        rows = connection.execute(
            select(table.c.id, table.c.interaction_id).where(table.c.id > mark).order_by(table.c.id).limit(limit)
        )
        found.append([Judged(*row) for row in rows])
    return found[0], found[1]


def logged_at(connection: Connection, tenant_id: int, interaction_ids: Sequence[str]) -> list[datetime]:
    """When these interactions were logged, those that are this tenant's."""
    columns, found = interactions.c, list[datetime]()
    for begin in range(0, len(interaction_ids), IDS):
        some = interaction_ids[begin : begin + IDS]
        found += connection.scalars(
            select(columns.created_at).where(columns.id.in_(some), columns.tenant_id == tenant_id)
        )
    return found


def count(connection: Connection, tenant_id: int, since: datetime, until: datetime) -> int:
    """How many interactions a span has."""
    found = connection.scalar(select(func.count(_facts.number)).where(*within(tenant_id, since, until)))
    return int(found or 0)


def extent(connection: Connection, tenant_id: int) -> tuple[datetime, datetime] | None:
    """When the first and the last interaction were logged; None where there is none."""
    ordered = (
        select(interactions.c.created_at)
        .join(interaction_facts, _facts.interaction_id == interactions.c.id)
        .where(_facts.tenant_id == tenant_id)
        .limit(1)
    )
    first = connection.scalar(ordered.order_by(_facts.number))
    last = connection.scalar(ordered.order_by(_facts.number.desc()))
    return None if first is None or last is None else (first, last)


def names(connection: Connection, tenant_id: int, most: int = 200) -> dict[str, list[str]]:
    """What the log was asked of and answered by: its collections, models, templates, users and scores by name, at most
    so many of each, the newest first."""
    found: dict[str, list[str]] = {}
    for kind in ("collection", "model", "template", "user", "origin", "score"):
        rows = connection.scalars(
            select(log_terms.c.value)
            .where(log_terms.c.tenant_id == tenant_id, log_terms.c.field == kind)
            .order_by(log_terms.c.id.desc())
            .limit(most)
        )
        found[kind] = list(rows)
    return found


def asked_by(tenant_id: int, counted: Counted) -> list[ColumnElement[bool]]:
    """What a row of the facts fulfils whose question counts."""
    if counted == "all":
        return []
    origin = select(log_terms.c.id).where(
        log_terms.c.tenant_id == tenant_id, log_terms.c.field == "origin", log_terms.c.value == counted
    )
    return [_facts.origin_id == origin.scalar_subquery(), _facts.replay.is_(False)]


def within(tenant_id: int, since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    """What a row of the facts in this span fulfils, to the millisecond."""
    return _facts.tenant_id == tenant_id, _facts.number >= number_at(since), _facts.number < number_at(until)
