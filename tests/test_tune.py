"""Tuning reports what choosing gains on questions that had no part in it, and keeps only what is no accident."""

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import config
from rag.api.application import create
from rag.app import App, opening
from rag.errors import WrongSetting, WrongUsage
from rag.evaluation.tune import choose, fold_of, tune, ways
from rag.search import Fusion
from rag.store import collections as store
from rag.types import Example
from tests.api import OTTERS, TIDES, client, small
from tests.cli_house import House, build

NOW = Fusion()
OTHER = replace(NOW, alpha=0.3)
THIRD = replace(NOW, method="rrf")
COMMON = "harbour market window garden letter station"
NUMBER = 24
RARE = [f"zor{letter}ak" for letter in "abcdefghijklmnopqrstuvwx"]


def examples(number: int) -> list[Example]:
    return [Example(f"q{at}", f"question {at}", (), {"d": 1}) for at in range(number)]


# ── choosing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_gain_is_that_of_questions_that_had_no_part_in_choosing() -> None:
    """Two folds, in each of which another way is best: chosen by the one it fails on the other."""
    fold = np.array([0, 0, 1, 1])
    values = np.array([[0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 0.1, 0.1], [0.1, 0.1, 1.0, 1.0]])
    found = choose((NOW, OTHER, THIRD), values, fold, "ndcg_cut_10")
    assert found.fold_choices == (THIRD, OTHER)
    assert found.held_out.value == pytest.approx(0.1)
    assert found.default.value == pytest.approx(0.5)
    assert found.gain.mean.value == pytest.approx(-0.4)
    assert found.best == OTHER  # the first of the two that are best on all questions
    assert not found.significant


def test_a_gain_on_every_question_is_significant_and_one_on_few_is_not() -> None:
    fold = np.arange(40) % 5
    sure = choose((NOW, OTHER), np.array([np.full(40, 0.5), np.full(40, 0.6)]), fold, "ndcg_cut_10")
    assert (sure.best, sure.significant) == (OTHER, True)
    assert sure.gain.mean.value == pytest.approx(0.1)
    once = np.full(40, 0.5)
    once[7] = 1.0
    chance = choose((NOW, OTHER), np.array([np.full(40, 0.5), once]), fold, "ndcg_cut_10")
    assert (chance.best, chance.significant) == (OTHER, False)


def test_where_nothing_is_better_the_present_way_stays() -> None:
    values = np.array([np.full(20, 0.5), np.full(20, 0.5), np.full(20, 0.4)])
    found = choose((NOW, OTHER, THIRD), values, np.arange(20) % 5, "ndcg_cut_10")
    assert found.best == NOW
    assert set(found.fold_choices) == {NOW}
    assert not found.significant


@settings(max_examples=25)
@given(number=st.integers(5, 60), folds=st.integers(2, 5), seed=st.randoms())
def test_folds_are_even_and_follow_the_question_not_its_place(number: int, folds: int, seed: object) -> None:
    asked = examples(number)
    fold = fold_of(asked, folds)
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    mixed = list(range(number))
    seed.shuffle(mixed)  # type: ignore[attr-defined]
    assert fold_of([asked[at] for at in mixed], folds).tolist() == fold[mixed].tolist()


def test_the_present_way_comes_first_and_none_twice() -> None:
    for now in (NOW, THIRD, replace(NOW, alpha=0.55, depth=70)):
        tried = ways(now)
        assert tried[0] == now
        assert len(set(tried)) == len(tried)


# ── a collection's own ──────────────────────────────────────────────────────────────────────────────────────────────


def orders(words: list[str]) -> list[tuple[str, ...]]:
    return list(permutations(words))[:72]


def write(folder: Path) -> Path:
    """Questions of common words and one rare: meaning, as the hashing embedder has it, prefers what repeats the common
    ones, and words prefer the rare one."""
    words = COMMON.split()
    corpus = [
        {"_id": f"d{at}", "title": "", "text": f"A {RARE[at]} of the {words[at % 6]} stands among old grey stones."}
        for at in range(NUMBER)
    ]
    corpus += [{"_id": f"x{at}", "title": "", "text": " ".join(order)} for at, order in enumerate(orders(words))]
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in corpus))
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{at}", "text": f"{COMMON} {RARE[at]}"}) + "\n" for at in range(NUMBER))
    )
    rows = ["query-id\tcorpus-id\tscore", *(f"q{at}\td{at}\t1" for at in range(NUMBER))]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = build(tmp_path_factory.mktemp("tuning"), {})
    write(house.folder / "judged")
    assert house("eval", str(house.folder / "judged"), "--mode", "keyword").code == 0  # takes it in
    return house


def tuned(house: House, *flags: str) -> dict[str, object]:
    result = house("eval", "tune", str(house.folder / "judged"), *flags, "--json")
    assert result.code == 0, result
    return result.json


def app_of(house: House, collection: str) -> App:
    flags = {"data": house.data, "models": house.models, "embedder": "hashing:256", "collection": collection}
    return App.open(config.load(flags, environment={}).settings)


def test_what_is_tuned_is_kept_with_the_collection_and_used_until_it_is_forgotten(house: House) -> None:
    found = tuned(house)
    name, best = str(found["collection"]), found["best"]
    assert isinstance(best, dict)
    assert (found["queries"], found["folds"], found["significant"], found["kept"]) == (NUMBER, 5, True, True)
    assert best["alpha"] < 0.5
    gain = found["gain"]
    assert isinstance(gain, dict)
    assert gain["low"] > 0
    shown = house("collections", "show", name).out
    assert f"{best['alpha']}" in next(line for line in shown.splitlines() if line.split()[:1] == ["alpha"])

    app = app_of(house, name)
    try:
        assert app.fusion().settings() == best
        assert app.fusion(name).settings() == best
        assert app.fusion("another") == NOW
        assert app.fusion(asked={"alpha": 0.9, "depth": None}).settings() == {**best, "alpha": 0.9}
        with pytest.raises(WrongSetting, match="the request: alpha lies between 0"):
            app.fusion(asked={"alpha": 2})
    finally:
        app.close()
    again = tuned(house)
    assert (again["now"], again["best"], again["kept"]) == (best, best, False)  # the best there is, already

    assert tuned(house, "--forget")["forgotten"] is True
    app = app_of(house, name)
    try:
        assert app.fusion() == NOW
    finally:
        app.close()


def test_people_are_told_both_figures_and_what_became_of_it(house: House) -> None:
    result = house("eval", "tune", str(house.folder / "judged"), "--folds", "4")
    assert result.code == 0, result
    assert f"{NUMBER} judged questions, 4 folds, ndcg_cut_10" in result.out
    assert "kept with the collection" in result.out
    assert "weighted, alpha 0.5, depth 100" in result.out
    house("eval", "tune", str(house.folder / "judged"), "--forget")


def test_too_few_questions_or_an_unknown_metric_are_refused(house: House) -> None:
    name = str(tuned(house, "--forget")["collection"])
    app = app_of(house, name)
    try:
        with pytest.raises(WrongUsage, match="3 judged questions: too few to tune by; there must be 20"):
            tune(app.opened(), examples(3), NOW, app.local())
        with pytest.raises(WrongUsage, match="the folds lie between 2 and the number of questions, 20, not 21"):
            tune(app.opened(), examples(20), NOW, app.local(), folds=21)
        with pytest.raises(WrongUsage, match=f"{name!r} is not the collection they are about"):
            tune(app.opened(), examples(20), NOW, app.local())
    finally:
        app.close()
    assert house("eval", "tune", str(house.folder / "judged"), "--metric", "goodness").code == 2


def test_a_collection_that_is_not_there_yet_is_searched_as_the_settings_say(tmp_path: Path) -> None:
    flags = {"data": tmp_path / "data", "models": tmp_path, "embedder": "hashing:64", "alpha": 0.7}
    with opening(config.load(flags, environment={}).settings, create=True) as app:
        assert app.fusion() == replace(NOW, alpha=0.7)
        collection = app.corpus().collection
        with app.database.write() as connection:
            store.change_settings(connection, collection.id, {"alpha": 0.2})
        assert app.fusion() == replace(NOW, alpha=0.2)


# ── a request's own ─────────────────────────────────────────────────────────────────────────────────────────────────


def parts_of(hits: object) -> list[tuple[float, dict[str, dict[str, float]]]]:
    assert isinstance(hits, list)
    assert hits
    return [(hit["score"], hit["parts"]) for hit in hits]


def test_a_command_line_search_is_fused_as_it_asks(house: House) -> None:
    name = str(tuned(house, "--forget")["collection"])
    ways = (["--fusion", "rrf", "--rrf-k", "10"], ["--alpha", "1"], ["--alpha", "0", "--depth", "50"])
    ranked, meaning, words = (
        parts_of(house("search", f"{COMMON} {RARE[3]}", "--collection", name, *way, "--json").json["hits"])
        for way in ways
    )
    for score, parts in ranked:
        arms = [parts[arm]["rank"] for arm in ("dense", "bm25") if arm in parts]
        assert score == pytest.approx(sum(1 / (10 + rank) for rank in arms), abs=1e-6)
    assert [parts["dense"]["rank"] for _, parts in meaning] == list(range(1, len(meaning) + 1))
    assert [parts["bm25"]["rank"] for _, parts in words] == list(range(1, len(words) + 1))
    assert house("search", "x", "--alpha", "2").code == 2


def test_a_request_to_the_api_is_fused_as_it_asks_else_as_was_tuned(tmp_path: Path) -> None:
    with opening(small(tmp_path), create=True) as app:
        api = client(create(app))
        for at, text in enumerate((OTTERS, TIDES)):
            assert api.post("/api/documents", json={"text": text, "uri": f"note:{at}"}).status_code == 201
        collection = app.collection()
        with app.database.write() as connection:
            store.change_settings(connection, collection.id, {"fusion": "rrf", "rrf_k": 5})

        def top(**asked: object) -> tuple[float, dict[str, dict[str, float]]]:
            response = api.post("/api/search", json={"query": "sea otters and tide", **asked})
            assert response.status_code == 200, response.text
            return parts_of(response.json()["hits"])[0]

        score, parts = top()
        assert score == pytest.approx(sum(1 / (5 + parts[arm]["rank"]) for arm in ("dense", "bm25")), abs=1e-6)
        score, parts = top(rrf_k=20)
        assert score == pytest.approx(sum(1 / (20 + parts[arm]["rank"]) for arm in ("dense", "bm25")), abs=1e-6)
        score, parts = top(fusion="weighted", alpha=0)
        assert score < 1
        assert parts["bm25"]["rank"] == 1
        assert api.post("/api/search", json={"query": "x", "alpha": 1.5}).status_code == 422
        assert api.post("/api/search", json={"query": "x", "fusion": "sum"}).status_code == 422
        answered = api.post("/api/ask", json={"question": "Do otters hold hands?", "fusion": "weighted", "alpha": 0.25})
        assert answered.status_code == 200, answered.text
        kept = api.get(f"/api/interactions/{answered.json()['interaction_id']}").json()["settings"]
        assert (kept["fusion"], kept["alpha"], kept["rrf_k"]) == ("weighted", 0.25, 5)
