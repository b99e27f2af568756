"""The read route up to the passages: a question is searched among what its asker may see, at one moment."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from rag.access import Access
from rag.errors import WrongUsage
from rag.retrieve import Dense, Fused, Keyword, Reranked
from rag.snapshots import Indexes
from rag.store import alike
from rag.store import documents as document_store
from rag.store.alike import Alike
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.filters import Filter
from rag.types import Embedder, Hit, Mode, Passage, Principal, Ranking, Reranker, Retriever
from rag.wrapped import Embedded

MAX_K = 1000
WINDOW = 10  # hits beyond twice those wanted that are looked through for duplicates at first


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
            retriever = Keyword(view.keywords, view.question_terms)
        elif asked.mode == "semantic":
            retriever = Dense(embedder, view.vectors)
        else:
            retriever = Fused(
                Dense(embedder, view.vectors),
                Keyword(view.keywords, view.question_terms),
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

            def ranked(depth: int) -> Ranking:
                return retriever.retrieve([asked.query], depth, permitted)[0]

            ranking = ranked(max(asked.k, asked.fusion.depth))

            def together(ids: Sequence[int]) -> Alike:
                return alike.together(connection, opened.collection, ids)

            shown = different(ranking, asked.k, ranked, together)
        with clock.stage("passages"):
            passages = document_store.passages(
                connection, shown.hits, permitted.predicate, permitted.position, shown.others
            )
    return Found(
        tuple(passages),
        shown.rest,
        permitted.position,
        view.generation,
        clock.rounded(),
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """The hits of an answer, each for all that says the same, and the candidates behind them."""

    hits: tuple[Hit, ...]
    others: Mapping[int, tuple[int, ...]]  # chunk id → the chunks it stands for
    rest: tuple[Hit, ...]


def different(
    ranking: Ranking, k: int, ranked: Callable[[int], Ranking], together: Callable[[Sequence[int]], Alike]
) -> Shown:
    """The first k hits that say different things. Where duplicates leave too few, `ranked` is asked for more.

    A hit that is shown for a better ranked duplicate has that one's score.
    """
    while True:
        for window in (2 * k + WINDOW, len(ranking)):
            considered = ranking[:window]
            found = together([hit.chunk_id for hit in considered])
            if len(found.shown) >= k:
                break
        depth = 4 * len(ranking)
        more = ranked(depth) if len(found.shown) < k and len(ranking) >= k else []
        if len(more) <= len(ranking):
            break
        ranking = more
    place = {hit.chunk_id: number for number, hit in enumerate(ranking)}
    hits = []
    for key in found.shown[:k]:
        first = min((key, *found.others.get(key, ())), key=place.__getitem__)
        hits.append(replace(ranking[place[key]], score=ranking[place[first]].score))
    used = {hit.chunk_id for hit in hits}
    rest = tuple(hit for hit in ranking if hit.chunk_id not in used)
    return Shown(tuple(hits), {key: found.others[key] for key in used if key in found.others}, rest)


def check(asked: Search) -> None:
    """Raise WrongUsage unless the request makes sense."""
    if not asked.query.strip():
        raise WrongUsage("the query is empty")
    if asked.mode not in get_args(Mode):
        raise WrongUsage(f"the mode is one of {', '.join(get_args(Mode))}, not {asked.mode!r}")
    if not 1 <= asked.k <= MAX_K:
        raise WrongUsage(f"k lies between 1 and {MAX_K}, not {asked.k}")
