"""LanceDB: one table with a vector, a full text and two scalar indexes; hybrid by its own RRF. See system.py."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import lancedb
import pyarrow as pa
from lancedb.rerankers import RRFReranker
from system import Batch, Hit, K, Opened, Vectors, Where, main

PROBES, REFINE = 20, 10
LEAST_INDEXED = 5_000  # rows from which its vector index pays; below, it compares all
COLUMNS = ["id", "text"]


def ingest(folder: Path, batches: Callable[[int], Iterator[Batch]]) -> dict[str, object]:
    table, rows = None, 0
    for batch in batches(10_000):
        rows += len(batch.ids)
        dim = batch.vectors.shape[1]
        data = pa.table(
            {
                "id": pa.array(batch.ids, pa.int64()),
                "text": batch.whole,
                "half": pa.array([each["half"] for each in batch.metadata], pa.int32()),
                "hundredth": pa.array([each["hundredth"] for each in batch.metadata], pa.int32()),
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(batch.vectors.ravel()), dim),
            }
        )
        if table is None:
            table = lancedb.connect(str(folder / "lance")).create_table("chunks", data)
        else:
            table.add(data)
    assert table is not None
    if rows >= LEAST_INDEXED:
        table.create_index(metric="dot", vector_column_name="vector")
    table.create_fts_index("text")
    for field in ("half", "hundredth"):
        table.create_scalar_index(field, index_type="BITMAP")
    table.create_scalar_index("id")
    table.wait_for_index([index.name for index in table.list_indices()], timeout=timedelta(minutes=30))
    return {"indexes": sorted(f"{index.columns[0]}: {index.index_type}" for index in table.list_indices())}


def open_state(folder: Path, _: Sequence[str], __: Vectors) -> Opened:
    table = lancedb.connect(str(folder / "lance")).open_table("chunks")
    reranker = RRFReranker()

    def vector(_: str, given: Vectors, where: Where) -> list[Hit]:
        query = table.search(given, query_type="vector").distance_type("dot").nprobes(PROBES).refine_factor(REFINE)
        return hits(query, where)

    def keyword(text: str, _: Vectors, where: Where) -> list[Hit]:
        return hits(table.search(words(text), query_type="fts"), where)

    def hybrid(text: str, given: Vectors, where: Where) -> list[Hit]:
        query = table.search(query_type="hybrid").vector(given).text(words(text)).rerank(reranker)
        return hits(query.distance_type("dot").nprobes(PROBES).refine_factor(REFINE), where)

    def hits(query: "lancedb.query.LanceQueryBuilder", where: Where) -> list[Hit]:
        if where is not None:
            query = query.where(f"{where[0]} = {where[1]}", prefilter=True)
        found = query.select(COLUMNS).limit(K).to_arrow()
        numbers, texts = found.column("id").to_pylist(), found.column("text").to_pylist()
        return [Hit(number, text) for number, text in zip(numbers, texts, strict=True)]

    def delete(ids: Sequence[int]) -> None:
        table.delete(f"id IN ({','.join(map(str, ids))})")

    settings = f"its default vector index, nprobes {PROBES}, refine_factor {REFINE}; its RRF; prefilter"
    return Opened(keyword, vector, hybrid, delete, settings)


def words(text: str) -> str:
    """The question without the signs that its query language reads."""
    return "".join(each if each.isalnum() else " " for each in text)


if __name__ == "__main__":
    main(ingest, open_state, ["lancedb", "pyarrow", "numpy"])
