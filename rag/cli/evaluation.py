"""`rag eval`: a BEIR folder becomes a collection of its own, and its judged questions metrics."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import ingest, interrupts, options, output
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.evaluate import Folder

EVERY_S = 5.0


@click.command("eval")
@click.argument("folder", type=click.Path(path_type=Path))
@options.mode
@click.option("--answers", "with_answers", is_flag=True, help="Ask the questions, too, and judge the answers.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N questions.")
@options.as_json
@options.common
def command(folder: Path, mode: str | None, with_answers: bool, limit: int | None, json: bool) -> int:
    """Measure retrieval and answers on a BEIR folder.

    FOLDER holds corpus.jsonl, queries.jsonl, qrels/test.tsv and, for --answers, answers.jsonl. It is taken into a
    collection of its own; what is there already is not embedded again. Metrics are averaged over every judged query.
    With --answers the extractive generator answers every question; nothing of that is logged.
    """
    from rag.cli.intake import Intake
    from rag.corpus import Origin
    from rag.evaluate import METRICS, read_folder

    read = read_folder(folder)
    if with_answers and not any(example.answers for example in read.examples):
        raise WrongUsage(f"{output.safe(str(folder))} holds no gold answers: answers.jsonl is missing or empty")
    chosen = options.settings(mode=mode, collection=read.collection)
    with options.opened(chosen, create=True) as app:
        report = ingest.ingest(app, Intake((str(read.corpus),)), Origin("local"))
        if report.stopped:
            return interrupts.CODE
        for failure in report.failures:
            output.note(f"not in the collection: {output.one_line(failure.reason)}")
        measured = measure(app, read, limit, with_answers=with_answers)
    value: dict[str, object] = {"folder": str(folder), "mode": chosen.mode, "collection": read.collection, **measured}
    if json:
        output.print_json(value)
    else:
        output.say(f"{read.path.resolve().name}, {chosen.mode}, {measured['queries']} judged queries")
        _values({name: measured["metrics"][name] for name in METRICS})  # type: ignore[index]
        if with_answers:
            output.say("answers")
            _values(measured["answers"])  # type: ignore[arg-type]
    return 0


def measure(app: "App", folder: "Folder", limit: int | None, *, with_answers: bool) -> dict[str, object]:
    """The metrics of the judged queries and, when asked for, of the answers."""
    from rag.evaluate import Way, answers, retrieval

    settings, judged = app.settings, folder.judged[:limit]
    way = Way(settings.mode, app.fusion(), app.reranker())
    result: dict[str, object] = {
        "queries": len(judged),
        "metrics": retrieval(app.opened(), judged, way, app.local(), told("queries")),
        "answers": None,
    }
    if with_answers:
        asked = [example for example in folder.examples if example.answers or example.relevant][:limit]
        answering = app.answering(generator="extractive")
        result["answers"] = answers(answering, asked, way, settings.passages, app.local(), told("answers"))
    return result


def told(what: str) -> Callable[[int, int], None]:
    """Says on standard error every few seconds how far it is."""
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_S:
            last = time.monotonic()
            output.note(f"{done:,} of {total:,} {what}")

    return tell


def _values(values: Mapping[str, object]) -> None:
    for name, value in values.items():
        shown = "–" if value is None else f"{value:.4f}" if isinstance(value, float) else output.one_line(str(value))
        output.say(f"    {name:<24}{shown}")
