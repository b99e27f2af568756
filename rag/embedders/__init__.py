"""Embedders: texts become unit vectors. A backend is a module in this folder, chosen by `name:rest`."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from rag.errors import WrongSetting
from rag.types import Embedder

DEFAULT = "sentence_transformers:all-MiniLM-L6-v2"


def names() -> list[str]:
    """The backends there are, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if not module.ispkg)


def load(model: str, *, models_dir: Path, threads: int | None = None) -> Embedder:
    """The embedder that `name:rest` means, ready to use; what it has to prepare is kept below `models_dir`.

    `threads` bounds how many processor cores one call uses (default: all there are); it never changes a vector.
    Raises WrongSetting for a name that does not exist, ModelNotReady when the model is absent or not what it should be.
    """
    name, colon, rest = model.partition(":")
    if not colon or not rest or name not in names():
        known = ", ".join(f"{each}:…" for each in names())
        raise WrongSetting(f"no embedder {model!r}: write name:model with one of {known}; the default is {DEFAULT}")
    if threads is not None and threads < 1:
        raise WrongSetting(f"an embedder needs at least 1 thread, not {threads}")
    backend = import_module(f"{__name__}.{name}")
    embedder: Embedder = backend.load(rest, models_dir=models_dir, threads=threads)
    return embedder
