"""`rag collections`: which collections there are, how large, in which embedder, and how they are set."""

from typing import TYPE_CHECKING

import click

from rag.cli import options, output

if TYPE_CHECKING:
    from rag.store.collections import Collection


@click.group("collections", invoke_without_command=True)
@click.pass_context
@options.as_json
@options.common
def command(context: click.Context, json: bool) -> None:
    """List the collections; show and change how one is set."""
    if context.invoked_subcommand is None:
        _listed(json)


def _listed(json: bool) -> None:
    from rag.store import collections as store

    with options.opened(options.settings()) as app:
        tenant = app.local().tenant_id
        with app.database.read() as connection:
            found = [(one, store.counts(connection, one.id)) for one in store.listing(connection, tenant)]
    if json:
        from rag.shapes.documents import collection_json

        output.print_json({"collections": [collection_json(one, counts) for one, counts in found]})
    elif not found:
        output.say("no collections yet; `rag ingest PATH` makes one")
    else:
        rows = [
            (
                output.one_line(one.name),
                f"{counts.documents:,}",
                f"{counts.chunks:,}",
                output.one_line(one.embedder),
                one.created_at.isoformat(timespec="minutes"),
            )
            for one, counts in found
        ]
        output.table(["name", "documents", "chunks", "embedder", "made"], rows, right=[1, 2])


@command.command("show")
@click.argument("name", required=False, type=options.TEXT)
@options.as_json
@options.common
def show(name: str | None, json: bool) -> None:
    """Show how a collection is set."""
    from rag.store import collections as store

    with options.opened(options.settings()) as app:
        chosen = app.collection(name)
        with app.database.read() as connection:
            counts = store.counts(connection, chosen.id)
    if json:
        from rag.shapes.documents import collection_json

        output.print_json(collection_json(chosen, counts))
        return
    output.say(
        f"{output.one_line(chosen.name)}: {output.counted(counts.documents, 'document')}, "
        f"{output.counted(counts.chunks, 'chunk')}, embedded by {chosen.embedder}"
    )
    for key, value in settings_of(chosen).items():
        output.say(f"    {key:<26}{value}")


@command.command("set")
@click.argument("name", type=options.TEXT)
@click.argument("changes", metavar="KEY=VALUE...", nargs=-1, required=True, type=options.KEY_VALUE)
@options.as_json
@options.common
def change(name: str, changes: tuple[tuple[str, str], ...], json: bool) -> None:
    """Change how a collection is set.

    chunk_tokens and overlap_tokens: its texts are cut anew at once, only new chunks are embedded, nothing is read
    again. dedup_…: what is done about duplicates, as `rag config` explains; every document is judged anew.
    """
    from rag.corpus import changed

    with options.opened(options.settings(collection=name)) as app:
        app.collection()
        done = changed(app.corpus(), parsed(changes))
        app.publish_due(done.collection)
    if json:
        output.print_json(
            {"collection": name, "settings": settings_of(done.collection), "recut": done.recut, "judged": done.judged}
        )
        return
    if done.recut is not None:
        output.say(f"{output.counted(done.recut, 'text')} cut anew")
    if done.judged is not None:
        output.say(f"{output.counted(done.judged, 'duplicate')} found; `rag dedup report` shows them")
    if done.recut is None and done.judged is None:
        output.say("nothing changed")


def parsed(changes: tuple[tuple[str, str], ...]) -> dict[str, str | int | float]:
    """Values that read as numbers are numbers."""
    found: dict[str, str | int | float] = {}
    for key, raw in changes:
        try:
            found[key] = int(raw)
        except ValueError:
            try:
                found[key] = float(raw)
            except ValueError:
                found[key] = raw
    return found


def settings_of(collection: "Collection") -> dict[str, object]:
    """Every setting of a collection, those included that it never said."""
    from rag.store.duplicates.policies import DEFAULTS

    return {**DEFAULTS, **{key: value for key, value in collection.settings.items() if key not in ("recut", "review")}}
