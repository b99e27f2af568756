"""`rag models`: which models are here, which are in use, and how to get a better one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from rag.cli import options, output

if TYPE_CHECKING:
    from rag.config import Settings
    from rag.models import InstalledModel


@click.group("models", invoke_without_command=True)
@options.as_json
@options.common
@click.pass_context
def command(context: click.Context, /, json: bool) -> None:
    """Show which models are installed and in use; get more with `rag models pull`."""
    if context.invoked_subcommand is not None:
        return
    from rag import models

    chosen = options.settings()
    found = models.installed(chosen.models)
    used = in_use(chosen)
    if json:
        output.print_json(
            {
                "embedder": chosen.embedder,
                "generator": used,
                "reranker": chosen.reranker or None,
                "folder": str(chosen.models),
                "installed": [_model_json(model) for model in found],
                "recommended": {
                    "repo": models.RECOMMENDED.repo,
                    "revision": models.RECOMMENDED.revision,
                    "licence": models.RECOMMENDED.licence,
                    "size_bytes": models.RECOMMENDED.size_bytes,
                    "installed": any(model.repo == models.RECOMMENDED.repo for model in found),
                },
            }
        )
        return
    output.say(f"embedder   {output.one_line(chosen.embedder)}")
    output.say(f"generator  {output.one_line(used)}" + ("  (setting: auto)" if chosen.generator == "auto" else ""))
    output.say(f"reranker   {output.one_line(chosen.reranker) or '–'}")
    output.say()
    if found:
        rows = [
            (output.one_line(m.repo), m.revision[:12], _gigabytes(m.size_bytes), m.pulled_at[:10], str(m.folder))
            for m in found
        ]
        output.table(["installed", "revision", "size", "pulled", "folder"], rows, right=[2])
    else:
        output.say(f"no generator model is installed in {output.safe(str(chosen.models))}")
    if not any(model.repo == models.RECOMMENDED.repo for model in found):
        advised = models.RECOMMENDED
        output.say()
        output.say(
            f"`rag models pull` gets {advised.repo}, a small instruct model ({advised.licence}, about "
            f"{_gigabytes(advised.size_bytes)});"
        )
        output.say("until then answers quote the sentences that answer best (generator `extractive`)")


@command.command("pull")
@click.argument("repo", required=False, type=options.TEXT)
@click.option("--revision", type=options.TEXT, help="Commit on the hub.  [default: the tried one, else the newest]")
@options.as_json
@options.common
def pull(repo: str | None, revision: str | None, json: bool) -> None:
    """Install a generator model: owner/name on the Hugging Face hub, or a local folder.

    Without REPO the recommended model, at the commit that was tried.
    """
    from rag import models

    chosen = options.settings()
    with downloading() as progress:
        model = models.pull(
            repo or models.RECOMMENDED.repo, revision, models_dir=chosen.models.resolve(), progress=progress
        )
    if json:
        output.print_json(_model_json(model))
    else:
        output.say(f"{output.one_line(model.repo)} at {model.revision[:12]} is in {output.safe(str(model.folder))}")
        output.say(f"the generator is now {output.one_line(in_use(chosen))}")


def in_use(chosen: "Settings") -> str:
    """The generator that answers with these settings, `auto` resolved."""
    from rag import models

    if chosen.generator != "auto":
        return chosen.generator
    folder = models.default_generator(chosen.models)
    return "extractive" if folder is None else f"transformers:{folder}"


def _model_json(model: "InstalledModel") -> dict[str, object]:
    return {
        "repo": model.repo,
        "revision": model.revision,
        "folder": str(model.folder),
        "size_bytes": model.size_bytes,
        "pulled_at": model.pulled_at,
    }


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.1f} MB"


@contextmanager
def downloading() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, a line for every tenth elsewhere; on standard error."""
    if not sys.stderr.isatty():
        told = -1

        def line(done: int, total: int) -> None:
            nonlocal told
            tenth = 10 * done // max(1, total)
            if tenth > told:
                told = tenth
                output.note(f"{_gigabytes(done)} of {_gigabytes(total)}")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
