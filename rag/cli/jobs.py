"""`rag jobs`: the background jobs, how far they are, what became of every file, and ending or repeating one."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import options, output

if TYPE_CHECKING:
    from datetime import datetime

    from rag.app import App
    from rag.corpus import Origin
    from rag.store.jobs import Item, Job, State
    from rag.types import FileState

STATES = ("queued", "running", "done", "failed", "cancelled")  # as in rag.store.jobs; a test compares them
FILE_STATES = ("added", "updated", "unchanged", "duplicate", "skipped", "failed")  # as in rag.types.FileState
PAGE = 1000  # items read at once

job_id = click.argument("job_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))


@click.group("jobs")
@options.common
def command() -> None:
    """List, show, cancel and retry background jobs."""


@command.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only jobs that stand so.")
@options.most(50)
@click.option("--before", metavar="ID", type=click.IntRange(1), help="Begin behind this id.")
@options.as_json
@options.common
def listed(state: "State | None", limit: int, before: int | None, json: bool) -> None:
    """List the jobs, the newest first."""
    from rag.store import jobs as store

    with options.opened(options.settings()) as app:
        tenant = app.tenant_id
        with app.database.read() as connection:
            rows = store.listing(connection, tenant, limit=limit + 1, before=before, state=state)
    more = len(rows) > limit
    rows = rows[:limit]
    if json:
        from rag.shapes.jobs import job_json

        output.print_json({"jobs": [job_json(job) for job in rows], "next": rows[-1].id if more else None})
        return
    if not rows:
        output.say("no such jobs; `rag ingest --background` makes one")
        return
    lines = [
        (
            str(job.id),
            job.kind,
            _standing(job),
            _far(job),
            output.one_line(job.collection or "–", 30),
            output.one_line(job.user, 20),
            _moment(job.created_at),
        )
        for job in rows
    ]
    output.table(["id", "kind", "state", "files", "collection", "for", "asked"], lines, right=[0])
    if more:
        output.note(f"there are more: --before {rows[-1].id}")


@command.command("show")
@job_id
@click.option("--items", "with_items", is_flag=True, help="With what became of every file.")
@click.option("--state", type=click.Choice(FILE_STATES), help="Only files that ended so; implies --items.")
@options.as_json
@options.common
def show(job_id: int, with_items: bool, state: "FileState | None", json: bool) -> None:
    """Show one job: how far it is, and what became of its files."""
    from rag.store import jobs as store

    with options.opened(options.settings()) as app:
        tenant = app.tenant_id
        with app.database.read() as connection:
            job = store.get(connection, tenant, job_id)
        found = _items(app, job_id, state) if with_items or state else iter(())
        if not json:
            _tell(job)
            for item in found:
                _tell_item(item)
            return
        from rag.shapes.jobs import job_item_json, job_json

        shown = job_json(job)
        if with_items or state:
            shown |= {"items": [job_item_json(item) for item in found]}
        output.print_json(shown)


@command.command("cancel")
@job_id
@options.as_json
@options.common
def cancel(job_id: int, json: bool) -> None:
    """End a job: at once when it waits, after the batch at hand when it runs. What was stored stays."""
    from rag.store import jobs as store

    with options.opened(options.settings()) as app:
        tenant = app.tenant_id
        with app.database.write() as connection:
            job = store.ask_cancel(connection, tenant, job_id, actor="local")
    said = "is cancelled" if job.state == "cancelled" else "ends after the batch at hand"
    _told(job, json, f"job {job.id} {said}; what it stored stays")


@command.command("retry")
@job_id
@options.as_json
@options.common
def retry(job_id: int, json: bool) -> None:
    """Queue a job that failed or was cancelled once more; what went in already is not done twice."""
    from rag.store import jobs as store

    with options.opened(options.settings()) as app:
        tenant = app.tenant_id
        with app.database.write() as connection:
            job = store.retry(connection, tenant, job_id, actor="local")
    _told(job, json, f"job {job.id} is queued; `rag worker` or a running `rag serve` does it")


def in_background(app: "App", paths: Sequence[Path], origin: "Origin", json: bool) -> None:
    """Leave an ingest to whoever does jobs, and say which one it is."""
    from rag.jobs import ask_paths

    asker, collection = app.local(), app.settings.collection
    with app.database.write() as connection:
        job = ask_paths(connection, asker, collection, paths, metadata=origin.metadata, labels=sorted(origin.labels))
    _told(job, json, f"job {job.id} is queued; `rag worker` does it, `rag jobs show {job.id}` says how far it is")


def _told(job: "Job", json: bool, said: str) -> None:
    if json:
        from rag.shapes.jobs import job_json

        output.print_json(job_json(job))
    else:
        output.say(said)


def _items(app: "App", job_id: int, state: "FileState | None") -> Iterator["Item"]:
    """What became of the files of a job, read a page at a time."""
    from rag.store import jobs as store

    after = 0
    while True:
        with app.database.read() as connection:
            page = store.items(connection, job_id, limit=PAGE, after=after, state=state)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].id


def _tell(job: "Job") -> None:
    counts = ", ".join(f"{job.progress.counts[s]:,} {s}" for s in FILE_STATES if job.progress.counts.get(s))
    paths = job.payload.get("paths")
    for name, value in (
        ("id", str(job.id)),
        ("kind", job.kind),
        ("state", _standing(job)),
        ("collection", job.collection or "–"),
        ("for", job.user),
        ("paths", ", ".join(map(str, paths)) if isinstance(paths, list) else "–"),
        ("files", _far(job)),
        ("ended", counts or "–"),
        ("attempts", str(job.attempts)),
        ("asked", _moment(job.created_at)),
        ("begun", _moment(job.started_at)),
        ("finished", _moment(job.finished_at)),
    ):
        output.say(f"{output.faint(f'{name:<12}')}{output.one_line(value)}")
    if job.error:
        output.say(output.bad(output.one_line(job.error)))


def _tell_item(item: "Item") -> None:
    reason = f": {output.one_line(item.reason)}" if item.reason else ""
    output.say(f"{item.state:<10} {output.shown_uri(item.uri)}{reason}")


def _standing(job: "Job") -> str:
    return "ending" if job.state == "running" and job.cancel_asked_at is not None else job.state


def _far(job: "Job") -> str:
    total = job.progress.total
    return f"{job.progress.done:,}" if total is None else f"{job.progress.done:,} of {total:,}"


def _moment(moment: "datetime | None") -> str:
    return "–" if moment is None else moment.isoformat(timespec="seconds")
