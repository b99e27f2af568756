"""The audit trail: what was done to the installation, by whom and when; rows are added, never changed."""

from sqlalchemy import Connection, insert, or_, select

from rag.store.database import now
from rag.store.tables import audit
from rag.types import Metadata


def record(
    connection: Connection, tenant_id: int | None, *, actor: str, action: str, subject: str, detail: Metadata
) -> None:
    """Write one line of the audit trail."""
    connection.execute(
        insert(audit).values(
            tenant_id=tenant_id, actor=actor, action=action, subject=subject, detail=dict(detail), created_at=now()
        )
    )


def details(connection: Connection, tenant_id: int, action: str, subject: str, beginning: str) -> list[Metadata]:
    """What the lines of an action tell whose subject is `subject` or begins with `beginning`, the oldest first."""
    about = or_(audit.c.subject == subject, audit.c.subject.startswith(beginning, autoescape=True))
    query = select(audit.c.detail).where(audit.c.tenant_id == tenant_id, audit.c.action == action, about)
    return list(connection.scalars(query.order_by(audit.c.id)))
