"""A browser that goes away in mid-answer: the generator is told, closed in its own thread, and the log says so."""

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn

from rag.api import streams
from rag.api.application import create
from rag.api.house import ANSWERS
from rag.api.serve import listen
from rag.app import App, opening
from rag.client import Client
from rag.types import CancelToken, Event, Finish, GenerationSettings, Message, Prompt, Text, Usage
from tests.api import OTTERS, small, until

WAIT_S = 30  # a test that waits longer for something to happen has failed


class Slow:
    """Says one word, then waits to be let on, or cancelled; knows how it ended."""

    name, revision, context_tokens = "slow", "", 4096

    def __init__(self, *, heeds_cancel: bool) -> None:
        self.heeds_cancel = heeds_cancel
        self.speaking = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.closed = threading.Semaphore(0)
        self.cancel = threading.Event()  # the token of the last answer

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        try:
            self.cancel = cancel
            yield Text("Sea otters ")
            self.speaking.release()
            (cancel if self.heeds_cancel else self.go_on).wait(WAIT_S)
            if cancel.is_set() and self.heeds_cancel:
                yield Usage(1, 1)
                yield Finish("cancelled")
                return
            yield Text("hold hands")
            yield Text(" while they sleep.")
            yield Usage(1, 2)
            yield Finish("stop")
        finally:
            self.closed.release()


@contextmanager
def served(app: App) -> Iterator[str]:
    """A real server in a thread of this process."""
    with listen("127.0.0.1", 0) as listening:
        server = uvicorn.Server(uvicorn.Config(create(app), log_level="warning", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(WAIT_S)
            assert not thread.is_alive()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opening(small(tmp_path, generator="slow"), create=True) as opened:
        yield opened


def ask(address: str, accept: str) -> http.client.HTTPConnection:
    """A question that was sent; nothing of its answer is read yet."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=WAIT_S)
    body = json.dumps({"question": "What do sea otters do?"})
    connection.request("POST", "/api/ask", body, {"content-type": "application/json", "accept": accept})
    return connection


@pytest.mark.parametrize("heeds_cancel", [True, False])
@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_a_hang_up_ends_the_answer_and_is_logged_as_cancelled(app: App, accept: str, heeds_cancel: bool) -> None:
    slow = Slow(heeds_cancel=heeds_cancel)
    app.engines.generators["slow"] = slow
    with served(app) as address, Client(address) as rag:
        rag.add_text(OTTERS, uri="note:otters")
        connection = ask(address, accept)
        assert slow.speaking.acquire(timeout=WAIT_S), "the fault did not fire: the generator never spoke"
        connection.close()
        if not heeds_cancel:  # it speaks on after the hang-up was seen, and is closed at its next word
            assert slow.cancel.wait(WAIT_S), "the hang-up was not noticed"
            slow.go_on.set()
        assert slow.closed.acquire(timeout=WAIT_S), "the generator was left running"
        said = "Sea otters " if heeds_cancel else "Sea otters hold hands"
        for _ in until("the interaction is logged"):
            logged = list(rag.interactions())
            if logged:
                break
        assert [(line.finish_reason, line.answer, line.error) for line in logged] == [("cancelled", said, None)]
        for _ in until("it is counted"):
            if cancelled(rag):
                break


def cancelled(rag: Client) -> bool:
    """Whether a question was counted as cancelled."""
    text = rag._wire.send("GET", "/metrics").text
    return 'rag_asks_total{generator="slow",outcome="cancelled"} 1.0' in text


def test_health_is_answered_while_every_answer_thread_is_busy(app: App) -> None:
    slow = Slow(heeds_cancel=True)
    app.engines.generators["slow"] = slow
    with served(app) as address, Client(address) as rag:
        rag.add_text(OTTERS, uri="note:otters")
        asked = [ask(address, "text/event-stream") for _ in range(ANSWERS + 2)]
        for _ in range(ANSWERS):
            assert slow.speaking.acquire(timeout=WAIT_S)
        assert httpx.get(f"{address}/api/health", timeout=WAIT_S).status_code == 200
        assert rag.search("otters").hits
        for connection in asked:
            connection.close()
        for _ in until("the waiting questions have gone and the others are logged", WAIT_S):
            if len(list(rag.interactions())) >= ANSWERS:
                break
        assert {line.finish_reason for line in rag.interactions()} == {"cancelled"}


def test_a_silent_stream_is_kept_open_by_comments(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.02)
    slow = Slow(heeds_cancel=False)
    app.engines.generators["slow"] = slow
    with served(app) as address, Client(address) as rag:
        rag.add_text(OTTERS, uri="note:otters")
        connection = ask(address, "text/event-stream")
        response = connection.getresponse()
        while not response.readline().startswith(b":"):
            pass
        slow.go_on.set()
        assert b"event: done" in response.read()
        connection.close()


def test_an_upload_that_breaks_off_is_no_fault_of_the_server(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with served(app) as address, Client(address) as rag:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=WAIT_S)
        connection.putrequest("POST", "/api/documents")
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", "1000")
        connection.endheaders(b'{"text": "half of')
        connection.close()
        broken = 'rag_http_requests_total{method="POST",route="/api/documents",status="499"} 1.0'
        for _ in until("the upload is counted as broken off"):
            if broken in rag._wire.send("GET", "/metrics").text:
                break
        assert list(rag.collections()) == []
    assert "unexpected" not in caplog.text


def test_a_stopping_server_ends_its_answers_and_logs_them(app: App) -> None:
    slow = Slow(heeds_cancel=True)
    app.engines.generators["slow"] = slow
    with served(app) as address, Client(address) as rag:
        rag.add_text(OTTERS, uri="note:otters")
        connection = ask(address, "text/event-stream")
        assert slow.speaking.acquire(timeout=WAIT_S)
    connection.close()
    assert slow.closed.acquire(timeout=WAIT_S)
    from rag.store import interactions

    with app.database.read() as reading:
        logged = interactions.listing(reading, app.tenant_id, interactions.Query(), limit=5)
    assert [entry.answer.finish_reason for entry in logged if entry.answer] == ["cancelled"]
