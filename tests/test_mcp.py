"""The tools by the Model Context Protocol, through the protocol's own client: in-process, over a pipe, over HTTP."""

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from rag.api import mcp as ours
from rag.api.application import create
from rag.api.house import House
from rag.api.metrics import Metrics
from rag.api.serve import environment
from rag.app import App, opening
from rag.cli import run
from rag.client import Client as Api
from rag.config import Settings
from tests.api import OTTERS, TIDES, Inventive, client, make_token, server, small, until
from tests.faults.test_api_hangup import WAIT_S, Slow, served

ASKED = "What do sea otters do while they sleep?"
ALONE = "import sys; from rag.cli import run; sys.exit(run(['mcp', '--http']))"
MODES = ("auto", "legacy")  # protocol 2026-07-28, which needs no handshake, and 2025-11-25, which begins with one


def fill(app: App) -> None:
    """Otters, tides in a collection of their own, and a note that only the board may read."""
    api = client(create(app))
    for body in (
        {"text": OTTERS, "title": "Otters", "uri": "note:otters", "external_id": "o-1"},
        {"text": TIDES, "title": "Tides", "uri": "note:tides", "collection": "sea"},
        {"text": "The secret word is xylophone.", "title": "Minutes", "uri": "note:minutes", "labels": ["board"]},
    ):
        assert api.post("/api/documents", json=body).status_code == 201


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opening(small(tmp_path_factory.mktemp("mcp")), create=True) as app:
        fill(app)
        yield House(app, Metrics())


Act = Callable[[Client], Awaitable[None]]


def together(house: House, act: Act) -> None:
    """Let a client of the protocol speak with the tools, as whoever holds the data folder."""

    async def speak() -> None:
        async with Client(ours.make(house, lambda _: house.app.local())) as opened:
            await act(opened)

    anyio.run(speak)


def text(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


# ── the tools ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_tools_describe_themselves(house: House) -> None:
    async def act(opened: Client) -> None:
        tools = (await opened.list_tools()).tools
        assert [tool.name for tool in tools] == ["search", "ask", "read_document", "list_collections"]
        for tool in tools:
            assert tool.description
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint
            assert tool.input_schema["type"] == "object"
            assert tool.input_schema["additionalProperties"] is False
        assert tools[0].input_schema["required"] == ["query"]

    together(house, act)


def test_what_a_search_names_can_be_read(house: House) -> None:
    async def act(opened: Client) -> None:
        found = await opened.call_tool("search", {"query": "otters kelp", "k": 1})
        (hit,) = found.structured_content["hits"]
        assert text(found).startswith(f"[1] Otters\ndocument {hit['document_id']}, note:otters, characters 0 to")
        assert OTTERS in text(found)
        for name in (hit["document_id"], str(hit["document_id"]), "note:otters", "o-1"):
            whole = await opened.call_tool("read_document", {"document": name})
            assert whole.structured_content["text"][hit["start"] : hit["end"]] == hit["text"]
            assert whole.structured_content["next"] is None
        elsewhere = await opened.call_tool("search", {"query": "tide", "collection": "sea", "mode": "keyword"})
        assert [each["uri"] for each in elsewhere.structured_content["hits"]] == ["note:tides"]

    together(house, act)


def test_a_document_is_read_in_pieces(house: House) -> None:
    async def act(opened: Client) -> None:
        start, said = 0, ""
        while start is not None:
            given = {"document": "note:otters", "start": start, "length": 17}
            piece = (await opened.call_tool("read_document", given)).structured_content
            assert (piece["start"], piece["characters"]) == (len(said), len(OTTERS))
            said, start = said + piece["text"], piece["next"]
        assert said == OTTERS
        behind = await opened.call_tool("read_document", {"document": "note:otters", "start": 10_000})
        assert (behind.structured_content["text"], behind.structured_content["next"]) == ("", None)

    together(house, act)


def test_an_answer_comes_with_its_evidence_and_is_logged(house: House) -> None:
    async def act(opened: Client) -> None:
        answer = await opened.call_tool("ask", {"question": ASKED})
        entry = answer.structured_content
        assert entry["answer"] in text(answer)
        assert "[1] supported: “Sea otters hold hands while they sleep.” (Otters, document" in text(answer)
        logged = client(create(house.app)).get(f"/api/interactions/{entry['interaction_id']}").json()
        assert (logged["answer"], logged["user"]) == (entry["answer"], "local")
        nothing = await opened.call_tool("ask", {"question": "Who won in Lisbon yesterday?"})
        assert nothing.structured_content["abstained"] is True

    together(house, act)


def test_a_strict_answer_says_what_it_leaves_out(tmp_path: Path) -> None:
    async def act(opened: Client) -> None:
        answer = await opened.call_tool("ask", {"question": ASKED})
        assert text(answer).startswith("Sea otters hold hands while they sleep [1].\n")
        assert "\nLeft out, since no document bears it out: Penguins invented the steam engine.\n" in text(answer)

    with opening(small(tmp_path, strict="on"), create=True) as app:
        fill(app)
        app.engines.generators["extractive"] = Inventive()  # type: ignore[assignment]
        together(House(app, Metrics()), act)


def test_the_collections_are_listed(house: House) -> None:
    async def act(opened: Client) -> None:
        listed = await opened.call_tool("list_collections", {})
        assert text(listed) == "default: 2 documents (used when none is named)\nsea: 1 documents"
        assert [each["name"] for each in listed.structured_content["collections"]] == ["default", "sea"]

    together(house, act)


@pytest.mark.parametrize(
    ("tool", "given", "said"),
    [
        ("search", {}, "query: Field required"),
        ("search", {"query": "x", "k": "5"}, "k: Input should be a valid integer"),
        ("search", {"query": "x", "colour": "red"}, "colour: Extra inputs"),
        ("search", {"query": "x", "collection": "nowhere"}, "no collection 'nowhere'"),
        ("search", {"query": "x", "filter": {"a": {"$near": 1}}}, "near"),
        ("search", {"query": "a\x00b"}, "NUL"),
        ("search", {"query": "x" * 9000}, "9000 characters"),
        ("ask", {"question": " "}, "empty"),
        ("read_document", {"document": 2**70}, "no document"),
        ("read_document", {"document": "note:nowhere"}, "no document 'note:nowhere'"),
    ],
)
def test_what_cannot_be_done_is_said(house: House, tool: str, given: dict[str, Any], said: str) -> None:
    async def act(opened: Client) -> None:
        result = await opened.call_tool(tool, given)
        assert result.is_error
        assert said in text(result)

    together(house, act)


def test_a_fault_of_ours_tells_nothing_of_its_inside(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.api.tools.searched", lambda *_: 1 / 0)

    async def act(opened: Client) -> None:
        result = await opened.call_tool("search", {"query": "x"})
        assert result.is_error
        assert "unexpected" in text(result)
        assert "division" not in text(result)
        with pytest.raises(MCPError, match="no tool 'nothing'; there are search"):
            await opened.call_tool("nothing", {})

    together(house, act)


# ── over a pipe ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_over_standard_input_and_output(house: House) -> None:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "rag", "mcp"], env=outside | environment(house.app.settings)
    )

    async def speak() -> None:
        async with Client(stdio_client(command), mode="legacy") as opened:
            assert opened.server_info is not None
            assert opened.server_info.name == "rag"
            assert len((await opened.list_tools()).tools) == 4
            answer = await opened.call_tool("ask", {"question": ASKED})
            assert "hold hands" in text(answer)
            secret = await opened.call_tool("search", {"query": "xylophone", "mode": "keyword"})
            assert "xylophone" in text(secret)  # as on the command line

    anyio.run(speak)


def test_the_command_says_what_does_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mcp", "--port", "8000"]) == 2
    assert "--http" in capsys.readouterr().err


def test_without_the_extra_it_is_named(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ours, "find_spec", lambda _: None)
    assert run(["mcp"]) == 1
    assert "pip install 'rag[mcp]'" in capsys.readouterr().err
    response = client(create(house.app)).post("/mcp", json={})
    assert response.status_code == 503
    assert "rag[mcp]" in response.json()["detail"]


# ── over HTTP ───────────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def reached(address: str, token: str, mode: str) -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=WAIT_S) as http:
        async with Client(streamable_http_client(f"{address}/mcp", http_client=http), mode=mode) as opened:
            yield opened


@dataclass(frozen=True)
class Guarded:
    """A real server of the tools alone, the token of somebody who sees all, and one of somebody of the press."""

    address: str
    whole: str
    press: str
    settings: Settings


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    settings = small(tmp_path_factory.mktemp("mcp-http"))
    with opening(settings, create=True) as app:
        fill(app)
        whole, press = make_token(app), make_token(app, "press", ["press"])
    with server(settings, ALONE) as address:
        yield Guarded(address, whole, press, settings)


@pytest.mark.parametrize("mode", MODES)
def test_over_http_the_token_says_who_asks(guarded: Guarded, mode: str) -> None:
    async def speak(token: str) -> tuple[str, CallToolResult]:
        async with reached(guarded.address, token, mode) as opened:
            assert len((await opened.list_tools()).tools) == 4
            answer = await opened.call_tool("ask", {"question": ASKED})
            assert "hold hands" in text(answer)
            found = await opened.call_tool("search", {"query": "xylophone", "mode": "keyword"})
            return text(found), await opened.call_tool("read_document", {"document": "note:minutes"})

    found, minutes = anyio.run(speak, guarded.whole)
    assert "xylophone" in found
    assert "xylophone" in text(minutes)
    found, minutes = anyio.run(speak, guarded.press)
    assert found == "nothing was found"
    assert minutes.is_error
    assert "no document 'note:minutes'" in text(minutes)
    with opening(guarded.settings) as app:
        log = client(create(app), token=guarded.whole).get("/api/interactions").json()["interactions"]
    assert {line["user"] for line in log} == {"ada", "press"}


def test_over_http_what_is_malformed_is_4xx(guarded: Guarded) -> None:
    accept = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search"}}
    lone = json.dumps(call | {"params": {"name": "search", "arguments": {"query": "\ud800"}}}).encode()
    with httpx.Client(
        base_url=guarded.address, headers=accept | {"authorization": f"Bearer {guarded.whole}"}, timeout=WAIT_S
    ) as http:
        assert http.post("/mcp", json=call, headers={"authorization": ""}).status_code == 401
        for body in (b"", b"{", b"[]", b"null", b"[" * 50_000, b'{"jsonrpc": NaN}', lone, b"\xff"):
            assert 400 <= http.post("/mcp", content=body).status_code < 500, body[:50]
        assert http.post("/mcp", content=b" " * 2**21).status_code == 413
        assert http.post("/mcp", json=call, headers={"host": "evil.example.org"}).status_code == 421
        assert http.post("/mcp", json=call, headers={"origin": "http://evil.example.org"}).status_code == 403
        assert http.get("/mcp").status_code == 405
        assert http.get("/api/health").status_code == 200
        assert http.get("/api/collections").status_code == 404


def test_a_hang_up_cancels_the_answer(tmp_path: Path) -> None:
    slow = Slow(heeds_cancel=True)
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "ask", "arguments": {"question": ASKED}},
    }
    with opening(small(tmp_path, generator="slow"), create=True) as app:
        app.engines.generators["slow"] = slow
        with served(app) as address, Api(address) as api:
            api.add_text(OTTERS)

            async def hang_up() -> None:
                accept = {"accept": "application/json, text/event-stream"}
                async with (
                    httpx2.AsyncClient(timeout=WAIT_S, headers=accept) as http,
                    anyio.create_task_group() as group,
                ):
                    group.start_soon(lambda: http.post(f"{address}/mcp", json=call))
                    spoke = await anyio.to_thread.run_sync(lambda: slow.speaking.acquire(timeout=WAIT_S))
                    assert spoke, "the generator never spoke"
                    group.cancel_scope.cancel()

            anyio.run(hang_up)
            assert slow.closed.acquire(timeout=WAIT_S), "the generator was left running"
            for _ in until("the interaction is logged"):
                logged = list(api.interactions())
                if logged:
                    break
            assert [(line.finish_reason, line.answer) for line in logged] == [("cancelled", "Sea otters ")]
