"""Gates and synthetic questions over the API and the client: a job each, whose result is that of the command."""

from collections.abc import Iterator

import pytest

from rag.api.application import create
from rag.app import App, opening
from rag.client import Client
from rag.errors import Conflict, NotFound, NotPermitted, WrongUsage
from rag.workers import Worker
from tests.api import OTTERS, TIDES, client, make_token, small
from tests.cli_house import House
from tests.test_client import InProcess

SHARES = (0.0, 0.0, 1.0)
KELP = "Kelp is a large brown seaweed that grows in forests under water. Sea urchins eat it when otters are gone."


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with opening(small(tmp_path_factory.mktemp("gates")), create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def rag(app: App) -> Iterator[Client]:
    with Client("http://127.0.0.1:8000", transport=InProcess(app)) as opened:
        for number, text in enumerate((OTTERS, TIDES, KELP)):
            opened.add_text(text, title=f"Text {number}", external_id=f"t{number}")
        for question in ("Do otters hold hands while they sleep?", "Does the tide rise twice a day?"):
            opened.feedback(opened.ask(question).interaction_id, rating=1)
        opened.datasets.make("gold", which="judged", shares=SHARES)
        yield opened


def done(app: App, job_id: int) -> None:
    found = Worker(app).run_one()
    assert found is not None
    assert (found.id, found.state, found.error) == (job_id, "done", None)


def test_a_gate_is_a_job_whose_result_is_json_and_a_report(app: App, rag: Client) -> None:
    held = rag.datasets.gate("gold", min={"success_5": 1.0, "answered": 0.5}, name="before", mode="keyword")
    assert (held.kind, held.state, held.collection) == ("gate", "queued", "default")
    with pytest.raises(Conflict, match="is queued"):
        rag.datasets.gated(held.job_id)
    done(app, held.job_id)
    found = rag.datasets.gated(held.job_id)
    assert (found.passed, found.set, found.questions) == (True, "gold@1", 2)
    assert [(bound.metric, bound.value, bound.min) for bound in found.bounds] == [
        ("success_5", 1.0, 1.0),
        ("answered", 1.0, 0.5),
    ]
    assert found.report.startswith("# Gate: passed")
    with client(create(app)) as browser:
        report = browser.get(f"/api/gates/{held.job_id}/report")
    assert (report.headers["content-type"], report.text) == ("text/markdown; charset=utf-8", found.report)
    assert rag.evaluation("before").user == "local"
    red = rag.datasets.gate("gold@1", max={"success_5": 0.5}, against="before", metrics=["recip_rank"], worst=0)
    done(app, red.job_id)
    held_to = rag.datasets.gated(red.job_id)
    assert (held_to.passed, held_to.against, {drop.metric for drop in held_to.drops}) == (
        False,
        "before",
        {"success_5", "recip_rank"},
    )


def test_what_is_wrong_is_said_at_once(rag: Client) -> None:
    for how, error, said in (
        ({}, WrongUsage, "nothing to hold"),
        ({"min": {"nope": 1.0}}, WrongUsage, "no metric 'nope'"),
        ({"against": "nothing"}, WrongUsage, "no run 'nothing'"),
        ({"min": {"map": 0.0}, "name": "before"}, Conflict, "a run 'before' already"),
        ({"min": {"map": 0.0}, "splits": ["train"]}, WrongUsage, "take what there is (--split test)"),
        ({"min": {"map": 0.0}, "collection": "elsewhere"}, NotFound, "elsewhere"),
        ({"min": {"map": 0.0}, "generator": "openai:http://evil.example"}, NotPermitted, "settings' own"),
    ):
        with pytest.raises(error, match=said.replace("(", r"\(").replace(")", r"\)")):
            rag.datasets.gate("gold", **how)
    with pytest.raises(NotFound, match="no dataset 'nothing'"):
        rag.datasets.gate("nothing", min={"map": 0.0})
    with pytest.raises(NotFound):
        rag.datasets.gated(10**6)


def test_a_job_that_kept_its_run_already_does_not_keep_it_twice(app: App, rag: Client) -> None:
    """As after a crash between the two."""
    held = rag.datasets.gate("gold", min={"map": 0.0}, name="once")
    done(app, held.job_id)
    with app.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE jobs SET state = 'queued', lease_until = NULL WHERE id = {held.job_id}")
    done(app, held.job_id)
    assert [run.name for run in rag.evaluations()].count("once") == 1


def test_questions_are_made_of_documents_by_a_job(app: App, rag: Client) -> None:
    asked = rag.datasets.synthesize("practice", 5, by="templates")
    done(app, asked.job_id)
    result = rag.job(asked.job_id).result
    assert result is not None
    assert (result["dataset"], result["new"]) == ("practice@1", True)
    records = list(rag.datasets.records("practice", page=1))
    assert len(records) == result["items"]
    assert {(record.origin, record.split) for record in records} == {("synthetic", "test")}
    nothing = rag.datasets.synthesize("gold", 5, by="templates")  # a dataset of the log
    failed = Worker(app).run_one()
    assert failed is not None
    assert (failed.id, failed.state) == (nothing.job_id, "failed")
    assert "of the kind 'log'" in (failed.error or "")
    with pytest.raises(WrongUsage, match="cannot name a dataset"):
        rag.datasets.synthesize("a@1")


def test_the_client_reads_datasets_replays_and_comparisons(app: App, rag: Client) -> None:
    assert {one.name for one in rag.datasets.all(page=1)} >= {"gold"}
    assert rag.datasets.one("gold").items == 2
    first = next(rag.datasets.records("gold"))
    assert rag.datasets.export("gold", "kto")[:2] == b"PK"
    assert rag.datasets.compare("gold@1", "gold").same == 2
    replayed = rag.comparing.replay(first.key, mode="keyword")
    assert (replayed.first.interaction_id, replayed.settings["mode"].second) == (first.key, "keyword")
    assert rag.comparing.difference(replayed.second.interaction_id).first.interaction_id == first.key
    by_hand = House(app.settings.data.parent, app.settings.models)
    again = by_hand("compare", "difference", replayed.second.interaction_id, "--json").json
    assert (again["same_passages"], again["first"]["interaction_id"]) == (replayed.same_passages, first.key)  # type: ignore[index]
    assert "mode" in by_hand("compare", "difference", replayed.second.interaction_id, first.key).out
    assert "replays none" in by_hand("compare", "difference", first.key).err
    pair = rag.comparing.ask("Where do otters sleep?", {"mode": "keyword"}, {"mode": "semantic", "passages": 1})
    assert rag.comparing.pair(pair.first_id, pair.second_id) == pair
    kept = rag.comparing.prefer(pair, "a", "clearer")
    assert (kept.comment, [each.comment for each in rag.comparing.preferences()]) == ("clearer", ["clearer"])
    assert sum(rate.wins + rate.losses for rate in rag.comparing.rates().pairs) == 1
    assert list(rag.comparing.experiments()) == []
    with pytest.raises(NotFound):
        rag.comparing.experiment("none")
    rag.datasets.make("short", shares=SHARES)
    rag.datasets.remove("short")
    with pytest.raises(NotFound):
        rag.datasets.one("short")


def test_a_token_bound_to_labels_has_no_gate(app: App) -> None:
    bound = client(create(app), token=make_token(app, labels=["board"]))
    assert bound.post("/api/gates", json={"set": "gold", "min": {"map": 0.0}}).status_code == 403
    assert bound.get("/api/gates/1").status_code == 403
    assert bound.post("/api/datasets/x/synthesize", json={}).status_code == 403
