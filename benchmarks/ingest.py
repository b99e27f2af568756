"""How fast folders of documentation go in, in how much memory, beside txtai and LlamaIndex on the same strings.

Run: python benchmarks/ingest.py [--rounds 2] [--times 10] [--times-model 2] [--peers FOLDER] [--wait S] [--files N]
[FOLDER…]; by default the three documentation folders of the shared test data.

Ours is the whole of `rag ingest`: reading, parsing, cutting, deduplicating, embedding, SQL, both indexes. The peers
are given the strings that ours embedded, so that all embed the same ones, and index and save them; in runs of their own
they take in the same files their own way. Each run is a process of its own, one after another, their order turned round
from one round to the next; the quickest counts. Not embedding is all of the wall time outside `embed_passages`, start
and end of the process included. Memory at `--times` the corpus is measured with the model there all the while, but
embedding every tenth batch only (the vectors of the others are made by hashing), and at `--times-model` with all of
them embedded. The comparison is kept as results/ingest.json, memory at many times the corpus as ingest_memory.json.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import peers
import recombining
from measuring import DATA, ROOT, write
from watching import Watched, wait_quiet, watch

FOLDERS = ("docs-fastapi", "docs-ms-playbook", "docs-owasp-cheatsheets")
OURS = ROOT / "benchmarks" / "systems" / "ours.py"
EVERY = 10  # batches of which one is embedded by the model, where only the memory is of interest
SAMPLE = 16  # strings whose vectors are compared, to see that it is the same model
THREADS = os.cpu_count() or 1


@dataclass(frozen=True)
class Bench:
    """Where everything lies, and how long to wait for a quiet machine."""

    scratch: Path
    wait_s: float

    def run(self, name: str, command: Sequence[str]) -> Watched:
        """Run a program with what is the same for all, and say that it has ended."""
        wait_quiet(self.wait_s)
        threads = {"OMP_NUM_THREADS": str(THREADS), "RAG_THREADS": str(THREADS)}
        done = watch(command, {**peers.ENVIRONMENT, **threads})
        print(f"{name}: ended with {done.code}; {done.figures}", file=sys.stderr)
        return done

    def ours(self, name: str, folders: Sequence[Path], every: int = 1) -> dict[str, object]:
        """`rag ingest` into the data folder of this name, with all that can be said of it."""
        clock = self.scratch / "clock.json"
        command = [sys.executable, str(OURS), "ingest", str(clock), str(every), "--data", str(self.scratch / name)]
        done = self.run("ours", [*command, "ingest", *map(str, folders), "--json"])
        if done.code not in (0, 3):  # 3: some files could not be used; the report says which
            raise SystemExit(f"rag ingest ended with {done.code}: {done.errors}")
        report, times = json.loads(done.output), json.loads(clock.read_text())
        inside = times["embedding_s"]
        counts = {key: report[key] for key in ("added", "duplicate", "skipped", "failed", "chunks", "embedded")}
        if every > 1:
            return {**done.figures, **counts}
        return {
            **done.figures,
            **counts,
            "chunks_per_s": round(report["embedded"] / done.seconds, 2),
            "share_not_embedding": round(1 - inside / done.seconds, 4),
            "share_of_processor_time_not_embedding": round(1 - times["embedding_cpu_s"] / done.cpu_s, 4),
            "times": {key: round(value, 2) for key, value in times.items()},
        }

    def peer(self, interpreter: Path, name: str, kind: str, given: Path, sample: int = 0) -> dict[str, object]:
        """A peer takes in strings or files; {"error": …} when it cannot."""
        out = self.scratch / f"{name}-{kind}"
        shutil.rmtree(out, ignore_errors=True)
        done = self.run(name, peers.command(interpreter, name, kind, given, out, sample))
        if done.code:
            return {"error": done.errors[-1500:]}
        about = json.loads((out / "about.json").read_text())
        rate = round(about["strings"] / done.seconds, 2)
        return {**done.figures, "strings": about["strings"], "strings_per_s": rate, **_details(about)}

    def likeness(self, name: str) -> float:
        """The least cosine between the peer's vectors and ours, of the first few strings."""
        ours = np.load(self.scratch / "strings.npy").astype(np.float64)
        rows = np.array(json.loads((self.scratch / f"{name}-strings" / "vectors.json").read_text()))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return float(np.sum(ours * rows, axis=1).min())


def _details(about: dict[str, object]) -> dict[str, object]:
    return {"seconds_without_imports": round(float(str(about["seconds_inside"])), 2), "versions": about["versions"]}


def compare(bench: Bench, folders: Sequence[Path], interpreter: Path, rounds: int) -> dict[str, object]:
    """Ours and the peers, in turn; and what the same again costs."""
    runs: dict[str, list[dict[str, object]]] = {"ours": [bench.ours("data-0", folders)]}
    again = bench.ours("data-0", folders)
    strings = bench.scratch / "strings.json"
    command = [sys.executable, str(OURS), "texts", str(bench.scratch / "data-0"), str(strings), str(SAMPLE)]
    done = bench.run("strings", command)
    if done.code:
        raise SystemExit(f"the strings cannot be read: {done.errors}")
    few, files = bench.scratch / "few.json", bench.scratch / "files.json"
    few.write_text(json.dumps(json.loads(strings.read_text())[:SAMPLE]))
    files.write_text(json.dumps([str(folder) for folder in folders]))
    likeness, failed = {}, {}
    for name in peers.PROGRAMS:  # whether each runs here, and is the same model
        tried = bench.peer(interpreter, name, "strings", few, SAMPLE)
        if "error" in tried:
            failed[name] = tried["error"]
        else:
            likeness[name] = round(bench.likeness(name), 6)
    able = [name for name in peers.PROGRAMS if name not in failed]
    for number in range(rounds):
        order = ["ours", *able] if number % 2 == 0 else [*reversed(able), "ours"]
        for name in order:
            if name != "ours":
                runs.setdefault(name, []).append(bench.peer(interpreter, name, "strings", strings))
            elif number:
                runs["ours"].append(bench.ours(f"data-{number}", folders))
    best = {name: min(found, key=lambda run: float(str(run["seconds"]))) for name, found in runs.items()}
    ours = best["ours"]
    return {
        "rounds": rounds,
        "best": best,
        "runs": runs,
        "ratios": {name: ratios(ours, best[name]) for name in able},
        "peers_that_cannot_run": failed,
        "least_cosine_with_ours": likeness,
        "again": {**again, "share_of_first": round(_number(again, "seconds") / _number(runs["ours"][0], "seconds"), 4)},
        "own_way_on_files": {name: bench.peer(interpreter, name, "files", files) for name in able},
    }


def ratios(ours: dict[str, object], peer: dict[str, object]) -> dict[str, float]:
    """Ours by the peer's: of the rates (more is better), of processor time and memory (less is better). Processor time
    is hardly disturbed by what else runs."""
    processor = _number(ours, "cpu_s") / _number(ours, "embedded")
    return {
        "processor_s_per_string": round(processor / (_number(peer, "cpu_s") / _number(peer, "strings")), 3),
        "strings_per_s": round(_number(ours, "chunks_per_s") / _number(peer, "strings_per_s"), 3),
        "parent_peak_mb": round(_number(ours, "parent_peak_mb") / _number(peer, "parent_peak_mb"), 3),
        "tree_peak_mb": round(_number(ours, "tree_peak_mb") / _number(peer, "tree_peak_mb"), 3),
    }


def grow(bench: Bench, folders: Sequence[Path], times: int, times_model: int) -> dict[str, object]:
    """Memory at many times the corpus."""
    found: dict[str, object] = {}
    for count, every in ((1, EVERY), (times, EVERY), (times_model, 1)):
        if count:
            corpus, data = bench.scratch / "corpus", "data-many"
            size = recombining.multiply(folders, corpus, count)
            name = (
                f"{count} times, every batch embedded"
                if every == 1
                else f"{count} times, one batch in {every} embedded"
            )
            found[name] = {"megabytes_of_files": round(size / 2**20, 1), **bench.ours(data, [corpus], every)}
            shutil.rmtree(corpus)
            shutil.rmtree(bench.scratch / data)
    return found


def _number(run: dict[str, object], key: str) -> float:
    return float(str(run[key]))


def _some(folders: Sequence[Path], files: int, out: Path) -> list[Path]:
    """The folders, with every so many files only."""
    for folder in folders:
        for number, file in enumerate(sorted(each for each in folder.rglob("*") if each.is_file())):
            if number % files == 0:
                target = out / folder.name / file.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
    return [out / folder.name for folder in folders]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, default=[DATA / name for name in FOLDERS])
    parser.add_argument("--rounds", type=int, default=2, help="of the comparison; 0: none")
    parser.add_argument("--times", type=int, default=10, help="the corpus so many times, for its memory; 0: not")
    parser.add_argument("--times-model", type=int, default=2, help="likewise with every batch embedded; 0: not at all")
    parser.add_argument(
        "--peers", type=Path, default=Path(tempfile.gettempdir()) / "rag-peers", help="their environment"
    )
    parser.add_argument("--wait", type=float, default=0, help="seconds to wait for a quiet machine before each run")
    parser.add_argument("--files", type=int, default=1, help="every so many files only, to try it out; nothing is kept")
    parser.add_argument("--scratch", type=Path, help="folder for what is not kept; default: a temporary one")
    chosen = parser.parse_args()
    about: dict[str, object] = {"threads": THREADS, "folders": [folder.name for folder in chosen.folders]}
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as scratch:
        bench = Bench(Path(scratch), chosen.wait)
        folders = chosen.folders if chosen.files == 1 else _some(chosen.folders, chosen.files, Path(scratch) / "some")
        warm = Path(scratch) / "warm.txt"
        warm.write_text("The model is exported once, by the first who needs it; that is no part of the rate.")
        bench.ours("warm", [warm])
        keep = write if chosen.files == 1 else _show
        if chosen.rounds:
            keep("ingest", about | compare(bench, folders, peers.python(chosen.peers), chosen.rounds))
        if chosen.times:
            keep("ingest_memory", about | grow(bench, folders, chosen.times, chosen.times_model))


def _show(_: str, result: dict[str, object]) -> None:
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
