"""What is refused before any route was reached, as a page for browsers: too large a body, a name that is not ours."""

import base64
import json
from hashlib import sha256

from markupsafe import Markup
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api import problems
from rag.api.guard import PRINCIPAL
from rag.api.pages.rendering import environment, refusal
from rag.shapes import Json

STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.55 system-ui,sans-serif;max-width:40rem;margin:12vh auto;"
    "padding:0 1rem;overflow-wrap:anywhere}h1{font-size:1.4rem;margin:0 0 .5rem}p{margin:0 0 .5rem}"
    "p::first-letter{text-transform:uppercase}"
)
ALONE = {  # of a page that can load nothing: its own style is named by its digest
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{base64.b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}


class Refusals:
    """Says a problem that no route has told as a page, where a browser asks for one; everyone else hears it as JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _shows_pages(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        held: Message | None = None  # the begin of a problem's response
        body = b""

        async def told(message: Message) -> None:
            nonlocal held, body
            if message["type"] == "http.response.start" and "endpoint" not in scope and _is_problem(message):
                held = message
            elif held is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    await page_of(Request(scope), json.loads(body))(scope, receive, send)

        await self.app(scope, receive, told)


def _shows_pages(headers: Headers) -> bool:
    return "text/html" in headers.get("accept", "") or headers.get("hx-request") == "true"


def _is_problem(message: Message) -> bool:
    return Headers(raw=message["headers"]).get("content-type", "") == problems.MEDIA_TYPE


def page_of(request: Request, told: Json) -> Response:
    """A problem as a page like all others, or a part of one for htmx, where it is known who asks; else, as under a name
    that is not ours, where nothing can be loaded either, as a page that stands alone."""
    if PRINCIPAL in request.scope or request.headers.get("hx-request") == "true":
        return refusal(request, told)
    text = environment().get_template("refused.html").render(problem=told, style=Markup(STYLE))
    return Response(text.encode("utf-8", errors="replace"), int(str(told["status"])), ALONE, "text/html; charset=utf-8")
