"""Datasets over the API and on the command line: made, listed, shown, compared, downloaded, removed."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from rag.api.application import create
from rag.app import App, opening
from tests.api import OTTERS, client, make_token, small
from tests.cli_house import House


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with opening(small(tmp_path_factory.mktemp("datasets")), create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def api(app: App) -> Iterator[TestClient]:
    with client(create(app)) as browser:
        assert (
            browser.post("/api/documents", json={"text": OTTERS, "title": "Otters", "external_id": "o"}).status_code
            == 201
        )
        for text, rating in (("Do otters hold hands while they sleep?", 1), ("Do otters drift away?", -1)):
            asked = browser.post("/api/ask", json={"question": text}).json()
            given = browser.post(f"/api/interactions/{asked['interaction_id']}/feedback", json={"rating": rating})
            assert given.status_code == 201
        yield browser


def test_a_version_is_made_shown_and_compared(api: TestClient) -> None:
    asked = {"name": "gold", "shares": {"train": 0.0, "validation": 0.0, "test": 1.0}, "query": {"feedback": "good"}}
    made = api.post("/api/datasets", json=asked)
    assert made.status_code == 201, made.text
    assert (made.json()["version"], made.json()["items"], made.json()["new"]) == (1, 1, True)
    assert api.post("/api/datasets", json=asked).json()["new"] is False
    second = api.post("/api/datasets", json=asked | {"query": {}})
    assert (second.json()["version"], second.json()["items"]) == (2, 2)
    listed = api.get("/api/datasets").json()
    assert [(one["name"], one["version"]) for one in listed["datasets"]] == [("gold", 2)]
    shown = api.get("/api/datasets/gold@1").json()
    [record] = shown["records"]
    assert (record["verdict"], record["relevant"], record["split"]) == ("good", {"o": 1}, "test")
    page = api.get("/api/datasets/gold", params={"limit": 1}).json()
    assert (len(page["records"]), page["next"]) == (1, 1)
    assert api.get("/api/datasets/gold", params={"limit": 1, "cursor": 1}).json()["next"] is None
    compared = api.get("/api/datasets/gold/comparison", params={"against": "gold@1"}).json()
    assert (len(compared["added"]), compared["removed"], compared["same"]) == (1, [], 1)


def test_an_export_is_an_archive_that_does_not_change(api: TestClient) -> None:
    assert api.post("/api/datasets", json={"name": "files"}).status_code == 201
    found = [api.get("/api/datasets/files/export", params={"format": "kto"}) for _ in range(2)]
    assert found[0].headers["content-type"] == "application/zip"
    assert found[0].content == found[1].content
    with zipfile.ZipFile(io.BytesIO(found[0].content)) as archive:
        names = set(archive.namelist())
        rows = [
            json.loads(line) for name in names if name.endswith(".jsonl") for line in archive.read(name).splitlines()
        ]
    assert "README.md" in names
    assert sorted(row["label"] for row in rows) == [False, True]
    wrong = api.get("/api/datasets/files/export", params={"format": "triplets"})
    assert (wrong.status_code, "nothing of files@1 fits" in wrong.json()["detail"]) == (400, True)
    beir = api.get("/api/datasets/files/export", params={"format": "beir", "corpus": "shown"})
    assert beir.status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"name": "a/b"}, 400),
        ({"name": "x", "which": "some"}, 422),
        ({"name": "x", "origins": []}, 422),
        ({"name": "x", "shares": {"train": 0.5}}, 400),
        ({"name": "x", "query": {"shoe": 1}}, 400),
        ({"name": "x", "query": {"since": "soon"}}, 400),
        ({"name": "x", "scrub": "shoes"}, 400),
        ({"name": "x", "query": {"text": "zzz"}}, 400),
        ({"name": "x", "more": 1}, 422),
    ],
)
def test_what_does_not_fit_is_refused(api: TestClient, body: dict[str, object], status: int) -> None:
    assert api.post("/api/datasets", json=body).status_code == status


def test_it_goes_as_a_whole(api: TestClient) -> None:
    assert api.post("/api/datasets", json={"name": "gone"}).status_code == 201
    assert api.delete("/api/datasets/gone").status_code == 204
    assert api.get("/api/datasets/gone").status_code == 404
    assert api.delete("/api/datasets/gone").status_code == 404


def test_a_token_bound_to_labels_sees_no_dataset(tmp_path: Path) -> None:
    with opening(small(tmp_path), create=True) as app:
        with client(create(app), token=make_token(app, labels=["board"])) as browser:
            assert browser.get("/api/datasets").status_code == 403
            assert browser.post("/api/datasets", json={"name": "x"}).status_code == 403


def test_the_same_on_the_command_line(app: App, api: TestClient, tmp_path: Path) -> None:
    house = House(app.settings.data.parent, app.settings.models)
    for which in ("--all", "--judged"):
        assert house("datasets", "make", "line", which, "--json").json["items"] == 2
    assert "the newest version holds the same" in house("datasets", "make", "line").out
    assert house("datasets", "make", "line", "--shares", "0,0,1", "--json").json["version"] == 2
    listed = house("datasets", "list", "--json").json["datasets"]
    assert ("line", 2) in [(one["name"], one["version"]) for one in listed]  # type: ignore[attr-defined]
    assert "line@2" in house("datasets", "list").out
    key = house("datasets", "show", "line@1", "--json").json["records"][0]["interaction_id"]  # type: ignore[index]
    holding = house("datasets", "list", "--holding", key.lower(), "--json").json["datasets"]
    assert {("line", 1), ("line", 2)} <= {(one["name"], one["version"]) for one in holding}  # type: ignore[attr-defined]
    assert "no version holds anything" in house("datasets", "list", "--holding", "0" * 26).out
    assert "Do otters drift away?" in house("datasets", "show", "line").out
    assert "1 changed (1 in another split)" in house("datasets", "compare", "line@1", "line@2").out
    assert house("datasets", "verify", "line@1").code == 0
    out = tmp_path / "out"
    assert "test.csv" in house("datasets", "export", "line", str(out), "--format", "csv").out
    again = house("datasets", "export", "line", str(out), "--format", "csv")
    assert (again.code, "holds something already" in again.err) == (2, True)
    assert "gone: line@2, line@1" in house("datasets", "remove", "line").out
    assert house("datasets", "show", "line").code == 1
