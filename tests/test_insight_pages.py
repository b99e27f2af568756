"""Dashboard, Log and Evaluation without a browser: the API, the command line and the pages tell the same."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from rag.api.application import create
from rag.api.pages.asked import Asked, of_query
from rag.api.pages.charts import Series, Value, bars, lines, round_step
from rag.api.pages.log import waterfall
from rag.app import App, opening
from rag.client import Client
from rag.errors import WrongUsage
from rag.evaluation.runs import METRICS, averaged, figures, judged
from rag.experiments.running import run
from rag.store import evaluations as evaluation_store
from rag.store import interactions as store
from rag.store.experiments import Configured
from rag.store.log import standing
from rag.store.reviews import queues as queue_store
from rag.store.tables import interactions, scores
from rag.types import CancelToken, Example
from tests.api import HERE, OTTERS, client, make_token, small
from tests.cli_house import House
from tests.synthetic_log import fill
from tests.test_api import conforms
from tests.test_client import InProcess

ORIGIN = {"origin": HERE}
COUNT = 130
SINCE = datetime.now(UTC) - timedelta(days=12)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, FastAPI]]:
    """A document, a real answer, a made-up log of twelve days, two runs of an evaluation, a queue of reviews."""
    with opening(small(tmp_path_factory.mktemp("insight")), create=True) as app:
        api = create(app)
        http = client(api)
        http.post("/api/documents", json={"text": OTTERS, "uri": "note:1", "title": "Otters"}).raise_for_status()
        http.post("/api/ask", json={"question": "How do otters sleep?"}).raise_for_status()
        tenant = app.tenant_id
        fill(app.database, tenant, COUNT, since=SINCE, days=11, collection_id=app.collection().id)
        with app.database.write() as connection:
            for name, worth in (("earlier", 0.2), ("later", 0.9)):
                examples = [Example(f"q{at}", f"question {at}?", (), {"d1": 1}) for at in range(20)]
                rankings = {f"q{at}": {"d1": worth * at, "d2": 9.0 * (at % 2)} for at in range(20)}
                found = judged(examples, rankings, METRICS, {f"q{at}": 1.0 + at for at in range(20)})
                run = evaluation_store.NewEvaluation(
                    name=name,
                    folder="small",
                    digest=b"1",
                    mode="hybrid",
                    settings={"k": 10},
                    version="0",
                    metrics=figures(averaged(found, METRICS)),
                    latency_ms={"p50": 2.0, "p95": 3.0, "mean": 2.0},
                )
                evaluation_store.add(connection, tenant, run, found)
            queue_store.add(connection, tenant, "doubtful", {}, user="ann")
        yield app, api


@pytest.fixture
def http(house: tuple[App, FastAPI]) -> TestClient:
    return client(house[1])


def ids(app: App, **where: object) -> list[str]:
    """Ids of the log, the newest first."""
    query = select(interactions.c.id).order_by(interactions.c.created_at.desc())
    for name, value in where.items():
        query = query.where(getattr(interactions.c, name) == value)
    with app.database.read() as connection:
        return list(connection.scalars(query))


def listed(text: str) -> list[str]:
    """The ids that a page of the log shows, in its order."""
    return list(dict.fromkeys(re.findall(r'class="question" href="/log/([0-9A-Z]{26})"', text)))


# ── the dashboard ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_api_and_the_command_line_tell_the_same(house: tuple[App, FastAPI], http: TestClient):
    app = house[0]
    since = f"{SINCE:%Y-%m-%d}"
    params = {"since": since, "model": "extractive", "origin": "all"}
    found = http.get("/api/dashboard", params=params).raise_for_status().json()
    said = House(app.settings.data.parent, app.settings.models)(
        "dashboard", "--since", since, "--model", "extractive", "--origin", "all", "--json"
    )
    assert said.json == found
    conforms(http, "Dashboard", found)
    assert found["total"]["questions"] == len(ids(app, model="extractive"))
    assert sum(point["questions"] for point in found["over_time"]) == found["total"]["questions"]
    assert [one["name"] for one in found["by_model"]] == ["extractive"]
    told = House(app.settings.data.parent, app.settings.models)("dashboard", "--since", since, "--origin", "all")
    whole = http.get("/api/dashboard", params={"since": since, "origin": "all"}).json()["total"]
    assert whole["questions"] == COUNT + 1
    assert f"questions   {COUNT + 1} by {whole['users']} users" in told.out


def test_parts_that_need_more_questions_say_so(house: tuple[App, FastAPI], http: TestClient):
    app = house[0]
    params = {"since": f"{SINCE:%Y-%m-%d}", "origin": "synthetic"}
    drift = http.get("/api/dashboard/drift", params=params).raise_for_status().json()
    assert drift["drift"] is None
    assert (drift["questions"], drift["others"]) == (COUNT, 1)
    assert http.get("/api/dashboard/topics", params={"since": f"{SINCE:%Y-%m-%d}"}).json()["limit"] is None
    page = http.get("/dashboard/drift")
    assert "Too few questions to tell" in page.text
    run = House(app.settings.data.parent, app.settings.models)
    assert "too few questions to tell" in run("dashboard", "drift").out
    assert "too few older questions to tell" in run("dashboard", "topics").out
    assert http.get("/api/dashboard/drift", params={"collection": "nowhere"}).status_code == 404
    assert "no question to a collection" in http.get("/dashboard/drift", params={"collection": "nowhere"}).text


def test_drift_and_new_topics_between_two_halves(house: tuple[App, FastAPI], http: TestClient):
    middle = SINCE + timedelta(days=5, hours=12)
    params = {"since": f"{middle:%Y-%m-%dT%H:%M:%S}", "before": f"{SINCE:%Y-%m-%d}", "origin": "all"}
    drift = http.get("/api/dashboard/drift", params=params).raise_for_status().json()
    conforms(http, "DriftFound", drift)
    assert drift["drift"]["now"]["n"] == drift["measured"]
    assert drift["drift"]["before"]["n"] == drift["measured_before"]
    conforms(http, "NewTopics", http.get("/api/dashboard/topics", params=params).raise_for_status().json())
    backwards = http.get("/api/dashboard/drift", params=params | {"before": "2050-01-01"})
    assert backwards.status_code == 400


def test_what_to_write_next_names_the_closest_document(house: tuple[App, FastAPI], http: TestClient):
    app = house[0]
    found = http.get("/api/dashboard/unanswered", params={"origin": "synthetic"}).raise_for_status().json()
    conforms(http, "Topics", found)
    assert found["topics"]
    assert found["read"] == found["questions"] >= len(ids(app, abstained=True))
    for topic in found["topics"]:
        assert topic["size"] >= 3
        assert topic["closest"]["title"] == "Otters"
    said = House(app.settings.data.parent, app.settings.models)
    assert said("dashboard", "unanswered", "--origin", "synthetic", "--json").json == found
    page = http.get("/dashboard/unanswered", params={"origin": "synthetic"}).text
    assert all(f"/log/{one['interaction_id']}" in page for topic in found["topics"] for one in topic["examples"])


def test_a_topic_that_nobody_asked_about_before_is_found_and_named(tmp_path: Path):
    with opening(small(tmp_path), create=True) as app:
        http = client(create(app))
        http.post("/api/documents", json={"text": OTTERS, "uri": "note:1", "title": "Otters"}).raise_for_status()
        middle = SINCE + timedelta(days=5)
        fill(app.database, app.tenant_id, 90, since=SINCE, days=5, origin="human")
        fill(app.database, app.tenant_id, 60, since=middle, days=5, seed=2, origin="human")
        asked = "Which museum near harbour {number} shows old submarines?"
        planted = fill(app.database, app.tenant_id, 12, since=middle, days=5, seed=3, wording=asked, origin="human")
        fill(app.database, app.tenant_id, 20, since=middle, days=5, seed=4, wording=f"Is {asked}")
        params = {"since": f"{middle:%Y-%m-%dT%H:%M:%S}", "before": f"{SINCE:%Y-%m-%dT%H:%M:%S}"}
        found = http.get("/api/dashboard/topics", params=params).raise_for_status().json()
        first = found["topics"][0]
        assert first["size"] == len(planted)
        assert {"submarines", "museum"} & set(first["label"])
        assert {one["interaction_id"] for one in first["examples"]} <= set(planted)
        said = House(app.settings.data.parent, app.settings.models)
        told = said("dashboard", "topics", "--since", params["since"], "--before", params["before"])
        assert "12 questions" in told.out


def test_a_period_that_is_none_is_refused(http: TestClient):
    assert http.get("/api/dashboard", params={"since": "2026-02-01", "until": "2026-01-01"}).status_code == 400
    assert http.get("/api/dashboard", params={"since": "0001-01-01"}).status_code == 400
    assert http.get("/dashboard/figures", params={"since": "2026-13-01"}).status_code == 400
    assert http.get("/dashboard", params={"days": "5"}).status_code == 400
    for part in ("", "/drift", "/topics", "/unanswered"):
        for params in ({"since": "0001-01-01"}, {"until": "9999-12-31T23:59:59"}, {"until": "0001-01-01"}):
            assert http.get(f"/api/dashboard{part}", params=params).status_code == 400
    for params in ({"since": "0001-01-01"}, {"until": "9999-12-31"}):
        assert http.get("/dashboard/figures", params=params).status_code == 400


def test_whoever_is_bound_to_labels_sees_no_figures_and_only_own_questions(tmp_path: Path):
    with opening(small(tmp_path), create=True) as app:
        http = client(create(app), token=make_token(app, "bound", ["x"]))
        fill(app.database, app.tenant_id, 5, since=SINCE, days=1)
        for address in ("/api/dashboard", "/api/dashboard/drift", "/dashboard", "/dashboard/figures", "/evaluation"):
            assert http.get(address).status_code == 403
        assert listed(http.get("/log").text) == []
        assert http.get("/log", params={"user": "user1"}).status_code == 403
        assert http.get(f"/log/{ids(app)[0]}").status_code == 404


def test_every_number_of_the_dashboard_leads_to_as_many_rows(house: tuple[App, FastAPI], http: TestClient):
    """The table of models: each number, and the rows that its link lists."""
    for origin, at_least in (("human", 3), ("synthetic", 9), ("generated", 0), ("all", 9)):
        text = http.get("/dashboard/figures", params={"origin": origin}).raise_for_status().text
        cells = re.findall(r'data-label="(?:Questions|Good|Bad)"><a href="([^"]+)">([0-9]+)<', text)
        assert len(cells) >= at_least
        tiles = re.findall(r'href="([^"]+)"><span class="label">questions</span><span class="value">([0-9]+)<', text)
        assert len(tiles) == (origin != "generated")
        for href, number in cells + tiles:
            assert http.get(html.unescape(href).replace("/log?", "/log/count?")).text.split()[0] == number


def test_every_mark_of_a_chart_leads_to_as_many_rows(http: TestClient):
    text = http.get("/dashboard/figures", params={"origin": "synthetic"}).raise_for_status().text
    chart = re.search(r'aria-labelledby="questions-title" aria-describedby.*?</svg>', text, re.DOTALL)
    assert chart is not None
    marks = re.findall(
        r'<a href="([^"]+)" tabindex="-1"><title>([^<]*) (answered|refused|failed) ([0-9]+)</title>', chart[0]
    )
    assert {kind for _, _, kind, _ in marks} == {"answered", "refused", "failed"}
    for href, _, _, number in marks:
        assert http.get(html.unescape(href).replace("/log?", "/log/count?")).text.split()[0] == number


def test_what_experiments_and_replays_ask_is_not_taken_for_peoples_questions(tmp_path: Path):
    """One question of a person, three of an experiment, one run again: the dashboard counts one, and says so."""
    with opening(small(tmp_path), create=True) as app:
        http = client(create(app))
        http.post("/api/documents", json={"text": OTTERS, "uri": "note:1", "title": "Otters"}).raise_for_status()
        wrong = "Who won the world cup in 2014?"
        key = http.post("/api/ask", json={"question": wrong}).raise_for_status().json()["interaction_id"]
        http.post(f"/api/interactions/{key}/replays", json={}).raise_for_status()
        names = [Configured(name, {"passages": at}) for at, name in enumerate(("a", "b", "c"), 1)]
        told = {"name": "tried", "questions": "wrong", "cancel": CancelToken()}
        run(app, names, [Example("q1", wrong, (), {})], app.local(), **told)
        line = House(app.settings.data.parent, app.settings.models)
        with Client("http://127.0.0.1:8000", transport=InProcess(app)) as rag:
            for origin, count, others in ((None, 1, 4), ("human", 1, 4), ("synthetic", 3, 2), ("all", 5, 0)):
                params = {} if origin is None else {"origin": origin}
                figures = http.get("/api/dashboard", params=params).raise_for_status().json()
                assert (figures["total"]["questions"], figures["total"]["refused"]["count"]) == (count, count)
                open_ = http.get("/api/dashboard/unanswered", params=params).raise_for_status().json()
                for found in (figures, open_, http.get("/api/dashboard/drift", params=params).json()):
                    assert (found["origin"], found["others"]) == (origin or "human", others)
                assert open_["questions"] == count
                flags = [] if origin is None else ["--origin", origin]
                for command in ("dashboard", "dashboard drift", "dashboard topics", "dashboard unanswered"):
                    said = line(*command.split(), *flags).out
                    assert (f"{others} others not" in said) == bool(others)
                    assert ("counted:" in said) == (bool(others) or origin != "human")
                assert rag.insight.figures(origin=origin).total.questions == count
                assert rag.insight.drift(origin=origin).questions == count
                assert rag.insight.new_topics(origin=origin).questions == count
                assert rag.insight.unanswered(origin=origin).others == others
                for part in ("figures", "drift", "topics", "unanswered"):
                    page = http.get(f"/dashboard/{part}", params=params | {"model": "extractive"}).text
                    link = '<a href="/dashboard?model=extractive&amp;origin=all">' + f"{others} others</a> are not"
                    assert (link in page) == bool(others)
                    assert ("counted, those of experiments" in page) == (origin == "all")
        assert line("logs", "--origin", "human", "--no-replays", "--count").out == "1\n"
        assert line("logs", "--replays", "--count").out == "1\n"
        assert http.get("/dashboard", params={"origin": "nobody"}).status_code == 400
        assert http.get("/api/dashboard", params={"origin": "nobody"}).status_code == 422
        assert listed(http.get("/log", params={"origin": "human", "replays": "no"}).text) == [key]
        assert len(listed(http.get("/log", params={"origin": "human", "replays": "only"}).text)) == 1


def test_whose_questions_count_is_chosen_beside_the_other_choices(http: TestClient):
    params = {"days": "90", "model": "extractive", "origin": "synthetic"}
    page = http.get("/dashboard", params=params).raise_for_status().text
    assert 'href="/dashboard?days=90&amp;model=extractive&amp;origin=synthetic" aria-current="true">Synthetic<' in page
    assert 'href="/dashboard?days=90&amp;model=extractive">Asked by people<' in page
    assert 'href="/dashboard?days=7&amp;model=extractive&amp;origin=synthetic">7 days<' in page
    assert '<input type="hidden" name="origin" value="synthetic">' in page
    for part in ("figures", "drift", "unanswered", "topics"):
        assert f'hx-get="/dashboard/{part}?days=90&amp;model=extractive&amp;origin=synthetic"' in page


def test_what_people_wrote_is_escaped_in_figures_and_topics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    monkeypatch.setattr("tests.synthetic_log.MODELS", (evil,))
    monkeypatch.setattr("tests.synthetic_log.TEMPLATES", (evil,))
    monkeypatch.setattr("tests.synthetic_log.SCORES", (evil, "faithfulness"))
    with opening(small(tmp_path), create=True) as app:
        http = client(create(app))
        http.post("/api/documents", json={"text": OTTERS, "uri": "note:1", "title": evil}).raise_for_status()
        wording = f"{evil} {{topic}} {{number}}"
        fill(app.database, app.tenant_id, 90, since=SINCE, days=10, wording=wording, origin="human")
        for address in ("/dashboard", "/dashboard/figures", "/dashboard/unanswered", "/dashboard/drift", "/log"):
            text = http.get(address).raise_for_status().text
            assert "<script>alert" not in text
            assert "<img" not in text
        assert "&lt;script&gt;" in http.get("/dashboard/unanswered").text
        key = ids(app)[0]
        assert "<script>alert" not in http.get(f"/log/{key}").text
        with app.database.read() as connection:
            again = store.get(connection, app.tenant_id, key)
        assert again.question.startswith(evil)


def test_without_scripts_the_figures_stand_in_the_page(http: TestClient):
    assert 'class="tiles"' not in http.get("/dashboard").text
    assert 'class="tiles"' in http.get("/dashboard", params={"whole": "true", "days": "all"}).text


# ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_log_lists_page_after_page(house: tuple[App, FastAPI], http: TestClient):
    seen: list[str] = []
    address: str | None = "/log"
    while address:
        text = http.get(address).raise_for_status().text
        seen += listed(text)
        following = re.search(r'href="([^"]+)" rel="next"', text)
        address = html.unescape(following[1]) if following else None
    assert seen == ids(house[0])


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"outcome": "refused"}, {"abstained": True}),
        ({"model": "openai:large"}, {"model": "openai:large"}),
        ({"user": "user7"}, {"user": "user7"}),
        ({"origin": "human"}, {"origin": "human"}),
        ({"template": "short@00c0ffee", "outcome": "answered"}, {"template": "short@00c0ffee", "abstained": False}),
    ],
)
def test_filters(
    house: tuple[App, FastAPI], http: TestClient, params: dict[str, str], where: dict[str, object]
) -> None:
    expected = ids(house[0], **where)
    page = http.get("/log", params=params).raise_for_status().text
    assert listed(page) == expected[:50]
    assert http.get("/log/count", params=params).text.split()[0] == str(len(expected))
    for name in params:
        assert f'aria-label="Without: {params[name] if name == "outcome" else f"{name} {params[name]}"}"' in page


def test_words_and_scores_narrow_the_log(house: tuple[App, FastAPI], http: TestClient):
    app = house[0]
    assert listed(http.get("/log", params={"text": "otters sleep"}).text) == ids(app, origin="human")
    with app.database.read() as connection:
        low = set(
            connection.scalars(
                select(scores.c.interaction_id).where(scores.c.name == "faithfulness", scores.c.value <= 0.6)
            )
        )
    assert low
    assert set(listed(http.get("/log", params={"score": "faithfulness", "score_max": "0.6"}).text)) == low


@pytest.mark.parametrize(
    "params",
    [
        {"outcome": "odd"},
        {"feedback": "odd"},
        {"review": "odd"},
        {"replays": "odd"},
        {"score_min": "0.5"},
        {"score": "x", "score_min": "nan"},
        {"since": "yesterday"},
        {"since": "0001-01-01T00:00+14:00"},
    ],
)
def test_filters_that_are_none_are_refused(http: TestClient, params: dict[str, str]):
    assert http.get("/log", params=params).status_code == 400


def test_a_query_becomes_an_address_and_back():
    asked = Asked(
        text="a b",
        outcome="refused",
        model="m",
        template="t@1",
        collection="c",
        user="u",
        origin="human",
        replays="no",
        conversation="v",
        since="2026-01-01T00:00:00",
        until="2026-01-02T00:00:00",
        score="faithfulness",
        score_min="0.1",
        score_max="0.5",
        confidence_min="0.2",
        confidence_max="0.9",
        feedback="bad",
        review="queued",
        tag="x, y",
    )
    assert of_query(asked.query()) == asked
    assert of_query(Asked().query()) == Asked()
    assert len(asked.chips()) == 17
    assert "score_min" not in dict(asked.chips())["faithfulness 0.1 to 0.5"]
    with pytest.raises(WrongUsage):
        Asked(until="odd").query()


def test_one_pair_is_shown_whole(house: tuple[App, FastAPI], http: TestClient):
    key = ids(house[0], origin="human")[0]
    text = http.get(f"/log/{key}").raise_for_status().text
    for told in ("How do otters sleep?", "Prompt as rendered", "hold hands", "bm25", "dense", "faithfulness", "cited"):
        assert told in text
    assert http.get(f"/log/{'0' * 26}").status_code == 404


def test_tags_feedback_and_queues(house: tuple[App, FastAPI], http: TestClient):
    key = ids(house[0])[5]
    there = f"/log/{key}"
    assert http.post(f"{there}/tags", data={"tags": "Odd, to check"}, headers=ORIGIN).status_code == 303
    assert listed(http.get("/log", params={"tag": "odd"}).text) == [key]
    http.post(f"{there}/tags", data={"gone": "odd"}, headers=ORIGIN)
    assert listed(http.get("/log", params={"tag": "odd"}).text) == []
    assert listed(http.get("/log", params={"tag": "to check"}).text) == [key]
    http.post(f"{there}/feedback", data={"rating": "-1", "comment": "<b>wrong</b>"}, headers=ORIGIN)
    assert "&lt;b&gt;wrong&lt;/b&gt;" in http.get(there).text
    assert key in listed(http.get("/log", params={"feedback": "bad"}).text)
    assert http.post(f"{there}/feedback", data={}, headers=ORIGIN).status_code == 400
    http.post(f"{there}/queue", data={"queue": "doubtful"}, headers=ORIGIN)
    assert listed(http.get("/log", params={"review": "queued"}).text) == [key]
    assert http.post(f"{there}/queue", data={"queue": "none"}, headers=ORIGIN).status_code == 404


def test_views_are_saved_and_forgotten(http: TestClient):
    made = http.post("/log/views", data={"name": "Refused <now>", "outcome": "refused"}, headers=ORIGIN)
    assert made.headers["location"] == "/log?outcome=refused"
    assert "Refused &lt;now&gt;" in http.get("/log").text
    http.post("/log/views/remove", data={"name": "Refused <now>"}, headers=ORIGIN)
    assert "is gone." in http.get("/log").text
    assert "Refused &lt;now&gt;" not in http.get("/log").text


def test_a_pair_is_run_again_and_the_difference_shown(house: tuple[App, FastAPI], http: TestClient):
    key = ids(house[0], origin="human")[-1]
    gone = http.post(f"/log/{key}/replay", headers=ORIGIN)
    assert gone.status_code == 303, gone.text
    text = http.get(gone.headers["location"]).raise_for_status().text
    assert "same passages" in text
    assert "same answer" in text
    again = gone.headers["location"].split("/")[2]
    assert f"/log/{again}/difference" in http.get(f"/log/{key}").text
    assert http.get(f"/log/{key}/difference").status_code == 400


def test_the_turns_of_a_conversation_are_linked(tmp_path: Path):
    with opening(small(tmp_path), create=True) as app:
        http = client(create(app))
        http.post("/api/documents", json={"text": OTTERS, "uri": "note:1", "title": "Otters"}).raise_for_status()
        first = http.post("/api/ask", json={"question": "How do otters sleep?", "conversation": "new"}).json()
        talk = first["conversation_id"]
        second = http.post("/api/ask", json={"question": "And what do they wear?", "conversation_id": talk}).json()
        text = http.get(f"/log/{first['interaction_id']}").text
        assert f'href="/log/{second["interaction_id"]}"' in text
        assert "turn 2, continuation" in text
        assert f'href="/log/{first["interaction_id"]}"' in http.get(f"/log/{second['interaction_id']}").text
        alone = http.post("/api/ask", json={"question": "How do otters sleep?"}).json()
        assert 'id="linked-title"' not in http.get(f"/log/{alone['interaction_id']}").text
        with app.database.read() as connection:
            entry = store.get(connection, app.tenant_id, str(second["interaction_id"]))
            assert [one.relation for one in standing.linked(connection, entry)] == ["parent", "this"]
            assert standing.linked(connection, entry, user="nobody") == []


def test_a_waterfall_has_each_stage_and_what_is_left():
    found = waterfall({"search": 30.0, "generate": 50.0, "total": 100.0})
    assert [(bar.name, bar.start, bar.width) for bar in found] == [
        ("search", 0, 30),
        ("generate", 30, 50),
        ("other", 80, 20),
    ]
    assert waterfall({}) == []


# ── evaluations ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_runs_are_listed_shown_and_compared(http: TestClient):
    text = http.get("/evaluation").raise_for_status().text
    assert "earlier" in text
    assert "against time" in text
    one = http.get("/evaluation/earlier", params={"metric": "recip_rank"}).raise_for_status().text
    assert "Worst questions by recip_rank" in one
    assert "question 0?" in one
    frame = http.get("/evaluation/compare", params={"first": "earlier", "second": "later"})
    assert "Differences over" not in frame.text
    part = http.get("/evaluation/compare/figures", params={"first": "earlier", "second": "later"}).text
    whole = http.get("/evaluation/compare", params={"first": "earlier", "second": "later", "whole": "true"}).text
    told = http.get("/api/evaluations/later/comparison", params={"against": "earlier"}).json()
    for shown in (part, whole):
        assert "Differences over 20 questions" in shown
        assert f"{told['metrics'][0]['difference']:+.4f}" in shown
        assert f"{told['metrics'][0]['p']:.4f}" in shown
    assert http.get("/evaluation/none").status_code == 404
    assert http.get("/evaluation/compare", params={"first": "earlier", "second": "none"}).status_code == 404


# ── charts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_bars_stand_on_one_another_and_lines_break_where_nothing_is():
    stacked = bars(
        "b",
        "B",
        "",
        ["x", "y"],
        [Series("one", [Value(1, "/1"), Value(2, "/2")]), Series("two", [Value(3, "/3"), Value(0, "/4")])],
        str,
    )
    first, second = stacked.series
    assert first.marks[0].y == pytest.approx(second.marks[0].y + second.marks[0].height, abs=0.1)
    assert len(second.marks) == 1
    assert stacked.rows[1] == ("y", [("2", "/2"), ("0", "/4")])
    broken = lines("l", "L", "", list("abcde"), [Series("s", [Value(n, "/") for n in (1, 2, None, 3, 4)])], str)
    assert len(broken.series[0].lines) == 2
    assert not broken.empty
    assert lines("l", "L", "", ["a"], [Series("s", [Value(None, "/")])], str).empty
    ticks = [tick.label for tick in bars("b", "B", "", ["x"], [Series("s", [Value(7, "/")])], lambda n: f"{n:g}").up]
    assert ticks == ["0", "2", "4", "6", "8"]
    assert [round_step(n) for n in (0.3, 0.05, 7, 0, float("nan"))] == [0.5, 0.05, 10, 1, 1]
