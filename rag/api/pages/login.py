"""/login and /logout: a token becomes a cookie that pages are asked with, and goes again."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import RedirectResponse

from rag.api.guard import COOKIE, LOGIN
from rag.api.house import House
from rag.api.pages.forms import Given
from rag.api.pages.rendering import PageRoute, page, rendered
from rag.api.requests import TheHouse
from rag.errors import NotAuthenticated
from rag.store import tokens

router = APIRouter(include_in_schema=False, route_class=PageRoute)

HOME = "/ask"
MAX_TOKEN_CHARS = 200


@router.get(LOGIN)
def shown(request: Request, house: TheHouse, next: Annotated[str, Query(max_length=4000)] = HOME) -> Response:
    """The form; where the installation has no tokens nobody needs it."""
    with house.app.database.read() as connection:
        guarded = tokens.any_alive(connection)
    if not guarded:
        return RedirectResponse(_within(next), status_code=303)
    return page(request, "login.html", next=_within(next), failure="")


@router.post(LOGIN)
async def begin(request: Request, house: TheHouse, given: Given) -> Response:
    """Keep the token in a cookie that scripts cannot read and other sites cannot use; it ends with the browser."""
    secret, onward = given.text("token"), _within(given.text("next"))
    try:
        await to_thread.run_sync(_check, house, secret)
    except NotAuthenticated as error:
        return rendered(request, "login.html", {"next": onward, "failure": str(error)}, 401)
    response = RedirectResponse(onward, status_code=303)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, secret, path="/", secure=secure, httponly=True, samesite="strict")
    return response


@router.post("/logout")
async def end() -> Response:
    response = RedirectResponse(LOGIN, status_code=303)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


def _check(house: House, secret: str) -> None:
    if not secret.isascii() or len(secret) > MAX_TOKEN_CHARS:
        raise NotAuthenticated("this is no token; `rag token create` makes one")
    with house.app.database.read() as connection:
        tokens.principal(connection, house.app.database, secret)


def _within(address: str) -> str:
    """The address if it is a path of this server, else where everything begins: nobody is led elsewhere."""
    ours = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if ours and not address.startswith(LOGIN) else HOME
