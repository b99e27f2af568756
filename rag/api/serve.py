"""`serve` runs the application in uvicorn, with one process or several."""

import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields

from fastapi import FastAPI

from rag.api.guard import is_loopback
from rag.api.metrics import FOLDER
from rag.app import opening
from rag.config import PREFIX, Settings, load
from rag.errors import WrongUsage
from rag.interpreter import tune
from rag.store import tokens

PAGES = "web pages: /, documentation: /docs"  # what is found where, as it is said when a server starts
GRACE_S = 10  # answers on their way when the server is told to stop may take this long


def to_stdout(line: str) -> None:
    """A line that whoever started the server sees at once, through a pipe as well."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def serve(
    settings: Settings,
    say: Callable[[str], None] = to_stdout,
    *,
    factory: str = "rag.api.serve:worker",
    at: str = PAGES,
) -> None:
    """Listen until a signal ends it. An installation that is not there yet is made. `factory` names the function that
    makes the application in each process, `at` says what is found where.

    Raises WrongUsage rather than listen to other machines without any token, StoreNotReady as App.open does.
    """
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    with opening(settings, create=True) as app, app.database.read() as connection:
        guarded = tokens.any_alive(connection)
    check_exposure(settings, guarded=guarded)
    listening = listen(settings.host, settings.port)
    with listening, _environment(settings), _counters(settings.workers):
        config = uvicorn.Config(
            factory,
            factory=True,
            workers=settings.workers,
            host=settings.host,
            port=settings.port,
            access_log=False,  # it would write questions to the terminal; /metrics counts, the log remembers
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        for line in announcement(settings, listening.getsockname()[1], guarded=guarded, at=at):
            say(line)
        server = uvicorn.Server(config)
        if settings.workers > 1:
            Multiprocess(config, sockets=[listening]).run()
        else:
            server.run(sockets=[listening])


def worker() -> FastAPI:
    """The application of one process, from the environment that `serve` prepared."""
    from rag.api.application import create

    tune()  # with several workers each is a new interpreter
    return create(load().settings)


def tools_worker() -> FastAPI:
    """The same with the tools for assistants only."""
    from rag.api.application import TOOLS, create

    tune()
    return create(load().settings, TOOLS)


def check_exposure(settings: Settings, *, guarded: bool) -> None:
    """Raise WrongUsage if other machines could reach a server that asks nobody who they are."""
    if not guarded and not is_loopback(settings.host):
        raise WrongUsage(
            f"without any token the API serves this machine only, not {settings.host}: make one with "
            "`rag token create --name NAME`, or listen on 127.0.0.1"
        )


def announcement(settings: Settings, port: int, *, guarded: bool, at: str = PAGES) -> Iterator[str]:
    """What is said before the first request."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    many = f" with {settings.workers} workers" if settings.workers > 1 else ""
    yield f"listening on http://{host}:{port}{many} ({at}); Ctrl-C ends it"
    if not guarded:
        yield "open to this machine only, and to everyone on it, until there is a token: rag token create --name NAME"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises WrongUsage when the address cannot be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        # The protocol must be named, else asyncio leaves Nagle's algorithm on: 40 ms a response.
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise WrongUsage(f"{host} is no address to listen on: {error.strerror or error}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
        listening.set_inheritable(True)
    except OSError as error:
        listening.close()
        raise WrongUsage(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error
    return listening


def environment(settings: Settings) -> dict[str, str]:
    """The settings as RAG_* variables: every one of them, so that no file or default can differ in a worker."""
    return {PREFIX + field.name.upper(): _text(getattr(settings, field.name)) for field in fields(settings)}


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


@contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    with _set(environment(settings)):
        yield


@contextmanager
def _counters(workers: int) -> Iterator[None]:
    """A folder where several workers keep their counters together, for as long as the server runs."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="rag-metrics-") as folder, _set({FOLDER: folder}):
        yield


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
