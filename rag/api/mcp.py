"""The tools by the Model Context Protocol: over standard input and output, and over HTTP, one exchange a request.

Over standard input and output whoever holds the data folder asks, as on the command line; over HTTP the bearer token
says who. No sessions are kept, so that any worker can answer. The SDK is the extra `mcp`, read when first needed.
"""

import json
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from pydantic import JsonValue, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from rag.api import problems
from rag.api.guard import PRINCIPAL, until_hung_up
from rag.api.house import House
from rag.api.metrics import Metrics
from rag.api.requests import strict_json
from rag.api.tools import TOOLS, Said, Tool
from rag.app import App
from rag.errors import NotReady, RagError
from rag.shapes import Json
from rag.types import Principal

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

INSTRUCTIONS = (
    "The user's own documents. Search them, ask them, read them; cite the document's title and uri, and say so when "
    "they do not answer."
)

Who = Callable[[Request | None], Principal]


def require() -> None:
    """Raise NotReady unless the SDK is installed."""
    if find_spec("mcp") is None:
        raise NotReady("the Model Context Protocol needs an extra: pip install 'rag[mcp]'")


def make(house: House, who: Who) -> "Server[dict[str, Any]]":
    """A server of the four tools; `who` says who asks, from the HTTP request if there is one."""
    import mcp_types as types
    from mcp.server.lowlevel import Server
    from mcp.shared.exceptions import MCPError

    known = {tool.name: tool for tool in TOOLS}

    async def list_tools(
        _: "ServerRequestContext[dict[str, Any]]", __: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(tool) for tool in TOOLS])

    async def call_tool(
        context: "ServerRequestContext[dict[str, Any]]", asked: types.CallToolRequestParams
    ) -> types.CallToolResult:
        tool = known.get(asked.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"no tool {asked.name!r}; there are {', '.join(known)}")
        try:
            said = await _called(tool, asked.arguments or {}, house, lambda: who(context.request))
        except (RagError, ValidationError, HTTPException) as error:
            return _result(_words(error), is_error=True)
        except Exception as error:
            return _result(str(problems.unexpected(error)["detail"]), is_error=True)
        return _result(said.text, said.data)

    return Server(
        "rag",
        version=version("rag"),
        title="rag",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _described(tool: Tool) -> "types.Tool":
    import mcp_types as types

    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.arguments.model_json_schema(),
        annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )


def _result(text: str, data: Json | None = None, *, is_error: bool = False) -> "types.CallToolResult":
    import mcp_types as types

    speakable = text.encode("utf-8", errors="replace").decode()  # a lone surrogate cannot be said in UTF-8
    content: list[types.ContentBlock] = [types.TextContent(type="text", text=speakable)]
    return types.CallToolResult(content=content, structured_content=data, is_error=is_error)


async def _called(tool: Tool, arguments: Mapping[str, JsonValue], house: House, who: Callable[[], Principal]) -> Said:
    """What the tool says. When nobody waits for it any more, a generator at work is told, and the log gets its row."""
    strict_json(json.dumps(arguments).encode())  # what no database can hold is refused, over any transport
    cancel = threading.Event()

    def work() -> Said:
        return tool.call(arguments, house, who(), cancel)

    async def watch() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancel.set()  # reached by a cancelled call, whose thread is waited for, and by every end

    failures: list[Exception] = []
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        try:
            return await to_thread.run_sync(work, limiter=house.answers if tool.speaks else None)
        except Exception as error:
            failures.append(error)  # raised outside of the group, which would wrap it
        finally:
            group.cancel_scope.cancel()
    raise failures[0]


def _words(error: RagError | ValidationError | HTTPException) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
    return str(error.detail) if isinstance(error, HTTPException) else str(error)


# ── standard input and output ───────────────────────────────────────────────────────────────────────────────────────


def run_stdio(app: App) -> None:
    """Answer what comes on standard input until it ends. Nothing else may write to standard output meanwhile."""
    require()
    house = House(app, Metrics())
    anyio.run(_speak, make(house, lambda _: app.local()))


async def _speak(server: "Server[dict[str, Any]]") -> None:
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


# ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Exchange(Response):
    """One request and its answer (Streamable HTTP without sessions). A hang-up cancels what was called."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        manager = await to_thread.run_sync(_manager, self._house)
        unread = [body]

        async def replay() -> Message:
            if not unread:
                await anyio.sleep_forever()
            return {"type": "http.request", "body": unread.pop(), "more_body": False}

        async def listen() -> None:
            await until_hung_up(receive)
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            async with manager.run():
                await manager.handle_request(scope, replay, send)
            group.cancel_scope.cancel()


def _manager(house: House) -> "StreamableHTTPSessionManager":
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    return StreamableHTTPSessionManager(make(house, _bearer), json_response=True, stateless=True)


def _bearer(request: Request | None) -> Principal:
    """Who the guard found out to be asking."""
    found = None if request is None else request.scope.get(PRINCIPAL)
    assert isinstance(found, Principal), "every request passes the guard"
    return found
