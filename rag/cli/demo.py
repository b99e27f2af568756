"""`rag demo`: the whole way in one command, on the project's own documentation or on files of yours."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import ask, ingest, interrupts, logs, options, output
from rag.config import DEFAULTS
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.app import App

COLLECTION = "demo"
QUESTIONS = (
    "What happens if the index folder is deleted?",
    "What does rag doctor check?",
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
        from rag.cli.intake import Intake
        from rag.corpus import Origin

        report = ingest.ingest(app, Intake(tuple(map(str, places))), Origin("local"))
        ingest.tell(report)
        if report.stopped:
            return interrupts.CODE
        asked = [_ask(app, question) for question in questions or QUESTIONS]
        _log(app, len(asked))
    _next(chosen.data, asked[-1])
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
    asked = Question(
        question, settings.passages, settings.mode, None, app.fusion(), app.generation(), abstaining=app.abstaining()
    )
    entry = ask.answer(app, asked, aloud=True)
    ask.tell(entry)
    return entry.id


def _log(app: "App", count: int) -> None:
    from rag.store import interactions as store

    output.say()
    output.say(output.strong("The log") + "  (rag logs)")
    with app.database.read() as connection:
        logs.log_table(store.listing(connection, app.local().tenant_id, store.Query(), limit=count))


def _next(data: Path, interaction_id: str) -> None:
    """What to do now, as commands that work when they are copied from here."""
    rag = "rag" if shutil.which("rag") else shlex.quote(sys.argv[0])  # `make demo` runs .venv/bin/rag
    here = rag if data == DEFAULTS.data else f"{rag} --data {shlex.quote(str(data))}"
    steps = (
        (f'{here} ask --collection {COLLECTION} "How is a citation checked?"', "ask something of your own"),
        (f"{here} logs show {interaction_id}", "see everything behind an answer"),
        (f"{rag} ingest PATH…", f"take in files and folders of your own, into ./{DEFAULTS.data}"),
        (f"{rag} models pull", "let a small language model write the answers"),
        (f"{here} serve", "the same over HTTP; its documentation is at /docs"),
    )
    output.say()
    output.say(output.strong("What next"))
    width = max(len(command_line) for command_line, _ in steps) + 3
    for command_line, what in steps:
        output.say(f"    {command_line:<{width}}{what}")
