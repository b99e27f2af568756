"""Blind comparisons: the order is as good as random and always the same, judgements count, and who wins is measured."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.api.application import create
from rag.app import App, opening
from rag.ask import Question, ask
from rag.errors import Conflict, NotFound, WrongUsage
from rag.experiments.blind import following, judge, shown, side_by_side
from rag.experiments.plans import configurations
from rag.experiments.preferences import PRIOR, choice_of, rates, strengths, swapped, wilson
from rag.experiments.running import run
from rag.store.interactions import Query
from rag.store.log import forgetting
from rag.store.reviews import preferences as store
from rag.store.reviews.preferences import Choice
from rag.types import Example, Principal
from tests.api import OTTERS, TIDES, client, make_token, small
from tests.test_replay import add

ASKED = "What do sea otters do while they sleep?"
Tally = list[tuple[str, str, Choice, int]]


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[App]:
    """An experiment of two questions and two configurations, on SQLite and on PostgreSQL."""
    with opening(small(tmp_path, database=database_url, scorers=("faithfulness",)), create=True) as app:
        add(app, otters=OTTERS, tides=TIDES)
        configured = configurations(
            {"one": {"passages": 1}, "both": {"abstain": "never", "mode": "semantic"}}, app.settings, ""
        )
        examples = [Example("1", ASKED), Example("2", "Zebras?")]
        from threading import Event

        run(app, configured, examples, app.local(), name="try", questions="mine", cancel=Event())
        yield app


# ── one judgement after the other ───────────────────────────────────────────────────────────────────────────────────


def test_pairs_are_judged_until_none_is_left(app: App) -> None:
    with app.database.read() as connection:
        from rag.store import experiments

        kept = experiments.get(connection, app.tenant_id, "try")
    ann, bob = Principal(app.tenant_id, "ann"), Principal(app.tenant_id, "bob")
    pair = following(app, ann, kept)
    assert pair is not None  # the answers to the other question, or to this one, may say the same
    assert (pair.pair.first, pair.pair.second) == ("one", "both")
    turned = swapped(pair.pair.first_id, pair.pair.second_id)
    assert (pair.b.id if turned else pair.a.id) == pair.pair.first_id
    made = judge(app, ann, pair.pair.second_id, pair.pair.first_id, "a", "clear")  # named the other way round
    assert (made.first, made.second, made.swapped, made.comment) == ("one", "both", turned, "clear")
    assert made.choice == ("second" if turned else "first")
    assert made.chosen_id == pair.a.id
    assert made.rejected_id == pair.b.id
    after = following(app, ann, kept)
    assert after is None or after.pair.first_id != pair.pair.first_id
    assert following(app, bob, kept) == pair
    judge(app, bob, pair.pair.first_id, pair.pair.second_id, "neither")
    again = judge(app, ann, pair.pair.first_id, pair.pair.second_id, "tie")  # in place of what she said before
    with app.database.read() as connection:
        listed = store.listing(connection, app.tenant_id, limit=10)
        tally = store.tally(connection, app.tenant_id, experiment_id=kept.id)
        assert store.tally(connection, app.tenant_id, user="ann") == [("one", "both", "tie", 1)]
        assert store.listing(connection, app.tenant_id, limit=10, before=again.id, user="ann") == []
    assert [(each.user, each.choice, each.chosen_id) for each in listed] == [
        ("ann", "tie", None),
        ("bob", "neither", None),
    ]
    assert tally == [("one", "both", "neither", 1), ("one", "both", "tie", 1)]


def test_a_pair_of_which_one_was_erased_is_passed_over(app: App) -> None:
    with app.database.read() as connection:
        from rag.store import experiments

        kept = experiments.get(connection, app.tenant_id, "try")
    ann = Principal(app.tenant_id, "ann")
    found = following(app, ann, kept)
    assert found is not None
    forgetting.erase(app.database, app.tenant_id, [found.pair.first_id], actor="boss", asked=Query())
    left = following(app, ann, kept)
    assert left is None or left.pair.first_id != found.pair.first_id
    with pytest.raises(Conflict, match="were erased"):
        judge(app, ann, found.pair.first_id, found.pair.second_id, "a")


def test_two_configurations_answer_side_by_side_and_are_named_by_what_differs(tmp_path: Path) -> None:
    with opening(small(tmp_path), create=True) as app:
        add(app, otters=OTTERS, tides=TIDES)
        side_by_side_in(app)


def side_by_side_in(app: App) -> None:
    pair = side_by_side(app, app.local(), ASKED, {"passages": 2}, {"mode": "keyword", "passages": 2})
    assert {pair.pair.first, pair.pair.second} == {"mode hybrid", "mode keyword"}
    assert {pair.a.origin, pair.b.origin} == {"human"}
    other = ask(app.answering(), Question("When does the tide rise?"), app.local())
    with pytest.raises(WrongUsage, match="different questions"):
        shown(app, app.local(), pair.a.id, other.id)
    with pytest.raises(WrongUsage, match="with itself"):
        shown(app, app.local(), other.id, other.id)
    with pytest.raises(WrongUsage, match="a, b, tie, neither"):
        judge(app, app.local(), pair.a.id, pair.b.id, "first")
    with pytest.raises(NotFound):
        judge(app, Principal(999, "eve"), pair.a.id, pair.b.id, "a")


def test_over_http_nothing_tells_whose_an_answer_is(tmp_path: Path) -> None:
    with opening(small(tmp_path), create=True) as app:
        add(app, otters=OTTERS, tides=TIDES)
        token, narrow = make_token(app), make_token(app, "eve", ["zoo"])
        browser, eve = client(create(app), token=token), client(create(app), token=narrow)
        asked = {"question": ASKED, "first": {"mode": "keyword"}, "second": {"mode": "semantic", "passages": 1}}
        pair = browser.post("/api/comparisons", json=asked).json()
        assert "keyword" not in str({name: pair[name] for name in ("question", "experiment_id")})
        assert {"answer", "abstained", "citations", "passages"} == set(pair["a"])
        ids = {"first_id": pair["first_id"], "second_id": pair["second_id"]}
        assert eve.post("/api/preferences", json=ids | {"choice": "a"}).status_code == 404
        page = f"/compare/pair?first={pair['first_id']}&second={pair['second_id']}"
        blind = browser.get(page).text
        assert "keyword" not in blind
        assert "semantic" not in blind
        told = browser.post("/api/preferences", json=ids | {"choice": "b", "comment": "short"}).json()
        better = told["first"] if told["choice"] == "first" else told["second"]
        assert better in ("mode keyword, k 8", "mode semantic, k 1")
        (row,) = browser.get("/api/preferences/rates").json()["pairs"]
        assert (row["wins"] + row["losses"], row["ties"]) == (1, 0)
        assert len(browser.get("/api/preferences").json()["preferences"]) == 1
        assert eve.get("/api/preferences").json()["preferences"] == []
        assert eve.get("/api/experiments").status_code == 403
        for side in ({"generator": "transformers:/etc"}, {"reranker": "/etc"}, {"fallback": "openai:http://x#m"}):
            refused = browser.post("/api/comparisons", json=asked | {"first": side})
            assert refused.status_code == 403, side
        wrong = browser.post("/api/comparisons", json=asked | {"first": {"max_answer_tokens": 9000, "port": 1}})
        assert (wrong.status_code, "may not set max_answer_tokens, port" in wrong.text) == (403, True)
        wrong = browser.post("/api/comparisons", json=asked | {"first": {"alpha": 7}})
        assert (wrong.status_code, "alpha lies between" in wrong.text) == (400, True)

        assert "mode keyword, k 8" in browser.get(page).text, "whoever has judged is told"
        form = ids | {"choice": "tie"}
        kept = browser.post("/compare/pair", data=form, headers={"origin": "http://127.0.0.1:8000"})
        assert (kept.status_code, kept.headers["location"]) == (303, page)
        assert "both are good" in browser.get("/compare").text

        again = browser.post(f"/api/interactions/{pair['first_id']}/replays", json={"at_original_index": True})
        assert again.status_code == 201
        told = again.json()
        assert told["same_passages"]
        key = told["second"]["interaction_id"]
        assert browser.get(f"/api/interactions/{key}/difference").json()["first"]["interaction_id"] == pair["first_id"]
        assert eve.get(f"/api/interactions/{key}/difference").status_code == 404
        alone = browser.get(f"/api/interactions/{pair['first_id']}/difference")
        assert (alone.status_code, "replays none" in alone.text) == (400, True)


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_is_a_is_as_good_as_random_and_always_the_same() -> None:
    from scipy import stats

    found = [swapped(f"first{n}", f"second{n}") for n in range(2000)]
    assert found == [swapped(f"first{n}", f"second{n}") for n in range(2000)]
    assert stats.binomtest(sum(found), 2000).pvalue > 0.001
    said = [(choice_of("a", swapped=turned), choice_of("b", swapped=turned)) for turned in (False, True)]
    assert said == [("first", "second"), ("second", "first")]


@given(st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons(counts: tuple[int, int]) -> None:
    from scipy import stats

    wins, n = counts
    found = wilson(wins, n)
    if not n:
        assert found is None
        return
    theirs = stats.binomtest(wins, n).proportion_ci(method="wilson")
    assert found == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_pair_is_one_whichever_stood_first() -> None:
    tally: Tally = [("b", "a", "first", 3), ("a", "b", "first", 1), ("a", "b", "tie", 2), ("b", "a", "neither", 4)]
    (rate,) = rates(tally)
    assert (rate.first, rate.second) == ("a", "b")
    assert (rate.wins, rate.losses, rate.ties, rate.neither, rate.share) == (1, 3, 2, 4, 0.25)
    assert rates([("a", "b", "tie", 1)])[0].share is None


def test_strengths_are_those_of_bradley_and_terry() -> None:
    """Against the likelihood maximised by another's optimiser."""
    from scipy import optimize

    tally: Tally = [("a", "b", "first", 8), ("a", "b", "second", 4), ("b", "c", "first", 9), ("b", "c", "second", 2),
                    ("a", "c", "first", 7), ("a", "c", "tie", 2)]  # fmt: skip
    wins = np.array([[0, 8, 8], [4, 0, 9], [1, 2, 0]]) + PRIOR * (1 - np.eye(3))

    def unlikely(strength: np.ndarray) -> float:
        differs = strength[:, None] - strength[None, :]
        return float((wins * np.log1p(np.exp(-differs))).sum() + (strength.sum()) ** 2)

    best = optimize.minimize(unlikely, np.zeros(3), tol=1e-12).x
    beats = 1 / (1 + np.exp(-(best[:, None] - best[None, :])))
    shares = (beats.sum(axis=1) - 0.5) / 2
    found = {each.name: each for each in strengths(tally)}
    assert [found[name].share for name in "abc"] == pytest.approx(shares, abs=1e-4)
    assert [each.name for each in strengths(tally)] == ["a", "b", "c"]
    assert all(each.low <= each.share <= each.high for each in found.values())
    assert found["a"].judged == 21
    assert strengths([("a", "b", "neither", 5)]) == []
    assert strengths(tally) == strengths(tally)
