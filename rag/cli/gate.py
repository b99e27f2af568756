"""`rag gate SET`: judged questions put to the present settings; exit code 1 where they do worse than they must."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import ingest, interrupts, options, output
from rag.cli.fusing import fused
from rag.cli.refining import refined
from rag.errors import NotFound, WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.evaluate import Way
    from rag.gate import Bound, Gate
    from rag.questions import QuestionSet
    from rag.store.datasets import Split
    from rag.store.evaluations import JudgedQuery
    from rag.types import MetadataValue

MAX_DROP = 0.02  # as in rag.gate, which would import numpy; a test compares them
WORST = 10
FIRST = "ndcg_cut_10"  # as in rag.runs
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
@click.option("--against", type=options.TEXT, metavar="RUN", help="Hold every metric against this earlier run, too.")
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 1),
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
    from rag.evaluate import Way
    from rag.gate import bounds, check, markdown, of_answers
    from rag.questions import GATING, chosen, is_folder, of_folder
    from rag.scorers import names as scorer_names
    from rag.shapes.gates import gate_json

    known = scorer_names()
    wanted = bounds(least, most, known)
    if not wanted and against is None:
        raise WrongUsage("nothing to hold the set to: give --min METRIC=X, --max METRIC=X or --against RUN")
    if report is not None and not report.absolute().parent.is_dir():
        raise WrongUsage(f"there is no folder {output.safe(str(report.absolute().parent))}")
    if compared and against is None:
        raise WrongUsage("--metric names what is held against an earlier run: give --against RUN")
    for each in compared:
        check(each, known)
    held = tuple(dict.fromkeys([*(bound.metric for bound in wanted), *compared])) or (FIRST,)
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
        earlier = _earlier(app, name, against)
        if own is not None and collection is None:
            from rag.cli.intake import Intake
            from rag.corpus import Origin

            assert own.folder is not None
            if ingest.ingest(app, Intake((str(own.folder.corpus),)), Origin("local")).stopped:
                return interrupts.CODE
        questions = own or _dataset(app, set_, chosen(splits, GATING))
        held_in = _known(app, collection or questions.collection)
        asked = with_answers or any(of_answers(each, known) for each in held)
        way = Way(app.settings.mode, app.fusion(held_in, asked=fusing), app.reranker(), app.refining())
        gate = _gate(app, questions, held_in, way, wanted, held, asked, earlier, against, max_drop, name, worst)
    written = markdown(gate)
    if report is not None:
        try:
            report.write_text(written, encoding="utf-8", newline="\n")
        except OSError as error:
            raise WrongUsage(f"{output.safe(str(report))} cannot be written: {error.strerror}") from error
    output.print_json(gate_json(gate)) if json else output.say(output.safe(written.rstrip()))
    return 0 if gate.passed else 1


def _earlier(app: "App", name: str | None, against: str | None) -> "list[JudgedQuery] | None":
    """What the earlier run found. Raises WrongUsage where there is no such run, Conflict for a name that is taken."""
    from rag.cli.evaluation import check_names
    from rag.cli.runs import stored

    try:
        check_names(app, name, against, None)
        return None if against is None else stored(app, against)[1]
    except NotFound as error:
        raise WrongUsage(f"--against: {error}") from error


def _known(app: "App", collection: str) -> str:
    """The name of a collection that is there. Raises WrongUsage: 1 is the exit code of a gate that is red."""
    try:
        return app.collection(collection).name
    except NotFound as error:
        raise WrongUsage(str(error)) from error


def _dataset(app: "App", named: str, splits: "Sequence[Split]") -> "QuestionSet":
    from rag.questions import of_dataset

    try:
        return of_dataset(app.database, app.tenant_id, named, splits)
    except NotFound as error:
        raise WrongUsage(f"{error}; a folder is written with its path: ./{output.safe(named)}") from error


def _gate(
    app: "App",
    questions: "QuestionSet",
    collection: str,
    way: "Way",
    wanted: "Sequence[Bound]",
    held: Sequence[str],
    asked: bool,
    earlier: "Sequence[JudgedQuery] | None",
    against: str | None,
    max_drop: float,
    name: str | None,
    n: int,
) -> "Gate":
    """Search, ask, and hold what was measured against the bounds and the earlier run."""
    from rag import gate
    from rag.cli.evaluation import keep, searched_for, way_json
    from rag.runs import METRICS
    from rag.scorers import names as scorer_names
    from rag.significance import mean

    bounded = [one for one in held if not gate.of_answers(one, scorer_names())]
    names = tuple(dict.fromkeys([*bounded, *METRICS]))
    opened = app.opened(collection)
    found, queries = searched_for(app, opened, questions.judged, way, names)
    values: dict[str, Mapping[str, float]] = {}
    if queries:
        values |= gate.retrieved(queries, names)
    settings = way_json(app, opened, way)
    if asked:
        told, more = _answers(app, questions, collection, way, held)
        values |= told
        settings |= more
    if name is not None:
        if not queries:
            raise WrongUsage("a run is kept of questions whose relevant documents are known; this set has none")
        kept = [_with(query, values, names) for query in queries]
        keep(app, opened, found, kept, way, name, names, questions.name, questions.examples, settings)
    before = _comparable(questions, earlier) if earlier is not None else {}
    drops = gate.drops(values, before, max_drop)
    of_drop = {one.metric: one for one in drops}
    means = {key: mean(list(each.values())) for key, each in values.items() if key not in held}
    return gate.Gate(
        name=questions.name,
        collection=collection,
        questions=len(questions.examples),
        held=gate.hold(values, wanted),
        drops=tuple(one for one in drops if one.metric in held),
        against=against,
        worst_by=held[0],
        worst=gate.worst(
            {one.id: one.question for one in questions.examples}, values.get(held[0], {}), before.get(held[0], {}), n
        ),
        settings=settings,
        others=tuple(gate.Other(key, one, of_drop.get(key)) for key, one in means.items() if one is not None),
        uncompared=tuple(key for key in held if earlier is not None and key not in of_drop),
    )


def _answers(
    app: "App", questions: "QuestionSet", collection: str, way: "Way", wanted: Sequence[str]
) -> "tuple[dict[str, dict[str, float]], dict[str, MetadataValue]]":
    """Every question asked as `rag ask` asks it: what came of it by metric and question, and who answered."""
    from rag.cli.evaluation import told
    from rag.evaluate import Asking, answered
    from rag.questions import said
    from rag.scorers import WITH_REFERENCE
    from rag.scorers import names as scorer_names

    settings = app.settings
    further = [name for name in wanted if name.partition(":")[0] in scorer_names()]
    references = WITH_REFERENCE if any(one.answers or one.relevant for one in questions.examples) else ()
    scorers = app.scorers([*dict.fromkeys([*settings.scorers, *references, *further])])
    answering = app.answering(collection)
    asking = Asking(settings.passages, app.abstaining(collection), app.generation(), strict=settings.strict == "on")
    found = answered(answering, questions.examples, way, asking, app.local(), told("answers"), scorers)
    threshold = None if asking.abstaining is None else asking.abstaining.threshold
    return said(found), {
        "generator": answering.generator.name,
        "template": answering.template.version,
        "passages": settings.passages,
        "abstain_threshold": threshold,
    }


def _with(query: "JudgedQuery", values: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> "JudgedQuery":
    """The query with its answer's metrics beside those of its ranking."""
    from dataclasses import replace

    said = {key: each[query.id] for key, each in values.items() if key not in names and query.id in each}
    return replace(query, metrics={**query.metrics, **said})


def _comparable(questions: "QuestionSet", earlier: "Sequence[JudgedQuery]") -> dict[str, dict[str, float]]:
    """The earlier run's metrics by question, of those that were judged as they are now. Raises WrongUsage where none
    was."""
    now = {one.id: one for one in questions.examples}
    before: dict[str, dict[str, float]] = {}
    for query in earlier:
        same = now.get(query.id)
        if same is not None and same.question == query.question and dict(same.relevant) == dict(query.relevant):
            for name, value in query.metrics.items():
                before.setdefault(name, {})[query.id] = value
    if not before:
        raise WrongUsage("the earlier run has no question that is judged as in this set; keep one of this set: --name")
    return before
