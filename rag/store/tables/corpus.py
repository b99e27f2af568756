"""Who there is and what they hold: installation, tenants, collections, documents, chunks, vectors."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from rag.store.tables.base import Id, Json, Utc, created_column, id_column, metadata

installation = Table(  # one row: the secret that keys every digest
    "installation",
    metadata,
    id_column(),
    Column("secret", LargeBinary, nullable=False),
    created_column(),
    CheckConstraint("id = 1", name="one_row"),
)

tenants = Table(
    "tenants",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    created_column(),
    sqlite_autoincrement=True,
)

embedders = Table(  # every embedder that ever filled a collection, by fingerprint
    "embedders",
    metadata,
    id_column(),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("dim", Integer, nullable=False),
    created_column(),
    sqlite_autoincrement=True,
)

collections = Table(
    "collections",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("embedder_id", Id, ForeignKey("embedders.id"), nullable=False),
    Column("settings", Json, nullable=False),
    Column("position", BigInteger, nullable=False, server_default=text("0")),  # the counter a writer locks
    created_column(),
    UniqueConstraint("tenant_id", "name"),
    sqlite_autoincrement=True,
)

changes = Table(  # one row a position: who moved the collection from the one before, and by how much
    "changes",
    metadata,
    Column("collection_id", Id, ForeignKey("collections.id"), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("documents_added", Integer, nullable=False),
    Column("documents_removed", Integer, nullable=False),
    Column("chunks_added", Integer, nullable=False),
    Column("chunks_removed", Integer, nullable=False),
    created_column(),
)

syncs = Table(  # places that a collection follows: what is new there comes in, what is gone there goes
    "syncs",
    metadata,
    id_column(),
    Column("collection_id", Id, ForeignKey("collections.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("locations", Json, nullable=False),  # absolute paths and URLs
    Column("settings", Json, nullable=False),  # owner, metadata, labels, hosts
    Column("result", Json),  # of the last run that ended
    created_column(),
    Column("ran_at", Utc),
    UniqueConstraint("collection_id", "name"),
    sqlite_autoincrement=True,
)

sources = Table(  # one row a file, page or upload that was taken in; digest NULL until it was taken in whole
    "sources",
    metadata,
    id_column(),
    Column("collection_id", Id, ForeignKey("collections.id"), nullable=False),
    Column("uri", Text, nullable=False),
    Column("digest", LargeBinary),
    Column("documents", Integer, nullable=False, server_default=text("0")),
    Column("seen_at", Utc, nullable=False),
    Column("sync_id", Id, ForeignKey("syncs.id")),  # the sync that looks after it
    Column("etag", Text),  # as the server that it came from tells its revisions apart
    Column("modified", Text),
    UniqueConstraint("collection_id", "uri"),
    Index("ix_sources_sync_id", "sync_id"),
    sqlite_autoincrement=True,
)

contents = Table(  # a text, once per collection
    "contents",
    metadata,
    id_column(),
    Column("collection_id", Id, ForeignKey("collections.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("text_digest", LargeBinary, nullable=False),  # of title and text exactly as stored
    Column("outline", Json, nullable=False),
    Column("language", Text, nullable=False, server_default=text("''")),  # BCP 47; '' when it cannot be told
    Column("cutting", LargeBinary),  # digest of the chunk settings that its chunks were cut by; NULL: not known
    Column("erased_at", Utc),
    created_column(),
    UniqueConstraint("collection_id", "digest"),
    Index("ix_contents_collection_id_language", "collection_id", "language"),
    sqlite_autoincrement=True,
)

documents = Table(  # a place where a content stands; a changed document is a new row that names the one before
    "documents",
    metadata,
    id_column(),
    Column("collection_id", Id, ForeignKey("collections.id"), nullable=False),
    Column("content_id", Id, ForeignKey("contents.id"), nullable=False),
    Column("source_id", Id, ForeignKey("sources.id")),
    Column("previous_id", Id, ForeignKey("documents.id")),
    Column("own_content_id", Id, ForeignKey("contents.id")),  # its own text, where it stands for a nearly equal one
    Column("uri", Text, nullable=False),
    Column("external_id", Text),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("owner", Text, nullable=False),
    Column("added_position", BigInteger, nullable=False),
    Column("removed_position", BigInteger),
    created_column(),
    Column("removed_at", Utc),
    Index("ix_documents_content_id", "content_id"),
    Index("ix_documents_own_content_id", "own_content_id"),
    Index("ix_documents_source_id", "source_id"),
    Index("ix_documents_collection_id_external_id", "collection_id", "external_id"),
    Index("ix_documents_collection_id_added_position", "collection_id", "added_position"),
    Index("ix_documents_collection_id_removed_position", "collection_id", "removed_position"),
    Index(
        "uq_documents_live_uri",
        "collection_id",
        "uri",
        unique=True,
        sqlite_where=text("removed_position IS NULL"),
        postgresql_where=text("removed_position IS NULL"),
    ),
    sqlite_autoincrement=True,
)

document_labels = Table(  # a document without labels is seen by all of its tenant
    "document_labels",
    metadata,
    Column("document_id", Id, ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("label", Text, primary_key=True),
)

chunks = Table(  # alive as long as any live document holds its content; a content that comes back gets new chunks
    "chunks",
    metadata,
    id_column(),
    Column("collection_id", Id, ForeignKey("collections.id"), nullable=False),
    Column("content_id", Id, ForeignKey("contents.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("start", Integer, nullable=False),  # code points into contents.text
    Column("end", Integer, nullable=False),
    Column("headings", Json, nullable=False),
    Column("page", Integer),
    Column("digest", LargeBinary, nullable=False),  # of exactly the string that is embedded
    Column("added_position", BigInteger, nullable=False),
    Column("removed_position", BigInteger),
    Index("ix_chunks_content_id", "content_id"),
    Index("ix_chunks_collection_id_digest", "collection_id", "digest"),
    Index("ix_chunks_collection_id_added_position", "collection_id", "added_position"),
    Index("ix_chunks_collection_id_removed_position", "collection_id", "removed_position"),
    sqlite_autoincrement=True,
)

vectors = Table(  # float32, little endian, unit length; never computed twice for one tenant and embedder
    "vectors",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("embedder_id", Id, ForeignKey("embedders.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    UniqueConstraint("tenant_id", "embedder_id", "digest"),
    sqlite_autoincrement=True,
)
