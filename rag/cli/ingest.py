"""`rag ingest`: files and folders go in, with progress, a report of what happened, and a way to stop and go on."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import interrupts, options, output
from rag.cli.interrupts import first_interrupt
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.corpus import Origin, Progress, Report

SOME_FAILED = 3
PLAIN_EVERY_S = 3.0  # between two lines of progress where there is no terminal
SHOWN_FAILURES = 20

Shown = Callable[["Progress"], None]


@click.command("ingest")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@options.collection
@click.option(
    "--metadata", "metadata", multiple=True, type=options.KEY_VALUE, help="Metadata of every document; may be repeated."
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    type=options.TEXT,
    help="Only holders of this label may see the documents; may be repeated.",
)
@options.as_json
@options.common
def command(
    paths: tuple[Path, ...],
    collection: str | None,
    metadata: tuple[tuple[str, str], ...],
    labels: tuple[str, ...],
    json: bool,
) -> int:
    """Take in files and folders.

    Folders are searched for txt, md, html, pdf, docx, csv and jsonl files; hidden files, common junk and what a
    .ragignore names are passed over. What is there already is not embedded again. Exit code 3 says that some items
    failed while the others went in.
    """
    from rag.corpus import Origin

    if missing := [path for path in paths if not path.exists()]:
        raise WrongUsage(f"there is no file or folder {output.safe(str(missing[0]))}")
    origin = Origin("local", metadata_of(metadata), frozenset(labels))
    with options.opened(options.settings(collection=collection), create=True) as app:
        report = ingest(app, paths, origin)
    if report is None:
        return interrupts.CODE
    if json:
        from rag.shapes import report_json

        output.print_json(report_json(report))
    else:
        tell(report)
    return SOME_FAILED if report.failed else 0


def metadata_of(pairs: tuple[tuple[str, str], ...]) -> dict[str, str | int | float | bool | None]:
    """Values that read as a JSON number, boolean or null are one; all others are texts."""
    import json
    import math

    found: dict[str, str | int | float | bool | None] = {}
    for key, raw in pairs:
        try:
            value = json.loads(raw)
        except ValueError:
            value = raw
        plain = value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))
        found[key] = value if plain else raw
    return found


def ingest(app: "App", paths: tuple[Path, ...], origin: "Origin") -> "Report | None":
    """Take in the paths and publish the index; None when it was interrupted (what was stored stays)."""
    try:
        stopping = Stopping()
        with first_interrupt(stopping.ask), progress() as show:

            def step(now: "Progress") -> None:
                show(now)
                if stopping.asked:
                    raise KeyboardInterrupt

            corpus = app.corpus()
            report = corpus.add_paths(paths, origin, max_bytes=app.settings.max_file_mb * 2**20, progress=step)
        app.publish_due(corpus.collection)
    except KeyboardInterrupt:
        output.note("rag: interrupted; what was taken in stays. Run the same command again to go on")
        return None
    return report


class Stopping:
    """Whether somebody asked to stop, and the word that is said when they do."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self) -> None:
        self.asked = True
        output.note("rag: stopping after this batch; Ctrl-C again stops at once")


# ── progress ────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def progress() -> Iterator[Shown]:
    """A bar on a terminal, plain lines elsewhere; on standard error either way."""
    if sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield Lines(time.monotonic)


class Lines:
    """Prints a line every few seconds: how far, how fast, how long still."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = self._told = clock()

    def __call__(self, now: "Progress") -> None:
        moment = self._clock()
        if moment - self._told < PLAIN_EVERY_S:
            return
        self._told = moment
        taken = moment - self._started
        output.note(
            f"{now.sources_done:,} of {output.counted(now.sources, 'file')}, "
            f"{output.counted(now.chunks, 'new chunk')}, {now.chunks / taken:.1f} chunks/s, "
            f"{remaining(now.sources_done, now.sources, taken)} left"
        )


def remaining(done: int, total: int, taken_s: float) -> str:
    """How long the rest takes at the pace so far."""
    if not done:
        return "unknown time"
    seconds = taken_s / done * (total - done)
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"


@contextmanager
def _bar() -> Iterator[Shown]:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[rate]}"),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, started = bar.add_task("reading", total=None, rate=""), time.monotonic()

        def show(now: "Progress") -> None:
            rate = now.chunks / max(1e-9, time.monotonic() - started)
            bar.update(
                task,
                description="files",
                completed=now.sources_done,
                total=now.sources,
                rate=f"{now.chunks:,} chunks, {rate:.1f}/s",
            )

        yield show


# ── the report ──────────────────────────────────────────────────────────────────────────────────────────────────────


def tell(report: "Report") -> None:
    """Say what an ingest did, and why anything failed."""
    counts = [
        f"{value:,} {name}"
        for name, value in (
            ("added", report.added),
            ("updated", report.updated),
            ("unchanged", report.unchanged),
            ("duplicate", report.duplicate),
            ("skipped", report.skipped),
            ("failed", report.failed),
        )
        if value
    ]
    output.say(", ".join(counts) or "nothing to take in")
    output.say(
        f"{output.counted(report.documents, 'document')} with {output.counted(report.chunks, 'chunk')} "
        f"in the collection; {report.embedded:,} embedded now, in {report.seconds:.1f} s"
    )
    for failure in report.failures[:SHOWN_FAILURES]:
        reason = output.one_line(failure.reason)
        where = output.shown_uri(failure.uri)
        output.note(f"failed: {reason if where in reason else f'{where}: {reason}'}")
    if len(report.failures) > SHOWN_FAILURES:
        output.note(f"… and {len(report.failures) - SHOWN_FAILURES:,} more; --json names them all")
