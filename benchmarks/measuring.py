"""What every benchmark shares: a child process measured whole, results written with machine and versions.

Importing it moves this folder to the end of the import path: `ingest.py` here must not stand before the package.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DATA = Path(os.environ.get("RAG_TEST_DATA", ROOT.parent / "shared" / "data"))
sys.path[:] = sorted(sys.path, key=lambda place: Path(place or ".").resolve() == ROOT / "benchmarks")  # stable
PACKAGES = ("numpy", "faiss-cpu", "onnxruntime", "sqlalchemy", "sentence-transformers", "torch")


@dataclass(frozen=True)
class Run:
    """One child process."""

    seconds: float
    peak_mb: float  # maximum resident set of the process itself, MiB
    code: int
    output: str


def run(command: Sequence[str], *, environment: dict[str, str] | None = None) -> Run:
    """Run a command to its end and measure it."""
    began = time.perf_counter()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **(environment or {})}, text=True
    )
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Run(time.perf_counter() - began, usage.ru_maxrss / 1024, child.returncode, output)


def rag(*arguments: str, data: Path) -> list[str]:
    return [str(Path(sys.executable).parent / "rag"), "--data", str(data), *arguments]


def write(name: str, result: dict[str, object]) -> None:
    """Print a result and keep it under benchmarks/results."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {package: version(package) for package in PACKAGES},
    }
    text = json.dumps({**about, **result}, indent=2)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)
