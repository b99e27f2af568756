"""`rag calibrate`: how sure the collection must be of an answer, fitted to its own judged questions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import ingest, interrupts, options, output
from rag.cli.progress import told
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.evaluation.calibrate import Calibrated
    from rag.evaluation.questions import QuestionSet
    from rag.types import Metadata


@click.command("calibrate")
@click.argument("set_", metavar="[SET]", type=options.TEXT, required=False)
@click.option(
    "--collection",
    type=options.TEXT,
    metavar="NAME",
    help="Calibrate this collection, whose documents the set judges. By default the dataset's, or one of the folder's "
    "own.",
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(["train", "validation", "test"]),
    help="Of a dataset; may be repeated.  [default: train and validation]",
)
@click.option(
    "--max-refused",
    type=options.Between(0, 0.5),
    metavar="SHARE",
    help="Refuse at most this share of the questions that have an answer.  [default: 0.05]",
)
@click.option(
    "--min-precision",
    type=options.PART,
    metavar="SHARE",
    help="Instead: of the questions that are answered, at least this share must be answerable.",
)
@click.option("--hide", is_flag=True, help="Ask every judged question once more with its documents out of sight.")
@click.option("--folds", type=click.IntRange(2, 100), default=5, show_default=True, metavar="N")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the curve: .png, .svg or .pdf.")
@click.option("--dry-run", is_flag=True, help="Say what would be kept, and keep nothing.")
@click.option("--show", is_flag=True, help="Show what is kept with the collection; try nothing.")
@click.option("--reset", is_flag=True, help="Take away what was kept; try nothing.")
@options.as_json
@options.common
def command(
    set_: str | None,
    collection: str | None,
    splits: tuple[str, ...],
    max_refused: float | None,
    min_precision: float | None,
    hide: bool,
    folds: int,
    plot: Path | None,
    dry_run: bool,
    show: bool,
    reset: bool,
    json: bool,
) -> int:
    """Fit when a question is refused, by questions with and without an answer.

    SET is a BEIR folder: a question with gold answers in answers.jsonl, or else with judged documents, has an
    answer; one with an empty list of answers has none. Or it is a dataset, whose reviews say the same. Every
    question is searched as everybody's is. The confidence is kept as it is, mapped anew or fitted anew, whichever
    tells best on questions that had no part in fitting; the threshold is the highest that refuses few enough of
    those with an answer. Both are kept with the collection, and every `rag ask` that names no threshold of its own
    uses them.
    """
    from rag.evaluation.questions import TUNING, chosen, is_folder, of_dataset, of_folder

    if max_refused is not None and min_precision is not None:
        raise WrongUsage("--max-refused and --min-precision both choose the threshold; give one of them")
    if set_ is None and not (collection and (show or reset)):
        raise WrongUsage("name a BEIR folder or a dataset; or, with --show or --reset, either or a --collection")
    if plot is not None:
        from rag.evaluation import plots

        plots.check(plot)
    read = of_folder(Path(set_)) if set_ is not None and is_folder(set_) else None
    if read is not None and splits:
        raise WrongUsage("--split is for datasets; of a folder qrels/test.tsv is read")
    own = collection is None and read is not None
    name = collection or (read and read.collection)
    with options.opened(options.settings(collection=name), create=own and not show and not reset) as app:
        if read is None and set_ is not None:
            read = of_dataset(app.database, app.tenant_id, set_, chosen(splits, TUNING))
            if collection is None:
                app = app.with_settings(replace(app.settings, collection=read.collection))
        if show or reset:
            return _kept(app, json=json, reset=reset)
        assert read is not None
        if collection is None and read.folder is not None and not ingest.folder(app, read.folder):
            return interrupts.CODE
        found = _calibrated(app, read, max_refused, min_precision, hide=hide, folds=folds)
        if not dry_run:
            _keep(app, found.settings())
        held = app.collection().name
    if plot is not None:
        plots.draw_risk(plot, [(point.coverage, point.risk) for point in found.points], found.aurc)
    if json:
        output.print_json({"collection": held, "kept": not dry_run, **calibrated_json(found)})
    else:
        tell(found, held, kept=not dry_run)
    return 0


def _calibrated(
    app: "App", read: "QuestionSet", max_refused: float | None, min_precision: float | None, *, hide: bool, folds: int
) -> "Calibrated":
    from rag.answers.confidence import FEATURES, Model, default
    from rag.evaluate import Way
    from rag.evaluation.calibrate import MOST_REFUSED, calibrate, gather

    opened, settings = app.opened(), app.settings
    way = Way(settings.mode, app.fusion(), app.reranker(), app.refining())
    judged = gather(
        opened, read.examples, way, settings.passages, app.local(), hide=hide, progress=told("questions searched")
    )
    nothing = Model((0.0,) * len(FEATURES), 0.0)
    return calibrate(
        judged,
        default(settings.mode, opened.collection.fingerprint) or nothing,
        settings.mode,
        most_refused=MOST_REFUSED if max_refused is None else max_refused,
        least_precision=min_precision,
        folds=folds,
    )


def _keep(app: "App", settings: "Metadata") -> None:
    from rag.store import collections as store

    with app.database.write() as connection:
        store.change_settings(connection, app.collection().id, settings)


def _kept(app: "App", *, json: bool, reset: bool) -> int:
    """Show what is kept with the collection, or take it away."""
    from rag.answers.confidence import KEPT

    held = app.collection()
    if reset:
        _keep(app, dict.fromkeys(KEPT))
        held = app.collection()
    found = {key.removeprefix("abstain_"): held.settings[key] for key in KEPT if key in held.settings}
    if json:
        output.print_json({"collection": held.name, "calibrated": bool(found), "reset": reset, **found})
    elif not found:
        output.say(
            f"{output.one_line(held.name)} is not calibrated: refused below {app.settings.abstain_threshold:g}, "
            "by the weights out of the box"
        )
    else:
        output.say(f"{output.one_line(held.name)}, {found['mode']}: refused below {float(str(found['threshold'])):.3f}")
        weights, curve = found["weights"], found["curve"]
        assert isinstance(weights, list)
        assert isinstance(curve, list)
        for name, weight in zip(found["features"], weights, strict=True):  # type: ignore[arg-type]
            output.say(f"    {name!s:<18}{float(str(weight)):+8.2f}")
        output.say(f"    {'intercept':<18}{float(str(found['bias'])):+8.2f}")
        tell_curve([(float(str(point[0])), float(str(point[1]))) for point in curve])  # type: ignore[index]
    return 0


# ── what people read ────────────────────────────────────────────────────────────────────────────────────────────────


def calibrated_json(found: "Calibrated") -> dict[str, object]:
    return {
        "mode": found.mode,
        "questions": found.questions,
        "answerable": found.answerable,
        "unfound": found.unfound,
        "folds": found.folds,
        "how": found.how,
        "threshold": found.best.threshold,
        "auroc": {"value": found.auroc.value, "low": found.auroc.low, "high": found.auroc.high},
        "refused_answerable": found.refused_answerable,
        "refused_unanswerable": found.refused_unanswerable,
        "aurc": found.aurc,
        "curve": [
            {"coverage": point.coverage, "risk": point.risk, "threshold": point.threshold} for point in found.table()
        ],
        "tried": [{"how": way.how, "auroc": way.auroc, "log_loss": way.log_loss} for way in found.tried],
    }


def tell(found: "Calibrated", collection: str, *, kept: bool) -> None:
    without = found.questions - found.answerable
    output.say(
        f"{output.one_line(collection)}, {found.mode}: {output.counted(found.answerable, 'question')} with an answer, "
        f"{without:,} without; held out in {found.folds} folds"
    )
    if found.unfound:
        output.say(f"    of those with an answer, {found.unfound:,} were not found what answers them")
    for way in found.tried:
        best = "  best" if way.how == found.how else ""
        output.say(f"    {way.how:<11}AUROC {way.auroc:.4f}  log loss {way.log_loss:.4f}{best}")
    output.say(f"AUROC {found.auroc.value:.4f}  [{found.auroc.low:.4f}, {found.auroc.high:.4f}]  AURC {found.aurc:.4f}")
    output.say(
        f"refused below {found.best.threshold:.3f}: {found.refused_answerable:.1%} of the questions with an answer, "
        f"{found.refused_unanswerable:.1%} of those without"
    )
    tell_curve([(point.coverage, point.risk) for point in found.table()])
    output.say("kept with the collection; --reset takes it away" if kept else "nothing was kept: --dry-run")


def tell_curve(points: Sequence[tuple[float, float]]) -> None:
    """Risk by coverage: of so many questions answered, the share that should not have been."""
    output.say(f"    {'answered':>8}  {'risk':>6}")
    for coverage, risk in points:
        output.say(f"    {coverage:>8.0%}  {risk:>6.1%}")
