"""An answer on its way to a browser: the generator runs in a thread, its steps cross to the event loop, and a hang-up
crosses back.

Starlette neither closes a synchronous generator when the browser goes nor bounds the threads of many of them; both are
done here. Whatever happens the generator is run to its end or closed in its own thread, so that the log gets its row.
"""

import math
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing, suppress
from typing import Protocol

import anyio
from anyio import CapacityLimiter, from_thread, to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rag.api import problems
from rag.api.guard import until_hung_up
from rag.ask import Done, Started, Step
from rag.errors import RagError
from rag.shapes import Json
from rag.shapes.answers import ask_json, passages_json
from rag.shapes.problems import problem_json
from rag.types import CancelToken, Interaction

PING_S = 15.0  # a silent connection is kept open through proxies by a comment this often

Steps = Callable[[CancelToken], Generator[Step, None, None]]
Told = Callable[[str], None]  # given how it ended: answered, abstained, cancelled, failed

REQUEST_ID = "x-request-id"  # the header that names the interaction


class Form(Protocol):
    """How an answer is written."""

    def whole(self, entry: Interaction) -> Json: ...

    def step(self, step: Step) -> bytes:
        """The server-sent events that tell a step; b"" for none."""
        ...

    def failed(self, problem: Json) -> bytes:
        """What ends a stream that broke off."""
        ...


async def follow(
    steps: Steps, limiter: CapacityLimiter, receive: Receive, each: Callable[[Step | None], Awaitable[None]]
) -> None:
    """Run `steps` in a thread and give each to `each` in order, None while it is silent; stop when the asker hangs up.

    Raises what the steps raise. Returns only when the thread is done with them.
    """
    cancel = threading.Event()
    failures: list[Exception] = []
    outlet, inlet = anyio.create_memory_object_stream[Step](math.inf)
    hung_up = begun = False

    def pump() -> None:
        nonlocal begun
        begun = True
        with closing(steps(cancel)) as running:
            for step in running:
                from_thread.run_sync(outlet.send_nowait, step)
                if cancel.is_set() and not isinstance(step, Done):
                    return

    async def run() -> None:
        try:
            await to_thread.run_sync(pump, limiter=limiter)
        except Exception as error:
            failures.append(error)
        finally:
            outlet.close()

    async def tell() -> None:
        while True:
            step: Step | None = None
            with anyio.move_on_after(PING_S):
                try:
                    step = await inlet.receive()
                except anyio.EndOfStream:
                    return
            await each(step)

    async def listen() -> None:
        nonlocal hung_up
        await until_hung_up(receive)
        hung_up = True
        group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            group.start_soon(listen)
            try:
                await tell()
            except OSError:  # how a server says that the other side has gone
                hung_up = True
            finally:
                cancel.set()  # reached by a hang-up and by the server's shutdown as well: nobody listens any more
            group.cancel_scope.cancel()
    finally:
        inlet.close()
        if not begun:  # the asker went while others were answered: the log has the question all the same
            with anyio.CancelScope(shield=True), suppress(Exception):
                await to_thread.run_sync(pump)
    if failures and not hung_up:
        raise failures[0]


class Ours:
    """The form of /api/ask: the events `started`, some `text`, then `done` or `error`."""

    def whole(self, entry: Interaction) -> Json:
        return ask_json(entry)

    def step(self, step: Step) -> bytes:
        return event(*_event(step))

    def failed(self, problem: Json) -> bytes:
        return event("error", problem)


OURS = Ours()


class Whole(Response):
    """The answer as one JSON object, when it is done."""

    def __init__(self, steps: Steps, limiter: CapacityLimiter, told: Told, form: Form = OURS) -> None:
        super().__init__()
        self._steps, self._limiter, self._told, self._form = steps, limiter, told, form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        done: list[Interaction] = []

        async def each(step: Step | None) -> None:
            if isinstance(step, Done):
                done.append(step.interaction)

        try:
            await follow(self._steps, self._limiter, receive, each)
        except Exception:
            self._told("failed")
            raise
        self._told(ending(done[0]) if done else "cancelled")
        if done:
            body = problems.to_bytes(self._form.whole(done[0]))
            headers = {REQUEST_ID: done[0].id}
            await Response(body, headers=headers, media_type="application/json")(scope, receive, send)


class EventStream(Response):
    """The answer as server-sent events (WHATWG HTML), step by step.

    What fails before anything was found is a problem response with its own status, not an event.
    """

    media_type = "text/event-stream"

    def __init__(self, steps: Steps, limiter: CapacityLimiter, told: Told, form: Form = OURS) -> None:
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._steps, self._limiter, self._told, self._form = steps, limiter, told, form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, outcome = False, "cancelled"

        async def write(data: bytes) -> None:
            nonlocal started
            if not started:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                started = True
            await send({"type": "http.response.body", "body": data, "more_body": True})

        async def each(step: Step | None) -> None:
            nonlocal outcome
            if isinstance(step, Started):
                self.headers[REQUEST_ID] = step.interaction_id
            elif isinstance(step, Done):
                outcome = ending(step.interaction)
            if step is not None:
                await write(self._form.step(step))
            elif started:
                await write(b": still here\n\n")

        try:
            await follow(self._steps, self._limiter, receive, each)
        except Exception as error:
            outcome = "failed"
            if not started:
                raise
            body = problem_json(error) if isinstance(error, RagError) else problems.unexpected(error)
            await write(self._form.failed(body))
        finally:
            self._told(outcome)
        if started:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def ending(interaction: Interaction) -> str:
    """How an interaction ended: answered, abstained, cancelled, failed."""
    answer = interaction.answer
    if answer is None:
        return "failed"
    return "cancelled" if answer.finish_reason == "cancelled" else "abstained" if answer.abstained else "answered"


def _event(step: Step) -> tuple[str, Json]:
    if isinstance(step, Started):
        return "started", {
            "interaction_id": step.interaction_id,
            "passages": passages_json(step.prompt.passages),
        }
    if isinstance(step, Done):
        return "done", ask_json(step.interaction)
    return "text", {"text": step.text}


def event(name: str, data: Json) -> bytes:
    """One server-sent event; JSON holds no line break, so it is one data line."""
    return b"event: " + name.encode() + b"\ndata: " + problems.to_bytes(data) + b"\n\n"


def wants_events(accept: str) -> bool:
    """Whether an Accept header (RFC 9110) asks for server-sent events rather than for JSON."""
    quality = {"text/event-stream": 0.0, "application/json": 0.0}
    for part in accept.split(","):
        name, _, parameters = part.partition(";")
        name = name.strip().lower()
        if name in quality:
            quality[name] = _quality(parameters)
    return quality["text/event-stream"] > 0 and quality["text/event-stream"] >= quality["application/json"]


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
