"""What is the same, or nearly: signatures, the bands that find them, and what was decided."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from rag.store.tables.base import Id, Json, Utc, created_column, id_column, metadata

signatures = Table(  # MinHash of a text, kept so that near-duplicates are found across runs
    "signatures",
    metadata,
    id_column(),
    Column("collection_id", Id, ForeignKey("collections.id"), nullable=False),
    Column("scope", Text, nullable=False),  # document: digest is a content's; chunk: that of an embedded string
    Column("digest", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    UniqueConstraint("collection_id", "scope", "digest"),
    sqlite_autoincrement=True,
)

bands = Table(  # locality-sensitive hashing: signatures that share a hash are candidates; a cache of the signatures,
    "bands",  # whose keys say which rows are theirs, so neither a foreign key nor an index of them is needed
    metadata,
    Column("collection_id", Id, ForeignKey("collections.id"), primary_key=True),
    Column("recent", Boolean, primary_key=True),  # not yet moved into the large tree; see rag/store/duplicates/near.py
    Column("hash", BigInteger, primary_key=True, autoincrement=False),
    Column("signature_id", Id, primary_key=True),
    sqlite_with_rowid=False,
)

decisions = Table(  # every duplicate that was found, and what the collection's policy did about it
    "decisions",
    metadata,
    id_column(),
    Column("collection_id", Id, ForeignKey("collections.id"), nullable=False),
    Column("position", BigInteger, nullable=False),  # at which it was made
    Column("scope", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("similarity", Float, nullable=False),  # exact: 1; near: Jaccard; semantic: cosine
    Column("uri", Text, nullable=False),  # which
    Column("digest", LargeBinary, nullable=False),  # its content's, or its chunk's embedded string's
    Column("document_id", Id, ForeignKey("documents.id")),  # NULL when the policy kept it out
    Column("against_uri", Text, nullable=False),  # against which
    Column("against_digest", LargeBinary, nullable=False),
    Column("against_id", Id, ForeignKey("documents.id")),
    Column("held_back", Json),  # the document that the policy kept out, as it would have been written
    Column("actor", Text, nullable=False),
    created_column(),
    Column("ended_at", Utc),
    Column("ending", Text),  # undone by somebody; released: the other one went; superseded: it arrived anew, or went
    Column("ended_by", Text),
    Index("ix_decisions_collection_id_id", "collection_id", "id"),
    Index("ix_decisions_collection_id_digest", "collection_id", "digest"),
    Index("ix_decisions_collection_id_against_digest", "collection_id", "against_digest"),
    Index("ix_decisions_collection_id_uri", "collection_id", "uri"),
    Index("ix_decisions_document_id", "document_id"),
    Index("ix_decisions_against_id", "against_id"),
    Index(
        "ix_decisions_held_back",
        "collection_id",
        sqlite_where=text("held_back IS NOT NULL AND ended_at IS NULL"),
        postgresql_where=text("held_back IS NOT NULL AND ended_at IS NULL"),
    ),
    CheckConstraint("scope IN ('document', 'chunk')", name="scope"),
    CheckConstraint("level IN ('exact', 'near', 'semantic')", name="level"),
    CheckConstraint("policy IN ('skip', 'alias', 'newest', 'keep')", name="policy"),
    CheckConstraint("ending IN ('undone', 'released', 'superseded')", name="ending"),
    sqlite_autoincrement=True,
)
