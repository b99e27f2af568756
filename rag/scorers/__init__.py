"""Scorers: metrics over logged interactions, one a file; a module in this folder with `load(models)` is a scorer."""

from importlib import import_module
from pkgutil import iter_modules

from rag.types import Models, Scorer


def names() -> list[str]:
    """The metrics there are, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def load(models: Models) -> list[Scorer]:
    """Every scorer, ordered by name."""
    return [import_module(f"{__name__}.{name}").load(models) for name in names()]
