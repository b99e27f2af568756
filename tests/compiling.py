"""Statements that are compiled once in a test process, not once for every database that a test opens.

SQLAlchemy keeps a compiled statement with the engine it was compiled for; a suite that opens two thousand databases
compiles all of its SQL two thousand times, a fifth of what a test of the store takes. What is kept is told apart as an
engine does, and by the kind of database; the engines of one kind are made alike by rag.store.database.connect.
"""

from collections.abc import Hashable

from sqlalchemy import Engine
from sqlalchemy.engine.interfaces import Compiled
from sqlalchemy.util import LRUCache

KEPT = 1500  # statements of one kind of database


class Statements:
    """A mapping as an engine's own; all engines of one kind have the same."""

    def __init__(self) -> None:
        self._kept: LRUCache[Hashable, Compiled] = LRUCache(KEPT)

    def get(self, key: tuple[Hashable, ...]) -> Compiled | None:
        found: Compiled | None = self._kept.get(key[1:])  # without the dialect, of which every engine has its own
        return found

    def __setitem__(self, key: tuple[Hashable, ...], compiled: Compiled) -> None:
        self._kept[key[1:]] = compiled


class Shared:
    """What the engines of this process share."""

    def __init__(self) -> None:
        self._kinds: dict[str, Statements] = {}

    def share(self, engine: Engine) -> Engine:
        kind = self._kinds.setdefault(engine.dialect.name, Statements())
        engine.update_execution_options(compiled_cache=kind)
        return engine
