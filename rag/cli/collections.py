"""`rag collections`: which collections there are, how large, and in which embedder."""

import click

from rag.cli import options, output


@click.command("collections")
@options.as_json
@options.common
def command(json: bool) -> None:
    """List the collections."""
    from rag.store import collections as store

    with options.opened(options.settings()) as app:
        tenant = app.local().tenant_id
        with app.database.read() as connection:
            found = [(one, store.counts(connection, one.id)) for one in store.listing(connection, tenant)]
    if json:
        from rag.shapes import collection_json

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
