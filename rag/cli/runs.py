"""`rag eval list|show|compare|export|import|plot|remove`: runs that are kept."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import options, output
from rag.cli.evaluation import lowest_of, metrics, tell_queries, tell_run, worst
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.evaluation.runs import Comparison
    from rag.store.evaluations import Evaluation, JudgedQuery

RUN = click.argument("run", type=options.TEXT)
RECALL = "recall_100"
LOSSES = 5  # queries that lost most, of a comparison


@click.command("list")
@click.option("--folder", type=options.TEXT, metavar="NAME", help="Only runs over a folder of this name.")
@options.most(20)
@options.as_json
@options.common
def listing(folder: str | None, limit: int, json: bool) -> None:
    """List the runs, the newest first."""
    from rag.store import evaluations as store

    with options.opened(options.settings()) as app:
        tenant_id = app.tenant_id
        with app.database.read() as connection:
            runs = store.listing(connection, tenant_id, limit=limit, folder=folder)
    if json:
        from rag.shapes.evaluations import evaluation_json

        output.print_json({"runs": [evaluation_json(run) for run in runs]})
        return
    if not runs:
        what = "no runs are kept yet" if folder is None else f"no run over {output.one_line(folder)} is kept"
        output.say(f"{what}: rag eval FOLDER")
        return
    cells = []
    for run in runs:
        name, found = next(iter(run.run.metrics.items()))
        cells.append(
            (
                str(run.id),
                output.one_line(run.name, 40),
                run.run.mode,
                str(run.queries),
                name,
                f"{found['value']:.4f}",
                "–" if run.run.latency_ms is None else f"{run.run.latency_ms['p50']:.1f}",
                run.created_at.strftime("%Y-%m-%d %H:%M"),
            )
        )
    output.table(["id", "name", "mode", "queries", "metric", "value", "ms", "made (UTC)"], cells, right=[0, 3, 5, 6])


@click.command("show")
@RUN
@metrics
@worst
@options.as_json
@options.common
def show(run: str, names: tuple[str, ...], worst: int, json: bool) -> None:
    """Show a run, by name or id: metrics, settings and its worst queries.

    With --metric the worst by that metric are shown; it may be one that was not measured then.
    """
    from rag.evaluation.runs import rescored
    from rag.shapes.evaluations import evaluation_json, judged_query_json

    with options.opened(options.settings()) as app:
        kept, queries = stored(app, run)
    if names:
        kept, queries = measured_by(kept, queries, tuple(dict.fromkeys(names)))
    measured = tuple(kept.run.metrics)
    lowest = lowest_of(rescored(queries, measured), measured[0], worst)
    if json:
        output.print_json(evaluation_json(kept) | {"worst": [judged_query_json(query) for query in lowest]})
        return
    tell_run(kept)
    for name, value in kept.run.settings.items():
        output.say(f"    {name:<24}{output.one_line(str(value)) if value not in (None, '') else '–'}")
    tell_queries(lowest, measured[0])


@click.command("compare")
@click.argument("first", type=options.TEXT)
@click.argument("second", type=options.TEXT)
@metrics
@options.as_json
@options.common
def compare(first: str, second: str, names: tuple[str, ...], json: bool) -> None:
    """Hold two runs against each other: is SECOND better than FIRST?

    Over the queries that both have, judged alike: the mean difference (second minus first), its 95 % bootstrap
    interval, and the p of a two-sided paired randomisation test. Without --metric all that both measured are compared.
    """
    from rag.evaluation import runs
    from rag.shapes.evaluations import comparison_json

    with options.opened(options.settings()) as app:
        one, ones = stored(app, first)
        other, others = stored(app, second)
    both = [name for name in one.run.metrics if name in other.run.metrics] or list(one.run.metrics)
    compared = runs.compare(ones, others, tuple(dict.fromkeys(names)) or both)
    if json:
        output.print_json(comparison_json(one, other, compared))
    else:
        tell_comparison(one, other, compared)


@click.command("export")
@RUN
@options.common
def export(run: str) -> None:
    """Print a run as a TREC run file: rag eval export RUN > FILE."""
    from rag.evaluation import trec

    with options.opened(options.settings()) as app:
        kept, queries = stored(app, run)
    for line in trec.lines({query.id: query.ranking for query in queries}, kept.name):
        output.say(line)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--folder", required=True, type=click.Path(path_type=Path), help="The BEIR folder whose judgements hold.")
@click.option("--name", type=options.TEXT, metavar="NAME", help="The run's name.  [default: folder and the run's tag]")
@metrics
@worst
@options.as_json
@options.common
def take_in(file: Path, folder: Path, name: str | None, names: tuple[str, ...], worst: int, json: bool) -> None:
    """Keep what another system found: score a TREC run file by a folder's judgements.

    Every judged query counts: one that FILE lacks scores zero.
    """
    from rag import __version__
    from rag.evaluate import read_folder
    from rag.evaluation import trec
    from rag.evaluation.runs import METRICS, averaged, digest_of, figures, judged
    from rag.shapes.evaluations import evaluation_json, judged_query_json
    from rag.store import evaluations as store

    read = read_folder(folder)
    found = trec.read(file)
    wanted = tuple(dict.fromkeys(names)) or METRICS
    known = {example.id for example in read.judged}
    if not known & found.rankings.keys():
        given = output.safe(str(file))
        judged_ones = output.counted(len(known), "judged query")
        raise WrongUsage(f"of the {judged_ones} of {output.safe(str(folder))} {given} ranks none")
    if others := found.rankings.keys() - known:
        left_out = output.counted(len(others), "query")
        output.note(f"left out: {left_out} without judgement, {output.one_line(min(others))} for one")
    queries = judged(read.judged, found.rankings, wanted)
    with options.opened(options.settings(), create=True) as app:
        tenant_id = app.tenant_id
        with app.database.write() as connection:
            kept = store.add(
                connection,
                tenant_id,
                store.NewEvaluation(
                    name=name or store.free_name(connection, tenant_id, read.name, found.tag),
                    folder=read.name,
                    digest=app.database.digest(digest_of(read.judged)),
                    mode="imported",
                    settings={"tag": found.tag, "file": file.name},
                    version=__version__,
                    metrics=figures(averaged(queries, wanted)),
                ),
                queries,
            )
    lowest = lowest_of(queries, wanted[0], worst)
    if json:
        output.print_json(evaluation_json(kept) | {"worst": [judged_query_json(query) for query in lowest]})
        return
    tell_run(kept)
    tell_queries(lowest, wanted[0])
    output.say()
    output.say(f"kept as run {kept.id}, {output.one_line(kept.name)}: rag eval show {kept.id}")


@click.command("plot")
@click.argument("runs", nargs=-1, required=True, type=options.TEXT, metavar="RUN...")
@click.option(
    "--to",
    "file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The picture: a .png, .svg or .pdf file.",
)
@metrics
@options.common
def plot(runs: tuple[str, ...], file: Path, names: tuple[str, ...]) -> None:
    """Draw runs: recall against latency, and the metrics of each.

    Needs matplotlib: pip install 'rag[plots]'. With --metric these are drawn; the first that is a recall (else
    recall_100) is drawn against the latency.
    """
    from rag.evaluation import plots
    from rag.evaluation.runs import METRICS, averaged, rescored

    plots.check(file)
    wanted = tuple(dict.fromkeys(names)) or METRICS
    recall = next((name for name in names if name.startswith("recall_")), RECALL)
    drawn = []
    with options.opened(options.settings()) as app:
        for run in dict.fromkeys(runs):
            kept, queries = stored(app, run)
            all_of_them = tuple(dict.fromkeys((*wanted, recall)))
            found = averaged(rescored(queries, all_of_them), all_of_them)
            taken = kept.run.latency_ms
            drawn.append(plots.Plotted(kept.name, found, None if taken is None else taken["p50"]))
    plots.draw(file, drawn, wanted, recall)
    output.say(f"drawn: {output.safe(str(file))}")


@click.command("remove")
@RUN
@options.as_json
@options.common
def remove(run: str, json: bool) -> None:
    """Forget a run."""
    from rag.store import evaluations as store

    with options.opened(options.settings()) as app:
        tenant_id = app.tenant_id
        with app.database.write() as connection:
            gone = store.remove(connection, tenant_id, run)
    if json:
        output.print_json({"run_id": gone.id, "name": gone.name})
    else:
        output.say(f"run {gone.id}, {output.one_line(gone.name)}, is gone")


# ── what they share ─────────────────────────────────────────────────────────────────────────────────────────────────


def stored(app: "App", run: str) -> "tuple[Evaluation, list[JudgedQuery]]":
    """A run and its queries. Raises NotFound."""
    from rag.evaluation import measuring

    return measuring.stored(app.database, app.tenant_id, run)


def measured_by(
    kept: "Evaluation", queries: "list[JudgedQuery]", names: tuple[str, ...]
) -> "tuple[Evaluation, list[JudgedQuery]]":
    """The run as if these metrics had been asked for."""
    from rag.evaluation.runs import averaged, figures, rescored, with_figures

    scored = rescored(queries, names)
    return with_figures(kept, figures(averaged(scored, names))), scored


def tell_comparison(first: "Evaluation", second: "Evaluation", compared: "Comparison") -> None:
    """Two runs side by side, and what may be concluded from that."""
    one, other = output.one_line(first.name, 40), output.one_line(second.name, 40)
    output.say(f"{other} against {one}: {output.counted(compared.queries, 'judged query')} in both")
    for number, what in (
        (compared.only_first, f"only in {one}"),
        (compared.only_second, f"only in {other}"),
        (compared.judged_otherwise, "judged otherwise in the two"),
    ):
        if number:
            output.note(f"left out: {number:,} {what}")
    several = len(compared.metrics) > 1
    headings = ["metric", one, other, "difference", "95 % interval", "p", "better", "worse"]
    cells = [
        [
            row.metric,
            f"{row.first:.4f}",
            f"{row.second:.4f}",
            f"{row.difference.mean.value:+.4f}",
            f"[{row.difference.mean.low:+.4f}, {row.difference.mean.high:+.4f}]",
            output.p_value(row.difference.p),
            str(row.difference.wins),
            str(row.difference.losses),
        ]
        for row in compared.metrics
    ]
    if several:
        headings.insert(6, "p (Holm)")
        for cell, row in zip(cells, compared.metrics, strict=True):
            cell.insert(6, "–" if row.p_holm is None else output.p_value(row.p_holm))
    output.table(headings, cells, right=range(1, len(headings)))
    if several:
        output.say(
            f"{len(compared.metrics)} metrics are compared: by chance alone one of them may look different. p (Holm) "
            "allows for that."
        )
    lost = [change for change in compared.changes if change.second < change.first][:LOSSES]
    if lost:
        output.say()
        rows = [
            (
                output.one_line(change.query.id, 24),
                f"{change.first:.4f}",
                f"{change.second:.4f}",
                output.one_line(change.query.question, 60),
            )
            for change in lost
        ]
        name = compared.metrics[0].metric
        output.table(["lost most", f"{name} before", "after", "question"], rows, right=[1, 2])
