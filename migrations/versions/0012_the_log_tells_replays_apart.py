"""The log tells replays apart: filters and figures see at once whether a question was asked, or run again."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDEX = "ix_interaction_facts_tenant_id_replay_number"

SQLITE = """CREATE TRIGGER interactions_replayed AFTER INSERT ON interaction_facts
    WHEN (SELECT replays_id FROM interactions WHERE id = new.interaction_id) IS NOT NULL BEGIN
        UPDATE interaction_facts SET replay = 1 WHERE tenant_id = new.tenant_id AND number = new.number;
    END"""
POSTGRESQL = (
    """CREATE FUNCTION interaction_replayed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE interaction_facts SET replay = true WHERE interaction_id = new.id; RETURN NULL; END $$""",
    # Triggers of one event run in the order of their names: this one behind interactions_logged.
    "CREATE TRIGGER interactions_replayed AFTER INSERT ON interactions FOR EACH ROW"
    " WHEN (new.replays_id IS NOT NULL) EXECUTE FUNCTION interaction_replayed()",
)


def upgrade() -> None:
    op.add_column("interaction_facts", sa.Column("replay", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute(
        "UPDATE interaction_facts SET replay = true WHERE interaction_id IN"
        " (SELECT id FROM interactions WHERE replays_id IS NOT NULL)"
    )
    op.create_index(
        INDEX,
        "interaction_facts",
        ["tenant_id", "replay", "number"],
        unique=False,
        sqlite_where=sa.text("replay IS 1"),
        postgresql_where=sa.text("replay IS true"),
    )
    for statement in POSTGRESQL if _postgresql() else (SQLITE,):
        op.execute(statement)


def downgrade() -> None:
    if _postgresql():
        op.execute("DROP TRIGGER interactions_replayed ON interactions")
        op.execute("DROP FUNCTION interaction_replayed()")
    else:
        op.execute("DROP TRIGGER interactions_replayed")
    op.drop_index(INDEX, table_name="interaction_facts")
    op.drop_column("interaction_facts", "replay")


def _postgresql() -> bool:
    return bool(op.get_bind().dialect.name == "postgresql")
