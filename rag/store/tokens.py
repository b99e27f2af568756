"""Bearer tokens: made once, kept as digests, looked up by digest, revoked for good."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from rag.errors import Conflict, NotAuthenticated, NotFound, WrongUsage
from rag.store.audit import record
from rag.store.database import Database, now
from rag.store.tables import tokens
from rag.types import Metadata, Principal

PREFIX = "rag_"

# Every request asks one of these two: made once, for SQLAlchemy takes longer to make such a query than to run it.
_ALIVE = tokens.c.revoked_at.is_(None), or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > bindparam("now"))
_ANY_ALIVE = select(tokens.c.id).where(*_ALIVE).limit(1)
_HELD = select(tokens.c.tenant_id, tokens.c.name, tokens.c.labels).where(
    tokens.c.digest == bindparam("digest"), *_ALIVE
)


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; never the token itself."""

    id: int
    name: str
    labels: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def create(
    connection: Connection,
    database: Database,
    tenant_id: int,
    name: str,
    *,
    actor: str = "local",
    labels: Sequence[str] | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Make a token and return it; it cannot be read again. The audit trail says who made it.

    Raises Conflict if a live token has this name.
    """
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise WrongUsage(f"{name!r} cannot name a token: 1 to 100 printable characters")
    taken = connection.scalar(
        select(tokens.c.id).where(tokens.c.tenant_id == tenant_id, tokens.c.name == name, tokens.c.revoked_at.is_(None))
    )
    if taken is not None:
        raise Conflict(f"there is a live token {name!r}; revoke it first: rag token revoke {name}")
    secret = PREFIX + secrets.token_urlsafe(32)
    connection.execute(
        insert(tokens).values(
            tenant_id=tenant_id,
            name=name,
            digest=database.digest(secret),
            labels=None if labels is None else sorted(set(labels)),
            created_at=now(),
            expires_at=expires_at,
        )
    )
    detail: Metadata = {"labels": None if labels is None else [*sorted(set(labels))]}
    record(connection, tenant_id, actor=actor, action="token create", subject=name, detail=detail)
    return secret


def principal(connection: Connection, database: Database, secret: str) -> Principal:
    """Who holds this token. Raises NotAuthenticated if it is unknown, revoked or out of date."""
    row = connection.execute(_HELD, {"digest": database.digest(secret), "now": now()}).one_or_none()
    if row is None:
        raise NotAuthenticated("the token is unknown, revoked or out of date; `rag token create` makes one")
    return Principal(row.tenant_id, row.name, None if row.labels is None else frozenset(row.labels))


def any_alive(connection: Connection) -> bool:
    """Whether the installation has a token at all; while it has none, the API is open on loopback only."""
    return connection.scalar(_ANY_ALIVE, {"now": now()}) is not None


def revoke(connection: Connection, tenant_id: int, name: str, *, actor: str = "local") -> None:
    """End a token from the next request on. The audit trail says who did."""
    done = connection.execute(
        update(tokens)
        .where(tokens.c.tenant_id == tenant_id, tokens.c.name == name, tokens.c.revoked_at.is_(None))
        .values(revoked_at=now())
    ).rowcount
    if not done:
        raise NotFound(f"no live token {name!r}; `rag token list` shows them")
    record(connection, tenant_id, actor=actor, action="token revoke", subject=name, detail={})


def listing(connection: Connection, tenant_id: int) -> list[Token]:
    rows = connection.execute(
        select(
            tokens.c.id, tokens.c.name, tokens.c.labels, tokens.c.created_at, tokens.c.expires_at, tokens.c.revoked_at
        )
        .where(tokens.c.tenant_id == tenant_id)
        .order_by(tokens.c.id)
    )
    return [Token(r[0], r[1], None if r[2] is None else tuple(r[2]), r[3], r[4], r[5]) for r in rows]
