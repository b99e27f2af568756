"""How a route reads its request: strict JSON, who asks, the house, and the words of a query."""

import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from rag.api.guard import PRINCIPAL
from rag.api.house import House, house
from rag.errors import WrongUsage
from rag.types import Principal

bearer = HTTPBearer(
    auto_error=False, description="`rag token create` makes a token; while there is none, loopback needs none."
)
Shown = Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]  # for OpenAPI; rag.api.guard does the work


async def asker(request: Request, _: Shown) -> Principal:
    """Who asks, as the guard found out. Asynchronous, like `reached`: else FastAPI would go to a thread and back for it
    at each request."""
    found = request.scope[PRINCIPAL]
    assert isinstance(found, Principal)
    return found


async def reached(request: Request) -> House:
    """The house of the application that a request came to."""
    return house(request)


Asker = Annotated[Principal, Depends(asker)]
TheHouse = Annotated[House, Depends(reached)]


class StrictRequest(Request):
    """A request whose JSON is what RFC 8259 calls JSON, and whose texts every database can hold."""

    async def json(self) -> Any:  # as Request.json is typed
        return strict_json(await self.body())


class StrictRoute(APIRoute):
    """A route that reads strict JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def strict_json(body: bytes) -> object:
    """The value of a JSON text. Raises a 400 for NaN, Infinity, NUL, lone surrogates, a name that stands twice in one
    object (of two conditions of a filter only one would count), and what is no JSON at all."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_constant, parse_float=_finite, object_pairs_hook=_once)
        encoded = json.dumps(value, ensure_ascii=False)
        encoded.encode("utf-8")  # a lone surrogate cannot be encoded
    except UnicodeEncodeError as error:
        raise HTTPException(400, "the JSON holds a lone surrogate, which is no character") from error
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"the body is not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise HTTPException(400, "the JSON is nested too deeply") from error
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error
    if "\\u0000" in encoded and _holds_nul(value):  # json.dumps writes NUL as \u0000
        raise HTTPException(400, "the JSON holds a NUL character")
    return value


def _constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:30]} is too large a number")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:100]!r} stands twice in one object")
    return found


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    if isinstance(value, dict):
        return any(_holds_nul(part) for item in value.items() for part in item)
    return False


def utc(moment: datetime | None) -> datetime | None:
    """The moment in UTC, which one without a zone is taken to be in."""
    if moment is None:
        return None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise WrongUsage(f"{moment.isoformat()} lies outside of the calendar") from error
