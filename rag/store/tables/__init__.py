"""Every table, once. Migrations create them; a test keeps the two equal.

Conventions: integer ids are never reused (AUTOINCREMENT on SQLite, sequences on PostgreSQL); interactions and
conversations have ULIDs; times are UTC; a `digest` is a keyed BLAKE2b; `added_position` and `removed_position` say from
which position of the collection on a row is alive, and from which on it no longer is (NULL: alive).
"""

from rag.store.tables.base import Utc, metadata
from rag.store.tables.corpus import (
    changes,
    chunks,
    collections,
    contents,
    document_labels,
    documents,
    embedders,
    installation,
    sources,
    syncs,
    tenants,
    vectors,
)
from rag.store.tables.datasets import dataset_items, dataset_versions, datasets
from rag.store.tables.duplicates import bands, decisions, signatures
from rag.store.tables.evaluation import evaluation_queries, evaluations
from rag.store.tables.log import (
    SLOTS,
    STATE,
    STATE_BITS,
    conversations,
    feedback,
    interaction_facts,
    interaction_passages,
    interaction_tags,
    interactions,
    log_terms,
    saved_views,
    scores,
    templates,
    texts,
)
from rag.store.tables.replays import experiment_answers, experiments, preferences
from rag.store.tables.review import (
    review_guidelines,
    review_items,
    review_passages,
    review_queues,
    review_skips,
    reviews,
)
from rag.store.tables.running import audit, job_inputs, job_items, jobs, tokens

__all__ = [
    "SLOTS",
    "STATE",
    "STATE_BITS",
    "Utc",
    "audit",
    "bands",
    "changes",
    "chunks",
    "collections",
    "contents",
    "conversations",
    "dataset_items",
    "dataset_versions",
    "datasets",
    "decisions",
    "document_labels",
    "documents",
    "embedders",
    "evaluation_queries",
    "evaluations",
    "experiment_answers",
    "experiments",
    "feedback",
    "installation",
    "interaction_facts",
    "interaction_passages",
    "interaction_tags",
    "interactions",
    "job_inputs",
    "job_items",
    "jobs",
    "log_terms",
    "metadata",
    "preferences",
    "review_guidelines",
    "review_items",
    "review_passages",
    "review_queues",
    "review_skips",
    "reviews",
    "saved_views",
    "scores",
    "signatures",
    "sources",
    "syncs",
    "templates",
    "tenants",
    "texts",
    "tokens",
    "vectors",
]
