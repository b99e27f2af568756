"""Who asks and what they may see: a principal and a filter become the permitted set, read from SQL."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from rag.store.collections import position as read_position
from rag.store.database import Connection
from rag.store.filters.columns import Columns
from rag.store.filters.tree import Filter
from rag.store.permitted import (
    Predicate,
    came_and_went,
    chunks_of,
    permitted_ids,
    permitted_now,
    permitted_then,
    require_known,
    touched_contents,
)
from rag.types import Bitmap, Principal

KEPT = 256  # bitmaps kept, the least recently used one goes first
MAX_TOUCHED = 500  # past this many changed contents the set is read anew
MAX_COLUMNS = 32  # collections whose columns are kept


@dataclass(frozen=True, slots=True)
class PermittedChunks:
    """The permitted set of one question: the condition for indexes that live in SQL, the bitmap for the others."""

    predicate: Predicate
    position: int
    _bitmap: Bitmap

    def bitmap(self) -> Bitmap:
        return self._bitmap


class Access:
    """Keeps each asker's bitmap and brings it up to the position of the transaction that asks. Thread-safe.

    What a collection is asked first is read from SQL; a process that asks more than once what not all may see, or what
    not all documents pass, has the collection's columns in memory.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Predicate, tuple[int, Bitmap]] = OrderedDict()
        self._columns: OrderedDict[int, Columns] = OrderedDict()
        self._lock = threading.Lock()

    def permitted(
        self,
        connection: Connection,
        principal: Principal,
        collection_id: int,
        where: Filter | None = None,
        at: int | None = None,
    ) -> PermittedChunks:
        """What `principal` may see of a collection, as this transaction sees it (or as of an earlier position `at`).

        Raises WrongFilter for a field that no document has which the principal may see.
        """
        predicate = Predicate(collection_id, principal.labels, where)
        now = read_position(connection, collection_id)
        if at is not None and at != now:
            return PermittedChunks(predicate, at, Bitmap.of(permitted_ids(connection, predicate, at)))
        with self._lock:
            kept = self._kept.get(predicate)
            if kept is not None and kept[0] == now:
                self._kept.move_to_end(predicate)
                return PermittedChunks(predicate, now, kept[1])
        bitmap = self._upto(connection, predicate, kept, now)
        with self._lock:
            newest = self._kept.get(predicate)
            if newest is None or newest[0] <= now:  # a slower reader of an older moment must not win
                self._kept[predicate] = (now, bitmap)
                self._kept.move_to_end(predicate)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return PermittedChunks(predicate, now, bitmap)

    def permitted_then(
        self, connection: Connection, principal: Principal, collection_id: int, where: Filter | None, at: int
    ) -> PermittedChunks:
        """What `principal` may see now of how a collection stood at an earlier position.

        Whoever sees every label sees what was removed since. Everybody else sees a text of then only where a document
        stands at its address now that they may see; nobody sees what was erased.
        """
        predicate = Predicate(collection_id, principal.labels, where, then=True)
        return PermittedChunks(predicate, at, Bitmap.of(permitted_then(connection, predicate, at)))

    def _upto(self, connection: Connection, predicate: Predicate, kept: tuple[int, Bitmap] | None, now: int) -> Bitmap:
        if predicate.unrestricted:
            if kept is not None and kept[0] < now:
                came, went = came_and_went(connection, predicate.collection_id, kept[0], now)
                return changed(kept[1], cleared=went, added=came)
            return Bitmap.of(permitted_now(connection, predicate, now))
        columns = self._of(predicate.collection_id)
        found = None if columns is None else columns.bitmap(connection, predicate, now)
        return self._read(connection, predicate, kept, now) if found is None else found

    def _of(self, collection_id: int) -> Columns | None:
        """A collection's columns; None the first time."""
        with self._lock:
            found = self._columns.get(collection_id)
            if found is None:
                self._columns[collection_id] = Columns(collection_id)
                while len(self._columns) > MAX_COLUMNS:
                    self._columns.popitem(last=False)
            else:
                self._columns.move_to_end(collection_id)
            return found

    def _read(self, connection: Connection, predicate: Predicate, kept: tuple[int, Bitmap] | None, now: int) -> Bitmap:
        require_known(connection, predicate, now)
        if kept is not None and kept[0] < now:
            touched = touched_contents(connection, predicate.collection_id, kept[0], now)
            if len(touched) <= MAX_TOUCHED:
                stale = chunks_of(connection, touched)
                fresh = permitted_ids(connection, predicate, now, among=touched)
                return changed(kept[1], cleared=stale, added=fresh)
        return Bitmap.of(permitted_now(connection, predicate, now))


def changed(bitmap: Bitmap, *, cleared: np.ndarray, added: np.ndarray) -> Bitmap:
    """A new bitmap without `cleared` and with `added`; the old one is not touched, searches may still hold it."""
    highest = max(int(cleared.max(initial=-1)), int(added.max(initial=-1)))
    bits = np.zeros(max(bitmap.bits.size, highest // 8 + 1), dtype=np.uint8)
    bits[: bitmap.bits.size] = bitmap.bits
    np.bitwise_and.at(bits, cleared >> 3, ~(np.uint8(1) << (cleared & 7).astype(np.uint8)))
    np.bitwise_or.at(bits, added >> 3, np.uint8(1) << (added & 7).astype(np.uint8))
    return Bitmap(bits)
