"""Every table, once. Migrations create them; a test keeps the two equal.

Conventions: integer ids are never reused (AUTOINCREMENT on SQLite, sequences on PostgreSQL); interactions and
conversations have ULIDs; times are UTC; a `digest` is a keyed BLAKE2b; `added_position` and `removed_position` say from
which position of the collection on a row is alive, and from which on it no longer is (NULL: alive).
"""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB


class Utc(TypeDecorator[datetime]):
    """An aware UTC time on every database; SQLite keeps it naive and we give the zone back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value!r}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite only autoincrements a column declared INTEGER
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def _created() -> Column[datetime]:
    return Column("created_at", Utc, nullable=False)


# ── who and where ───────────────────────────────────────────────────────────────────────────────────────────────────

installation = Table(  # one row: the secret that keys every digest
    "installation",
    metadata,
    _id(),
    Column("secret", LargeBinary, nullable=False),
    _created(),
    CheckConstraint("id = 1", name="one_row"),
)

tenants = Table(
    "tenants",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    _created(),
    sqlite_autoincrement=True,
)

embedders = Table(  # every embedder that ever filled a collection, by fingerprint
    "embedders",
    metadata,
    _id(),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("dim", Integer, nullable=False),
    _created(),
    sqlite_autoincrement=True,
)

collections = Table(
    "collections",
    metadata,
    _id(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("embedder_id", Id, ForeignKey("embedders.id"), nullable=False),
    Column("settings", Json, nullable=False),
    Column("position", BigInteger, nullable=False, server_default=text("0")),  # the counter a writer locks
    _created(),
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
    _created(),
)

# ── texts and where they stand ──────────────────────────────────────────────────────────────────────────────────────

syncs = Table(  # places that a collection follows: what is new there comes in, what is gone there goes
    "syncs",
    metadata,
    _id(),
    Column("collection_id", Id, ForeignKey("collections.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("locations", Json, nullable=False),  # absolute paths and URLs
    Column("settings", Json, nullable=False),  # owner, metadata, labels, hosts
    Column("result", Json),  # of the last run that ended
    _created(),
    Column("ran_at", Utc),
    UniqueConstraint("collection_id", "name"),
    sqlite_autoincrement=True,
)

sources = Table(  # one row a file, page or upload that was taken in; digest NULL until it was taken in whole
    "sources",
    metadata,
    _id(),
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
    _id(),
    Column("collection_id", Id, ForeignKey("collections.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("text_digest", LargeBinary, nullable=False),  # of title and text exactly as stored
    Column("outline", Json, nullable=False),
    Column("language", Text, nullable=False, server_default=text("''")),  # BCP 47; '' when it cannot be told
    Column("cutting", LargeBinary),  # digest of the chunk settings that its chunks were cut by; NULL: not known
    Column("erased_at", Utc),
    _created(),
    UniqueConstraint("collection_id", "digest"),
    Index("ix_contents_collection_id_language", "collection_id", "language"),
    sqlite_autoincrement=True,
)

documents = Table(  # a place where a content stands; a changed document is a new row that names the one before
    "documents",
    metadata,
    _id(),
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
    _created(),
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
    _id(),
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
    _id(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("embedder_id", Id, ForeignKey("embedders.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    UniqueConstraint("tenant_id", "embedder_id", "digest"),
    sqlite_autoincrement=True,
)

# ── what is the same, or nearly ───────────────────────────────────────────────────────────────────────────────────────

signatures = Table(  # MinHash of a text, kept so that near-duplicates are found across runs
    "signatures",
    metadata,
    _id(),
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
    Column("recent", Boolean, primary_key=True),  # not yet moved into the large tree; see rag/store/near.py
    Column("hash", BigInteger, primary_key=True, autoincrement=False),
    Column("signature_id", Id, primary_key=True),
    sqlite_with_rowid=False,
)

decisions = Table(  # every duplicate that was found, and what the collection's policy did about it
    "decisions",
    metadata,
    _id(),
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
    _created(),
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

# ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────────

conversations = Table(
    "conversations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("user", Text, nullable=False),
    _created(),
    Index("ix_conversations_tenant_id_user_created_at", "tenant_id", "user", "created_at"),
)

texts = Table(  # rendered prompts, by what they say: no text twice
    "texts",
    metadata,
    _id(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("tenant_id", "digest"),
    sqlite_autoincrement=True,
)

templates = Table(  # texts of prompt templates, by name and content; a text never changes
    "templates",
    metadata,
    _id(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),  # unkeyed, so that a version is called the same everywhere
    Column("text", Text, nullable=False),
    Column("turn", Integer),  # the highest of a name is the one in use; NULL: kept because the log names it
    Column("user", Text),  # who added it; NULL: it came with the program
    _created(),
    UniqueConstraint("tenant_id", "name", "digest"),
    sqlite_autoincrement=True,
)

interactions = Table(
    "interactions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("collection_id", Id, ForeignKey("collections.id")),
    Column("collection", Text, nullable=False),  # its name, kept if the collection goes
    Column("conversation_id", Text, ForeignKey("conversations.id")),
    Column("user", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("search_query", Text, nullable=False),
    Column("prompt_id", Id, ForeignKey("texts.id")),
    Column("prompt_tokens_packed", Integer),
    Column("answer", Text),
    Column("abstained", Boolean),
    Column("finish_reason", Text),
    Column("error", Text),
    Column("citations", Json, nullable=False),
    Column("candidates", Json, nullable=False),  # [[chunk_id, score, {stage: [rank, score]}], …], passages left out
    Column("model", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("settings", Json, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("timings_ms", Json, nullable=False),
    Column("total_ms", Float, nullable=False),
    Column("left_out", Json),  # what the prompt had no room for; NULL: no prompt, or logged before this was kept
    Column("parent_id", Text),  # the interaction that this one continues; NULL: it begins
    Column("regenerates_id", Text),  # the interaction whose question this one asks again
    Column("turn", Integer),  # 1, 2, … in the order in which a conversation's turns were logged; NULL: in none
    Column("kind", Text),  # first, continuation, branch, regeneration; NULL: asked by itself
    _created(),
    Index("ix_interactions_tenant_id_id", "tenant_id", "id"),
    Index("ix_interactions_conversation_id_turn", "conversation_id", "turn", unique=True),
    Index("ix_interactions_parent_id", "parent_id"),
    Index("ix_interactions_model_id", "model", "id"),
    Index("ix_interactions_user_id", "user", "id"),
)

interaction_passages = Table(  # what the generator was shown; the text is contents.text[start:end]
    "interaction_passages",
    metadata,
    Column("interaction_id", Text, ForeignKey("interactions.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # cited as [number]
    Column("chunk_id", Id, ForeignKey("chunks.id"), nullable=False),
    Column("content_id", Id, ForeignKey("contents.id"), nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("headings", Json, nullable=False),
    Column("page", Integer),
    Column("places", Json, nullable=False),
    Column("score", Float, nullable=False),
    Column("parts", Json, nullable=False),
    Column("cited", Boolean, nullable=False),
    Index("ix_interaction_passages_content_id", "content_id"),
)

scores = Table(
    "scores",
    metadata,
    _id(),
    Column("interaction_id", Text, ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Float),  # NULL: does not apply
    Column("label", Text),
    Column("explanation", Text),
    Column("annotator_kind", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    _created(),
    Index("ix_scores_interaction_id", "interaction_id"),
    Index("ix_scores_name_value", "name", "value"),
    CheckConstraint("annotator_kind IN ('HUMAN', 'LLM', 'CODE')", name="annotator_kind"),
    sqlite_autoincrement=True,
)

feedback = Table(
    "feedback",
    metadata,
    _id(),
    Column("interaction_id", Text, ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False),
    Column("user", Text, nullable=False),
    Column("rating", Integer),  # -1 bad, 0 neither, 1 good; NULL: not rated
    Column("label", Text),
    Column("comment", Text),
    _created(),
    Index("ix_feedback_interaction_id", "interaction_id"),
    CheckConstraint("rating IN (-1, 0, 1)", name="rating"),
    sqlite_autoincrement=True,
)

# ── evaluation ──────────────────────────────────────────────────────────────────────────────────────────────────────

evaluations = Table(  # one row a run: judged questions, put to a collection in one way
    "evaluations",
    metadata,
    _id(),
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
    _created(),
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

# ── running the house ───────────────────────────────────────────────────────────────────────────────────────────────

jobs = Table(
    "jobs",
    metadata,
    _id(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("payload", Json, nullable=False),
    Column("progress", Json, nullable=False),
    Column("result", Json),
    Column("error", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("lease_owner", Text),
    Column("lease_until", Utc),
    Column("user", Text, nullable=False),
    Column("collection", Text),  # the name of the one it works on
    Column("cancel_asked_at", Utc),
    _created(),
    Column("started_at", Utc),
    Column("finished_at", Utc),
    Index("ix_jobs_state_id", "state", "id"),
    Index("ix_jobs_tenant_id_id", "tenant_id", "id"),
    CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="state"),
    sqlite_autoincrement=True,
)

job_items = Table(  # what became of every file of a job, once
    "job_items",
    metadata,
    _id(),
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("uri", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("documents", Integer, nullable=False),
    _created(),
    UniqueConstraint("job_id", "uri"),
    Index("ix_job_items_job_id_id", "job_id", "id"),
    CheckConstraint("state IN ('added', 'updated', 'unchanged', 'duplicate', 'skipped', 'failed')", name="state"),
    sqlite_autoincrement=True,
)

job_inputs = Table(  # what was uploaded for a job, until the job is done
    "job_inputs",
    metadata,
    _id(),
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("uri", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("external_id", Text),
    Column("content", LargeBinary, nullable=False),
    Index("ix_job_inputs_job_id", "job_id"),
    sqlite_autoincrement=True,
)

tokens = Table(  # bearer tokens; the secret itself is shown once and never kept
    "tokens",
    metadata,
    _id(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("labels", Json),  # NULL sees every label
    _created(),
    Column("expires_at", Utc),
    Column("revoked_at", Utc),
    Index(
        "uq_tokens_live_name",
        "tenant_id",
        "name",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

audit = Table(  # what was done to the installation by whom; never changed
    "audit",
    metadata,
    _id(),
    Column("tenant_id", Id, ForeignKey("tenants.id")),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Json, nullable=False),
    _created(),
    sqlite_autoincrement=True,
)
