"""Reviews: queues by rule, locks, labels, corrections."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


# Written out, not imported from rag: a migration must stay what it was.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
UTC = sa.DateTime(timezone=True)
TABLES = ("review_passages", "reviews", "review_skips", "review_items", "review_guidelines", "review_queues")


def upgrade() -> None:
    op.create_table(
        "review_queues",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rule", JSON, nullable=False),
        sa.Column("score", sa.Text(), nullable=False),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("reviewers", sa.Integer(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("removed_at", UTC, nullable=True),
        sa.Column("filled_at", UTC, nullable=True),
        sa.Column("filled_score", sa.BigInteger(), nullable=True),
        sa.Column("filled_feedback", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("reviewers >= 1", name=op.f("ck_review_queues_reviewers")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_review_queues_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_queues")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_review_queues_live_name",
        "review_queues",
        ["tenant_id", "name"],
        unique=True,
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_table(
        "review_guidelines",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("queue_id", ID, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["queue_id"], ["review_queues.id"], name=op.f("fk_review_guidelines_queue_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_guidelines")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_review_guidelines_queue_id", "review_guidelines", ["queue_id"], unique=False)
    op.create_table(
        "review_items",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("queue_id", ID, nullable=False),
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("chosen_by", sa.Text(), nullable=False),
        sa.Column("reasons", JSON, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", UTC, nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("done_at", UTC, nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'done')", name=op.f("ck_review_items_state")),
        sa.ForeignKeyConstraint(
            ["interaction_id"], ["interactions.id"], name=op.f("fk_review_items_interaction_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["queue_id"], ["review_queues.id"], name=op.f("fk_review_items_queue_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_items")),
        sa.UniqueConstraint("queue_id", "interaction_id", name=op.f("uq_review_items_queue_id_interaction_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_review_items_interaction_id", "review_items", ["interaction_id"], unique=False)
    op.create_index(
        "ix_review_items_queue_id_state_priority_id",
        "review_items",
        ["queue_id", "state", "priority", "id"],
        unique=False,
    )
    op.create_table(
        "review_skips",
        sa.Column("item_id", ID, nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["review_items.id"], name=op.f("fk_review_skips_item_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("item_id", "reviewer", name=op.f("pk_review_skips")),
    )
    op.create_table(
        "reviews",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("queue_id", ID, nullable=False),
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("guidelines_id", ID, nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("corrected_answer", sa.Text(), nullable=True),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("replaced_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["guidelines_id"], ["review_guidelines.id"], name=op.f("fk_reviews_guidelines_id")),
        sa.ForeignKeyConstraint(
            ["interaction_id"], ["interactions.id"], name=op.f("fk_reviews_interaction_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["item_id"], ["review_items.id"], name=op.f("fk_reviews_item_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["queue_id"], ["review_queues.id"], name=op.f("fk_reviews_queue_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_reviews_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reviews_interaction_id", "reviews", ["interaction_id"], unique=False)
    op.create_index("ix_reviews_queue_id_id", "reviews", ["queue_id", "id"], unique=False)
    op.create_index("ix_reviews_tenant_id_id", "reviews", ["tenant_id", "id"], unique=False)
    op.create_index(
        "uq_reviews_item_id_reviewer_holds",
        "reviews",
        ["item_id", "reviewer"],
        unique=True,
        sqlite_where=sa.text("replaced_at IS NULL"),
        postgresql_where=sa.text("replaced_at IS NULL"),
    )
    op.create_table(
        "review_passages",
        sa.Column("review_id", ID, nullable=False),
        sa.Column("content_id", ID, autoincrement=False, nullable=False),
        sa.Column("start", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("end", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("grade", sa.Integer(), nullable=False),
        sa.CheckConstraint("grade BETWEEN 0 AND 3", name=op.f("ck_review_passages_grade")),
        sa.ForeignKeyConstraint(["content_id"], ["contents.id"], name=op.f("fk_review_passages_content_id")),
        sa.ForeignKeyConstraint(
            ["review_id"], ["reviews.id"], name=op.f("fk_review_passages_review_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("review_id", "content_id", "start", "end", name=op.f("pk_review_passages")),
    )
    op.create_index("ix_review_passages_content_id", "review_passages", ["content_id"], unique=False)


def downgrade() -> None:
    for name in TABLES:
        op.drop_table(name)
