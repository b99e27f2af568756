"""What a rule looks at to choose interactions for review: facts, page by page, and the scores of recent ones."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, and_, exists, func, or_, select, true
from ulid import ULID

from rag.store.interactions import Query, conditions
from rag.store.jobs import clock
from rag.store.tables import feedback, interactions, review_items, scores

MARGIN = timedelta(hours=1)  # an interaction has its id from the beginning, and is written at the end, of its answer
BEHIND = 1000  # scores and feedback whose numbers may become visible after a later one's
RECENT_ROWS = (20_000, 400_000)  # of the scores, in which recent ones are looked for, one after the other


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule needs to know, and which interactions it cannot choose."""

    scores: tuple[str, ...] = ()  # whose values are wanted
    every: bool = False  # any interaction may be chosen; else only those that …
    below: tuple[tuple[str, float], ...] = ()  # … have a score (its name) below a value
    both: tuple[tuple[str, str], ...] = ()  # … or have two scores
    disliked: bool = False  # … or got a thumb down
    refused: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule reads of one interaction."""

    id: str
    created_at: datetime
    template: str
    model: str
    collection: str
    refused: bool
    failed: bool
    disliked: bool  # by somebody who has not thought better of it
    scores: dict[str, float | None]  # the newest of each name; None: there is none, or it does not apply


@dataclass(frozen=True, slots=True)
class Marks:
    """Up to where a rule has looked."""

    at: datetime
    score: int
    feedback: int


def marks(connection: Connection) -> Marks:
    """Where the log stands now."""
    newest = [connection.scalar(select(func.max(table.c.id))) for table in (scores, feedback)]
    return Marks(clock(connection), *(int(key or 0) for key in newest))


def page(
    connection: Connection,
    tenant_id: int,
    query: Query,
    asked: Asked,
    *,
    limit: int,
    before: str | None = None,
    since: Marks | None = None,
) -> list[Facts]:
    """The newest interactions first, behind the id `before`: those that `query` means and the rule might choose. With
    `since` only what is new, or was scored or judged, since then."""
    mine = [interactions.c.tenant_id == tenant_id] if query == Query() else conditions(tenant_id, query)
    where = [*mine, interactions.c.erased_at.is_(None), _possible(asked)]
    if before is not None:
        where.append(interactions.c.id < before)
    if since is not None:
        where.append(_touched(since))
    columns = interactions.c
    rows = connection.execute(
        select(
            columns.id,
            columns.created_at,
            columns.template,
            columns.model,
            columns.collection,
            columns.abstained,
            columns.error.is_not(None).label("failed"),
            _disliked().label("disliked"),
            *(_newest(name).label(f"score_{number}") for number, name in enumerate(asked.scores)),
        )
        .where(*where)
        .order_by(columns.id.desc())
        .limit(limit)
    )
    return [
        Facts(
            row.id,
            row.created_at,
            row.template,
            row.model,
            row.collection,
            bool(row.abstained),
            bool(row.failed),
            bool(row.disliked),
            dict(zip(asked.scores, row[8:], strict=True)),
        )
        for row in rows
    ]


def recent(connection: Connection, tenant_id: int, names: tuple[str, str], limit: int) -> list[tuple[float, float]]:
    """The values of two scores of the interactions that were scored last and have both, at most `limit`."""
    newest = int(connection.scalar(select(func.max(scores.c.id))) or 0)
    found: list[tuple[float, float]] = []
    for rows in RECENT_ROWS:
        found = _pairs(connection, tenant_id, names, newest - rows)[:limit]
        if len(found) == limit or rows >= newest:
            break
    return found


def _pairs(connection: Connection, tenant_id: int, names: tuple[str, str], after: int) -> list[tuple[float, float]]:
    mine = exists().where(interactions.c.id == scores.c.interaction_id, interactions.c.tenant_id == tenant_id)
    rows = connection.execute(
        select(scores.c.interaction_id, scores.c.name, scores.c.value)
        # The newest are asked for, not all of these names: an index of names would be the long way.
        .where(scores.c.id > after, func.coalesce(scores.c.name, "").in_(names), mine)
        .order_by(scores.c.id.desc())
    )
    found: dict[str, dict[str, float | None]] = {}
    for row in rows:
        found.setdefault(row[0], {}).setdefault(row[1], row[2])
    pairs = [(each.get(names[0]), each.get(names[1])) for each in found.values()]
    return [(one, other) for one, other in pairs if one is not None and other is not None]


def strata(connection: Connection, queue_id: int) -> list[tuple[str, str, str, datetime]]:
    """Template, model, collection and time of every interaction in a queue."""
    columns = interactions.c
    rows = connection.execute(
        select(columns.template, columns.model, columns.collection, columns.created_at)
        .join(review_items, review_items.c.interaction_id == columns.id)
        .where(review_items.c.queue_id == queue_id)
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def _possible(asked: Asked) -> ColumnElement[bool]:
    if asked.every:
        return true()
    terms: list[ColumnElement[bool]] = [_has(name, scores.c.value < bound) for name, bound in asked.below]
    terms += [and_(_has(one), _has(other)) for one, other in asked.both]
    if asked.disliked:
        terms.append(_disliked())
    if asked.refused:
        terms.append(interactions.c.abstained.is_(True))
    if asked.failed:
        terms.append(interactions.c.error.is_not(None))
    return or_(*terms)


def _has(name: str, *terms: ColumnElement[bool]) -> ColumnElement[bool]:
    of = scores.c.interaction_id == interactions.c.id
    return exists().where(of, scores.c.name == name, *terms).correlate(interactions)


def _newest(name: str) -> ScalarSelect[Any]:
    return (
        select(scores.c.value)
        .where(scores.c.interaction_id == interactions.c.id, scores.c.name == name)
        .order_by(scores.c.id.desc())
        .limit(1)
        .correlate(interactions)
        .scalar_subquery()
    )


def _disliked() -> ColumnElement[bool]:
    later = feedback.alias("later")
    better = exists().where(
        later.c.interaction_id == feedback.c.interaction_id,
        later.c.user == feedback.c.user,
        later.c.id > feedback.c.id,
        later.c.rating.is_not(None),
    )
    of = feedback.c.interaction_id == interactions.c.id
    return exists().where(of, feedback.c.rating == -1, ~better.correlate(feedback)).correlate(interactions)


def _touched(since: Marks) -> ColumnElement[bool]:
    first = str(ULID.from_datetime(since.at - MARGIN))[:10]  # the part of an id that tells its time
    scored = select(scores.c.interaction_id).where(scores.c.id > since.score - BEHIND)
    said = select(feedback.c.interaction_id).where(feedback.c.id > since.feedback - BEHIND)
    return or_(interactions.c.id >= first, interactions.c.id.in_(scored), interactions.c.id.in_(said))
