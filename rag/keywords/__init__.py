"""Keyword indexes by name: a backend is a module of this folder with `new(folder)` and `open(folder)`."""

import pkgutil
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from rag.errors import WrongSetting
from rag.keywords.asked import Phrase
from rag.keywords.bm25 import Scores, Statistics
from rag.types import Ids, KeywordIndex, Permitted


class ScoredIndex(KeywordIndex, Protocol):
    """A keyword index that also tells what its scores rest on, and scores given chunks.

    A query is a list of terms, or `asked.Asked`: its phrases are required, and where no chunk holds a word, those that
    it may be a misspelling of are searched in its place.
    """

    def statistics(self) -> Statistics:
        """Of the living chunks."""
        ...

    def scores(self, query: Sequence[str], ids: Ids) -> Scores:
        """The scores (n,) that search gives these chunks, whoever may see them; 0 where it would not find them."""
        ...

    def holding(self, phrases: Iterable[Phrase], permitted: Permitted) -> Ids:
        """The permitted chunks that hold every phrase, ascending."""
        ...

    def corrected(self, query: Sequence[str]) -> dict[str, list[str]]:
        """For each word of a question that no chunk holds, those it is taken for; {} where nothing is replaced."""
        ...

    def following(self) -> "ScoredIndex":
        """An index of its own with the same content, whose changes stay in memory; costs nothing."""
        ...

    def dead(self) -> float:
        """The share of removed chunks among those that still take up room on disk once it is saved."""
        ...


class Backend(Protocol):
    """What a module of this folder offers. An index is searched by many threads at once and changed by one owner."""

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
