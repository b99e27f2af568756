"""The read route up to the passages: a question is searched among what its asker may see, at one moment."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from rag.access import Access, PermittedChunks
from rag.errors import WrongUsage
from rag.indexes.snapshots import Indexes
from rag.indexes.tails import Only
from rag.indexes.views import View
from rag.keywords.asked import Asked
from rag.keywords.asked import asked as question_asked
from rag.keywords.bm25 import idf
from rag.rankings.arrays import columns, ids_of
from rag.rankings.beside import ALONE, Beside
from rag.rankings.neighbours import widened
from rag.rankings.stages import Stage, Trail
from rag.rankings.wrapped import Embedded
from rag.retrieve import DEEPEST, Dense, Diverse, Fused, Keyword, Owners, PerDocument, Reranked, Standing
from rag.store import documents as document_store
from rag.store import surroundings
from rag.store.collections import Collection
from rag.store.collections import position as read_position
from rag.store.database import Connection, Database
from rag.store.duplicates import alike
from rag.store.duplicates.alike import Alike
from rag.store.filters.tree import Filter
from rag.store.membership import Membership
from rag.types import (
    Bitmap,
    Embedder,
    Hit,
    Ids,
    Metadata,
    Mode,
    Passage,
    Permitted,
    Principal,
    Ranking,
    Reranker,
    Retriever,
)
from rag.vectors.finalists import repeated

MAX_K = 1000
MAX_NEIGHBOURS = 10
WINDOW = 10  # hits beyond twice those wanted that are looked through for duplicates at first


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the two rankings become one."""

    method: Literal["weighted", "rrf"] = "weighted"
    alpha: float = 0.5  # weight of the semantic ranking in "weighted", 0…1
    rrf_k: int = 60
    depth: int = 100  # candidates each ranking brings

    def settings(self) -> Metadata:
        """As a collection keeps it."""
        return {"fusion": self.method, "alpha": self.alpha, "rrf_k": self.rrf_k, "depth": self.depth}


@dataclass(frozen=True, slots=True)
class Refining:
    """What is done to a ranking before its first passages are shown; by default nothing."""

    rerank_depth: int = 50  # candidates a reranker, if there is one, reads
    diversify: float = 1.0  # weight of relevance against variety, 0…1; 1 leaves the order as it is
    per_document: int = 0  # passages of one text, at most; 0: any number
    neighbours: int = 0  # chunks that a passage is widened by on either side


@dataclass(frozen=True, slots=True)
class OpenCollection:
    """A collection open for reading. Safe to share between threads."""

    database: Database
    collection: Collection
    indexes: Indexes
    access: Access
    embedder: Callable[[], Embedder]  # called only when a mode needs it; checked against the collection's fingerprint
    membership: Membership = field(default_factory=Membership)
    beside: Beside = ALONE


@dataclass(frozen=True, slots=True)
class Search:
    """One request. `k` passages are wanted; `where` narrows what is permitted, never the ranking's statistics."""

    query: str
    k: int = 10
    mode: Mode = "hybrid"
    where: Filter | None = None
    fusion: Fusion = field(default_factory=Fusion)
    refining: Refining = field(default_factory=Refining)
    at: int | None = None  # as the collection stood at this position, by permissions of now; None: as it stands


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: passages best first, the candidates behind them, and the moment all of it is true of."""

    passages: tuple[Passage, ...]
    candidates: Ranking  # best first, those of the passages left out
    position: int
    generation: int
    timings_ms: Mapping[str, float]
    stages: tuple[Stage, ...] = ()  # in the order in which they ran
    collapsed: Mapping[int, tuple[int, ...]] = field(default_factory=dict)  # chunk shown → duplicates it stands for
    corrected: Mapping[str, Sequence[str]] = field(default_factory=dict)  # word that no chunk holds → taken for these
    held: "Held | None" = field(default=None, compare=False)  # set by `search`


@dataclass(frozen=True, slots=True)
class Held:
    """What the collection holds of single words, each given as its terms, at the moment of a search; asked of its
    indexes only when somebody wants to know."""

    view: View = field(repr=False)
    permitted: Permitted = field(repr=False)

    @property
    def languages(self) -> tuple[str, ...]:
        return self.view.languages

    def rarity(self, terms: frozenset[str]) -> float:
        """How telling a word is; without terms, one that no chunk holds."""
        told = self.view.keywords.statistics()
        return idf(told.documents, max(map(told.frequency, terms), default=0))

    def seen(self, terms: frozenset[str]) -> bool:
        """Whether a chunk that may be seen holds the word."""
        ways = tuple((term,) for term in sorted(terms))
        return bool(ways) and len(self.view.keywords.holding([ways], self.permitted)) > 0


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
    with _moment(opened, asked, principal, clock) as (connection, permitted, view):
        question = question_asked(asked.query, view.languages)
        among: Permitted = permitted
        if question.phrases:
            with clock.stage("phrases"):
                among = holding(question, view, permitted)
        trail = Trail()

        def owners(ids: Ids) -> Ids:
            return opened.membership.contents(connection, opened.collection.id, ids)

        retriever = pipeline(asked, question, view, connection, owners, trail, embedder, reranker, opened.beside)
        with clock.stage("retrieve"):

            def ranked(depth: int) -> Ranking:
                return retriever.retrieve([asked.query], depth, among)[0]

            ranking = ranked(deep(asked, reranker))
        with clock.stage("duplicates"):

            def together(ids: Sequence[int]) -> Alike:
                if (
                    embedder is not None
                    and alike.only_exact(opened.collection)
                    and not repeated(view.vectors.rows(ids))
                ):
                    return Alike(tuple(ids), {})  # equal strings have equal vectors
                return alike.together(connection, opened.collection, ids)

            shown = different(ranking, asked.k, ranked, together)
        with clock.stage("passages"):
            passages = document_store.passages(
                connection, shown.hits, permitted.predicate, permitted.position, shown.others
            )
        if asked.refining.neighbours:
            with clock.stage("neighbours"):
                around = surroundings.around(
                    connection,
                    [passage.hit.chunk_id for passage in passages],
                    asked.refining.neighbours,
                    permitted.position,
                )
                passages = widened(passages, around, lambda spans: surroundings.text_between(connection, spans))
    return Found(
        tuple(passages),
        shown.rest,
        permitted.position,
        view.generation,
        clock.rounded(),
        (*trail.stages(among.bitmap().count()), *_endings(shown, len(passages), clock.timings_ms)),
        shown.others,
        {} if asked.mode == "semantic" else _corrected(question, view, permitted),
        Held(view, permitted),
    )


@contextmanager
def _moment(
    opened: OpenCollection, asked: Search, principal: Principal, clock: Clock
) -> Iterator[tuple[Connection, PermittedChunks, View]]:
    """A transaction, what may be seen, and the indexes, all of one position.

    Where a change came between the transaction and the view, what it replaced would be in neither: a second
    transaction, which sees the view's position, is then asked what could be seen there.
    """
    if asked.at is not None:
        with _then(opened, asked, asked.at, principal, clock) as moment:
            yield moment
        return
    with opened.database.read() as connection:
        with clock.stage("permitted"):
            permitted = opened.access.permitted(connection, principal, opened.collection.id, asked.where)
        with clock.stage("refresh"):
            view = opened.indexes.view(permitted.position)
        if view.position == permitted.position:
            yield connection, permitted, view
            return
    with opened.database.read() as connection:
        with clock.stage("permitted"):
            permitted = opened.access.permitted(connection, principal, opened.collection.id, asked.where, view.position)
        yield connection, permitted, view


@contextmanager
def _then(
    opened: OpenCollection, asked: Search, at: int, principal: Principal, clock: Clock
) -> Iterator[tuple[Connection, PermittedChunks, View]]:
    """A transaction, what may be seen now of an earlier position, and the indexes of that position."""
    with opened.database.read() as connection:
        now = read_position(connection, opened.collection.id)
        if not 0 <= at <= now:
            raise WrongUsage(f"the collection {opened.collection.name!r} stands at position {now}; {at} never was")
        with clock.stage("permitted"):
            permitted = opened.access.permitted_then(connection, principal, opened.collection.id, asked.where, at)
        with clock.stage("refresh"):
            view = opened.indexes.at(at)
        yield connection, permitted, view


def _corrected(question: Asked, view: View, permitted: Permitted) -> Mapping[str, Sequence[str]]:
    """The words that no chunk holds, with those they are taken for; only what stands in a chunk that may be seen."""
    told = {}
    for word, others in view.keywords.corrected(question).items():
        held = [other for other in others if len(view.keywords.holding([((other,),)], permitted))]
        if held:
            told[word] = held
    return told


def _endings(shown: "Shown", passages: int, timings_ms: Mapping[str, float]) -> tuple[Stage, Stage]:
    """The stages behind the ranking: duplicates brought together, and the cut to what is shown."""
    ranked = len(shown.hits) + len(shown.rest)
    different = ranked - sum(map(len, shown.others.values()))
    return (
        Stage("duplicates", ranked, different, timings_ms["duplicates"]),
        Stage("passages", different, passages, timings_ms["passages"] + timings_ms.get("neighbours", 0.0)),
    )


def holding(question: Asked, view: View, permitted: Permitted) -> Permitted:
    """The permitted chunks that hold every phrase of a question."""
    if not question.phrases:
        return permitted
    return Only(permitted.position, Bitmap.of(view.keywords.holding(question.phrases, permitted)))


def pipeline(
    asked: Search,
    question: Asked,
    view: View,
    connection: Connection,
    owners: Owners,
    trail: Trail,
    embedder: Embedder | None,
    reranker: Reranker | None,
    beside: Beside = ALONE,
) -> Retriever:
    """The retriever of one request, each stage a wrapper of the one before, watched by `trail`."""
    fusion, refining, depth = asked.fusion, asked.refining, deep(asked, reranker)

    def analysed(_: str) -> Asked:
        return question

    retriever: Retriever
    if embedder is None:
        retriever = trail.over("bm25", Keyword(view.keywords, analysed))
    elif asked.mode == "semantic":
        retriever = trail.over("dense", Dense(embedder, view.vectors))
    else:
        fused = Fused(
            trail.arm("dense", Dense(embedder, view.vectors)),
            trail.arm("bm25", Keyword(view.keywords, analysed)),
            method=fusion.method,
            alpha=fusion.alpha,
            rrf_k=fusion.rrf_k,
            depth=fusion.depth,
            standing=Standing(owners, view.vectors.rows),
            beside=beside,
        )
        retriever = trail.over("fused", fused)
    if reranker is not None:

        def texts(ids: Sequence[int]) -> list[str]:
            return surroundings.embedded_texts(connection, ids)

        retriever = trail.over("rerank", Reranked(retriever, reranker, texts, depth=refining.rerank_depth))
    if refining.per_document:
        deepest = DEEPEST if reranker is None else 4 * depth  # what is asked for is read by the reranker
        thinned = PerDocument(retriever, owners, refining.per_document, depth, asked.k, deepest)
        retriever = trail.over("per_document", thinned)
    if refining.diversify < 1:
        retriever = trail.over("diverse", Diverse(retriever, view.vectors.rows, refining.diversify, depth))
    return retriever


def deep(asked: Search, reranker: Reranker | None) -> int:
    """How many candidates a request ranks to its last stage."""
    return max(asked.k, asked.fusion.depth if reranker is None else asked.refining.rerank_depth)


@dataclass(frozen=True, slots=True)
class Shown:
    """The hits of an answer, each for all that says the same, and the candidates behind them."""

    hits: tuple[Hit, ...]
    others: Mapping[int, tuple[int, ...]]  # chunk id → the chunks it stands for
    rest: Ranking


def different(
    ranking: Ranking, k: int, ranked: Callable[[int], Ranking], together: Callable[[Sequence[int]], Alike]
) -> Shown:
    """The first k hits that say different things. Where duplicates leave too few, `ranked` is asked for more.

    A hit that is shown for a better ranked duplicate has that one's score.
    """
    while True:
        for window in (2 * k + WINDOW, len(ranking)):
            considered = ranking[:window]
            found = together(ids_of(considered).tolist())
            if len(found.shown) >= k:
                break
        depth = 4 * len(ranking)
        more = ranked(depth) if len(found.shown) < k and len(ranking) >= k else []
        if len(more) <= len(ranking):
            break
        ranking = more
    given = columns(ranking)
    place = {key: number for number, key in enumerate(given.ids.tolist())}
    shown = np.array([place[key] for key in found.shown[:k]], dtype=np.intp)
    first = [min(place[each] for each in (key, *found.others.get(key, ()))) for key in found.shown[:k]]
    scores = given.scores[first].tolist()
    hits = [Hit(hit.chunk_id, score, hit.parts) for hit, score in zip(given.at(shown), scores, strict=True)]
    unused = np.ones(len(given), dtype=bool)
    unused[shown] = False
    others = {hit.chunk_id: found.others[hit.chunk_id] for hit in hits if hit.chunk_id in found.others}
    return Shown(tuple(hits), others, given.at(unused))


def check(asked: Search) -> None:
    """Raise WrongUsage unless the request makes sense."""
    if not asked.query.strip():
        raise WrongUsage("the query is empty")
    if asked.mode not in get_args(Mode):
        raise WrongUsage(f"the mode is one of {', '.join(get_args(Mode))}, not {asked.mode!r}")
    if not 1 <= asked.k <= MAX_K:
        raise WrongUsage(f"k lies between 1 and {MAX_K}, not {asked.k}")
    refining = asked.refining
    if not 0 <= refining.diversify <= 1:
        raise WrongUsage(f"diversify lies between 0 (all variety) and 1 (none), not {refining.diversify}")
    if not 0 <= refining.per_document <= MAX_K:
        raise WrongUsage(f"per_document lies between 0 (any number) and {MAX_K}, not {refining.per_document}")
    if not 0 <= refining.neighbours <= MAX_NEIGHBOURS:
        raise WrongUsage(f"neighbours lies between 0 and {MAX_NEIGHBOURS}, not {refining.neighbours}")
