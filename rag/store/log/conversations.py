"""Conversations: turns that continue each other, as trees. A turn is an interaction with a parent.

A conversation is its user's: nobody else, of whatever tenant, reads or continues it, and it looks to them as if it were
not there. Two turns with one parent are branches; one that asks a turn's question again is its regeneration.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, and_, func, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from rag.answers.claims import ABSTENTION
from rag.answers.conversation import Turn
from rag.errors import NotFound, WrongUsage
from rag.store.database import now
from rag.store.tables import conversations, interaction_passages, interactions
from rag.types import Interaction, Principal, TurnKind

ROOT = "root"  # as a parent: before the first turn
RECALLED = 100  # turns of a branch that are read back, the last ones


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a question stands in its conversation, and what was said before it."""

    conversation_id: str | None = None
    parent_id: str | None = None
    regenerates_id: str | None = None
    question: str | None = None  # the one that is asked again
    turns: tuple[Turn, ...] = ()  # from the first to the parent, the last RECALLED at most


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation in a list."""

    id: str
    created_at: datetime
    question: str  # of its first turn that the log still holds
    turns: int
    last_at: datetime  # when its newest turn was asked


@dataclass(frozen=True, slots=True)
class Node:
    """A turn in the tree of its conversation."""

    id: str
    turn: int
    kind: TurnKind
    parent_id: str | None
    regenerates_id: str | None
    created_at: datetime
    collection: str
    question: str
    search_query: str
    answer: str | None
    abstained: bool | None
    finish_reason: str | None
    error: str | None
    model: str


# ── where a question stands ─────────────────────────────────────────────────────────────────────────────────────────


def place(
    connection: Connection,
    asker: Principal,
    *,
    conversation_id: str | None = None,
    parent: str | None = None,
    regenerates: str | None = None,
) -> Placed:
    """Where a question stands that continues a conversation.

    parent: an interaction's id, or ROOT; else the newest turn that did not fail, whichever branch it is on. A
    conversation that is not there begins. Raises NotFound for what is not the asker's, WrongUsage for a parent outside
    of the conversation.
    """
    if regenerates is not None:
        return _again(connection, asker, regenerates, conversation_id, parent)
    if parent is not None and parent != ROOT:
        row = _own(connection, asker, parent)
        if row.conversation_id is None:
            raise WrongUsage(f"interaction {row.id} is in no conversation, so nothing continues it")
        if conversation_id not in (None, row.conversation_id):
            raise WrongUsage(f"interaction {row.id} is not in the conversation {conversation_id}")
        return Placed(row.conversation_id, row.id, turns=_path(connection, row.conversation_id, row.id))
    if conversation_id is None:
        if parent == ROOT:
            raise WrongUsage(f"the parent {ROOT!r} needs a conversation: give its id")
        return Placed()
    owner = connection.execute(
        select(conversations.c.tenant_id, conversations.c.user).where(conversations.c.id == conversation_id)
    ).one_or_none()
    if owner is None:
        return Placed(conversation_id)
    if tuple(owner) != (asker.tenant_id, asker.user):
        raise _missing(conversation_id)
    if parent == ROOT:
        return Placed(conversation_id)
    last = connection.scalar(
        select(interactions.c.id)
        .where(
            interactions.c.conversation_id == conversation_id,
            interactions.c.user == asker.user,
            interactions.c.error.is_(None),
        )
        .order_by(interactions.c.turn.desc())
        .limit(1)
    )
    return Placed(conversation_id, last, turns=() if last is None else _path(connection, conversation_id, last))


def _again(
    connection: Connection, asker: Principal, regenerates: str, conversation_id: str | None, parent: str | None
) -> Placed:
    row = _own(connection, asker, regenerates)
    if parent is not None:
        raise WrongUsage("what is asked again has the parent that it had: name no other one")
    if conversation_id not in (None, row.conversation_id):
        raise WrongUsage(f"interaction {row.id} is not in the conversation {conversation_id}")
    before = connection.scalar(select(interactions.c.id).where(interactions.c.id == row.parent_id))
    turns = () if before is None else _path(connection, row.conversation_id, before)
    return Placed(row.conversation_id, before, row.id, row.question, turns)


def _own(connection: Connection, asker: Principal, interaction_id: str) -> "_Row":
    columns = interactions.c
    row = connection.execute(
        select(columns.id, columns.conversation_id, columns.parent_id, columns.question).where(
            columns.id == interaction_id.upper(), columns.tenant_id == asker.tenant_id, columns.user == asker.user
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"no interaction {interaction_id!r} of yours; `rag logs` lists them")
    return _Row(*row)


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    conversation_id: str | None
    parent_id: str | None
    question: str


def _path(connection: Connection, conversation_id: str | None, last: str) -> tuple[Turn, ...]:
    """The turns from the first to `last`, the last RECALLED at most. Those that failed are left out."""
    columns = interactions.c
    known = connection.execute(select(columns.id, columns.parent_id).where(columns.conversation_id == conversation_id))
    parents: dict[str, str | None] = {row.id: row.parent_id for row in known}
    path: list[str] = []
    at: str | None = last
    while at is not None and len(path) < RECALLED:
        path.append(at)
        at = parents.get(at)
    said = {
        row.id: row
        for row in connection.execute(
            select(columns.id, columns.question, columns.search_query, columns.answer, columns.abstained).where(
                columns.id.in_(path), columns.error.is_(None)
            )
        )
    }
    titles = _titles(connection, last)
    return tuple(
        Turn(
            said[key].question,
            ABSTENTION if said[key].abstained else said[key].answer or "",
            said[key].search_query,
            titles if key == last and not said[key].abstained else (),
        )
        for key in reversed(path)
        if key in said
    )


def _titles(connection: Connection, interaction_id: str) -> tuple[str, ...]:
    """The titles of the passages that an answer cites, in their order, each once."""
    table = interaction_passages.c
    rows = connection.scalars(
        select(table.title).where(table.interaction_id == interaction_id, table.cited).order_by(table.number)
    )
    return tuple(dict.fromkeys(title for title in rows if title))


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def linked(connection: Connection, entry: Interaction) -> Interaction:
    """The interaction with its number and kind; its conversation is made where it is not there, and locked.

    Raises NotFound for the conversation of another, or a parent that is not in it.
    """
    if entry.conversation_id is None:
        return replace(entry, kind=None if entry.regenerates_id is None else "regeneration")
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(conversations)
        .values(id=entry.conversation_id, tenant_id=entry.tenant_id, user=entry.user, created_at=now())
        .on_conflict_do_nothing()
    )
    owner = connection.execute(
        select(conversations.c.tenant_id, conversations.c.user)
        .where(conversations.c.id == entry.conversation_id)
        .with_for_update()
    ).one()
    if tuple(owner) != (entry.tenant_id, entry.user):
        raise _missing(entry.conversation_id)
    here = interactions.c.conversation_id == entry.conversation_id
    for other in filter(None, (entry.parent_id, entry.regenerates_id)):
        if connection.scalar(select(interactions.c.id).where(here, interactions.c.id == other)) is None:
            raise NotFound(f"no turn {other} in the conversation {entry.conversation_id}")
    turn = int(connection.scalar(select(func.coalesce(func.max(interactions.c.turn), 0)).where(here)) or 0) + 1
    return replace(entry, turn=turn, kind=_kind(connection, entry))


def _kind(connection: Connection, entry: Interaction) -> TurnKind:
    if entry.regenerates_id is not None:
        return "regeneration"
    columns = interactions.c
    same = columns.parent_id.is_(None) if entry.parent_id is None else columns.parent_id == entry.parent_id
    beside = connection.scalar(
        select(columns.id)
        .where(columns.conversation_id == entry.conversation_id, same, columns.error.is_(None))
        .limit(1)
    )
    if beside is not None:
        return "branch"
    return "first" if entry.parent_id is None else "continuation"


def _missing(conversation_id: str) -> NotFound:
    return NotFound(f"no conversation {conversation_id!r}")


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def listing(connection: Connection, asker: Principal, *, limit: int, before: str | None = None) -> list[Conversation]:
    """The asker's conversations, the newest first, beginning behind the one with the id `before`. Raises NotFound."""
    columns = conversations.c
    own = and_(columns.tenant_id == asker.tenant_id, columns.user == asker.user)
    where = [own]
    if before is not None:
        began = connection.scalar(select(columns.created_at).where(own, columns.id == before))
        if began is None:
            raise _missing(before)
        where.append(or_(columns.created_at < began, and_(columns.created_at == began, columns.id < before)))
    page = connection.execute(
        select(columns.id, columns.created_at)
        .where(*where)
        .order_by(columns.created_at.desc(), columns.id.desc())
        .limit(limit)
    ).all()
    turns = interactions.c
    ids = [row.id for row in page]
    lowest = (
        select(turns.conversation_id, func.min(turns.turn))
        .where(turns.conversation_id.in_(ids))
        .group_by(turns.conversation_id)
    )
    first = {
        row.conversation_id: row.question
        for row in connection.execute(
            select(turns.conversation_id, turns.question).where(tuple_(turns.conversation_id, turns.turn).in_(lowest))
        )
    }
    told = {
        row.conversation_id: row
        for row in connection.execute(
            select(turns.conversation_id, func.count().label("turns"), func.max(turns.created_at).label("last_at"))
            .where(turns.conversation_id.in_(ids))
            .group_by(turns.conversation_id)
        )
    }
    return [
        Conversation(row.id, row.created_at, first[row.id], told[row.id].turns, told[row.id].last_at)
        for row in page
        if row.id in told
    ]


def turns_of(connection: Connection, asker: Principal, conversation_id: str) -> list[Node]:
    """Every turn of a conversation in order, so that a parent stands before its children: a tree however deep it is.
    Raises NotFound for another's."""
    owner = connection.execute(
        select(conversations.c.tenant_id, conversations.c.user).where(conversations.c.id == conversation_id)
    ).one_or_none()
    if owner is None or tuple(owner) != (asker.tenant_id, asker.user):
        raise _missing(conversation_id)
    columns = interactions.c
    rows = connection.execute(
        select(
            columns.id,
            columns.turn,
            columns.kind,
            columns.parent_id,
            columns.regenerates_id,
            columns.created_at,
            columns.collection,
            columns.question,
            columns.search_query,
            columns.answer,
            columns.abstained,
            columns.finish_reason,
            columns.error,
            columns.model,
        )
        .where(columns.conversation_id == conversation_id, columns.user == asker.user)
        .order_by(columns.turn)
    )
    return [Node(**row._mapping) for row in rows]
