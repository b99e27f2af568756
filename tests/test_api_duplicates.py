"""Duplicates and labels over HTTP: what is shown to whom, and who may reverse a decision."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.api.application import create
from rag.app import App, opening
from tests.api import OTTERS, client, make_token, small

LONG = " ".join(f"word{number}" for number in range(100))
NEARLY = f"{LONG} and more"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opening(small(tmp_path, dedup_near="skip"), create=True) as opened:
        yield opened


def put(api: object, token: str, name: str, text: str, *labels: str) -> dict[str, object]:
    body = {"text": text, "uri": f"doc:{name}", "labels": list(labels)}
    answer = client(api, token=token).post("/api/documents", json=body)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, object] = answer.json()
    return found


def test_a_token_sees_the_duplicates_among_what_it_may_see(app: App) -> None:
    api = create(app)
    ann, bob = make_token(app, "ann"), make_token(app, "bob", ["red"])
    put(api, ann, "a", LONG, "red")
    put(api, ann, "b", NEARLY, "red")
    put(api, ann, "c", LONG, "blue")
    everything = client(api, token=ann).get("/api/duplicates").json()
    assert [(row["uri"], row["against_uri"], row["level"]) for row in everything["duplicates"]] == [
        ("doc:b", "doc:a", "near"),
        ("doc:c", "doc:a", "exact"),
    ]
    assert {(count["level"], count["policy"]): count["decisions"] for count in everything["counts"]} == {
        ("exact", "alias"): 1,
        ("near", "skip"): 1,
    }
    seen = client(api, token=bob).get("/api/duplicates").json()
    assert [row["uri"] for row in seen["duplicates"]] == ["doc:b"]
    assert sum(count["decisions"] for count in seen["counts"]) == 1
    assert [row["uri"] for row in client(api, token=ann).get("/api/duplicates?level=exact").json()["duplicates"]] == [
        "doc:c"
    ]
    page = client(api, token=ann).get("/api/duplicates?limit=1").json()
    rest = client(api, token=ann).get(f"/api/duplicates?limit=1&cursor={page['next']}").json()
    assert [row["uri"] for row in (*page["duplicates"], *rest["duplicates"])] == ["doc:b", "doc:c"]
    assert rest["next"] is None


def test_a_decision_is_reversed_by_who_is_not_bound(app: App) -> None:
    api = create(app)
    ann, bob = make_token(app, "ann"), make_token(app, "bob", ["red"])
    put(api, ann, "a", LONG, "red")
    assert put(api, ann, "b", NEARLY, "red")["duplicate"] == 1
    (row,) = client(api, token=ann).get("/api/duplicates").json()["duplicates"]
    assert row["document_id"] is None
    path = f"/api/duplicates/{row['decision_id']}/undo"
    assert client(api, token=bob).post(path).status_code == 403
    undone = client(api, token=ann).post(path)
    assert undone.status_code == 200
    assert client(api, token=ann).get(f"/api/documents/{undone.json()['document_id']}").json()["uri"] == "doc:b"
    assert client(api, token=ann).post(path).status_code == 409
    assert client(api, token=ann).post("/api/duplicates/99/undo").status_code == 404


@pytest.mark.parametrize("background", [False, True])
def test_labels_of_uploads_bound_who_sees_them(app: App, background: bool) -> None:
    api = create(app)
    ann, bob, cyd = make_token(app, "ann"), make_token(app, "bob", ["red"]), make_token(app, "cyd", ["blue"])
    query = f"/api/documents?background={str(background).lower()}"
    with client(api, token=bob) as browser:
        sent = browser.post(query, files={"file": ("otters.txt", OTTERS)}, data={"label": ["red"]})
        assert sent.status_code == (202 if background else 201), sent.text
        if background:
            with browser.stream("GET", f"/api/jobs/{sent.json()['job_id']}/events") as events:
                assert '"state":"done"' in "".join(events.iter_lines())
        for token, seen in ((ann, 1), (bob, 1), (cyd, 0)):
            listed = client(api, token=token).get("/api/documents").json()
            assert len(listed.get("documents", listed)) == seen, listed
        refused = browser.post(query, files={"file": ("b.txt", OTTERS)}, data={"label": ["blue"]})
        assert refused.status_code == 403
        assert "blue" in refused.json()["detail"]
        wrong = browser.post(query, files={"file": ("b.txt", OTTERS)}, data={"labels": ["red"]})
        assert wrong.status_code == 400
