"""Chroma: a persistent collection with given vectors; it ranks no words, so it has no hybrid. See system.py."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import chromadb
from chromadb.config import Settings
from system import Batch, Hit, K, Opened, Vectors, Where, main


def client(folder: Path) -> "chromadb.ClientAPI":
    return chromadb.PersistentClient(str(folder / "chroma"), Settings(anonymized_telemetry=False))


def ingest(folder: Path, batches: Callable[[int], Iterator[Batch]]) -> dict[str, object]:
    opened = client(folder)
    chunks = opened.create_collection("chunks", embedding_function=None, metadata={"hnsw:space": "ip"})
    for batch in batches(5000):
        chunks.add(
            ids=[str(number) for number in batch.ids],
            embeddings=batch.vectors,
            documents=batch.whole,
            metadatas=batch.metadata,
        )
    return {}


def open_state(folder: Path, _: Sequence[str], __: Vectors) -> Opened:
    chunks = client(folder).get_collection("chunks", embedding_function=None)

    def vector(_: str, given: Vectors, where: Where) -> list[Hit]:
        condition = None if where is None else {where[0]: where[1]}
        found = chunks.query(query_embeddings=[given], n_results=K, where=condition, include=["documents"])
        assert found["documents"] is not None
        return [Hit(int(key), text) for key, text in zip(found["ids"][0], found["documents"][0], strict=True)]

    def delete(ids: Sequence[int]) -> None:
        chunks.delete(ids=[str(number) for number in ids])

    return Opened(None, vector, None, delete, "its defaults: HNSW, inner product; its local form ranks no words")


if __name__ == "__main__":
    main(ingest, open_state, ["chromadb", "numpy"])
