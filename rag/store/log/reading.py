"""The log read: lists, one interaction whole, and what was said of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from rag.errors import NotFound
from rag.store.log import prompts
from rag.store.log.pages import page
from rag.store.log.query import Query
from rag.store.log.values import interaction, parts_value
from rag.store.tables import contents, feedback, interaction_passages, interactions, scores, texts
from rag.types import Hit, Interaction, Message, Passage, Place, Score

ULID_LENGTH = 26
RECALLED = 100  # turns that a prompt may repeat
GONE = (Message("system", "(what this prompt repeats is gone from the log; the digest of its text is kept)"),)


@dataclass(frozen=True, slots=True)
class Standing:
    """Which conversation a question was asked in, and behind which turn; None: in none, behind none."""

    conversation_id: str | None = None
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    id: int
    user: str
    rating: int | None
    label: str | None
    comment: str | None
    created_at: datetime


def listing(
    connection: Connection,
    tenant_id: int,
    query: Query,
    *,
    limit: int,
    before: str | None = None,
    after: str | None = None,
) -> list[Interaction]:
    """The newest interactions first, without passages, candidates or prompt: those behind the id `before`, or the last
    ones before `after`."""
    ids = page(connection, tenant_id, query, limit=limit, before=before, after=after)
    return lines(connection, ids)


def lines(connection: Connection, ids: Sequence[str]) -> list[Interaction]:
    """The interactions of these ids, in this order, without passages, candidates or prompt; those that are gone are
    left out."""
    columns = [column for column in interactions.c if column is not interactions.c.candidates]
    rows = {row.id: row for row in connection.execute(select(*columns).where(interactions.c.id.in_(ids)))}
    judged = _scores(connection, ids)
    return [interaction(rows[key], None, (), judged.get(key, ()), ()) for key in ids if key in rows]


def get(connection: Connection, tenant_id: int, interaction_id: str) -> Interaction:
    """One interaction whole. Accepts the beginning of an id when only one interaction has it. Raises NotFound."""
    found = whole(connection, require(connection, tenant_id, interaction_id))
    assert found is not None
    return found


def whole(connection: Connection, interaction_id: str) -> Interaction | None:
    """The interaction of exactly this id; None where there is none."""
    row = connection.execute(select(interactions).where(interactions.c.id == interaction_id)).one_or_none()
    if row is None:
        return None
    passages = passages_of(connection, interaction_id)
    messages = None
    if row.prompt_id is not None:
        messages = rendered(connection, row, passages) or GONE
    judged = _scores(connection, [interaction_id]).get(interaction_id, ())
    return interaction(
        row, messages, passages, judged, tuple(Hit(c[0], c[1], parts_value(c[2])) for c in row.candidates)
    )


def rendered(connection: Connection, row: Row[Any], passages: Sequence[Passage]) -> tuple[Message, ...] | None:
    """The messages of a row's prompt; None where what they repeat is gone."""
    kept = connection.execute(select(texts.c.text).where(texts.c.id == row.prompt_id)).scalar_one()
    turns = turns_before(connection, standing(connection, row).parent_id) if prompts.leans(kept) else ()
    return prompts.unfolded(kept, prompts.Sources(row.question, row.search_query, passages, turns))


def standing(connection: Connection, entry: Interaction | Row[Any]) -> Standing:
    """Where an interaction was asked. A replay, which is in no conversation, was asked where what it replays was."""
    columns = interactions.c
    found, replayed = Standing(entry.conversation_id, entry.parent_id), entry.replays_id
    while found == Standing() and replayed is not None:
        row = connection.execute(
            select(columns.conversation_id, columns.parent_id, columns.replays_id).where(columns.id == replayed)
        ).one_or_none()
        if row is None:
            break
        found, replayed = Standing(row.conversation_id, row.parent_id), row.replays_id
    return found


def turns_before(connection: Connection, parent_id: str | None) -> list[tuple[str, str]]:
    """Question and answer of a turn and those before it, the newest first, as prompts repeat them."""
    columns = interactions.c
    wanted = select(columns.question, columns.answer, columns.abstained, columns.parent_id, columns.erased_at)
    turns: list[tuple[str, str]] = []
    while parent_id is not None and len(turns) < RECALLED:
        row = connection.execute(wanted.where(columns.id == parent_id)).one_or_none()
        if row is None or row.erased_at is not None:
            break
        turns.append(prompts.turn(row.question, row.answer, row.abstained))
        parent_id = row.parent_id
    return turns


def feedback_of(connection: Connection, interaction_id: str) -> list[Feedback]:
    rows = connection.execute(
        select(
            feedback.c.id,
            feedback.c.user,
            feedback.c.rating,
            feedback.c.label,
            feedback.c.comment,
            feedback.c.created_at,
        )
        .where(feedback.c.interaction_id == interaction_id)
        .order_by(feedback.c.id)
    )
    return [Feedback(*row) for row in rows]


def require(connection: Connection, tenant_id: int, interaction_id: str) -> str:
    """The whole id of the interaction whose id begins so. Raises NotFound where there is none, or several."""
    begins = interaction_id.upper()
    found: Sequence[str] = []
    if begins.isascii() and begins.isalnum():  # a range, which an index has; LIKE would read all ids
        last = begins + "Z" * (ULID_LENGTH - len(begins))
        here = interactions.c.id.between(begins, last)
        found = connection.scalars(
            select(interactions.c.id).where(interactions.c.tenant_id == tenant_id, here).limit(2)
        ).all()
    if len(found) == 1:
        return str(found[0])
    what = (
        f"several interactions begin with {interaction_id!r}; give more of the id"
        if found
        else (f"no interaction {interaction_id!r}; `rag logs` lists them")
    )
    raise NotFound(what)


def _scores(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[Score, ...]]:
    found: dict[str, tuple[Score, ...]] = {}
    if not ids:
        return found
    for row in connection.execute(
        select(
            scores.c.interaction_id,
            scores.c.name,
            scores.c.value,
            scores.c.label,
            scores.c.explanation,
            scores.c.annotator_kind,
            scores.c.identifier,
        )
        .where(scores.c.interaction_id.in_(ids))
        .order_by(scores.c.id)
    ):
        found[row[0]] = (*found.get(row[0], ()), Score(*row[1:]))
    return found


def passages_of(connection: Connection, interaction_id: str) -> tuple[Passage, ...]:
    table = interaction_passages.c
    rows = connection.execute(
        select(
            interaction_passages,
            texts.c.text.label("shown"),
            func.substr(contents.c.text, table.start + 1, table.end - table.start).label("text"),
        )
        .join(contents, contents.c.id == table.content_id)
        .join(texts, texts.c.id == table.shown_id)
        .where(table.interaction_id == interaction_id)
        .order_by(table.number)
    )
    return tuple(_passage(row, json.loads(row.shown)) for row in rows)


def _passage(row: Row[Any], shown: Mapping[str, Any]) -> Passage:
    return Passage(
        hit=Hit(row.chunk_id, row.score, parts_value(row.parts)),
        text=row.text,
        title=row.title,
        headings=tuple(shown["headings"]),
        places=tuple(Place(**place) for place in shown["places"]),
        page=shown["page"],
        start=row.start,
        end=row.end,
        content_id=row.content_id,
    )
