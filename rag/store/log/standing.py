"""What stands beside the rows of the log: ratings and review states of a page of them, and what is linked to one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, select

from rag.store.tables import interaction_facts, interactions
from rag.types import Interaction, TurnKind

Relation = Literal[
    "this", "parent", "answered again", "replayed", "replay", "regeneration", "continuation", "conversation"
]
MOST = 60  # linked interactions


@dataclass(frozen=True, slots=True)
class Standing:
    """What a line of the log shows beside the interaction itself."""

    good: int  # ratings
    bad: int
    review_state: str | None  # queued, reviewed; None: neither


@dataclass(frozen=True, slots=True)
class Linked:
    """An interaction of the same conversation, or one that was run again."""

    id: str
    created_at: datetime
    question: str
    model: str
    turn: int | None
    kind: TurnKind | None
    relation: Relation  # to the interaction that was asked about


def of(connection: Connection, tenant_id: int, interaction_ids: Sequence[str]) -> Mapping[str, Standing]:
    """What stands beside each of these interactions."""
    facts = interaction_facts.c
    rows = connection.execute(
        select(facts.interaction_id, facts.good, facts.bad, interactions.c.review_state)
        .join(interactions, interactions.c.id == facts.interaction_id)
        .where(facts.tenant_id == tenant_id, facts.interaction_id.in_(interaction_ids))
    )
    return {row[0]: Standing(*row[1:]) for row in rows}


def linked(connection: Connection, entry: Interaction, *, user: str | None = None) -> list[Linked]:
    """The conversation of an interaction, what it was asked again from, and its replays, in the order of the log; the
    first `MOST` of them. user: of this user's only. Empty where nothing is linked."""
    columns = interactions.c
    named = {entry.id, entry.parent_id, entry.regenerates_id, entry.replays_id} - {None}
    near = [columns.replays_id == entry.id]  # one query each: a condition that joins them would read the whole log
    if entry.conversation_id is not None:
        near.append(columns.conversation_id == entry.conversation_id)
    for condition in near:
        named |= set(connection.scalars(select(columns.id).where(condition).order_by(columns.id).limit(MOST)))
    where = [columns.id.in_(sorted(named)), columns.tenant_id == entry.tenant_id]
    if user is not None:
        where.append(columns.user == user)
    rows = connection.execute(
        select(
            columns.id,
            columns.created_at,
            columns.question,
            columns.model,
            columns.turn,
            columns.kind,
            columns.parent_id,
            columns.regenerates_id,
            columns.replays_id,
        ).where(*where)
    ).all()
    rows = sorted(rows, key=lambda row: row[0])[:MOST]
    found = [Linked(*row[:6], _relation(entry, row[0], row[6], row[7], row[8])) for row in rows]
    return found if len(found) > 1 else []


def _relation(
    entry: Interaction, other: str, parent_id: str | None, regenerates_id: str | None, replays_id: str | None
) -> Relation:
    told: tuple[tuple[bool, Relation], ...] = (
        (other == entry.id, "this"),
        (other == entry.replays_id, "replayed"),
        (replays_id == entry.id, "replay"),
        (other == entry.regenerates_id, "answered again"),
        (regenerates_id == entry.id, "regeneration"),
        (other == entry.parent_id, "parent"),
        (parent_id == entry.id, "continuation"),
    )
    return next((relation for holds, relation in told if holds), "conversation")
