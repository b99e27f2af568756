"""What the tests of the API share: a small installation, its application in-process, and a real server."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from rag.api.serve import environment
from rag.app import App
from rag.config import Settings
from rag.store import tokens
from rag.types import Text

HERE = "http://127.0.0.1:8000"
SERVE = "from rag.config import load; from rag.api.serve import serve; serve(load().settings)"
START_S = 60
PAUSE_S = 0.01  # between two looks at what another thread or process does: it needs the processor itself

OTTERS = "Sea otters hold hands while they sleep. They wrap themselves in kelp so that they do not drift away."
TIDES = "The tide rises twice a day. The moon pulls the water, and the sun helps a little."


class Inventive:
    """A generator that says one thing the otters' text bears out, and one that it does not."""

    name, revision, context_tokens = "inventive", "", 4096

    def count_tokens(self, _: object) -> int:
        return 1

    def generate(self, *_: object) -> Iterator[Text]:
        yield Text("Sea otters hold hands while they sleep [1]. Penguins invented the steam engine [1].")


def small(folder: Path, **changes: object) -> Settings:
    """Settings that need no model."""
    values: dict[str, object] = {
        "data": folder / "data",
        "models": folder / "models",
        "embedder": "hashing:256",
        "generator": "extractive",
    }
    return Settings(**(values | changes))  # type: ignore[arg-type]


def client(api: object, *, token: str | None = None, peer: str = "127.0.0.1", url: str = HERE) -> TestClient:
    """A browser or program at `peer` that reaches the application under `url`."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return TestClient(api, base_url=url, headers=headers, client=(peer, 50000), follow_redirects=False)  # type: ignore[arg-type]


def make_token(app: App, name: str = "ada", labels: list[str] | None = None) -> str:
    tenant_id = app.tenant_id
    with app.database.write() as connection:
        return tokens.create(connection, app.database, tenant_id, name, labels=labels)


def revoke(app: App, name: str) -> None:
    tenant_id = app.tenant_id
    with app.database.write() as connection:
        tokens.revoke(connection, tenant_id, name)


@contextmanager
def server(settings: Settings, program: str = SERVE) -> Iterator[str]:
    """The address of a real server on a free port, which is stopped by SIGTERM in the end."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    process = subprocess.Popen(
        [sys.executable, "-W", "error::ResourceWarning", "-c", program],
        env=outside | environment(settings) | {"RAG_PORT": "0", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        ready, _, _ = select.select([process.stdout], [], [], START_S)
        line = process.stdout.readline() if ready else ""
        if not line.startswith("listening on "):
            process.kill()
            raise AssertionError(f"the server did not start: {line!r} {process.stderr.read()}")
        yield line.split()[2]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def until(what: str, seconds: float = 10) -> Iterator[None]:
    """Turns of a loop that ends by itself when the condition was met, or fails naming it when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(PAUSE_S)
    raise AssertionError(f"within {seconds} s: {what}")
