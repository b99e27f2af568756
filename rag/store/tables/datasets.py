"""Datasets: what reviews and documents were made into; a version never changes (triggers see to it: migration 0008)."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from rag.store.tables.base import Id, Json, created_column, id_column, metadata

datasets = Table(
    "datasets",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # log: answered questions; questions: asked by nobody yet
    created_column(),
    UniqueConstraint("tenant_id", "name"),
    CheckConstraint("kind IN ('log', 'questions')", name="kind"),
    sqlite_autoincrement=True,
)

dataset_versions = Table(
    "dataset_versions",
    metadata,
    id_column(),
    Column("dataset_id", Id, ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),  # 1, 2, …
    Column("digest", Text, nullable=False),  # of its items, unkeyed: it goes with them wherever they are exported to
    Column("collection", Text, nullable=False),  # whose documents it judges
    Column("items", Integer, nullable=False),
    Column("query", Json, nullable=False),  # what it was made from
    Column("card", Json, nullable=False),  # counts, time range, origins, guidelines, what was dropped and why
    Column("sealed", Boolean, nullable=False),  # once true, neither the row nor its items can be changed
    Column("user", Text, nullable=False),
    created_column(),
    UniqueConstraint("dataset_id", "number"),
    sqlite_autoincrement=True,
)

dataset_items = Table(
    "dataset_items",
    metadata,
    Column("version_id", Id, ForeignKey("dataset_versions.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1
    Column("key", Text, nullable=False),
    Column("interaction_id", Text),  # where it comes from; no foreign key: the log may forget it
    Column("split", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("digest", Text, nullable=False),  # of key, split, origin and content
    Column("content", Text, nullable=False),  # JSON, as it was written: JSONB would keep neither order nor NUL
    UniqueConstraint("version_id", "key"),
    Index("ix_dataset_items_interaction_id", "interaction_id"),
    CheckConstraint("split IN ('train', 'validation', 'test')", name="split"),
    CheckConstraint("origin IN ('human', 'synthetic', 'generated')", name="origin"),
)
