"""Turns of a conversation as linked records. What was logged under a conversation's name before was asked without its
history: each such question is a first turn of its own, in the order in which they were asked."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("interactions", sa.Column("parent_id", sa.Text(), nullable=True))
    op.add_column("interactions", sa.Column("regenerates_id", sa.Text(), nullable=True))
    op.add_column("interactions", sa.Column("turn", sa.Integer(), nullable=True))
    op.add_column("interactions", sa.Column("kind", sa.Text(), nullable=True))
    interactions = sa.table(
        "interactions", sa.column("id"), sa.column("conversation_id"), sa.column("turn"), sa.column("kind")
    )
    earlier = interactions.alias("earlier")
    number = (
        sa.select(sa.func.count())
        .select_from(earlier)
        .where(earlier.c.conversation_id == interactions.c.conversation_id, earlier.c.id <= interactions.c.id)
        .scalar_subquery()
    )
    op.execute(
        interactions.update()
        .where(interactions.c.conversation_id.is_not(None))
        .values(turn=number, kind=sa.literal("first", sa.Text()))
    )
    op.create_index("ix_interactions_conversation_id_turn", "interactions", ["conversation_id", "turn"], unique=True)
    op.drop_index("ix_interactions_conversation_id", table_name="interactions")
    op.create_index("ix_interactions_parent_id", "interactions", ["parent_id"], unique=False)
    op.create_index(
        "ix_conversations_tenant_id_user_created_at", "conversations", ["tenant_id", "user", "created_at"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_conversations_tenant_id_user_created_at", table_name="conversations")
    op.drop_index("ix_interactions_parent_id", table_name="interactions")
    op.create_index("ix_interactions_conversation_id", "interactions", ["conversation_id"], unique=False)
    op.drop_index("ix_interactions_conversation_id_turn", table_name="interactions")
    for name in ("kind", "turn", "regenerates_id", "parent_id"):
        op.drop_column("interactions", name)
