"""Errors on /v1 in OpenAI's shape, whoever raised them: guards, the router, the routes.

Every problem (RFC 9457) that leaves under /v1 is translated on its way out, so nothing below has to know of it. What
does not fit is 400 there, not 422, as OpenAI's clients expect.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api import problems
from rag.errors import WrongUsage
from rag.shapes import Json
from rag.shapes.problems import PROBLEM

PREFIX = "/v1/"
TYPES = {401: "authentication_error", 403: "permission_error"}  # else invalid_request_error, from 500 on server_error
_FIELD = re.compile(r"[A-Za-z_][A-Za-z_0-9]{0,63}")
_PYDANTIC = frozenset({"str", "list", "body"})  # steps of a location that are no fields


class Refused(WrongUsage):
    """A request of /v1 that cannot be met, and the field that asks for it."""

    def __init__(self, message: str, param: str, code: str = "unsupported_parameter", status: int = 400) -> None:
        super().__init__(message)
        self.param, self.code, self.status = param, code, status


def error_json(message: str, status: int, param: str | None = None, code: str | None = None) -> Json:
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def register(api: FastAPI) -> None:
    """Let routes raise Refused."""

    @api.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        body = problems.to_bytes(error_json(str(error), error.status, error.param, error.code))
        return Response(body, error.status, media_type="application/json")


def translated(problem: Mapping[str, Any]) -> tuple[int, Json]:  # JSON of ours
    """Status and body of /v1 for a problem document."""
    status = 400 if problem["status"] == 422 else int(problem["status"])
    name = str(problem["type"]).removeprefix(PROBLEM).replace("-", "_")
    locations = [error["location"] for error in problem.get("errors", [])]
    return status, error_json(str(problem["detail"]), status, _param(locations[0]) if locations else None, name)


def _param(location: list[str]) -> str | None:
    """`messages[0].content` for ["body", "messages", "0", "content", "str"]."""
    said = ""
    for step in location:
        if step.isascii() and step.isdigit():
            said += f"[{step}]"
        elif _FIELD.fullmatch(step) and step not in _PYDANTIC:
            said += f".{step}" if said else step
    return said or None


class OpenAIErrors:
    """Translates problems that leave under /v1. Stands outside of all that can make one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def send_translated(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                if MutableHeaders(scope=message).get("content-type") != problems.MEDIA_TYPE:
                    await send(message)
                    return
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    for each in _messages(start, body):
                        await send(each)

        await self.app(scope, receive, send_translated)


def _messages(start: Message, body: bytes) -> tuple[Message, Message]:
    status, said = translated(json.loads(body))
    written = problems.to_bytes(said)
    answer: Message = {**start, "status": status, "headers": list(start["headers"])}
    headers = MutableHeaders(scope=answer)
    headers["content-type"], headers["content-length"] = "application/json", str(len(written))
    if status >= 500 and "retry-after" not in headers:
        headers["x-should-retry"] = "false"  # to OpenAI's clients: whoever is asked again would fail and log again
    return answer, {"type": "http.response.body", "body": written, "more_body": False}
