"""Retrievers keep one shape whatever they wrap: the filter, the order, and the trail of every stage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rag.embedders.hashing import Hashing
from rag.errors import WrongSetting
from rag.indexes.snapshots import Indexes
from rag.indexes.tails import FollowedVectors
from rag.indexes.views import View
from rag.keywords.analysis import analyse
from rag.keywords.bm25 import idf, weights
from rag.keywords.exact import ExactKeywords
from rag.rankings.beside import Beside
from rag.rankings.fusion import weighted
from rag.retrieve import Dense, Diverse, Fused, Keyword, PerDocument, Reranked, Standing
from rag.types import Hit, Ids, Permitted, Ranking, Retriever, Vectors
from rag.vectors.exact import ExactVectors
from tests.feeds import NONE, Allowed, MemoryFeed, allowed

TEXTS = {
    3: "The river floods its bank in spring",
    5: "A bank lends money and asks for interest",
    8: "Salmon swim up the river to spawn",
    13: "Interest rates rise when money is scarce",
    21: "The river floods its bank in spring",
    34: "Boats lie on the bank of the lake",
}
QUESTIONS = ["river bank", "interest on money", "salmon", "volcano"]
EMBEDDER = Hashing(64)
TWO = Beside(2)


@dataclass(frozen=True)
class CountsSharedWords:
    """A reranker whose judgement can be checked by hand."""

    name: str = "shared words"

    def relevance(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        return np.array([len(set(analyse(a)) & set(analyse(b))) for a, b in pairs], dtype=np.float32)


def texts(chunks: Sequence[int]) -> list[str]:
    return [TEXTS[chunk] for chunk in chunks]


def rows(chunks: Sequence[int]) -> Vectors:
    return EMBEDDER.embed_passages(texts(chunks))


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> View:
    """Half of the texts in a snapshot, half in its tail."""
    feed = MemoryFeed(64)
    indexes = Indexes(tmp_path_factory.mktemp("index"), feed, fingerprint=EMBEDDER.fingerprint)
    everything = [(chunk, row, text) for (chunk, text), row in zip(TEXTS.items(), rows(list(TEXTS)), strict=True)]
    feed.commit(everything[:3])
    indexes.publish()
    feed.commit(everything[3:])
    return indexes.view()


def retrievers(view: View) -> dict[str, Retriever]:
    dense, keyword = Dense(EMBEDDER, view.vectors), Keyword(view.keywords)
    fused = Fused(dense, keyword)
    return {
        "dense": dense,
        "keyword": keyword,
        "weighted": fused,
        "shallow": Fused(dense, keyword, depth=1),
        "rrf": Fused(dense, keyword, method="rrf"),
        "beside": Fused(dense, keyword, beside=TWO),
        "reranked": Reranked(fused, CountsSharedWords(), texts, depth=4),
        "diverse": Diverse(fused, rows),
        "per document": PerDocument(fused, np.copy),
        "all of it": Diverse(Reranked(fused, CountsSharedWords(), texts), view.vectors.rows, relevance=0.5),
    }


NAMES = ["dense", "keyword", "weighted", "shallow", "rrf", "beside", "reranked", "diverse", "per document", "all of it"]


@pytest.mark.parametrize("may", [list(TEXTS), [3, 8, 34], []], ids=len)
def test_arms_that_are_searched_at_the_same_time_find_the_same(view: View, may: list[int]) -> None:
    one, other = (retrievers(view)[name].retrieve(QUESTIONS, 5, allowed(may)) for name in ("weighted", "beside"))
    assert one == other


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("may", [list(TEXTS), [3, 8, 34], [5], []], ids=len)
def test_every_retriever_keeps_the_shape(view: View, name: str, may: list[int]) -> None:
    retriever = retrievers(view)[name]
    for k in (1, 3, 50):
        rankings = retriever.retrieve(QUESTIONS, k, allowed(may))
        assert rankings == [retriever.retrieve([question], k, allowed(may))[0] for question in QUESTIONS]
        for ranking in rankings:
            assert len(ranking) <= k
            assert {hit.chunk_id for hit in ranking} <= set(may)
            assert ranking == sorted(ranking, key=lambda hit: (-hit.score, hit.chunk_id))
            for place, hit in enumerate(ranking, start=1):
                *_, last = hit.parts.values()
                assert (last.rank, last.score) == (place, hit.score)
        if name not in ("keyword", "shallow"):
            assert [len(ranking) for ranking in rankings] == [min(k, len(may))] * len(QUESTIONS)
    assert retriever.retrieve([], 3, allowed(may)) == []


def test_the_trail_of_every_stage_is_kept_in_order(view: View) -> None:
    [ranking, *_] = retrievers(view)["all of it"].retrieve(QUESTIONS, 1, allowed(TEXTS))
    assert [list(hit.parts) for hit in ranking] == [["dense", "bm25", "fused", "rerank", "diverse"]]


def test_equal_texts_tie_and_come_in_the_order_of_their_ids(view: View) -> None:
    for name in ("dense", "keyword", "weighted", "reranked"):
        [ranking, *_] = retrievers(view)[name].retrieve(QUESTIONS, 6, allowed(TEXTS))
        scores = {hit.chunk_id: hit.score for hit in ranking}
        assert scores[3] == pytest.approx(scores[21], rel=1e-6)
        order = [hit.chunk_id for hit in ranking]
        assert order.index(21) == order.index(3) + 1


@given(depth=st.integers(1, 8), alpha=st.sampled_from([0.0, 0.2, 0.5, 1.0]), question=st.sampled_from(QUESTIONS))
def test_a_hit_of_one_arm_has_its_true_score_in_the_other(depth: int, alpha: float, question: str) -> None:
    """Whatever the depth, a fused score is made of true scores: as if both arms had ranked every hit of either."""
    vectors, keywords = ExactVectors(0, NONE, np.empty((0, 64), np.float32)), ExactKeywords()
    ids = np.array(list(TEXTS))
    vectors.apply(ids, rows(list(TEXTS)), NONE, 1)
    keywords.apply(ids, [analyse(text) for text in TEXTS.values()], NONE, 1)
    dense, keyword = Dense(EMBEDDER, FollowedVectors(None, vectors, NONE, 1)), Keyword(keywords)
    may = allowed(TEXTS)
    [found] = Fused(dense, keyword, alpha=alpha, depth=depth).retrieve([question], depth, may)
    near = {hit.chunk_id: hit.score for hit in dense.retrieve([question], 99, may)[0]}
    worded = {hit.chunk_id: hit.score for hit in keyword.retrieve([question], 99, may)[0]}
    union = sorted({*list(near)[:depth], *list(worded)[:depth]})

    floor = min((near[chunk] for chunk in union), default=0.0)
    most = sum(weights(analyse(question), keywords.statistics()).values())
    most += sum(idf(len(TEXTS), 0) for term in analyse(question) if not keywords.statistics().frequency(term))
    expected = {
        chunk: alpha * ((near[chunk] - floor) / (1 - floor)) + (1 - alpha) * (worded.get(chunk, 0.0) / most)
        for chunk in union
    }
    assert [hit.score for hit in found] == pytest.approx(sorted(expected.values(), reverse=True)[:depth])
    assert [expected[hit.chunk_id] for hit in found] == pytest.approx([hit.score for hit in found])


def test_a_text_that_was_found_twice_stands_before_one_found_once() -> None:
    """Hits 1 and 2 are alike to the question; of the text of 2, 3 was found as well."""
    near = [Hit(1, 0.8, {}), Hit(2, 0.8, {}), Hit(3, 0.7, {}), Hit(4, 0.2, {})]
    seen: list[list[int]] = []

    def owners(chunks: Ids) -> Ids:
        return np.array([{1: 7, 2: 9, 3: 9, 4: 5}[chunk] for chunk in chunks.tolist()])

    def across(chunks: Sequence[int]) -> Vectors:
        seen.append(list(chunks))
        return np.array([{2: [1.0, 0.0], 3: [0.0, 1.0]}[chunk] for chunk in chunks], dtype=np.float32)

    context = Standing(owners, across, share=0.5).context(((None, 1.0), (0.0, 1.0)), 1.0)
    nothing = [lambda ids: np.zeros(len(ids))] * 2  # what the arms say of hits that they did not rank
    found = weighted([near, []], nothing, [(None, 1.0), (0.0, 1.0)], [1.0, 0.0], 4, context)
    alone = {1: 0.75, 2: 0.75, 3: 0.625, 4: 0.0}  # the way from 0.2 up to 1
    text = (0.75 / np.sqrt(0.5) - 0.2) / 0.8  # the cosine of the mean of two vectors at right angles
    expected = {1: alone[1], 4: alone[4]} | {chunk: (alone[chunk] + text) / 2 for chunk in (2, 3)}
    assert seen == [[2, 3]]
    assert {hit.chunk_id: hit.score for hit in found} == pytest.approx(expected)
    assert [hit.chunk_id for hit in found] == [2, 3, 1, 4]


@given(
    of=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    alpha=st.sampled_from([0.0, 0.5, 1.0]),
    question=st.sampled_from(QUESTIONS),
    visible=st.sets(st.sampled_from(list(TEXTS))),
)
def test_a_text_is_judged_by_its_best_hits_that_may_be_seen(
    of: list[int], share: float, alpha: float, question: str, visible: set[int]
) -> None:
    """As reckoned hit by hit; a text found once changes nothing, and what may not be seen has no say."""
    vectors, keywords = ExactVectors(0, NONE, np.empty((0, 64), np.float32)), ExactKeywords()
    vectors.apply(np.array(list(TEXTS)), rows(list(TEXTS)), NONE, 1)
    keywords.apply(np.array(list(TEXTS)), [analyse(text) for text in TEXTS.values()], NONE, 1)
    dense, keyword = Dense(EMBEDDER, FollowedVectors(None, vectors, NONE, 1)), Keyword(keywords)
    owner, may = dict(zip(TEXTS, of, strict=True)), allowed(visible)
    standing = Standing(lambda chunks: np.array([owner[chunk] for chunk in chunks.tolist()]), rows, share)
    [plain] = Fused(dense, keyword, alpha=alpha).retrieve([question], 9, may)
    [found] = Fused(dense, keyword, alpha=alpha, standing=standing).retrieve([question], 9, may)

    query = EMBEDDER.embed_queries([question])[0].astype(np.float64)
    terms, near = analyse(question), {chunk: float(query @ rows([chunk])[0]) for chunk in visible}
    worded = {chunk: float(keywords.scores(terms, np.array([chunk]))[0]) for chunk in visible}
    low, most = min(near.values(), default=0.0), keyword.ceilings([terms])[0]
    expected = {}
    for chunk, score, _ in plain:
        best = [hit.chunk_id for hit in plain if owner[hit.chunk_id] == owner[chunk]][:3]
        middle = rows(best).astype(np.float64).mean(axis=0)
        cosine = float(query @ middle) / max(float(np.linalg.norm(middle)), 1e-9)
        text = alpha * (cosine - low) / (1 - low) if low < 1 else 0.0
        text += (1 - alpha) * float(np.mean([worded[each] for each in best])) / most if most else 0.0
        expected[chunk] = score if len(best) == 1 else (1 - share) * score + share * text
    assert {hit.chunk_id: hit.score for hit in found} == pytest.approx(expected, abs=1e-5)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert all(hit.parts["fused"].score == hit.score for hit in found)


def test_the_question_is_embedded_once(view: View) -> None:
    asked: list[Sequence[str]] = []

    class Watched(Hashing):
        def embed_queries(self, texts: Sequence[str]) -> Vectors:
            asked.append(texts)
            return super().embed_queries(texts)

    fused = Fused(Dense(Watched(64), view.vectors), Keyword(view.keywords), depth=1)
    fused.retrieve(QUESTIONS, 1, allowed(TEXTS))
    assert asked == [QUESTIONS]


def test_alpha_at_its_ends_is_one_arm(view: View) -> None:
    dense, keyword = Dense(EMBEDDER, view.vectors), Keyword(view.keywords)
    may = allowed(TEXTS)
    only_near = Fused(dense, keyword, alpha=1.0).retrieve(QUESTIONS, 6, may)
    assert [[hit.chunk_id for hit in r] for r in only_near] == [
        [hit.chunk_id for hit in r] for r in dense.retrieve(QUESTIONS, 6, may)
    ]
    only_words = Fused(dense, keyword, alpha=0.0).retrieve(QUESTIONS, 6, may)
    for fused, worded in zip(only_words, keyword.retrieve(QUESTIONS, 6, may), strict=True):
        if len({hit.score for hit in worded}) > 1:
            assert [hit.chunk_id for hit in fused][: len(worded)] == [hit.chunk_id for hit in worded]


def test_reranking_is_by_the_reranker_and_then_by_id(view: View) -> None:
    [ranking] = retrievers(view)["reranked"].retrieve(["spring floods of the river"], 3, allowed(TEXTS))
    assert [(hit.chunk_id, hit.score) for hit in ranking] == [(3, 3.0), (21, 3.0), (8, 1.0)]


def test_a_reranker_that_gives_no_numbers_is_refused(view: View) -> None:
    @dataclass(frozen=True)
    class Broken(CountsSharedWords):
        def relevance(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
            return np.full(len(pairs), np.nan, dtype=np.float32)

    with pytest.raises(ValueError, match="not finite"):
        Reranked(retrievers(view)["weighted"], Broken(), texts).retrieve(["river"], 2, allowed(TEXTS))


def test_diversity_puts_a_repetition_behind_something_new(view: View) -> None:
    plain = retrievers(view)["weighted"]
    may = allowed(TEXTS)
    before = [hit.chunk_id for hit in plain.retrieve(["river floods bank"], 6, may)[0]]
    assert before[:2] == [3, 21]
    spread = Diverse(plain, rows, relevance=0.5).retrieve(["river floods bank"], 6, may)[0]
    after = [hit.chunk_id for hit in spread]
    assert sorted(after) == sorted(before)
    assert after[0] == 3
    assert after.index(21) > 2
    same = Diverse(plain, rows, relevance=1.0).retrieve(["river floods bank"], 6, may)[0]
    assert [hit.chunk_id for hit in same] == before


@given(most=st.integers(1, 3), k=st.integers(1, 6), depth=st.integers(1, 6), question=st.sampled_from(QUESTIONS))
def test_each_document_is_there_with_its_best_hits(most: int, k: int, depth: int, question: str) -> None:
    """As if everything had been ranked and thinned, however little is asked for at first."""
    vectors = ExactVectors(0, NONE, np.empty((0, 64), np.float32))
    vectors.apply(np.array(list(TEXTS)), rows(list(TEXTS)), NONE, 1)
    dense, may = Dense(EMBEDDER, FollowedVectors(None, vectors, NONE, 1)), allowed(TEXTS)

    def owners(chunks: Ids) -> Ids:
        return chunks % 2

    everything = [hit.chunk_id for hit in dense.retrieve([question], 99, may)[0]]
    of = {owner: [chunk for chunk in everything if chunk % 2 == owner][:most] for owner in (0, 1)}
    expected = [chunk for chunk in everything if chunk in of[chunk % 2]][:k]
    [found] = PerDocument(dense, owners, most, depth=depth).retrieve([question], k, may)
    assert [hit.chunk_id for hit in found] == expected
    assert all(list(hit.parts) == ["dense", "per_document"] for hit in found)


def test_documents_are_looked_for_only_so_deep(view: View) -> None:
    asked: list[int] = []

    class Watching:
        def retrieve(self, questions: Sequence[str], k: int, permitted: Permitted) -> list[Ranking]:
            asked.append(k)
            return Dense(EMBEDDER, view.vectors).retrieve(questions, k, permitted)

    [found] = PerDocument(Watching(), np.ones_like, depth=1, enough=3, deepest=4).retrieve(["river"], 1, allowed(TEXTS))
    assert (len(found), asked) == (1, [1])
    [found] = PerDocument(Watching(), np.ones_like, depth=1, enough=3, deepest=4).retrieve(["river"], 2, allowed(TEXTS))
    assert (len(found), asked) == (1, [1, 2, 4])


def test_the_position_of_the_permitted_set_is_passed_on(view: View) -> None:
    seen: list[int] = []

    class Watching:
        def search(self, queries: Vectors, k: int, permitted: Permitted) -> list[Ranking]:
            seen.append(permitted.position)
            return view.vectors.search(queries, k, permitted)

        def rows(self, ids: Sequence[int]) -> Vectors:
            return view.vectors.rows(ids)

    fused = Fused(Dense(EMBEDDER, Watching()), Keyword(view.keywords), depth=1)
    fused.retrieve(["boats interest"], 1, Allowed(frozenset(TEXTS), position=17))
    assert set(seen) == {17}


def test_rows_are_read_from_the_snapshot_and_from_the_tail(view: View) -> None:
    assert np.array_equal(view.vectors.rows([34, 3, 13, 3]), rows([34, 3, 13, 3]))
    with pytest.raises(KeyError, match="chunk 4 has no vector"):
        view.vectors.rows([3, 4])


@pytest.mark.parametrize(
    "wrong", [{"method": "magic"}, {"alpha": 1.5}, {"alpha": -0.1}, {"depth": 0}, {"rrf_k": -1}], ids=str
)
def test_wrong_settings_are_refused(view: View, wrong: dict[str, object]) -> None:
    with pytest.raises(WrongSetting):
        Fused(Dense(EMBEDDER, view.vectors), Keyword(view.keywords), **wrong)
    with pytest.raises(WrongSetting):
        Diverse(Dense(EMBEDDER, view.vectors), rows, relevance=2)
    with pytest.raises(WrongSetting):
        PerDocument(Dense(EMBEDDER, view.vectors), np.copy, most=0)
    with pytest.raises(WrongSetting):
        Standing(list, rows, share=1.5)
