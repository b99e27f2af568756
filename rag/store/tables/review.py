"""Reviews of what was logged: queues under a rule, items that are locked while worked on, judgements with history."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from rag.store.tables.base import Id, Json, Utc, created_column, id_column, metadata

review_queues = Table(
    "review_queues",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("rule", Json, nullable=False),  # which interactions come in, as rag.reviews.filling writes it
    Column("score", Text, nullable=False),  # the name under which labels are scores of an interaction
    Column("labels", Json, nullable=False),  # [{"name": …, "value": 0…1 or null}, …], in the order in which they stand
    Column("reviewers", Integer, nullable=False),  # so many different people an item needs
    Column("user", Text, nullable=False),
    created_column(),
    Column("removed_at", Utc),  # a removed queue stays for the reviews that were made in it
    Column("filled_at", Utc),  # NULL: never
    Column("filled_score", BigInteger),  # the newest score, and the newest feedback, that the rule has looked at
    Column("filled_feedback", BigInteger),
    Index(
        "uq_review_queues_live_name",
        "tenant_id",
        "name",
        unique=True,
        sqlite_where=text("removed_at IS NULL"),
        postgresql_where=text("removed_at IS NULL"),
    ),
    CheckConstraint("reviewers >= 1", name="reviewers"),
    sqlite_autoincrement=True,
)

review_guidelines = Table(  # what reviewers are told, in Markdown; the newest of a queue holds, a text never changes
    "review_guidelines",
    metadata,
    id_column(),
    Column("queue_id", Id, ForeignKey("review_queues.id", ondelete="CASCADE"), nullable=False),
    Column("text", Text, nullable=False),
    Column("user", Text, nullable=False),
    created_column(),
    Index("ix_review_guidelines_queue_id", "queue_id"),
    sqlite_autoincrement=True,
)

review_items = Table(
    "review_items",
    metadata,
    id_column(),
    Column("queue_id", Id, ForeignKey("review_queues.id", ondelete="CASCADE"), nullable=False),
    Column("interaction_id", Text, ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False),
    Column("chosen_by", Text, nullable=False),  # the clause of the rule whose quota it counts for; "hand": a person
    Column("reasons", Json, nullable=False),  # why it is in, in words
    Column("priority", Integer, nullable=False),  # higher goes first
    Column("state", Text, nullable=False),
    Column("reviewer", Text),  # who holds the lock
    Column("lease_owner", Text),  # which of their claims
    Column("lease_until", Utc),
    created_column(),
    Column("done_at", Utc),
    UniqueConstraint("queue_id", "interaction_id"),
    Index("ix_review_items_queue_id_state_priority_id", "queue_id", "state", "priority", "id"),
    Index("ix_review_items_interaction_id", "interaction_id"),
    CheckConstraint("state IN ('waiting', 'done')", name="state"),
    sqlite_autoincrement=True,
)

review_skips = Table(  # who would rather not judge what
    "review_skips",
    metadata,
    Column("item_id", Id, ForeignKey("review_items.id", ondelete="CASCADE"), primary_key=True),
    Column("reviewer", Text, primary_key=True),
    created_column(),
)

reviews = Table(  # one row a saved judgement; the newest of a person holds, those before it stay
    "reviews",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("item_id", Id, ForeignKey("review_items.id", ondelete="CASCADE"), nullable=False),
    Column("queue_id", Id, ForeignKey("review_queues.id"), nullable=False),
    Column("interaction_id", Text, ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False),
    Column("guidelines_id", Id, ForeignKey("review_guidelines.id"), nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("value", Float),  # of the label; NULL: it says nothing about how good the answer is
    Column("corrected_answer", Text),
    Column("tags", Json, nullable=False),
    Column("note", Text),
    created_column(),
    Column("replaced_at", Utc),  # NULL: it holds
    Index(
        "uq_reviews_item_id_reviewer_holds",
        "item_id",
        "reviewer",
        unique=True,
        sqlite_where=text("replaced_at IS NULL"),
        postgresql_where=text("replaced_at IS NULL"),
    ),
    Index("ix_reviews_interaction_id", "interaction_id"),
    Index("ix_reviews_queue_id_id", "queue_id", "id"),
    Index("ix_reviews_tenant_id_id", "tenant_id", "id"),
    sqlite_autoincrement=True,
)

review_passages = Table(  # how relevant a reviewer finds texts; the text is contents.text[start:end]
    "review_passages",
    metadata,
    Column("review_id", Id, ForeignKey("reviews.id", ondelete="CASCADE"), primary_key=True),
    Column("content_id", Id, ForeignKey("contents.id"), primary_key=True, autoincrement=False),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("end", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer),  # cited as [number] in the answer; NULL: a better one, named from a search
    Column("grade", Integer, nullable=False),
    Index("ix_review_passages_content_id", "content_id"),
    CheckConstraint("grade BETWEEN 0 AND 3", name="grade"),
)
