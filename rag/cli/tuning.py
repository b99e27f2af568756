"""`rag eval tune`: the fusion that suits a collection, chosen by its own judged questions."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import ingest, interrupts, options, output
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.evaluation.tune import Tuned
    from rag.search import Fusion


@click.command("tune")
@click.argument("set_", metavar="SET", type=options.TEXT)
@click.option(
    "--collection",
    type=options.TEXT,
    metavar="NAME",
    help="Tune this collection, whose documents the set judges.  [default: the dataset's, or one of the folder's own]",
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(["train", "validation", "test"]),
    help="Of a dataset; may be repeated.  [default: train and validation]",
)
@click.option("--metric", "name", type=options.TEXT, default="ndcg_cut_10", show_default=True, metavar="NAME")
@click.option("--folds", type=click.IntRange(2, 100), default=5, show_default=True, metavar="N")
@click.option("--force", is_flag=True, help="Keep what was found even if the gain may be chance.")
@click.option("--forget", is_flag=True, help="Take away what was kept; try nothing.")
@options.as_json
@options.common
def command(
    set_: str,
    collection: str | None,
    splits: tuple[str, ...],
    name: str,
    folds: int,
    force: bool,
    forget: bool,
    json: bool,
) -> int:
    """Fit fusion to the judged questions of a BEIR folder or a dataset.

    Tries weights of meaning against words, depths, and reciprocal ranks. What is reported was measured on questions
    that had no part in choosing (nested cross-validation), beside the present way on the same questions. The best way
    is kept with the collection if the gain's 95 % interval lies above 0; `rag collections show` shows it, and every
    search that names no other uses it.
    """
    from rag.cli.progress import told
    from rag.evaluation.questions import TUNING, chosen, is_folder, of_dataset, of_folder
    from rag.evaluation.tune import tune
    from rag.store import collections as store

    read = of_folder(Path(set_)) if is_folder(set_) else None
    if read is not None and splits:
        raise WrongUsage("--split is for datasets; of a folder qrels/test.tsv is read")
    asked = options.settings(collection=collection or (read and read.collection))
    with options.opened(asked, create=read is not None and collection is None) as app:
        if read is None:
            read = of_dataset(app.database, app.tenant_id, set_, chosen(splits, TUNING))
        held_in = collection or read.collection
        if forget:
            held = app.collection(held_in)
            with app.database.write() as connection:
                store.change_settings(connection, held.id, dict.fromkeys(app.fusion(held_in).settings()))
            shown = {"collection": held.name, "kept": False, "forgotten": True}
            output.print_json(shown) if json else output.say(f"{output.one_line(held.name)} is searched as others are")
            return 0
        if collection is None and read.folder is not None and not ingest.folder(app, read.folder):
            return interrupts.CODE
        opened = app.opened(held_in)
        now, told_of = app.fusion(held_in), told("searches")
        found = tune(opened, read.judged, now, app.local(), name=name, folds=folds, progress=told_of)
        kept = found.best != found.now and (found.significant or force)
        if kept:
            with app.database.write() as connection:
                store.change_settings(connection, opened.collection.id, found.best.settings())
    if json:
        output.print_json({"collection": opened.collection.name, "kept": kept, "forgotten": False, **tuned_json(found)})
    else:
        tell(found, opened.collection.name, kept=kept)
    return 0


def tuned_json(found: "Tuned") -> dict[str, object]:
    return {
        "metric": found.metric,
        "queries": found.queries,
        "folds": found.folds,
        "now": found.now.settings(),
        "best": found.best.settings(),
        "fold_choices": [each.settings() for each in found.fold_choices],
        "default": {"value": found.default.value, "low": found.default.low, "high": found.default.high},
        "held_out": {"value": found.held_out.value, "low": found.held_out.low, "high": found.held_out.high},
        "gain": {
            "value": found.gain.mean.value,
            "low": found.gain.mean.low,
            "high": found.gain.mean.high,
            "p": found.gain.p,
        },
        "significant": found.significant,
        "tried": [{**way.settings(), "value": value} for way, value in found.tried],
    }


def tell(found: "Tuned", collection: str, *, kept: bool) -> None:
    output.say(f"{output.one_line(collection)}, {found.queries} judged questions, {found.folds} folds, {found.metric}")
    for label, way, mean in (("now", shown(found.now), found.default), ("tuned", "held out", found.held_out)):
        output.say(f"    {label:<7}{mean.value:.4f}  [{mean.low:.4f}, {mean.high:.4f}]  {way}")
    gain = found.gain
    output.say(
        f"    {'gain':<7}{gain.mean.value:+.4f}  [{gain.mean.low:+.4f}, {gain.mean.high:+.4f}]  p = {gain.p:.3f}, "
        f"{output.counted(gain.wins, 'question')} better, {gain.losses:,} worse"
    )
    output.say(f"best on all questions: {shown(found.best)}")
    if kept:
        output.say("kept with the collection; --forget takes it away")
    elif found.best == found.now:
        output.say("nothing to keep: it is the present way")
    else:
        output.say("not kept: the gain may be chance; --force keeps it all the same")


def shown(way: "Fusion") -> str:
    by = f"alpha {way.alpha:g}" if way.method == "weighted" else f"k {way.rrf_k}"
    return f"{way.method}, {by}, depth {way.depth}"
