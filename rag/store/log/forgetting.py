"""What the log forgets: rows that are older than a rule keeps them, and words that somebody asked to be erased.

Both are in the audit trail with who, when and how many. What was erased keeps its row, its figures and the digests of
what it said, so that a text can still be held against it; what was pruned is gone whole, with what was said of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, exists, func, select, update

from rag.errors import NotFound, WrongUsage
from rag.store import audit, datasets, evaluations
from rag.store.database import Database, now
from rag.store.interactions import Query, page, query_json
from rag.store.tables import (
    conversations,
    feedback,
    interaction_passages,
    interactions,
    preferences,
    reviews,
    scores,
    tenants,
    texts,
)
from rag.types import Metadata, MetadataValue

BATCH = 500  # interactions of one transaction: answers that are being logged wait for it
ERASED = "(erased)"  # in place of an error's words, so that it still counts as one
_SAID = ("refusal", "removed", "fallback_reason", "rewrite_failure", "filter", "stop")  # settings that hold words


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was, or would be, forgotten."""

    interactions: int
    feedback: int
    reviews: int
    oldest: datetime | None
    newest: datetime | None
    datasets: tuple[str, ...]  # versions, as NAME@NUMBER, that hold some of them: they keep what they were made of
    runs: tuple[str, ...]  # of evaluations, that put some of their questions: they keep them


# ── erasing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def erasable(connection: Connection, tenant_id: int, query: Query, ids: Sequence[str] = ()) -> list[str]:
    """The interactions that are meant, by id, or by a query that narrows the log; and behind them their replays, which
    say the same, whoever asked for them. Raises NotFound, WrongUsage."""
    if ids:
        meant = [_of(connection, tenant_id, key) for key in dict.fromkeys(ids)]
    elif query == Query():
        raise WrongUsage("say what to erase: ids, or filters that narrow the log")
    else:
        meant = page(connection, tenant_id, query, limit=2**31)
    return _with_replays(connection, meant)


def _with_replays(connection: Connection, ids: Sequence[str]) -> list[str]:
    """These interactions, their replays, the replays of those, and so on, each once."""
    found = dict.fromkeys(ids)
    new = list(found)
    while new:
        some, new = new[:BATCH], new[BATCH:]
        again = connection.scalars(
            select(interactions.c.id).where(interactions.c.replays_id.in_(some)).order_by(interactions.c.id)
        )
        further = [key for key in again if key not in found]
        found |= dict.fromkeys(further)
        new += further
    return list(found)


def told(connection: Connection, tenant_id: int, ids: Sequence[str]) -> Forgotten:
    """What forgetting these interactions takes away, and where it stays."""
    found = said = reviewed = 0
    holding: dict[str, None] = {}
    oldest: datetime | None = None
    newest: datetime | None = None
    for begin in range(0, len(ids), BATCH):
        some = ids[begin : begin + BATCH]
        row = connection.execute(
            select(func.count(), func.min(interactions.c.created_at), func.max(interactions.c.created_at)).where(
                interactions.c.id.in_(some)
            )
        ).one()
        found += row[0]
        oldest = min(filter(None, (oldest, row[1])), default=None)
        newest = max(filter(None, (newest, row[2])), default=None)
        said += connection.scalar(select(func.count()).where(feedback.c.interaction_id.in_(some))) or 0
        reviewed += connection.scalar(select(func.count()).where(reviews.c.interaction_id.in_(some))) or 0
        holding |= dict.fromkeys(datasets.holding(connection, tenant_id, some))
    runs = tuple(evaluations.holding(connection, tenant_id, ids))
    return Forgotten(found, said, reviewed, oldest, newest, tuple(sorted(holding)), runs)


def erase(database: Database, tenant_id: int, ids: Sequence[str], *, actor: str, asked: Query) -> int:
    """Blank the words of these interactions: question, search query, answer, error, prompt, citations, what scorers,
    feedback and reviews say in words. Their digests, figures and passages' places stay. The answer is how many were not
    blank before; the audit trail keeps it, with the query."""
    done = 0
    for begin in range(0, len(ids), BATCH):
        with database.write() as connection:
            if database.is_sqlite:
                connection.exec_driver_sql("PRAGMA secure_delete=ON")  # what the file no longer holds is overwritten
            done += _erase(connection, tenant_id, ids[begin : begin + BATCH])
    with database.write() as connection:
        if database.is_sqlite and done:  # the index of words marks what is gone, until its parts are merged
            connection.exec_driver_sql("INSERT INTO log_words (log_words) VALUES ('optimize')")
        subject = ids[0] if len(ids) == 1 else "log"
        names: list[MetadataValue] = [*query_json(asked)]
        detail: Metadata = {"interactions": done, "asked for": len(ids), "filters": names}
        audit.record(connection, tenant_id, actor=actor, action="log erase", subject=subject, detail=detail)
    return done


def _erase(connection: Connection, tenant_id: int, ids: Sequence[str]) -> int:
    columns = interactions.c
    rows = connection.execute(
        select(columns.id, columns.settings, columns.prompt_id, columns.answer, columns.error).where(
            columns.tenant_id == tenant_id, columns.id.in_(ids), columns.erased_at.is_(None)
        )
    ).all()
    for row in rows:
        connection.execute(
            update(interactions)
            .where(columns.id == row.id)
            .values(
                question="",
                search_query="",
                answer=None if row.answer is None else "",
                error=None if row.error is None else ERASED,
                citations=[],
                prompt_id=None,
                settings={key: value for key, value in row.settings.items() if key not in _SAID},
                erased_at=now(),
            )
        )
    gone = [row.id for row in rows]
    connection.execute(update(scores).where(scores.c.interaction_id.in_(gone)).values(explanation=None, label=None))
    connection.execute(update(feedback).where(feedback.c.interaction_id.in_(gone)).values(comment=None, label=None))
    connection.execute(
        update(reviews).where(reviews.c.interaction_id.in_(gone)).values(corrected_answer=None, note=None)
    )
    compared = preferences.c.first_id.in_(gone) | preferences.c.second_id.in_(gone)
    connection.execute(update(preferences).where(compared).values(question="", comment=None))
    _unused(connection, [row.prompt_id for row in rows if row.prompt_id is not None])
    return len(rows)


def _of(connection: Connection, tenant_id: int, interaction_id: str) -> str:
    found = connection.scalar(
        select(interactions.c.id).where(
            interactions.c.tenant_id == tenant_id, interactions.c.id == interaction_id.upper()
        )
    )
    if found is None:
        raise NotFound(f"no interaction {interaction_id!r}; to erase one, give its whole id")
    return str(found)


def _unused(connection: Connection, text_ids: Sequence[int]) -> None:
    """Delete those of these texts that no row of the log is made of any more."""
    if not text_ids:
        return
    used = exists().where(interactions.c.prompt_id == texts.c.id)
    shown = exists().where(interaction_passages.c.shown_id == texts.c.id)
    connection.execute(delete(texts).where(texts.c.id.in_(sorted(set(text_ids))), ~used, ~shown))


# ── pruning ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def overdue(days: int) -> Query:
    """What a rule of so many days no longer keeps."""
    if days < 1:
        raise WrongUsage("the log is kept for ever: say for how many days, by --days or the setting log_retention_days")
    return Query(until=now() - timedelta(days=days))


def prune(database: Database, tenant_id: int, days: int, *, actor: str, at_most: int | None = None) -> int:
    """Delete interactions older than so many days, the oldest first, in short transactions, with their feedback,
    scores, tags and reviews; how many. Texts that nothing else is made of go with them, and empty conversations.
    """
    asked, done = overdue(days), 0
    while at_most is None or done < at_most:
        with database.write() as connection:
            limit = BATCH if at_most is None else min(BATCH, at_most - done)
            ids = page(connection, tenant_id, asked, limit=limit, after="0" * 26)
            _prune(connection, ids)
        done += len(ids)
        if len(ids) < BATCH:
            break
    if done:
        with database.write() as connection:
            detail: Metadata = {"interactions": done, "days": days}
            audit.record(connection, tenant_id, actor=actor, action="log prune", subject="log", detail=detail)
    return done


def prune_all(database: Database, days: int, *, actor: str, at_most: int) -> int:
    """`prune` in every tenant's log."""
    with database.read() as connection:
        known = connection.scalars(select(tenants.c.id).order_by(tenants.c.id)).all()
    done = 0
    for tenant_id in known:
        done += prune(database, tenant_id, days, actor=actor, at_most=at_most - done) if done < at_most else 0
    return done


def _prune(connection: Connection, ids: Sequence[str]) -> None:
    if not ids:
        return
    columns, shown = interactions.c, interaction_passages.c
    rows = connection.execute(select(columns.prompt_id, columns.conversation_id).where(columns.id.in_(ids))).all()
    places = connection.scalars(select(shown.shown_id).where(shown.interaction_id.in_(ids)).distinct()).all()
    connection.execute(delete(interactions).where(columns.id.in_(ids)))
    prompts = {row.prompt_id for row in rows if row.prompt_id is not None}
    _unused(connection, sorted({*prompts, *places}))
    begun = sorted({row.conversation_id for row in rows if row.conversation_id is not None})
    turns = exists().where(columns.conversation_id == conversations.c.id)
    connection.execute(delete(conversations).where(conversations.c.id.in_(begun), ~turns))
