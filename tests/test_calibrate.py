"""Calibrating measures on questions that had no part in fitting, refuses as few as it is told, and is kept."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answers.confidence import FEATURES, KEPT, Model
from rag.api.application import create
from rag.app import opening
from rag.errors import WrongUsage
from rag.evaluation.calibrate import (
    Judged,
    Point,
    auroc,
    below_refused,
    calibrate,
    curve,
    fit,
    for_precision,
    interval,
    refitted,
)
from rag.evaluation.calibrate import aurc as area
from rag.types import Example
from tests.api import OTTERS, client, small
from tests.cli_house import House, build

NOTHING = Model((0.0,) * len(FEATURES), 0.0)
PLACES = "abcdefghijklmnopqrstuvwx"


def judged(number: int, *, seed: int = 0, shift: float = 2.0) -> Judged:
    """So many questions, half of them answerable; the first feature tells, the others are noise."""
    rng = np.random.default_rng(seed)
    answerable = np.arange(number) % 2 == 0
    features = rng.normal(size=(number, len(FEATURES)))
    features[:, 0] += shift * answerable
    examples = tuple(Example(f"q{at}", f"question {at}") for at in range(number))
    return Judged(examples, features, answerable, np.ones(number, dtype=bool))


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_auroc_and_the_curve_are_what_counting_gives(pairs: list[tuple[int, bool]]) -> None:
    confidence = np.array([value / 5 for value, _ in pairs])
    right = np.array([flag for _, flag in pairs])
    wins = [
        1.0 if one > other else 0.5 if one == other else 0.0
        for one in confidence[right]
        for other in confidence[~right]
    ]
    assert auroc(confidence, right) == pytest.approx(sum(wins) / len(wins) if wins else float("nan"), nan_ok=True)
    points = curve(confidence, right)
    for point in points:
        answered = confidence >= point.threshold
        assert point.coverage == pytest.approx(answered.mean())
        assert point.risk == pytest.approx((~right[answered]).mean())
    assert points[0].coverage == 1
    assert len(points) == len(set(confidence.tolist()))
    assert min(point.risk for point in points) - 1e-12 <= area(points) <= max(point.risk for point in points) + 1e-12


def test_the_area_of_two_points() -> None:
    assert area([Point(1.0, 0.5, 0.1), Point(0.4, 0.1, 0.9)]) == pytest.approx(0.6 * 0.5 + 0.4 * 0.1)


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=60), st.lists(st.integers(0, 20), max_size=20), st.floats(0, 0.5)
)
def test_a_threshold_refuses_no_more_than_it_may_and_no_higher_one_would_do(
    answered: list[int], others: list[int], most: float
) -> None:
    confidence = np.array([*answered, *others]) / 20
    answerable = np.arange(len(confidence)) < len(answered)
    threshold = below_refused(confidence, answerable, most)
    own = confidence[answerable]
    assert (own < threshold).mean() <= most
    higher = own[own > threshold]
    assert not len(higher) or (own < higher.min()).mean() > most


def test_a_precision_is_reached_or_the_best_one_is_named() -> None:
    confidence, right = np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, True, False, True])
    assert for_precision(confidence, right, 0.6) == 0.2
    assert for_precision(confidence, right, 1.0) == 0.4
    with pytest.raises(WrongUsage, match=r"highest that one does is 0\.500"):
        for_precision(confidence, np.array([True, True, False, False]), 0.9)


# ── fitting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fitting_finds_the_weights_that_made_the_labels() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(20_000, 2)) * (1.0, 3.0)
    likely = 1 / (1 + np.exp(-(rows @ (1.5, -0.5) + 0.7)))
    target = rng.random(len(rows)) < likely
    one, group = np.ones(len(rows)), np.zeros(len(rows), dtype=np.int64)
    weights, [bias] = fit(rows, target, [0.0, 0.0], 1e-6, one, group)
    assert [*weights, bias] == pytest.approx([1.5, -0.5, 0.7], abs=0.08)
    held, _ = fit(rows, target, [0.2, 0.1], 1e9, one, group)
    assert held == pytest.approx([0.2, 0.1], abs=1e-3)  # a prior that counts for more than all questions


def test_questions_that_are_told_apart_for_certain_end_the_fitting_too() -> None:
    rows = np.array([[0.0], [0.1], [0.9], [1.0]])
    one, group = np.ones(4), np.zeros(4, dtype=np.int64)
    weights, _ = fit(rows, np.array([False, False, True, True]), [0.0], 0.1, one, group)
    assert 0 < weights[0] < 100


def test_weights_are_fitted_where_that_tells_more_and_there_are_enough() -> None:
    many = calibrate(judged(400), NOTHING, "hybrid")
    assert (many.how, many.questions, many.answerable) == ("refitted", 400, 200)
    assert many.auroc.low < many.auroc.value < many.auroc.high
    assert many.auroc.value == pytest.approx(0.92, abs=0.03)  # two normals two apart
    assert many.refused_answerable <= 0.05 < 0.4 < many.refused_unanswerable
    assert [way.how for way in calibrate(judged(60), NOTHING, "hybrid").tried] == ["as it is", "mapped"]


def test_what_a_mode_cannot_tell_gets_no_weight() -> None:
    model = refitted(judged(400), np.arange(400), NOTHING, "keyword")
    assert model.weights[FEATURES.index("cosine")] == 0
    assert model.weights[FEATURES.index("sentence")] != 0


def test_noise_is_reported_as_noise() -> None:
    """What is fitted to noise tells nothing of questions that it has not seen."""
    found = calibrate(judged(300, shift=0.0), NOTHING, "hybrid")
    assert max(way.auroc for way in found.tried) < 0.6
    assert interval(np.linspace(0, 1, 50), np.arange(50) >= 25).value == 1.0


def test_too_few_questions_of_a_kind_are_refused() -> None:
    with pytest.raises(WrongUsage, match="19 questions with an answer: too few"):
        calibrate(judged(38), NOTHING, "hybrid")


# ── a collection's own ──────────────────────────────────────────────────────────────────────────────────────────────


def write(folder: Path) -> Path:
    """Questions on keepers of lights, and as many on what no document tells."""
    lights = [(f"zor{place}ak", f"Mira{place}") for place in PLACES]
    corpus = [
        {"_id": f"d{at}", "title": "", "text": f"The light of {light} is kept by {keeper}, who came there by boat."}
        for at, (light, keeper) in enumerate(lights)
    ]
    queries = [{"_id": f"q{at}", "text": f"Who keeps the light of {light}?"} for at, (light, _) in enumerate(lights)]
    queries += [{"_id": f"u{at}", "text": f"Which orchestra plays in quil{place}?"} for at, place in enumerate(PLACES)]
    answers = [{"_id": f"q{at}", "answers": [keeper]} for at, (_, keeper) in enumerate(lights)]
    answers += [{"_id": f"u{at}", "answers": []} for at in range(len(PLACES))]
    (folder / "qrels").mkdir(parents=True)
    for name, lines in (("corpus", corpus), ("queries", queries), ("answers", answers)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = ["query-id\tcorpus-id\tscore", *(f"q{at}\td{at}\t1" for at in range(len(PLACES)))]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = build(tmp_path_factory.mktemp("calibrating"), {})
    write(house.folder / "judged")
    return house


def test_calibrate_keeps_what_it_found_and_ask_goes_by_it(house: House) -> None:
    folder = str(house.folder / "judged")
    tried = house("calibrate", folder, "--dry-run", "--json")
    assert tried.code == 0, tried
    found = tried.json
    name = str(found["collection"])
    assert (found["kept"], found["questions"], found["answerable"], found["unfound"]) == (False, 48, 24, 0)
    assert found["auroc"]["value"] == 1.0  # type: ignore[index]
    assert found["refused_unanswerable"] == 1.0
    assert found["curve"][0]["risk"] == 0.5  # type: ignore[index]
    assert house("calibrate", "--collection", name, "--show", "--json").json["calibrated"] is False

    kept = house("calibrate", folder, "--max-refused", "0")
    assert kept.code == 0, kept
    assert "kept with the collection" in kept.out
    shown = house("calibrate", "--collection", name, "--show", "--json").json
    assert shown["calibrated"] is True
    assert len(shown["weights"]) == len(FEATURES)  # type: ignore[arg-type]
    assert "refused below" in house("calibrate", "--collection", name, "--show").out

    refused = house("ask", "--collection", name, "--json", "Which orchestra plays in quilza?").json
    assert refused["abstained"] is True
    assert refused["confidence"] < shown["threshold"]  # type: ignore[operator]
    assert refused["refusal"]["missing"] == ["orchestra", "plays", "quilza"]  # type: ignore[index]
    logged = house("logs", "show", "--json", str(refused["interaction_id"])).json
    assert (logged["answer"], logged["confidence"]) == (refused["answer"], refused["confidence"])
    answered = house("ask", "--collection", name, "--json", "Who keeps the light of zorbak?").json
    assert answered["refusal"] is None
    assert answered["confidence"] >= shown["threshold"]  # type: ignore[operator]

    assert house("calibrate", "--collection", name, "--reset").code == 0
    assert house("calibrate", "--collection", name, "--show", "--json").json["calibrated"] is False
    settings = house("collections", "show", name, "--json").json["settings"]
    assert not set(KEPT) & set(settings)  # type: ignore[call-overload]


def test_hiding_makes_questions_without_an_answer(house: House) -> None:
    found = house("calibrate", str(house.folder / "judged"), "--dry-run", "--hide", "--json").json
    assert (found["questions"], found["answerable"]) == (72, 24)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--max-refused", "0.1", "--min-precision", "0.9"), "give one of them"),
        (("--plot", "curve.txt"), "does not end in"),
    ],
)
def test_what_makes_no_sense_is_refused(house: House, flags: tuple[str, ...], said: str) -> None:
    result = house("calibrate", str(house.folder / "judged"), "--dry-run", *flags)
    assert (result.code, said in result.err) == (2, True), result


def test_a_folder_or_a_collection_must_be_named(house: House) -> None:
    result = house("calibrate", "--show")
    assert (result.code, "name a BEIR folder" in result.err) == (2, True)


# ── over the API ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_says_whether_and_when_it_is_refused(tmp_path: Path) -> None:
    with opening(small(tmp_path), create=True) as app, client(create(app)) as browser:
        assert browser.post("/api/documents", json={"text": OTTERS, "title": "Otters"}).status_code == 201
        asked = {"question": "Do otters hold hands while they sleep?"}

        def told(**how: object) -> dict[str, object]:
            found = browser.post("/api/ask", json=asked | how)
            assert found.status_code == 200, found.text
            return dict(found.json())

        plain = told()
        assert (plain["abstained"], plain["refusal"]) == (False, None)
        refused = told(abstain_threshold=1.0)
        assert refused["confidence"] == plain["confidence"]
        assert refused["abstained"] is True
        assert refused["refusal"]["closest"]["title"] == "Otters"  # type: ignore[index]
        assert refused["refusal"]["missing"] == []  # type: ignore[index]
        assert told(abstain="never", abstain_threshold=1.0)["refusal"] is None
        for wrong in ({"abstain": "sometimes"}, {"abstain_threshold": 2}):
            assert browser.post("/api/ask", json=asked | wrong).status_code == 422
        streamed = browser.post(
            "/api/ask", json=asked | {"abstain_threshold": 1}, headers={"accept": "text/event-stream"}
        )
        events = [line.removeprefix("event: ") for line in streamed.text.splitlines() if line.startswith("event: ")]
        assert events == ["started", "text", "done"]
