"""Writes docs/cli.md from the commands themselves: `python -m rag.cli.reference > docs/cli.md`."""

from collections.abc import Iterator

import click

from rag.cli import cli, output

WIDTH = 100

HEAD = """\
# The command line

Made from the commands by `python -m rag.cli.reference > docs/cli.md`; a test keeps the two equal.

Results go to standard output, everything else (progress, warnings, errors) to standard error. `--json` prints exactly
one JSON object. Exit codes: 0 done, 1 failed or not healthy, 2 wrong usage, 3 done but some items failed, 130
interrupted. Every setting of `rag config` can also be given in `rag.toml` or as `RAG_<NAME>`.
"""


def commands(command: click.Command, path: tuple[str, ...] = ("rag",)) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each command with its help text, those of a group behind the group."""
    context = click.Context(command, info_name=" ".join(path), terminal_width=WIDTH, max_content_width=WIDTH)
    context.help_option_names = ["-h", "--help"]
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, (*path, name))


def markdown() -> str:
    """The page."""
    parts = [HEAD]
    for path, text in commands(cli):
        parts.append(f"{'#' * min(4, len(path) + 1)} {' '.join(path)}\n\n```\n{text}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    output.say(markdown(), newline=False)
