"""`rag datasets make` and `synthesize`: versions of datasets, made from logged answers and from the documents."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from rag.cli import options, output
from rag.cli.choosing import Chosen, choosing
from rag.cli.progress import told

if TYPE_CHECKING:
    from rag.app import App
    from rag.exports.making import Made

F = TypeVar("F", bound=Callable[..., object])

ORIGINS = ("human", "synthetic", "generated")
NAME = click.argument("name", type=options.TEXT)
SHARES = "Of train, validation and test; 0,0,1 makes all of it a test."


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


@click.command("make")
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


@click.command("synthesize")
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
    from rag.evaluation.synthesizing import make
    from rag.exports.splits import Shares
    from rag.shapes.datasets import version_json

    with options.opened(options.settings(collection=collection)) as app:
        shared, tell = Shares.parse(shares), told("questions")
        made = make(app, app.local(), name, n, by=by, shares=shared, progress=tell)  # type: ignore[arg-type]
    if json:
        output.print_json(version_json(made.version) | {"new": made.new})
        return
    tell_made(made)
