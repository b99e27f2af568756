"""`page` makes a response of a template; `PageRoute` says errors as pages, in the words that the API has for them."""

import json
import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from rag.api import problems
from rag.api.guard import COOKIE, PRINCIPAL
from rag.api.pages import shown, static
from rag.errors import RagError
from rag.shapes import Json
from rag.shapes.problems import problem, problem_json
from rag.types import Principal, Verdict

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {"content-security-policy": POLICY, "referrer-policy": "same-origin"}
SAID = "rag_said"  # the cookie that carries a message over a redirect
SAID_S = 60
SAID_CHARS = 500
NAV = (
    ("Ask", "/ask"),
    ("Documents", "/documents"),
    ("Log", "/log"),
    ("Review", "/review"),
    ("Compare", "/compare"),
    ("Evaluation", "/evaluation"),
    ("Dashboard", "/dashboard"),
)
HTMX = {
    "includeIndicatorStyles": False,  # would be an inline style
    "allowEval": False,
    "allowScriptTags": False,
    "selfRequestsOnly": True,
    "historyCacheSize": 0,  # no page of ours is kept in the browser's storage
    "refreshOnHistoryMiss": True,
    "scrollIntoViewOnBoost": False,
    "responseHandling": [
        {"code": "204", "swap": False},
        {"code": "[23]..", "swap": True},
        {"code": "[45]..", "swap": True, "error": False, "target": "#messages", "swapOverride": "innerHTML"},
    ],
}


@dataclass(frozen=True, slots=True)
class Telling:
    """How a verdict is told: in a word, by a sign that needs no colour, and in which colour."""

    word: str
    sign: str
    kind: str


VERDICTS: dict[Verdict, Telling] = {
    "supported": Telling("Supported", "✓", "good"),
    "partly": Telling("Partly supported", "◐", "warn"),
    "contradicted": Telling("Contradicted", "✕", "bad"),
    "unsupported": Telling("Not supported", "?", "bad"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One of the pages that every page leads to."""

    label: str
    href: str
    here: bool


def page(request: Request, name: str, /, **values: object) -> Response:
    """The template of this name as a response: no-store, under the strict policy. `values` are what it speaks of;
    besides them every template knows what `_standing` gives. A template's name that begins with "_" is a part of a
    page, for htmx."""
    return rendered(request, name, values)


def rendered(request: Request, name: str, values: Mapping[str, object], status: int = 200) -> Response:
    """As `page`, with the status."""
    said = "" if name.startswith("_") else unquote(request.cookies.get(SAID, ""))[:SAID_CHARS]
    text = environment().get_template(name).render(_standing(request) | {"said": said} | dict(values))
    response = Response(text.encode("utf-8", errors="replace"), status, HEADERS, "text/html; charset=utf-8")
    if said:
        response.delete_cookie(SAID, path="/", httponly=True, samesite="strict")
    return response


def see(request: Request, href: str, said: str = "") -> Response:
    """Where to go on after a form was sent (303), and what is said there. htmx follows as a browser does."""
    if request.headers.get("hx-request") == "true":
        response = Response(status_code=204, headers={"hx-redirect": href})
    else:
        response = RedirectResponse(href, status_code=303)
    if said:
        value = quote(said[:SAID_CHARS], safe="")
        response.set_cookie(SAID, value, max_age=SAID_S, path="/", httponly=True, samesite="strict")
    return response


def _standing(request: Request) -> dict[str, object]:
    """What every template knows: the path, who asks (None where nobody is known), which paths are served, whether there
    is a cookie to log out of, the pages that there are."""
    path = request.url.path
    principal = request.scope.get(PRINCIPAL)
    assert principal is None or isinstance(principal, Principal)
    served: frozenset[str] = request.app.state.paths
    return {
        "path": path,
        "principal": principal,
        "served": served,
        "signed_in": COOKIE in request.cookies,
        "nav": [
            Entry(label, href, here=path == href or path.startswith(href + "/"))
            for label, href in NAV
            if href in served
        ],
    }


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class PageRoute(APIRoute):
    """A route of a page. What it raises becomes a page with the words of the API's problem, or, for htmx, a message in
    #messages; a browser that is not known is sent to /login by the guard."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handler(request)
            except RagError as error:
                return refusal(request, problem_json(error))
            except RequestValidationError as error:
                return refusal(request, problems.validation_json(error))
            except HTTPException as error:
                name = problems.NAMES.get(error.status_code, "Problem")
                return refusal(request, problem(name, error.status_code, str(error.detail)))
            except Exception as error:
                return refusal(request, problems.unexpected(error))

        return shown


def register(api: FastAPI) -> None:
    """Tell a browser by a page what it asked for in vain; everyone else hears it as before."""

    @api.exception_handler(HTTPException)
    async def told(request: Request, error: HTTPException) -> Response:
        body = problems.http_json(request, error)
        if "text/html" not in request.headers.get("accept", ""):
            return problems.response(body, error.headers)
        answer = refusal(request, body)
        answer.headers.update(error.headers or {})
        return answer


def refusal(request: Request, told: Json) -> Response:
    """A problem document as a page, or as a message where htmx asked for a part of one."""
    name = "_problem.html" if request.headers.get("hx-request") == "true" else "problem.html"
    return rendered(request, name, {"problem": told, "back": came_from(request)}, int(str(told["status"])))


def came_from(request: Request) -> str | None:
    """The path of the other page of this server that led here; None where none did."""
    parts = urlsplit(request.headers.get("referer", ""))
    ours = parts.netloc == request.headers.get("host", "") and parts.path.startswith("/") and parts.path[1:2] != "/"
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return path if ours and path != request.url.path + (f"?{request.url.query}" if request.url.query else "") else None


# ── templates ───────────────────────────────────────────────────────────────────────────────────────────────────────


def prepare() -> None:
    """Read every template and asset, 0.4 s of work, so that the first page that is asked for does not wait for it."""
    static.files()
    for name in environment().list_templates():
        environment().get_template(name)


@cache
def environment() -> Environment:
    """The templates: everything is escaped, and a name that is not given is an error."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "time": time,
        "day": day,
        "number": number,
        "score": score,
        "percent": percent,
        "duration": duration,
        "size": size,
        "web": web,
        "query": query,
        "place": place,
        "pretty": pretty,
        "json": compact,
        "verdict": lambda verdict: VERDICTS[verdict].word,
        "kind": lambda verdict: VERDICTS[verdict].kind,
        "sign": lambda verdict: VERDICTS[verdict].sign,
        "href": shown.passage_href,
    }
    made.globals |= {"asset": static.address, "htmx": json.dumps(HTMX)}
    return made


def time(moment: datetime | str | None) -> Markup:
    """A moment as <time>, in UTC; app.js says it in the reader's own zone. A dash for none."""
    if moment is None:
        return Markup('<span class="faint">–</span>')
    at = _moment(moment)
    return Markup('<time datetime="{}">{}</time>').format(
        at.isoformat(timespec="milliseconds"), at.strftime("%Y-%m-%d %H:%M UTC")
    )


def day(moment: datetime | str) -> Markup:
    """The day of a moment as <time>, in UTC."""
    said = _moment(moment).strftime("%Y-%m-%d")
    return Markup('<time datetime="{}">{}</time>').format(said, said)


def _moment(moment: datetime | str) -> datetime:
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def number(value: float | None, places: int = 0) -> str:
    """1234567 as "1 234 567" with thin spaces that do not break; a dash for none."""
    return "–" if value is None or math.isnan(value) else f"{value:,.{places}f}".replace(",", "\u202f")


def score(value: float | None) -> str:
    """A score between 0 and 1 to two places; a dash where it does not apply."""
    return number(value, 2)


def percent(share: float | None) -> str:
    """A share between 0 and 1 as "42 %"."""
    return "–" if share is None else f"{100 * share:.0f}\u202f%"


def duration(ms: float | None) -> str:
    """Milliseconds as people say them: "8.4 ms", "1.2 s", "3 min 20 s"."""
    if ms is None:
        return "–"
    if ms < 10:
        return f"{ms:.1f}\u202fms"
    if ms < 1000:
        return f"{ms:.0f}\u202fms"
    if ms < 60_000:
        return f"{ms / 1000:.1f}\u202fs"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes}\u202fmin {seconds}\u202fs"


def size(count: float) -> str:
    """Bytes as "3.4 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f}\u202f{unit}" if unit == "B" or count >= 100 else f"{count:.1f}\u202f{unit}"


def web(uri: str) -> str | None:
    """The address if a browser may follow it: http or https with a host; else None (never javascript: or data:)."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    return uri if parts.scheme in ("http", "https") and parts.netloc else None


def place(uri: str) -> str:
    """An address as people read it: a file's path, an upload's name, anything else as it is."""
    scheme, _, rest = uri.partition(":")
    if scheme == "file":
        return unquote(rest.removeprefix("//"), errors="replace")
    return unquote(rest, errors="replace") if scheme == "upload" else uri


def query(values: Mapping[str, object]) -> str:
    """The values as the query of an address, "?" included; those that are None or empty are left out."""
    given = [
        (name, str(each))
        for name, value in values.items()
        for each in (value if isinstance(value, list | tuple) else [value])
        if each not in (None, "")
    ]
    return "?" + urlencode(given) if given else ""


def compact(value: object) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def pretty(value: object) -> str:
    """A value as indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)
