"""`rag experiment run|list|show|remove`: several configurations over the same questions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import interrupts, options, output
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.experiments.plans import Cell, Row
    from rag.store.experiments import Answered, Experiment
    from rag.types import Example

NAME = click.argument("experiment", type=options.TEXT)


@click.group("experiment")
@options.common
def command() -> None:
    """Put the same questions to several configurations; compare, keep and show what came of it."""


@command.command("run")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--questions",
    required=True,
    type=options.TEXT,
    metavar="SET|FILE|FOLDER",
    help="A dataset (NAME or NAME@NUMBER), a file (a question a line, or .jsonl), or a BEIR folder.",
)
@click.option(
    "--name", type=options.TEXT, metavar="NAME", help="The experiment's name.  [default: that of the questions]"
)
@options.collection
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N questions.")
@options.as_json
@options.common
def run(config: Path, questions: str, name: str | None, collection: str | None, limit: int | None, json: bool) -> int:
    """Put questions to several configurations, log every answer, and show how they differ.

    CONFIG is a TOML file with a table for each configuration: its name, and below it the settings in which it differs
    from the installation's. The others are compared with the first, question by question. A BEIR folder is taken into
    a collection of its own, as `rag eval` does, unless a --collection is named.
    """
    from threading import Event

    from rag.cli.progress import told
    from rag.experiments.plans import read
    from rag.experiments.running import run as put
    from rag.shapes.experiments import table_json

    folder = Path(questions)
    own, create = None, False
    if folder.is_dir():
        from rag.evaluate import read_folder

        own = read_folder(folder)
        create = collection is None
    chosen = options.settings(collection=collection or (None if own is None else own.collection))
    configured = read(config, chosen)
    with options.opened(chosen, create=create) as app:
        if own is not None and collection is None:
            from rag.cli import ingest

            if not ingest.folder(app, own):
                return interrupts.CODE
        examples: Sequence[Example] = _examples(app, questions) if own is None else own.examples
        cancel = Event()
        with interrupts.first_interrupt(cancel.set):
            kept = put(
                app,
                configured,
                examples[:limit],
                app.local(),
                name=name,
                questions=Path(questions).resolve().name if folder.exists() else questions,
                cancel=cancel,
                progress=told("answers"),
            )
        rows = _table(app, kept)[0]
    if json:
        output.print_json(table_json(kept, rows))
    else:
        tell(kept, rows)
        output.say()
        output.say(f"kept as experiment {kept.id}, {output.one_line(kept.name)}: rag experiment show {kept.id}")
        output.say(f"judge its answers blind: rag compare judge {kept.id}")
    return interrupts.CODE if cancel.is_set() else 0


def _examples(app: "App", questions: str) -> "Sequence[Example]":
    """The questions of a file or a dataset. Raises WrongUsage, NotFound."""
    if Path(questions).is_file():
        from rag.experiments.plans import examples_of

        return examples_of(Path(questions))
    if "/" in questions or Path(questions).suffix:
        raise WrongUsage(f"there is no file or folder {output.safe(questions)}")
    from rag.exports.records import record_of
    from rag.store import datasets

    with app.database.read() as connection:
        version = datasets.get(connection, app.tenant_id, questions)
        return [record_of(item).example() for item in datasets.items(connection, version.id)]


@command.command("list")
@options.most(20)
@options.as_json
@options.common
def listing(limit: int, json: bool) -> None:
    """List the experiments, the newest first."""
    from rag.shapes.experiments import experiment_json
    from rag.store import experiments as store

    with options.opened(options.settings()) as app:
        tenant_id = app.tenant_id
        with app.database.read() as connection:
            found = store.listing(connection, tenant_id, limit=limit)
    if json:
        output.print_json({"experiments": [experiment_json(each) for each in found]})
        return
    if not found:
        output.say("no experiments are kept yet: rag experiment run CONFIG --questions FILE")
        return
    cells = [
        (
            str(each.id),
            output.one_line(each.name, 40),
            output.one_line(each.questions, 30),
            str(each.asked),
            output.one_line(", ".join(one.name for one in each.configurations), 40),
            each.created_at.strftime("%Y-%m-%d %H:%M"),
        )
        for each in found
    ]
    output.table(["id", "name", "questions", "asked", "configurations", "made (UTC)"], cells, right=[0, 3])


@command.command("show")
@NAME
@click.option(
    "--answers", "every", is_flag=True, help="With every answer's values and the interaction it is logged as."
)
@options.as_json
@options.common
def show(experiment: str, every: bool, json: bool) -> None:
    """Show an experiment, by name or id: each configuration's means, and how it differs from the first."""
    from rag.shapes.experiments import answered_json, table_json
    from rag.store import experiments as store

    with options.opened(options.settings()) as app:
        tenant_id = app.tenant_id
        with app.database.read() as connection:
            kept = store.get(connection, tenant_id, experiment)
        rows, answers = _table(app, kept)
    if json:
        more = {"answers": [answered_json(each, kept) for each in answers]} if every else {}
        output.print_json(table_json(kept, rows) | more)
        return
    tell(kept, rows)
    if every:
        tell_answers(kept, answers)


@command.command("remove")
@NAME
@options.as_json
@options.common
def remove(experiment: str, json: bool) -> None:
    """Forget an experiment; its answers stay in the log."""
    from rag.store import experiments as store

    with options.opened(options.settings()) as app:
        tenant_id = app.tenant_id
        with app.database.write() as connection:
            gone = store.remove(connection, tenant_id, experiment)
    if json:
        output.print_json({"experiment_id": gone.id, "name": gone.name})
    else:
        output.say(f"experiment {gone.id}, {output.one_line(gone.name)}, is gone")


# ── what people read ────────────────────────────────────────────────────────────────────────────────────────────────


def _table(app: "App", kept: "Experiment") -> "tuple[list[Row], list[Answered]]":
    from rag.experiments.plans import table
    from rag.store import experiments as store

    with app.database.read() as connection:
        answers = store.answers(connection, kept.id)
    return table(kept.configurations, answers), answers


def tell(kept: "Experiment", rows: "Sequence[Row]") -> None:
    """Each metric: the means of all configurations, and how the others differ from the first."""
    from rag.experiments.plans import shown

    output.say(f"{output.one_line(kept.questions)}, {output.counted(kept.asked, 'question')}")
    for row in rows:
        told = ", ".join(f"{name} = {shown(value)}" for name, value in row.configured.overrides.items())
        counts = [f"{n} {what}" for n, what in ((row.abstained, "abstained"), (row.failed, "failed")) if n]
        output.say(
            f"    {output.strong(output.one_line(row.configured.name))}: {output.one_line(told) or 'as it is'}"
            + (f" ({', '.join(counts)})" if counts else "")
        )
    output.say()
    cells = []
    for metric in rows[0].cells:
        for row in rows:
            cell = row.cells[metric]
            first = row is rows[0]
            cells.append((metric if first else "", output.one_line(row.configured.name, 30), *_cell(cell, first)))
    headings = ["metric", "configuration", "mean", "95 % interval", "difference", "95 % interval", "p", "n"]
    output.table(headings, cells, right=range(2, len(headings)))


def _cell(cell: "Cell", first: bool) -> tuple[str, ...]:
    if cell.mean is None:
        return ("–", "", "", "", "", "0")
    mean = (f"{cell.mean.value:.4g}", f"[{cell.mean.low:.4g}, {cell.mean.high:.4g}]")
    if first or cell.against is None:
        return (*mean, "", "", "", str(cell.n))
    differs = cell.against
    p = differs.p if cell.p_holm is None else cell.p_holm
    return (
        *mean,
        f"{differs.mean.value:+.4g}",
        f"[{differs.mean.low:+.4g}, {differs.mean.high:+.4g}]",
        output.p_value(p),
        str(cell.n),
    )


def tell_answers(kept: "Experiment", answers: "Sequence[Answered]") -> None:
    output.say()
    cells = [
        (
            str(each.number),
            output.one_line(kept.configurations[each.configuration - 1].name, 30),
            each.interaction_id or "–",
            f"{each.total_ms:.0f}",
            output.one_line(each.error or each.question, 60),
        )
        for each in sorted(answers, key=lambda each: (each.number, each.configuration))
    ]
    output.table(["no", "configuration", "interaction", "ms", "question"], cells, right=[0, 3])
