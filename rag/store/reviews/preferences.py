"""Blind preferences: which of two answers to one question people liked better, kept and read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import Connection, Row, and_, delete, exists, func, insert, or_, select
from sqlalchemy.sql import ColumnElement

from rag.errors import Conflict, NotFound, WrongUsage
from rag.store.database import now
from rag.store.tables import experiment_answers, interactions, preferences

Choice = Literal["first", "second", "tie", "neither"]
"""Which answer is better; `tie`: both are as good; `neither`: both are bad."""


@dataclass(frozen=True, slots=True)
class Preference:
    """What one person made of two answers, not knowing whose they were."""

    id: int
    created_at: datetime
    question: str
    first_id: str  # interactions
    second_id: str
    first: str  # the names of the configurations that answered
    second: str
    swapped: bool  # whether the second was shown as A
    choice: Choice
    comment: str | None
    user: str  # who judged
    experiment_id: int | None

    @property
    def chosen_id(self) -> str | None:
        """The interaction with the better answer; None for a tie or two bad ones."""
        return {"first": self.first_id, "second": self.second_id}.get(self.choice)

    @property
    def rejected_id(self) -> str | None:
        """The interaction with the worse answer; None for a tie or two bad ones."""
        return {"first": self.second_id, "second": self.first_id}.get(self.choice)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one question, to be judged against each other."""

    first_id: str
    second_id: str
    first: str  # the names of the configurations
    second: str
    experiment_id: int | None = None


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def add(
    connection: Connection,
    tenant_id: int,
    pair: Pair,
    *,
    swapped: bool,
    choice: Choice,
    user: str,
    comment: str | None = None,
) -> Preference:
    """Keep a judgement; an earlier one of the same person on the same pair, in whatever order, goes.

    Raises NotFound for an interaction that is not the tenant's, Conflict for one whose words were erased, WrongUsage
    for answers to different questions or a choice that there is not.
    """
    if choice not in get_args(Choice):
        raise WrongUsage(f"a choice is one of {', '.join(get_args(Choice))}, not {choice!r}")
    if pair.first_id == pair.second_id:
        raise WrongUsage("an answer cannot be compared with itself: name two interactions")
    asked = {
        row.id: row.question
        for row in connection.execute(
            select(interactions.c.id, interactions.c.question).where(
                interactions.c.tenant_id == tenant_id, interactions.c.id.in_([pair.first_id, pair.second_id])
            )
        )
    }
    for each in (pair.first_id, pair.second_id):
        if each not in asked:
            raise NotFound(f"no interaction {each!r}; `rag logs` lists them")
    check_there(asked)
    if asked[pair.first_id] != asked[pair.second_id]:
        raise WrongUsage("the two answers are to different questions: only answers to the same one can be compared")
    connection.execute(delete(preferences).where(_same(pair.first_id, pair.second_id), preferences.c.user == user))
    key = connection.execute(
        insert(preferences).values(
            tenant_id=tenant_id,
            experiment_id=pair.experiment_id,
            question=asked[pair.first_id],
            first_id=pair.first_id,
            second_id=pair.second_id,
            first=pair.first,
            second=pair.second,
            swapped=swapped,
            choice=choice,
            comment=comment,
            user=user,
            created_at=now(),
        )
    ).inserted_primary_key
    assert key is not None
    return _value(connection.execute(select(preferences).where(preferences.c.id == key[0])).one())


def check_there(asked: Mapping[str, str]) -> None:
    """Raise Conflict where the question of an interaction (id → question) was erased: nothing is left to compare."""
    if gone := [key for key, question in asked.items() if not question]:
        raise Conflict(f"the words of interaction {gone[0]} were erased: there is nothing left to compare")


def _same(one: str, other: str) -> ColumnElement[bool]:
    columns = preferences.c
    return or_(
        and_(columns.first_id == one, columns.second_id == other),
        and_(columns.first_id == other, columns.second_id == one),
    )


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def listing(
    connection: Connection,
    tenant_id: int,
    *,
    limit: int,
    before: int | None = None,
    experiment_id: int | None = None,
    user: str | None = None,
) -> list[Preference]:
    """Judgements, the newest first, beginning behind the one with the id `before`."""
    query = select(preferences).where(_mine(tenant_id, experiment_id, user))
    if before is not None:
        query = query.where(preferences.c.id < before)
    return [_value(row) for row in connection.execute(query.order_by(preferences.c.id.desc()).limit(limit))]


def said(connection: Connection, tenant_id: int, one: str, other: str, *, user: str) -> Preference | None:
    """What a person made of two answers, in whatever order they are named; None: nothing yet."""
    where = (preferences.c.tenant_id == tenant_id, _same(one, other), preferences.c.user == user)
    row = connection.execute(select(preferences).where(*where).order_by(preferences.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else _value(row)


def tally(
    connection: Connection, tenant_id: int, *, experiment_id: int | None = None, user: str | None = None
) -> list[tuple[str, str, Choice, int]]:
    """How often each choice was made between the configurations `first` and `second`: (first, second, choice, n)."""
    columns = preferences.c
    rows = connection.execute(
        select(columns.first, columns.second, columns.choice, func.count())
        .where(_mine(tenant_id, experiment_id, user))
        .group_by(columns.first, columns.second, columns.choice)
        .order_by(columns.first, columns.second, columns.choice)
    )
    return [(row[0], row[1], row[2], int(row[3])) for row in rows]


def _mine(tenant_id: int, experiment_id: int | None, user: str | None) -> ColumnElement[bool]:
    terms = [preferences.c.tenant_id == tenant_id]
    if experiment_id is not None:
        terms.append(preferences.c.experiment_id == experiment_id)
    if user is not None:
        terms.append(preferences.c.user == user)
    return and_(*terms)


def configured(connection: Connection, one: str, other: str) -> tuple[int, int, int] | None:
    """The newest experiment in which these two interactions answer the same question, and the numbers of their
    configurations; None where there is none."""
    mine, theirs = experiment_answers.alias("mine"), experiment_answers.alias("theirs")
    row = connection.execute(
        select(mine.c.experiment_id, mine.c.configuration, theirs.c.configuration)
        .join(theirs, and_(theirs.c.experiment_id == mine.c.experiment_id, theirs.c.number == mine.c.number))
        .where(mine.c.interaction_id == one, theirs.c.interaction_id == other)
        .order_by(mine.c.experiment_id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (int(row[0]), int(row[1]), int(row[2]))


def unjudged(connection: Connection, experiment_id: int, names: Sequence[str], *, user: str, limit: int) -> list[Pair]:
    """Pairs of an experiment's answers that this person has not judged, in the order of the questions; those that
    say the same, failed, were erased or are no longer in the log are left out.  names: of the configurations, in
    their order."""
    one, other = experiment_answers.alias("one"), experiment_answers.alias("other")
    first, second = interactions.alias("first_answer"), interactions.alias("second_answer")
    columns = preferences.c
    judged = exists().where(
        columns.user == user,
        or_(
            and_(columns.first_id == one.c.interaction_id, columns.second_id == other.c.interaction_id),
            and_(columns.first_id == other.c.interaction_id, columns.second_id == one.c.interaction_id),
        ),
    )
    rows = connection.execute(
        select(one.c.interaction_id, other.c.interaction_id, one.c.configuration, other.c.configuration)
        .join(
            other,
            and_(
                other.c.experiment_id == one.c.experiment_id,
                other.c.number == one.c.number,
                other.c.configuration > one.c.configuration,
            ),
        )
        .join(first, first.c.id == one.c.interaction_id)
        .join(second, second.c.id == other.c.interaction_id)
        .where(
            one.c.experiment_id == experiment_id,
            first.c.answer.is_not(None),
            second.c.answer != first.c.answer,
            first.c.erased_at.is_(None),
            second.c.erased_at.is_(None),
            ~judged,
        )
        .order_by(one.c.number, one.c.configuration, other.c.configuration)
        .limit(limit)
    )
    return [Pair(row[0], row[1], names[row[2] - 1], names[row[3] - 1], experiment_id) for row in rows]


def _value(row: Row[tuple[object, ...]]) -> Preference:
    told = row._mapping
    return Preference(**{name: told[name] for name in Preference.__slots__})
