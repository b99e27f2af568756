"""The vector index as it grows: opening, memory, latency, recall and filters per size, on vectors given as files.

    python benchmarks/vectors.py VECTORS.npy QUERIES.npy [--sizes 10000,100000,1000000]

Rows (n, 384) are unit vectors. The truth is an exact ranking computed here. Each size is searched in a process of its
own, so that its memory is its own; processor times stand beside wall times, because machines are shared.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import ROOT, write

from rag.indexes.tails import Only
from rag.types import Bitmap
from rag.vectors import faiss

SHARES = (1.0, 0.5, 0.05, 0.005, 0.0002)
FIRST_ID = 7


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def build(vectors: Path, size: int, folder: Path, recall: float) -> dict[str, object]:
    rows = np.load(vectors, mmap_mode="r")
    index, began = faiss.new(rows.shape[1], folder), time.process_time()
    for first in range(0, size, 4096):
        ids = np.arange(first, min(first + 4096, size)) + FIRST_ID
        index.apply(ids, np.asarray(rows[first : first + len(ids)], np.float32), np.empty(0, np.int64), 1)
    index.tune(recall)
    (folder / "index").mkdir()
    index.save(folder / "index")
    taken = sum(path.stat().st_size for path in (folder / "index").iterdir())
    return {
        "cpu_s": time.process_time() - began,
        "mb": taken / 2**20,
        "tuning": json.loads((folder / "index" / "tuning.json").read_text()),
    }


def search(folder: Path, queries: np.ndarray, size: int, masks: dict[float, np.ndarray]) -> dict[str, object]:
    before, began = resident_mb(), time.perf_counter()
    index = faiss.open(folder / "index")
    opened = time.perf_counter() - began
    answers: dict[str, object] = {}
    for share, mask in masks.items():
        chosen = np.flatnonzero(mask) + FIRST_ID
        for k in (10, 100):
            wall, cpu, found = [], [], []
            for query in queries:
                permitted = Only(1, Bitmap.of(chosen))  # a set nobody saw before
                began, spent = time.perf_counter(), time.thread_time()
                [ranking] = index.search(query[None, :], k, permitted)
                wall.append((time.perf_counter() - began) * 1000)
                cpu.append((time.thread_time() - spent) * 1000)
                found.append([hit.chunk_id - FIRST_ID for hit in ranking])
            answers[f"{share}/{k}"] = {
                "p50_ms": np.median(wall),
                "p99_ms": np.percentile(wall, 99),
                "cpu_p50_ms": np.median(cpu),
                "cpu_p99_ms": np.percentile(cpu, 99),
                "found": found,
            }
    return {"open_s": opened, "resident_mb": resident_mb(), "before_mb": before, "searches": answers}


def truth(rows: np.ndarray, queries: np.ndarray, mask: np.ndarray, k: int) -> list[set[int]]:
    scores = np.empty((len(queries), 0), np.float32)
    places = np.empty((len(queries), 0), np.int64)
    for first in range(0, len(mask), 50_000):
        inside = first + np.flatnonzero(mask[first : first + 50_000])
        scores = np.concatenate([scores, queries @ np.asarray(rows[inside]).T], axis=1)
        places = np.concatenate([places, np.tile(inside, (len(queries), 1))], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, places = (np.take_along_axis(each, best, axis=1) for each in (scores, places))
    return [set(row.tolist()) for row in places]


def masks(size: int) -> dict[float, np.ndarray]:
    random = np.random.default_rng(5)
    return {share: random.random(size) < share for share in SHARES}


def one(vectors: Path, queries: np.ndarray, size: int, recall: float) -> dict[str, object]:
    rows = np.load(vectors, mmap_mode="r")
    with tempfile.TemporaryDirectory() as name:
        told = build(vectors, size, Path(name), recall)
        np.save(Path(name) / "queries.npy", queries)
        command = [sys.executable, __file__, "--child", name, "--size", str(size)]
        done = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    for share, mask in masks(size).items():
        for k in (10, 100):
            answer = done["searches"][f"{share}/{k}"]
            true = truth(rows[:size], queries, mask, k)
            pairs = list(zip(answer.pop("found"), true, strict=True))
            answer["recall"] = (
                sum(len(set(found) & right) for found, right in pairs) / sum(map(len, true)) if any(true) else None
            )
            answer["all_k"] = all(len(found) == len(right) for found, right in pairs)
    return {"size": size, "build": told, **done}


def plot(results: list[dict[str, object]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    sizes = [result["size"] for result in results]
    for name in ("1.0/10", "1.0/100", "0.05/10"):
        left.plot(sizes, [result["searches"][name]["cpu_p50_ms"] for result in results], marker="o", label=name)  # type: ignore[index]
    right.plot(sizes, [result["resident_mb"] for result in results], marker="o")
    left.set(xscale="log", xlabel="vectors", ylabel="processor ms a query, median", title="share permitted / k")
    right.set(xscale="log", xlabel="vectors", ylabel="resident MiB")
    left.legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path, nargs="?")
    parser.add_argument("queries", type=Path, nargs="?")
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--count", type=int, default=200, help="queries asked")
    parser.add_argument("--recall", type=float, default=0.99)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        print(json.dumps(search(asked.child, np.load(asked.child / "queries.npy"), asked.size, masks(asked.size))))
        return
    if asked.vectors is None or asked.queries is None:
        parser.error("VECTORS.npy and QUERIES.npy are needed")
    given = np.load(asked.queries).astype(np.float32)
    queries = given[np.linspace(0, len(given) - 1, min(asked.count, len(given)), dtype=int)]
    results = [one(asked.vectors, queries, int(size), asked.recall) for size in asked.sizes.split(",")]
    write("vectors", {"queries": len(queries), "sizes": results})
    if asked.plot is not None:
        plot(results, asked.plot)


if __name__ == "__main__":
    main()
