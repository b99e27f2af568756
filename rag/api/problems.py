"""One error shape (RFC 9457) for everything that can go wrong between a request and its answer."""

import json
import logging
import math
import secrets
from collections.abc import Mapping

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from rag.errors import Busy, NotAuthenticated, RagError
from rag.shapes import Json
from rag.shapes.problems import problem, problem_json

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20  # validation errors told of one request
# Where the question stands in the body of a request that asks one.
ASKING = {"/api/ask": "question", "/v1/chat/completions": "messages", "/v1/completions": "prompt"}
NAMES = {  # of problems that are not errors of ours
    400: "MalformedRequest",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "TooMuch",
    415: "UnsupportedMediaType",
    421: "MisdirectedRequest",
    422: "InvalidRequest",
    403: "NotPermitted",
}


def to_bytes(value: Mapping[str, object]) -> bytes:
    """The value as JSON in UTF-8. A lone surrogate, which UTF-8 cannot say, becomes a question mark."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", errors="replace")


def response(body: Json, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document as a response; its status is the response's."""
    return Response(to_bytes(body), int(str(body["status"])), headers, MEDIA_TYPE)


def of(error: RagError) -> Response:
    """The response to an error of ours."""
    headers = {"www-authenticate": 'Bearer realm="rag"'} if isinstance(error, NotAuthenticated) else {}
    if isinstance(error, Busy):
        headers = {"retry-after": str(math.ceil(error.retry_after_s))}
    return response(problem_json(error), headers)


def plain(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The response to what went wrong before anything of ours was reached."""
    return response(problem(NAMES.get(status, "Problem"), status, detail), headers)


def unexpected(error: BaseException) -> Json:
    """The problem document of a fault of ours: nothing of its inside, but an id under which the log has it all."""
    reference = secrets.token_hex(8)
    log.error("unexpected error %s", reference, exc_info=error)
    return problem("Unexpected", 500, f"an unexpected error; the server's log has it under {reference}") | {
        "instance": f"urn:rag:error:{reference}"
    }


def register(api: FastAPI) -> None:
    """Give every error that a route or FastAPI itself raises the one shape."""

    @api.exception_handler(RagError)
    async def ours(_: Request, error: RagError) -> Response:
        return of(error)

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        if asked := asked_in(request.url.path, error.body):
            await to_thread.run_sync(_log_question, request, error, asked)
        return response(validation_json(error))

    @api.exception_handler(HTTPException)
    async def theirs(request: Request, error: HTTPException) -> Response:
        return response(http_json(request, error), error.headers)


def http_json(request: Request, error: HTTPException) -> Json:
    """What the framework refuses, as a problem document."""
    detail = str(error.detail)
    if error.status_code == 404:  # only the router raises these two, and says nothing more
        detail = f"there is no {request.url.path}; /docs lists what there is"
    elif error.status_code == 405:
        detail = f"{request.url.path} does not take {request.method}; /docs lists what there is"
    return problem(NAMES.get(error.status_code, "Problem"), error.status_code, detail)


def _log_question(request: Request, error: RequestValidationError, asked: str) -> None:
    """A request that asks a question and does not fit is in the log, as one that failed."""
    from rag.api.guard import PRINCIPAL
    from rag.api.house import house
    from rag.ask import refused

    own, principal = house(request), request.scope[PRINCIPAL]
    reason = str(validation_json(error)["detail"])
    refused(own.app.database, principal, asked, own.app.settings.collection, reason)


def asked_in(path: str, body: object) -> str:
    """The question in the body of a request to a route that answers; "" where there is none."""
    if not isinstance(body, dict):
        return ""
    found: object = body.get(ASKING.get(path, ""))
    if isinstance(found, list):  # messages of a conversation: the last one asks
        found = found[-1].get("content") if found and isinstance(found[-1], dict) else None
    return found if isinstance(found, str) else ""


def validation_json(error: RequestValidationError) -> Json:
    """What does not fit, and where; the values themselves are not repeated (they may not even be JSON)."""
    errors = [
        {"location": [str(step) for step in item["loc"]], "detail": str(item["msg"])}
        for item in error.errors()[:MAX_ERRORS]
    ]
    said = "; ".join(f"{'.'.join(item['location'])}: {item['detail']}" for item in errors[:3])
    return problem("InvalidRequest", 422, said) | {"errors": errors}
