"""The tables of the whole plan."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# Written out, not imported from rag: a migration must stay what it was.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "embedders",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_embedders")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_embedders_fingerprint")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "installation",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "tenants",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_audit_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "collections",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("embedder_id", ID, nullable=False),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["embedder_id"], ["embedders.id"], name=op.f("fk_collections_embedder_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_collections_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collections")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_collections_tenant_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "conversations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_conversations_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("progress", JSON, nullable=False),
        sa.Column("result", JSON, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", UTC, nullable=True),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("finished_at", UTC, nullable=True),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name=op.f("ck_jobs_state")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_jobs_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index("ix_jobs_state_id", ["state", "id"], unique=False)

    op.create_table(
        "texts",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_texts_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_texts")),
        sa.UniqueConstraint("tenant_id", "digest", name=op.f("uq_texts_tenant_id_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tokens",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("labels", JSON, nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("expires_at", UTC, nullable=True),
        sa.Column("revoked_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_tokens_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.create_index(
            "uq_tokens_live_name",
            ["tenant_id", "name"],
            unique=True,
            sqlite_where=sa.text("revoked_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL"),
        )

    op.create_table(
        "vectors",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("embedder_id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["embedder_id"], ["embedders.id"], name=op.f("fk_vectors_embedder_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_vectors_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vectors")),
        sa.UniqueConstraint("tenant_id", "embedder_id", "digest", name=op.f("uq_vectors_tenant_id_embedder_id_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "changes",
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("documents_added", sa.Integer(), nullable=False),
        sa.Column("documents_removed", sa.Integer(), nullable=False),
        sa.Column("chunks_added", sa.Integer(), nullable=False),
        sa.Column("chunks_removed", sa.Integer(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_changes_collection_id")),
        sa.PrimaryKeyConstraint("collection_id", "position", name=op.f("pk_changes")),
    )
    op.create_table(
        "contents",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("text_digest", sa.LargeBinary(), nullable=False),
        sa.Column("outline", JSON, nullable=False),
        sa.Column("erased_at", UTC, nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_contents_collection_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contents")),
        sa.UniqueConstraint("collection_id", "digest", name=op.f("uq_contents_collection_id_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "interactions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("collection_id", ID, nullable=True),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=True),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("search_query", sa.Text(), nullable=False),
        sa.Column("prompt_id", ID, nullable=True),
        sa.Column("prompt_tokens_packed", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("abstained", sa.Boolean(), nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("citations", JSON, nullable=False),
        sa.Column("candidates", JSON, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("timings_ms", JSON, nullable=False),
        sa.Column("total_ms", sa.Float(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_interactions_collection_id")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_interactions_conversation_id")
        ),
        sa.ForeignKeyConstraint(["prompt_id"], ["texts.id"], name=op.f("fk_interactions_prompt_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_interactions_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_interactions")),
    )
    with op.batch_alter_table("interactions", schema=None) as batch_op:
        batch_op.create_index("ix_interactions_conversation_id", ["conversation_id"], unique=False)
        batch_op.create_index("ix_interactions_model_id", ["model", "id"], unique=False)
        batch_op.create_index("ix_interactions_tenant_id_id", ["tenant_id", "id"], unique=False)
        batch_op.create_index("ix_interactions_user_id", ["user", "id"], unique=False)

    op.create_table(
        "sources",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("documents", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("seen_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_sources_collection_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("collection_id", "uri", name=op.f("uq_sources_collection_id_uri")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "chunks",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("content_id", ID, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("headings", JSON, nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("added_position", sa.BigInteger(), nullable=False),
        sa.Column("removed_position", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_chunks_collection_id")),
        sa.ForeignKeyConstraint(["content_id"], ["contents.id"], name=op.f("fk_chunks_content_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chunks")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.create_index(
            "ix_chunks_collection_id_added_position", ["collection_id", "added_position"], unique=False
        )
        batch_op.create_index(
            "ix_chunks_collection_id_removed_position", ["collection_id", "removed_position"], unique=False
        )
        batch_op.create_index("ix_chunks_content_id", ["content_id"], unique=False)

    op.create_table(
        "documents",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("content_id", ID, nullable=False),
        sa.Column("source_id", ID, nullable=True),
        sa.Column("previous_id", ID, nullable=True),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("added_position", sa.BigInteger(), nullable=False),
        sa.Column("removed_position", sa.BigInteger(), nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("removed_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_documents_collection_id")),
        sa.ForeignKeyConstraint(["content_id"], ["contents.id"], name=op.f("fk_documents_content_id")),
        sa.ForeignKeyConstraint(["previous_id"], ["documents.id"], name=op.f("fk_documents_previous_id")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_documents_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.create_index(
            "ix_documents_collection_id_added_position", ["collection_id", "added_position"], unique=False
        )
        batch_op.create_index("ix_documents_collection_id_external_id", ["collection_id", "external_id"], unique=False)
        batch_op.create_index(
            "ix_documents_collection_id_removed_position", ["collection_id", "removed_position"], unique=False
        )
        batch_op.create_index("ix_documents_content_id", ["content_id"], unique=False)
        batch_op.create_index("ix_documents_source_id", ["source_id"], unique=False)
        batch_op.create_index(
            "uq_documents_live_uri",
            ["collection_id", "uri"],
            unique=True,
            sqlite_where=sa.text("removed_position IS NULL"),
            postgresql_where=sa.text("removed_position IS NULL"),
        )

    op.create_table(
        "feedback",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.CheckConstraint("rating IN (-1, 0, 1)", name=op.f("ck_feedback_rating")),
        sa.ForeignKeyConstraint(
            ["interaction_id"], ["interactions.id"], name=op.f("fk_feedback_interaction_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.create_index("ix_feedback_interaction_id", ["interaction_id"], unique=False)

    op.create_table(
        "scores",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("annotator_kind", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.CheckConstraint("annotator_kind IN ('HUMAN', 'LLM', 'CODE')", name=op.f("ck_scores_annotator_kind")),
        sa.ForeignKeyConstraint(
            ["interaction_id"], ["interactions.id"], name=op.f("fk_scores_interaction_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scores")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("scores", schema=None) as batch_op:
        batch_op.create_index("ix_scores_interaction_id", ["interaction_id"], unique=False)
        batch_op.create_index("ix_scores_name_value", ["name", "value"], unique=False)

    op.create_table(
        "document_labels",
        sa.Column("document_id", ID, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_document_labels_document_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("document_id", "label", name=op.f("pk_document_labels")),
    )
    op.create_table(
        "interaction_passages",
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("chunk_id", ID, nullable=False),
        sa.Column("content_id", ID, nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("headings", JSON, nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("places", JSON, nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("parts", JSON, nullable=False),
        sa.Column("cited", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["chunk_id"], ["chunks.id"], name=op.f("fk_interaction_passages_chunk_id")),
        sa.ForeignKeyConstraint(["content_id"], ["contents.id"], name=op.f("fk_interaction_passages_content_id")),
        sa.ForeignKeyConstraint(
            ["interaction_id"],
            ["interactions.id"],
            name=op.f("fk_interaction_passages_interaction_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("interaction_id", "number", name=op.f("pk_interaction_passages")),
    )
    with op.batch_alter_table("interaction_passages", schema=None) as batch_op:
        batch_op.create_index("ix_interaction_passages_content_id", ["content_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("interaction_passages", schema=None) as batch_op:
        batch_op.drop_index("ix_interaction_passages_content_id")

    op.drop_table("interaction_passages")
    op.drop_table("document_labels")
    with op.batch_alter_table("scores", schema=None) as batch_op:
        batch_op.drop_index("ix_scores_name_value")
        batch_op.drop_index("ix_scores_interaction_id")

    op.drop_table("scores")
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.drop_index("ix_feedback_interaction_id")

    op.drop_table("feedback")
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_documents_live_uri",
            sqlite_where=sa.text("removed_position IS NULL"),
            postgresql_where=sa.text("removed_position IS NULL"),
        )
        batch_op.drop_index("ix_documents_source_id")
        batch_op.drop_index("ix_documents_content_id")
        batch_op.drop_index("ix_documents_collection_id_removed_position")
        batch_op.drop_index("ix_documents_collection_id_external_id")
        batch_op.drop_index("ix_documents_collection_id_added_position")

    op.drop_table("documents")
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.drop_index("ix_chunks_content_id")
        batch_op.drop_index("ix_chunks_collection_id_removed_position")
        batch_op.drop_index("ix_chunks_collection_id_added_position")

    op.drop_table("chunks")
    op.drop_table("sources")
    with op.batch_alter_table("interactions", schema=None) as batch_op:
        batch_op.drop_index("ix_interactions_user_id")
        batch_op.drop_index("ix_interactions_tenant_id_id")
        batch_op.drop_index("ix_interactions_model_id")
        batch_op.drop_index("ix_interactions_conversation_id")

    op.drop_table("interactions")
    op.drop_table("contents")
    op.drop_table("changes")
    op.drop_table("vectors")
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_tokens_live_name",
            sqlite_where=sa.text("revoked_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL"),
        )

    op.drop_table("tokens")
    op.drop_table("texts")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index("ix_jobs_state_id")

    op.drop_table("jobs")
    op.drop_table("conversations")
    op.drop_table("collections")
    op.drop_table("audit")
    op.drop_table("tenants")
    op.drop_table("installation")
    op.drop_table("embedders")
