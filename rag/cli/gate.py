"""`rag gate SET`: judged questions put to the present settings; exit code 1 where they do worse than they must."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import ingest, interrupts, options, output
from rag.cli.fusing import fused
from rag.cli.refining import refined
from rag.errors import NotFound, WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.evaluation.gating import Progress
    from rag.evaluation.questions import QuestionSet
    from rag.store.datasets import Split

MAX_DROP = 0.02  # as in rag.evaluation.gate, which would import numpy; a test compares them
WORST = 10
SPLITS = ("train", "validation", "test")


@click.command("gate")
@click.argument("set_", metavar="SET", type=options.TEXT)
@click.option(
    "--min",
    "least",
    multiple=True,
    metavar="METRIC=X",
    type=options.TEXT,
    help="The mean of a metric is at least X; may be repeated. ndcg_cut_10=0.70, faithfulness=0.9, answered=0.95 …",
)
@click.option(
    "--max",
    "most",
    multiple=True,
    metavar="METRIC=X",
    type=options.TEXT,
    help="… is at most X; may be repeated.",
)
@click.option(
    "--against",
    type=options.TEXT,
    metavar="RUN",
    help="Hold metrics against this earlier run, too: those of the bounds and --metric.",
)
@click.option(
    "--max-drop",
    type=options.PART,
    default=MAX_DROP,
    show_default=True,
    metavar="X",
    help="With --against: a mean may be lower by so much.",
)
@click.option(
    "--metric",
    "compared",
    multiple=True,
    metavar="NAME",
    type=options.TEXT,
    help="With --against: hold this metric, too; may be repeated.  [default: those of --min and --max, or ndcg_cut_10]",
)
@click.option("--answers", "with_answers", is_flag=True, help="Ask the questions even if no bound needs answers.")
@click.option("--generator", type=options.TEXT, metavar="NAME", help="Who answers.  [default: auto]")
@click.option("--template", type=options.TEXT, metavar="NAME", help="Prompt template.  [default: answer]")
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(SPLITS),
    help="Of a dataset; may be repeated.  [default: test]",
)
@click.option(
    "--collection",
    type=options.TEXT,
    metavar="NAME",
    help="Measure on this collection. By default the dataset's, or one of the folder's own.",
)
@options.mode
@fused
@refined
@click.option("--name", type=options.TEXT, metavar="NAME", help="Keep the run under this name, for later --against.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the report here, too."
)
@click.option(
    "--worst", default=WORST, show_default=True, type=click.IntRange(0), metavar="N", help="Show so many questions."
)
@options.as_json
@options.common
def command(
    set_: str,
    least: tuple[str, ...],
    most: tuple[str, ...],
    against: str | None,
    max_drop: float,
    compared: tuple[str, ...],
    with_answers: bool,
    generator: str | None,
    template: str | None,
    splits: tuple[str, ...],
    collection: str | None,
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
    report: Path | None,
    worst: int,
    json: bool,
) -> int:
    """Put judged questions to the present settings, and fail where they do worse than they must.

    SET is a dataset (NAME or NAME@NUMBER) or a BEIR folder. Retrieval is measured by trec_eval's names, answers by the
    names of the scorers and contains_gold, answered, refused, quotes_verbatim; questions are asked where a bound needs
    answers, just as `rag ask` does, and nothing is logged. Prints a report in Markdown. Exit code 0: every bound holds;
    1: one does not; 2: the call itself is wrong, as for a metric or a run that there is not.
    """
    from rag.evaluation.gate import bounds, markdown
    from rag.evaluation.gating import Demand, checked, run, way
    from rag.evaluation.questions import GATING, chosen, is_folder, of_folder
    from rag.scorers import names as scorer_names
    from rag.shapes.gates import gate_json

    demand = Demand(bounds(least, most, scorer_names()), compared, against, max_drop, with_answers, name, worst)
    if report is not None and not report.absolute().parent.is_dir():
        raise WrongUsage(f"there is no folder {output.safe(str(report.absolute().parent))}")
    own = of_folder(Path(set_)) if is_folder(set_) else None
    if own is not None and splits:
        raise WrongUsage("--split is for datasets; of a folder qrels/test.tsv is read")
    fusing = {"fusion": fusion, "alpha": alpha, "rrf_k": rrf_k, "depth": depth}
    refining = {"diversify": diversify, "per_document": per_document, "neighbours": neighbours}
    flags = {"mode": mode, "reranker": rerank, "generator": generator, "prompt_template": template, **refining}
    with options.opened(
        options.settings(**flags, collection=collection or (own and own.collection)),
        create=own is not None and collection is None,
    ) as app:
        checked(app, app.local(), demand)
        if own is not None and collection is None:
            assert own.folder is not None
            if not ingest.folder(app, own.folder):
                return interrupts.CODE
        questions = own or _dataset(app, set_, chosen(splits, GATING))
        held_in = _known(app, collection or questions.collection)
        searching = way(app, held_in, app.tenant_id, fusing)
        gate = run(app, app.local(), questions, held_in, searching, demand, _told())
    written = markdown(gate)
    if report is not None:
        try:
            report.write_text(written, encoding="utf-8", newline="\n")
        except OSError as error:
            raise WrongUsage(f"{output.safe(str(report))} cannot be written: {error.strerror}") from error
    output.print_json(gate_json(gate)) if json else output.say(output.safe(written.rstrip()))
    return 0 if gate.passed else 1


def _told() -> "Progress":
    """Says on standard error how far the searches and the answers are."""
    from rag.cli.progress import told

    tell = {"queries": told("queries"), "answers": told("answers")}
    return lambda what, done, total: tell[what](done, total)


def _known(app: "App", collection: str) -> str:
    """The name of a collection that is there. Raises WrongUsage: 1 is the exit code of a gate that is red."""
    try:
        return app.collection(collection).name
    except NotFound as error:
        raise WrongUsage(str(error)) from error


def _dataset(app: "App", named: str, splits: "Sequence[Split]") -> "QuestionSet":
    from rag.evaluation.questions import of_dataset

    try:
        return of_dataset(app.database, app.tenant_id, named, splits)
    except NotFound as error:
        raise WrongUsage(f"{error}; a folder is written with its path: ./{output.safe(named)}") from error
