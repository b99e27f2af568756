"""Filtered search at 100,000 chunks: filters that were never asked before, while another process takes documents in.

Run: python benchmarks/filters.py FOLDER [FILTERS A SHARE [CHUNKS]], where FOLDER holds texts.jsonl and vectors.npy as
benchmarks/corpora.py makes them. For filters that pass 50 %, 5 %, 0.5 % and 0.02 % of the documents: how long their
resolution takes, and a whole search, filter included; whether a passage came back that does not pass, or fewer
than there are; recall@10 of the dense arm against the exact ranking of what passes, and how many keyword rankings are
the full ranking with the rest left out. Real questions stand beside FOLDER as queries.jsonl and queries.npy, with their
vectors. Wall times; the machine's load is recorded beside them.
"""

import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import write
from sqlalchemy import insert

from rag.access import Access
from rag.indexes.snapshots import Indexes
from rag.indexes.tails import Only
from rag.search import OpenCollection, Search, search
from rag.store import collections as collection_store
from rag.store import database as database_store
from rag.store import writing
from rag.store.checks import stored_text
from rag.store.collections import Collection
from rag.store.database import Database, now
from rag.store.filters.tree import Filter
from rag.store.tables import chunks, contents, documents
from rag.store.tables import vectors as vector_rows
from rag.store.vectors import CollectionFeed, pack
from rag.types import Bitmap, Metadata, Principal, Vectors

SHARES = (0.5, 0.05, 0.005, 0.0002)
BATCH = 5000
QUESTIONS = 250


@dataclass(frozen=True)
class Known:
    """An embedder that knows the vectors of its questions."""

    vectors: dict[str, Vectors]
    name: str = "known"
    fingerprint: str = "known"
    max_tokens: int = 256

    @property
    def dim(self) -> int:
        return len(next(iter(self.vectors.values())))

    def embed_queries(self, texts: list[str]) -> Vectors:
        return np.stack([self.vectors[text] for text in texts])


def questions(folder: Path) -> dict[str, Vectors]:
    """Real questions and their vectors; quotation marks would make phrases of them."""
    with (folder / "queries.jsonl").open() as lines:
        texts = [json.loads(line)["text"].replace('"', "") for line in lines]
    return dict(zip(texts[:QUESTIONS], np.load(folder / "queries.npy"), strict=False))


def taken_in(database: Database, number: int, text: str, metadata: Metadata) -> writing.NewDocument:
    digest = database.digest(f"{number} {text}")
    content = writing.NewContent(
        digest=digest, title="", text=text, text_digest=database.digest(stored_text("", text)), outline=[],
        chunks=(writing.NewChunk(0, 0, len(text), (), None, digest),), cutting=b"whole", language="en",
    )  # fmt: skip
    uri = f"bench:{number}"
    return writing.NewDocument(digest, content, None, uri, None, uri, "text/plain", metadata, "bench")


def fill(database: Database, collection: Collection, folder: Path, order: np.ndarray, vectors: Vectors) -> None:
    """One document a chunk, written into the tables as they are: how fast they come in is measured elsewhere."""
    stamp = now()
    with (folder / "texts.jsonl").open() as lines, database.write() as connection:
        at = collection_store.next_position(connection, collection.id)
        for first in range(0, len(order), BATCH):
            rows: list[list[dict[str, object]]] = [[], [], [], []]
            for number, line in zip(range(first, min(first + BATCH, len(order))), lines, strict=False):
                text, place, digest = json.loads(line)["text"], int(order[number]), database.digest(str(number))
                mine = {"collection_id": collection.id}
                said = {"n": place, "bucket": f"b{place % 40}", "tags": [f"t{place % 7}", f"u{place % 300}"]}
                rows[0].append(
                    {**mine, "id": number + 1, "digest": digest, "title": "", "text": text, "text_digest": digest,
                     "outline": [], "language": "en", "created_at": stamp}
                )  # fmt: skip
                rows[1].append(
                    {**mine, "content_id": number + 1, "uri": f"bench:{number}", "name": f"{number}",
                     "media_type": "text/plain", "metadata": said, "owner": "bench", "added_position": at,
                     "created_at": stamp}
                )  # fmt: skip
                rows[2].append(
                    {**mine, "content_id": number + 1, "ordinal": 0, "start": 0, "end": len(text), "headings": [],
                     "digest": digest, "added_position": at}
                )  # fmt: skip
                rows[3].append(
                    {"tenant_id": collection.tenant_id, "embedder_id": collection.embedder_id, "digest": digest,
                     "data": pack(vectors[number])}
                )  # fmt: skip
            for table, values in zip((contents, documents, chunks, vector_rows), rows, strict=True):
                connection.execute(insert(table), values)


def ingest(url: str, dim: int, stop: "multiprocessing.synchronize.Event") -> None:  # type: ignore[name-defined]
    """Another process: takes documents in, five at a time, and removes them again."""
    database = database_store.connect(url)
    with database.read() as connection:
        collection = collection_store.get(connection, 1, "default")
    number, rng = 10_000_000, np.random.default_rng(9)
    while not stop.is_set():
        new = [taken_in(database, number + i, f"more words of document {number + i}", {"n": -1}) for i in range(5)]
        rows = rng.normal(size=(5, dim)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        with database.write() as connection:
            vectors = {each.content_digest: pack(row) for each, row in zip(new, rows, strict=True)}
            written = writing.write_documents(connection, collection, new, vectors, actor="bench", complete={})
        time.sleep(0.2)
        with database.write() as connection:
            ids = [each.document_id for each in written if each.document_id is not None]
            writing.remove_documents(connection, collection, ids, actor="bench")
        number += 5
    database.close()


def percentiles(taken: list[float]) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(taken, p)), 3) for p in (50, 90, 99)}


def measured(
    opened: OpenCollection, order: np.ndarray, vectors: Vectors, each: int, known: dict[str, Vectors]
) -> list[dict[str, object]]:
    rng, found = np.random.default_rng(3), list[dict[str, object]]()
    asker, texts = Principal(1, "bench"), list(known)
    for mode in ("semantic", "keyword"):
        for share in SHARES:
            span = max(1, round(len(order) * share))
            total, resolving, same = list[float](), list[float](), list[bool]()
            nearest, wrong, short = list[tuple[np.ndarray, list[int], str]](), 0, 0
            for number in range(each):
                low = int(rng.integers(0, len(order) - span + 1))
                where = Filter.parse({"n": {"$gte": low, "$lt": low + span}, "salt": {"$exists": False}})
                words = texts[number % len(texts)]
                began = time.perf_counter()
                result = search(opened, Search(words, 10, mode, where), asker)  # type: ignore[arg-type]
                total.append((time.perf_counter() - began) * 1000)
                resolving.append(result.timings_ms["permitted"])
                values = [p.metadata["n"] for passage in result.passages for p in passage.places]
                wrong += sum(not low <= int(str(value)) < low + span for value in values)
                passing = np.flatnonzero((order >= low) & (order < low + span)) + 1  # chunk ids, as `fill` gives them
                ids = [passage.hit.chunk_id for passage in result.passages]
                if mode == "semantic":
                    short += len(ids) < min(10, span)
                    nearest.append((passing, ids, words))
                elif number % 5 == 0 and (view := opened.indexes.view()).position == result.position:
                    every = Only(view.position, Bitmap.of(view.keywords.ids()))
                    [full] = view.keywords.search([view.question_terms(words)], len(order) + 100, every)
                    masked = set(passing.tolist())
                    same.append([hit.chunk_id for hit in full if hit.chunk_id in masked][:10] == ids)
            row: dict[str, object] = {"mode": mode, "share": share, "filters": each, "forbidden": wrong}
            if mode == "semantic":
                row |= {"too few": short, "recall@10": recall(nearest, vectors, known)}
            else:
                row |= {"compared with the full ranking": len(same), "the same": sum(same)}
            found.append({**row, "search ms": percentiles(total), "resolution ms": percentiles(resolving)})
            print(found[-1], flush=True)
    return found


def recall(searched: list[tuple[np.ndarray, list[int], str]], vectors: Vectors, known: dict[str, Vectors]) -> float:
    """Of the ten nearest of what passed each filter, the share that was found."""
    shares = []
    for passing, ids, words in searched:
        best = passing[np.argsort(-np.vecdot(vectors[passing - 1], known[words]), kind="stable")[:10]]
        shares.append(len(np.intersect1d(ids, best)) / len(best))
    return round(float(np.mean(shares)), 4)


def main() -> None:
    folder, each = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 125
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")[: int(sys.argv[3]) if len(sys.argv) > 3 else None]
    order = np.random.default_rng(1).permutation(len(vectors))
    with tempfile.TemporaryDirectory(dir=os.environ.get("RAG_BENCH_TMP")) as scratch:
        url = f"sqlite:///{scratch}/rag.db"
        database = database_store.connect(url)
        database_store.upgrade(database)
        known = questions(folder.parent)
        embedder = Known(known)
        with database.write() as connection:
            tenant = collection_store.ensure_tenant(connection)
            collection = collection_store.create(connection, tenant, "default", embedder, {})  # type: ignore[arg-type]
        began = time.time()
        fill(database, collection, folder, order, vectors)
        print(f"stored in {time.time() - began:.0f} s", flush=True)
        (Path(scratch) / "indexes").mkdir()
        feed = CollectionFeed(database, collection)
        indexes = Indexes(Path(scratch) / "indexes", feed, fingerprint=collection.fingerprint)
        indexes.publish()
        opened = OpenCollection(database, collection, indexes, Access(), lambda: embedder)  # type: ignore[arg-type, return-value]
        for mode in ("semantic", "keyword"):  # what a server does once: columns and indexes are read
            for low in (1, 2):
                where = Filter.parse({"n": {"$gte": low}, "salt": {"$exists": False}})
                search(opened, Search(next(iter(known)), 10, mode, where), Principal(1, "bench"))  # type: ignore[arg-type]
        stop = multiprocessing.get_context("spawn").Event()
        other = multiprocessing.get_context("spawn").Process(target=ingest, args=(url, embedder.dim, stop))
        following = threading.Thread(target=follow, args=(indexes, stop))
        before = collection.position
        other.start()
        following.start()
        try:
            rows = measured(opened, order, vectors, each, known)
        finally:
            stop.set()
            other.join()
            following.join()
        with database.read() as connection:
            moved = collection_store.position(connection, collection.id) - before
        write("filters", {"chunks": len(order), "positions": moved, "load": os.getloadavg()[0], "rows": rows})
        database.close()


def follow(indexes: Indexes, stop: "multiprocessing.synchronize.Event") -> None:  # type: ignore[name-defined]
    """What a server's own thread does: the view follows the writes."""
    while not stop.wait(0.1):
        indexes.view()


if __name__ == "__main__":
    main()
