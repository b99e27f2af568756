"""The log over HTTP and on the command line: filters, tags, views; who is bound to labels sees their own."""

import json
from collections.abc import Iterator
from functools import partial

import pytest
from starlette.testclient import TestClient

from rag.api.application import create
from rag.app import App, opening
from rag.cli import run
from rag.cli.choosing import COUNTED, ORIGINS, REVIEWED, SAID
from rag.cli.output import _CONTROL, json_text, safe
from rag.store import interactions as log
from rag.store.dashboard import Counted
from rag.store.log.query import ReviewState, Said
from tests.api import OTTERS, client, make_token, small

NASTY = "evil \x1b[31mred\x1b]8;;http://x\x07 \u202egnp.exe\u2066 \x9b2J \u2028 \U000e0041 \r \x7f question"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with opening(small(tmp_path_factory.mktemp("log")), create=True) as opened:
        taken = client(create(opened)).post("/api/documents", json={"text": OTTERS, "uri": "note:otters"})
        assert taken.status_code == 201
        yield opened


@pytest.fixture(scope="module")
def ann(app: App) -> TestClient:
    return client(create(app), token=make_token(app, "ann"))


@pytest.fixture(scope="module")
def bob(app: App) -> TestClient:
    return client(create(app), token=make_token(app, "bob", labels=["none"]))


@pytest.fixture(scope="module")
def asked(ann: TestClient, bob: TestClient) -> dict[str, str]:
    """The ids of what was asked, by whom."""
    found = {}
    for name, who, question in (
        ("otters", ann, "What do sea otters do while they sleep?"),
        ("kelp", ann, "Why kelp?"),
        ("bob's", bob, "Why do otters wrap themselves in kelp?"),
        ("nasty", ann, NASTY),
    ):
        found[name] = who.post("/api/ask", json={"question": question}).json()["interaction_id"]
    return found


def names(who: TestClient, asked: dict[str, str], **query: object) -> list[str]:
    """The interactions that a query lists; their count must agree."""
    found = who.get("/api/interactions", params=query)  # type: ignore[arg-type]
    assert found.status_code == 200, found.text
    counted = who.get("/api/interactions/count", params=query).json()  # type: ignore[arg-type]
    known = {key: name for name, key in asked.items()}
    listed = [known[entry["interaction_id"]] for entry in found.json()["interactions"]]
    assert counted == {"count": len(listed), "more": False}
    return listed


def test_filters_narrow_lists_and_counts(ann: TestClient, asked: dict[str, str]) -> None:
    assert names(ann, asked) == ["nasty", "bob's", "kelp", "otters"]
    assert names(ann, asked, text="why") == ["bob's", "kelp"]
    assert names(ann, asked, text='"what do sea ott"*', origin="human", template="answer") == ["otters"]
    assert names(ann, asked, user="bob", review="none", feedback="none") == ["bob's"]
    assert names(ann, asked, score=["faithfulness", "context_relevancy:0..1"], user="ann", text="what do") == ["otters"]
    assert names(ann, asked, score="faithfulness", score_max=-1) == []
    assert names(ann, asked, replays=False, text="why") == ["bob's", "kelp"]
    assert names(ann, asked, replays=True) == []
    for wrong in (
        {"score_min": 1}, {"score": "f:a..b"}, {"feedback": "great"}, {"replays": "odd"}, {"since": "yesterday"},
    ):  # fmt: skip
        assert ann.get("/api/interactions", params=wrong).status_code in (400, 422), wrong


def test_a_count_that_ends_says_so_and_all_are_counted_on_request(
    ann: TestClient, asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "counted", partial(log.counted, most=3))
    assert ann.get("/api/interactions/count").json() == {"count": 3, "more": True}
    assert ann.get("/api/interactions/count?exact=true").json() == {"count": len(asked), "more": False}
    assert ann.get("/api/interactions/count?user=bob").json() == {"count": 1, "more": False}
    told = ann.get("/log/count?origin=human").text
    assert told.startswith("3+ interactions")
    assert "/log/count?origin=human&amp;exact=1" in told
    assert ann.get("/log/count?origin=human&exact=1").text.split() == [str(len(asked)), "interactions"]


def test_pages_go_forth_and_back(ann: TestClient, asked: dict[str, str]) -> None:
    order = [asked[name] for name in ("nasty", "bob's", "kelp", "otters")]

    def page(**query: str) -> tuple[list[str], str | None, str | None]:
        told = ann.get("/api/interactions", params={"limit": 2, **query}).json()
        return [entry["interaction_id"] for entry in told["interactions"]], told["next"], told["previous"]

    assert page() == (order[:2], order[1], None)
    assert page(cursor=order[1]) == (order[2:], None, order[2])
    assert page(after=order[2]) == (order[:2], order[1], None)
    assert page(after=order[3]) == (order[1:3], order[2], order[1])
    assert ann.get("/api/interactions", params={"after": order[0], "cursor": order[1]}).status_code == 400


def test_who_is_bound_to_labels_sees_their_own_rows_everywhere(
    ann: TestClient, bob: TestClient, asked: dict[str, str]
) -> None:
    assert names(bob, asked) == ["bob's"]
    assert names(bob, asked, text="why") == ["bob's"]
    assert names(bob, asked, user="ann") == []
    hers, his = (f"/api/interactions/{asked[name]}" for name in ("otters", "bob's"))
    assert bob.get(hers).status_code == 404
    assert bob.put(f"{hers}/tags/x").status_code == 404
    assert bob.delete(f"{hers}/tags/x").status_code == 404
    assert ann.put(f"{hers}/tags/ann's".replace("'", "")).status_code == 200
    assert bob.put(f"{his}/tags/his").json()["tags"] == ["his"]
    assert bob.get("/api/tags").json() == {"tags": [{"tag": "his", "interactions": 1}]}
    assert [each["tag"] for each in ann.get("/api/tags").json()["tags"]] == ["anns", "his"]
    assert names(bob, asked, tag="anns") == []
    assert bob.get("/api/log/proof").status_code == 403
    assert ann.get("/api/log/proof").json()["sound"] is True
    assert ann.delete(f"{hers}/tags/anns").json()["tags"] == []
    assert ann.put(f"{hers}/tags/{'x' * 70}").status_code == 400


def test_an_interaction_tells_its_marks_and_links(ann: TestClient, asked: dict[str, str]) -> None:
    path = f"/api/interactions/{asked['kelp']}"
    again = ann.post("/api/ask", json={"regenerate": asked["kelp"]}).json()["interaction_id"]
    ann.put(f"{path}/tags/To%20Do")
    told = ann.get(path).json()
    assert told["tags"] == ["to do"]
    assert told["links"]["regenerated_by"] == [again]
    assert (told["review_state"], told["erased_at"], told["replays_id"]) == (None, None, None)
    asked["again"] = again


def test_views_are_kept_by_name(ann: TestClient, bob: TestClient) -> None:
    filters = {"text": "kelp", "scores": [{"name": "faithfulness", "least": None, "most": 0.5}], "feedback": "bad"}
    assert ann.put("/api/views/weak kelp", json={"filters": filters}).json()["filters"] == filters
    assert [view["name"] for view in ann.get("/api/views").json()["views"]] == ["weak kelp"]
    assert bob.get("/api/views").json() == {"views": []}
    assert bob.delete("/api/views/weak kelp").status_code == 404
    assert ann.put("/api/views/x", json={"filters": {"colour": "red"}}).status_code == 400
    assert ann.delete("/api/views/weak kelp").json() == {"views": []}


# ── the command line ────────────────────────────────────────────────────────────────────────────────────────────────


def told(app: App, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run(["logs", *arguments, "--data", str(app.settings.data)]) == code, arguments
    return capsys.readouterr().out


def test_the_command_line_has_the_same_filters(
    app: App, asked: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(*arguments: str) -> list[str]:
        listed = json.loads(told(app, capsys, *arguments, "--json"))["interactions"]
        return [entry["interaction_id"] for entry in listed]

    key = asked["otters"]
    assert shown("-q", "what do", "--user", "ann") == [key]
    assert shown("--score", "faithfulness:0.5..", "-q", "what do") == [key]
    told(app, capsys, "tag", key, "Good", "sea life")
    assert shown("--tag", "good", "--tag", "sea life") == [key]
    assert "sea life" in told(app, capsys, "show", key)
    told(app, capsys, "views", "save", "good ones", "--score", "faithfulness:0.5..", "--score", "bleu", "--tag", "good")
    assert "score faithfulness:0.5.., score bleu, tags good" in told(app, capsys, "views")
    told(app, capsys, "views", "save", "bad ones", "--score", "bleu", "--score-min", "nan", code=2)
    told(app, capsys, "views", "save", "good ones", "--tag", "good", "-q", "otters")
    assert shown("--view", "good ones") == [key]
    assert shown("--view", "good ones", "--user", "bob") == []
    assert json.loads(told(app, capsys, "views", "--json"))["views"][0]["filters"] == {
        "text": "otters",
        "tags": ["good"],
    }
    assert told(app, capsys, "--view", "good ones", "--count") == "1\n"
    told(app, capsys, "views", "remove", "good ones")
    told(app, capsys, "--view", "good ones", code=1)
    told(app, capsys, "tag", key, "good", "--remove")
    assert shown("--tag", "good") == []
    assert shown("--id-gt", key, "-n", "1") == [asked["kelp"]]
    assert shown("--before", asked["kelp"]) == [key]
    assert "ok" in told(app, capsys, "verify")


def test_nothing_is_forgotten_without_yes(app: App, asked: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    key = asked["bob's"]
    for arguments in (["erase", key], ["erase", "--user", "bob"], ["prune", "--days", "1"]):
        assert "would" in told(app, capsys, *arguments)
    told(app, capsys, "erase", code=2)
    told(app, capsys, "erase", key, "--user", "bob", code=2)
    told(app, capsys, "prune", code=2)
    assert "kelp" in told(app, capsys, "show", key)
    assert "erased 1 interaction" in told(app, capsys, "erase", key, "--yes")
    assert "wrap" not in told(app, capsys, "show", key).partition("Passage")[0]
    assert json.loads(told(app, capsys, "verify", "--json"))["sound"] is True


def test_no_question_steers_a_terminal(app: App, asked: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    key = asked["nasty"]
    for arguments in ([], ["-s"], ["show", key], ["--json"], ["show", key, "--json"], ["export"], ["-r"]):
        out = told(app, capsys, *arguments)
        assert not _CONTROL.search(out), arguments
    assert json.loads(told(app, capsys, "show", key, "--json"))["question"] == NASTY


def test_json_is_escaped_and_reads_the_same() -> None:
    told = {"text": NASTY + "\ud800 é 東 \n\t", NASTY: 1}
    assert json.loads(json_text(told)) == told
    assert not _CONTROL.search(json_text(told, indent=2))
    assert "é 東" in json_text(told)
    assert not _CONTROL.search(safe(NASTY))


def test_the_flags_choices_are_those_of_queries() -> None:
    from typing import get_args

    assert (get_args(Said), get_args(ReviewState)) == (SAID, REVIEWED)
    assert get_args(Counted) == COUNTED == (*ORIGINS, "all")
