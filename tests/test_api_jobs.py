"""Background jobs over HTTP: asked for, watched, cancelled, repeated, and done by the API's own worker."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio import CapacityLimiter
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import Message

from rag.api.application import create
from rag.api.watching import JobEvents
from rag.app import App, opening
from rag.client import events
from rag.errors import StoreNotReady
from rag.store import collections as collection_store
from rag.store import jobs as store
from rag.store import tokens
from rag.store.jobs import Job
from rag.workers import Worker
from tests.api import OTTERS, TIDES, client, make_token, server, small
from tests.test_api import conforms


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Without a worker of its own: the tests do the jobs when they want them done."""
    with opening(small(tmp_path, job_workers=0), create=True) as opened:
        yield opened


@pytest.fixture
def api(app: App) -> Iterator[TestClient]:
    with client(create(app)) as opened:
        yield opened


def post(api: TestClient, *files: tuple[str, str]) -> dict[str, Any]:
    """Upload files in the background."""
    sent = [("file", (name, text.encode(), "text/plain")) for name, text in files]
    response = api.post("/api/documents?background=true", files=sent)
    assert response.status_code == 202, response.text
    return dict(response.json())


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, json.loads(data)) for name, data in events(iter(text.split("\n")))]


def test_an_upload_in_the_background_is_a_job_that_accounts_for_every_file(app: App, api: TestClient) -> None:
    sent = [("file", (name, data, "text/plain")) for name, data in (("a.txt", OTTERS.encode()), ("b.txt", b""))]
    response = api.post("/api/documents?background=true", files=sent, data={"metadata": '{"year": 2024}'})
    assert response.status_code == 202
    job = response.json()
    conforms(api, "Job", job)
    assert response.headers["location"] == f"/api/jobs/{job['job_id']}"
    assert (job["state"], job["kind"], job["user"], job["progress"]["done"]) == ("queued", "ingest", "local", 0)
    assert api.get("/metrics").text.count('rag_jobs{state="queued"} 1.0') == 1
    assert api.get("/api/collections").json() == {"collections": []}, "nothing is done yet"
    Worker(app).run_one()
    done = api.get(response.headers["location"]).json()
    conforms(api, "Job", done)
    assert (done["state"], done["error"], done["result"]) == ("done", None, {"documents": 1, "chunks": 1})
    assert (done["progress"]["done"], done["progress"]["total"]) == (2, 2)
    assert {state: number for state, number in done["counts"].items() if number} == {"added": 1, "failed": 1}
    items = api.get(f"/api/jobs/{job['job_id']}/items").json()
    conforms(api, "JobItems", items)
    assert {(item["uri"], item["state"]) for item in items["items"]} == {
        ("upload:local/a.txt", "added"),
        ("upload:local/b.txt", "failed"),
    }
    assert api.post("/api/search", json={"query": "kelp"}).json()["hits"][0]["uri"] == "upload:local/a.txt"
    assert api.get("/api/documents").json()["documents"][0]["metadata"]["year"] == 2024


def test_a_text_in_the_background_is_what_it_is_in_the_foreground(app: App, api: TestClient) -> None:
    body = {"text": OTTERS, "title": "Otters", "uri": "note:1", "external_id": "o1", "metadata": {"kind": "animal"}}
    assert api.post("/api/documents?background=true", json=body).status_code == 202
    Worker(app).run_one()
    again = api.post("/api/documents", json=body).json()
    assert (again["unchanged"], again["added"], again["updated"]) == (1, 0, 0)


def test_what_cannot_be_asked_for_is_refused_at_once(app: App, api: TestClient) -> None:
    for body, status in (
        ({"text": OTTERS, "collection": "a/b"}, 400),
        ({"text": OTTERS, "metadata": {"": 1}}, 400),
        ({"text": OTTERS, "media_type": "application/pdf"}, 422),
    ):
        response = api.post("/api/documents?background=true", json=body)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
    assert api.get("/api/jobs").json() == {"jobs": [], "next": None}


def test_jobs_and_items_come_in_pages(app: App, api: TestClient) -> None:
    asked = [post(api, (f"{n}.txt", f"Text number {n} of several."))["job_id"] for n in range(5)]
    assert pages(api, "/api/jobs", "jobs", "Jobs") == [{"job_id": key} for key in asked[::-1]]
    api.delete(f"/api/jobs/{asked[0]}")
    found = api.get("/api/jobs", params={"state": "cancelled"}).json()["jobs"]
    assert [job["job_id"] for job in found] == [asked[0]]
    many = post(api, *((f"{n}.txt", f"Text number {n} of many more.") for n in range(5)))["job_id"]
    Worker(app).run_one()  # the oldest, which is not this one
    assert pages(api, f"/api/jobs/{many}/items", "items", "JobItems") == []
    for _ in range(4):
        Worker(app).run_one()
    found = pages(api, f"/api/jobs/{many}/items", "items", "JobItems")
    assert found == [{"uri": f"upload:local/{n}.txt"} for n in range(5)]
    assert api.get(f"/api/jobs/{many}/items", params={"state": "failed"}).json() == {"items": [], "next": None}


def pages(api: TestClient, path: str, name: str, shape: str) -> list[dict[str, object]]:
    """Every entry of a list that comes in pages of two, by what names it."""
    found: list[dict[str, object]] = []
    cursor = None
    while True:
        page = api.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        conforms(api, shape, page)
        found += [{key: entry[key] for key in ("job_id", "uri") if key in entry} for entry in page[name]]
        cursor = page["next"]
        if cursor is None:
            return found


def test_a_job_is_cancelled_and_tried_again(app: App, api: TestClient) -> None:
    path = f"/api/jobs/{post(api, ('a.txt', OTTERS))['job_id']}"
    assert api.post(f"{path}/retry").status_code == 409
    cancelled = api.delete(path)
    assert (cancelled.status_code, cancelled.json()["state"], cancelled.json()["cancel_asked"]) == (
        200,
        "cancelled",
        True,
    )
    refused = api.delete(path)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:problem-type:rag:conflict")
    assert Worker(app).run_one() is None
    again = api.post(f"{path}/retry").json()
    assert (again["state"], again["cancel_asked"]) == ("queued", False)
    Worker(app).run_one()
    assert api.get(path).json()["counts"]["added"] == 1
    for wrong, status in (("/api/jobs/999", 404), ("/api/jobs/0", 422)):
        assert api.get(wrong).status_code == api.delete(wrong).status_code == status
        assert api.get(f"{wrong}/items").status_code == api.get(f"{wrong}/events").status_code == status


def test_the_events_of_a_job_that_has_ended_are_its_end(app: App, api: TestClient) -> None:
    job = post(api, ("a.txt", OTTERS))["job_id"]
    Worker(app).run_one()
    response = api.get(f"/api/jobs/{job}/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    ((name, told),) = events_of(response.text)
    conforms(api, "Job", told)
    assert (name, told["state"], told["counts"]["added"]) == ("ended", "done", 1)


# ── who sees what ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_jobs_are_seen_within_their_tenant_and_by_their_sender_where_labels_bind(app: App) -> None:
    with app.database.write() as connection:
        second = collection_store.ensure_tenant(connection, "second")
        eve = tokens.create(connection, app.database, second, "eve")
    everyone, bound = make_token(app, "all"), make_token(app, "bound", ["public"])
    api = create(app)
    theirs = post(client(api, token=everyone), ("a.txt", OTTERS))["job_id"]
    own = post(client(api, token=bound), ("a.txt", OTTERS))["job_id"]
    for token, seen in ((everyone, [own, theirs]), (bound, [own]), (eve, [])):
        assert [job["job_id"] for job in client(api, token=token).get("/api/jobs").json()["jobs"]] == seen
        for key in (own, theirs):
            check_seen(api, token, key, key in seen)
    assert 'rag_jobs{state="queued"} 0.0' in client(api, token=eve).get("/metrics").text
    assert client(api, token=everyone).get(f"/api/jobs/{own}").json()["user"] == "bound"
    Worker(app).run_one()
    Worker(app).run_one()
    owners = {d["uri"]: d["owner"] for d in client(api, token=everyone).get("/api/documents").json()["documents"]}
    assert owners == {"upload:all/a.txt": "all", "upload:bound/a.txt": "bound"}


def check_seen(api: FastAPI, token: str, key: int, seen: bool) -> None:
    asking = client(api, token=token)
    assert (asking.get(f"/api/jobs/{key}").status_code == 200) == seen
    if not seen:
        for method, path in (("GET", "/items"), ("GET", "/events"), ("DELETE", ""), ("POST", "/retry")):
            response = asking.request(method, f"/api/jobs/{key}{path}")
            assert response.status_code == 404, (method, path)


def test_a_token_bound_to_labels_cannot_replace_anothers_document_later_either(app: App) -> None:
    everyone, bound = make_token(app, "all"), make_token(app, "bound", ["public"])
    api = create(app)
    asked = client(api, token=bound).post("/api/documents?background=true", json={"text": TIDES, "uri": "note:1"})
    assert asked.status_code == 202, "nobody has it yet"
    assert client(api, token=everyone).post("/api/documents", json={"text": OTTERS, "uri": "note:1"}).status_code == 201
    Worker(app).run_one()
    path = f"/api/jobs/{asked.json()['job_id']}"
    (item,) = client(api, token=bound).get(f"{path}/items").json()["items"]
    assert (item["state"], "somebody else" in item["reason"]) == ("failed", True)
    refused = client(api, token=bound).post("/api/documents?background=true", json={"text": TIDES, "uri": "note:1"})
    assert refused.status_code == 403


# ── a real server ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("database")
def test_the_servers_own_worker_does_jobs_while_somebody_watches(tmp_path: Path, database_url: str) -> None:
    settings = small(tmp_path, database=database_url)
    files = [("file", (f"{n}.txt", f"Text number {n} of a long row.".encode(), "text/plain")) for n in range(40)]
    with server(settings) as address, httpx.Client(base_url=address, timeout=30) as http:
        job = http.post("/api/documents?background=true", files=files).raise_for_status().json()["job_id"]
        with http.stream("GET", f"/api/jobs/{job}/events") as response:
            told = [(name, json.loads(data)) for name, data in events(response.iter_lines())]
        assert [name for name, _ in told] == ["progress"] * (len(told) - 1) + ["ended"]
        done = [body["progress"]["done"] for _, body in told]
        assert done == sorted(done)
        last = told[-1][1]
        assert (last["state"], last["counts"]["added"], done[-1]) == ("done", 40, 40)


def test_watching_takes_no_thread_and_ends_with_the_job(tmp_path: Path) -> None:
    """More watchers than the server has threads of any kind, while everything else is still answered."""
    settings = small(tmp_path, job_workers=0)
    with (
        opening(settings, create=True) as app,
        server(settings) as address,
        httpx.Client(base_url=address, timeout=30, limits=httpx.Limits(max_connections=40)) as http,
        ExitStack() as open_streams,
    ):
        asked = http.post("/api/documents?background=true", json={"text": OTTERS, "uri": "note:1"})
        path = f"/api/jobs/{asked.raise_for_status().json()['job_id']}"
        responses = [open_streams.enter_context(http.stream("GET", f"{path}/events")) for _ in range(24)]
        watching = [events(response.iter_lines()) for response in responses]
        assert {next(watcher)[0] for watcher in watching} == {"progress"}
        assert http.get("/api/collections").status_code == 200
        Worker(app).run_one()
        for watcher in watching:
            name, data = list(watcher)[-1]
            assert (name, json.loads(data)["state"]) == ("ended", "done")


def test_watching_ends_when_the_browser_leaves(app: App, api: TestClient) -> None:
    key = post(api, ("a.txt", OTTERS))["job_id"]
    tenant = app.tenant_id
    sent: list[Message] = []

    def look() -> Job:
        with app.database.read() as connection:
            return store.get(connection, tenant, key)

    async def watch() -> None:
        told = anyio.Event()

        async def receive() -> Message:
            await told.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            if message.get("body"):
                told.set()

        with anyio.fail_after(30):
            await JobEvents(look, CapacityLimiter(1))({"type": "http"}, receive, send)

    anyio.run(watch)
    (start, first, *_) = sent
    assert start["status"] == 200
    assert first["body"].startswith(b"event: progress\n")


def test_what_goes_wrong_while_somebody_watches_is_told_as_an_event(app: App, api: TestClient) -> None:
    sent = bytearray()

    def look() -> Job:
        raise StoreNotReady("the database is away")

    async def watch() -> None:
        async def receive() -> Message:
            await anyio.sleep_forever()
            raise AssertionError

        async def send(message: Message) -> None:
            sent.extend(message.get("body", b""))

        await JobEvents(look, CapacityLimiter(1))({"type": "http"}, receive, send)

    anyio.run(watch)
    ((name, told),) = events_of(sent.decode())
    assert (name, told["status"], told["detail"]) == ("error", 503, "the database is away")
