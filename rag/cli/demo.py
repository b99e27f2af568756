"""`rag demo`: the whole way in one command, on the project's own documentation or on files of yours."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import ask, ingest, interrupts, logs, options, output
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.app import App

COLLECTION = "demo"
QUESTIONS = (
    "What happens if the index folder is deleted?",
    "When does a removed text disappear from search?",
    "Why is a citation marker not believed?",
)


@click.command("demo")
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=click.Path(path_type=Path))
@click.option("--question", "questions", multiple=True, type=options.TEXT, help="Ask this instead; may be repeated.")
@options.common
def command(paths: tuple[Path, ...], questions: tuple[str, ...]) -> int:
    """Take in the project's own documentation and ask it three questions.

    With PATHs it takes in those. Everything goes into the collection `demo`; run again, it embeds nothing.
    """
    chosen = options.settings(collection=COLLECTION)
    places = paths or own_documentation()
    if missing := [path for path in places if not path.exists()]:
        raise WrongUsage(f"there is no file or folder {output.safe(str(missing[0]))}")
    with options.opened(chosen, create=True) as app:
        output.say(output.strong(f"Taking in {', '.join(output.safe(str(place)) for place in places)}"))
        from rag.corpus import Origin

        report = ingest.ingest(app, places, Origin("local"))
        if report is None:
            return interrupts.CODE
        ingest.tell(report)
        asked = [_ask(app, question) for question in questions or QUESTIONS]
        _log(app, len(asked))
    _next()
    return ingest.SOME_FAILED if report.failed else 0


def own_documentation() -> tuple[Path, ...]:
    """Where the documentation lies: in the installed package, or in the checkout it runs from."""
    package = Path(__file__).resolve().parents[1]
    if (package / "docs").is_dir():
        return (package / "docs",)
    return package.parent / "docs", package.parent / "README.md"


def _ask(app: "App", question: str) -> str:
    from rag.ask import Question

    output.say()
    output.say(output.strong(f"? {output.one_line(question)}"))
    output.say()
    settings = app.settings
    asked = Question(question, settings.passages, settings.mode, None, app.fusion(), app.generation())
    entry = ask.answer(app, asked, aloud=True)
    ask.tell(entry)
    return entry.id


def _log(app: "App", count: int) -> None:
    from rag.store import interactions as store

    output.say()
    output.say(output.strong("The log") + "  (rag logs)")
    with app.database.read() as connection:
        logs.log_table(store.listing(connection, app.local().tenant_id, store.Query(), limit=count))


def _next() -> None:
    output.say()
    output.say(output.strong("What next"))
    for command_line, what in (
        ("rag ingest PATH…", "take in files and folders of your own"),
        ('rag ask "…"', "ask them"),
        ("rag logs show ID", "see everything behind an answer"),
        ("rag models pull", "let a small language model write the answers"),
        ("rag serve", "the same over HTTP, with OpenAPI documentation at /docs"),
    ):
        output.say(f"    {command_line:<20}{what}")
