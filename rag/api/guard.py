"""What stands before every route, as pure ASGI: faults, headers and measures; Host and Origin; body size; tokens.

Pure ASGI because it must see a body while it streams in, and a response without buffering it.
"""

import ipaddress
import re
from collections.abc import Callable
from time import perf_counter
from urllib.parse import unquote_to_bytes, urlencode, urlsplit

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api import problems
from rag.app import App
from rag.errors import NotAuthenticated, NotPermitted, RagError
from rag.store import tokens
from rag.types import Principal

PRINCIPAL = "rag.principal"  # where a request's scope holds who asks
COOKIE = "rag_token"  # where a browser keeps the token that was given at /login
LOGIN = "/login"
OPEN = frozenset({"/api/health", LOGIN})  # needs no token
OPEN_FOLDER = "/static/"  # neither does what pages load
OPEN_ON_LOOPBACK = frozenset({"/", "/docs", "/openapi.json"})  # describe the program, not the data
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?")


def is_loopback(host: str) -> bool:
    """Whether this address or name only this machine can reach."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


class Outermost:
    """Turns what nobody caught into a problem, adds the security headers, and measures every request."""

    def __init__(self, app: ASGIApp, measure: Callable[[str, str, int, float], None]) -> None:
        self.app = app
        self.measure = measure  # (method, route, status, seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = perf_counter(), 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, send_guarded)
        except ClientDisconnect:  # whoever sent a body went away before its end: nobody to answer, nothing to log
            return
        except Exception as error:
            body = problems.unexpected(error)
            if status:  # half an answer is out: the connection must break, so that nobody takes it for a whole one
                raise
            await problems.response(body)(scope, receive, send_guarded)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self.measure(scope["method"], route, status, perf_counter() - began)


class Hosts:
    """Refuses requests that name another host (DNS rebinding), come from another site, or hide a NUL."""

    def __init__(self, app: ASGIApp, allowed: frozenset[str]) -> None:
        self.app = app
        self.allowed = allowed  # names, lower case, besides loopback names and the address that was reached

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refused = self._refusal(scope)
            if refused is not None:
                await problems.plain(*refused)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        matched = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if matched is None:
            return 400, "the request needs exactly one Host header of the form name or name:port"
        if not self._known(matched["name"], scope):
            return 421, f"this server is not {matched['name']}; add the name to the setting allowed_hosts"
        if scope["method"] not in SAFE and not self._same_site(headers, hosts[0]):
            return 403, "the request comes from another site"
        if b"\x00" in unquote_to_bytes(scope.get("raw_path") or b"") + unquote_to_bytes(scope["query_string"]):
            return 400, "the address holds a NUL"
        return None

    def _known(self, name: str, scope: Scope) -> bool:
        name = name.strip("[]").lower().rstrip(".")
        own = str((scope.get("server") or ("",))[0]).strip("[]").lower()
        return is_loopback(name) or name in self.allowed or (name == own and _is_address(own))

    @staticmethod
    def _same_site(headers: Headers, host: str) -> bool:
        """Browsers say where a request comes from; what says nothing is no browser."""
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origins = headers.getlist("origin")
        if not origins:
            return True
        origin = urlsplit(origins[0])
        default = {"http": ":80", "https": ":443"}.get(origin.scheme)
        if len(origins) > 1 or default is None:
            return False
        return origin.netloc.lower().removesuffix(default) == host.lower().removesuffix(default)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class BodyLimit:
    """Refuses a body over its limit: at once when it says its length, else as soon as it has streamed past it."""

    def __init__(self, app: ASGIApp, limit: Callable[[str], int]) -> None:
        self.app = app
        self.limit = limit  # bytes, by path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit(scope["path"])
        refusal = problems.plain(413, f"the body is larger than the {limit} bytes that are taken here")
        length = Headers(scope=scope).get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            await problems.plain(400, "the Content-Length is no number")(scope, receive, send)
            return
        if len(length) > 18 or int(length) > limit:
            await refusal(scope, receive, send)
            return
        received, started, over = 0, False, False

        async def receive_counted() -> Message:
            nonlocal received, over
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                over = True
                raise _Over
            return message

        async def send_unless_over(message: Message) -> None:
            nonlocal started
            if not over or started:  # whatever a parser made of the broken body is not what went wrong
                started = True
                await send(message)

        try:
            await self.app(scope, receive_counted, send_unless_over)
        except _Over:
            pass
        except Exception:
            if not over:
                raise
        if over and not started:
            await refusal(scope, receive, send)


class _Over(Exception):
    """The body went past its limit while it was read."""


class Authentication:
    """Finds out who asks. With a live token in the installation every route but health needs one; without any, only
    this machine is answered, and only by a server that listens to nobody else."""

    def __init__(self, app: ASGIApp, installation: App) -> None:
        self.app = app
        self.installation = installation
        self.limiter = CapacityLimiter(4)  # threads of its own: slow routes must not keep others from being known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _open(scope):
            await self.app(scope, receive, send)
            return
        here = is_loopback(str((scope.get("client") or ("",))[0]))
        if here and scope["path"] in OPEN_ON_LOOPBACK and scope["method"] in SAFE:
            await self.app(scope, receive, send)
            return
        try:
            scope[PRINCIPAL] = await to_thread.run_sync(self._principal, scope, here, limiter=self.limiter)
        except RagError as error:
            await (_to_login(scope, error) or problems.of(error))(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _principal(self, scope: Scope, here: bool) -> Principal:
        """Looked up at each request, so that a revoked token is refused from the next one on."""
        database = self.installation.database
        given = Headers(scope=scope).getlist("authorization")
        secret = _secret(given) if given else ""
        with database.read() as connection:
            if secret.startswith(tokens.PREFIX):
                return tokens.principal(connection, database, secret)
            guarded = tokens.any_alive(connection)
            # Programs that speak OpenAI's language always send a key: where there is none to check, any word that is
            # no token of ours says as much as no header.
            if given and guarded:
                return tokens.principal(connection, database, secret)
            if guarded and (kept := _cookie(scope)):
                return tokens.principal(connection, database, kept)
        if guarded:
            raise NotAuthenticated("this needs a token: Authorization: Bearer TOKEN; `rag token create` makes one")
        if not here or not is_loopback(self.installation.settings.host):
            raise NotPermitted("without any token this server answers its own machine only; `rag token create`")
        return self.installation.local()


def _secret(given: list[str]) -> str:
    """The token in Authorization headers. Raises NotAuthenticated unless there is one, of the form Bearer TOKEN."""
    scheme, _, secret = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not secret.strip():
        raise NotAuthenticated("the Authorization header has the form: Bearer TOKEN")
    return secret.strip()


def _open(scope: Scope) -> bool:
    """Whether a request needs no token: health, and what leads to a login."""
    path, reads = scope["path"], scope["method"] in SAFE
    return path == LOGIN or (reads and (path in OPEN or path.startswith(OPEN_FOLDER)))


def _cookie(scope: Scope) -> str:
    """The token in the cookie, "" where there is none. Raises NotPermitted for a request that would change something
    and does not say where it comes from: whoever has the cookie is a browser, and browsers do (Origin, Sec-Fetch-Site).
    """
    headers = Headers(scope=scope)
    kept = Request(scope).cookies.get(COOKIE, "")
    if kept and scope["method"] not in SAFE and not ("origin" in headers or "sec-fetch-site" in headers):
        raise NotPermitted("a change that is asked for with the cookie of a login needs an Origin header")
    return kept


def _to_login(scope: Scope, error: RagError) -> Response | None:
    """Where a browser that shows pages goes on when nobody knows it; None for all others, who are told the problem."""
    if not isinstance(error, NotAuthenticated):
        return None
    headers = Headers(scope=scope)
    shown = headers.get("hx-current-url") if "hx-request" in headers else None
    if shown is not None:
        behind = urlsplit(shown)
        return Response(status_code=401, headers={"hx-redirect": login_address(behind.path, behind.query)})
    if "text/html" not in headers.get("accept", ""):
        return None
    reads = scope["method"] in SAFE
    query = scope["query_string"].decode("latin-1")
    return RedirectResponse(login_address(scope["path"], query) if reads else LOGIN, status_code=303)


def login_address(path: str, query: str = "") -> str:
    """The page where a token is given, which leads back to this address."""
    return f"{LOGIN}?{urlencode({'next': path + ('?' + query if query else '')})}"


async def until_hung_up(receive: Receive) -> None:
    """Return when the other side has gone. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        await anyio.lowlevel.checkpoint()
