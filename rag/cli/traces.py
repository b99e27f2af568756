"""`rag traces export`: the log as OpenTelemetry traces, to a collector or into a file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from rag.cli import options, output
from rag.cli.choosing import MOMENT
from rag.errors import RagError, WrongUsage

if TYPE_CHECKING:
    from datetime import datetime

    from rag.app import App
    from rag.store.interactions import Query
    from rag.types import Interaction

PAGE = 100


@click.group("traces")
@options.common
def command() -> None:
    """Send what was asked and answered as OpenTelemetry traces, or write them to a file."""


@command.command("export")
@click.option("--since", type=MOMENT, help="Only from this moment on: 2026-01-31, 12h, 7d.")
@click.option("--until", type=MOMENT, help="Only before this moment.")
@click.option(
    "--to",
    "target",
    type=options.TEXT,
    metavar="FILE|URL",
    help="A file of JSON lines (- is standard output), or a collector's address.  [default: the setting otlp_endpoint]",
)
@click.option("--content", is_flag=True, help="With questions, answers, prompts and passages.")
@options.as_json
@options.common
def export(since: "datetime | None", until: "datetime | None", target: str | None, content: bool, json: bool) -> None:
    """Export the log, the oldest first: one trace for each question, with a span for each stage.

    The ids of traces follow from those of interactions: what is exported twice is the same trace. Needs OpenTelemetry:
    pip install 'rag[otel]'.
    """
    from rag.store.interactions import Query
    from rag.telemetry import otlp

    chosen = options.settings()
    content = content or chosen.trace_content == "on"
    target = target or chosen.otlp_endpoint
    if not target and not otlp.wanted(""):
        raise WrongUsage("where to? give --to FILE or --to http://collector:4318, or set otlp_endpoint")
    if json and target == "-":
        raise WrongUsage("--to - writes the traces to standard output, where --json would be, too")
    traces = spans = 0
    with options.opened(chosen) as app:
        entries = _entries(app, Query(since=since, until=until))
        if not target or target.startswith(("http://", "https://")):
            exporter = otlp.Exporter(target, content=content)
            try:
                for batch in _batches(entries):
                    try:
                        spans += exporter.send(batch)
                    except OSError as error:
                        raise RagError(f"{error}; {traces} traces were sent, export again with --since") from error
                    traces += len(batch)
            finally:
                exporter.close()
        else:
            counted = _Counted(entries)
            with _opened(target) as file:
                for number, request in otlp.requests(counted, content=content):
                    file.write(otlp.line(request) + "\n")
                    spans += number
            traces = counted.n
    if json:
        output.print_json({"traces": traces, "spans": spans, "to": target or "OTEL_ variables"})
    elif target != "-":
        output.say(f"{output.counted(traces, 'trace')} with {output.counted(spans, 'span')} exported")


class _Counted:
    """The same interactions, counted as they pass."""

    def __init__(self, entries: "Iterator[Interaction]") -> None:
        self._entries, self.n = entries, 0

    def __iter__(self) -> "Iterator[Interaction]":
        for entry in self._entries:
            self.n += 1
            yield entry


@contextmanager
def _opened(target: str) -> Iterator[TextIO]:
    """Where the lines go: a file, which is written anew, or standard output."""
    if target == "-":
        yield sys.stdout
        return
    path = Path(target)
    if not path.absolute().parent.is_dir():
        raise WrongUsage(f"there is no folder {output.safe(str(path.absolute().parent))}")
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise WrongUsage(f"{output.safe(str(path))} cannot be written: {error.strerror}") from error
    with file:
        yield file


def _entries(app: "App", query: "Query") -> "Iterator[Interaction]":
    """The interactions that are meant, whole, the oldest first."""
    from rag.store import interactions as store
    from rag.store.log import scores

    tenant_id = app.tenant_id
    with app.database.read() as connection:
        ids: list[str] = []
        while page := scores.ids(connection, tenant_id, query, limit=500, before=ids[-1] if ids else None):
            ids += page
    for first in range(0, len(ids), PAGE):
        with app.database.read() as connection:
            for key in ids[::-1][first : first + PAGE]:
                entry = store.whole(connection, key)
                if entry is not None:
                    yield entry


def _batches(entries: "Iterator[Interaction]") -> "Iterator[list[Interaction]]":
    batch: list[Interaction] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == PAGE:
            yield batch
            batch = []
    if batch:
        yield batch
