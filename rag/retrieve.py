"""Questions become rankings: by meaning, by words, both fused, judged again, spread out. Each is a Retriever."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np

from rag.errors import WrongSetting
from rag.fusion import parts_of, placed, rrf, stretched, weighted
from rag.keywords.analysis import analyse as analyse_text
from rag.tails import Only
from rag.types import Bitmap, Embedder, Permitted, Ranking, Reranker, Retriever, Vectors

Analyse = Callable[[str], Sequence[str]]
Texts = Callable[[Sequence[int]], Sequence[str]]
"""The texts of chunks, in the order of their ids."""
Rows = Callable[[Sequence[int]], Vectors]
"""The vectors (n, d) of chunks, in the order of their ids."""

R = TypeVar("R")
Q = TypeVar("Q")  # encoded questions: vectors, or lists of terms


class VectorSearch(Protocol):
    """The part of a VectorIndex that answers questions."""

    def search(self, queries: Vectors, k: int, permitted: Permitted) -> list[Ranking]: ...


class KeywordSearch(Protocol):
    """The part of a KeywordIndex that answers questions."""

    def search(self, queries: Sequence[Sequence[str]], k: int, permitted: Permitted) -> list[Ranking]: ...


class Arm(Protocol[Q]):
    """A retriever in two steps, so that a question encoded once can be asked again of fewer chunks."""

    def encode(self, questions: Sequence[str]) -> Q: ...

    def search(self, encoded: Q, k: int, permitted: Permitted) -> list[Ranking]: ...

    def one(self, encoded: Q, place: int) -> Q:
        """One of the encoded questions, as a batch of one."""
        ...


@dataclass(frozen=True, slots=True)
class Dense:
    """Nearest by meaning. Part "dense": the cosine of question and chunk."""

    embedder: Embedder
    vectors: VectorSearch

    def encode(self, questions: Sequence[str]) -> Vectors:
        return self.embedder.embed_queries(questions)

    def one(self, encoded: Vectors, place: int) -> Vectors:
        return encoded[place : place + 1]

    def search(self, encoded: Vectors, k: int, permitted: Permitted) -> list[Ranking]:
        return self.vectors.search(encoded, k, permitted)

    def retrieve(self, questions: Sequence[str], k: int, permitted: Permitted) -> list[Ranking]:
        return self.search(self.encode(questions), k, permitted) if questions else []


@dataclass(frozen=True, slots=True)
class Keyword:
    """Best by words. Part "bm25"; a chunk without any of the question's terms is no hit."""

    keywords: KeywordSearch
    analyse: Analyse = analyse_text

    def encode(self, questions: Sequence[str]) -> list[Sequence[str]]:
        return [self.analyse(question) for question in questions]

    def one(self, encoded: list[Sequence[str]], place: int) -> list[Sequence[str]]:
        return encoded[place : place + 1]

    def search(self, encoded: list[Sequence[str]], k: int, permitted: Permitted) -> list[Ranking]:
        return self.keywords.search(encoded, k, permitted)

    def retrieve(self, questions: Sequence[str], k: int, permitted: Permitted) -> list[Ranking]:
        return self.search(self.encode(questions), k, permitted) if questions else []


@dataclass(frozen=True, slots=True)
class Fused(Generic[Q]):
    """Both arms' first `depth` hits under one score, part "fused"; a hit keeps the parts of the arms that ranked it.

    "weighted": each arm's scores of all these hits are stretched to 0…1, then alpha · dense + (1 - alpha) · keyword.
    A hit that only one arm ranked gets its true score from the other, asked again of just these chunks; holding no
    term of the question is a keyword score of 0.
    "rrf": 1 / (rrf_k + rank) summed over the arms that ranked it. Cormack, Clarke and Büttcher 2009.
    """

    dense: Arm[Vectors]
    keyword: Arm[Q]
    method: Literal["weighted", "rrf"] = "weighted"
    alpha: float = 0.5
    rrf_k: int = 60
    depth: int = 100

    def __post_init__(self) -> None:
        if self.method not in ("weighted", "rrf"):
            raise WrongSetting(f"fusion method {self.method!r} is not known; there are weighted and rrf")
        if not 0 <= self.alpha <= 1:
            raise WrongSetting(f"alpha {self.alpha} is not between 0 (keywords only) and 1 (meaning only)")
        if self.depth < 1 or self.rrf_k < 0:
            raise WrongSetting("depth must be at least 1 and rrf_k at least 0")

    def retrieve(self, questions: Sequence[str], k: int, permitted: Permitted) -> list[Ranking]:
        if not questions:
            return []
        depth = max(self.depth, k)
        vectors, terms = self.dense.encode(questions), self.keyword.encode(questions)
        dense = self.dense.search(vectors, depth, permitted)
        keyword = self.keyword.search(terms, depth, permitted)
        if self.method == "rrf":
            return [rrf([d, w], k, rrf_k=self.rrf_k) for d, w in zip(dense, keyword, strict=True)]
        rankings = []
        for place, (near, worded) in enumerate(zip(dense, keyword, strict=True)):
            missing_near, missing_worded = _missing(near, worded), _missing(worded, near)
            more_near = self._ask(self.dense, vectors, place, missing_near, permitted)
            more_worded = self._ask(self.keyword, terms, place, missing_worded, permitted)
            rankings.append(weighted([near, worded], [more_near, more_worded], [self.alpha, 1 - self.alpha], k))
        return rankings

    def _ask(self, arm: Arm[R], encoded: R, place: int, chunks: list[int], permitted: Permitted) -> dict[int, float]:
        """The true scores of these chunks in an arm; those it does not find are left out."""
        if not chunks:
            return {}
        only = Only(permitted.position, Bitmap.of(chunks))
        return {hit.chunk_id: hit.score for hit in arm.search(arm.one(encoded, place), len(chunks), only)[0]}


def _missing(here: Ranking, there: Ranking) -> list[int]:
    held = {hit.chunk_id for hit in here}
    return sorted(hit.chunk_id for hit in there if hit.chunk_id not in held)


@dataclass(frozen=True, slots=True)
class Reranked:
    """The first `depth` hits (k, if that is more) of another retriever in the order of a reranker. Part "rerank"."""

    retriever: Retriever
    reranker: Reranker
    texts: Texts
    depth: int = 50

    def retrieve(self, questions: Sequence[str], k: int, permitted: Permitted) -> list[Ranking]:
        rankings = self.retriever.retrieve(questions, max(k, self.depth), permitted)
        wanted = sorted({hit.chunk_id for ranking in rankings for hit in ranking})
        if not wanted:
            return rankings
        texts = dict(zip(wanted, self.texts(wanted), strict=True))
        pairs = [
            (question, texts[hit.chunk_id])
            for question, ranking in zip(questions, rankings, strict=True)
            for hit in ranking
        ]
        scores = self.reranker.relevance(pairs)
        if scores.shape != (len(pairs),) or not np.isfinite(scores).all():
            raise ValueError(
                f"{self.reranker.name} gave {scores.shape} scores for {len(pairs)} pairs, or some not finite"
            )
        judged = iter(scores.tolist())
        reranked = []
        for ranking in rankings:
            ours = {hit.chunk_id: float(next(judged)) for hit in ranking}
            reranked.append(placed(ours, parts_of([ranking]), "rerank", k))
        return reranked


@dataclass(frozen=True, slots=True)
class Diverse:
    """Maximal marginal relevance: hits that say what better ones said already come later. Part "diverse".

    Of the first `depth` hits (k, if that is more) of another retriever, chosen one after the other by
    relevance · stretched score - (1 - relevance) · greatest cosine to those chosen. Carbonell and Goldstein 1998.
    """

    retriever: Retriever
    rows: Rows
    relevance: float = 0.7  # 1 keeps the order as it is
    depth: int = 50

    def __post_init__(self) -> None:
        if not 0 <= self.relevance <= 1:
            raise WrongSetting(f"relevance {self.relevance} is not between 0 (all variety) and 1 (none)")

    def retrieve(self, questions: Sequence[str], k: int, permitted: Permitted) -> list[Ranking]:
        rankings = self.retriever.retrieve(questions, max(k, self.depth), permitted)
        return [self._spread(ranking, k) for ranking in rankings]

    def _spread(self, ranking: Ranking, k: int) -> Ranking:
        if not ranking:
            return []
        hits = sorted(ranking, key=lambda hit: hit.chunk_id)
        rows = self.rows([hit.chunk_id for hit in hits]).astype(np.float64)  # (n, d)
        worth = self.relevance * stretched(np.array([hit.score for hit in hits]))  # (n,)
        nearest = np.zeros(len(hits))  # (n,), to what is chosen; at least 0, so that values never rise again
        open_ = np.ones(len(hits), dtype=bool)
        values: dict[int, float] = {}
        for _ in range(min(max(k, 0), len(hits))):
            value = np.where(open_, worth - (1 - self.relevance) * nearest, -np.inf)
            best = int(np.argmax(value))  # the first of equals: the lowest chunk id
            values[hits[best].chunk_id] = float(value[best])
            open_[best] = False
            nearest = np.maximum(nearest, (rows * rows[best]).sum(axis=1))
        return placed(values, parts_of([ranking]), "diverse", k)
