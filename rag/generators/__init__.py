"""Generators: a prompt becomes an answer, word by word. A backend is a module in this folder, chosen by `name:rest`."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from rag.errors import WrongSetting
from rag.generators._falling import Falling, Unready
from rag.types import Generator, Models

__all__ = ["Falling", "Unready", "load", "names"]


def names() -> list[str]:
    """The backends there are, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def load(model: str, models: Models, *, key_file: Path | None = None, timeout_s: float = 60.0) -> Generator:
    """The generator that `name` or `name:rest` means.

    key_file: where the key of an OpenAI-compatible server stands; else it is OPENAI_API_KEY, else none is sent.
    timeout_s: the longest wait for such a server's next piece. How a model runs in this process, `models.running` says.
    Raises WrongSetting for a name that does not exist or a rest of the wrong form, ModelNotReady when the model is
    not there or not what it should be.
    """
    name, _, rest = model.partition(":")
    if name not in names():
        known = "extractive, transformers:<path or hub id>, openai:<base url>#<model>"
        raise WrongSetting(f"no generator {model!r}: one of {known}")
    backend = import_module(f"{__name__}.{name}")
    generator: Generator = backend.load(rest, models, key_file=key_file, timeout_s=timeout_s)
    return generator
