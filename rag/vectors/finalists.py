"""The last step of every vector search: exact scores and total order, the same for all backends and batch sizes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.rankings.arrays import Columns, columns, staged
from rag.types import Ids, Ranking, Vectors
from rag.vectors.rows import sums

MARGIN = 1e-4
"""How far a float32 inner product of unit rows may lie from the true one, twice: whatever a backend scores within this
of its k-th best is a finalist. 384 roundings of 6e-8 each are 2.3e-5 at the very worst."""


def cosines(query: NDArray[np.float32], rows: Vectors) -> NDArray[np.float32]:
    """The inner product of a query (d,) with each row (n, d), the same whichever rows stand beside it.  → (n,)

    Products are summed in float64 one row at a time, then rounded to float32: in a matrix product the sum of a row
    depends on the others.
    """
    products = rows.astype(np.float64)  # (n, d)
    products *= query
    return np.asarray(products.sum(axis=1), dtype=np.float32)


def rank(query: NDArray[np.float32], ids: Ids, rows: Vectors, k: int) -> Columns:
    """The k best of the finalists by (-score, chunk_id). query (d,), ids (n,), rows (n, d)"""
    scores = cosines(query, rows)
    order = np.lexsort((ids, -scores))[:k]
    return staged("dense", ids[order], scores[order])


def repeated(rows: Vectors) -> bool:
    """Whether two rows may be the same; never False where two are.  (n, d)"""
    return len({*sums(rows).tolist()}) < len(rows)


def nearest(rankings: Sequence[Ranking], k: int) -> Columns:
    """The k best of several indexes' hits by (-score, chunk_id)."""
    given = [columns(ranking) for ranking in rankings]
    ids, scores = np.concatenate([one.ids for one in given]), np.concatenate([one.scores for one in given])
    order = np.lexsort((ids, -scores))[:k]
    return staged("dense", ids[order], scores[order])


def accept(ids: Ids, vectors: Vectors, removed: Ids, dim: int) -> tuple[Ids, Vectors, Ids]:
    """The changes as arrays of the right type. Raises ValueError on anything that an index must not take in."""
    ids, removed = np.asarray(ids, dtype=np.int64), np.asarray(removed, dtype=np.int64)
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.shape != (len(ids), dim):
        raise ValueError(f"{len(ids)} ids and vectors of shape {vectors.shape}; expected ({len(ids)}, {dim})")
    if not np.isfinite(vectors).all():
        rows = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        raise ValueError(f"the vector of chunk {ids[rows[0]]} is not finite ({len(rows)} in all)")
    if len(np.unique(ids)) != len(ids):
        raise ValueError("a chunk id is given twice")
    if np.isin(ids, removed).any():
        raise ValueError("a chunk id is both added and removed")
    return ids, vectors, removed


def questions(queries: Vectors, dim: int) -> Vectors:
    """Queries (q, d) as float32. Raises ValueError on a wrong shape, NaN or infinity."""
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise ValueError(f"queries of shape {queries.shape}; expected (any, {dim})")
    if not np.isfinite(queries).all():
        raise ValueError("a query vector is not finite")
    return queries


def write_state(folder: Path, position: int, dim: int, ids: Sequence[int] | Ids) -> None:
    """What every saved index says of itself."""
    (folder / "state.json").write_text(json.dumps({"position": position, "dim": dim}), encoding="utf-8")
    np.save(folder / "ids.npy", np.asarray(ids, dtype=np.int64))


def read_state(folder: Path) -> tuple[int, int, Ids]:
    """Position, dimension and ids, as `write_state` left them. Raises OSError or ValueError when they are not there."""
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    return int(state["position"]), int(state["dim"]), np.asarray(read_array(folder / "ids.npy"), dtype=np.int64)


def read_array(path: Path) -> NDArray[np.generic]:
    """An array mapped from its file. Raises OSError or ValueError when it is not there or not whole."""
    try:
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except EOFError as error:
        raise ValueError(f"{path} is cut off") from error
