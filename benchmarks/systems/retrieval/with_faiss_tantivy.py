"""The floor: FAISS, tantivy and SQLite held together by hand, with no safety at all. See system.py.

Nothing is checked, nothing survives a crash, nobody is kept from seeing anything. With FLOOR=flat in the environment
the vectors are compared one and all, as forty lines would do it, and filters are bitmaps that were made beforehand;
else FAISS's PQ names candidates for the exact rows, and there are no filters.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import faiss
import numpy as np
import tantivy
from system import WHERES, Batch, Hit, K, Opened, Vectors, Where, main, metadata, threads

DEPTH = 100  # candidates each ranking brings to the fusion
KEPT, DEEP = 32, 8  # PQ candidates for each of those wanted: of 10, of 100
RRF = 60
FLAT = os.environ.get("FLOOR") == "flat"


def schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("id", stored=False, indexed=True, fast=True)
    builder.add_text_field("text", stored=False, tokenizer_name="en_stem", index_option="freq")
    return builder.build()


def ingest(folder: Path, batches: Callable[[int], Iterator[Batch]]) -> dict[str, object]:
    faiss.omp_set_num_threads(threads())
    (folder / "words").mkdir()
    index = tantivy.Index(schema(), str(folder / "words"))
    writer = index.writer(heap_size=128_000_000, num_threads=1)
    texts = sqlite3.connect(folder / "texts.db")
    texts.execute("CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT)")
    blocks = []
    for batch in batches(5000):
        whole = batch.whole
        for number, text in zip(batch.ids, whole, strict=True):
            writer.add_document(tantivy.Document(id=number, text=text))
        texts.executemany("INSERT INTO texts VALUES (?, ?)", zip(batch.ids, whole, strict=True))
        blocks.append(batch.vectors)
    texts.commit()
    texts.close()
    writer.commit()
    writer.wait_merging_threads()
    vectors = np.concatenate(blocks)
    dim = vectors.shape[1]
    form = "Flat" if FLAT else f"PQ{dim // 4}x4fs,RFlat"
    found = faiss.index_factory(dim, form, faiss.METRIC_INNER_PRODUCT)
    if not FLAT:
        found.train(vectors[np.random.default_rng(0).permutation(len(vectors))[:25_600]])
    found.add(vectors)
    faiss.write_index(found, str(folder / "vectors.faiss"))
    (folder / "about.json").write_text(json.dumps({"rows": len(vectors)}))
    return {}


def open_state(folder: Path, _: Sequence[str], __: Vectors) -> Opened:
    faiss.omp_set_num_threads(threads())
    index = tantivy.Index.open(str(folder / "words"))
    searcher = index.searcher()
    texts = sqlite3.connect(folder / "texts.db")
    near = faiss.read_index(str(folder / "vectors.faiss"))
    rows = json.loads((folder / "about.json").read_text())["rows"]
    masks, selectors = {}, {}
    for where in WHERES.values():
        if where is not None:
            mask = np.array([metadata(number)[where[0]] == where[1] for number in range(1, rows + 1)])
            masks[where] = mask
            bits = np.packbits(mask, bitorder="little")
            selectors[where] = faiss.IDSelectorBitmap(rows, faiss.swig_ptr(bits)), bits

    def nearest(vector: Vectors, k: int, where: Where) -> list[int]:
        selector = None if where is None else selectors[where][0]
        if FLAT:
            given = faiss.SearchParameters(sel=selector)
        else:  # the fast scan takes no selector
            given = faiss.IndexRefineSearchParameters(k_factor=KEPT if k == K else DEEP)
        _, found = near.search(vector[None, :], k, params=given)
        return [int(row) + 1 for row in found[0] if row >= 0]

    def worded(text: str, k: int, where: Where) -> list[int]:
        query, _ = index.parse_query_lenient(text, ["text"])

        def best(depth: int) -> list[int]:
            addresses = [address for _, address in searcher.search(query, depth, count=False).hits]
            return [int(number) for number in searcher.fast_field_values("id", addresses)]

        return best(k) if where is None else masked(best, k, where)

    def masked(best: Callable[[int], list[int]], k: int, where: Where) -> list[int]:
        mask, depth = masks[where], 4 * k
        while True:
            depth = min(depth, rows)
            ids = best(depth)
            kept = [number for number in ids if mask[number - 1]][:k]
            if len(kept) == k or len(ids) < depth or depth == rows:
                return kept
            depth *= 8

    def hits(ids: Sequence[int]) -> list[Hit]:
        marks = ",".join("?" * len(ids))
        found = dict(texts.execute(f"SELECT id, text FROM texts WHERE id IN ({marks})", list(ids)))
        return [Hit(number, found[number]) for number in ids]

    def vector(_: str, given: Vectors, where: Where) -> list[Hit]:
        return hits(nearest(given, K, where))

    def keyword(text: str, _: Vectors, where: Where) -> list[Hit]:
        return hits(worded(text, K, where))

    def hybrid(text: str, given: Vectors, where: Where) -> list[Hit]:
        scores: dict[int, float] = {}
        for ranking in (nearest(given, DEPTH, where), worded(text, DEPTH, where)):
            for place, number in enumerate(ranking, start=1):
                scores[number] = scores.get(number, 0.0) + 1 / (RRF + place)
        return hits(sorted(scores, key=lambda number: (-scores[number], number))[:K])

    chosen = "Flat" if FLAT else f"PQ96x4fs,RFlat, k_factor {KEPT} for 10 hits, {DEEP} for {DEPTH}"
    settings = f"FAISS {chosen}; RRF of {DEPTH} and {DEPTH}; no deletion"
    return Opened(keyword, vector, hybrid, None, settings, filters=FLAT)


if __name__ == "__main__":
    main(ingest, open_state, ["faiss-cpu", "tantivy", "numpy"])
