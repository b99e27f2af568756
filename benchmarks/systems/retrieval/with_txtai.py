"""txtai: an Embeddings index with external vectors, content in SQLite, hybrid with its own weights. See system.py."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from system import Batch, Hit, K, Opened, Vectors, Where, main
from txtai.embeddings import Embeddings

FIELDS = "id, text, score"


def ingest(folder: Path, batches: Callable[[int], Iterator[Batch]]) -> dict[str, object]:
    known: dict[str, Vectors] = {}

    def chunks() -> Iterator[tuple[int, dict[str, object], None]]:
        for batch in batches(5000):
            known.clear()
            whole = batch.whole
            known.update(zip(whole, batch.vectors, strict=True))
            for number, text, about in zip(batch.ids, whole, batch.metadata, strict=True):
                yield number, {"text": text, "half": about["half"], "hundredth": about["hundredth"]}, None

    # Its default batch is smaller than 5,000, so what it asks for is always of the batch at hand or the one before.
    kept: dict[str, Vectors] = {}

    def given(texts: Sequence[str]) -> Vectors:
        kept.update(known)
        found = np.stack([kept[text] for text in texts])
        if len(kept) > 20_000:
            kept.clear()
            kept.update(known)
        return found

    embeddings = Embeddings({"method": "external", "transform": given, "content": True, "hybrid": True})
    embeddings.index(chunks())
    embeddings.save(str(folder / "index"))
    embeddings.close()
    return {}


def open_state(folder: Path, texts: Sequence[str], vectors: Vectors) -> Opened:
    known = dict(zip(texts, vectors, strict=True))

    def given(asked: Sequence[str]) -> Vectors:
        return np.stack([known[text] for text in asked])

    embeddings = Embeddings({"method": "external", "transform": given, "content": True, "hybrid": True})
    embeddings.load(str(folder / "index"), config={"method": "external", "transform": given})

    def weighted(weight: float | None) -> Callable[[str, Vectors, Where], list[Hit]]:
        def arm(text: str, _: Vectors, where: Where) -> list[Hit]:
            if where is None:
                rows = embeddings.search(text, K, weights=weight)
            else:
                rows = embeddings.search(
                    f"select {FIELDS} from txtai where similar(:asked) and {where[0]} = {where[1]} limit {K}",
                    K, weights=weight, parameters={"asked": text},
                )  # fmt: skip
            return [Hit(int(row["id"]), row["text"]) for row in rows]

        return arm

    def delete(ids: Sequence[int]) -> None:
        embeddings.delete(list(ids))
        embeddings.save(str(folder / "index"))

    return Opened(
        weighted(0.0), weighted(1.0), weighted(None), delete, "its defaults: FAISS chosen by size, weights of its own"
    )


if __name__ == "__main__":
    main(ingest, open_state, ["txtai", "faiss-cpu", "numpy"])
