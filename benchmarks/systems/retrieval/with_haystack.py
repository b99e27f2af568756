"""Haystack: its in-memory document store, both retrievers joined by reciprocal rank fusion. See system.py."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from haystack import Document
from haystack.components.joiners import DocumentJoiner
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy
from system import Batch, Hit, K, Opened, Vectors, Where, main


def ingest(folder: Path, batches: Callable[[int], Iterator[Batch]]) -> dict[str, object]:
    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    for batch in batches(5000):
        store.write_documents(
            [
                Document(id=str(number), content=text, meta=dict(about), embedding=row)
                for number, text, about, row in zip(
                    batch.ids, batch.whole, batch.metadata, batch.vectors.tolist(), strict=True
                )
            ],
            DuplicatePolicy.NONE,
        )
    store.save_to_disk(str(folder / "store.json"))
    return {}


def open_state(folder: Path, _: Sequence[str], __: Vectors) -> Opened:
    store = InMemoryDocumentStore.load_from_disk(str(folder / "store.json"))
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=K)

    def condition(where: Where) -> dict[str, Any] | None:
        return None if where is None else {"field": f"meta.{where[0]}", "operator": "==", "value": where[1]}

    def near(given: Vectors, where: Where) -> list[Document]:
        return store.embedding_retrieval(given.tolist(), filters=condition(where), top_k=K)

    def worded(text: str, where: Where) -> list[Document]:
        return store.bm25_retrieval(text, filters=condition(where), top_k=K)

    def vector(_: str, given: Vectors, where: Where) -> list[Hit]:
        return hits(near(given, where))

    def keyword(text: str, _: Vectors, where: Where) -> list[Hit]:
        return hits(worded(text, where))

    def hybrid(text: str, given: Vectors, where: Where) -> list[Hit]:
        return hits(joiner.run([worded(text, where), near(given, where)])["documents"])

    def hits(found: Sequence[Document]) -> list[Hit]:
        return [Hit(int(each.id), each.content or "") for each in found]

    def delete(ids: Sequence[int]) -> None:
        store.delete_documents([str(number) for number in ids])

    return Opened(keyword, vector, hybrid, delete, "its defaults: all compared, BM25L; RRF; deletion in memory only")


if __name__ == "__main__":
    main(ingest, open_state, ["haystack-ai", "numpy"])
