"""One row for every question that was asked, whichever door it came by: answered, refused, failed or given up."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from anyio import CapacityLimiter
from starlette.testclient import TestClient

from rag.api.application import create
from rag.api.house import House
from rag.api.metrics import Metrics
from rag.api.streams import follow
from rag.api.tools import TOOLS
from rag.app import App, opening
from rag.ask import Answering, Question, Step, refused, stream
from rag.cli import run
from rag.errors import RagError
from rag.store import interactions as log
from rag.store.interactions import Query
from rag.types import CancelToken, Interaction, Principal
from rag.workers import Worker
from tests.api import OTTERS, client, make_token, small

ASKED = "What do sea otters do while they sleep?"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with opening(small(tmp_path_factory.mktemp("doors")), create=True) as opened:
        taken = client(create(opened)).post("/api/documents", json={"text": OTTERS, "uri": "note:otters"})
        assert taken.status_code == 201
        yield opened


@pytest.fixture
def here(app: App) -> TestClient:
    with app.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM interactions")
    return client(create(app))


def logged(app: App) -> list[Interaction]:
    with app.database.read() as connection:
        return log.listing(connection, app.tenant_id, Query(), limit=100)


LONG = "why? " * 2000
CHAT = {"messages": [{"role": "user", "content": ASKED}], "model": "rag"}


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/api/ask", {"question": ASKED}, 200, None),
        ("/api/ask", {"question": ASKED, "k": 100_000}, 422, "k"),
        ("/api/ask", {"question": ASKED, "colour": "red"}, 422, "colour"),
        ("/api/ask", {"question": ASKED, "collection": "nowhere"}, 404, "nowhere"),
        ("/api/ask", {"question": ASKED, "generator": "openai:http://x#y"}, 403, "generator"),
        ("/api/ask", {"question": ASKED, "template": "nothing"}, 404, "nothing"),
        ("/api/ask", {"question": ASKED, "filter": {"year": {"$near": 3}}}, 422, "near"),
        ("/api/ask", {"question": ASKED, "parent": "0" * 26}, 404, "0000"),
        ("/api/ask", {"question": LONG}, 413, "10000 characters"),
        ("/v1/chat/completions", CHAT, 200, None),
        ("/v1/chat/completions", CHAT | {"n": 2}, 400, "n"),
        ("/v1/chat/completions", CHAT | {"temperature": "hot"}, 400, "temperature"),
        ("/v1/chat/completions", CHAT | {"model": "rag:nowhere"}, 404, "nowhere"),
        ("/v1/completions", {"prompt": ASKED, "model": "rag"}, 200, None),
        ("/v1/completions", {"prompt": ASKED, "model": "rag:nowhere"}, 404, "nowhere"),
    ],
)
def test_over_http(
    app: App, here: TestClient, path: str, body: dict[str, object], status: int, reason: str | None
) -> None:
    assert here.post(path, json=body).status_code == status
    (entry,) = logged(app)
    assert entry.question == body.get("question", ASKED)
    assert (entry.error is None) == (reason is None)
    if reason is not None:
        assert reason in str(entry.error)
        assert (entry.answer, entry.passages, entry.conversation_id) == (None, (), None)


@pytest.mark.parametrize("path", ["/api/ask", "/v1/chat/completions"])
def test_streamed(app: App, here: TestClient, path: str) -> None:
    body = {"question": ASKED} if path == "/api/ask" else CHAT | {"stream": True}
    with here.stream("POST", path, json=body, headers={"accept": "text/event-stream"}) as told:
        assert told.status_code == 200
        told.read()
    (entry,) = logged(app)
    assert entry.answer is not None
    assert "hold hands" in entry.answer.text


def test_what_asks_nothing_is_in_no_log(app: App, here: TestClient) -> None:
    for path, body in (("/api/ask", {"k": 1}), ("/api/ask", [ASKED]), ("/v1/chat/completions", {"messages": []})):
        assert here.post(path, json=body).status_code in (400, 422)
    assert here.post("/api/search", json={"query": ASKED, "k": 100_000}).status_code == 422
    assert logged(app) == []


def test_without_a_token_nobody_is_heard(app: App, here: TestClient) -> None:
    make_token(app, "somebody")
    try:
        assert here.post("/api/ask", json={"question": ASKED, "k": 100_000}).status_code == 401
        assert logged(app) == []
    finally:
        with app.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM tokens")


def test_by_the_model_context_protocol(app: App, here: TestClient) -> None:
    house = House(app, Metrics())
    (tool,) = (tool for tool in TOOLS if tool.name == "ask")
    tool.call({"question": ASKED}, house, app.local(), threading.Event())
    for wrong in ({"question": ASKED, "collection": "nowhere"}, {"question": ASKED, "k": 100_000}):
        with pytest.raises((RagError, ValueError)):
            tool.call(wrong, house, app.local(), threading.Event())
    assert [(entry.question, entry.error is None) for entry in logged(app)] == [
        (ASKED, False),
        (ASKED, False),
        (ASKED, True),
    ]


def test_on_the_command_line(app: App, here: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_EMBEDDER", "hashing:256")
    monkeypatch.setenv("RAG_GENERATOR", "extractive")
    monkeypatch.setenv("RAG_MODELS", str(app.settings.models))
    data = ["--data", str(app.settings.data)]
    assert run(["ask", ASKED, *data]) == 0
    assert run(["ask", ASKED, "--generator", "transformers:/not/there", *data]) != 0
    assert run(["ask", ASKED, "--template", "nothing", *data]) != 0
    entries = logged(app)
    assert [(entry.question, entry.error is None) for entry in entries] == [
        (ASKED, False),
        (ASKED, False),
        (ASKED, True),
    ]
    assert "nothing" in str(entries[0].error)


@pytest.mark.parametrize("given_up", ["while waiting for its turn", "while it is answered"])
def test_given_up(app: App, here: TestClient, given_up: str) -> None:
    """Whoever hangs up before their question had its turn is in the log as cancelled, like everybody who does later."""
    answering: Answering = app.answering()

    def steps(cancel: CancelToken) -> Iterator[Step]:
        return stream(answering, Question(ASKED), Principal(app.tenant_id, "ann"), cancel)

    async def main() -> None:
        limiter = CapacityLimiter(1)
        gone = anyio.Event()

        async def receive() -> dict[str, object]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def each(step: Step | None) -> None:
            gone.set()
            await anyio.sleep(0)

        if given_up == "while waiting for its turn":
            await limiter.acquire_on_behalf_of("another")
            gone.set()
        await follow(steps, limiter, receive, each)  # type: ignore[arg-type]

    anyio.run(main)
    (entry,) = logged(app)
    assert entry.question == ASKED
    if given_up == "while waiting for its turn":
        assert entry.answer is not None
        assert entry.answer.finish_reason == "cancelled"


def test_a_worker_heeds_for_how_long_the_log_is_kept(
    app: App, here: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days in (0, 3):
        with monkeypatch.context() as then:
            then.setattr("rag.ask.now", lambda days=days: datetime.now(UTC) - timedelta(days=days))
            refused(app.database, app.local(), f"asked {days} days ago", "default", "nobody was there")
    for kept, left in ((0, 2), (30, 2), (2, 1)):
        monkeypatch.setattr(app, "settings", replace(app.settings, log_retention_days=kept))
        Worker(app).run_forever(threading.Event(), until_empty=True)
        assert len(logged(app)) == left
    assert logged(app)[0].question == "asked 0 days ago"
