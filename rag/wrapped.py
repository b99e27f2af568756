"""Embedders around embedders: one that has embedded its queries already, one for trials that embeds nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ingest.types import CountTokens
from rag.types import Embedder, Vectors


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
class Unembedded(_Around):
    """An embedder for trials whose vectors nobody will compare: every text has the first unit vector."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed_passages(texts)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        rows[:, 0] = 1
        return rows
