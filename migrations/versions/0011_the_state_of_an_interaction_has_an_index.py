"""The state of an interaction has an index: what holds of it beside its names, so that filters that exclude one another
are known to. On SQLite the words of the log can be listed, so that those that begin alike are searched one by one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

INDEX = "ix_interaction_facts_tenant_id_state_number"
BITS = (
    "failed",
    "said > 0",
    "good > 0",
    "bad > 0",
    "review_id IS NOT NULL",
    "confidence IS NOT NULL",
    *(f"score_{slot} IS NOT NULL" for slot in range(1, 13)),
)
STATE = " + ".join(
    (
        "CASE WHEN abstained THEN 2 WHEN NOT abstained THEN 1 ELSE 0 END",
        *(f"CASE WHEN {holds} THEN {4 << place} ELSE 0 END" for place, holds in enumerate(BITS)),
    )
)


def upgrade() -> None:
    op.create_index(INDEX, "interaction_facts", ["tenant_id", sa.text(f"({STATE})"), "number"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ANALYZE interaction_facts")  # how often each state comes
    else:
        op.execute("CREATE VIRTUAL TABLE log_words_listed USING fts5vocab(log_words, instance)")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        op.execute("DROP TABLE log_words_listed")
    op.drop_index(INDEX, table_name="interaction_facts")
