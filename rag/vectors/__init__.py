"""Vector indexes by name: a backend is a module of this folder with `new(dim)` and `open(folder)`."""

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from rag.errors import WrongSetting
from rag.types import VectorIndex, Vectors


class StoredVectors(VectorIndex, Protocol):
    """A vector index whose rows can be read back, as those that live in snapshots must."""

    def rows(self) -> Vectors:
        """The vectors (n, d), in the order of `ids()`."""
        ...


class Backend(Protocol):
    """What a module of this folder offers. Both return an index that is searched by many threads at once and changed
    by one owner."""

    def new(self, dim: int) -> StoredVectors:
        """An empty index at position 0."""
        ...

    def open(self, folder: Path) -> StoredVectors:
        """What `save` wrote. Raises OSError or ValueError when it is not there or not readable."""
        ...


def backend(name: str) -> Backend:
    """The backend of this name. Raises WrongSetting, naming those there are."""
    if name not in (module.name for module in pkgutil.iter_modules(__path__)):
        raise WrongSetting(f"no vector index is called {name!r}; there are {', '.join(names())}")
    module = import_module(f"{__name__}.{name}")
    if not hasattr(module, "new") or not hasattr(module, "open"):
        raise WrongSetting(f"no vector index is called {name!r}; there are {', '.join(names())}")
    return cast(Backend, module)


def names() -> list[str]:
    """Every backend in this folder, in alphabetical order."""
    modules = ((info.name, import_module(f"{__name__}.{info.name}")) for info in pkgutil.iter_modules(__path__))
    return sorted(name for name, module in modules if hasattr(module, "new") and hasattr(module, "open"))
