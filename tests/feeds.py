"""What index tests share: a feed in memory, the simplest permitted set, and the slow obvious vector search."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from rag.types import Bitmap, ChangeBatch, Ids, Vectors

NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Exactly these chunks may be seen."""

    chunks: frozenset[int]
    position: int = 0

    def bitmap(self) -> Bitmap:
        return Bitmap.of(sorted(self.chunks))


def allowed(ids: Sequence[int] | Ids) -> Allowed:
    return Allowed(frozenset(int(chunk) for chunk in ids))


@dataclass
class Row:
    vector: Vectors
    text: str
    added: int
    removed: int | None = None
    language: str = ""


@dataclass
class MemoryFeed:
    """Rows with the positions at which they came and went. Ids are never reused."""

    dim: int
    rows: dict[int, Row] = field(default_factory=dict)
    now: int = 0
    reads: int = 0

    def commit(self, added: Sequence[tuple[int, Vectors, str]] = (), removed: Sequence[int] = ()) -> int:
        """One transaction. Returns its position."""
        self.now += 1
        for chunk, vector, text in added:
            assert chunk not in self.rows
            self.rows[chunk] = Row(np.asarray(vector, dtype=np.float32), text, self.now)
        for chunk in removed:
            assert self.rows[chunk].removed is None
            self.rows[chunk].removed = self.now
        return self.now

    def position(self) -> int:
        return self.now

    def live_ids(self, at: int) -> Ids:
        alive = (
            chunk for chunk, row in self.rows.items() if row.added <= at and (row.removed is None or row.removed > at)
        )
        return np.array(sorted(alive), dtype=np.int64)

    def languages(self, at: int) -> tuple[str, ...]:
        return tuple(sorted({self.rows[int(chunk)].language for chunk in self.live_ids(at)}))

    def changes(self, after: int, upto: int, batch: int = 4096) -> Iterator[ChangeBatch]:
        self.reads += 1
        removed = np.setdiff1d(self.live_ids(after), self.live_ids(upto)) if after else NONE
        added = np.setdiff1d(self.live_ids(upto), self.live_ids(after) if after else NONE)
        for first in range(0, len(added), batch):
            ids = added[first : first + batch]
            rows = [self.rows[chunk] for chunk in ids.tolist()]
            vectors, texts = np.stack([row.vector for row in rows]), [row.text for row in rows]
            yield ChangeBatch(ids, vectors, texts, removed, [row.language for row in rows])
            removed = NONE
        if len(removed):
            yield ChangeBatch(NONE, np.empty((0, self.dim), np.float32), [], removed, [])


def unit(numbers: Sequence[float]) -> Vectors:
    """A row of length 1."""
    row = np.asarray(numbers, dtype=np.float64)
    return np.asarray(row / np.linalg.norm(row), dtype=np.float32)


def nearest(query: Vectors, rows: dict[int, Vectors], k: int, may: frozenset[int]) -> list[tuple[int, float]]:
    """What a vector search must answer, the slow way."""
    scores = {
        chunk: float(np.float32(sum(float(a) * float(b) for a, b in zip(query, row, strict=True))))
        for chunk, row in rows.items()
        if chunk in may
    }
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]
