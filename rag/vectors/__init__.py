"""Vector indexes by name: a backend is a module of this folder with `new(dim)` and `open(folder)`."""

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from rag.errors import WrongSetting
from rag.types import Ids, VectorIndex, Vectors
from rag.vectors.tuning import Tuning


class StoredVectors(VectorIndex, Protocol):
    """A vector index whose rows can be read back, as those that live in snapshots must."""

    @property
    def tuning(self) -> Tuning:
        """How it searches, and why."""
        ...

    def take(self, places: Ids) -> Vectors:
        """The vectors (n, d) at these places (n,) of `ids()`. Raises IndexDamaged when one is not what was saved."""
        ...

    def tune(self, recall: float, *, anew: bool = False) -> None:
        """Settle how to search the rows held, so that on average this share of the true nearest is found; with `anew`,
        keep nothing of how it was settled before. Called before `save`."""
        ...


class Backend(Protocol):
    """What a module of this folder offers. Both return an index that is searched by many threads at once, or changed by
    one owner. What does not fit into memory while it is changed goes to files without names in `scratch`."""

    CHECKED_WHEN_READ: frozenset[str]
    """Files of a saved index whose content the index checks itself, when it reads it."""

    def new(self, dim: int, scratch: Path | None = None) -> StoredVectors:
        """An empty index at position 0."""
        ...

    def open(self, folder: Path, scratch: Path | None = None) -> StoredVectors:
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
