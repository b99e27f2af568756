"""Stored runs of evaluations."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from rag.store.tables.base import Id, Json, created_column, id_column, metadata

evaluations = Table(  # one row a run: judged questions, put to a collection in one way
    "evaluations",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("folder", Text, nullable=False),  # its name, not where it lies
    Column("digest", LargeBinary, nullable=False),  # of the folder's judged questions and their judgements
    Column("collection_id", Id, ForeignKey("collections.id", ondelete="SET NULL")),
    Column("collection", Text),  # its name then; NULL: the run came from a file
    Column("mode", Text, nullable=False),
    Column("settings", Json, nullable=False),
    Column("position", BigInteger),
    Column("generation", BigInteger),
    Column("version", Text, nullable=False),  # of this program
    Column("metrics", Json, nullable=False),  # [[name, value, low, high], …]: JSONB keeps no order of names
    Column("latency_ms", Json),  # p50, p95, mean
    Column("queries", Integer, nullable=False),
    Column("user", Text, nullable=False),
    created_column(),
    UniqueConstraint("tenant_id", "name"),
    Index("ix_evaluations_collection_id", "collection_id"),
    sqlite_autoincrement=True,
)

evaluation_queries = Table(  # what a run found for each judged question
    "evaluation_queries",
    metadata,
    Column("evaluation_id", Id, ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1, in the order of the folder
    Column("query_id", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("relevant", Json, nullable=False),  # external id → grade
    Column("metrics", Json, nullable=False),  # name → value
    Column("latency_ms", Float),  # NULL: the run came from a file
    Column("ranking", LargeBinary, nullable=False),  # [[external id, score], …], best first, as deflated JSON
)
