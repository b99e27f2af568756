"""Rows of float32 in a file, ordered by id: read where they are needed, and checked each when it is first read.

A snapshot of a million vectors holds 1.5 GB of rows. Reading all of them to compare checksums would take seconds at
every opening, and searches need a few hundred; so a row carries its own sum, and is compared when it is first touched.
Every other file of an index is small and compared whole.
"""

import os
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from threading import Thread
from typing import IO

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexDamaged
from rag.types import Ids, Vectors

FILE = "rows.f32"
SUMS = "sums.npy"
MAPPED = 512 << 20  # bytes up to which rows are mapped; above, they are read, so that they never count as resident
SPILL = 64 << 20  # bytes of new rows kept in memory before they go to a file without a name
SINGLY = 4_096  # rows read for the first time, each by itself, before all of them are asked for
AHEAD = 8 << 20  # bytes asked for at once then
STEP = 8_192  # rows handled at once by whatever passes over all of them
REMEDY = "it is rebuilt from SQL by the next `rag rebuild` or ingest"


def sums(rows: Vectors) -> NDArray[np.uint64]:
    """One sum a row: its 64-bit words, each times an odd number of its own, modulo 2^64.  rows (n, d) → (n,)

    Any change within one word changes the sum, others go unnoticed once in 2^32: multilinear hashing (Lemire and
    Kaser, "Strongly universal string hashing is fast", 2014). Ten thousand rows a millisecond.
    """
    if rows.shape[1] % 2:
        rows = np.pad(rows, ((0, 0), (0, 1)))
    words = np.ascontiguousarray(rows, dtype="<f4").view(np.uint64)  # (n, d / 2)
    return np.asarray(np.einsum("nd,d->n", words, _factors(words.shape[1])) + np.uint64(1))


@cache
def _factors(count: int) -> NDArray[np.uint64]:
    return np.random.default_rng(count).integers(0, 2**63, count, np.uint64) * np.uint64(2) + np.uint64(1)


class StoredRows:
    """The rows of a folder (n, d). Safe for many threads."""

    def __init__(self, folder: Path, dim: int) -> None:
        self._path = folder / FILE
        self._sums = np.asarray(np.load(folder / SUMS, allow_pickle=False), dtype=np.uint64)
        self._read = np.zeros(len(self._sums), dtype=bool)  # which rows were compared already
        self.shape = (len(self._sums), dim)
        size = self.shape[0] * dim * 4
        self._descriptor = os.open(self._path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        if os.fstat(self._descriptor).st_size != size:
            raise ValueError(f"{self._path} has not the {size} bytes of {self.shape[0]} rows of {dim}")
        self._cold, self._ahead = 0, False
        self._map: Vectors | None = None
        if 0 < size <= MAPPED:
            self._map = np.asarray(np.memmap(self._path, np.float32, "r", shape=self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, places: Ids) -> Vectors:
        """The rows at these places (n,), as a copy (n, d). Raises IndexDamaged when one is not what was written."""
        rows = self._fetched(places) if self._map is None else self._map[places]
        new = ~self._read[places]
        if new.any():
            self._compare(places[new], rows[new])
        return rows

    def whole(self) -> Vectors | None:
        """All rows without a copy, if they are mapped. Raises IndexDamaged when one is not what was written."""
        if self._map is not None and not self._read.all():
            for first in range(0, len(self), STEP):
                block = np.arange(first, min(first + STEP, len(self)))
                self._compare(block, self._map[block])
        return self._map

    def _fetched(self, places: Ids) -> Vectors:
        rows = np.empty((len(places), self.shape[1]), np.float32)
        length = self.shape[1] * 4
        if len(places) and int(places[-1]) - int(places[0]) == len(places) - 1 and (np.diff(places) == 1).all():
            runs = [(rows.reshape(-1), int(places[0]))]
        else:
            runs = [(row, place) for row, place in zip(rows, places.tolist(), strict=True)]
            self._ask_for(places[~self._read[places]])
        for into, place in runs:
            if os.preadv(self._descriptor, [into.data], place * length) != into.nbytes:
                raise IndexDamaged(f"{self._path} was cut off; {REMEDY}")
        return rows

    def _ask_for(self, places: Ids) -> None:
        """Have rows that were never read brought into the system's cache: these all at once, since a disk serves many
        as fast as one, and, where a process asks question after question, every row behind its back."""
        if sys.platform != "linux":
            return
        length = self.shape[1] * 4
        for place in places.tolist():
            os.posix_fadvise(self._descriptor, place * length, length, os.POSIX_FADV_WILLNEED)
        self._cold += len(places)
        if self._cold > SINGLY and not self._ahead:
            self._ahead = True
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
            if self.shape[0] * length <= memory // 4:
                Thread(target=_read_ahead, args=(os.dup(self._descriptor),), name="rag-read-ahead", daemon=True).start()

    def _compare(self, places: Ids, rows: Vectors) -> None:
        wrong = sums(rows) != self._sums[places]
        if wrong.any():
            row = int(places[wrong][0])
            raise IndexDamaged(f"{self._path} differs from its checksum in row {row}; {REMEDY}")
        self._read[places] = True


def _read_ahead(descriptor: int) -> None:
    """Have a whole file brought into the system's cache, so many bytes at a time; closes it."""
    try:
        for first in range(0, os.fstat(descriptor).st_size, AHEAD):
            os.posix_fadvise(descriptor, first, AHEAD, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(descriptor)


class Spool:
    """Rows that grow block by block; beyond `SPILL` bytes they lie in a file that vanishes with the process."""

    def __init__(self, dim: int) -> None:
        self.shape = (0, dim)
        self._blocks: list[Vectors] = []  # in memory, the newest
        self._held = 0
        self._file: IO[bytes] | None = None
        self._filed = 0  # rows in the file

    def __len__(self) -> int:
        return self.shape[0]

    def append(self, rows: Vectors, scratch: Path | None = None) -> None:
        """Take in rows (n, d); what must go to a file goes to one in `scratch`, or where temporary files go."""
        self._blocks.append(np.array(rows, dtype=np.float32))
        self._held += rows.nbytes
        self.shape = (self.shape[0] + len(rows), self.shape[1])
        if self._held > SPILL:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 (closed with the index)
                weakref.finalize(self, self._file.close)
            for block in self._blocks:
                self._file.write(block.data)
                self._filed += len(block)
            self._file.flush()
            self._blocks, self._held = [], 0

    def take(self, places: Ids) -> Vectors:
        """The rows at these places (n,), as a copy (n, d)."""
        rows = np.empty((len(places), self.shape[1]), np.float32)
        if self._file is not None:
            filed = np.memmap(self._file, np.float32, "r", shape=(self._filed, self.shape[1]))
            here = places < self._filed
            rows[here] = filed[places[here]]
        first = self._filed
        if len(self._blocks) > 1:
            self._blocks = [np.concatenate(self._blocks)]
        for block in self._blocks:
            here = places >= first
            rows[here] = block[places[here] - first]
        return rows


class HeldRows:
    """The rows of an index: those of its folder, then newer ones, in the order of its ids. Never changed."""

    def __init__(self, stored: StoredRows | None, newer: Spool, at: Ids | None) -> None:
        self._stored, self.newer = stored, newer
        self.at = at  # (n,): where each row stands, those of the folder first; None when it is the folder as it is

    @property
    def stored(self) -> int:
        """How many rows the folder holds, those included that are no longer wanted."""
        return len(self._stored) if self._stored is not None else 0

    def take(self, places: Ids) -> Vectors:
        """The rows at these places (n,), as a copy (n, d). Raises IndexDamaged when one is not what was written."""
        if self.at is None and self._stored is not None:
            return self._stored.take(places)
        at = places if self.at is None else self.at[places]
        if self._stored is None:
            return self.newer.take(at)
        here = at < self.stored
        rows = np.empty((len(at), self.newer.shape[1]), np.float32)
        rows[here] = self._stored.take(at[here])
        rows[~here] = self.newer.take(at[~here] - self.stored)
        return rows

    def whole(self) -> Vectors | None:
        """All rows without a copy, where that can be had."""
        return self._stored.whole() if self.at is None and self._stored is not None else None

    def followed(self, at: Ids) -> "HeldRows":
        """The same rows in another order, or fewer, or with those that came meanwhile."""
        return HeldRows(self._stored, self.newer, at)


def write(folder: Path, blocks: Iterable[Vectors]) -> None:
    """Write rows (n, d), given in blocks, and their sums into a folder."""
    told = [np.empty(0, np.uint64)]
    with (folder / FILE).open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype="<f4").data)
            told.append(sums(block))
    np.save(folder / SUMS, np.concatenate(told))


def steps(count: int) -> Iterator[NDArray[np.int64]]:
    """0 … count - 1 in stretches of at most STEP."""
    for first in range(0, count, STEP):
        yield np.arange(first, min(first + STEP, count), dtype=np.int64)
