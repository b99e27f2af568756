"""Which content each chunk of a collection is part of, in memory once a process asks more than once.

A chunk never changes its content and its id is never used again, so what was read stays true and only newer chunks are
read. State: 16 bytes a chunk.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, select

from rag.rankings.arrays import find
from rag.store.among import DIALECTS, among
from rag.store.permitted import integers
from rag.store.prepared import Prepared
from rag.store.tables import chunks
from rag.types import Ids

MAX_COLLECTIONS = 32  # kept, the least recently used one goes first

_CONTENTS = Prepared(
    {
        dialect: select(chunks.c.id, chunks.c.content_id).where(among(chunks.c.id, "ids", dialect))
        for dialect in DIALECTS
    }
)


def contents_of(connection: Connection, ids: Sequence[int]) -> Ids:
    """The content of each chunk (n,), in the order of the ids. Raises KeyError for a chunk that never was."""
    found: dict[int, int] = dict(_CONTENTS.rows(connection, {"ids": ids}))
    return np.array([found[chunk] for chunk in ids], dtype=np.int64)


class Membership:
    """What a process knows of its collections. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[Ids, Ids]] = OrderedDict()  # chunks ascending, and their contents
        self._lock = threading.Lock()

    def contents(self, connection: Connection, collection_id: int, ids: Ids) -> Ids:
        """The content of each of a collection's chunks (n,), in the order of the ids.

        What is asked of a collection first is read from SQL alone. Raises KeyError for a chunk that it does not hold.
        """
        with self._lock:
            known = self._known.get(collection_id)
            if known is None:  # a command that asks once is not worth reading everything
                self._known[collection_id] = (np.empty(0, np.int64), np.empty(0, np.int64))
                while len(self._known) > MAX_COLLECTIONS:
                    self._known.popitem(last=False)
            else:
                self._known.move_to_end(collection_id)
        if known is None:
            return contents_of(connection, ids.tolist())
        held, of = known
        if len(ids) and (not len(held) or int(ids.max()) > int(held[-1])):
            held, of = self._newer(connection, collection_id, held, of)
        here, at = find(held, ids)
        if len(here) < len(ids):
            raise KeyError(f"collection {collection_id} does not hold all of the chunks {ids.tolist()}")
        return of[at]

    def _newer(self, connection: Connection, collection_id: int, held: Ids, of: Ids) -> tuple[Ids, Ids]:
        last = int(held[-1]) if len(held) else 0
        query = select(chunks.c.id, chunks.c.content_id).where(
            chunks.c.collection_id == collection_id, chunks.c.id > last
        )
        more, theirs = integers(connection, query)
        order = np.argsort(more)
        known = (np.concatenate([held, more[order]]), np.concatenate([of, theirs[order]]))
        with self._lock:
            if len(known[0]) >= len(self._known.get(collection_id, known)[0]):  # a slower reader must not win
                self._known[collection_id] = known
        return known
