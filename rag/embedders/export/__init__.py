"""Embedding models as ONNX, exported once by a child process and kept in a folder with a manifest.

The manifest names each file with size, time and SHA-256. `find` compares sizes and times, which costs nothing;
`verify` reads every byte. An export is a cache of the model: when one is missing, damaged or of an older recipe it is
made again.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from rag.embedders.export.sources import Source, Stamp, sha256
from rag.errors import ModelNotReady

RECIPE = 1  # raise it when a change here can change a vector: every export is then made again, under a new fingerprint
MANIFEST = "manifest.json"
Precision = Literal["fp32", "int8"]


@dataclass(frozen=True, slots=True)
class Form:
    """What happens around the network: text before it, pooling after it."""

    dim: int
    max_tokens: int
    pooling: Literal["mean", "cls"]
    query_prefix: str
    passage_prefix: str
    inputs: tuple[str, ...]  # of the network, in its order


@dataclass(frozen=True, slots=True)
class Made:
    """A file of an export."""

    size: int  # bytes
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export is and what it was made from."""

    recipe: int
    name: str
    revision: str
    precision: Precision
    source: dict[str, str]  # SHA-256 of the model's own weights and tokenizer
    stamp: Stamp  # of a local source folder
    form: Form
    files: dict[str, Made]
    made_with: dict[str, str]  # library → version: for people, no part of the fingerprint


def find(source: Source, precision: Precision, models_dir: Path) -> tuple[Path, Manifest]:
    """The exported model's folder and manifest; exports it first when there is none that fits (some 10 s, once).

    Two processes never export the same model at once: the second waits and takes what the first made.
    Raises ModelNotReady when the model's files are missing or not upstream's, or when it cannot be exported.
    """
    folder = folder_of(source, precision, models_dir)
    manifest = usable(folder, source)
    if manifest is None:
        from rag.embedders.export.make import make  # starts processes: nothing that a search should load

        manifest = make(source, precision, folder)
    return folder, manifest


def folder_of(source: Source, precision: Precision, models_dir: Path) -> Path:
    """Where the export of a model stands."""
    return models_dir / "embedders" / f"{source.key}-{precision}-onnx{RECIPE}"


def verify(folder: Path) -> None:
    """Read every byte of an export and raise ModelNotReady, naming the file, if one is not what was exported."""
    manifest = read(folder)
    if manifest is None:
        raise ModelNotReady(f"no readable {MANIFEST} in {folder}: delete the folder, it is made again")
    for name, made in manifest.files.items():
        file = folder / name
        found = sha256(file) if file.is_file() else "missing"
        if found != made.sha256:
            raise ModelNotReady(
                f"{file} is damaged: its SHA-256 is {found} and should be {made.sha256}; "
                "delete the folder, it is made again"
            )


def usable(folder: Path, source: Source) -> Manifest | None:
    """The manifest if the export is whole and made from what the source is now."""
    manifest = read(folder)
    if manifest is None or manifest.recipe != RECIPE:
        return None
    stamp = source.stamp()
    if stamp and stamp != manifest.stamp:
        return None
    if any(manifest.source.get(file) != expected for file, expected in source.digests.items()):
        return None
    try:
        found = {name: (folder / name).stat() for name in manifest.files}
    except OSError:
        return None
    if any(found[name].st_size != made.size for name, made in manifest.files.items()):
        return None
    if all(found[name].st_mtime_ns == made.mtime_ns for name, made in manifest.files.items()):
        return manifest
    return _again(folder, manifest)


def _again(folder: Path, manifest: Manifest) -> Manifest | None:
    """The manifest with new times if the files, which were copied or touched, still have the same bytes."""
    try:
        verify(folder)
    except ModelNotReady:
        return None
    files = {name: replace(made, mtime_ns=(folder / name).stat().st_mtime_ns) for name, made in manifest.files.items()}
    manifest = replace(manifest, files=files)
    with suppress(OSError):  # in a read-only folder the bytes are read at every start
        write(folder, manifest)
    return manifest


def write(folder: Path, manifest: Manifest) -> None:
    """Put the manifest into the folder in one step."""
    aside = folder / f".{MANIFEST}.new"
    aside.write_text(json.dumps(asdict(manifest), indent=1, sort_keys=True), encoding="utf-8")
    aside.replace(folder / MANIFEST)


def read(folder: Path) -> Manifest | None:
    """The manifest of an export; None where there is none that can be read."""
    try:
        value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        form = value.pop("form")
        files = {name: Made(**made) for name, made in value.pop("files").items()}
        return Manifest(form=Form(**{**form, "inputs": tuple(form["inputs"])}), files=files, **value)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent, half written by a foreign hand, or of another shape: made again
