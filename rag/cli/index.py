"""`rag index`: how the vectors of a collection are searched, why so, and for which recall."""

from typing import TYPE_CHECKING

import click

from rag.cli import options, output

if TYPE_CHECKING:
    from rag.indexes.snapshots import Told


@click.group("index")
@options.common
def command() -> None:
    """Show how the vector index of a collection searches, and tune it."""


@command.command("show")
@options.collection
@options.as_json
@options.common
def show(collection: str | None, json: bool) -> int:
    """Show the form of the index, why it was chosen, its size, and recall and latency as measured when it was tuned."""
    with options.opened(options.settings(collection=collection)) as app:
        chosen = app.collection()
        told = app.indexes(chosen).told()
    _print(chosen.name, told, json)
    return 0


@command.command("tune")
@options.collection
@click.option(
    "--recall",
    type=options.Between(0.5, 1.0),
    metavar="SHARE",
    help="Share of the true nearest to be found; 1 compares all.  [default: what was asked last, else 0.99]",
)
@options.as_json
@options.common
def tune(collection: str | None, recall: float | None, json: bool) -> int:
    """Learn the index anew from the vectors held, and measure how deep to search for the recall that is asked.

    Nothing is embedded, and searches go on meanwhile. The recall asked is kept with the collection.
    """
    with options.opened(options.settings(collection=collection)) as app:
        chosen = app.collection()
        done = app.tune_index(chosen, recall)
        told = app.indexes(chosen).told() if done is not None else None
    if done is None:
        output.note("rag: another process is writing this index; the recall is kept, try again when it is done")
        return 1
    _print(chosen.name, told, json)
    return 0


def _print(name: str, told: "Told | None", json: bool) -> None:
    if json:
        output.print_json({"collection": name, "index": told_json(told) if told else None})
        return
    if told is None:
        output.say(f"{output.one_line(name)}: no index on disk yet, everything is compared; `rag rebuild` writes one")
        return
    tuning = told.tuning
    output.say(f"{output.one_line(name)}: generation {told.generation} with {output.counted(told.chunks, 'chunk')}")
    output.say(f"    vectors  {tuning.form}: {tuning.why}")
    if tuning.form == "lists":
        output.say(
            f"    tuned    for recall {tuning.asked:g} on {tuning.queries} queries in {tuning.seconds:g} s; "
            f"{tuning.lists} lists learnt from {tuning.learnt:,} rows"
        )
    for part, size in sizes(told).items():
        output.say(f"    {part:<9}{size / 2**20:,.1f} MiB")
    if tuning.steps:
        rows = []
        for step in tuning.steps:
            measured = (f"{step.recall:.4f}", f"{step.latency_ms:.2f}")
            rows.append((f"{step.share:.0%}", str(step.k), str(step.probed), str(step.fetch), *measured))
        output.table(["permitted", "k", "lists", "candidates", "recall", "scan ms"], rows, right=[0, 1, 2, 3, 4, 5])


def sizes(told: "Told") -> dict[str, int]:
    """Bytes of what the generation holds."""
    found = {"rows": 0, "lists": 0, "keywords": 0}
    for name, size in told.sizes.items():
        part = "keywords" if name.startswith("keywords/") else "lists" if name.endswith("lists.faiss") else "rows"
        found[part] += size
    return found


def told_json(told: "Told") -> dict[str, object]:
    """A generation's way of searching as JSON."""
    from dataclasses import asdict

    return {
        "generation": told.generation,
        "position": told.position,
        "chunks": told.chunks,
        "bytes": sizes(told),
        **asdict(told.tuning),
    }
