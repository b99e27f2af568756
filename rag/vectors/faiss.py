"""Nearest neighbours with FAISS: a flat inner-product index, filtered inside the search by a bitmap of chunk ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag.types import Bitmap, Ids, Permitted, Ranking, Vectors
from rag.vectors.exact import scan
from rag.vectors.finalists import MARGIN, accept, questions, rank, read_state, write_state

if TYPE_CHECKING:
    import faiss

FEW = 2_000  # permitted rows up to which they are gathered and scanned
FILE = "vectors.faiss"


class FaissVectors:
    """IndexIDMap2 over IndexFlatIP. An opened index is mapped from its file; the first `apply` copies it into memory,
    because adding to a mapped FAISS index ends the process."""

    def __init__(self, position: int, index: faiss.IndexIDMap2, mapped: bool) -> None:
        self._position = position
        self._index = index
        self._mapped = mapped
        self._see()

    def _see(self) -> None:
        """Views of FAISS's own memory, never copied; they hold for as long as the index is not changed."""
        import faiss

        n, dim = self._index.ntotal, self._index.d
        flat = faiss.downcast_index(self._index.index)
        self._rows: Vectors = np.empty((0, dim), np.float32)
        if n:
            self._rows = faiss.rev_swig_ptr(flat.get_xb(), n * dim).reshape(n, dim)  # type: ignore[attr-defined]
        self._row_ids: Ids = faiss.vector_to_array(self._index.id_map)  # in FAISS's order
        ascending = bool((np.diff(self._row_ids) > 0).all())
        self._order = None if ascending else np.argsort(self._row_ids)
        self._ids = self._row_ids if self._order is None else self._row_ids[self._order]
        self._last: tuple[Bitmap, Ids, NDArray[np.bool_], faiss.IDSelectorBitmap] | None = None

    @property
    def position(self) -> int:
        return self._position

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def ids(self) -> Ids:
        return self._ids

    def rows(self) -> Vectors:
        """The vectors (n, d), in the order of `ids()`."""
        return self._rows if self._order is None else self._rows[self._order]

    def apply(self, ids: Ids, vectors: Vectors, removed: Ids, upto: int) -> None:
        import faiss

        ids, vectors, removed = accept(ids, vectors, removed, self._index.d)
        if self._mapped:
            self._index, self._mapped = _flat(self._row_ids, self._rows), False
        gone = np.intersect1d(np.concatenate([removed, ids]), self._ids)
        if len(gone):
            self._index.remove_ids(faiss.IDSelectorBatch(gone))
        if len(ids):
            self._index.add_with_ids(vectors, ids)
        self._position = upto
        self._see()

    def search(self, queries: Vectors, k: int, permitted: Permitted) -> list[Ranking]:
        queries = questions(queries, self._index.d)
        rows, inside, selector = self._permitted(permitted.bitmap())
        if k < 1 or not len(rows):
            return [[] for _ in queries]
        if selector is None or len(rows) <= max(FEW, k):
            return scan(queries, self._row_ids[rows], self._rows[rows], k)
        if 2 * len(rows) >= len(self._ids):  # one BLAS pass over all is faster than FAISS's flat scan of half
            return scan(queries, self._row_ids, self._rows, k, inside if len(rows) < len(self._ids) else None)
        return [self._nearest(query, k, rows, selector) for query in queries]

    def _permitted(self, bitmap: Bitmap) -> tuple[Ids, NDArray[np.bool_] | None, faiss.IDSelectorBitmap | None]:
        """The permitted rows, ordered by chunk id; and, unless they are few, the same set by row and as FAISS takes
        it. The last large one is kept."""
        import faiss

        if bitmap.count() <= FEW and len(self._ids):
            ids = bitmap.ids()
            places = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
            return self._at(places[self._ids[places] == ids]), None, None
        last = self._last
        if last is None or last[0] is not bitmap:
            inside = bitmap.mask(self._row_ids)
            rows = self._at(np.flatnonzero(bitmap.mask(self._ids)))
            selector = faiss.IDSelectorBitmap(np.ascontiguousarray(bitmap.bits))  # type: ignore[call-arg,arg-type]
            last = (bitmap, rows, inside, selector)
            self._last = last
        return last[1], last[2], last[3]

    def _at(self, places: Ids) -> Ids:
        """Places in `ids()` as rows in FAISS's own order."""
        return places if self._order is None else np.asarray(self._order[places])

    def _nearest(self, query: Vectors, k: int, rows: Ids, selector: faiss.IDSelectorBitmap) -> Ranking:
        """The k nearest of the permitted rows: FAISS names the finalists, fetched until its scores leave the margin."""
        import faiss

        settings = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        fetch = k + 16
        while fetch < min(len(rows), 16 * k + 1024):
            scores, found = self._index.search(query[None, :], fetch, params=settings)
            floor = scores[0, k - 1] - MARGIN
            if scores[0, -1] < floor:
                chosen = found[0][scores[0] >= floor]
                at = self._at(np.searchsorted(self._ids, chosen))
                return rank(query, chosen, self._rows[at], k)
            fetch *= 4
        return scan(query[None, :], self._row_ids[rows], self._rows[rows], k)[0]  # more ties than are worth fetching

    def save(self, folder: Path) -> None:
        import faiss

        faiss.write_index(self._index, str(folder / FILE))
        write_state(folder, self._position, self._index.d, self._ids)


def _flat(ids: Ids, rows: Vectors) -> faiss.IndexIDMap2:
    import faiss

    index = faiss.IndexIDMap2(faiss.IndexFlatIP(rows.shape[1]))
    if len(ids):
        index.add_with_ids(np.ascontiguousarray(rows), ids)
    return index


def new(dim: int) -> FaissVectors:
    """An empty index."""
    return FaissVectors(0, _flat(np.empty(0, np.int64), np.empty((0, dim), np.float32)), mapped=False)


def open(folder: Path) -> FaissVectors:
    """What `save` wrote, mapped from the file. Raises ValueError when it is not such an index."""
    import faiss

    position, dim, ids = read_state(folder)
    try:
        index = faiss.read_index(str(folder / FILE), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise ValueError(f"{folder / FILE}: FAISS cannot read it: {error}") from error
    if not isinstance(index, faiss.IndexIDMap2) or index.d != dim or index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise ValueError(f"{folder / FILE}: not a flat inner-product index of {dim} dimensions")
    opened = FaissVectors(position, index, mapped=True)
    if not np.array_equal(opened.ids(), ids):
        raise ValueError(f"{folder}: its two lists of chunk ids differ")
    return opened
