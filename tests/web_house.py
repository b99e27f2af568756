"""A web site on this machine for tests: a real HTTP server whose every answer a test sets, and fetchers that ask it."""

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ingest.errors import IngestError
from ingest.web.fetcher import Fetcher, NotModified, Page

HERE = "127.0.0.1"
LIMIT = 100_000  # bytes of a page


@dataclass(frozen=True, slots=True)
class Reply:
    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = Reply(b"<html><title>Sea</title><p>Tidal turbines harvest the moon.</p></html>", headers=HTML)


def to(where: str, status: int = 302) -> Reply:
    return Reply(status=status, headers={"Location": where})


Route = Reply | Callable[["Handler"], Reply | None]
"""An answer, or what makes one; None when it has written to the handler itself."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        route = self.server.routes.get(self.path, Reply(b"nothing here", 404))
        reply = route if isinstance(route, Reply) else route(self)
        if reply is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if not {"Content-Length", "Transfer-Encoding"} & set(reply.headers):
            self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        self.wfile.write(reply.content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: str, port: int) -> None:
        super().__init__((address, port), Handler)
        self.routes: dict[str, Route] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.names: list[str | None] = []  # that TLS clients asked for (SNI)
        self.over = threading.Event()  # set when the test is over; slow answers wait for it

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS."""
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error here."""


@contextmanager
def serving(address: str = "127.0.0.1", port: int = 0, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A site that is up while the block lasts. It has no robots.txt and no pages until they are set."""
    server = Server(address, port)
    if context is not None:
        server.secure(context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def leading_to(*addresses: str) -> "Resolver":
    return Resolver([addresses])


class Resolver:
    """A name server that gives one answer after the other, the last one for ever."""

    def __init__(self, answers: Sequence[Sequence[str]]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def fetcher(*hosts: str, timeout_s: float = 20.0, **said: object) -> Fetcher:
    return Fetcher(hosts or (HERE,), max_bytes=LIMIT, timeout_s=timeout_s, **said)  # type: ignore[arg-type]


def page(found: Page | NotModified) -> Page:
    assert isinstance(found, Page)
    return found


def refusal(url: str, kind: type[IngestError], *hosts: str, **said: object) -> str:
    with fetcher(*hosts, **said) as web, pytest.raises(kind) as caught:
        web.fetch(url)
    assert type(caught.value) is kind
    return str(caught.value)
