"""Synchronised sources, duplicates and the decisions on them, what became of every file of a job."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


# Written out, not imported from rag: a migration must stay what it was.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "bands",
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("recent", sa.Boolean(), nullable=False),
        sa.Column("hash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("signature_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_bands_collection_id")),
        sa.PrimaryKeyConstraint("collection_id", "recent", "hash", "signature_id", name=op.f("pk_bands")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "job_inputs",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_inputs_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_inputs")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_inputs_job_id", "job_inputs", ["job_id"], unique=False)

    op.create_table(
        "job_items",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("documents", sa.Integer(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.CheckConstraint(
            "state IN ('added', 'updated', 'unchanged', 'duplicate', 'skipped', 'failed')",
            name=op.f("ck_job_items_state"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_items_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_items")),
        sa.UniqueConstraint("job_id", "uri", name=op.f("uq_job_items_job_id_uri")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_items_job_id_id", "job_items", ["job_id", "id"], unique=False)

    op.create_table(
        "signatures",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_signatures_collection_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signatures")),
        sa.UniqueConstraint("collection_id", "scope", "digest", name=op.f("uq_signatures_collection_id_scope_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "syncs",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("locations", JSON, nullable=False),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("result", JSON, nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("ran_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_syncs_collection_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_syncs")),
        sa.UniqueConstraint("collection_id", "name", name=op.f("uq_syncs_collection_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "decisions",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("similarity", sa.Float(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("document_id", ID, nullable=True),
        sa.Column("against_uri", sa.Text(), nullable=False),
        sa.Column("against_digest", sa.LargeBinary(), nullable=False),
        sa.Column("against_id", ID, nullable=True),
        sa.Column("held_back", JSON, nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("ended_at", UTC, nullable=True),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.CheckConstraint("ending IN ('undone', 'released', 'superseded')", name=op.f("ck_decisions_ending")),
        sa.CheckConstraint("level IN ('exact', 'near', 'semantic')", name=op.f("ck_decisions_level")),
        sa.CheckConstraint("policy IN ('skip', 'alias', 'newest', 'keep')", name=op.f("ck_decisions_policy")),
        sa.CheckConstraint("scope IN ('document', 'chunk')", name=op.f("ck_decisions_scope")),
        sa.ForeignKeyConstraint(["against_id"], ["documents.id"], name=op.f("fk_decisions_against_id")),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_decisions_collection_id")),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name=op.f("fk_decisions_document_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_decisions_against_id", "decisions", ["against_id"], unique=False)
    op.create_index(
        "ix_decisions_collection_id_against_digest", "decisions", ["collection_id", "against_digest"], unique=False
    )
    op.create_index("ix_decisions_collection_id_digest", "decisions", ["collection_id", "digest"], unique=False)
    op.create_index("ix_decisions_collection_id_id", "decisions", ["collection_id", "id"], unique=False)
    op.create_index("ix_decisions_collection_id_uri", "decisions", ["collection_id", "uri"], unique=False)
    op.create_index("ix_decisions_document_id", "decisions", ["document_id"], unique=False)
    op.create_index(
        "ix_decisions_held_back",
        "decisions",
        ["collection_id"],
        unique=False,
        sqlite_where=sa.text("held_back IS NOT NULL AND ended_at IS NULL"),
        postgresql_where=sa.text("held_back IS NOT NULL AND ended_at IS NULL"),
    )
    op.create_index("ix_chunks_collection_id_digest", "chunks", ["collection_id", "digest"], unique=False)

    with op.batch_alter_table("contents", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("language", sa.Text(), server_default=sa.text("''"), nullable=False))
        batch.add_column(sa.Column("cutting", sa.LargeBinary(), nullable=True))
        batch.create_index("ix_contents_collection_id_language", ["collection_id", "language"], unique=False)

    with op.batch_alter_table("documents", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("own_content_id", ID, nullable=True))
        batch.create_index("ix_documents_own_content_id", ["own_content_id"], unique=False)
        batch.create_foreign_key(batch.f("fk_documents_own_content_id"), "contents", ["own_content_id"], ["id"])

    with op.batch_alter_table("jobs", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("collection", sa.Text(), nullable=True))
        batch.add_column(sa.Column("cancel_asked_at", UTC, nullable=True))
        batch.add_column(sa.Column("started_at", UTC, nullable=True))
        batch.create_index("ix_jobs_tenant_id_id", ["tenant_id", "id"], unique=False)

    with op.batch_alter_table("sources", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("sync_id", ID, nullable=True))
        batch.add_column(sa.Column("etag", sa.Text(), nullable=True))
        batch.add_column(sa.Column("modified", sa.Text(), nullable=True))
        batch.create_index("ix_sources_sync_id", ["sync_id"], unique=False)
        batch.create_foreign_key(batch.f("fk_sources_sync_id"), "syncs", ["sync_id"], ["id"])


def downgrade() -> None:
    with op.batch_alter_table("sources", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.drop_constraint(batch.f("fk_sources_sync_id"), type_="foreignkey")
        batch.drop_index("ix_sources_sync_id")
        batch.drop_column("modified")
        batch.drop_column("etag")
        batch.drop_column("sync_id")

    with op.batch_alter_table("jobs", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.drop_index("ix_jobs_tenant_id_id")
        batch.drop_column("started_at")
        batch.drop_column("cancel_asked_at")
        batch.drop_column("collection")

    with op.batch_alter_table("documents", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.drop_constraint(batch.f("fk_documents_own_content_id"), type_="foreignkey")
        batch.drop_index("ix_documents_own_content_id")
        batch.drop_column("own_content_id")

    with op.batch_alter_table("contents", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.drop_index("ix_contents_collection_id_language")
        batch.drop_column("cutting")
        batch.drop_column("language")

    op.drop_index("ix_decisions_document_id", table_name="decisions")
    op.drop_index("ix_chunks_collection_id_digest", table_name="chunks")
    op.drop_index("ix_decisions_held_back", table_name="decisions")
    op.drop_index("ix_decisions_collection_id_uri", table_name="decisions")
    op.drop_index("ix_decisions_collection_id_id", table_name="decisions")
    op.drop_index("ix_decisions_collection_id_digest", table_name="decisions")
    op.drop_index("ix_decisions_collection_id_against_digest", table_name="decisions")
    op.drop_index("ix_decisions_against_id", table_name="decisions")

    op.drop_table("decisions")
    op.drop_table("syncs")
    op.drop_table("signatures")
    op.drop_index("ix_job_items_job_id_id", table_name="job_items")

    op.drop_table("job_items")
    op.drop_index("ix_job_inputs_job_id", table_name="job_inputs")

    op.drop_table("job_inputs")
    op.drop_table("bands")
