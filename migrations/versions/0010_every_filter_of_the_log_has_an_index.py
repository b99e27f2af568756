"""Every filter of the log has an index: by each value of what is named, and by the values of scores.

Those of what few rows have hold only these. At a million rows a count or a page of what is rare reads no others.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NAMED = ("model_id", "template_id", "collection_term_id", "origin_id")
SOME = {
    "review_id": "review_id IS NOT NULL",
    "abstained": "abstained IS true",
    "failed": "failed IS true",
    "said": "said > 0",
    "good": "good > 0",
    "bad": "bad > 0",
    "confidence": "confidence IS NOT NULL",
    **{f"score_{slot}": f"score_{slot} IS NOT NULL" for slot in range(1, 13)},
}


def upgrade() -> None:
    for name in NAMED:
        op.create_index(_called(name), "interaction_facts", ["tenant_id", name, "number"], unique=False)
    for name, some in SOME.items():
        op.create_index(
            _called(name),
            "interaction_facts",
            ["tenant_id", name, "number"],
            unique=False,
            sqlite_where=sa.text(some.replace("true", "1")),
            postgresql_where=sa.text(some),
        )


def downgrade() -> None:
    for name in (*SOME, *NAMED):
        op.drop_index(_called(name), table_name="interaction_facts")


def _called(name: str) -> str:
    return f"ix_interaction_facts_tenant_id_{name}_number"
