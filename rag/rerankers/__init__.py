"""Rerankers: models that read question and text together. A backend is a module here, chosen by `name:rest`."""

from importlib import import_module
from pkgutil import iter_modules

from rag.errors import WrongSetting
from rag.types import Reranker


def names() -> list[str]:
    """The backends there are, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def load(model: str) -> Reranker:
    """The reranker that `name:rest` means.

    Raises WrongSetting for a name that does not exist, ModelNotReady when the model is not there or of another kind.
    """
    name, _, rest = model.partition(":")
    if name not in names() or not rest:
        raise WrongSetting(f"no reranker {model!r}: write cross_encoder:<folder or hub id>")
    reranker: Reranker = import_module(f"{__name__}.{name}").load(rest)
    return reranker
