"""Candidates by FAISS: four-bit product quantisation in inverted lists, scanned in registers and filtered by a bitmap.

The quantised scores only name candidates; who comes first among them is decided from the exact rows. The layout is
that of André, Kermarrec and Le Scouarnec, "Cache locality is not enough" (VLDB 2015), as FAISS's IndexIVFPQFastScan
has it: `IVFn,PQ192x4fs` for 384 dimensions. Unlike the same quantiser without lists it takes a selector. Two dimensions
share four bits: with four dimensions the scan is twice as fast, but names the hundred nearest only among 1,500.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag.types import Bitmap, Ids, Vectors

if TYPE_CHECKING:
    import faiss

FILE = "lists.faiss"
CENTROIDS = 16  # of each sub-quantiser: four bits
TRAINED_ON = 40  # rows a list that its centre is learnt from
LEAST = 8_192  # rows that the quantiser is learnt from, if there are as many


class Selector:
    """A set of chunk ids as FAISS takes it; holds the bits for as long as FAISS may look at them."""

    def __init__(self, bitmap: Bitmap) -> None:
        import faiss

        self._bits = np.ascontiguousarray(bitmap.bits)
        self.faiss = faiss.IDSelectorBitmap(self._bits)  # type: ignore[call-arg,arg-type]


@dataclass(frozen=True, slots=True)
class Lists:
    """Quantised rows in inverted lists, under their chunk ids. Searched one query at a time: FAISS then uses one
    thread, so what is found does not depend on how many there are."""

    index: faiss.IndexIVFPQFastScan

    @property
    def count(self) -> int:
        """How many lists there are."""
        return int(self.index.nlist)

    def __len__(self) -> int:
        """Rows in the lists, those included that were removed since."""
        return int(self.index.ntotal)

    def add(self, ids: Ids, rows: Vectors) -> None:
        """Put rows (n, d) into the lists nearest to them."""
        self.index.add_with_ids(rows, ids)

    def candidates(
        self, query: Vectors, fetch: int, probed: int, selector: Selector | None
    ) -> tuple[Ids, NDArray[np.float32]]:
        """The `fetch` best by quantised score from the `probed` nearest lists: their ids and scores, best first; fewer
        when the lists hold fewer. query (1, d)"""
        import faiss

        settings = faiss.SearchParametersIVF(nprobe=probed)  # type: ignore[call-arg]
        if selector is not None:
            settings.sel = selector.faiss
        scores, found = self.index.search(query, fetch, params=settings)
        there = found[0] >= 0
        return found[0][there], scores[0][there]

    def save(self, folder: Path) -> None:
        import faiss

        faiss.write_index(self.index, str(folder / FILE))


def count_for(rows: int) -> int:
    """How many lists serve this many rows: a power of two, so that a list holds about 2,048. Entering one costs as much
    as scanning 300 rows, and questions lie so far from texts that half of the lists must be probed anyway."""
    return int(2 ** max(0, round(np.log2(max(1, rows) / 2_048))))


def train(sample: Vectors, lists: int) -> Lists:
    """Empty lists, with what they need learnt from a sample (n, d). The same sample gives the same lists."""
    import faiss

    dim = sample.shape[1]
    width = next(width for width in (2, 1) if dim % width == 0)
    metric = faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFPQFastScan(faiss.IndexFlatIP(dim), dim, lists, dim // width, 4, metric)
    index.by_residual = False  # else every list would want tables of its own
    for learning in (index.cp, index.pq.cp):
        learning.min_points_per_centroid = 1  # it warns on standard error below 39
    index.cp.spherical = True
    index.train(sample)
    return Lists(index)


def filled(lists: Lists, blocks: Iterable[tuple[Ids, Vectors]]) -> Lists:
    """The same lists, with these rows in them."""
    for ids, rows in blocks:
        lists.add(ids, rows)
    return lists


def read(path: Path, dim: int) -> Lists:
    """What `save` wrote, in memory: 104 bytes a row at 384 dimensions. Raises ValueError when it is no such index."""
    import faiss

    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise ValueError(f"{path}: FAISS cannot read it: {error}") from error
    if (
        not isinstance(index, faiss.IndexIVFPQFastScan)
        or index.d != dim
        or index.metric_type != faiss.METRIC_INNER_PRODUCT
    ):
        raise ValueError(f"{path}: not quantised lists of {dim} dimensions")
    return Lists(index)
