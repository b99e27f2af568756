"""`rag dedup`: which documents duplicate which, what was done about it, judging anew, and reversing a decision."""

from typing import TYPE_CHECKING

import click

from rag.cli import options, output

if TYPE_CHECKING:
    from rag.store.duplicates.decisions import StoredDecision, Tally
    from rag.store.duplicates.policies import Level

LEVELS = ("exact", "near", "semantic")  # as in rag.store.duplicates.policies; a test compares them
DONE = {
    "keep": "both stand",
    "alias": "one more place of the other's text",
    "skip": "held back",
    "newest": "held back for the newer one",
}


@click.group("dedup")
@options.common
def command() -> None:
    """Show, judge anew and reverse decisions on duplicates."""


@command.command("report")
@options.collection
@click.option("--level", type=click.Choice(LEVELS), help="Only duplicates of this level.")
@click.option("--chunks", is_flag=True, help="Chunks in place of documents.")
@options.most(100)
@click.option("--after", metavar="ID", default=0, type=click.IntRange(0), help="Begin behind this decision.")
@options.as_json
@options.common
def report(collection: str | None, level: "Level | None", chunks: bool, limit: int, after: int, json: bool) -> None:
    """Show the duplicates that were found and what was done about each.

    What a collection does about duplicates is among its settings: see `rag collections set`.
    """
    from rag.store import collections as collection_store
    from rag.store.duplicates import decisions as store
    from rag.store.permitted import Predicate

    with options.opened(options.settings(collection=collection)) as app:
        chosen = app.collection()
        with app.database.read() as connection:
            at = collection_store.position(connection, chosen.id)
            predicate = Predicate(chosen.id, None)
            counts = store.tallies(connection, predicate, at)
            rows = store.listing(
                connection,
                predicate,
                at,
                scope="chunk" if chunks else "document",
                level=level,
                after=after,
                limit=limit + 1,
            )
    more = len(rows) > limit
    rows = rows[:limit]
    if json:
        from rag.shapes.duplicates import duplicates_json

        output.print_json(duplicates_json(chosen.name, counts, rows, rows[-1].id if more else None))
        return
    _tell(counts, rows)
    if more:
        output.say(f"… more: rag dedup report{' --chunks' if chunks else ''} --after {rows[-1].id}")


def _tell(counts: "list[Tally]", rows: "list[StoredDecision]") -> None:
    if not counts:
        output.say("no duplicates were found")
        return
    for count in counts:
        what = f"{count.level} {count.scope} duplicate"
        output.say(f"{output.counted(count.decisions, what)}: {DONE[count.policy]} (policy {count.policy})")
    if not rows:
        return
    output.say()
    cells = [
        (
            str(row.id),
            row.level,
            f"{row.similarity:.3f}",
            row.policy,
            output.shown_uri(row.uri),
            output.shown_uri(row.against_uri),
        )
        for row in rows
    ]
    output.table(["id", "level", "similarity", "policy", "document", "duplicates"], cells, right=[0, 2])


@command.command("run")
@options.collection
@options.as_json
@options.common
def run(collection: str | None, json: bool) -> None:
    """Judge every document anew by the collection's present policies, the oldest first."""
    with options.opened(options.settings(collection=collection)) as app:
        app.collection()
        corpus = app.corpus()
        found = corpus.review_duplicates()
        app.publish_due(corpus.collection)
    if json:
        output.print_json({"collection": corpus.collection.name, "duplicates": found})
    else:
        output.say(f"{output.counted(found, 'duplicate')} found; `rag dedup report` shows them")


@command.command("undo")
@click.argument("decision_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@options.collection
@options.as_json
@options.common
def undo(decision_id: int, collection: str | None, json: bool) -> None:
    """Reverse one decision: its two documents stand beside each other from now on."""
    from rag.store.duplicates.second_looks import undo_decision

    with options.opened(options.settings(collection=collection)) as app:
        chosen = app.collection()
        with app.database.write() as connection:
            written = undo_decision(connection, chosen, decision_id, actor="local")
    document_id = None if written is None else written.document_id
    if json:
        output.print_json({"decision_id": decision_id, "document_id": document_id})
    elif written is None:
        output.say(f"decision {decision_id} is closed; nothing had been done but to record it")
    elif document_id is None:
        output.say(f"decision {decision_id} is reversed, but another holds it back: {written.reason}")
    else:
        output.say(f"decision {decision_id} is reversed: document {document_id} stands for itself")
