"""Evaluations that are kept: a row a run, and what each found for every judged question. Metadata of documents is
written with its letters as they are, so that SQLite finds keys that are not ASCII."""

import json

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


# Written out, not imported from rag: a migration must stay what it was.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("collection_id", ID, nullable=True),
        sa.Column("collection", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("latency_ms", JSON, nullable=True),
        sa.Column("queries", sa.Integer(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_evaluations_collection_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_evaluations_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_evaluations_tenant_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_evaluations_collection_id", "evaluations", ["collection_id"], unique=False)
    op.create_table(
        "evaluation_queries",
        sa.Column("evaluation_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("query_id", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("relevant", JSON, nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("ranking", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluations.id"],
            name=op.f("fk_evaluation_queries_evaluation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("evaluation_id", "number", name=op.f("pk_evaluation_queries")),
    )
    if op.get_bind().dialect.name == "sqlite":
        _unescape()


def _unescape() -> None:
    connection = op.get_bind()
    found = connection.execute(sa.text("SELECT id, metadata FROM documents WHERE metadata LIKE '%\\u%'")).all()
    for key, written in found:
        plain = json.dumps(json.loads(written), ensure_ascii=False)
        try:
            plain.encode()
        except UnicodeEncodeError:  # a lone surrogate can only stand escaped
            continue
        connection.execute(
            sa.text("UPDATE documents SET metadata = :plain WHERE id = :id"), {"plain": plain, "id": key}
        )


def downgrade() -> None:
    op.drop_table("evaluation_queries")
    op.drop_index("ix_evaluations_collection_id", table_name="evaluations")
    op.drop_table("evaluations")
