"""A job on its way to a browser: how far it is, as server-sent events, until it ends or nobody watches any more."""

import json
from collections.abc import Callable

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rag.api import problems
from rag.api.guard import until_hung_up
from rag.api.streams import PING_S, event
from rag.errors import RagError
from rag.shapes.jobs import job_json
from rag.shapes.problems import problem_json
from rag.store.jobs import ENDED, Job

PACE_S = 0.5  # between two looks at the job


class JobEvents(Response):
    """`progress` with the job whenever something of it changed, `ended` with the job in the end, `error` (a problem).

    Waiting takes no thread, and looking one of `limiter`'s for a moment: any number of browsers may watch.
    """

    media_type = "text/event-stream"

    def __init__(self, look: Callable[[], Job], limiter: CapacityLimiter) -> None:
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._look, self._limiter = look, limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def listen() -> None:
            await until_hung_up(receive)
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await self._tell(send)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            except OSError:  # how a server says that the other side has gone
                pass
            group.cancel_scope.cancel()

    async def _tell(self, send: Send) -> None:
        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        last, silent_s = "", 0.0
        while True:
            try:
                job = await to_thread.run_sync(self._look, limiter=self._limiter)
            except Exception as error:
                await write(
                    event("error", problem_json(error) if isinstance(error, RagError) else problems.unexpected(error))
                )
                return
            shown = job_json(job)
            if job.state in ENDED:
                await write(event("ended", shown))
                return
            if (said := json.dumps(shown)) != last:
                await write(event("progress", shown))
                last, silent_s = said, 0.0
            elif silent_s >= PING_S:
                await write(b": still here\n\n")
                silent_s = 0.0
            await anyio.sleep(PACE_S)
            silent_s += PACE_S
