"""Versions of prompt templates: each text is kept once by name and digest, and never changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, Select, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from rag.errors import Conflict, NotFound, WrongUsage
from rag.store.audit import record
from rag.store.database import now
from rag.store.tables import templates
from rag.types import Template

BuiltIn = Mapping[str, Template]
"""The templates that come with the program, by name."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a template."""

    template: Template
    current: bool  # whether its name alone means it
    built_in: bool  # whether it came with the program
    user: str | None  # who added it; None: nobody did
    created_at: datetime | None  # when it was added or first used; None: it came with the program, and neither was done


def add(connection: Connection, tenant_id: int, template: Template, *, user: str) -> bool:
    """Keep a text under a name, which means it from now on; False when it did so already. An earlier text that comes
    again is the newest again. The audit trail says who added it.

    Raises Conflict where another text has the same digest.
    """
    newest = connection.execute(_of(tenant_id, template.name).limit(1)).one_or_none()
    if newest is not None and newest.turn is not None and newest.text == template.text:
        return False
    keep(connection, tenant_id, template)
    turns = select(func.coalesce(func.max(templates.c.turn), 0) + 1).where(
        templates.c.tenant_id == tenant_id, templates.c.name == template.name
    )
    here = (
        templates.c.tenant_id == tenant_id,
        templates.c.name == template.name,
        templates.c.digest == template.digest,
    )
    turn = connection.scalar(turns)
    connection.execute(update(templates).where(*here).values(turn=turn))
    connection.execute(update(templates).where(*here, templates.c.user.is_(None)).values(user=user))
    record(connection, tenant_id, actor=user, action="prompt add", subject=template.version, detail={})
    return True


_TEXT = select(templates.c.text).where(
    templates.c.tenant_id == bindparam("tenant"),
    templates.c.name == bindparam("named"),
    templates.c.digest == bindparam("digested"),
)


def keep(connection: Connection, tenant_id: int, template: Template) -> None:
    """Make sure that the text of this version can be shown for ever; what its name means stays as it is.

    Raises Conflict where another text has the same digest.
    """
    here = {"tenant": tenant_id, "named": template.name, "digested": template.digest}
    held = connection.scalar(_TEXT, here)
    if held is None:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(
            dialect.insert(templates)
            .values(
                tenant_id=tenant_id,
                name=template.name,
                digest=template.digest,
                text=template.text,
                created_at=now(),
            )
            .on_conflict_do_nothing()
        )
        held = connection.scalar(_TEXT, here)
    if held != template.text:
        raise Conflict(f"another text is known as {template.version}; change a word of this one")


def find(connection: Connection, tenant_id: int, named: str, built_in: BuiltIn) -> Version:
    """The version that `name` (the newest that was added, else the built-in one) or `name@digest` means; of a digest
    the beginning is enough where one version has it. Raises NotFound, WrongUsage for a name of another form."""
    name, at, digest = named.partition("@")
    if not name or (at and not digest):
        raise WrongUsage(f"{named!r} names no template: write NAME or NAME@DIGEST")
    versions = of_name(connection, tenant_id, name, built_in)
    found = [each for each in versions if (each.template.digest.startswith(digest.lower()) if at else each.current)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound(f"several versions of {name!r} begin with {digest!r}; give more of the digest")
    if versions:
        others = ", ".join(each.template.version for each in versions[:5])
        raise NotFound(f"template {name!r} has no version {digest!r}; there are {others}")
    raise NotFound(f"no template {name!r}; `rag prompts list` shows them")


def of_name(connection: Connection, tenant_id: int, name: str, built_in: BuiltIn) -> list[Version]:
    """Every version of a name, the one it means first, then the newest first."""
    rows = connection.execute(_of(tenant_id, name)).all()
    return _versions(rows, built_in.get(name))


def listing(connection: Connection, tenant_id: int, built_in: BuiltIn) -> list[Version]:
    """Every version of every name, names in alphabetical order, each as `of_name` has it."""
    stored = connection.scalars(select(templates.c.name).where(templates.c.tenant_id == tenant_id).distinct())
    names = sorted({*stored, *built_in})
    return [version for name in names for version in of_name(connection, tenant_id, name, built_in)]


def _of(tenant_id: int, name: str) -> Select[tuple[str, str, int | None, str | None, datetime]]:
    """The stored versions of a name, the newest first; those that nobody added come last."""
    columns = templates.c
    return (
        select(columns.name, columns.text, columns.turn, columns.user, columns.created_at)
        .where(columns.tenant_id == tenant_id, columns.name == name)
        .order_by(func.coalesce(columns.turn, 0).desc(), columns.id.desc())
    )


def _versions(
    rows: Sequence[Row[tuple[str, str, int | None, str | None, datetime]]], built_in: Template | None
) -> list[Version]:
    added = bool(rows) and rows[0].turn is not None
    found = [
        Version(
            template := Template(row.name, row.text),
            (added and number == 0) or (not added and template == built_in),
            row.user is None,
            row.user,
            row.created_at,
        )
        for number, row in enumerate(rows)
    ]
    if built_in is not None and all(each.template != built_in for each in found):
        found.append(Version(built_in, not added, True, None, None))
    return sorted(found, key=lambda each: not each.current)  # stable: the others stay as they are
