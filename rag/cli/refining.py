"""The options on what is done to a ranking before its first passages are shown; each is a setting of its own."""

from collections.abc import Callable
from typing import TypeVar

import click

from rag.cli import options

F = TypeVar("F", bound=Callable[..., object])


def refined(function: F) -> F:
    """--rerank, --diversify, --per-document and --neighbours; None where one is not given."""
    for option in (
        click.option(
            "--neighbours",
            type=click.IntRange(0, 10),
            metavar="N",
            help="Widen each passage to the N chunks before and behind it.  [default: 0]",
        ),
        click.option(
            "--per-document",
            type=click.IntRange(0, 1000),
            metavar="N",
            help="Passages of one document, at most; 0: any number.  [default: 0]",
        ),
        click.option(
            "--diversify",
            type=options.PART,
            metavar="X",
            help="Relevance against variety among the passages; 1 keeps their order.  [default: 1]",
        ),
        click.option(
            "--rerank",
            type=options.TEXT,
            metavar="MODEL",
            help="Cross-encoder that reorders the candidates, a path or hub id; `off`: none.  [default: off]",
        ),
    ):
        function = option(function)
    return function
