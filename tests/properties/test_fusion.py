"""Fusion depends on what the arms found, never on the order in which it is looked at."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.keywords.bm25 import Statistics
from rag.rankings.arrays import Scores
from rag.rankings.fusion import Ask, Span, ceiling, rrf, shares, weighted
from rag.types import Hit, Ids, Part, Ranking


def ranking(scores: dict[int, float], part: str) -> Ranking:
    best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return [Hit(chunk, score, {part: Part(place, score)}) for place, (chunk, score) in enumerate(best, start=1)]


def scored(scores: dict[int, float]) -> Ask:
    """An arm that knows these scores, and gives 0 to others."""

    def ask(ids: Ids) -> Scores:
        return np.array([scores.get(chunk, 0.0) for chunk in ids.tolist()])

    return ask


NONE = scored({})
chunks = st.integers(0, 20)
MINMAX: list[Span] = [(None, None), (None, None)]
spans = st.tuples(st.sampled_from([None, -1.0, 0.0]), st.sampled_from([None, 1.0, 8.0]))
# Few different scores, so that ties are common.
scores = st.dictionaries(chunks, st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0, 7.5]), max_size=12)


@given(
    dense=scores,
    keyword=scores,
    more=scores,
    ends=st.tuples(spans, spans),
    alpha=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    k=st.integers(1, 30),
)
def test_weighted_fusion_is_the_slow_obvious_one(
    dense: dict[int, float],
    keyword: dict[int, float],
    more: dict[int, float],
    ends: tuple[Span, Span],
    alpha: float,
    k: int,
) -> None:
    arms = [ranking(dense, "dense"), ranking(keyword, "bm25")]
    found = weighted(arms, [scored(more), NONE], ends, [alpha, 1 - alpha], k)
    union = dense.keys() | keyword.keys()
    total = dict.fromkeys(union, 0.0)
    for own, weight, (lowest, highest) in (({**more, **dense}, alpha, ends[0]), (keyword, 1 - alpha, ends[1])):
        values = {chunk: own.get(chunk, 0.0) for chunk in union}
        low = min(values.values(), default=0.0) if lowest is None else lowest
        high = max(values.values(), default=0.0) if highest is None else highest
        for chunk in union:
            total[chunk] += weight * ((values[chunk] - low) / (high - low) if high > low else 0)
    assert {hit.chunk_id: hit.score for hit in found} == pytest.approx(
        {hit.chunk_id: total[hit.chunk_id] for hit in found}
    )
    assert [hit.score for hit in found] == pytest.approx(sorted(total.values(), reverse=True)[:k])
    assert len(found) == min(k, len(union))
    if ends == ((None, None), (None, None)):
        assert all(0 <= hit.score <= 1 + 1e-9 for hit in found)


@given(dense=scores, keyword=scores, without=st.sets(chunks), alpha=st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_with_bounds_given_two_hits_stand_to_each_other_the_same_whatever_else_is_there(
    dense: dict[int, float], keyword: dict[int, float], without: set[int], alpha: float
) -> None:
    """A filter takes hits away; it never turns two of those that stay around."""
    bounds: list[Span] = [(0.0, 1.0), (0.0, 8.0)]

    def fused(*arms: dict[int, float]) -> dict[int, float]:
        hits = [ranking(arm, name) for arm, name in zip(arms, ("dense", "bm25"), strict=True)]
        return {
            hit.chunk_id: hit.score
            for hit in weighted(hits, [scored(dense), scored(keyword)], bounds, [alpha, 1 - alpha], 99)
        }

    every = fused(dense, keyword)
    some = fused(*({chunk: own[chunk] for chunk in own.keys() - without} for own in (dense, keyword)))
    assert some == {chunk: every[chunk] for chunk in every if chunk not in without}
    assert list(some) == [chunk for chunk in every if chunk not in without]


@given(dense=scores, keyword=scores, k=st.integers(1, 30), data=st.data())
def test_the_order_of_the_input_makes_no_difference(
    dense: dict[int, float], keyword: dict[int, float], k: int, data: st.DataObject
) -> None:
    arms = [ranking(dense, "dense"), ranking(keyword, "bm25")]
    unranked = [scored({21: 0.1, 22: 0.2}), NONE]
    found = weighted(arms, unranked, MINMAX, [0.4, 0.6], k)
    mixed = [data.draw(st.permutations(arm)) for arm in arms]
    assert weighted(mixed, unranked, MINMAX, [0.4, 0.6], k) == found
    swapped = weighted(arms[::-1], unranked[::-1], MINMAX, [0.6, 0.4], k)
    assert [hit.chunk_id for hit in swapped] == [hit.chunk_id for hit in found]
    assert [hit.chunk_id for hit in rrf(arms[::-1], k)] == [hit.chunk_id for hit in rrf(arms, k)]
    assert rrf(mixed, k) == rrf(arms, k)


@given(dense=scores, keyword=scores, k=st.integers(1, 30))
def test_a_ranking_is_ordered_and_says_where_it_comes_from(
    dense: dict[int, float], keyword: dict[int, float], k: int
) -> None:
    arms = [ranking(dense, "dense"), ranking(keyword, "bm25")]
    for found in (weighted(arms, [NONE, NONE], MINMAX, [0.5, 0.5], k), rrf(arms, k)):
        assert found == sorted(found, key=lambda hit: (-hit.score, hit.chunk_id))
        for place, hit in enumerate(found, start=1):
            assert hit.parts["fused"] == Part(place, hit.score)
            assert list(hit.parts) == [
                *(["dense"] if hit.chunk_id in dense else []),
                *(["bm25"] if hit.chunk_id in keyword else []),
                "fused",
            ]


@given(dense=scores, keyword=scores, rrf_k=st.sampled_from([0, 1, 60]))
def test_rrf_is_the_slow_obvious_one(dense: dict[int, float], keyword: dict[int, float], rrf_k: int) -> None:
    arms = [ranking(dense, "dense"), ranking(keyword, "bm25")]
    for hit in rrf(arms, 99, rrf_k=rrf_k):
        ranks = [place for arm in arms for place, own in enumerate(arm, start=1) if own.chunk_id == hit.chunk_id]
        assert hit.score == pytest.approx(sum(1 / (rrf_k + rank) for rank in ranks))


def test_worked_values() -> None:
    """Dense 0.9 and 0.5 of chunks 1, 2; BM25 8 of 2, 3; the true cosine of 3 is 0.7 and chunk 1 holds no term."""
    arms = [ranking({1: 0.9, 2: 0.5}, "dense"), ranking({2: 8.0, 3: 4.0}, "bm25")]
    found = weighted(arms, [scored({3: 0.7}), NONE], MINMAX, [0.5, 0.5], 3)
    assert [(hit.chunk_id, hit.score) for hit in found] == [
        (1, pytest.approx(0.5)),
        (2, pytest.approx(0.5)),
        (3, pytest.approx(0.5)),
    ]
    third = weighted(arms, [scored({3: 0.7}), NONE], MINMAX, [0.6, 0.4], 1)
    assert [(hit.chunk_id, hit.score) for hit in third] == [(1, pytest.approx(0.6))]
    assert np.isclose(rrf(arms, 1)[0].score, 1 / 62 + 1 / 61)


def test_worked_values_of_bounds() -> None:
    """From the lowest cosine, 0.5, to 1, and from 0 to a ceiling of 16: a weak best hit of BM25 stays weak."""
    arms = [ranking({1: 0.9, 2: 0.5}, "dense"), ranking({2: 8.0, 3: 4.0}, "bm25")]
    found = weighted(arms, [scored({3: 0.7}), NONE], [(None, 1.0), (0.0, 16.0)], [0.5, 0.5], 3)
    assert [(hit.chunk_id, hit.score) for hit in found] == [
        (1, pytest.approx(0.5 * 0.8)),
        (3, pytest.approx(0.5 * 0.4 + 0.5 * 0.25)),
        (2, pytest.approx(0.5 * 0.5)),
    ]
    assert shares(np.array([2.0, 2.0]), (None, 2.0)).tolist() == [0.0, 0.0]


def test_the_ceiling_counts_what_no_chunk_holds() -> None:
    held = {"river": 1, "bank": 3}
    statistics = Statistics(4, 5.0, lambda term: held.get(term, 0))
    river, bank, unknown = np.log1p(3.5 / 1.5), np.log1p(1.5 / 3.5), np.log1p(4.5 / 0.5)
    assert ceiling(["bank", "river", "bank"], statistics) == pytest.approx(river + 2 * bank)
    assert ceiling(["river", "vulcan"], statistics) == pytest.approx(river + unknown)
    assert ceiling([], statistics) == 0
