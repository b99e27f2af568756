"""The audit trail: what was done to the installation, by whom and when; rows are added, never changed."""

from sqlalchemy import Connection, insert

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
