"""What the systems of the retrieval benchmark have in common: the chunks they are given, and the clock around them.

A system is a program of its own, run as: PROGRAM ingest|turns|search CORPUS STATE OUT BUDGET. CORPUS is a folder made
by corpora.py (texts.jsonl, vectors.npy, truth.npz) beside the questions; STATE is the system's own folder, written by
`ingest` and opened by `turns` and `search` in other processes; OUT is a JSON file of figures. One arm of `search` takes
at most BUDGET seconds (LEAST questions at the least): a slow one is asked fewer, and the figures say how many. `turns`
answers hybrid questions when told to on standard input, so that several systems can take turns on a machine whose
speed changes within minutes; `search` deletes at its end, and so comes last.

No system embeds anything: chunks and questions come with their vectors. Every answer holds the texts of its hits.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Where = tuple[str, int] | None  # a metadata field and its value

K = 10
QUESTIONS = 500  # asked of every arm; those behind them warm it up
WARM = 20
LEAST = 20
DELETED = 1_000
PER_DOCUMENT = 10  # chunks of a document: metadata is the document's
WHERES: dict[str, Where] = {"": None, "half": ("half", 1), "hundredth": ("hundredth", 7)}  # 100 %, 50 %, 1 %


@dataclass(frozen=True)
class Batch:
    """Some chunks, whole documents of PER_DOCUMENT each."""

    ids: list[int]  # 1…n
    titles: list[str]
    texts: list[str]  # without the title
    vectors: Vectors  # (n, d), unit rows

    @property
    def whole(self) -> list[str]:
        """Title and text: what is to be found by its words."""
        return [f"{title}\n{text}" if title else text for title, text in zip(self.titles, self.texts, strict=True)]

    @property
    def metadata(self) -> list[dict[str, int]]:
        return [metadata(number) for number in self.ids]


def metadata(number: int) -> dict[str, int]:
    """What a chunk can be filtered by."""
    document = (number - 1) // PER_DOCUMENT
    return {"document": document, "half": document % 2, "hundredth": document % 100}


@dataclass(frozen=True)
class Hit:
    id: int
    text: str


Arm = Callable[[str, Vectors, Where], Sequence[Hit]]
"""The K best of a question, given as its text and its vector (d,), among what passes the filter."""


@dataclass(frozen=True)
class Opened:
    """A system that answers. None: it has no such search."""

    keyword: Arm | None
    vector: Arm | None
    hybrid: Arm | None
    delete: Callable[[Sequence[int]], None] | None  # chunks, all of whole documents; a search behind it finds none
    settings: str  # what was chosen, where there was a choice
    filters: bool = True  # whether it can search among some of the chunks
    stages: Callable[[], dict[str, float]] = dict  # mean ms of what the searches since the last call consist of


Ingest = Callable[[Path, Callable[[int], Iterator[Batch]]], dict[str, object]]
"""Store and index all, durably where it can, in an empty folder; the argument cuts the chunks into batches of a size.
Returns figures of its own."""
Open = Callable[[Path, Sequence[str], Vectors], Opened]
"""Open what was stored; the questions and their vectors may be kept where a library embeds by itself."""


def main(ingest: Ingest, open_state: Open, packages: Sequence[str]) -> None:
    """Do what the arguments say."""
    kind, corpus, state, out, budget = sys.argv[1:]
    work = {"ingest": _ingest, "turns": _turns, "search": _search}[kind]
    found = work(Path(corpus), Path(state), ingest, open_state, float(budget))
    found["versions"] = {package: version(package) for package in packages}
    Path(out).write_text(json.dumps(found, indent=2))


def _ingest(corpus: Path, state: Path, ingest: Ingest, _: Open, __: float) -> dict[str, object]:
    vectors = np.load(corpus / "vectors.npy", mmap_mode="r")
    state.mkdir(parents=True)
    held, began, cpu = resident_mb(), time.perf_counter(), time.process_time()
    told = ingest(state, lambda size: batches(corpus, vectors, size))
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    return {
        "chunks": len(vectors),
        "seconds": round(seconds, 3),
        "cpu_s": round(used, 3),
        "chunks_per_s": round(len(vectors) / seconds, 1),
        "chunks_per_cpu_s": round(len(vectors) / used, 1),
        "peak_mb": peak_mb(),
        "harness_mb": held,
        "disk_bytes": disk_bytes(state),
        **told,
    }


def batches(corpus: Path, vectors: Vectors, size: int) -> Iterator[Batch]:
    """The chunks in batches; only one of them is in memory."""
    size -= size % PER_DOCUMENT
    with (corpus / "texts.jsonl").open(encoding="utf-8") as lines:
        for first in range(0, len(vectors), size):
            rows = [json.loads(next(lines)) for _ in range(min(size, len(vectors) - first))]
            yield Batch(
                [row["id"] for row in rows],
                [row["title"] for row in rows],
                [row["text"] for row in rows],
                np.array(vectors[first : first + size]),
            )


def questions(corpus: Path) -> tuple[list[str], Vectors]:
    """The questions, each as its text and its vector (q, d)."""
    lines = (corpus.parent / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    # Some take what stands in quotation marks for a phrase that must be there: that would be another question.
    return [json.loads(line)["text"].replace('"', " ") for line in lines], np.load(corpus.parent / "queries.npy")


def _turns(corpus: Path, state: Path, _: Ingest, open_state: Open, __: float) -> dict[str, object]:
    """Every line on standard input names how many questions to answer next; the answer is a line of milliseconds,
    "none" where there is no hybrid search. The first line of output says that the system is open and warm."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    texts, vectors = questions(corpus)
    arm = open_state(state, texts, vectors).hybrid
    order = spread(len(texts))
    for index in order[-WARM:] if arm else ():
        arm(texts[index], vectors[index], None)
    print("none" if arm is None else "open", file=told, flush=True)
    taken: list[float] = []
    for line in sys.stdin if arm else ():
        first = len(taken)
        for index in order[first : first + int(line)]:
            before = time.perf_counter()
            arm(texts[index], vectors[index], None)
            taken.append((time.perf_counter() - before) * 1000)
        print(json.dumps([round(each, 4) for each in taken[first:]]), file=told, flush=True)
    return {"asked": len(taken)}


def _search(corpus: Path, state: Path, _: Ingest, open_state: Open, budget: float) -> dict[str, object]:
    texts, vectors = questions(corpus)
    truth = np.load(corpus / "truth.npz")
    held, began = resident_mb(), time.perf_counter()
    opened = open_state(state, texts, vectors)
    open_s = time.perf_counter() - began
    order = spread(len(texts))
    arms: dict[str, object] = {}
    for name in ("vector", "keyword", "hybrid"):
        arm: Arm | None = getattr(opened, name)
        for filtered, where in WHERES.items():
            label = f"{name} {filtered}".strip()
            if arm is None or (where is not None and not opened.filters):
                arms[label] = None
                continue
            exact = truth[filtered or "all"] if name == "vector" else None
            arms[label] = timed(arm, where, texts, vectors, order, exact, budget) | {"stages_ms": opened.stages()}
            print(label, json.dumps(arms[label]), file=sys.stderr, flush=True)
    found: dict[str, object] = {
        "open_s": round(open_s, 3),
        "settings": opened.settings,
        "arms": arms,
        "peak_mb": peak_mb(),
        "resident_mb": resident_mb(),
        "harness_mb": held,
    }
    return found | _deleted(opened, texts, vectors, order)


def spread(count: int) -> list[int]:
    """The questions in an order in which each beginning is a fair part of all: those that are asked, then the rest."""
    return [int(each) for each in np.random.default_rng(0).permutation(count)]


def timed(
    arm: Arm,
    where: Where,
    texts: Sequence[str],
    vectors: Vectors,
    order: Sequence[int],
    exact: NDArray[np.int64] | None,
    budget: float,
) -> dict[str, object]:
    """Latencies of one arm, in milliseconds, and its recall where the exact answers (q, K) are given."""
    began = time.perf_counter()
    arm(texts[order[-1]], vectors[order[-1]], where)
    first_ms = (time.perf_counter() - began) * 1000
    for index in order[-WARM - 1 : -1]:
        arm(texts[index], vectors[index], where)
        if time.perf_counter() - began > budget / 4:
            break
    taken, recalls, short = [], [], 0
    began, cpu = time.perf_counter(), time.process_time()
    for index in order[:QUESTIONS]:
        before = time.perf_counter()
        hits = arm(texts[index], vectors[index], where)
        taken.append((time.perf_counter() - before) * 1000)
        if any(not hit.text for hit in hits):
            raise SystemExit("a hit came without its text")
        if where is not None and any(metadata(hit.id)[where[0]] != where[1] for hit in hits):
            raise SystemExit(f"a hit does not pass the filter {where}")
        short += len(hits) < K
        if exact is not None:
            recalls.append(len({hit.id for hit in hits} & set(exact[index].tolist())) / K)
        if time.perf_counter() - began > budget and len(taken) >= LEAST:
            break
    used = time.process_time() - cpu
    return {
        "questions": len(taken),
        "p50_ms": round(float(np.percentile(taken, 50)), 3),
        "p99_ms": round(float(np.percentile(taken, 99)), 3),
        "mean_ms": round(float(np.mean(taken)), 3),
        "cpu_ms": round(used * 1000 / len(taken), 3),
        "first_ms": round(first_ms, 3),
        "fewer_than_k": short,
        **({"recall": round(float(np.mean(recalls)), 4)} if exact is not None else {}),
    }


def _deleted(opened: Opened, texts: Sequence[str], vectors: Vectors, order: Sequence[int]) -> dict[str, object]:
    """How long it takes to delete DELETED chunks, the first search behind it included: what is deleted is gone then."""
    ask = opened.hybrid or opened.vector
    if opened.delete is None or ask is None:
        return {"delete_s": None}
    gone = set(range(1, DELETED + 1))
    began = time.perf_counter()
    opened.delete(sorted(gone))
    deleted = time.perf_counter() - began
    ask(texts[order[0]], vectors[order[0]], None)
    searched = time.perf_counter() - began
    still = sum(hit.id in gone for index in order[:LEAST] for hit in ask(texts[index], vectors[index], None))
    return {"delete_s": round(deleted, 4), "delete_and_search_s": round(searched, 4), "found_though_deleted": still}


def peak_mb() -> float:
    """The most memory that this process ever had resident, MiB."""
    return _status("VmHWM")


def resident_mb() -> float:
    return _status("VmRSS")


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise AssertionError(name)


def disk_bytes(folder: Path) -> int:
    """What a folder takes on disk."""
    return sum(each.stat().st_blocks * 512 for each in folder.rglob("*") if each.is_file())


def threads() -> int:
    """How many threads every system may use."""
    return int(os.environ["OMP_NUM_THREADS"])
