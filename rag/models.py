"""The generator models on this machine: which are installed, and how one is fetched when it is asked for.

A model lies in `models_dir/generators/<owner>--<name>/`. Its files are fetched into a folder aside, checked, and
renamed into place with a manifest, so that a model is installed whole or not at all; an interrupted download goes on
where it stopped. Weights are safetensors only, and code that comes with a model is never fetched.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import ModelNotReady, WrongSetting

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

MANIFEST = "rag-model.json"
PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "tokenizer*", "LICENSE*")
Progress = Callable[[int, int], None]  # (bytes that are here, bytes in all)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model worth installing, pinned to what was tried."""

    repo: str
    revision: str
    licence: str  # SPDX
    size_bytes: int  # about


RECOMMENDED = Recommendation(
    repo="Qwen/Qwen3-0.6B",
    revision="c1899de289a04d12100db370d81485cdf75e47ca",
    licence="Apache-2.0",
    size_bytes=1_520_000_000,
)


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A whole model on this machine."""

    repo: str  # owner/name, or local/name when it was copied from a folder
    revision: str  # the hub's commit; a digest of the content for a copied folder
    folder: Path
    size_bytes: int
    pulled_at: str  # UTC, RFC 3339


@dataclass(frozen=True, slots=True)
class _File:
    size: int  # bytes
    sha256: str


def installed(models_dir: Path) -> list[InstalledModel]:
    """The models that are there whole, by repository name. One with a file missing or of a wrong size is left out."""
    models = (_read(manifest.parent) for manifest in sorted((models_dir / "generators").glob(f"[!.]*/{MANIFEST}")))
    return sorted((model for model in models if model is not None), key=lambda model: model.repo)


def default_generator(models_dir: Path) -> Path | None:
    """The folder of the model to answer with: the recommended one if installed, else the one pulled last, else None."""
    models = installed(models_dir)
    for model in models:
        if model.repo == RECOMMENDED.repo:
            return model.folder
    return max(models, key=lambda model: (model.pulled_at, model.repo)).folder if models else None


def pull(
    repo: str = RECOMMENDED.repo,
    revision: str | None = None,
    *,
    models_dir: Path,
    progress: Progress | None = None,
) -> InstalledModel:
    """Install `owner/name` at a commit, or the model in a local folder given by its path; replaces an older one.

    Without `revision` the recommended model comes at its pinned commit, any other at its newest, which is recorded.
    A model that is installed at that commit already is left as it is.
    Raises ModelNotReady when the hub cannot be reached, does not have it, or sends something else than it announced;
    WrongSetting when `repo` is neither a folder nor `owner/name`.
    """
    source = Path(repo).expanduser()
    if source.is_dir():
        return _copy(source.resolve(), models_dir, progress or _silent)
    owner, slash, name = repo.partition("/")
    if not (slash and owner and name) or "/" in name or owner in (".", "..", "~") or name.startswith("."):
        raise WrongSetting(f"no model {repo!r}: there is no such folder, and a model on the hub is written owner/name")
    if revision is None and repo == RECOMMENDED.repo:
        revision = RECOMMENDED.revision
    for model in installed(models_dir):
        if model.repo == repo and model.revision == revision:
            return model
    return _download(repo, revision, models_dir, progress or _silent)


def verify(model: InstalledModel) -> None:
    """Read every byte of an installed model; raises ModelNotReady, naming the file, if one changed since."""
    for name, file in _files(model.folder).items():
        found = _sha256(model.folder / name)
        if found != file.sha256:
            raise ModelNotReady(
                f"{model.folder / name} is damaged: its SHA-256 is {found} and should be {file.sha256}; "
                f"pull {model.repo} again"
            )


def _copy(source: Path, models_dir: Path, progress: Progress) -> InstalledModel:
    names = sorted(_wanted(file.name for file in source.iterdir() if file.is_file()))
    _need_weights(names, str(source))
    total, done = sum((source / name).stat().st_size for name in names), 0
    repo = f"local/{source.name}"
    with _aside(repo, models_dir) as aside:
        shutil.rmtree(aside)  # a copy is never continued: the source may have changed
        aside.mkdir()
        for name in names:
            shutil.copyfile(source / name, aside / name)
            done += (aside / name).stat().st_size
            progress(done, total)
        files = {name: _describe(aside / name) for name in names}
        content = "".join(f"{name} {file.sha256}\n" for name, file in files.items())
        return _publish(aside, repo, hashlib.sha256(content.encode()).hexdigest()[:40], files)


def _download(repo: str, revision: str | None, models_dir: Path, progress: Progress) -> InstalledModel:
    from huggingface_hub import HfApi

    with _hub_errors(repo, revision):
        info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=30)
    siblings = {each.rfilename: each for each in info.siblings or []}
    names = sorted(_wanted(siblings))
    commit = info.sha or ""
    _need_weights(names, f"{repo} on the hub")
    with _aside(repo, models_dir) as aside:
        _fetch(repo, commit, [siblings[name] for name in names], aside, progress)
        files = {name: _describe(aside / name) for name in names}
        for name, file in files.items():
            _check(repo, siblings[name], file, aside / name)
        shutil.rmtree(aside / ".cache", ignore_errors=True)  # the hub library's own notes on what is half there
        return _publish(aside, repo, commit, files)


def _fetch(repo: str, commit: str, siblings: list["RepoSibling"], aside: Path, progress: Progress) -> None:
    """Download the files at one commit; what an earlier, interrupted run brought is not downloaded again."""
    from huggingface_hub import hf_hub_download
    from tqdm import tqdm  # type: ignore[import-untyped]

    total = sum(each.size or 0 for each in siblings)
    before = 0

    class Report(tqdm):  # type: ignore[misc]
        """Counts for `progress` and draws nothing."""

        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(**{**options, "disable": True})
            self.here = int(self.n)

        def update(self, n: float | None = 1) -> None:
            self.here += int(n or 0)
            progress(min(before + self.here, total), total)

    for each in siblings:
        with _hub_errors(repo, commit):
            hf_hub_download(repo, each.rfilename, revision=commit, local_dir=aside, tqdm_class=Report)
        before += each.size or 0
        progress(before, total)


def _check(repo: str, announced: "RepoSibling", file: _File, path: Path) -> None:
    """Raise ModelNotReady, and drop the file, unless it is what the hub announced."""
    digest = announced.lfs.sha256 if announced.lfs else file.sha256  # small files are announced by size alone
    if file.size != (announced.size if announced.size is not None else file.size) or file.sha256 != digest:
        path.unlink()
        raise ModelNotReady(
            f"{announced.rfilename} of {repo} arrived damaged: {file.size} bytes with SHA-256 {file.sha256}, "
            f"announced were {announced.size} and {digest}; pull again"
        )


@contextmanager
def _hub_errors(repo: str, revision: str | None) -> Iterator[None]:
    """The hub library's errors as ours."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except GatedRepoError as error:
        raise ModelNotReady(f"{repo} is only given out after its terms are accepted on the hub: {error}") from error
    except RepositoryNotFoundError as error:
        raise ModelNotReady(f"the hub has no public model {repo}") from error
    except RevisionNotFoundError as error:
        raise ModelNotReady(f"the hub has no revision {revision} of {repo}") from error
    except Exception as error:  # no network, a proxy, offline mode, a full disk: a dozen kinds, the message says which
        raise ModelNotReady(
            f"{repo} could not be downloaded: {error}; check the network (and HF_HUB_OFFLINE), or fetch the model on "
            "another machine and pull the path of its folder"
        ) from error


@contextmanager
def _aside(repo: str, models_dir: Path) -> Iterator[Path]:
    """The folder where a model is put together, held by one process at a time; it stays when that is interrupted."""
    from filelock import FileLock

    target = _folder(repo, models_dir)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.parent / f".{target.name}.lock")
        lock.acquire()
    except OSError as error:
        raise ModelNotReady(f"cannot write to {target.parent}, where models are kept: {error}") from error
    try:
        aside = target.parent / f".{target.name}.new"
        aside.mkdir(exist_ok=True)
        yield aside
    except OSError as error:
        raise ModelNotReady(f"{repo} could not be installed in {target.parent}: {error}") from error
    finally:
        lock.release()


def _publish(aside: Path, repo: str, revision: str, files: Mapping[str, _File]) -> InstalledModel:
    """Write the manifest last, bring all to the disk and rename."""
    target = aside.parent / aside.name.removeprefix(".").removesuffix(".new")
    value = {
        "repo": repo,
        "revision": revision,
        "pulled_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {name: asdict(file) for name, file in files.items()},
    }
    (aside / MANIFEST).write_text(json.dumps(value, indent=1, sort_keys=True), encoding="utf-8")
    for name in [*files, MANIFEST]:
        _sync(aside / name)
    if target.exists():
        shutil.rmtree(target)
    aside.rename(target)
    _sync(target.parent)
    model = _read(target)
    if model is None:
        raise ModelNotReady(f"{repo} was changed while it was installed in {target}; pull it again")
    return model


def _read(folder: Path) -> InstalledModel | None:
    """The model in a folder, or None unless its manifest is readable and every file has its size."""
    try:
        value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {name: _File(**file) for name, file in value["files"].items()}
        if any((folder / name).stat().st_size != file.size for name, file in files.items()):
            return None
        size = sum(file.size for file in files.values())
        return InstalledModel(value["repo"], value["revision"], folder, size, value["pulled_at"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _files(folder: Path) -> dict[str, _File]:
    value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return {name: _File(**file) for name, file in value["files"].items()}


def _wanted(names: Iterable[str]) -> Iterator[str]:
    """Those names that belong to a model's own files: top level only, no code, nothing hidden."""
    for name in names:
        if "/" not in name and name != MANIFEST and any(fnmatch(name, pattern) for pattern in PATTERNS):
            yield name


def _need_weights(names: list[str], where: str) -> None:
    if not any(name.endswith(".safetensors") for name in names):
        raise ModelNotReady(f"no *.safetensors in {where}: only models with safetensors weights are used")
    if "config.json" not in names:
        raise ModelNotReady(f"no config.json in {where}: this is no transformers model")


def _folder(repo: str, models_dir: Path) -> Path:
    return models_dir / "generators" / repo.replace("/", "--")


def _describe(file: Path) -> _File:
    return _File(file.stat().st_size, _sha256(file))


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""
