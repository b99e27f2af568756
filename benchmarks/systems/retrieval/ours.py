"""Ours: the write route from prepared documents on, and the read route whole, with every safety on. See system.py.

In: digests, deduplication (MinHash signatures included, which a real ingest makes in child processes beside), one SQL
transaction per batch of documents, then a published index generation. Out: `rag.search.search`, so that freshness, what
may be seen, the texts and places of the hits are part of every figure. DOCUMENT in the environment is how many chunks a
document holds, if not system.PER_DOCUMENT.
"""

import cProfile
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from system import PER_DOCUMENT, Batch, Hit, K, Opened, Vectors, Where, main, metadata, threads

from ingest.minhash import signatures
from ingest.reading.prepare import Prepared
from ingest.types import Chunk, Document
from rag.app import App
from rag.config import load
from rag.corpus import open_corpus
from rag.corpus.batches import Batch as Writing
from rag.corpus.batches import Origin, Report, Tally
from rag.embedders.hashing import Hashing
from rag.search import Search, search
from rag.store.filters.tree import Filter
from rag.store.writing import SourceRead
from rag.types import CountTokens, Mode

NUMBERS = "numbers.npy"  # chunk id → number of the chunk in the corpus


@dataclass(frozen=True)
class Given:
    """An embedder whose vectors are given; it is not the model's, and says so."""

    dim: int
    known: dict[str, Vectors]
    name: str = "hashing:given"
    fingerprint: str = "given"
    max_tokens: int = 256

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return Hashing(self.dim).count_tokens(texts)

    def counter(self) -> Callable[[], CountTokens]:
        return Hashing(self.dim).counter()

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self.known[text] for text in texts])

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self.known[text] for text in texts])


def app(folder: Path, *, create: bool) -> App:
    return App.open(load({"data": folder, "threads": threads()}, environment={}).settings, create=create)


def ingest(folder: Path, batches: Callable[[int], Iterator[Batch]]) -> dict[str, object]:
    profile = cProfile.Profile() if os.environ.get("PROFILE") else None
    per_document = int(os.environ.get("DOCUMENT", PER_DOCUMENT))
    opened, times = app(folder, create=True), Counter[str]()
    corpus, known, first = None, dict[str, Vectors](), None
    for batch in batches(2_500):
        known.clear()
        known.update(zip(batch.whole, batch.vectors, strict=True))
        if corpus is None or first is None:
            embedder = Given(batch.vectors.shape[1], known)
            corpus = open_corpus(opened.database, "default", "default", embedder, chunk_tokens=256, overlap_tokens=0)
            report = Report()
            first = Writing(
                opened.database, corpus.collection, embedder, Origin("local"), report, cutting=corpus.cutting
            )
        began = time.perf_counter()
        found = documents(batch, per_document)
        prepared = time.perf_counter() - began
        times["prepare_s"] += prepared
        if profile is not None:
            profile.enable()
        for document in found:
            uri = document.document.uri
            tally = Tally(uri)
            first.add(tally, document)
            first.complete(tally, SourceRead(opened.database.digest(uri), frozenset({uri})))
        first.flush()  # vectors of the next batch take the place of these
        if profile is not None:
            profile.disable()
        times["store_s"] += time.perf_counter() - began - prepared
    assert corpus is not None
    began = time.perf_counter()
    generation = opened.indexes(corpus.collection).publish()
    times["index_s"] = time.perf_counter() - began
    numbers(opened, folder / NUMBERS, per_document)
    opened.close()
    if profile is not None:
        profile.dump_stats(os.environ["PROFILE"])
    told = {name: round(seconds, 3) for name, seconds in times.items()}
    return {"generation": generation, "added": report.added, "not_added": report.duplicate + report.failed, **told}


def documents(batch: Batch, per_document: int) -> list[Prepared]:
    """The chunks of a batch as documents of so many: each a section under a heading that is its title."""
    found = []
    for first in range(0, len(batch.ids), per_document):
        texts = batch.texts[first : first + per_document]
        chunks, start = [], 0
        for ordinal, (title, text) in enumerate(zip(batch.titles[first:], texts, strict=False)):
            headings = (title,) if title else ()
            chunks.append(Chunk(ordinal, start, start + len(text), text, headings, None))
            start += len(text) + 2
        number = batch.ids[first]
        about = {name: value for name, value in metadata(number).items() if name != "document"}
        key = str((number - 1) // per_document)
        found.append(
            (
                Document(
                    f"bench:{key}", key, "", key, "\n\n".join(texts), (), {**about, "language": "en"}, "text/plain"
                ),
                tuple(chunks),
            )
        )
    signed = signatures([document.text for document, _ in found])
    return [Prepared(document, chunks, sign) for (document, chunks), sign in zip(found, signed, strict=True)]


def numbers(opened: App, file: Path, per_document: int) -> None:
    """Write which chunk of the corpus each chunk id is."""
    from sqlalchemy import func, select

    from rag.store.tables import chunks
    from rag.store.tables import documents as table

    with opened.database.read() as connection:
        ids = np.zeros(int(connection.execute(select(func.max(chunks.c.id))).scalar_one()) + 1, np.int64)
        query = select(chunks.c.id, table.c.external_id, chunks.c.ordinal).join(
            table, table.c.content_id == chunks.c.content_id
        )
        for chunk, document, ordinal in connection.execute(query.execution_options(yield_per=10_000)):
            ids[chunk] = int(document) * per_document + ordinal + 1
    np.save(file, ids)


def open_state(folder: Path, texts: Sequence[str], vectors: Vectors) -> Opened:
    opened = app(folder, create=False)
    ids: NDArray[np.int64] = np.load(folder / NUMBERS)
    embedder = Given(vectors.shape[1], dict(zip(texts, vectors, strict=True)))
    opened.engines.embedding = embedder
    collection, principal, spent, count = opened.opened(), opened.local(), Counter[str](), Counter[str]()
    fusion = opened.fusion()

    def arm(mode: Mode) -> Callable[[str, Vectors, Where], list[Hit]]:
        def ask(text: str, _: Vectors, where: Where) -> list[Hit]:
            condition = None if where is None else Filter.parse({where[0]: where[1]})
            found = search(collection, Search(text, K, mode, condition, fusion), principal)
            spent.update(found.timings_ms)
            count["searches"] += 1
            return [Hit(int(ids[passage.hit.chunk_id]), passage.text) for passage in found.passages]

        return ask

    def stages() -> dict[str, float]:
        told = {name: round(total / count["searches"], 3) for name, total in spent.items()}
        spent.clear()
        count.clear()
        return told

    def delete(gone: Sequence[int]) -> None:
        from sqlalchemy import select

        from rag.store.tables import documents as table

        wanted = sorted({str((number - 1) // PER_DOCUMENT) for number in gone})
        with opened.database.read() as connection:
            rows = connection.execute(select(table.c.id).where(table.c.external_id.in_(wanted)))
            held = [row[0] for row in rows]
        corpus = open_corpus(opened.database, "default", "default", embedder, chunk_tokens=256, overlap_tokens=0)
        corpus.remove(held, actor="local")

    return Opened(arm("keyword"), arm("semantic"), arm("hybrid"), delete, "its defaults", stages=stages)


if __name__ == "__main__":
    main(ingest, open_state, ["numpy", "faiss-cpu", "sqlalchemy"])
