"""`rag eval FOLDER`: a BEIR folder becomes a collection of its own, its judged questions metrics, and those a run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import ingest, interrupts, options, output
from rag.cli.fusing import fused
from rag.cli.progress import told
from rag.cli.refining import refined
from rag.errors import RagError, WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.evaluate import Folder, Way
    from rag.store.evaluations import Evaluation, JudgedQuery
    from rag.types import MetadataValue

WORST = 10
DEFAULT = "run"
COMMANDS = {  # name → module, what it is called there; read when they are called
    "list": ("runs", "listing"),
    "show": ("runs", "show"),
    "compare": ("runs", "compare"),
    "export": ("runs", "export"),
    "import": ("runs", "take_in"),
    "plot": ("runs", "plot"),
    "remove": ("runs", "remove"),
    "tune": ("tuning", "command"),
}


class Evaluations(click.Group):
    """A group whose first argument may be a folder: `rag eval FOLDER` is `rag eval run FOLDER`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_default(args, self.list_commands(ctx)))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [DEFAULT, *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == DEFAULT:
            return run
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        found = getattr(import_module(f"rag.cli.{module}"), name)
        assert isinstance(found, click.Command)
        return found


def with_default(arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """The arguments with `run` before what is neither a command nor a call for help."""
    place = 0  # behind the options that every command takes
    while place < len(arguments):
        if arguments[place] == options.TRACEBACK or arguments[place].startswith("--data="):
            place += 1
        elif arguments[place] == "--data":
            place += 2
        else:
            break
    rest = arguments[place:]
    if not rest or rest[0] in (*names, "-h", "--help"):
        return list(arguments)
    return [*arguments[:place], DEFAULT, *rest]


@click.group("eval", cls=Evaluations, subcommand_metavar="FOLDER | COMMAND [ARGS]...")
@options.common
def command() -> None:
    """Measure retrieval and answers on a BEIR folder; keep, show and compare the runs.

    `rag eval FOLDER` is short for `rag eval run FOLDER`.
    """


metrics = click.option(
    "--metric",
    "names",
    multiple=True,
    metavar="NAME",
    help="A metric by its trec_eval name (ndcg_cut_10, recall_100, P_5, success_1, recip_rank, map); may be repeated.",
)
worst = click.option(
    "--worst", default=WORST, show_default=True, type=click.IntRange(0), metavar="N", help="Show the N worst queries."
)


@click.command("run")
@click.argument("folder", type=click.Path(path_type=Path))
@options.mode
@fused
@refined
@click.option("--name", type=options.TEXT, metavar="NAME", help="The run's name.  [default: folder and mode]")
@click.option("--against", type=options.TEXT, metavar="RUN", help="Compare with this earlier run.")
@metrics
@worst
@click.option("--run-file", type=click.Path(dir_okay=False, path_type=Path), help="Write a TREC run file, too.")
@click.option("--answers", "with_answers", is_flag=True, help="Ask the questions, too, and judge the answers.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N questions.")
@click.option(
    "--mlflow",
    type=options.TEXT,
    is_flag=False,
    flag_value="",
    metavar="[URI]",
    help="Log the run to MLflow, too: where it keeps runs, else as MLFLOW_TRACKING_URI says.",
)
@options.as_json
@options.common
def run(
    folder: Path,
    mode: str | None,
    fusion: str | None,
    alpha: float | None,
    rrf_k: int | None,
    depth: int | None,
    rerank: str | None,
    diversify: float | None,
    per_document: int | None,
    neighbours: int | None,
    name: str | None,
    against: str | None,
    names: tuple[str, ...],
    worst: int,
    run_file: Path | None,
    with_answers: bool,
    limit: int | None,
    mlflow: str | None,
    json: bool,
) -> int:
    """Measure retrieval and answers on a BEIR folder.

    FOLDER holds corpus.jsonl, queries.jsonl, qrels/test.tsv and, for --answers, answers.jsonl. It is taken into a
    collection of its own; what is there already is not embedded again. Metrics are means over every judged query, with
    95 % bootstrap intervals; the time is that of a search for 10 passages, embedding its question left out. The run is
    kept, with every ranking, under a name: see `rag eval show` and `compare`. Does a reranker pay? Run it once without
    and once with --rerank, and compare the two.

    With --answers the extractive generator answers every question, or is not asked where too little was found, as with
    `rag ask`; nothing of that is logged.
    """
    from rag.cli.runs import tell_comparison
    from rag.evaluate import Way, read_folder
    from rag.evaluation.measuring import stored
    from rag.evaluation.metrics import metric
    from rag.evaluation.runs import METRICS, compare
    from rag.shapes.evaluations import comparison_json, evaluation_json, judged_query_json

    if not folder.exists():
        raise WrongUsage(f"there is no folder {output.safe(str(folder))}; `rag eval --help` lists the commands")
    read = read_folder(folder)
    if with_answers and not any(example.answers for example in read.examples):
        raise WrongUsage(f"{output.safe(str(folder))} holds no gold answers: answers.jsonl is missing or empty")
    if not read.judged:
        raise WrongUsage(f"{output.safe(str(folder))} holds no judged queries: qrels/test.tsv is empty")
    wanted = tuple(dict.fromkeys(names)) or METRICS
    for each in wanted:
        metric(each)
    if mlflow is not None:
        from rag.telemetry.mlflow import require

        require()  # before the work, not behind it
    fusing = {"fusion": fusion, "alpha": alpha, "rrf_k": rrf_k, "depth": depth}
    refining = {"diversify": diversify, "per_document": per_document, "neighbours": neighbours}
    chosen = options.settings(mode=mode, collection=read.collection, reranker=rerank, **refining)
    with options.opened(chosen, create=True) as app:
        check_names(app, name, against, run_file)
        if not ingest.folder(app, read):
            return interrupts.CODE
        way = Way(chosen.mode, app.fusion(asked=fusing), app.reranker(), app.refining())
        kept, queries = measure(app, read, way, name, wanted, limit)
        answered = judge_answers(app, read, way, limit) if with_answers else None
        other = stored(app.database, app.tenant_id, against) if against is not None else None
    with kept_anyway(kept):
        if run_file is not None:
            from rag.evaluation import trec

            trec.write(run_file, {query.id: query.ranking for query in queries}, kept.name)
        if mlflow is not None:
            output.note(f"logged to MLflow as run {to_mlflow(mlflow, kept, queries, answered)}")
        compared = None if other is None else compare(other[1], queries, wanted)
    lowest = lowest_of(queries, wanted[0], worst)
    if json:
        shown = evaluation_json(kept)
        first = {"folder": str(folder), "mode": chosen.mode, "collection": read.collection}
        output.print_json(
            shown
            | first
            | {
                "answers": answered,
                "worst": [judged_query_json(query) for query in lowest],
                "against": None if compared is None or other is None else comparison_json(other[0], kept, compared),
            }
        )
        return 0
    tell_run(kept)
    if answered is not None:
        output.say("answers")
        _values(answered)
    tell_queries(lowest, wanted[0])
    if compared is not None and other is not None:
        output.say()
        tell_comparison(other[0], kept, compared)
    output.say()
    output.say(f"kept as run {kept.id}, {output.one_line(kept.name)}: rag eval show {kept.id}")
    return 0


def check_names(app: "App", name: str | None, against: str | None, run_file: Path | None) -> None:
    """Raise what could only be raised after the work was done: names that are taken or unknown, files without a
    folder."""
    from rag.evaluation.measuring import check_free, stored

    if name is not None:
        check_free(app.database, app.tenant_id, name)
    if against is not None:
        stored(app.database, app.tenant_id, against)
    if run_file is not None and not run_file.absolute().parent.is_dir():
        raise WrongUsage(f"there is no folder {output.safe(str(run_file.absolute().parent))}")


def measure(
    app: "App", folder: "Folder", way: "Way", name: str | None, names: Sequence[str], limit: int | None
) -> "tuple[Evaluation, list[JudgedQuery]]":
    """Search for every judged query, and keep the run."""
    from rag.evaluation.measuring import keep, searched_for

    opened, me = app.opened(), app.local()
    found, queries = searched_for(opened, folder.judged[:limit], way, names, me, told("queries"))
    limited: dict[str, MetadataValue] = {"limit": limit}
    return keep(app, me, opened, found, queries, way, name, names, folder.name, folder.judged, limited), queries


@contextmanager
def kept_anyway(run: "Evaluation") -> Iterator[None]:
    """What fails when the work is done says where that is kept."""
    try:
        yield
    except RagError as error:
        raise RagError(f"{error}; here it is kept as run {run.id}, {run.name}") from error


def to_mlflow(
    uri: str, run: "Evaluation", queries: "Sequence[JudgedQuery]", answered: Mapping[str, object] | None
) -> str:
    """Log a run to MLflow: what was set, what was measured, and every ranking."""
    import json

    from rag.evaluation import trec
    from rag.shapes.evaluations import evaluation_json, judged_query_json
    from rag.telemetry import mlflow

    told, kept = run.run, evaluation_json(run)
    metrics = {
        name + end: found[part]
        for name, found in told.metrics.items()
        for end, part in (("", "value"), (".low", "low"), (".high", "high"))
    }
    metrics |= {f"latency_ms.{name}": value for name, value in (told.latency_ms or {}).items()}
    judged = {name: value for name, value in (answered or {}).items() if isinstance(value, int | float)}
    return mlflow.log(
        uri,
        experiment=told.folder,
        name=run.name,
        parameters={"mode": told.mode, "collection": told.collection, "queries": run.queries, **told.settings},
        metrics=metrics | {f"answers.{name}": float(value) for name, value in judged.items()},
        tags={"rag.run_id": str(run.id), "rag.version": told.version, "rag.folder_digest": str(kept["folder_digest"])},
        files=[
            ("run.trec", list(trec.lines({query.id: query.ranking for query in queries}, run.name))),
            ("queries.jsonl", [json.dumps(judged_query_json(query), ensure_ascii=False) for query in queries]),
        ],
    )


def judge_answers(app: "App", folder: "Folder", way: "Way", limit: int | None) -> Mapping[str, object]:
    """Ask every question that has gold answers or judgements, refusing those that everybody would be refused, and sum
    up what was answered."""
    from rag.evaluate import Asking, answered, answers
    from rag.scorers import WITH_REFERENCE

    asked = [example for example in folder.examples if example.answers or example.relevant][:limit]
    answering = app.answering(generator="extractive")
    scorers = app.scorers([*WITH_REFERENCE, *app.settings.scorers])
    asking = Asking(app.settings.passages, app.abstaining())
    found = answered(answering, asked, way, asking, app.local(), told("answers"), scorers)
    return answers(answering.generator.name, found)


# ── what people read ────────────────────────────────────────────────────────────────────────────────────────────────


def tell_run(run: "Evaluation") -> None:
    """A run's metrics with their intervals, and its latency."""
    output.say(f"{output.one_line(run.run.folder)}, {run.run.mode}, {output.counted(run.queries, 'judged query')}")
    for name, found in run.run.metrics.items():
        output.say(f"    {name:<24}{found['value']:.4f}  [{found['low']:.4f}, {found['high']:.4f}]")
    if run.run.latency_ms is not None:
        taken = run.run.latency_ms
        output.say(f"    {'search':<24}{taken['p50']:.1f} ms median, {taken['p95']:.1f} ms at the 95th percentile")


def lowest_of(queries: "Sequence[JudgedQuery]", name: str, n: int) -> "list[JudgedQuery]":
    """The worst queries by a metric; none that could not be better."""
    from rag.evaluation.runs import worst

    return [query for query in worst(queries, name, n) if query.metrics[name] < 1]


def tell_queries(queries: "Sequence[JudgedQuery]", name: str) -> None:
    """A table of queries, with the rank of the first relevant document."""
    from rag.evaluation.runs import first_relevant

    if not queries:
        return
    output.say()
    cells = [
        (
            output.one_line(query.id, 24),
            f"{query.metrics[name]:.4f}",
            str(first_relevant(query) or "–"),
            output.one_line(query.question, 60),
        )
        for query in queries
    ]
    output.table(["worst", name, "first relevant", "question"], cells, right=[1, 2])


def _values(values: Mapping[str, object]) -> None:
    for name, value in values.items():
        shown = "–" if value is None else f"{value:.4f}" if isinstance(value, float) else output.one_line(str(value))
        output.say(f"    {name:<24}{shown}")
