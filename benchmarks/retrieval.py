"""Storing, indexing and searching the same chunks and vectors: ours, its peers, and the bare libraries as the floor.

Run: python benchmarks/retrieval.py [--sizes 10000 100000 1000000] [--systems NAME…] [--again] [--limit MINUTES]
[--arm S] [--threads N] [--wait S] [--data FOLDER] [--peers FOLDER] [--scratch FOLDER] [--only-report]

Every system ingests in one process and answers in another (systems/retrieval/); peak memory is each process's own. In
between, those measured in this run take turns: all are open, and one after the other answers the next few hybrid
questions, so that a machine whose speed changes within minutes treats them alike; ratios are of these turns. What
results/retrieval.json holds already is kept, so that a stopped run goes on where it was; `--again` measures the chosen
ones anew. A system that fails at a size, or takes longer than the limit, is not tried at larger ones. Nobody embeds:
see corpora.py for the chunks, of which part are mixtures beyond the real ones. Behind every run the table and the plots
are written anew.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import corpora
import numpy as np
import peers
from measuring import RESULTS, ROOT
from watching import wait_quiet, watch

PROGRAMS = ROOT / "benchmarks" / "systems" / "retrieval"
FILE = RESULTS / "retrieval.json"
THREADS = os.cpu_count() or 1
K = 10
BLOCK = 100_000
ROUNDS = 20
A_TURN = 20  # questions
SLOW_MS = 60.0  # a system whose questions take longer takes no turns: it would only keep the others waiting


@dataclass(frozen=True)
class System:
    program: str
    shown: str
    peer: bool = True  # runs in the peers' environment
    environment: tuple[tuple[str, str], ...] = ()


SYSTEMS = {
    "ours": System("ours.py", "ours", peer=False),
    "floor": System("with_faiss_tantivy.py", "floor: FAISS PQ + tantivy + SQLite by hand"),
    "flat": System("with_faiss_tantivy.py", "the same, FAISS Flat", environment=(("FLOOR", "flat"),)),
    "lancedb": System("with_lancedb.py", "LanceDB"),
    "txtai": System("with_txtai.py", "txtai"),
    "chroma": System("with_chroma.py", "Chroma"),
    "haystack": System("with_haystack.py", "Haystack, in memory"),
    "llama_index": System("with_llama_index.py", "LlamaIndex, in memory + BM25"),
}


def truth(folder: Path) -> None:
    """The exact K nearest of every question, among all, half and a hundredth of the chunks, as truth.npz; made once."""
    if (folder / "truth.npz").is_file():
        return
    sys.path.insert(0, str(PROGRAMS))
    from system import WHERES, metadata

    queries = np.load(folder.parent / "queries.npy")
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    found = {}
    for name, where in WHERES.items():
        best = np.full((len(queries), K), -np.inf, np.float32)
        ids = np.zeros((len(queries), K), np.int64)
        for first in range(0, len(vectors), BLOCK):
            block = np.array(vectors[first : first + BLOCK])
            numbers = np.arange(first + 1, first + len(block) + 1)
            if where is not None:
                inside = np.array([metadata(int(number))[where[0]] == where[1] for number in numbers])
                block, numbers = block[inside], numbers[inside]
            scores = np.concatenate([best, queries @ block.T], axis=1)
            named = np.concatenate([ids, np.broadcast_to(numbers, (len(queries), len(numbers)))], axis=1)
            top = np.argpartition(-scores, K - 1, axis=1)[:, :K]
            best, ids = np.take_along_axis(scores, top, 1), np.take_along_axis(named, top, 1)
        found[name or "all"] = ids
    np.savez(folder / "truth.npz", **found)


@dataclass(frozen=True)
class Bench:
    data: Path
    scratch: Path
    interpreter: Path  # of the peers
    limit_s: float
    threads: int
    arm_s: float
    wait_s: float

    def command(self, name: str, size: int, kind: str) -> tuple[list[str], dict[str, str]]:
        """How a system is run, and in which environment."""
        system, folder = SYSTEMS[name], self.data / corpora.label(size)
        interpreter = self.interpreter if system.peer else Path(sys.executable)
        return (
            ["timeout", "--kill-after=10", str(self.limit_s), str(interpreter), "-W", "ignore",
             str(PROGRAMS / system.program), kind, str(folder), str(self.state(name, size)),
             str(self.out(name, size, kind)), str(self.arm_s)],
            {**peers.ENVIRONMENT, **limits(self.threads), **dict(system.environment)},
        )  # fmt: skip

    def state(self, name: str, size: int) -> Path:
        return self.scratch / f"{name}-{size}"

    def out(self, name: str, size: int, kind: str) -> Path:
        return self.scratch / f"{name}-{size}-{kind}.json"

    def measure(self, name: str, size: int, kind: str, found: dict[str, object]) -> None:
        """Ingest or search of one system at one size, into what was found of it; "failed" when it does not come to an
        end."""
        wait_quiet(self.wait_s)
        done = watch(*self.command(name, size, kind))
        print(f"{name} {corpora.label(size)} {kind}: ended with {done.code} after {done.seconds:.0f} s; other programs "
              f"kept {done.others_cores:.2f} cores busy", file=sys.stderr)  # fmt: skip
        if done.code:
            late = done.code in (124, 137) and done.seconds >= self.limit_s
            found["failed"] = (
                f"{kind}: not done within {self.limit_s / 60:.0f} min"
                if late
                else f"{kind}: ended with {done.code}: {done.errors[-1500:]}"
            )
            return
        told = json.loads(self.out(name, size, kind).read_text())
        found[kind] = told | {"others_cores": round(done.others_cores, 2), "wall_s": round(done.seconds, 1)}

    def turns(self, names: Sequence[str], size: int) -> dict[str, list[list[float]]]:
        """Milliseconds of the hybrid questions of every round, of each system that has such a search and is not too
        slow; nothing where fewer than two are left."""
        wait_quiet(self.wait_s)
        with ExitStack() as stack:
            running = {name: stack.enter_context(answering(*self.command(name, size, "turns"))) for name in names}
            able = [name for name, ask in running.items() if statistics.median(ask(A_TURN) or [np.inf]) < SLOW_MS]
            if len(able) < 2:
                return {}
            taken: dict[str, list[list[float]]] = {name: [] for name in able}
            for number in range(ROUNDS):
                for name in able[number % len(able) :] + able[: number % len(able)]:
                    taken[name].append(running[name](A_TURN))
        return taken


@contextmanager
def answering(command: Sequence[str], environment: dict[str, str]) -> Iterator[Callable[[int], list[float]]]:
    """A system that takes turns, open and warm: asked for so many questions, it says how long each took, in
    milliseconds; none at all where it cannot."""
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    able = child.stdout.readline().strip() == "open"

    def ask(count: int) -> list[float]:
        if not able or child.stdin is None or child.stdout is None:
            return []
        child.stdin.write(f"{count}\n")
        child.stdin.flush()
        answer = child.stdout.readline()
        if not answer:
            raise SystemExit(f"{command[-6]} ended in the middle of its turns")
        return [float(each) for each in json.loads(answer)]

    try:
        yield ask
    finally:
        child.stdin.close()
        child.wait()
        child.stdout.close()


def limits(threads: int) -> dict[str, str]:
    """As many threads for all: what the libraries read for that."""
    libraries = ("OMP", "OPENBLAS", "RAYON", "NUMBA")
    others = ("TOKIO_WORKER_THREADS", "LANCE_CPU_THREADS", "RAG_THREADS")
    names = (*(f"{library}_NUM_THREADS" for library in libraries), *others)
    return dict.fromkeys(names, str(threads)) | {"RUST_LOG": "error"}


def about() -> dict[str, object]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    machine = f"{model or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return {"date": datetime.now(UTC).date().isoformat(), "commit": commit, "machine": machine}


def held() -> dict[str, dict[str, dict[str, object]]]:
    """What was measured so far: size → system → figures."""
    return json.loads(FILE.read_text())["sizes"] if FILE.is_file() else {}  # type: ignore[no-any-return]


def keep(size: int, name: str, result: dict[str, object], described: dict[str, object]) -> None:
    """Add one result to the file, which is replaced whole."""
    sizes = held()
    sizes.setdefault(corpora.label(size), {})[name] = result
    RESULTS.mkdir(exist_ok=True)
    kept = json.loads(FILE.read_text()).get("data", {}) if FILE.is_file() else {}
    data = kept | {corpora.label(size): described}
    part = FILE.with_suffix(".part")
    part.write_text(json.dumps({"data": data, "sizes": sizes}, indent=1) + "\n")
    part.replace(FILE)


def report(interpreter: Path) -> None:
    """The table and the plots, in the peers' environment, which has what draws."""
    subprocess.run([str(interpreter), str(ROOT / "benchmarks" / "reporting.py")], check=True)


def run(bench: Bench, sizes: Sequence[int], systems: Sequence[str], again: bool) -> None:
    gone: set[str] = set()
    for size in sorted(sizes):
        corpora.make(bench.data, [size])
        folder = bench.data / corpora.label(size)
        truth(folder)
        described = json.loads((folder / "about.json").read_text())
        there = held().get(corpora.label(size), {})
        wanted = [name for name in systems if again or name not in there]
        found: dict[str, dict[str, object]] = {}
        for name in wanted:
            shutil.rmtree(bench.state(name, size), ignore_errors=True)
            found[name] = about() | {"threads": bench.threads, "limit_s": bench.limit_s}
            if name in gone:
                found[name]["failed"] = "not tried: it did not finish a smaller size"
            else:
                bench.measure(name, size, "ingest", found[name])
        able = [name for name in wanted if "failed" not in found[name]]
        for name, taken in bench.turns(able, size).items():
            found[name]["turns"] = {
                "questions": sum(map(len, taken)),
                "p50_ms": round(float(np.percentile(np.concatenate(taken), 50)), 3),
                "p99_ms": round(float(np.percentile(np.concatenate(taken), 99)), 3),
                "rounds_p50_ms": [round(statistics.median(turn), 3) for turn in taken],
            }
        for name in wanted:
            if name in able:
                bench.measure(name, size, "search", found[name])
            shutil.rmtree(bench.state(name, size), ignore_errors=True)
            keep(size, name, found[name], described)
            report(bench.interpreter)
        gone |= {name for name, figures in {**there, **found}.items() if "failed" in figures}


def main() -> None:
    temporary = Path(tempfile.gettempdir())
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(corpora.SIZES))
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    parser.add_argument("--limit", type=float, default=30, help="minutes for one process of one system and size")
    parser.add_argument("--arm", type=float, default=60, help="seconds that one kind of search may take")
    parser.add_argument("--threads", type=int, default=THREADS, help="of every system; default: one a core")
    parser.add_argument("--wait", type=float, default=0, help="seconds to wait for a quiet machine before each process")
    parser.add_argument("--data", type=Path, default=corpora.FOLDER, help="of the chunks; made when it is not there")
    parser.add_argument("--peers", type=Path, default=temporary / "rag-peers", help="their environment")
    parser.add_argument("--scratch", type=Path, help="folder for what is not kept; default: a temporary one")
    parser.add_argument("--only-report", action="store_true", help="write the table and the plots from what is there")
    chosen = parser.parse_args()
    interpreter = peers.python(chosen.peers)
    if chosen.only_report:
        report(interpreter)
        return
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as scratch:
        bench = Bench(
            chosen.data, Path(scratch), interpreter, chosen.limit * 60, chosen.threads, chosen.arm, chosen.wait
        )
        run(bench, chosen.sizes, chosen.systems, chosen.again)


if __name__ == "__main__":
    main()
