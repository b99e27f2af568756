"""Running the house: jobs, tokens, the audit."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from rag.store.tables.base import Id, Json, Utc, created_column, id_column, metadata

jobs = Table(
    "jobs",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("payload", Json, nullable=False),
    Column("progress", Json, nullable=False),
    Column("result", Json),
    Column("error", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("lease_owner", Text),
    Column("lease_until", Utc),
    Column("user", Text, nullable=False),
    Column("collection", Text),  # the name of the one it works on
    Column("cancel_asked_at", Utc),
    created_column(),
    Column("started_at", Utc),
    Column("finished_at", Utc),
    Index("ix_jobs_state_id", "state", "id"),
    Index("ix_jobs_tenant_id_id", "tenant_id", "id"),
    CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="state"),
    sqlite_autoincrement=True,
)

job_items = Table(  # what became of every file of a job, once
    "job_items",
    metadata,
    id_column(),
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("uri", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("documents", Integer, nullable=False),
    created_column(),
    UniqueConstraint("job_id", "uri"),
    Index("ix_job_items_job_id_id", "job_id", "id"),
    CheckConstraint("state IN ('added', 'updated', 'unchanged', 'duplicate', 'skipped', 'failed')", name="state"),
    sqlite_autoincrement=True,
)

job_inputs = Table(  # what was uploaded for a job, until the job is done
    "job_inputs",
    metadata,
    id_column(),
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("uri", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("external_id", Text),
    Column("content", LargeBinary, nullable=False),
    Index("ix_job_inputs_job_id", "job_id"),
    sqlite_autoincrement=True,
)

tokens = Table(  # bearer tokens; the secret itself is shown once and never kept
    "tokens",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("labels", Json),  # NULL sees every label
    created_column(),
    Column("expires_at", Utc),
    Column("revoked_at", Utc),
    Index(
        "uq_tokens_live_name",
        "tenant_id",
        "name",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

audit = Table(  # what was done to the installation by whom; never changed
    "audit",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id")),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Json, nullable=False),
    created_column(),
    sqlite_autoincrement=True,
)
