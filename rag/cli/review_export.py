"""`rag reviews export`: what was reviewed becomes a version of a dataset, and that a folder for another program."""

from pathlib import Path

import click

from rag.cli import options
from rag.cli.dataset_making import made_from, making, tell_made
from rag.cli.datasets import SPLITS, corpus, exported, form, tell_written


@click.command("export")
@click.argument("name", type=options.TEXT)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@form
@click.option("--split", "splits", multiple=True, type=click.Choice(SPLITS), help="Only this split; may be repeated.")
@corpus
@making("reviewed")
@options.as_json
@options.common
def command(
    name: str,
    folder: Path,
    form: str,
    splits: tuple[str, ...],
    corpus: str,
    which: str,
    origins: tuple[str, ...],
    shares: str,
    scrub: str | None,
    json: bool,
    **narrowed: object,
) -> None:
    """Make a version of the dataset NAME from reviewed answers, and write it to a new FOLDER.

    It is `rag datasets make NAME --reviewed` and `rag datasets export NAME FOLDER` in one.
    """
    with options.opened(options.settings()) as app:
        made = made_from(app, name, which, origins, shares, scrub, narrowed)
        version, written = exported(app, made.version.named, folder, form, splits, corpus)
    if not json:
        tell_made(made)
    tell_written(version, written, folder, json=json)
