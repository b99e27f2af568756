"""Keyword indexes by name: a backend is a module of this folder with `new(folder)` and `open(folder)`."""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, cast

from rag.errors import WrongSetting
from rag.keywords.bm25 import Statistics
from rag.types import KeywordIndex, Permitted, Ranking


class ScoredIndex(KeywordIndex, Protocol):
    """A keyword index that says what its scores rest on, so that two indexes can be searched as one."""

    def statistics(self) -> Statistics:
        """Of the chunks it holds; removed chunks may count until the index is written anew."""
        ...

    def search(
        self, queries: Sequence[Sequence[str]], k: int, permitted: Permitted, statistics: Statistics | None = None
    ) -> list[Ranking]:
        """As KeywordIndex says; with `statistics`, term weights come from there instead of from this index."""
        ...

    def dead(self) -> float:
        """The share of removed chunks among those that still take up room and count in the statistics."""
        ...


class Backend(Protocol):
    """What a module of this folder offers. An index is searched by many threads at once and changed by one owner."""

    LENGTHS: Literal["exact", "byte"]  # how its scores know the length of a chunk; see rag/keywords/bm25.py

    def new(self, folder: Path) -> ScoredIndex:
        """An empty index at position 0 that may work in an existing empty folder."""
        ...

    def open(self, folder: Path) -> ScoredIndex:
        """What `save` wrote. Raises OSError or ValueError when it is not there or not readable."""
        ...


def backend(name: str) -> Backend:
    """The backend of this name. Raises WrongSetting, naming those there are."""
    if name not in (module.name for module in pkgutil.iter_modules(__path__)):
        raise WrongSetting(f"no keyword index is called {name!r}; there are {', '.join(names())}")
    module = import_module(f"{__name__}.{name}")
    if not hasattr(module, "new") or not hasattr(module, "open"):
        raise WrongSetting(f"no keyword index is called {name!r}; there are {', '.join(names())}")
    return cast(Backend, module)


def names() -> list[str]:
    """Every backend in this folder, in alphabetical order."""
    modules = ((info.name, import_module(f"{__name__}.{info.name}")) for info in pkgutil.iter_modules(__path__))
    return sorted(name for name, module in modules if hasattr(module, "new") and hasattr(module, "open"))
