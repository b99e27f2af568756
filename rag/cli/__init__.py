"""`rag …`: the command line. Thin: each command lives in a file of its own, read only when it is called.

Exit codes: 0 done, 1 failed or not healthy, 2 wrong usage, 3 done but some items failed, 130 interrupted.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn

import click

from rag import __version__
from rag.cli import interrupts, output
from rag.cli.options import common, wants_traceback
from rag.errors import RagError
from rag.interpreter import tune

COMMANDS = {  # name → module, summary; the summaries stand here so that `rag --help` reads no command
    "ingest": ("ingest", "Take in files, folders, pages, and rows of databases."),
    "sync": ("sync", "Follow folders and pages: what is new comes in, what is gone goes."),
    "search": ("search", "Find the passages that match a query."),
    "why": ("why", "Say why a document is not among the passages of a query; or where it is."),
    "ask": ("ask", "Answer a question from the documents, with checked citations."),
    "chat": ("chat", "Ask one question after another, each understood with those before it."),
    "logs": ("logs", "Show what was asked and answered."),
    "dashboard": ("dashboard", "Show the log in figures: questions, users, latency, tokens, scores."),
    "replay": ("replay", "Ask a logged question again, retrieval included, and show what is different."),
    "reviews": ("reviews", "Review logged answers: queues, labels, agreement."),
    "score": ("score", "Score what was asked and answered before."),
    "traces": ("traces", "Send what was asked and answered as OpenTelemetry traces, or write them to a file."),
    "prompts": ("prompts", "List, show, add and compare prompt templates."),
    "documents": ("documents", "List, show, remove and restore documents."),
    "collections": ("collections", "List the collections."),
    "dedup": ("dedup", "Show, judge anew and reverse decisions on duplicates."),
    "models": ("models", "Show which models are installed and in use; get more."),
    "eval": ("evaluation", "Measure retrieval and answers on a BEIR folder; compare runs."),
    "datasets": ("datasets", "Make, show, compare and export datasets; a version never changes."),
    "experiment": (
        "experiment",
        "Put the same questions to several configurations; compare, keep and show what came of it.",
    ),
    "compare": (
        "compare",
        "Judge two answers to one question without knowing whose they are; show who wins how often.",
    ),
    "gate": ("gate", "Put judged questions to the present settings; fail where they do worse than they must."),
    "calibrate": ("calibrate", "Fit when a question is refused, by questions with and without an answer."),
    "serve": ("serve", "Serve the HTTP API."),
    "mcp": ("mcp", "Let an assistant search, ask and read, by the Model Context Protocol."),
    "worker": ("worker", "Do the background jobs that are waiting."),
    "jobs": ("jobs", "List, show, cancel and retry background jobs."),
    "token": ("token", "Make, list and revoke tokens of the API."),
    "doctor": ("doctor", "Check every invariant; mend what can be mended."),
    "index": ("index", "Show how the vector index of a collection searches, and tune it."),
    "rebuild": ("rebuild", "Build the indexes anew from the database, embedding nothing."),
    "db": ("db", "Upgrade the database, or say where it stands."),
    "config": ("config", "Show every setting, its meaning and where its value comes from."),
    "demo": ("demo", "Take in the project's own documentation and ask it three questions."),
}
ENDS_AT_ONCE = {"search"}


class Commands(click.Group):
    """Reads a command's file when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"rag.cli.{COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="rag", message="%(prog)s %(version)s")
@common
def cli() -> None:
    """Answers from your own documents, each with checked citations and a log entry.

    Begin with `rag ingest PATH`, then `rag ask QUESTION`.
    """


def main() -> NoReturn:
    """The console script."""
    tune()
    told = tell(sys.argv[1:])
    if told.command in ENDS_AT_ONCE:
        # All is closed and written by now; taking a hundred thousand objects apart would cost another 90 ms.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(told.code)
    sys.exit(told.code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error is told on standard error, in a line or two."""
    return tell(arguments).code


@dataclass(frozen=True, slots=True)
class Told:
    """How a command line ended."""

    code: int
    command: str | None = None  # its name, when it ran to its end


def tell(arguments: Sequence[str]) -> Told:
    """Run one command line to its end, whichever it is."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a test's stream cannot be reconfigured
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if "_RAG_COMPLETE" in os.environ:
        cli.main(prog_name="rag")
    try:
        told = _invoke(list(arguments))
        sys.stdout.flush()
        return told
    except click.exceptions.Exit as error:
        return Told(error.exit_code)
    except click.ClickException as error:
        error.show()
        return Told(error.exit_code)
    except RagError as error:
        if wants_traceback(arguments):
            raise
        output.note(f"rag: {output.safe(str(error))}")
        return Told(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        output.note("rag: interrupted")
        return Told(interrupts.CODE)
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 (so that closing the pipe at exit says nothing)
        return Told(0)
    except Exception as error:
        if wants_traceback(arguments):
            raise
        said = output.one_line(str(error), 300)
        output.note(f"rag: unexpected {type(error).__name__}: {said}")
        output.note("rag: this is a fault of the program; --traceback shows where it happened")
        return Told(1)


def _invoke(arguments: list[str]) -> Told:
    with cli.make_context("rag", arguments) as context:
        if "NO_COLOR" in os.environ:
            context.color = False
        result = cli.invoke(context)
        return Told(result if isinstance(result, int) else 0, context.invoked_subcommand)
