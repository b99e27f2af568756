"""The log in figures: sketches and intervals, figures against a slow obvious version, drift, topics."""

import itertools
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from rag.errors import NotFound, WrongUsage
from rag.insight.clusters import clusters
from rag.insight.drift import Near, drift
from rag.insight.figures import Chosen, Figures, floor, of_log, period, step_of, steps
from rag.insight.intervals import average, share
from rag.insight.sketches import merged, sketch
from rag.insight.spans import Spans, cut
from rag.insight.topics import reference
from rag.store import collections as collection_store
from rag.store import dashboard as dashboard_store
from rag.store.database import Database
from rag.store.log import asked as asked_store
from rag.store.tables import feedback, interactions, scores
from tests.synthetic_log import fill

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=10)


@pytest.fixture
def tenant(database: Database) -> int:
    with database.write() as connection:
        return collection_store.ensure_tenant(connection)


# ── sketches and intervals ──────────────────────────────────────────────────────────────────────────────────────────


@given(
    st.lists(st.floats(0.01, 1e7), min_size=1, max_size=200),
    st.lists(st.floats(0.01, 1e7), max_size=50),
    st.sampled_from([0.0, 0.5, 0.95, 1.0]),
)
def test_a_quantile_of_merged_sketches_is_within_one_percent(first: list[float], second: list[float], at: float):
    found = merged([sketch(first), sketch(second)])
    exact = sorted(first + second)[int(at * (len(first) + len(second) - 1))]
    assert found.n == len(first) + len(second)
    assert found.quantile(at) == pytest.approx(exact, rel=0.0101)


def test_a_sketch_of_nothing_has_no_quantile_and_zero_is_zero():
    assert sketch([]).quantile(0.5) is None
    assert merged([]).quantile(0.5) is None
    assert sketch([0.0, 0.0, 5.0]).quantile(0.5) == 0.0


def test_each_value_may_stand_for_several():
    assert sketch([1.0, 9.0], each=3).n == 6


def test_wilsons_interval_is_that_of_the_books():
    found = share(0, 10)
    assert found is not None
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(0.2775, abs=1e-4)  # Brown, Cai and DasGupta 2001, table for n = 10, x = 0
    half = share(5, 10)
    assert half is not None
    assert (half.low, half.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert share(0, 0) is None


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_an_average_is_the_mean_and_its_standard_error(values: list[float]):
    found = average(len(values), sum(values), sum(value * value for value in values))
    assert found is not None
    assert found.low is not None
    assert found.value == pytest.approx(np.mean(values))
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert found.value - found.low == pytest.approx(1.959964 * error, abs=1e-6)


def test_a_single_value_has_no_interval():
    found = average(1, 0.5, 0.25)
    assert found is not None
    assert (found.value, found.low, found.high) == (0.5, None, None)
    assert average(0, 0, 0) is None


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def slowly(database: Database, since: datetime, until: datetime, **chosen: str) -> dict[str, object]:
    """The figures by reading every row."""
    with database.read() as connection:
        rows = [
            row._asdict()
            for row in connection.execute(select(interactions))
            if since <= row.created_at < until and all(getattr(row, name) == value for name, value in chosen.items())
        ]
        ids = {row["id"] for row in rows}
        newest: dict[tuple[str, str], float] = {}
        for row in connection.execute(select(scores).order_by(scores.c.id)):
            if row.interaction_id in ids and row.value is not None:
                newest[row.interaction_id, row.name] = row.value
        rated = defaultdict(set)
        for row in connection.execute(select(feedback)):
            if row.interaction_id in ids:
                rated[row.rating].add(row.interaction_id)
    by_name = defaultdict(list)
    for (_, name), value in newest.items():
        by_name[name].append(value)
    times = defaultdict(list)
    for row in rows:
        for stage, taken in row["timings_ms"].items():
            times[stage].append(taken)
    return {
        "questions": len(rows),
        "users": len({row["user"] for row in rows}),
        "refused": sum(bool(row["abstained"]) for row in rows),
        "failed": sum(row["error"] is not None for row in rows),
        "tokens": (sum(r["prompt_tokens"] or 0 for r in rows), sum(r["completion_tokens"] or 0 for r in rows)),
        "good": len(rated[1]),
        "bad": len(rated[-1]),
        "scores": {name: (len(values), np.mean(values)) for name, values in by_name.items()},
        "p95": {stage: sorted(taken)[int(0.95 * (len(taken) - 1))] for stage, taken in times.items()},
    }


def told(found: Figures) -> dict[str, object]:
    return {
        "questions": found.questions,
        "users": found.users,
        "refused": found.refused.count if found.refused else 0,
        "failed": found.failed.count if found.failed else 0,
        "tokens": (found.prompt_tokens, found.completion_tokens),
        "good": found.good,
        "bad": found.bad,
        "scores": {name: (one.n, pytest.approx(one.value)) for name, one in found.scores.items()},
        "p95": {stage: pytest.approx(one.p95, rel=0.0101) for stage, one in found.stages.items()},
    }


def test_figures_are_those_of_a_slow_count(database: Database, tenant: int):
    fill(database, tenant, 400, since=BEGIN, days=10)
    fill(database, tenant, 40, since=BEGIN, days=10, seed=2, collection="other")
    spans = Spans(database)
    found = of_log(spans, tenant, BEGIN, END, Chosen(counted="all"))
    assert slowly(database, BEGIN, END) == told(found.total)
    assert len(found.over_time) == 10
    for point in found.over_time:
        assert slowly(database, point.since, point.until) == told(point.figures)
    assert list(found.by_collection) == ["default", "other"]
    for name, one in found.by_model.items():
        assert slowly(database, BEGIN, END, model=name) == told(one)
    for name, one in found.by_template.items():
        assert slowly(database, BEGIN, END, template=name) == told(one)
    narrow = of_log(spans, tenant, BEGIN, END, Chosen(collection="other", model="extractive", counted="all"))
    assert slowly(database, BEGIN, END, collection="other", model="extractive") == told(narrow.total)
    inside = (BEGIN + timedelta(days=2, hours=5), BEGIN + timedelta(days=7, minutes=3))
    assert slowly(database, *inside) == told(of_log(spans, tenant, *inside, Chosen(counted="all")).total)


def test_by_default_only_what_people_asked_counts(database: Database, tenant: int):
    people = fill(database, tenant, 70, since=BEGIN, days=10, origin="human")
    fill(database, tenant, 300, since=BEGIN, days=10, seed=2)
    fill(database, tenant, 20, since=BEGIN, days=10, seed=3, origin="generated", collection="other")
    fill(database, tenant, 30, since=BEGIN, days=10, seed=4, origin="human", replays=people[0])
    fill(database, tenant, 15, since=BEGIN, days=10, seed=5, replays=people[0])
    spans = Spans(database)
    assert Chosen() == Chosen(counted="human")
    for counted, others in (("human", 365), ("synthetic", 135), ("generated", 415)):
        found = of_log(spans, tenant, BEGIN, END, Chosen(counted=counted))
        assert slowly(database, BEGIN, END, origin=counted, replays_id=None) == told(found.total)
        assert (found.counted, found.others) == (counted, others)
        assert sum(point.figures.questions for point in found.over_time) == found.total.questions
        assert sum(one.questions for one in found.by_model.values()) == found.total.questions
    whole = of_log(spans, tenant, BEGIN, END, Chosen(counted="all"))
    assert slowly(database, BEGIN, END) == told(whole.total)
    assert whole.others == 0
    narrow = of_log(spans, tenant, BEGIN, END, Chosen(collection="other"))
    assert (narrow.total.questions, narrow.others, list(narrow.by_collection)) == (0, 20, [])


def test_very_many_synthetic_questions_leave_no_stage_of_the_few_human_ones_out(
    database: Database, tenant: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dashboard_store, "STAGED", 20)
    fill(database, tenant, 5, since=BEGIN, days=1, origin="human")
    fill(database, tenant, 400, since=BEGIN, days=1, seed=2)
    found = of_log(Spans(database), tenant, BEGIN, END, Chosen()).total
    assert slowly(database, BEGIN, END, origin="human") == told(found)
    assert found.stages["embed"].n == 5


def test_figures_that_are_kept_follow_the_log(database: Database, tenant: int):
    ids = fill(database, tenant, 60, since=BEGIN, days=10)
    spans = Spans(database)

    def same() -> Figures:
        found = of_log(spans, tenant, BEGIN, END, Chosen(counted="all")).total
        assert slowly(database, BEGIN, END) == told(found)
        return found

    before = same()
    with database.write() as connection:
        judged = {"annotator_kind": "CODE", "identifier": "x", "created_at": END}
        connection.execute(insert(scores), [{"interaction_id": ids[3], "name": "faithfulness", "value": 0.0, **judged}])
    after = same()
    assert after.scores["faithfulness"].value < before.scores["faithfulness"].value
    with database.write() as connection:
        said = {"user": "u", "label": None, "comment": None, "created_at": END}
        connection.execute(insert(feedback), [{"interaction_id": ids[7], "rating": -1, **said}])
    assert same().bad in (before.bad, before.bad + 1)
    with database.write() as connection:
        connection.execute(delete(interactions).where(interactions.c.id == ids[20]))
    assert same().questions == 59
    fill(database, tenant, 5, since=BEGIN + timedelta(days=1), days=1, seed=9)
    assert same().questions == 64


def test_kept_figures_are_not_read_again(database: Database, tenant: int):
    ids = fill(database, tenant, 30, since=BEGIN, days=10)
    spans = Spans(database)
    first = spans.of(tenant, BEGIN, END, END)
    with database.write() as connection:  # what no door of the program does: only a span that is read again sees it
        connection.execute(update(interactions).where(interactions.c.id == ids[0]).values(timings_ms={"odd": 1.0}))
    again = spans.of(tenant, BEGIN, END, END)
    assert all(one is other for one, other in zip(first, again, strict=True))


def test_of_a_day_with_very_many_questions_stages_are_sampled_and_the_total_is_not(
    database: Database, tenant: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dashboard_store, "STAGED", 20)
    ids = fill(database, tenant, 90, since=BEGIN, days=1)
    found = of_log(Spans(database), tenant, BEGIN, BEGIN + timedelta(days=1), Chosen(counted="all")).total
    exact = slowly(database, BEGIN, BEGIN + timedelta(days=1))["p95"]
    assert isinstance(exact, dict)
    assert (found.stages["total"].n, found.stages["embed"].n) == (90, 90)
    assert found.stages["total"].p95 == pytest.approx(exact["total"], rel=0.0101)
    with database.read() as connection:
        every_fifth = select(interactions.c.timings_ms).where(interactions.c.id.in_(ids[4::5]))
        sampled = sorted(timings["embed"] for timings in connection.scalars(every_fifth))
    assert found.stages["embed"].p50 == pytest.approx(sampled[(5 * len(sampled) - 1) // 2 // 5], rel=0.0101)


def test_another_tenants_log_is_not_counted(database: Database, tenant: int):
    with database.write() as connection:
        other = collection_store.ensure_tenant(connection, "other")
    fill(database, other, 20, since=BEGIN, days=10)
    assert of_log(Spans(database), tenant, BEGIN, END, Chosen(counted="all")).total.questions == 0


def test_more_scores_than_have_columns_are_all_counted(database: Database, tenant: int):
    ids = fill(database, tenant, 10, since=BEGIN, days=10)
    rows = [
        {
            "interaction_id": key,
            "name": f"extra_{at}",
            "value": at / 20 + turn / 100,
            "annotator_kind": "CODE",
            "identifier": "x",
            "created_at": END,
        }
        for turn in range(2)
        for key in ids
        for at in range(14)
    ]
    with database.write() as connection:
        connection.execute(insert(scores), rows)
    found = of_log(Spans(database), tenant, BEGIN, END, Chosen(counted="all")).total
    assert slowly(database, BEGIN, END) == told(found)
    assert {f"extra_{at}" for at in range(14)} <= set(found.scores)


def test_periods_and_steps():
    assert (step_of(BEGIN, BEGIN + timedelta(days=2)), step_of(BEGIN, END)) == ("hour", "day")
    assert step_of(BEGIN, BEGIN + timedelta(days=365)) == "week"
    assert step_of(BEGIN, BEGIN + timedelta(days=800)) == "month"
    weeks = steps(BEGIN, END, "week")
    assert weeks[0][0] == datetime(2025, 12, 29, tzinfo=UTC)  # a Monday
    assert all(one[1] == other[0] for one, other in itertools.pairwise(weeks))
    assert [begin.month for begin, _ in steps(BEGIN, BEGIN + timedelta(days=800), "month")][:14] == [
        *range(1, 13),
        1,
        2,
    ]
    assert floor(BEGIN + timedelta(hours=5, minutes=7), "hour").hour == 5
    assert period(None, END)[0] == END - timedelta(days=30)
    now = BEGIN + timedelta(days=1, hours=2)
    assert [end - begin for begin, end in cut(BEGIN, now, now)] == [timedelta(days=1)] + [timedelta(hours=1)] * 2
    for begin, end in (
        (END, BEGIN),
        (datetime.min.replace(tzinfo=UTC), END),
        (BEGIN, datetime.max.replace(tzinfo=UTC)),
    ):
        with pytest.raises(WrongUsage, match="begins before it ends"):
            period(begin, end)
    with pytest.raises(WrongUsage, match="begins before it ends"):
        period(None, datetime.min.replace(tzinfo=UTC))
    assert reference(BEGIN, END, None) == BEGIN - timedelta(days=10)
    assert reference(BEGIN, BEGIN + timedelta(days=36_500), None) == datetime(2000, 1, 1, tzinfo=UTC)
    with pytest.raises(WrongUsage, match="before the period"):
        reference(BEGIN, END, END)


# ── drift ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def near(cosines: np.ndarray, begin: datetime, answered: bool = True) -> list[Near]:
    gap = timedelta(days=10) / len(cosines)
    return [
        Near(f"{begin:%d}{at:04d}", begin + gap * at, "?", float(cosine), answered) for at, cosine in enumerate(cosines)
    ]


def test_questions_that_drift_away_are_told_from_those_that_do_not():
    draw = np.random.default_rng(1)
    before, same = draw.normal(0.6, 0.05, 400), draw.normal(0.6, 0.05, 300)
    still = drift(near(before, BEGIN), near(same, END), END, END + timedelta(days=10))
    assert still is not None
    assert still.change.low < 0 < still.change.high
    assert still.before.value == pytest.approx(0.05, abs=0.003)
    moved = drift(
        near(before, BEGIN), near(np.append(same, draw.normal(0.2, 0.05, 100)), END), END, END + timedelta(days=10)
    )
    assert moved is not None
    assert moved.change.low > 0.15
    assert moved.points[0].out is not None
    assert moved.points[-1].out is not None
    assert moved.points[-1].out.value > 0.9 > moved.points[0].out.value
    assert moved.farthest[0].cosine == min(one.cosine for one in moved.farthest)
    assert drift(near(before, BEGIN), near(same, END), END, END + timedelta(days=10)) == still


def test_too_few_questions_tell_nothing():
    some = np.full(49, 0.5)
    many = np.full(60, 0.5)
    assert drift(near(some, BEGIN), near(many, END), END, END + timedelta(days=1)) is None
    assert drift(near(many, BEGIN), near(some, END), END, END + timedelta(days=1)) is None
    assert drift(near(many, BEGIN, answered=False), near(many, END), END, END + timedelta(days=1)) is None


def test_the_nearest_cosine_is_that_of_the_first_by_meaning(database: Database, tenant: int):
    ids = fill(database, tenant, 20, since=BEGIN, days=10)
    with database.read() as connection:
        found = asked_store.nearest(connection, ids)
        rows = {row.id: row.candidates for row in connection.execute(select(interactions))}
    assert found == {key: hits[0][2]["dense"][1] for key, hits in rows.items()}


def test_a_sample_is_even_and_says_how_many_there_are(database: Database, tenant: int):
    ids = fill(database, tenant, 50, since=BEGIN, days=10)
    with database.read() as connection:
        found = asked_store.sample(connection, tenant, "default", BEGIN, END, counted="synthetic", limit=10)
        every = asked_store.sample(connection, tenant, "default", BEGIN, END, counted="all", limit=50)
        nobody = asked_store.sample(connection, tenant, "default", BEGIN, END, counted="human", limit=50)
        with pytest.raises(NotFound, match="no question to a collection 'nowhere'"):
            asked_store.sample(connection, tenant, "nowhere", BEGIN, END, counted="all", limit=10)
    assert (found.count, found.others) == (50, 0)
    assert [one.id for one in found.questions] == ids[4::5]
    assert [one.id for one in every.questions] == ids
    assert (list(nobody.questions), nobody.count, nobody.others) == ([], 0, 50)


def test_unanswered_questions_are_the_refused_the_badly_rated_and_those_with_a_low_score(
    database: Database, tenant: int
):
    fill(database, tenant, 120, since=BEGIN, days=10)
    with database.read() as connection:
        here, low_below = (connection, tenant, "default", BEGIN, END), {"score": "faithfulness", "below": 0.7}
        every = asked_store.unanswered(*here, counted="all", **low_below, limit=500)
        few = asked_store.unanswered(*here, counted="synthetic", **low_below, limit=5)
        nobody = asked_store.unanswered(*here, counted="human", **low_below, limit=5)
        refused = set(connection.scalars(select(interactions.c.id).where(interactions.c.abstained)))
        bad = set(connection.scalars(select(feedback.c.interaction_id).where(feedback.c.rating == -1)))
        low = set(
            connection.scalars(
                select(scores.c.interaction_id).where(scores.c.name == "faithfulness", scores.c.value < 0.7)
            )
        )
    assert low
    found = every.questions
    assert {one.id for one in found} == refused | bad | low
    assert (every.count, every.others) == (len(found), 0)
    assert [one.id for one in found] == sorted((one.id for one in found), reverse=True)
    assert few.questions == found[:5]
    assert (nobody.count, nobody.others) == (0, len(found))
    assert {one.id for one in found if one.low} == low


# ── topics ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_questions_of_one_topic_are_brought_together_and_named():
    texts = [
        *(f"How do I reset the password of {name}?" for name in ("my laptop", "the portal", "an account", "a phone")),
        *(f"When is the invoice for {name} due?" for name in ("March", "the rent", "April")),
        "Who painted the bridge?",
    ]
    draw = np.random.default_rng(3)
    middles = np.repeat(np.eye(3, 16), (4, 3, 1), axis=0)
    vectors = middles + draw.normal(0, 0.05, middles.shape)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    found = clusters(vectors, texts, weights=[1] * 8, smallest=3)
    assert [sorted(one.members) for one in found] == [[0, 1, 2, 3], [4, 5, 6]]
    assert "password" in found[0].label
    assert "invoice" in found[1].label
    assert found == clusters(vectors, texts, weights=[1] * 8, smallest=3)
    heavy = clusters(vectors, texts, weights=[1] * 7 + [5], smallest=3)
    assert [sorted(one.members) for one in heavy] == [[7], [0, 1, 2, 3], [4, 5, 6]]
    assert clusters(vectors[:0], [], weights=[], smallest=1) == []
