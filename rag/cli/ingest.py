"""`rag ingest`: files and folders go in, with progress, a report of what happened, and a way to stop and go on."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import interrupts, options, output
from rag.cli.interrupts import first_interrupt
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.cli.intake import Intake
    from rag.corpus import Arrival, Corpus, Origin, Progress, Report
    from rag.corpus.batches import Failure, Told
    from rag.evaluate import Folder
    from rag.store.duplicates.decisions import StoredDecision
    from rag.types import Outcome

SOME_FAILED = 3
PLAIN_EVERY_S = 3.0  # between two lines of progress where there is no terminal
SHOWN_FAILURES = 20
SHOWN_DUPLICATES = 1000  # of a dry run

Shown = Callable[["Progress"], None]


@click.command("ingest")
@click.argument("places", nargs=-1, metavar="[PATH|URL]...", type=options.TEXT)
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
@click.option("--password", "passwords", multiple=True, help="To open encrypted files with; may be repeated.")
@click.option("--allow-host", "hosts", multiple=True, metavar="HOST", help="A host whose pages may be fetched.")
@click.option("--sitemap", metavar="URL", help="Take in the pages that this sitemap lists.")
@click.option("--sql", metavar="URL", help="Take in the rows of a query to this database (an SQLAlchemy URL).")
@click.option("--query", metavar="SELECT", help="The query whose rows are taken in.")
@click.option("--id-column", metavar="NAME", help="The column, or field, that tells rows or records apart.")
@click.option("--text-template", metavar="TEMPLATE", help='The text of a row or record, as in "{name}: {description}".')
@click.option("--title-template", metavar="TEMPLATE", help="Its title.")
@click.option(
    "--metadata-column", "columns", multiple=True, metavar="NAME", help="Kept as metadata.  [default: all others]"
)
@click.option(
    "--report", "report_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a line of JSON per file."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--background", is_flag=True, help="Leave it to `rag worker` or a running `rag serve`, and end at once.")
@options.as_json
@options.common
def command(
    places: tuple[str, ...],
    collection: str | None,
    metadata: tuple[tuple[str, str], ...],
    labels: tuple[str, ...],
    passwords: tuple[str, ...],
    hosts: tuple[str, ...],
    sitemap: str | None,
    sql: str | None,
    query: str | None,
    id_column: str | None,
    text_template: str | None,
    title_template: str | None,
    columns: tuple[str, ...],
    report_file: Path | None,
    dry_run: bool,
    background: bool,
    json: bool,
) -> int:
    """Take in files, folders, pages, and rows of databases.

    Folders are searched for text, Markdown, reStructuredText, AsciiDoc, HTML, PDF, Word, PowerPoint, Excel,
    OpenDocument, RTF, EPUB, e-mail (eml, mbox, msg), notebooks, JSON, XML, CSV, source code, images (where tesseract is
    installed), and zip and tar archives of these. Hidden files, common junk and what a .ragignore names are passed
    over. What is there already is not embedded again. Exit code 3 says that some items failed while the others went
    in.

    Rows: `--sql sqlite:///shop.db --query "SELECT …" --id-column id --text-template "{name}: {text}"`. The same
    columns and templates without --sql read the records of JSON, JSON lines, CSV and TSV files.
    """
    from rag.cli.intake import Intake
    from rag.corpus import Origin

    mapped = (id_column, text_template, title_template, columns or None)
    intake = Intake(places, passwords, hosts, sitemap, sql, query, mapped)
    intake.check()
    origin = Origin("local", metadata_of(metadata), frozenset(labels))
    with options.opened(options.settings(collection=collection), create=True) as app:
        if background:
            from rag.cli.jobs import in_background

            in_background(app, intake.only_paths("--background"), origin, json)
            return 0
        with written_report(report_file) as told:
            if dry_run:
                report, found = attempt(app, intake, origin, told)
            else:
                report, found = ingest(app, intake, origin, told), []
    if json and dry_run:
        from rag.shapes.documents import report_json
        from rag.shapes.duplicates import decision_json

        output.print_json(report_json(report) | {"duplicates": [decision_json(row) for row in found]})
    elif json:
        from rag.shapes.documents import report_json

        output.print_json(report_json(report))
    else:
        if dry_run:
            output.say("nothing was done; this would be:")
        tell(report)
        for row in found:
            output.say(f"{row.level} duplicate ({row.similarity:.2f}, {row.policy}): {output.shown_uri(row.uri)}")
            output.say(f"    of {output.shown_uri(row.against_uri)}")
    if report.stopped:
        output.note("rag: stopped; what was taken in stays. Run the same command again to go on")
        return interrupts.CODE
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


def attempt(app: "App", intake: "Intake", origin: "Origin", told: "Told") -> "tuple[Report, list[StoredDecision]]":
    """What an ingest would do, and the duplicates it would find; nothing of it stays."""
    from rag.store import collections as collection_store
    from rag.store.duplicates import decisions
    from rag.store.permitted import Predicate

    stopping, max_bytes = Stopping(), app.settings.max_file_mb * 2**20
    with first_interrupt(stopping.ask), progress() as show, intake.arrivals(max_bytes) as (arrivals, total):
        arriving = begun(arrivals)
        with app.trying() as corpus:
            collection, database = corpus.collection, corpus.database
            with database.read() as connection:
                last = decisions.last(connection, collection.id)
            report = _taken_in(corpus, max_bytes, arriving, total, origin, told, show, stopping)
            with database.read() as connection:
                at = collection_store.position(connection, collection.id)
                found = decisions.listing(
                    connection, Predicate(collection.id, None), at, scope="document", after=last, limit=SHOWN_DUPLICATES
                )
    return report, found


def ingest(app: "App", intake: "Intake", origin: "Origin", told: "Told" = lambda _: None) -> "Report":
    """Take in what was asked for and publish the index. When it was interrupted, what was stored stays: the report says
    `stopped`. What fails before its first item, as a query that is wrong, leaves no collection behind."""
    stopping, max_bytes = Stopping(), app.settings.max_file_mb * 2**20
    with first_interrupt(stopping.ask), progress() as show, intake.arrivals(max_bytes) as (arrivals, total):
        arriving = begun(arrivals)
        corpus = app.corpus()
        report = _taken_in(corpus, max_bytes, arriving, total, origin, told, show, stopping)
    collection = corpus.collection
    del corpus
    app.let_go_of_models()  # the index is built without them: the peak of memory is not that of both
    app.publish_due(collection)
    return report


def folder(app: "App", judged: "Folder") -> bool:
    """Take in the documents of a BEIR folder, and say which are not in the collection; False when it was stopped."""
    from rag.cli.intake import Intake
    from rag.corpus import Origin

    report = ingest(app, Intake((str(judged.corpus),)), Origin("local"))
    for failure in report.failures:
        output.note(f"not in the collection: {output.one_line(failure.reason)}")
    return not report.stopped


def begun(arrivals: "Iterable[Arrival]") -> "Iterator[Arrival]":
    """The same arrivals, the first of them drawn: whatever it raises is raised now."""
    rest = iter(arrivals)
    return chain(list(islice(rest, 1)), rest)


def _taken_in(
    corpus: "Corpus",
    max_bytes: int,
    arrivals: "Iterable[Arrival]",
    total: int | None,
    origin: "Origin",
    told: "Told",
    show: Shown,
    stopping: "Stopping",
) -> "Report":
    return corpus.add_sources(
        arrivals,
        origin,
        total=total,
        max_bytes=max_bytes,
        progress=show,
        told=told,
        stopping=lambda: stopping.asked,
    )


@contextmanager
def written_report(file: Path | None) -> Iterator["Told"]:
    """Writes every outcome as a line of JSON, as soon as it is true."""
    import json

    if file is None:
        yield lambda _: None
        return
    from rag.shapes.documents import outcome_json

    try:
        lines = file.open("w", encoding="utf-8")
    except OSError as error:
        raise WrongUsage(f"the report {file} cannot be written: {error.strerror}") from error
    with lines:

        def told(outcome: "Outcome") -> None:
            lines.write(json.dumps(outcome_json(outcome), ensure_ascii=False) + "\n")
            lines.flush()

        yield told


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
            if now.sources is not None
            else f"{output.counted(now.sources_done, 'source')}, {output.counted(now.chunks, 'new chunk')}, "
            f"{now.chunks / taken:.1f} chunks/s"
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
                rate=f"{output.counted(now.chunks, 'chunk')}, {rate:.1f}/s",
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
    tell_failures(report.failures)


def tell_failures(failures: "Sequence[Failure]") -> None:
    """Say why some failed, on standard error."""
    for failure in failures[:SHOWN_FAILURES]:
        reason = output.one_line(failure.reason)
        where = output.shown_uri(failure.uri)
        output.note(f"failed: {reason if where in reason else f'{where}: {reason}'}")
    if len(failures) > SHOWN_FAILURES:
        output.note(f"… and {len(failures) - SHOWN_FAILURES:,} more; --json names them all")
