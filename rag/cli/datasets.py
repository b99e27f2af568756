"""`rag datasets`: versions that never change, listed, shown, compared, checked, exported and removed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import dataset_making, options, output

if TYPE_CHECKING:
    from rag.app import App
    from rag.exports.making import Changed
    from rag.exports.rows import Written
    from rag.store.datasets import Split, Version

SPLITS = ("train", "validation", "test")  # as in rag.store.datasets; a test compares them
FORMS = ("beir", "csv", "kto", "parquet", "preference", "ragas", "sft", "triplets")  # as in rag.exports
NAME = click.argument("name", type=options.TEXT)
SHOWN = 5  # rows of a version that are shown


@click.group("datasets")
@options.common
def command() -> None:
    """Make, show, compare and export datasets; a version never changes.

    NAME means the newest version of a dataset, NAME@NUMBER that version for ever.
    """


command.add_command(dataset_making.make)
command.add_command(dataset_making.synthesize)


form = click.option("--format", "form", required=True, type=click.Choice(FORMS), help="Form of the files.")
corpus = click.option(
    "--corpus",
    type=click.Choice(["all", "shown"]),
    default="all",
    show_default=True,
    help="For beir: every document of the collection, or only what was shown with the questions.",
)


@command.command("list")
@click.option(
    "--holding",
    multiple=True,
    type=options.TEXT,
    metavar="ID",
    help="Instead: every version that holds something of this interaction; may be repeated.",
)
@options.most(20)
@options.as_json
@options.common
def listing(holding: tuple[str, ...], limit: int, json: bool) -> None:
    """List the datasets, each with its newest version, the youngest first.

    What is erased from the log stays in the versions that hold it; --holding names them, and `rag datasets remove`
    takes them away.
    """
    from rag.shapes.datasets import version_json
    from rag.store import datasets as store

    with options.opened(options.settings()) as app:
        tenant_id = app.tenant_id
        with app.database.read() as connection:
            if holding:
                named = store.holding(connection, tenant_id, [each.upper() for each in holding])
                found = [store.get(connection, tenant_id, each) for each in named]
            else:
                found = store.listing(connection, tenant_id, limit=limit)
    if json:
        output.print_json({"datasets": [version_json(version) for version in found]})
        return
    if not found:
        output.say("no version holds anything of it" if holding else "no datasets yet: rag datasets make NAME")
        return
    cells = [
        (
            output.one_line(version.named, 40),
            version.kind,
            f"{version.items:,}",
            *(_split(version, split) for split in SPLITS),
            output.one_line(version.collection, 24),
            version.digest[:8],
            version.created_at.strftime("%Y-%m-%d %H:%M"),
        )
        for version in found
    ]
    names = ["name", "kind", "records", *SPLITS, "collection", "digest", "made (UTC)"]
    output.table(names, cells, right=[2, 3, 4, 5])


def _split(version: "Version", split: str) -> str:
    counts = version.card["splits"]
    assert isinstance(counts, dict)
    return f"{counts.get(split, 0):,}"


@command.command("show")
@NAME
@click.option("-n", "--limit", default=SHOWN, show_default=True, type=click.IntRange(0), help="So many records.")
@options.as_json
@options.common
def show(name: str, limit: int, json: bool) -> None:
    """Show the card of a version and its first records."""
    from rag.exports.cards import markdown
    from rag.exports.making import read
    from rag.shapes.datasets import record_json, version_json

    with options.opened(options.settings()) as app:
        version, records = read(app.database, app.tenant_id, name)
    shown = records[:limit]
    if json:
        output.print_json(version_json(version) | {"records": [record_json(record) for record in shown]})
        return
    output.say(output.safe(markdown(version).partition("\n---\n\n")[2].rstrip()))
    for record in shown:
        output.say()
        about = output.one_line(f"{record.key}  {record.split}  {record.origin}  {record.verdict or ''}")
        output.say(output.faint(about))
        output.say(output.wrapped(record.question, indent="  "))
        if record.best:
            output.say(output.wrapped(output.one_line(record.best, 300), indent="    "))


@command.command("export")
@NAME
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@form
@click.option("--split", "splits", multiple=True, type=click.Choice(SPLITS), help="Only this split; may be repeated.")
@corpus
@options.as_json
@options.common
def export(name: str, folder: Path, form: str, splits: tuple[str, ...], corpus: str, json: bool) -> None:
    """Write a version to a new FOLDER, in the form that another program reads; its card is README.md.

    beir: an evaluation set, for `rag eval FOLDER`; ragas: its sample fields; sft, preference, kto: as TRL reads them;
    triplets: for training a retriever; csv, parquet: tables.
    """
    with options.opened(options.settings()) as app:
        version, written = exported(app, name, folder, form, splits, corpus)
    tell_written(version, written, folder, json=json)


def exported(
    app: "App", name: str, folder: Path, form: str, splits: Sequence[str], corpus: str
) -> "tuple[Version, Written]":
    """Write the export that the flags ask for."""
    from rag.exports import beir, making
    from rag.exports import export as write
    from rag.store.datasets import SPLITS as ALL

    chosen: tuple[Split, ...] = tuple(split for split in ALL if not splits or split in splits)
    version, records = making.read(app.database, app.tenant_id, name, chosen)
    documents = (
        making.corpus(app.database, app.tenant_id, version.collection) if corpus == "all" else beir.shown(records)
    )
    return version, write(folder, version, records, form, documents)


def tell_written(version: "Version", written: "Written", folder: Path, *, json: bool) -> None:
    from rag.shapes.datasets import version_json, written_json

    if json:
        output.print_json(version_json(version) | written_json(written) | {"folder": str(folder)})
        return
    output.say(f"{output.one_line(version.named)} in {output.safe(str(folder))}")
    for file, rows in written.rows.items():
        output.say(f"    {file:<20}{output.counted(rows, 'row')}")
    for reason, count in written.skipped.items():
        output.say(f"    left out {count:,}: {reason}")


@command.command("compare")
@click.argument("first", type=options.TEXT)
@click.argument("second", type=options.TEXT)
@options.as_json
@options.common
def compare(first: str, second: str, json: bool) -> None:
    """Say how version SECOND differs from FIRST."""
    from rag.exports import making
    from rag.shapes.datasets import change_json

    with options.opened(options.settings()) as app:
        one, other, changed = making.compare(app.database, app.tenant_id, first, second)
    if json:
        output.print_json(change_json(one, other, changed))
        return
    tell_change(one, other, changed)


def tell_change(one: "Version", other: "Version", changed: "Changed") -> None:
    from rag.shapes.datasets import differing

    output.say(
        f"{output.one_line(one.named)} → {output.one_line(other.named)}: {len(changed.added):,} added, "
        f"{len(changed.removed):,} removed, {len(changed.changed):,} changed ({changed.moved:,} in another split), "
        f"{changed.same:,} the same"
    )
    for sign, records in (("+", changed.added), ("-", changed.removed)):
        for record in records:
            output.say(f"  {sign} {record.split:<10} {output.one_line(record.question, 80)}")
    for before, after in changed.changed:
        names = ", ".join(differing(before, after))
        output.say(f"  ~ {after.split:<10} {output.one_line(after.question, 60)}  ({names})")


@command.command("verify")
@NAME
@options.as_json
@options.common
def verify(name: str, json: bool) -> int:
    """Derive the digests of a version again; exit code 1 where one does not fit."""
    from rag.store import datasets as store

    with options.opened(options.settings()) as app:
        tenant_id = app.tenant_id
        with app.database.read() as connection:
            version = store.get(connection, tenant_id, name)
            wrong = store.damaged(connection, version)
    if json:
        output.print_json({"name": version.name, "version": version.number, "digest": version.digest, "damaged": wrong})
    elif wrong:
        keys = ", ".join(output.one_line(key) for key in wrong if key) or "records are missing or too many"
        output.say(f"{output.one_line(version.named)} is not what it was made as: {keys}")
    else:
        output.say(f"{output.one_line(version.named)} is what it was made as: {version.digest}")
    return 1 if wrong else 0


@command.command("remove")
@NAME
@options.common
def remove(name: str) -> None:
    """Forget a version (NAME@NUMBER), or a dataset with all of them (NAME)."""
    from rag.store import datasets as store

    with options.opened(options.settings()) as app:
        tenant_id = app.tenant_id
        with app.database.write() as connection:
            gone = store.remove(connection, tenant_id, name, user="local")
    output.say(f"gone: {', '.join(output.one_line(version.named) for version in gone)}")
