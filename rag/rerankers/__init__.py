"""Rerankers: models that read question and text together. A backend is a module here, chosen by `name:rest`; a path or
a hub id alone is a cross-encoder."""

from importlib import import_module
from pkgutil import iter_modules

from rag.errors import WrongSetting
from rag.types import Reranker


def names() -> list[str]:
    """The backends there are, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def load(model: str) -> Reranker:
    """The reranker that `name:rest` means, or the cross-encoder of a folder or hub id.

    Raises WrongSetting for a name that does not exist, ModelNotReady when the model is not there or of another kind.
    """
    name, colon, rest = model.partition(":")
    if not colon and ("/" in model or model.startswith((".", "~"))):
        name, rest = "cross_encoder", model
    if name not in names() or not rest:
        raise WrongSetting(
            f"no reranker {model!r}: write the folder of a cross-encoder (./folder), its hub id (owner/name), or "
            "cross_encoder:<either>"
        )
    reranker: Reranker = import_module(f"{__name__}.{name}").load(rest)
    return reranker
