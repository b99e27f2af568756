"""Tags: words that people put to interactions, to find and to count them by."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from rag.errors import NotFound, WrongUsage
from rag.store.database import now
from rag.store.tables import interaction_facts, interaction_tags, log_terms

LONGEST = 64  # characters
MOST = 100  # tags of one interaction
_TAG = re.compile(r"[^\W_][\w.:/@+-]*(?: [\w.:/@+-]+)*")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of an interaction."""

    name: str
    user: str  # who put it there first
    created_at: datetime


def checked(tag: str) -> str:
    """The tag, in lower case, with its spaces evened. Raises WrongUsage for what cannot be one."""
    name = " ".join(tag.split()).lower()
    if len(name) > LONGEST or not _TAG.fullmatch(name):
        raise WrongUsage(
            f"{tag[:80]!r} is no tag: up to {LONGEST} letters, digits, spaces and . : / @ + - _, the first of them a "
            "letter or a digit"
        )
    return name


def add(
    connection: Connection, tenant_id: int, interaction_ids: Sequence[str], tags: Sequence[str], *, user: str
) -> int:
    """Put tags to interactions, all or nothing; those that are there stay as they are. The answer is how many are new.
    Raises NotFound, WrongUsage."""
    names = list(dict.fromkeys(checked(tag) for tag in tags))
    numbers = _numbers(connection, tenant_id, interaction_ids)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    terms = [{"tenant_id": tenant_id, "field": "tag", "value": name} for name in names]
    if not names:
        return 0
    connection.execute(dialect.insert(log_terms).on_conflict_do_nothing(), terms)
    keys = _keys(connection, tenant_id, names)
    before = _counted(connection, tenant_id, numbers)
    rows = [
        {"tenant_id": tenant_id, "tag_id": keys[name], "number": number, "user": user, "created_at": now()}
        for number in numbers
        for name in names
    ]
    connection.execute(dialect.insert(interaction_tags).on_conflict_do_nothing(), rows)
    after = _counted(connection, tenant_id, numbers)
    if full := [number for number, count in after.items() if count > MOST]:
        raise WrongUsage(f"an interaction has {MOST} tags at most; {len(full)} would have more")
    return sum(after.values()) - sum(before.values())


def remove(connection: Connection, tenant_id: int, interaction_ids: Sequence[str], tags: Sequence[str]) -> int:
    """Take tags from interactions; the answer is how many were there. Raises NotFound, WrongUsage."""
    keys = _keys(connection, tenant_id, [checked(tag) for tag in tags])
    numbers = _numbers(connection, tenant_id, interaction_ids)
    gone = connection.execute(
        delete(interaction_tags).where(
            interaction_tags.c.tenant_id == tenant_id,
            interaction_tags.c.tag_id.in_(keys.values()),
            interaction_tags.c.number.in_(numbers),
        )
    )
    return gone.rowcount


def of(connection: Connection, tenant_id: int, interaction_ids: Sequence[str]) -> dict[str, tuple[Tag, ...]]:
    """The tags of each interaction that has any, in alphabetical order."""
    facts, tags = interaction_facts.c, interaction_tags.c
    rows = connection.execute(
        select(facts.interaction_id, log_terms.c.value, tags.user, tags.created_at)
        .join(interaction_tags, (tags.tenant_id == facts.tenant_id) & (tags.number == facts.number))
        .join(log_terms, log_terms.c.id == tags.tag_id)
        .where(facts.tenant_id == tenant_id, facts.interaction_id.in_(interaction_ids))
        .order_by(log_terms.c.value)
    )
    found: dict[str, tuple[Tag, ...]] = {}
    for key, *tag in rows:
        found[key] = (*found.get(key, ()), Tag(*tag))
    return found


def listing(connection: Connection, tenant_id: int, *, user: str | None = None) -> list[tuple[str, int]]:
    """Every tag in use with the number of its interactions, the most frequent first. user: of this user's questions
    only."""
    tags, facts = interaction_tags.c, interaction_facts.c
    wanted = (
        select(log_terms.c.value, func.count())
        .join(interaction_tags, tags.tag_id == log_terms.c.id)
        .where(tags.tenant_id == tenant_id)
        .group_by(log_terms.c.value)
        .order_by(func.count().desc(), log_terms.c.value)
    )
    if user is not None:
        asked = select(log_terms.c.id).where(
            log_terms.c.tenant_id == tenant_id, log_terms.c.field == "user", log_terms.c.value == user
        )
        here = (facts.tenant_id == tags.tenant_id) & (facts.number == tags.number)
        wanted = wanted.join(interaction_facts, here).where(facts.user_id == asked.scalar_subquery())
    return [(row[0], row[1]) for row in connection.execute(wanted)]


def _numbers(connection: Connection, tenant_id: int, interaction_ids: Sequence[str]) -> list[int]:
    facts = interaction_facts.c
    found = {
        row[0]: row[1]
        for row in connection.execute(
            select(facts.interaction_id, facts.number).where(
                facts.tenant_id == tenant_id, facts.interaction_id.in_(interaction_ids)
            )
        )
    }
    for key in interaction_ids:
        if key not in found:
            raise NotFound(f"no interaction {key!r}; `rag logs` lists them")
    return list(found.values())


def _keys(connection: Connection, tenant_id: int, names: Sequence[str]) -> dict[str, int]:
    rows = connection.execute(
        select(log_terms.c.value, log_terms.c.id).where(
            log_terms.c.tenant_id == tenant_id, log_terms.c.field == "tag", log_terms.c.value.in_(names)
        )
    )
    return {row[0]: row[1] for row in rows}


def _counted(connection: Connection, tenant_id: int, numbers: Sequence[int]) -> dict[int, int]:
    tags = interaction_tags.c
    rows = connection.execute(
        select(tags.number, func.count())
        .where(tags.tenant_id == tenant_id, tags.number.in_(numbers))
        .group_by(tags.number)
    )
    return {row[0]: row[1] for row in rows}
