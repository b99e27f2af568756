"""Datasets: versions that never change. Triggers refuse what the program itself never does: to change a sealed
version or its items, or to add to them. A version may only go as a whole. A table rebuild on SQLite drops triggers:
whoever rebuilds one of these two tables calls `seal` again."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SAID = "a version of a dataset never changes"


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    moment = sa.DateTime(timezone=True)
    json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    op.create_table(
        "datasets",
        sa.Column("id", key, autoincrement=True, nullable=False),
        sa.Column("tenant_id", key, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.CheckConstraint("kind IN ('log', 'questions')", name=op.f("ck_datasets_kind")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_datasets_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_datasets_tenant_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "dataset_versions",
        sa.Column("id", key, autoincrement=True, nullable=False),
        sa.Column("dataset_id", key, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("query", json, nullable=False),
        sa.Column("card", json, nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_versions_dataset_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_versions")),
        sa.UniqueConstraint("dataset_id", "number", name=op.f("uq_dataset_versions_dataset_id_number")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "dataset_items",
        sa.Column("version_id", key, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("interaction_id", sa.Text(), nullable=True),
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.CheckConstraint("split IN ('train', 'validation', 'test')", name=op.f("ck_dataset_items_split")),
        sa.CheckConstraint("origin IN ('human', 'synthetic', 'generated')", name=op.f("ck_dataset_items_origin")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["dataset_versions.id"], name=op.f("fk_dataset_items_version_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("version_id", "number", name=op.f("pk_dataset_items")),
        sa.UniqueConstraint("version_id", "key", name=op.f("uq_dataset_items_version_id_key")),
    )
    op.create_index("ix_dataset_items_interaction_id", "dataset_items", ["interaction_id"], unique=False)
    seal(op.get_bind().dialect.name)


def seal(dialect: str) -> None:
    """The triggers. When a version goes as a whole its items go after it, so that theirs finds no sealed version."""
    events = (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD"))
    if dialect == "sqlite":
        op.execute(
            "CREATE TRIGGER dataset_versions_sealed BEFORE UPDATE ON dataset_versions WHEN OLD.sealed "
            f"BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
        )
        for event, row in events:
            op.execute(
                f"CREATE TRIGGER dataset_items_sealed_{event.lower()} BEFORE {event} ON dataset_items WHEN "
                f"(SELECT sealed FROM dataset_versions WHERE id = {row}.version_id) "
                f"BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION dataset_versions_sealed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF OLD.sealed THEN RAISE EXCEPTION '{SAID}'; END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER dataset_versions_sealed BEFORE UPDATE ON dataset_versions "
        "FOR EACH ROW EXECUTE FUNCTION dataset_versions_sealed()"
    )
    for event, row in events:
        name = f"dataset_items_sealed_{event.lower()}"
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF (SELECT sealed FROM dataset_versions WHERE id = {row}.version_id) THEN "
            f"RAISE EXCEPTION '{SAID}'; END IF; RETURN {row if event != 'UPDATE' else 'NEW'}; END $$"
        )
        op.execute(f"CREATE TRIGGER {name} BEFORE {event} ON dataset_items FOR EACH ROW EXECUTE FUNCTION {name}()")


def downgrade() -> None:
    op.drop_index("ix_dataset_items_interaction_id", table_name="dataset_items")
    for table in ("dataset_items", "dataset_versions", "datasets"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for name in ("dataset_versions_sealed", *(f"dataset_items_sealed_{e}" for e in ("insert", "update", "delete"))):
            op.execute(f"DROP FUNCTION {name}()")
