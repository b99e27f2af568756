"""The options on how the two rankings of a search become one; None where one is not given."""

from collections.abc import Callable
from typing import TypeVar

import click

from rag.cli import options

F = TypeVar("F", bound=Callable[..., object])


def fused(function: F) -> F:
    """--fusion, --alpha, --rrf-k and --depth."""
    for option in (
        click.option("--depth", type=click.IntRange(1, 10_000), metavar="N", help="Candidates of each ranking."),
        click.option("--rrf-k", type=click.IntRange(1, 10_000), metavar="K", help="k of reciprocal rank fusion."),
        click.option("--alpha", type=options.PART, metavar="X", help="Weight of meaning in weighted fusion."),
        click.option(
            "--fusion",
            type=click.Choice(("weighted", "rrf")),
            help="How the rankings by meaning and by words become one; else as tuned for the collection, or weighted.",
        ),
    ):
        function = option(function)
    return function
