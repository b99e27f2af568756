"""`rag datasets`: what reviews and documents are made into; versions that never change, and their exports."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from rag.cli import options, output
from rag.cli.choosing import Chosen, choosing
from rag.cli.evaluation import told

if TYPE_CHECKING:
    from rag.app import App
    from rag.exports.making import Changed, Made
    from rag.exports.rows import Written
    from rag.store.datasets import Split, Version

F = TypeVar("F", bound=Callable[..., object])

SPLITS = ("train", "validation", "test")  # as in rag.store.datasets; a test compares them
ORIGINS = ("human", "synthetic", "generated")
FORMS = ("beir", "csv", "kto", "parquet", "preference", "ragas", "sft", "triplets")  # as in rag.exports
NAME = click.argument("name", type=options.TEXT)
SHARES = "Of train, validation and test; 0,0,1 makes all of it a test."
SHOWN = 5  # rows of a version that are shown


@click.group("datasets")
@options.common
def command() -> None:
    """Make, show, compare and export datasets; a version never changes.

    NAME means the newest version of a dataset, NAME@NUMBER that version for ever.
    """


def making(which: str) -> Callable[[F], F]:
    """The flags that say what a dataset is made of; `which` answers it takes where no flag says so."""
    told = {name: "; the default" if name == which else "" for name in ("all", "reviewed", "judged")}

    def decorate(function: F) -> F:
        for option in (
            click.option(
                "--scrub",
                type=options.TEXT,
                metavar="KINDS",
                help="Replace personal data: all, structured, or some of email, url, iban, card, ssn, ip, phone, "
                "address, name, with commas.",
            ),
            click.option(
                "--shares",
                type=options.TEXT,
                default="0.8,0.1,0.1",
                show_default=True,
                metavar="A,B,C",
                help=SHARES,
            ),
            click.option(
                "--origin",
                "origins",
                multiple=True,
                type=click.Choice(ORIGINS),
                help="Questions of this origin; may be repeated.  [default: human]",
            ),
            click.option(
                "--all", "which", flag_value="all", help=f"Also answers of which nobody said anything{told['all']}."
            ),
            click.option(
                "--judged",
                "which",
                flag_value="judged",
                help=f"Answers with a review, feedback or a blind preference{told['judged']}.",
            ),
            click.option(
                "--reviewed",
                "which",
                flag_value="reviewed",
                default=which,
                help=f"Only answers with a review{told['reviewed']}.",
            ),
            choosing,
        ):
            function = option(function)
        return function

    return decorate


form = click.option("--format", "form", required=True, type=click.Choice(FORMS), help="Form of the files.")
corpus = click.option(
    "--corpus",
    type=click.Choice(["all", "shown"]),
    default="all",
    show_default=True,
    help="For beir: every document of the collection, or only what was shown with the questions.",
)


@command.command("make")
@NAME
@making("judged")
@options.as_json
@options.common
def make(
    name: str,
    which: str,
    origins: tuple[str, ...],
    shares: str,
    scrub: str | None,
    json: bool,
    **narrowed: object,
) -> None:
    """Make a version of a dataset from logged answers and what people said of them.

    Without further flags: all answers to people's questions to the collection that were reviewed, rated or preferred.
    No conversation, and no question that repeats, is in two splits. Where the newest version holds the same already,
    none is added.
    """
    from rag.shapes.datasets import version_json

    with options.opened(options.settings()) as app:
        made = made_from(app, name, which, origins, shares, scrub, narrowed)
    if json:
        output.print_json(version_json(made.version) | {"new": made.new})
        return
    tell_made(made)


def made_from(
    app: "App",
    name: str,
    which: str,
    origins: Sequence[str],
    shares: str,
    scrub: str | None,
    narrowed: dict[str, object],
) -> "Made":
    """The version that the flags ask for."""
    from dataclasses import replace

    from rag.exports import making
    from rag.exports.collect import Wanted
    from rag.exports.splits import Shares
    from rag.scrubbing import kinds

    query = Chosen(**narrowed).asked()  # type: ignore[arg-type]
    query = replace(query, collection=query.collection or app.settings.collection)
    wanted = Wanted(
        query,
        which,  # type: ignore[arg-type]  # one of the flags' values
        tuple(dict.fromkeys(origins)) or ("human",),  # type: ignore[arg-type]  # click has checked them
        Shares.parse(shares),
        kinds(scrub) if scrub else (),
    )
    assert query.collection is not None
    return making.make(app.database, app.tenant_id, name, wanted, query.collection, "local")


def tell_made(made: "Made") -> None:
    from rag.exports.making import described

    output.say(output.one_line(described(made.version)))
    card = made.version.card
    dropped = card["dropped"]
    assert isinstance(dropped, dict)
    for reason, count in dropped.items():
        output.say(f"    left out {count:,}: {output.one_line(str(reason))}")
    if not made.new:
        output.say("    the newest version holds the same; none was added")


@command.command("synthesize")
@NAME
@click.option("-n", "--questions", "n", default=100, show_default=True, type=click.IntRange(1, 10_000), metavar="N")
@click.option(
    "--by",
    type=click.Choice(["auto", "templates", "generator"]),
    default="auto",
    show_default=True,
    help="A language model, or templates; auto: the model where one is installed.",
)
@options.collection
@click.option("--shares", type=options.TEXT, default="0,0,1", show_default=True, metavar="A,B,C", help=SHARES)
@options.as_json
@options.common
def synthesize(name: str, n: int, by: str, collection: str | None, shares: str, json: bool) -> None:
    """Make a dataset of questions that nobody asked from the documents of a collection.

    Each keeps the passage that it was made from as relevant, is marked synthetic and stays apart from people's
    questions. Kept are those that their own passage answers, that a search leads back from, and that repeat neither
    each other nor what people asked before. Templates know English only.
    """
    from rag.exports import making
    from rag.exports.splits import Shares
    from rag.shapes.datasets import version_json
    from rag.synthesis import by_generator, by_templates, synthesize

    with options.opened(options.settings(collection=collection)) as app:
        opened = app.opened()
        generator = None if by == "templates" else app.generator()
        if generator is not None and by == "auto" and generator.name == "extractive":
            generator = None
        drafting = by_templates if generator is None else by_generator(generator, app.generation())
        made_by = "templates" if generator is None else generator.name
        avoid = making.asked(app.database, app.tenant_id, opened.collection.name)
        found = synthesize(
            opened,
            drafting,
            made_by,
            n,
            app.settings.mode,
            app.fusion(),
            app.local(),
            avoid=avoid,
            progress=told("questions"),
        )
        made = making.make_questions(
            app.database,
            app.tenant_id,
            name,
            found.records,
            found.dropped,
            made_by,
            opened.collection.name,
            Shares.parse(shares),
            "local",
        )
    if json:
        output.print_json(version_json(made.version) | {"new": made.new})
        return
    tell_made(made)


@command.command("list")
@click.option(
    "--holding",
    multiple=True,
    type=options.TEXT,
    metavar="ID",
    help="Instead: every version that holds something of this interaction; may be repeated.",
)
@click.option("-n", "--limit", default=20, show_default=True, type=click.IntRange(1), help="So many at most.")
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
