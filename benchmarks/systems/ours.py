"""Our side of the ingestion benchmark: `rag ingest` as it is, with a clock around the embedder; and what it embedded.

Run: ours.py ingest OUT EVERY ARGUMENT…  (the arguments of `rag`)   ·   ours.py texts DATA OUT SAMPLE
EVERY is 1. To see the memory of what would take too long it is more: the model is held, and embeds every so many
batches only; the vectors of the others are made by hashing.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

BEGAN = time.perf_counter(), time.process_time()


def ingest(out: Path, every: int, arguments: Sequence[str]) -> None:
    """Run `rag …` in this process; when and with how much processor time it embedded is written to `out`."""
    from rag import embedders
    from rag.cli import main
    from rag.embedders.hashing import Hashing
    from rag.types import Embedder, Vectors

    load = embedders.load
    calls: list[tuple[float, float, float]] = []  # begin and end since the start, processor time of all threads

    def timed_load(model: str, *, models_dir: Path, threads: int | None = None) -> Embedder:
        embedder = load(model, models_dir=models_dir, threads=threads)
        embed, hashed = embedder.embed_passages, Hashing(embedder.dim).embed_queries

        def timed(texts: Sequence[str]) -> Vectors:
            began, cpu = time.perf_counter(), time.process_time()
            try:
                return hashed(texts) if len(calls) % every else embed(texts)
            finally:
                calls.append((began - BEGAN[0], time.perf_counter() - BEGAN[0], time.process_time() - cpu))

        embedder.embed_passages = timed  # type: ignore[method-assign]
        return embedder

    embedders.load = timed_load
    sys.argv = ["rag", *arguments]
    try:
        main()
    finally:
        ended, cpu = time.perf_counter() - BEGAN[0], time.process_time()
        first, last = (calls[0][0], calls[-1][1]) if calls else (ended, ended)
        inside = sum(end - begin for begin, end, _ in calls)
        about = {
            "calls": len(calls),
            "embedding_s": inside,
            "embedding_cpu_s": sum(used for _, _, used in calls),
            "before_first_call_s": first,
            "between_calls_s": last - first - inside,
            "after_last_call_s": ended - last,
            "parent_cpu_s": cpu,
        }
        out.write_text(json.dumps(about))


def texts(data: Path, out: Path, sample: int) -> None:
    """Every embedded string of the collection, from SQL, and the vectors of the first few."""
    import numpy as np

    from rag.app import opening
    from rag.config import load
    from rag.store.vectors import CollectionFeed

    with opening(load({"data": data}).settings) as app:
        feed = CollectionFeed(app.database, app.collection())
        found = [text for batch in feed.changes(0, feed.position()) for text in batch.texts]
        np.save(out.with_suffix(".npy"), app.embedder().embed_passages(found[:sample]))
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "ingest":
        ingest(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    else:
        texts(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
