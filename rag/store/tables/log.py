"""The log: questions, what led to their answers, and what is said of them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from rag.store.tables.base import Id, Json, Utc, created_column, id_column, metadata
from rag.store.tables.packed import PackedRanking, PackedStages

conversations = Table(
    "conversations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("user", Text, nullable=False),
    created_column(),
    Index("ix_conversations_tenant_id_user_created_at", "tenant_id", "user", "created_at"),
)

texts = Table(  # what many rows of the log share, by what it says: frames of prompts, where a passage stood
    "texts",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("tenant_id", "digest"),
    sqlite_autoincrement=True,
)

templates = Table(  # texts of prompt templates, by name and content; a text never changes
    "templates",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),  # unkeyed, so that a version is called the same everywhere
    Column("text", Text, nullable=False),
    Column("turn", Integer),  # the highest of a name is the one in use; NULL: kept because the log names it
    Column("user", Text),  # who added it; NULL: it came with the program
    created_column(),
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
    Column("candidates", PackedRanking),  # [[chunk_id, score, {stage: [rank, score]}], …], passages left out
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
    Column("review_state", Text),  # queued, reviewed; NULL: neither
    Column("replays_id", Text),  # the interaction that this one runs again
    Column("prompt_digest", LargeBinary),  # of the messages as rendered; NULL: none, or logged before it was kept
    Column("said_digest", LargeBinary),  # of question, search query, answer and error; NULL: logged before it was kept
    Column("erased_at", Utc),  # when its texts were blanked; NULL: they stand
    created_column(),
    Index("ix_interactions_tenant_id_id", "tenant_id", "id"),
    Index("ix_interactions_conversation_id_turn", "conversation_id", "turn", unique=True),
    Index("ix_interactions_parent_id", "parent_id"),
    *(
        Index(f"ix_interactions_{name}", name, sqlite_where=text(some), postgresql_where=text(some))
        for name, some in (("replays_id", "replays_id IS NOT NULL"), ("regenerates_id", "regenerates_id IS NOT NULL"))
    ),
    Index("ix_interactions_prompt_id", "prompt_id"),
)

log_terms = Table(  # names that the log's rows share: users, models, templates, collections, origins, tags, scores …
    "log_terms",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("field", Text, nullable=False),  # user, model, template, collection, origin, review, tag, score
    Column("value", Text, nullable=False),
    Column("slot", Integer),  # of a score: its column among the facts; NULL: none, or no score
    UniqueConstraint("tenant_id", "field", "value"),
    sqlite_autoincrement=True,
)

SLOTS = 12  # scores of a tenant that have a column of their own, those that came first

STATE_BITS = (  # what holds of an interaction, from the third bit of its state on; the first two: whether it abstained
    "failed",
    "said > 0",
    "good > 0",
    "bad > 0",
    "review_id IS NOT NULL",
    "confidence IS NOT NULL",
    *(f"score_{slot} IS NOT NULL" for slot in range(1, SLOTS + 1)),
)
STATE = " + ".join(  # as SQL over the facts, letter by letter that of its index
    (
        "CASE WHEN abstained THEN 2 WHEN NOT abstained THEN 1 ELSE 0 END",
        *(f"CASE WHEN {holds} THEN {4 << place} ELSE 0 END" for place, holds in enumerate(STATE_BITS)),
    )
)

# What filters and figures read, in narrow rows; written by triggers, never by hand, as is `log_words`, by number: on
# SQLite a virtual table of FTS5, on PostgreSQL the column `words`, a tsvector. No table here, for it is none on both.
interaction_facts = Table(
    "interaction_facts",
    metadata,
    Column("tenant_id", Id, primary_key=True, autoincrement=False),
    # Milliseconds since 1970 × 2^20, and 20 bits that tell rows of one millisecond apart: the order of the log.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("interaction_id", Text, ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("user_id", Integer, nullable=False),  # this and the following: log_terms.id
    Column("model_id", Integer, nullable=False),
    Column("template_id", Integer, nullable=False),
    Column("collection_term_id", Integer, nullable=False),
    Column("origin_id", Integer, nullable=False),
    Column("review_id", Integer),
    Column("abstained", Boolean),
    Column("failed", Boolean, nullable=False),
    Column("replay", Boolean, nullable=False, server_default=false()),  # it runs another one again
    Column("said", Integer, nullable=False, server_default="0"),  # how often feedback was given
    Column("good", Integer, nullable=False, server_default="0"),  # … with the rating 1
    Column("bad", Integer, nullable=False, server_default="0"),  # … with the rating -1
    Column("total_ms", Float, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("confidence", Float),
    *(Column(f"score_{slot}", Float) for slot in range(1, SLOTS + 1)),  # the newest value of each score
    Index("ix_interaction_facts_tenant_id_state_number", "tenant_id", text(f"({STATE})"), "number"),
    *(
        Index(f"ix_interaction_facts_tenant_id_{name}_number", "tenant_id", name, "number")
        for name in ("user_id", "model_id", "template_id", "collection_term_id", "origin_id")
    ),
    *(
        Index(
            f"ix_interaction_facts_tenant_id_{name}_number",
            "tenant_id",
            name,
            "number",
            sqlite_where=text(some.replace("true", "1")),
            postgresql_where=text(some),
        )
        for name, some in (
            ("review_id", "review_id IS NOT NULL"),
            ("abstained", "abstained IS true"),
            ("failed", "failed IS true"),
            ("replay", "replay IS true"),
            ("said", "said > 0"),
            ("good", "good > 0"),
            ("bad", "bad > 0"),
            ("confidence", "confidence IS NOT NULL"),
            *((f"score_{slot}", f"score_{slot} IS NOT NULL") for slot in range(1, SLOTS + 1)),
        )
    ),
    sqlite_with_rowid=False,
)

interaction_tags = Table(
    "interaction_tags",
    metadata,
    Column("tenant_id", Id, primary_key=True, autoincrement=False),
    Column("tag_id", Integer, ForeignKey("log_terms.id"), primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("user", Text, nullable=False),
    created_column(),
    ForeignKeyConstraint(
        ["tenant_id", "number"], ["interaction_facts.tenant_id", "interaction_facts.number"], ondelete="CASCADE"
    ),
    Index("ix_interaction_tags_tenant_id_number", "tenant_id", "number"),
    sqlite_with_rowid=False,
)

saved_views = Table(  # queries that people come back to, by name
    "saved_views",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("user", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("query", Json, nullable=False),
    created_column(),
    UniqueConstraint("tenant_id", "user", "name"),
    sqlite_autoincrement=True,
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
    Column("shown_id", Id, ForeignKey("texts.id"), nullable=False),  # headings, page and places as JSON, no text twice
    Column("score", Float, nullable=False),
    Column("parts", PackedStages, nullable=False),
    Column("cited", Boolean, nullable=False),
    Index("ix_interaction_passages_content_id", "content_id"),
    sqlite_with_rowid=False,
)

scores = Table(
    "scores",
    metadata,
    id_column(),
    Column("interaction_id", Text, ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Float),  # NULL: does not apply
    Column("label", Text),
    Column("explanation", Text),
    Column("annotator_kind", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    created_column(),
    Index("ix_scores_interaction_id", "interaction_id"),
    CheckConstraint("annotator_kind IN ('HUMAN', 'LLM', 'CODE')", name="annotator_kind"),
    sqlite_autoincrement=True,
)

feedback = Table(
    "feedback",
    metadata,
    id_column(),
    Column("interaction_id", Text, ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False),
    Column("user", Text, nullable=False),
    Column("rating", Integer),  # -1 bad, 0 neither, 1 good; NULL: not rated
    Column("label", Text),
    Column("comment", Text),
    created_column(),
    Index("ix_feedback_interaction_id", "interaction_id"),
    CheckConstraint("rating IN (-1, 0, 1)", name="rating"),
    sqlite_autoincrement=True,
)
