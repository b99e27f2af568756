"""A collection is opened for writing, or its settings are changed; what they ask for is done at once."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ingest.types import Metadata
from rag.corpus.corpus import Corpus
from rag.errors import WrongUsage
from rag.store import collections as collection_store
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.duplicates import near
from rag.store.duplicates.policies import DEFAULTS, Policies
from rag.types import Embedder

if TYPE_CHECKING:
    from ingest.reading.limits import Limits
    from ingest.reading.pool import Pool

LEAST_TOKENS = 32  # of a chunk


def open_corpus(
    database: Database,
    tenant: str,
    name: str,
    embedder: Embedder,
    *,
    chunk_tokens: int,
    overlap_tokens: int,
    dedup: Metadata | None = None,
    pool: "Pool | None" = None,
) -> Corpus:
    """Open a collection for writing; it is made, with these settings, when it is not there.

    `dedup` are its policies on duplicates, as rag.store.duplicates.policies names them. Without a pool it gets one of
    its own, of one process that ends when it is idle.
    Raises WrongUsage if it was embedded by another embedder than this one: its vectors could not be compared.
    """
    check_chunking(embedder, chunk_tokens, overlap_tokens)
    with database.read() as connection:
        tenant_id = collection_store.tenant(connection, tenant)
        found = None if tenant_id is None else collection_store.find(connection, tenant_id, name)
    if found is None:
        settings: Metadata = {
            "chunk_tokens": chunk_tokens,
            "overlap_tokens": overlap_tokens,
            **DEFAULTS,
            **(dedup or {}),
        }
        Policies.of(settings)
        with database.write() as connection:
            tenant_id = collection_store.ensure_tenant(connection, tenant)
            found = collection_store.ensure(connection, tenant_id, name, embedder, settings)
    collection_store.require_embedder(found, embedder)
    if pool is None:
        pool = make_pool(embedder, processes=1)
    corpus = Corpus(database, found, embedder, pool)
    if found.settings.get("recut"):
        corpus.recut()
    if found.settings.get("review"):
        corpus.review_duplicates()
    return corpus


@dataclass(frozen=True, slots=True)
class Changed:
    """What followed from other settings of a collection."""

    collection: Collection
    recut: int | None  # texts that were cut anew; None: how texts are cut did not change
    judged: int | None  # duplicates found; None: the policies did not change


def changed(corpus: Corpus, settings: Metadata) -> Changed:
    """Change settings of a collection and do at once what follows from them. Interrupted, it is finished by the next
    who opens the collection for writing.

    Raises WrongUsage for a setting that is unknown or whose value does not fit; nothing is changed then.
    """
    known = {"chunk_tokens", "overlap_tokens", *DEFAULTS}
    if unknown := sorted(settings.keys() - known):
        raise WrongUsage(f"a collection has no setting {unknown[0]!r}; there are: {', '.join(sorted(known))}")
    before = corpus.collection.settings
    after = {**before, **settings}
    tokens, overlap = after["chunk_tokens"], after["overlap_tokens"]
    if not isinstance(tokens, int) or not isinstance(overlap, int) or tokens < LEAST_TOKENS or overlap < 0:
        raise WrongUsage(f"chunk_tokens is a whole number from {LEAST_TOKENS} on, overlap_tokens one from 0 on")
    check_chunking(corpus.embedder, tokens, overlap)
    Policies.of(after)
    cutting = any(before.get(key) != after[key] for key in ("chunk_tokens", "overlap_tokens"))
    judging = any(before.get(key, DEFAULTS[key]) != after.get(key, DEFAULTS[key]) for key in DEFAULTS)
    due: Metadata = {**({"recut": True} if cutting else {}), **({"review": True} if judging else {})}
    with corpus.database.write() as connection:
        collection_store.change_settings(connection, corpus.collection.id, {**settings, **due})
        if before.get("dedup_near_threshold") != after.get("dedup_near_threshold"):
            near.rebuild(connection, corpus.collection.id, Policies.of(after).near_threshold)
        collection = collection_store.by_id(connection, corpus.collection.id)
    corpus = replace(corpus, collection=collection)
    recut = corpus.recut() if cutting else None
    judged = corpus.review_duplicates() if judging else None
    return Changed(corpus.collection, recut, judged)


def make_pool(embedder: Embedder, *, processes: int, limits: "Limits | None" = None) -> "Pool":
    """The child processes that read sources for collections of an embedder."""
    from ingest.minhash import text_signature
    from ingest.reading.limits import Limits
    from ingest.reading.pool import Pool

    return Pool(embedder.counter(), processes=processes, limits=limits or Limits(), sign=text_signature)


def check_chunking(embedder: Embedder, chunk_tokens: int, overlap_tokens: int) -> None:
    """Raise WrongUsage for chunks that the embedder could not embed whole, or that would repeat more than half."""
    if chunk_tokens > embedder.max_tokens:
        raise WrongUsage(
            f"chunk_tokens is {chunk_tokens}, but {embedder.name} embeds at most {embedder.max_tokens} tokens; "
            "the rest of every long chunk could not be found"
        )
    if overlap_tokens > chunk_tokens // 2:
        raise WrongUsage(f"chunk_overlap_tokens is {overlap_tokens}: at most half of chunk_tokens, {chunk_tokens // 2}")
