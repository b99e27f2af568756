"""`rag rebuild`: indexes are caches; this makes them anew from the database."""

import time

import click

from rag.cli import options, output


@click.command("rebuild")
@click.option("--collection", type=options.TEXT, metavar="NAME", help="Only this one.  [default: every collection]")
@options.as_json
@options.common
def command(collection: str | None, json: bool) -> int:
    """Build the indexes anew from the database, embedding nothing."""
    from rag import doctor
    from rag.store import collections as store

    with options.opened(options.settings()) as app:
        if collection is not None:
            chosen = [app.collection(collection)]
        else:
            with app.database.read() as connection:
                chosen = store.everything(connection)
        done = []
        for one in chosen:
            started = time.monotonic()
            done.append((doctor.rebuild(app, one), round(time.monotonic() - started, 3)))
    if json:
        rows = [{"name": m.name, "ok": m.ok, "detail": m.detail, "seconds": seconds} for m, seconds in done]
        output.print_json({"ok": all(m.ok for m, _ in done), "rebuilt": rows})
    else:
        for mended, seconds in done:
            output.say(f"{output.one_line(mended.name)}: {output.one_line(mended.detail)}, in {seconds:.1f} s")
        if not done:
            output.say("no collections yet; `rag ingest PATH` makes one")
    return 0 if all(mended.ok for mended, _ in done) else 1
