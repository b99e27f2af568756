"""What stands beside an interaction: its tags, its state of review, and the interactions that came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from rag.store.log import tags
from rag.store.tables import interactions


@dataclass(frozen=True, slots=True)
class Marks:
    """What people did with an interaction."""

    tags: tuple[str, ...] = ()
    review_state: str | None = None
    erased_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """Interactions that name another, the oldest first."""

    continued_by: tuple[str, ...] = ()
    regenerated_by: tuple[str, ...] = ()
    replayed_by: tuple[str, ...] = ()


def marks(connection: Connection, tenant_id: int, ids: Sequence[str]) -> dict[str, Marks]:
    """The marks of each of these interactions."""
    columns = interactions.c
    tagged = tags.of(connection, tenant_id, ids)
    rows = connection.execute(
        select(columns.id, columns.review_state, columns.erased_at).where(
            columns.tenant_id == tenant_id, columns.id.in_(ids)
        )
    )
    return {
        row.id: Marks(tuple(tag.name for tag in tagged.get(row.id, ())), row.review_state, row.erased_at)
        for row in rows
    }


def links(connection: Connection, tenant_id: int, interaction_id: str, *, user: str | None = None) -> Links:
    """What came of an interaction; of this user's questions only, where one is named."""
    columns = interactions.c
    found = []
    for column in (columns.parent_id, columns.regenerates_id, columns.replays_id):
        wanted = select(columns.id).where(columns.tenant_id == tenant_id, column == interaction_id)
        if user is not None:
            wanted = wanted.where(columns.user == user)
        found.append(tuple(connection.scalars(wanted.order_by(columns.id))))
    return Links(*found)
