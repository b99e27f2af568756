"""Embedders around embedders: with queries embedded already, with the last ones remembered, for trials."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from ingest.types import CountTokens
from rag.types import Embedder, Vectors

REMEMBERED = 32  # queries: as many as are on their way at one time


@dataclass(frozen=True, slots=True)
class _Around:
    """All that is the inner embedder's own."""

    inner: Embedder

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    @property
    def dim(self) -> int:
        return self.inner.dim

    @property
    def max_tokens(self) -> int:
        return self.inner.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self.inner.count_tokens(texts)

    def counter(self) -> Callable[[], CountTokens]:
        return self.inner.counter()


@dataclass(frozen=True, slots=True)
class Embedded(_Around):
    """An embedder that has embedded its queries already, so that no model runs while a transaction is open."""

    queries: Mapping[str, Vectors]  # each (d,)

    @classmethod
    def of(cls, inner: Embedder, texts: Sequence[str]) -> "Embedded":
        return cls(inner, dict(zip(texts, inner.embed_queries(texts), strict=True)))

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self.queries[text] for text in texts])

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        return self.inner.embed_passages(texts)


@dataclass(frozen=True, slots=True)
class Recalling(_Around):
    """An embedder that remembers the vectors of the last queries, so that what was searched for is scored without
    embedding it again, and of the last passages that came alone, so that one may be embedded before it is asked for:
    whoever asks meanwhile waits for it. Safe to share between threads."""

    _last: dict[str, Vectors] = field(default_factory=dict)  # each (d,), the latest last
    _alone: dict[str, Future[Vectors]] = field(default_factory=dict)  # passages, each (1, d), the latest last
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        with self._lock:
            rows = {text: self._last[text] for text in texts if text in self._last}
        missing = [text for text in dict.fromkeys(texts) if text not in rows]
        if missing:
            rows |= zip(missing, self.inner.embed_queries(missing), strict=True)
            with self._lock:
                self._last.update((text, rows[text]) for text in missing[-REMEMBERED:])
                for text in list(self._last)[:-REMEMBERED]:
                    del self._last[text]
        return np.stack([rows[text] for text in texts]) if rows else self.inner.embed_queries(texts)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        if len(texts) != 1:
            return self.inner.embed_passages(texts)
        made = Future[Vectors]()
        with self._lock:
            told = self._alone.setdefault(texts[0], made)
            for text in list(self._alone)[:-REMEMBERED]:
                del self._alone[text]
        if told is made:
            try:
                made.set_result(self.inner.embed_passages(texts))
            except BaseException as error:
                with self._lock:
                    self._alone.pop(texts[0], None)
                made.set_exception(error)
        return told.result().copy()


@dataclass(frozen=True, slots=True)
class Unembedded(_Around):
    """An embedder for trials whose vectors nobody will compare: every text has the first unit vector."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed_passages(texts)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        rows[:, 0] = 1
        return rows
