"""Questions become rankings: by meaning, by words, both fused, judged again, spread out. Each is a Retriever."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np

from rag.errors import WrongSetting
from rag.keywords.analysis import analyse as analyse_text
from rag.keywords.bm25 import Statistics
from rag.rankings.arrays import Scores, find, ids_of
from rag.rankings.beside import ALONE, Beside
from rag.rankings.fusion import Context, Span, ceiling, grouped, parts_of, placed, rrf, shares, stretched, weighted
from rag.types import Embedder, Ids, Permitted, Ranking, Reranker, Retriever, Vectors
from rag.vectors.finalists import cosines

Analyse = Callable[[str], Sequence[str]]
Texts = Callable[[Sequence[int]], Sequence[str]]
"""The texts of chunks, in the order of their ids."""
Rows = Callable[[Sequence[int]], Vectors]
"""The vectors (n, d) of chunks, in the order of their ids."""
Owners = Callable[[Ids], Ids]
"""The text that each chunk is part of, by its content's id, in the order of their ids."""

DEEPEST = 6_400  # hits that are looked through for k different texts

CONTEXT = 0.3  # how much of a fused score is that of the text which the hit is part of
TOGETHER = 3  # hits by which a text is judged

Q = TypeVar("Q")  # encoded questions: vectors, or lists of terms


class VectorSearch(Protocol):
    """The part of a VectorIndex that answers questions."""

    def search(self, queries: Vectors, k: int, permitted: Permitted) -> list[Ranking]: ...

    def rows(self, ids: Sequence[int] | Ids) -> Vectors: ...


class KeywordSearch(Protocol):
    """The part of a keyword index that answers questions."""

    def statistics(self) -> Statistics: ...

    def search(self, queries: Sequence[Sequence[str]], k: int, permitted: Permitted) -> list[Ranking]: ...

    def scores(self, query: Sequence[str], ids: Ids) -> Scores: ...


class Arm(Protocol[Q]):
    """A retriever in two steps, so that a question encoded once can be asked for the scores of certain chunks too."""

    def encode(self, questions: Sequence[str]) -> Q: ...

    def search(self, encoded: Q, k: int, permitted: Permitted) -> list[Ranking]: ...

    def scores(self, encoded: Q, place: int, chunks: Ids) -> Scores:
        """What `search` gives these chunks (n,) for one of the questions, whoever may see them; 0 where it finds
        nothing."""
        ...

    def ceilings(self, encoded: Q) -> list[float]:
        """The highest score that a chunk could have for each question."""
        ...


@dataclass(frozen=True, slots=True)
class Dense:
    """Nearest by meaning. Part "dense": the cosine of question and chunk."""

    embedder: Embedder
    vectors: VectorSearch

    def encode(self, questions: Sequence[str]) -> Vectors:
        return self.embedder.embed_queries(questions)

    def scores(self, encoded: Vectors, place: int, chunks: Ids) -> Scores:
        return cosines(encoded[place], self.vectors.rows(chunks)).astype(np.float64)

    def ceilings(self, encoded: Vectors) -> list[float]:
        return [1.0] * len(encoded)

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

    def scores(self, encoded: list[Sequence[str]], place: int, chunks: Ids) -> Scores:
        return self.keywords.scores(encoded[place], chunks)

    def ceilings(self, encoded: list[Sequence[str]]) -> list[float]:
        statistics = self.keywords.statistics()
        return [ceiling(terms, statistics) for terms in encoded]

    def search(self, encoded: list[Sequence[str]], k: int, permitted: Permitted) -> list[Ranking]:
        return self.keywords.search(encoded, k, permitted)

    def retrieve(self, questions: Sequence[str], k: int, permitted: Permitted) -> list[Ranking]:
        return self.search(self.encode(questions), k, permitted) if questions else []


@dataclass(frozen=True, slots=True)
class Standing:
    """Passages of one text speak for each other: a hit is worth more where the text around it was found as well.

    `share` of a hit's fused score is that of its text: the cosine of the mean vector of the text's best TOGETHER hits,
    and the mean of their keyword scores. So a text found once is worth what its hit is, however many passages it has;
    only hits count, so a long text is judged by where it answers, and none that may not be seen has a say. Scores of
    passages and of their documents together: Callan 1994; Bendersky and Kurland 2008.
    """

    owners: Owners
    rows: Rows
    share: float = CONTEXT

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise WrongSetting(f"a share {self.share} is not between 0 (each hit alone) and 1 (whole texts)")

    def context(self, spans: tuple[Span, Span], alpha: float) -> Context:
        """How fused scores change, where the arms are dense and keyword with these spans."""

        def counted(chunks: Ids, total: Scores, each: Sequence[Scores]) -> Scores:
            owners = self.owners(chunks)
            found = grouped(owners, total, TOGETHER)
            if not len(found.places):
                return total
            dense, keyword = each
            low = float(dense.min()) if spans[0][0] is None else spans[0][0]
            high = spans[0][1]
            near = found.means(dense[found.places]) / found.lengths(self.rows(chunks[found.places].tolist()))  # (g,)
            worded = found.means(keyword[found.places])
            whole = alpha * shares(near, (low, high)) + (1 - alpha) * shares(worded, spans[1])  # (g,)
            texts = owners[found.places[found.starts]]  # (g,), ascending
            here, at = find(texts, owners)
            stood = total.copy()
            stood[here] = (1 - self.share) * total[here] + self.share * whole[at]
            return stood

        return counted


@dataclass(frozen=True, slots=True)
class Fused(Generic[Q]):
    """Both arms' first `depth` hits under one score, part "fused"; a hit keeps the parts of the arms that ranked it.

    "weighted": alpha · dense + (1 - alpha) · keyword, each as the share of the way up to the highest score that there
    could be: from the lowest of these hits to a cosine of 1, and from 0 to what the question's terms weigh together. So
    an arm counts for much only where it has found much: BM25 speaks up when a hit holds most of what was asked, and
    keeps quiet when a long question shares a few words with everything. A hit that only one arm ranked gets its true
    score from the other, asked of just these chunks; holding no term of the question is a keyword score of 0.
    With `standing`, what was found of the text that a hit is part of has a share in its score.
    "rrf": 1 / (rrf_k + rank) summed over the arms that ranked it. Cormack, Clarke and Büttcher 2009.
    """

    dense: Arm[Vectors]
    keyword: Arm[Q]
    method: Literal["weighted", "rrf"] = "weighted"
    alpha: float = 0.5
    rrf_k: int = 60
    depth: int = 100
    standing: Standing | None = None
    beside: Beside = ALONE  # the arms are searched at the same time where it has a thread for the second

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
        dense, keyword = self.beside.both(
            lambda: self.dense.search(vectors, depth, permitted), lambda: self.keyword.search(terms, depth, permitted)
        )
        if self.method == "rrf":
            return [rrf([d, w], k, rrf_k=self.rrf_k) for d, w in zip(dense, keyword, strict=True)]
        spans: list[tuple[Span, Span]] = [
            ((None, cosine), (0.0, weight))
            for cosine, weight in zip(self.dense.ceilings(vectors), self.keyword.ceilings(terms), strict=True)
        ]
        rankings = []
        for place, (near, worded) in enumerate(zip(dense, keyword, strict=True)):
            asks = [partial(self.dense.scores, vectors, place), partial(self.keyword.scores, terms, place)]
            weights = [self.alpha, 1 - self.alpha]
            context = None if self.standing is None else self.standing.context(spans[place], self.alpha)
            rankings.append(weighted([near, worded], asks, spans[place], weights, k, context))
        return rankings


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


@dataclass(frozen=True, slots=True)
class PerDocument:
    """At most `most` hits of one text, its best ones. Part "per_document".

    Of the first `depth` hits (k, if that is more) of another retriever. Where fewer than `enough` remain (k, if that is
    less) it is asked for more, up to `deepest` hits: a collection may hold fewer texts than are wanted.
    """

    retriever: Retriever
    owners: Owners
    most: int = 1
    depth: int = 50
    enough: int = 10
    deepest: int = DEEPEST

    def __post_init__(self) -> None:
        if self.most < 1:
            raise WrongSetting(f"at most {self.most} passages of one document would be none; write 1 or more")

    def retrieve(self, questions: Sequence[str], k: int, permitted: Permitted) -> list[Ranking]:
        depth = max(k, self.depth)
        return [
            self._thinned(question, ranking, depth, k, permitted)
            for question, ranking in zip(questions, self.retriever.retrieve(questions, depth, permitted), strict=True)
        ]

    def _thinned(self, question: str, ranking: Ranking, depth: int, k: int, permitted: Permitted) -> Ranking:
        kept = self._best(ranking)
        while len(kept) < min(k, self.enough) and len(ranking) == depth < self.deepest:
            depth = min(4 * depth, self.deepest)
            [ranking] = self.retriever.retrieve([question], depth, permitted)
            kept = self._best(ranking)
        return placed(kept, parts_of([ranking]), "per_document", k)

    def _best(self, ranking: Ranking) -> dict[int, float]:
        """The scores of the hits that stay."""
        owners = self.owners(ids_of(ranking)).tolist()
        seen: Counter[int] = Counter()
        kept = {}
        for hit, owner in zip(ranking, owners, strict=True):
            seen[owner] += 1
            if seen[owner] <= self.most:
                kept[hit.chunk_id] = hit.score
        return kept
