"""The read route up to the passages: a question is searched among what its asker may see, at one moment."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

from rag.access import Access
from rag.errors import WrongUsage
from rag.keywords.analysis import analyse
from rag.retrieve import Dense, Fused, Keyword, Reranked
from rag.snapshots import Indexes
from rag.store import documents as document_store
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.filters import Filter
from rag.types import Embedder, Hit, Mode, Passage, Principal, Reranker, Retriever, Vectors

MAX_K = 1000


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the two rankings become one."""

    method: Literal["weighted", "rrf"] = "weighted"
    alpha: float = 0.5  # weight of the semantic ranking, 0…1
    rrf_k: int = 60
    depth: int = 100  # candidates each ranking brings


@dataclass(frozen=True, slots=True)
class OpenCollection:
    """A collection open for reading. Safe to share between threads."""

    database: Database
    collection: Collection
    indexes: Indexes
    access: Access
    embedder: Callable[[], Embedder]  # called only when a mode needs it; checked against the collection's fingerprint


@dataclass(frozen=True, slots=True)
class Search:
    """One request. `k` passages are wanted; `where` narrows what is permitted, never the ranking's statistics."""

    query: str
    k: int = 10
    mode: Mode = "hybrid"
    where: Filter | None = None
    fusion: Fusion = field(default_factory=Fusion)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: passages best first, the candidates behind them, and the moment all of it is true of."""

    passages: tuple[Passage, ...]
    candidates: tuple[Hit, ...]  # best first, those of the passages left out
    position: int
    generation: int
    timings_ms: Mapping[str, float]


class Clock:
    """Times the stages of one request, in milliseconds."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            taken = (time.perf_counter() - began) * 1000
            self.timings_ms[name] = self.timings_ms.get(name, 0.0) + taken

    def rounded(self) -> dict[str, float]:
        """Every stage and the total until now, to the microsecond."""
        total = (time.perf_counter() - self._started) * 1000
        return {name: round(taken, 3) for name, taken in {**self.timings_ms, "total": total}.items()}


@dataclass(frozen=True, slots=True)
class Embedded:
    """An embedder that has embedded its queries already, so that no model runs while a transaction is open."""

    inner: Embedder
    queries: Mapping[str, Vectors]  # each (d,)

    @classmethod
    def of(cls, inner: Embedder, texts: Sequence[str]) -> "Embedded":
        return cls(inner, dict(zip(texts, inner.embed_queries(texts), strict=True)))

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

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        return np.stack([self.queries[text] for text in texts])

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        return self.inner.embed_passages(texts)


def search(opened: OpenCollection, asked: Search, principal: Principal, reranker: Reranker | None = None) -> Found:
    """The best passages among what `principal` may see, as of the last committed change.

    Raises WrongUsage for an empty query, an unknown mode or a k out of bounds.
    """
    check(asked)
    clock = Clock()
    embedder: Embedder | None = None
    if asked.mode != "keyword":
        with clock.stage("embed"):
            embedder = Embedded.of(opened.embedder(), [asked.query])
    with opened.database.read() as connection:
        with clock.stage("permitted"):
            permitted = opened.access.permitted(connection, principal, opened.collection.id, asked.where)
        with clock.stage("refresh"):
            view = opened.indexes.view()
        retriever: Retriever
        if embedder is None:
            retriever = Keyword(view.keywords, analyse)
        elif asked.mode == "semantic":
            retriever = Dense(embedder, view.vectors)
        else:
            retriever = Fused(
                Dense(embedder, view.vectors),
                Keyword(view.keywords, analyse),
                method=asked.fusion.method,
                alpha=asked.fusion.alpha,
                rrf_k=asked.fusion.rrf_k,
                depth=asked.fusion.depth,
            )
        if reranker is not None:

            def texts(ids: Sequence[int]) -> list[str]:
                found = document_store.chunk_texts(connection, ids)
                return [found[each] for each in ids]

            retriever = Reranked(retriever, reranker, texts, depth=asked.fusion.depth)
        with clock.stage("retrieve"):
            ranking = retriever.retrieve([asked.query], max(asked.k, asked.fusion.depth), permitted)[0]
        with clock.stage("passages"):
            passages = document_store.passages(connection, ranking[: asked.k], permitted.predicate, permitted.position)
    return Found(
        tuple(passages),
        tuple(ranking[asked.k :]),
        permitted.position,
        view.generation,
        clock.rounded(),
    )


def check(asked: Search) -> None:
    """Raise WrongUsage unless the request makes sense."""
    if not asked.query.strip():
        raise WrongUsage("the query is empty")
    if asked.mode not in get_args(Mode):
        raise WrongUsage(f"the mode is one of {', '.join(get_args(Mode))}, not {asked.mode!r}")
    if not 1 <= asked.k <= MAX_K:
        raise WrongUsage(f"k lies between 1 and {MAX_K}, not {asked.k}")
