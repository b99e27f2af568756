"""Scores of what is in the log already: who has judged what, and judgements that take the place of older ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select

from rag.store.interactions import Query, add_scores, page
from rag.store.tables import interactions, scores
from rag.types import Score


@dataclass(frozen=True, slots=True)
class Given:
    """A score that an interaction has."""

    interaction_id: str
    identifier: str
    value: float | None


def ids(connection: Connection, tenant_id: int, query: Query, *, limit: int, before: str | None = None) -> list[str]:
    """The ids of the newest interactions first, beginning behind the id `before`."""
    return page(connection, tenant_id, query, limit=limit, before=before)


def questions(connection: Connection, interaction_ids: Sequence[str]) -> dict[str, str]:
    """What each of these interactions was asked."""
    rows = connection.execute(
        select(interactions.c.id, interactions.c.question).where(interactions.c.id.in_(interaction_ids))
    )
    return {row[0]: row[1] for row in rows}


def given(connection: Connection, interaction_ids: Sequence[str], name: str) -> list[Given]:
    """The scores of this name that these interactions have, the oldest first."""
    rows = connection.execute(
        select(scores.c.interaction_id, scores.c.identifier, scores.c.value)
        .where(scores.c.interaction_id.in_(interaction_ids), scores.c.name == name)
        .order_by(scores.c.id)
    )
    return [Given(*row) for row in rows]


def replace(connection: Connection, new: Sequence[tuple[str, Score]]) -> None:
    """Give interactions these scores, each by its id. One of the same name and identifier goes, all others stay; an
    interaction that is gone is left out. Two at once give one score, that of the later."""
    wanted = sorted({interaction_id for interaction_id, _ in new})
    here = set(
        connection.scalars(
            select(interactions.c.id).where(interactions.c.id.in_(wanted)).order_by(interactions.c.id).with_for_update()
        )
    )
    kept = [(interaction_id, score) for interaction_id, score in new if interaction_id in here]
    if not kept:
        return
    connection.execute(
        delete(scores).where(
            scores.c.interaction_id == bindparam("of"),
            scores.c.name == bindparam("called"),
            scores.c.identifier == bindparam("by"),
        ),
        [{"of": interaction_id, "called": score.name, "by": score.identifier} for interaction_id, score in kept],
    )
    for interaction_id, score in kept:
        add_scores(connection, interaction_id, [score])
