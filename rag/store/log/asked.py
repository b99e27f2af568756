"""Questions as the log holds them: how near the nearest passage was, and which were not answered well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, true

from rag.errors import NotFound
from rag.store.dashboard import IDS, Counted, asked_by, within
from rag.store.tables import interaction_facts, interaction_passages, interactions, log_terms

_facts = interaction_facts.c
DENSE = "dense"  # the stage whose score is a cosine


@dataclass(frozen=True, slots=True)
class Question:
    """A question that was asked of a collection."""

    id: str  # of the interaction
    at: datetime
    text: str
    searched: str  # as it was searched for: a follow-up says here what it is about
    refused: bool
    failed: bool
    bad: bool  # somebody rated the answer bad
    low: bool  # its score was low


@dataclass(frozen=True, slots=True)
class Found:
    """Some of the questions that were looked for."""

    questions: Sequence[Question]
    count: int  # that there are
    others: int  # that there are besides, and that do not count


def sample(
    connection: Connection,
    tenant_id: int,
    collection: str,
    since: datetime,
    until: datetime,
    *,
    counted: Counted,
    limit: int,
) -> Found:
    """At most about `limit` questions of a collection, every n-th in the order of the log."""
    here = (*within(tenant_id, since, until), _facts.collection_term_id == _term(connection, tenant_id, collection))
    mine = asked_by(tenant_id, counted)
    count, others = _counts(connection, here, mine)
    numbered = (
        select(_facts.interaction_id, func.row_number().over(order_by=_facts.number).label("at"))
        .where(*here, *mine)
        .subquery()
    )
    each = max(1, -(-count // limit))
    chosen = connection.scalars(select(numbered.c.interaction_id).where(numbered.c.at % each == 0)).all()
    return Found(_questions(connection, chosen, frozenset()), count, others)


def unanswered(
    connection: Connection,
    tenant_id: int,
    collection: str,
    since: datetime,
    until: datetime,
    *,
    counted: Counted,
    score: str,
    below: float,
    limit: int,
) -> Found:
    """The newest `limit` questions that were refused, were rated bad, or have a low score, the newest first. A score
    that nobody gave is not low; what failed is no matter of the documents."""
    slot = connection.scalar(
        select(log_terms.c.slot).where(
            log_terms.c.tenant_id == tenant_id, log_terms.c.field == "score", log_terms.c.value == score
        )
    )
    low: list[ColumnElement[bool]] = [] if slot is None else [_facts[f"score_{slot}"] < below]
    here = (
        *within(tenant_id, since, until),
        _facts.collection_term_id == _term(connection, tenant_id, collection),
        or_(_facts.abstained, _facts.bad > 0, *low),
    )
    mine = asked_by(tenant_id, counted)
    count, others = _counts(connection, here, mine)
    newest = select(_facts.interaction_id, *low).where(*here, *mine).order_by(_facts.number.desc()).limit(limit)
    rows = connection.execute(newest).all()
    marked = frozenset(row[0] for row in rows if low and row[1])
    found = {one.id: one for one in _questions(connection, [row[0] for row in rows], marked)}
    return Found([found[row[0]] for row in rows], count, others)


def _counts(
    connection: Connection, here: Sequence[ColumnElement[bool]], mine: Sequence[ColumnElement[bool]]
) -> tuple[int, int]:
    """How many rows are here and count, and how many others are."""
    counts = func.count(case((and_(true(), *mine), 1)))
    every, mine_too = connection.execute(select(func.count(_facts.number), counts).where(*here)).one()
    return mine_too, every - mine_too


def nearest(connection: Connection, interaction_ids: Sequence[str]) -> Mapping[str, float]:
    """The cosine between each question and the passage nearest to it when it was asked, of those that were searched by
    meaning and whose nearest passage is in the log."""
    found: dict[str, float] = {}
    for begin in range(0, len(interaction_ids), IDS):
        some = interaction_ids[begin : begin + IDS]
        shown = interaction_passages.c
        parts = connection.execute(select(shown.interaction_id, shown.parts).where(shown.interaction_id.in_(some)))
        others = connection.execute(
            select(interactions.c.id, interactions.c.candidates).where(interactions.c.id.in_(some))
        )
        every = [(row[0], row[1]) for row in parts] + [(row[0], hit[2]) for row in others for hit in row[1]]
        for interaction_id, of_stages in every:
            rank, cosine = of_stages.get(DENSE, (0, 0.0))
            if rank == 1:
                found[interaction_id] = cosine
    return found


def _term(connection: Connection, tenant_id: int, collection: str) -> int:
    """The number of a collection's name in the log. Raises NotFound where nobody asked it anything."""
    found = connection.scalar(
        select(log_terms.c.id).where(
            log_terms.c.tenant_id == tenant_id, log_terms.c.field == "collection", log_terms.c.value == collection
        )
    )
    if found is None:
        raise NotFound(f"the log has no question to a collection {collection!r}")
    return int(found)


def _questions(connection: Connection, ids: Sequence[str], low: frozenset[str]) -> list[Question]:
    columns = interactions.c
    found = []
    for begin in range(0, len(ids), IDS):
        rows = connection.execute(
            select(
                columns.id,
                columns.created_at,
                columns.question,
                columns.search_query,
                columns.abstained,
                columns.error.is_not(None),
                _facts.bad > 0,
            )
            .join(interaction_facts, _facts.interaction_id == columns.id)
            .where(columns.id.in_(ids[begin : begin + IDS]))
            .order_by(_facts.number)
        )
        found += [
            Question(row[0], row[1], row[2], row[3] or row[2], bool(row[4]), bool(row[5]), bool(row[6]), row[0] in low)
            for row in rows
        ]
    return found
