"""Whether the log still says what was said: every digest derived anew from what is stored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select

from rag.store.checks import stored_text
from rag.store.database import Database
from rag.store.log import prompts
from rag.store.log.reading import passages_of, rendered
from rag.store.log.values import said_json
from rag.store.tables import collections, contents, interaction_facts, interactions, templates, texts
from rag.types import Template

BATCH = 500
NAMED = 10  # what is wrong, of each part


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of digest."""

    name: str
    checked: int
    unproved: int  # without a digest, or with words that are gone, by an erasure or a rule
    wrong: tuple[str, ...]  # the first of them, in words
    failures: int


@dataclass(frozen=True, slots=True)
class Proof:
    parts: tuple[Part, ...]

    @property
    def sound(self) -> bool:
        """Whether all is what it was."""
        return not any(part.failures for part in self.parts)


Held = tuple[bool | None, str]
"""Whether a digest holds, None where that cannot be told; and of what, in words."""


def verify(database: Database, tenant_id: int) -> Proof:
    """Derive every digest of a tenant's log, and of the texts and templates that it rests on; read in pages, so that
    answers can be logged meanwhile."""
    columns = interactions.c
    mine = select(interactions).where(columns.tenant_id == tenant_id)
    held = select(contents).join(collections, collections.c.id == contents.c.collection_id)
    parts: list[tuple[str, Select[Any], ColumnElement[Any], Callable[[Connection, Row[Any]], Held]]]
    parts = [
        ("words", mine, columns.id, lambda _, row: _said(database, row)),
        (
            "prompts",
            mine.where(columns.prompt_digest.is_not(None)),
            columns.id,
            lambda c, row: _prompt(database, c, row),
        ),
        (
            "shared texts",
            select(texts).where(texts.c.tenant_id == tenant_id),
            texts.c.id,
            lambda _, row: (database.digest(row.text) == bytes(row.digest), f"text {row.id}"),
        ),
        (
            "texts of passages",
            held.where(collections.c.tenant_id == tenant_id),
            contents.c.id,
            lambda _, row: _content(database, row),
        ),
        (
            "templates",
            select(templates).where(templates.c.tenant_id == tenant_id),
            templates.c.id,
            lambda _, row: (Template(row.name, row.text).digest == row.digest, f"template {row.name}@{row.digest}"),
        ),
        (
            "facts of interactions",
            select(columns.id, interaction_facts.c.number)
            .outerjoin(interaction_facts, interaction_facts.c.interaction_id == columns.id)
            .where(columns.tenant_id == tenant_id),
            columns.id,
            lambda _, row: (row.number is not None, f"interaction {row.id} has none: no list shows it"),
        ),
    ]
    return Proof(tuple(_part(database, *part) for part in parts))


def _part(
    database: Database,
    name: str,
    wanted: Select[Any],
    key: ColumnElement[Any],
    holds: Callable[[Connection, Row[Any]], Held],
) -> Part:
    """Look at all rows, by their key."""
    checked = unproved = failures = 0
    wrong: list[str] = []
    last: object = None
    while True:
        with database.read() as connection:
            page = wanted if last is None else wanted.where(key > last)
            rows = connection.execute(page.order_by(key).limit(BATCH)).all()
            for row in rows:
                sound, what = holds(connection, row)
                checked += sound is not None
                unproved += sound is None
                failures += sound is False
                if sound is False and len(wrong) < NAMED:
                    wrong.append(what)
        if len(rows) < BATCH:
            return Part(name, checked, unproved, tuple(wrong), failures)
        last = rows[-1].id


def _said(database: Database, row: Row[Any]) -> Held:
    told = f"question, answer or error of interaction {row.id}"
    if row.said_digest is None or row.erased_at is not None:
        return None, told
    said = said_json(row.question, row.search_query, row.answer, row.error)
    return database.digest(said) == bytes(row.said_digest), told


def _prompt(database: Database, connection: Connection, row: Row[Any]) -> Held:
    """The prompt as put together again: of its frame, its passages by their offsets, and what was said before."""
    told = f"prompt of interaction {row.id}"
    if row.prompt_id is None:
        return None, told
    passages = passages_of(connection, row.id)
    if any(not passage.text for passage in passages):  # erased since
        return None, told
    messages = rendered(connection, row, passages)
    if messages is None:
        return None, told
    return database.digest(prompts.written(messages)) == bytes(row.prompt_digest), told


def _content(database: Database, row: Row[Any]) -> Held:
    told = f"text {row.id} of a collection"
    if row.erased_at is not None:
        return None, told
    return database.digest(stored_text(row.title, row.text)) == bytes(row.text_digest), told
