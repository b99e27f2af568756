"""Syncs over HTTP, and putting removed documents back: who may, what is answered, what a job does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.api.application import create
from rag.app import App, opening
from rag.store import syncs as store
from rag.store.syncs import Follows, Location
from rag.workers import Worker
from tests.api import OTTERS, TIDES, client, make_token, small


@pytest.fixture
def app(tmp_path: Path, database_url: str) -> Iterator[App]:
    with opening(small(tmp_path, database=database_url), create=True) as opened:
        yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    root.mkdir()
    (root / "otters.txt").write_text(OTTERS)
    (root / "tides.txt").write_text(TIDES)
    return root


@pytest.fixture
def followed(app: App, root: Path) -> App:
    corpus = app.corpus()
    with app.database.write() as connection:
        follows = Follows((Location("path", str(root)),))
        store.register(connection, corpus.collection, "docs", follows, actor="local")
    return app


def work(app: App) -> None:
    assert Worker(app).run_one() is not None


def test_a_sync_is_run_by_a_job(followed: App, root: Path) -> None:
    api = client(create(followed))
    (listed,) = api.get("/api/syncs").json()["syncs"]
    assert (listed["name"], listed["result"], listed["sources"]) == ("docs", None, 0)
    asked = api.post("/api/syncs/docs/run")
    assert asked.status_code == 202
    assert asked.json()["kind"] == "sync"
    work(followed)
    job = api.get(asked.headers["location"]).json()
    assert (job["state"], job["counts"]["added"], job["result"]["added"]) == ("done", 2, 2)
    (root / "tides.txt").rename(root / "moon.txt")
    (root / "otters.txt").unlink()
    foreseen = api.post("/api/syncs/docs/run", params={"dry_run": True}).json()
    assert foreseen["dry_run"]
    assert foreseen["removed"] == [(root / "otters.txt").as_uri()]
    assert foreseen["moved"] == [{"uri": (root / "moon.txt").as_uri(), "moved_from": (root / "tides.txt").as_uri()}]
    assert len(api.get("/api/documents").json()["documents"]) == 2
    asked = api.post("/api/syncs/docs/run")
    work(followed)
    result = api.get(asked.headers["location"]).json()["result"]
    assert (result["moved"], result["removed"], result["documents"]) == (1, 1, 1)
    (listed,) = api.get("/api/syncs", params={"collection": "default"}).json()["syncs"]
    assert (listed["result"]["removed"], listed["sources"]) == (1, 1)
    assert api.get("/api/syncs", params={"collection": "other"}).json() == {"syncs": []}


def test_a_sync_that_is_running_is_tried_again_later(followed: App) -> None:
    api = client(create(followed))
    location = api.post("/api/syncs/docs/run").headers["location"]
    with followed.database.read() as connection:
        stored = store.get(connection, followed.tenant_id, "docs", "default")
    with store.running(followed.database, stored):
        work(followed)
    job = api.get(location).json()
    assert job["state"] == "queued"
    assert "running already" in job["error"]


def test_what_is_not_there_and_who_may_not(followed: App) -> None:
    assert client(create(followed)).post("/api/syncs/papers/run").status_code == 404
    ann, bob = make_token(followed, "ann"), make_token(followed, "bob", labels=["staff"])
    api = create(followed)
    assert client(api, token=ann).get("/api/syncs").status_code == 200
    assert client(api).get("/api/syncs").status_code == 401
    assert client(api, token=bob).get("/api/syncs").status_code == 403
    assert client(api, token=bob).post("/api/syncs/docs/run").status_code == 403


def test_a_removed_document_is_put_back(app: App) -> None:
    api = client(create(app))
    (first,) = api.post("/api/documents", json={"text": OTTERS}).json()["document_ids"]
    assert api.post(f"/api/documents/{first}/restore").status_code == 409
    assert api.delete(f"/api/documents/{first}").status_code == 204
    back = api.post(f"/api/documents/{first}/restore")
    assert back.status_code == 200
    again = back.json()["document_id"]
    assert (back.json()["removed_id"], back.json()["state"]) == (first, "added")
    assert again > first
    assert api.get(f"/api/documents/{again}").json()["text"] == OTTERS
    assert api.post(f"/api/documents/{first}/restore").status_code == 409, "its address is taken"
    assert api.post("/api/documents/999/restore").status_code == 404


def test_a_token_bound_to_labels_restores_its_own_alone(app: App) -> None:
    ann, bob = make_token(app, "ann"), make_token(app, "bob", labels=["staff"])
    api = create(app)
    hers, his = client(api, token=ann), client(api, token=bob)
    (open_to_all,) = hers.post("/api/documents", json={"text": OTTERS}).json()["document_ids"]
    (own,) = his.post("/api/documents", json={"text": TIDES}).json()["document_ids"]
    for key in (open_to_all, own):
        assert hers.delete(f"/api/documents/{key}").status_code == 204
    assert his.post(f"/api/documents/{open_to_all}/restore").status_code == 403
    assert his.post(f"/api/documents/{own}/restore").status_code == 200
