"""Our metrics equal trec_eval's, and count the queries that trec_eval's Python binding leaves out."""

import random

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import WrongUsage
from rag.evaluation.metrics import by_query, metric, ranked
from rag.evaluation.runs import METRICS

NAMES = [
    *("ndcg_cut_1", "ndcg_cut_10", "recall_5", "recall_10", "recall_100", "P_1", "P_5", "P_10"),
    *("success_1", "success_5", "recip_rank", "map"),
]
FAMILIES = {"ndcg_cut.1,10", "recall.5,10,100", "P.1,5,10", "success.1,5", "recip_rank", "map"}

documents = st.sampled_from([f"d{i}" for i in range(12)] + ["é", "z", "Z", "10", "9", "文"])
queries = st.sampled_from(["q1", "q2", "q3"])
# few different scores, so that ties are common; some that differ in double precision only
scores = st.sampled_from([0.0, -1.0, 1.0, 1.0 + 1e-12, 2.5, 0.1, 0.1 + 1e-10]) | st.floats(-1e6, 1e6, width=64)


@given(
    qrels=st.dictionaries(queries, st.dictionaries(documents, st.integers(0, 4), min_size=1), min_size=1),
    run=st.dictionaries(queries, st.dictionaries(documents, scores)),
)
def test_equal_to_trec_eval(qrels: dict[str, dict[str, int]], run: dict[str, dict[str, float]]) -> None:
    theirs = pytrec_eval.RelevanceEvaluator(qrels, FAMILIES).evaluate(run)
    for name in NAMES:
        ours = by_query(name, qrels, run)
        assert ours.keys() == qrels.keys()
        for query, value in ours.items():
            assert value == pytest.approx(theirs.get(query, {}).get(name, 0.0), abs=1e-9), (name, query)


def test_equal_to_trec_eval_on_long_random_runs() -> None:
    """As above on what runs look like: 60 queries, 200 documents each, graded, incomplete, partly tied."""
    draw = random.Random(7)
    names = [f"d{number}" for number in range(400)]
    qrels = {
        f"q{number}": {name: draw.choice((0, 0, 1, 1, 2, 3)) for name in draw.sample(names, draw.randint(1, 60))}
        for number in range(60)
    }
    run = {
        query: {name: round(draw.gauss(0, 1), draw.choice((1, 12))) for name in draw.sample(names, 200)}
        for query in qrels
    }
    theirs = pytrec_eval.RelevanceEvaluator(qrels, FAMILIES).evaluate(run)
    for name in NAMES:
        for query, value in by_query(name, qrels, run).items():
            assert value == pytest.approx(theirs[query][name], abs=1e-9), (name, query)
    assert set(METRICS) <= set(NAMES), "what is measured by default is held against trec_eval here"


def test_a_silent_query_counts_as_zero() -> None:
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}}
    run = {"q1": {"a": 1.0}}
    for name in ("recip_rank", "recall_100"):
        assert by_query(name, qrels, run) == {"q1": 1.0, "q2": 0.0}


def test_what_was_not_judged_has_no_value() -> None:
    assert by_query("map", {}, {"q": {"a": 1.0}}) == {}


def test_worked_values() -> None:
    qrels = {"q": {"a": 3, "b": 1, "c": 0}}
    run = {"q": {"x": 4.0, "a": 3.0, "c": 2.0, "b": 1.0}}
    # gains 0, 3, 0, 1 at discounts 1, 1.585, 2, 2.3219; ideal 3, 1
    dcg = 3 / 1.584962500721156 + 1 / 2.321928094887362
    assert by_query("ndcg_cut_10", qrels, run)["q"] == pytest.approx(dcg / (3 + 1 / 1.584962500721156), abs=1e-12)
    assert by_query("map", qrels, run)["q"] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert by_query("recip_rank", qrels, run)["q"] == 0.5
    assert by_query("success_1", qrels, run)["q"] == 0.0
    assert by_query("success_5", qrels, run)["q"] == 1.0
    assert by_query("P_5", qrels, run)["q"] == pytest.approx(2 / 5)


def test_of_equal_scores_the_greater_name_comes_first() -> None:
    assert ranked({"a": 1.0, "b": 1.0, "c": 2.0}) == ["c", "b", "a"]


@pytest.mark.parametrize("name", ["ndcg", "ndcg_cut_0", "recall_", "mrr@10", "foo_10"])
def test_an_unknown_metric_is_refused(name: str) -> None:
    with pytest.raises(WrongUsage, match="no metric"):
        metric(name)
