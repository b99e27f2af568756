"""Rules that fill queues, and measures of agreement: reproducible, idempotent, as the papers say."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import WrongUsage
from rag.reviews import agreement
from rag.reviews import filling as reviewing
from rag.reviews.agreement import Measure, alpha, kappa, percent
from rag.reviews.filling import FEWEST, fill, in_share, keep_filled, mid_rank, next_item
from rag.reviews.rules import parse, rule_json
from rag.store import interactions as interaction_store
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.reviews import items as item_store
from rag.store.reviews import queues as queue_store
from rag.types import Score
from tests.test_interactions import collection, interaction, record
from tests.test_reviews import who

__all__ = ["collection"]


def queue(database: Database, collection: Collection, rule: dict[str, object], name: str = "q") -> None:
    with database.write() as connection:
        queue_store.add(connection, collection.tenant_id, name, rule_json(parse(rule)), user="boss")


def chosen(database: Database, collection: Collection, name: str = "q") -> dict[int, tuple[str, ...]]:
    """What is in a queue by number, with the reasons."""
    with database.read() as connection:
        found = queue_store.get(connection, collection.tenant_id, name)
        items = item_store.listing(connection, who(collection), found.id, limit=1000)
    return {int(item.interaction_id[3:]): item.reasons for item in items}


def rate(database: Database, collection: Collection, number: int, rating: int) -> None:
    key = interaction(collection, number).id
    with database.write() as connection:
        interaction_store.add_feedback(
            connection, collection.tenant_id, key, user="ann", rating=rating, label=None, comment=None
        )


# ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_clause_chooses_what_it_says_and_filling_twice_changes_nothing(
    database: Database, collection: Collection
) -> None:
    low = Score("faithfulness", 0.31)
    changes: dict[int, dict[str, object]] = {
        1: {"scores": (low,)},
        2: {"scores": (low, Score("faithfulness", 0.9))},  # the newest counts
        3: {"scores": (Score("faithfulness", None),)},
        4: {"answer": None, "error": "the server went away"},
    }
    record(
        database,
        collection,
        *[interaction(collection, n, **({"scores": ()} | changes.get(n, {}))) for n in range(1, 8)],
    )
    for number, rating in ((5, -1), (6, -1), (6, 1)):  # who thinks better of it has not disliked it
        rate(database, collection, number, rating)
    clauses = [
        {"kind": "low_score", "score": "faithfulness", "below": 0.5, "priority": 3},
        {"kind": "thumbs_down"},
        {"kind": "failed"},
        {"kind": "refused"},
    ]
    queue(database, collection, {"any": clauses})
    filled = fill(database, collection.tenant_id, "q")
    assert (filled.added, filled.full) == (3, False)
    assert filled.by == {"low_score:faithfulness": 1, "thumbs_down": 1, "failed": 1}
    expected = {1: ("faithfulness 0.31, below 0.5",), 4: ("failed",), 5: ("thumbs down",)}
    assert chosen(database, collection) == expected
    assert fill(database, collection.tenant_id, "q").added == 0
    assert chosen(database, collection) == expected
    found = next_item(database, who(collection), "q")
    assert found is not None
    assert int(found[0].interaction_id[3:]) == 1, "the highest priority goes first"


def test_a_queue_is_filled_with_what_came_since_when_somebody_asks_for_the_next(
    database: Database, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(database, collection, interaction(collection, 1))
    queue(database, collection, {"any": [{"kind": "thumbs_down"}]})
    assert next_item(database, who(collection), "q") is None
    rate(database, collection, 1, -1)
    assert next_item(database, who(collection), "q") is None, "it has just looked"
    monkeypatch.setattr(reviewing, "FRESH_S", -1.0)
    found = next_item(database, who(collection), "q")
    assert found is not None
    assert found[0].reasons == ("thumbs down",)


def test_quotas_and_conditions_hold(database: Database, collection: Collection) -> None:
    for number in range(1, 21):
        model = "big" if number % 2 else "small"
        record(database, collection, interaction(collection, number, model=model))
    queue(database, collection, {"any": [{"kind": "every", "quota": 3}]}, "few")
    assert fill(database, collection.tenant_id, "few").full
    assert sorted(chosen(database, collection, "few")) == [18, 19, 20], "the newest"
    queue(database, collection, {"any": [{"kind": "every"}], "waiting": 5}, "short")
    assert fill(database, collection.tenant_id, "short").added == 5
    assert fill(database, collection.tenant_id, "short").added == 0
    queue(database, collection, {"any": [{"kind": "every"}], "each": {"model": 2}}, "each")
    fill(database, collection.tenant_id, "each")
    assert sorted(chosen(database, collection, "each")) == [17, 18, 19, 20]
    queue(database, collection, {"any": [{"kind": "every"}], "where": {"model": "big"}}, "big")
    assert fill(database, collection.tenant_id, "big").looked_at == 10
    assert all(number % 2 for number in chosen(database, collection, "big"))


def test_two_that_fill_a_queue_at_once_keep_its_quotas(database: Database, collection: Collection) -> None:
    record(database, collection, *[interaction(collection, number) for number in range(1, 41)])
    queue(database, collection, {"any": [{"kind": "every", "quota": 7}]})
    together = threading.Barrier(4)

    def filling(_: int) -> int:
        together.wait()
        return fill(database, collection.tenant_id, "q").added

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(filling, range(4))) == 7
    assert len(chosen(database, collection)) == 7


def test_workers_keep_every_queue_filled_however_many_they_are(
    database: Database, collection: Collection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record(database, collection, *[interaction(collection, number) for number in range(1, 21)])
    queue(database, collection, {"any": [{"kind": "every", "quota": 9}]})
    queue(database, collection, {"any": [{"kind": "thumbs_down"}]}, "bad")
    with database.write() as connection:  # as an older version might have left it
        queue_store.add(connection, collection.tenant_id, "none", {"any": [{"kind": "shoes"}]}, user="boss")
    rate(database, collection, 3, -1)
    together = threading.Barrier(3)

    def filling(_: int) -> int:
        together.wait()
        return keep_filled(database)

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(filling, range(3))) == 10
    assert "the review queue 'none' could not be filled" in caplog.text
    assert (len(chosen(database, collection)), set(chosen(database, collection, "bad"))) == (9, {3})
    rate(database, collection, 4, -1)
    assert keep_filled(database) == 0, "it has just looked"
    monkeypatch.setattr(reviewing, "FRESH_S", -1.0)
    assert keep_filled(database) == 1
    assert set(chosen(database, collection, "bad")) == {3, 4}


def test_a_rule_that_is_changed_while_its_queue_is_filled_is_applied_whole(
    database: Database, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(database, collection, *[interaction(collection, number) for number in range(1, 6)])
    rate(database, collection, 2, -1)
    queue(database, collection, {"any": [{"kind": "thumbs_down"}]})
    page, changed = reviewing.choice.page, []

    def looking(*arguments: object, **more: object) -> object:
        if not changed:
            changed.append(True)
            with database.write() as connection:
                told = rule_json(parse({"any": [{"kind": "every"}]}))
                queue_store.change(connection, collection.tenant_id, "q", user="boss", rule=told)
        return page(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(reviewing.choice, "page", looking)
    assert fill(database, collection.tenant_id, "q").added == 5
    assert set(chosen(database, collection)) == {1, 2, 3, 4, 5}


def test_a_disagreement_is_a_distance_of_ranks_among_recent_ones(database: Database, collection: Collection) -> None:
    """Faithfulness of 0.9 is middling where most have 0.9; scales do not matter, ranks do."""
    rule: dict[str, object] = {
        "any": [{"kind": "disagreement", "scores": ["faithfulness", "answer_relevancy"], "distance": 0.5}]
    }
    queue(database, collection, rule)
    entries = []
    for number in range(1, FEWEST + 1):
        value = number / 1000
        entries.append(interaction(collection, number, scores=_both(0.9, value)))
    entries.append(interaction(collection, 90, scores=_both(1.0, 0.0)))
    entries.append(interaction(collection, 91, scores=_both(0.0, 0.5)))
    record(database, collection, *entries[: FEWEST - 1])
    told = fill(database, collection.tenant_id, "q")
    assert told.added == 0
    assert "ranks need 20" in told.notes[0]
    record(database, collection, *entries[FEWEST - 1 :])
    assert not fill(database, collection.tenant_id, "q").notes
    assert chosen(database, collection) == {
        90: ("faithfulness ranks high (98%), answer_relevancy low (2%)",),
        91: ("answer_relevancy ranks high (98%), faithfulness low (2%)",),
    }


def _both(one: float, other: float) -> tuple[Score, ...]:
    return Score("faithfulness", one), Score("answer_relevancy", other)


def test_a_random_share_is_the_same_every_time_and_about_as_large_as_it_says() -> None:
    keys = [f"01J{number:023d}" for number in range(20_000)]
    small, large = ({key for key in keys if in_share(key, share)} for share in (0.05, 0.2))
    assert small < large
    assert abs(len(small) / 20_000 - 0.05) < 0.006
    assert {key for key in keys if in_share(key, 0.05, "other")} != small
    assert in_share(keys[0], 1.0)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 5))
def test_a_mid_rank_is_what_a_slow_count_says(values: list[int], value: int) -> None:
    slow = (sum(v < value for v in values) + sum(v == value for v in values) / 2) / len(values)
    assert mid_rank(value, sorted(values)) == pytest.approx(slow)


def test_a_rule_is_read_back_as_it_was_written() -> None:
    told = {
        "any": [
            {"kind": "low_score", "score": "faithfulness", "below": 0.5, "quota": 10, "priority": 2},
            {"kind": "disagreement", "scores": ["a", "b"], "distance": 0.25},
            {"kind": "share", "share": 0.05, "seed": "x"},
            {"kind": "refused"},
        ],
        "where": {"model": "m", "since": datetime(2026, 1, 1, tzinfo=UTC).isoformat(timespec="milliseconds")},
        "waiting": 200,
        "each": {"day": 5},
    }
    assert rule_json(parse(told)) == told


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ([], "JSON object"),
        ({}, "at least one clause"),
        ({"any": []}, "at least one clause"),
        ({"any": [{"kind": "vibes"}]}, "vibes"),
        ({"any": [{"kind": "every", "below": 1}]}, "'below'"),
        ({"any": [{"kind": "low_score", "score": "f"}]}, "below"),
        ({"any": [{"kind": "low_score", "score": "f", "below": True}]}, "below"),
        ({"any": [{"kind": "low_score", "score": "f", "below": float("inf")}]}, "finite"),
        ({"any": [{"kind": "low_score", "score": "f", "below": float("nan")}]}, "finite"),
        ({"any": [{"kind": "low_score", "score": "f", "below": 10**400}]}, "finite"),
        ({"any": [{"kind": "every"}], "where": {"confidence_min": 10**400}}, "finite"),
        ({"any": [{"kind": "share", "share": 0}]}, "above 0"),
        ({"any": [{"kind": "share", "share": 2}]}, "at most 1"),
        ({"any": [{"kind": "disagreement", "scores": ["a", "a"]}]}, "two scores"),
        ({"any": [{"kind": "every", "quota": 0}]}, "quota"),
        ({"any": [{"kind": "every"}, {"kind": "every"}]}, "two clauses"),
        ({"any": [{"kind": "every"}], "each": {"user": 2}}, "user"),
        ({"any": [{"kind": "every"}], "where": {"mood": "x"}}, "mood"),
        ({"any": [{"kind": "every"}], "waiting": "many"}, "waiting"),
        ({"any": [{"kind": "every"}], "all": []}, "'all'"),
    ],
)
def test_a_rule_that_is_none_is_refused_by_name(told: object, names: str) -> None:
    with pytest.raises(WrongUsage, match=names):
        parse(told)


# ── agreement ───────────────────────────────────────────────────────────────────────────────────────────────────────

MEG, OWEN = "0100000010", "1110010000"  # Krippendorff 2011, A
BEN, GERRY = "aabbdcccedda", "babbbccceddd"  # B
OBSERVERS = ("123321412***", "1233224125*3", "*3332342251*", "12332441251*")  # C


def units(*observers: str) -> list[list[str]]:
    return [[label for label in each if label != "*"] for each in zip(*observers, strict=True)]


def test_alpha_is_that_of_krippendorffs_examples() -> None:
    assert alpha(units(MEG, OWEN)).value == pytest.approx(0.095, abs=0.0005)
    assert alpha(units(BEN, GERRY)).value == pytest.approx(0.692, abs=0.0005)
    assert alpha(units(*OBSERVERS)).value == pytest.approx(0.743, abs=0.0005)
    ordinal = alpha(units(*OBSERVERS), "ordinal", "12345")
    assert ordinal.value == pytest.approx(0.815, abs=0.0005)
    assert (ordinal.items, ordinal.labels) == (11, 40)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=30))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    one, other = zip(*pairs, strict=True)
    ours = kappa(pairs).value
    if ours is None:
        assert len({*one, *other}) == 1, "both gave one and the same label only"
    else:
        assert ours == pytest.approx(metrics.cohen_kappa_score(one, other))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=12))
def test_alpha_is_what_a_slow_count_over_pairs_says(items: list[list[str]]) -> None:
    kept = [item for item in items if len(item) > 1]
    values = [label for item in kept for label in item]
    within = [(x != y) / (len(i) - 1) for i in kept for a, x in enumerate(i) for b, y in enumerate(i) if a != b]
    between = [x != y for a, x in enumerate(values) for b, y in enumerate(values) if a != b]
    found = alpha(items).value
    if not any(between):
        assert found is None
    else:
        assert found == pytest.approx(1 - (sum(within) / len(values)) / (sum(between) / len(between)))


def test_what_is_not_defined_is_none() -> None:
    nothing = Measure(None, None, None, 0, 0)
    assert (kappa([]), alpha([]), percent([])) == (nothing, nothing, nothing)
    assert alpha([["a"], ["b"]]) == nothing, "nobody judged the same item"
    assert alpha([["a", "a"], ["a", "a"]]).value is None, "without variation"
    assert kappa([("a", "a")]).value is None
    assert percent([["a", "a"]]) == Measure(1.0, None, None, 1, 2), "one item has no interval"
    assert alpha([["x", "y"]], "ordinal", "ab") == nothing, "labels without a place are missing"


def test_intervals_hold_the_value_and_shrink_with_more_items() -> None:
    random = np.random.default_rng(1)
    pairs = [(str(label), str(label) if random.random() < 0.8 else "z") for label in random.integers(0, 3, 400)]
    few, many = kappa(pairs[:40]), kappa(pairs)
    for measure in (few, many):
        assert measure.value is not None
        assert measure.low is not None
        assert measure.high is not None
        assert measure.low < measure.value < measure.high
    assert kappa(pairs) == many, "the same every time"
    assert (many.high or 0) - (many.low or 0) < (few.high or 0) - (few.low or 0)


def test_everybody_and_every_two_are_compared() -> None:
    items = {
        "1": {"ann": "good", "bob": "good", "eve": "bad"},
        "2": {"ann": "bad", "bob": "bad"},
        "3": {"ann": "good", "eve": "cannot judge"},
        "4": {"zoe": "good"},
    }
    found = agreement.of(items, ["bad", "good"])
    assert [(pair.one, pair.other, pair.agreement.value, pair.kappa.items) for pair in found.pairs] == [
        ("ann", "bob", 1.0, 2),
        ("ann", "eve", 0.0, 2),
        ("bob", "eve", 0.0, 1),
    ]
    assert found.agreement.value == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert found.ordinal is not None
    assert (found.alpha.labels, found.ordinal.labels) == (7, 5), "what has no place in the order is missing there"
    assert agreement.of(items).ordinal is None
