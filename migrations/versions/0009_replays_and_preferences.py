"""Replays, experiments and blind preferences."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


# Written out, not imported from rag: a migration must stay what it was.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("questions", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("configurations", JSON, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_experiments_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_experiments_tenant_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "experiment_answers",
        sa.Column("experiment_id", ID, nullable=False),
        sa.Column("configuration", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("question_id", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("interaction_id", sa.Text(), nullable=True),
        sa.Column("values", JSON, nullable=False),
        sa.Column("total_ms", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiments.id"],
            name=op.f("fk_experiment_answers_experiment_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["interaction_id"],
            ["interactions.id"],
            name=op.f("fk_experiment_answers_interaction_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("experiment_id", "configuration", "number", name=op.f("pk_experiment_answers")),
    )
    op.create_index("ix_experiment_answers_interaction_id", "experiment_answers", ["interaction_id"], unique=False)
    op.create_table(
        "preferences",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("experiment_id", ID, nullable=True),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("first_id", sa.Text(), nullable=False),
        sa.Column("second_id", sa.Text(), nullable=False),
        sa.Column("first", sa.Text(), nullable=False),
        sa.Column("second", sa.Text(), nullable=False),
        sa.Column("swapped", sa.Boolean(), nullable=False),
        sa.Column("choice", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.CheckConstraint("choice IN ('first', 'second', 'tie', 'neither')", name=op.f("ck_preferences_choice")),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name=op.f("fk_preferences_experiment_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["first_id"], ["interactions.id"], name=op.f("fk_preferences_first_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["second_id"], ["interactions.id"], name=op.f("fk_preferences_second_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_preferences_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preferences")),
        sa.UniqueConstraint("first_id", "second_id", "user", name=op.f("uq_preferences_first_id_second_id_user")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_preferences_experiment_id", "preferences", ["experiment_id"], unique=False)
    op.create_index("ix_preferences_second_id", "preferences", ["second_id"], unique=False)
    op.create_index("ix_preferences_tenant_id_id", "preferences", ["tenant_id", "id"], unique=False)


def downgrade() -> None:
    op.drop_table("preferences")
    op.drop_table("experiment_answers")
    op.drop_table("experiments")
