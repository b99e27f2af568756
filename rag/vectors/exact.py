"""Exact nearest neighbours in memory with numpy: the reference for every other backend, and the tail of new chunks."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.types import Bitmap, Ids, Permitted, Ranking, Vectors
from rag.vectors.finalists import MARGIN, accept, questions, rank, read_array, read_state, write_state
from rag.vectors.tuning import Tuning

CHECKED_WHEN_READ: frozenset[str] = frozenset()
SPARSE = 8  # where fewer than one row in so many may be found, these are gathered; else passing over all is quicker


class ExactVectors:
    """Rows in memory, ordered by id. `apply` puts new arrays in place of the old ones and changes none."""

    def __init__(self, position: int, ids: Ids, rows: Vectors) -> None:
        self._state = (position, ids, rows)  # one attribute, so that a search sees all of a change or none
        self._last: tuple[Bitmap, Ids, NDArray[np.bool_]] | None = None

    @property
    def position(self) -> int:
        return self._state[0]

    def __len__(self) -> int:
        return len(self._state[1])

    def ids(self) -> Ids:
        return self._state[1]

    @property
    def tuning(self) -> Tuning:
        return Tuning("exact", "the exact backend compares all rows, whatever their number", 1.0, len(self))

    def tune(self, recall: float, *, anew: bool = False) -> None:
        """There is nothing to settle."""

    def take(self, places: Ids) -> Vectors:
        """The vectors (n, d) at these places of `ids()`."""
        return np.asarray(self._state[2][places])

    @property
    def dim(self) -> int:
        return int(self._state[2].shape[1])

    def copy(self) -> "ExactVectors":
        """An index of its own with the same content; costs nothing."""
        return ExactVectors(*self._state)

    def apply(self, ids: Ids, vectors: Vectors, removed: Ids, upto: int) -> None:
        _, held, rows = self._state
        ids, vectors, removed = accept(ids, vectors, removed, rows.shape[1])
        keep = ~np.isin(held, np.concatenate([removed, ids]))
        ids = np.concatenate([held[keep], ids])
        rows = np.concatenate([rows[keep], vectors])
        if len(ids) > 1 and not (np.diff(ids) > 0).all():
            order = np.argsort(ids)
            ids, rows = ids[order], rows[order]
        self._state = (upto, ids, rows)

    def search(self, queries: Vectors, k: int, permitted: Permitted) -> list[Ranking]:
        _, ids, rows = self._state
        queries = questions(queries, rows.shape[1])
        inside = self._inside(permitted.bitmap(), ids)
        count = int(inside.sum())
        if SPARSE * count < len(ids):
            return scan(queries, ids[inside], rows[inside], k)
        return scan(queries, ids, rows, k, inside if count < len(ids) else None)

    def _inside(self, bitmap: Bitmap, ids: Ids) -> NDArray[np.bool_]:
        last = self._last
        if last is None or last[0] is not bitmap or last[1] is not ids:
            last = (bitmap, ids, bitmap.mask(ids))
            self._last = last
        return last[2]

    def save(self, folder: Path) -> None:
        position, ids, rows = self._state
        write_state(folder, position, rows.shape[1], ids)
        np.save(folder / "rows.npy", rows)


def scan(queries: Vectors, ids: Ids, rows: Vectors, k: int, inside: NDArray[np.bool_] | None = None) -> list[Ranking]:
    """The k nearest of these rows for each query. queries (q, d), ids (n,), rows (n, d); `inside` (n,) says which of
    them may be found, all when it is None."""
    count = len(ids) if inside is None else int(inside.sum())
    if k < 1 or not count:
        return [[] for _ in queries]
    if k >= count:
        chosen = slice(None) if inside is None else inside
        return [rank(query, ids[chosen], rows[chosen], k) for query in queries]
    rankings: list[Ranking] = []
    for query in queries:
        rough = np.vecdot(rows, query)  # (n,), right to within half the margin; `@` would wake a thread that spins on
        if inside is not None:
            rough[~inside] = -np.inf
        finalists = np.flatnonzero(rough >= np.partition(rough, -k)[-k] - MARGIN)
        rankings.append(rank(query, ids[finalists], rows[finalists], k))
    return rankings


def new(dim: int, scratch: Path | None = None) -> ExactVectors:
    """An empty index."""
    return ExactVectors(0, np.empty(0, np.int64), np.empty((0, dim), np.float32))


def open(folder: Path, scratch: Path | None = None) -> ExactVectors:
    """What `save` wrote, the rows mapped from the file."""
    position, dim, ids = read_state(folder)
    rows = read_array(folder / "rows.npy")
    if rows.shape != (len(ids), dim) or rows.dtype != np.float32:
        raise ValueError(f"{folder}: {len(ids)} ids but rows of shape {rows.shape}")
    return ExactVectors(position, ids, np.asanyarray(rows, dtype=np.float32))
