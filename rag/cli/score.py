"""`rag score`: metrics applied to what was asked and answered before, with progress, and a way to stop and go on."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import interrupts, options, output
from rag.cli.choosing import MOMENT
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.evaluation.scoring import References, Tally


TOLD_S = 60.0  # at the end: for so long whoever is told of low scores is waited for


@click.command("score")
@click.option("--since", type=MOMENT, help="Only questions from this moment on: 2026-01-31, 12h, 7d.")
@click.option("--until", type=MOMENT, help="Only questions before this moment.")
@click.option(
    "--metric",
    "names",
    multiple=True,
    type=options.TEXT,
    metavar="NAME",
    help="A metric, or judge:<metric>; may be repeated.  [default: those of the setting scorers]",
)
@click.option("--collection", type=options.TEXT, metavar="NAME", help="Only questions to this one.")
@click.option(
    "--references",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="A BEIR folder whose gold answers and judgements hold for the same questions in the log.",
)
@click.option("--judge", type=options.TEXT, metavar="MODEL", help="Language model of judge:<metric>.")
@click.option("--again", is_flag=True, help="Score anew what was scored by the same metric in the same version.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="End when N interactions were scored.")
@options.as_json
@options.common
def command(
    since: datetime | None,
    until: datetime | None,
    names: tuple[str, ...],
    collection: str | None,
    references: Path | None,
    judge: str | None,
    again: bool,
    limit: int | None,
    json: bool,
) -> int:
    """Score what was asked and answered before, the newest first.

    Every interaction of the log that lacks a metric gets it, `rag logs show` then shows it. Ctrl-C keeps what is done;
    the same command goes on from there. A score of a metric's older version, or of another judge, stays beside the new
    one.
    """
    import logging
    from threading import Event

    from rag.evaluation import scoring
    from rag.store import interactions as store
    from rag.store.interactions import Query

    logging.getLogger("stamina").setLevel(logging.ERROR)  # a judge's retries are silent here; what fails is said
    chosen = options.settings(scorers=names or None, judge=judge)
    known = _known(chosen.scorers, references)
    query, cancel = Query(since=since, until=until, collection=collection), Event()
    with options.opened(chosen) as app:
        scorers, outgoing = app.scorers(chosen.scorers), app.outboxes()
        with app.database.read() as connection:
            total = store.count(connection, app.tenant_id, query)

        def ask() -> None:
            cancel.set()
            output.note("rag: stopping after this batch; Ctrl-C again stops at once")

        with interrupts.first_interrupt(ask), _progress(total) as show:
            tallies = scoring.score(
                app.database,
                app.tenant_id,
                scorers,
                query,
                again=again,
                limit=limit,
                known=known,
                cancel=cancel,
                progress=show,
                heard=app.rescored,
            )
        if outgoing.webhook is not None:
            outgoing.webhook.close(TOLD_S)
    if json:
        rows = [_tally_json(tally) for tally in tallies]
        output.print_json({"interactions": total, "stopped": cancel.is_set(), "metrics": rows})
    else:
        _tell(tallies, total)
    return interrupts.CODE if cancel.is_set() else 0


def _known(names: Sequence[str], folder: Path | None) -> "References | None":
    """The examples of a folder. Raises WrongUsage where a metric needs them and none are given."""
    from rag.evaluate import read_folder
    from rag.evaluation.scoring import references
    from rag.scorers import WITH_REFERENCE

    if folder is not None:
        return references(read_folder(folder).examples)
    if needing := [name for name in names if name in WITH_REFERENCE]:
        raise WrongUsage(
            f"{', '.join(needing)}: this holds answers against gold ones, or passages against judgements; name the "
            "folder that has them with --references"
        )
    return None


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, plain lines elsewhere; on standard error either way."""
    if not sys.stderr.isatty():
        from rag.cli.progress import told

        line = told("interactions")
        yield lambda done: line(done, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def _tally_json(tally: "Tally") -> dict[str, object]:
    return {
        "name": tally.name,
        "scored": tally.scored,
        "already": tally.already,
        "applies": tally.applies,
        "does_not_apply": tally.does_not_apply,
        "without_reference": tally.without_reference,
        "mean": tally.mean,
    }


def _tell(tallies: Sequence["Tally"], total: int) -> None:
    if not total:
        output.say("no such entries in the log")
        return
    cells = [
        (
            output.one_line(tally.name),
            f"{tally.scored:,}",
            f"{tally.already:,}",
            f"{tally.applies:,}",
            "–" if tally.mean is None else f"{tally.mean:.4f}",
            f"{tally.does_not_apply:,}",
            f"{tally.without_reference:,}",
        )
        for tally in tallies
    ]
    headings = ["metric", "scored now", "before", "with a value", "mean", "does not apply", "no reference"]
    output.table(headings, cells, right=[1, 2, 3, 4, 5, 6])
