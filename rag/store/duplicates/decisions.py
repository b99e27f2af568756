"""Reading what was decided on duplicates: the pairs whose documents may be seen, newest last."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select

from rag.store.duplicates.policies import Level, Policy, Scope
from rag.store.permitted import Predicate
from rag.store.tables import decisions, documents


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """One duplicate: which document, against which, how alike, and what was done."""

    id: int
    scope: Scope
    level: Level
    policy: Policy
    similarity: float
    uri: str
    document_id: int | None  # None: it is held back
    against_uri: str
    against_id: int | None
    actor: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Tally:
    """How many decisions of one kind hold."""

    scope: Scope
    level: Level
    policy: Policy
    decisions: int


def listing(
    connection: Connection,
    predicate: Predicate,
    at: int,
    *,
    scope: Scope | None = None,
    level: Level | None = None,
    after: int = 0,
    limit: int,
) -> list[StoredDecision]:
    """The decisions that hold and whose documents may be seen, by id, beginning behind the id `after`."""
    query = (
        select(decisions)
        .where(*_visible(connection, predicate, at), decisions.c.id > after)
        .order_by(decisions.c.id)
        .limit(limit)
    )
    if scope is not None:
        query = query.where(decisions.c.scope == scope)
    if level is not None:
        query = query.where(decisions.c.level == level)
    return [_value(row) for row in connection.execute(query)]


def of_document(connection: Connection, predicate: Predicate, at: int, document_id: int) -> list[StoredDecision]:
    """The decisions that hold on one document, as the one that came or the one that it was found alike, by id."""
    mine = or_(decisions.c.document_id == document_id, decisions.c.against_id == document_id)
    query = select(decisions).where(*_visible(connection, predicate, at), mine).order_by(decisions.c.id)
    return [_value(row) for row in connection.execute(query)]


def last(connection: Connection, collection_id: int) -> int:
    """The id of the last decision of a collection; 0 without any."""
    found = connection.scalar(select(func.max(decisions.c.id)).where(decisions.c.collection_id == collection_id))
    return int(found or 0)


def tallies(connection: Connection, predicate: Predicate, at: int) -> list[Tally]:
    """How many decisions hold, by scope, level and policy."""
    columns = decisions.c.scope, decisions.c.level, decisions.c.policy
    rows = connection.execute(
        select(*columns, func.count()).where(*_visible(connection, predicate, at)).group_by(*columns).order_by(*columns)
    )
    return [Tally(*row) for row in rows]


def _visible(connection: Connection, predicate: Predicate, at: int) -> tuple[Any, ...]:
    """The conditions of a decision that holds: both documents live, or one is held back for a live one."""
    seen = select(documents.c.id).where(predicate.documents(connection.dialect.name, at))
    return (
        decisions.c.collection_id == predicate.collection_id,
        decisions.c.ended_at.is_(None),
        decisions.c.against_id.in_(seen),
        or_(decisions.c.held_back.is_not(None), decisions.c.document_id.in_(seen)),
    )


def _value(row: Row[Any]) -> StoredDecision:
    return StoredDecision(
        row.id,
        row.scope,
        row.level,
        row.policy,
        row.similarity,
        row.uri,
        row.document_id,
        row.against_uri,
        row.against_id,
        row.actor,
        row.created_at,
    )
