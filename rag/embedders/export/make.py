"""Making an export: one process at a time, in a child, aside, brought to the disk and then renamed."""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rag.embedders.export import MANIFEST, RECIPE, Form, Made, Manifest, Precision, folder_of, usable, verify, write
from rag.embedders.export.sources import Source, check, digests, sha256
from rag.errors import ModelNotReady

logger = logging.getLogger(__name__)


def make(source: Source, precision: Precision, folder: Path) -> Manifest:
    """The manifest of the export in `folder`, made now unless another process makes it while we wait.

    Raises ModelNotReady when the files are missing, not upstream's, or cannot be exported.
    """
    with _locked(folder):
        manifest = usable(folder, source)
        if manifest is None:
            _export(source, precision, folder)
            manifest = usable(folder, source)
    if manifest is None:
        raise ModelNotReady(f"the files of {source.name} changed while they were exported; try again")
    return manifest


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f".{folder.name}.lock")
        lock.acquire()
    except OSError as error:
        raise ModelNotReady(f"cannot write to {folder.parent}, where exported models are kept: {error}") from error
    try:
        yield
    finally:
        lock.release()


def _export(source: Source, precision: Precision, folder: Path) -> None:
    """Export into a folder aside, then rename: a half-written export is never seen under its name."""
    files = source.files()
    found = digests(files)
    check(source, found)
    stamp = source.stamp()
    logger.info("preparing the embedding model %s (%s), once", source.name, precision)
    for leftover in folder.parent.glob(f".{folder.name}.new-*"):  # of a process that was killed; we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-", dir=folder.parent))
    try:
        whole = _whole(source, folder.parents[1]) if precision == "int8" else None
        form, made_with = _run_child(source.name, whole or files, aside, "quantise" if whole else precision)
        if digests(files) != found:
            raise ModelNotReady(f"the files of {source.name} in {files} changed while they were exported; try again")
        made = {name: _seal(aside / name) for name in ("model.onnx", "model.bin", "tokenizer.json")}
        revision = source.revision or _hub_revision(source, files)
        manifest = Manifest(RECIPE, source.name, revision, precision, found, stamp, form, made, made_with)
        write(aside, manifest)
        _sync(aside / MANIFEST)
        aside.chmod(0o755)
        if folder.exists():  # stale or damaged; processes that have it open keep their mapping
            shutil.rmtree(folder)
        aside.rename(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _whole(source: Source, models_dir: Path) -> Path | None:
    """The export in full precision, if there is one of these files whose every byte is as it was made."""
    folder = folder_of(source, "fp32", models_dir)
    with suppress(ModelNotReady):
        if usable(folder, source) is not None:
            verify(folder)
            return folder
    return None


def _run_child(name: str, files: Path, aside: Path, how: str) -> tuple[Form, dict[str, str]]:
    """Export in a process of its own, so that torch's memory is gone afterwards. `how`: its PRECISION."""
    package_root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-W", "ignore", "-m", "rag.embedders.export", str(files), str(aside), how]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        stderr = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        reason = done.stdout.strip() or stderr[-1]  # killed from outside it says nothing on stdout
        raise ModelNotReady(f"the embedding model {name} in {files} could not be exported: {reason}")
    report = json.loads((aside / "form.json").read_text(encoding="utf-8"))
    (aside / "form.json").unlink()
    made_with = report.pop("made_with")
    return Form(**{**report, "inputs": tuple(report["inputs"])}), made_with


def _seal(file: Path) -> Made:
    """Bring a file to the disk and describe it."""
    file.chmod(0o644)
    _sync(file)
    return Made(file.stat().st_size, file.stat().st_mtime_ns, sha256(file))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hub_revision(source: Source, files: Path) -> str:
    """The commit that the hub's library resolved; its cache names the folder after it. "" for a local folder."""
    return files.name if source.folder is None else ""
