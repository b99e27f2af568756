"""The options that commands share, and how flags become settings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import click

if TYPE_CHECKING:
    from rag.app import App
    from rag.config import Loaded, Settings
    from rag.store.filters.tree import Filter

F = TypeVar("F", bound=Callable[..., object])

DATA = "rag.data"  # the key of the data folder in the context's notes, which all subcommands share
MODES = ("hybrid", "semantic", "keyword")  # as in rag.types.Mode, which would import numpy; a test compares them
TRACEBACK = "--traceback"


class CleanText(click.ParamType[str]):
    """A text without lone surrogates, which bytes that are not UTF-8 become."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail("this is not UTF-8 text", param, ctx)
        return text


TEXT = CleanText()


class Between(click.FloatRange):
    """A number between bounds. NaN is none: no comparison of click's refuses it."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = float(super().convert(cast(float, value), param, ctx))
        if isnan(found):
            self.fail(f"{found} is no number between {self.min:g} and {self.max:g}.", param, ctx)
        return found


PART = Between(0, 1)


class KeyValue(click.ParamType[tuple[str, str]]):
    """key=value."""

    name = "key=value"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, rest = TEXT.convert(value, param, ctx).partition("=")
        if not equals or not key.strip():
            self.fail(f"{value!r} is not of the form key=value", param, ctx)
        return key.strip(), rest


KEY_VALUE = KeyValue()


def _remember_data(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.meta[DATA] = value


def common(function: F) -> F:
    """--data and --traceback, which every command takes, before or behind its name."""
    function = click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Data folder (also RAG_DATA).  [default: ./rag-data]",
        expose_value=False,
        callback=_remember_data,
    )(function)
    return click.option(
        TRACEBACK, is_flag=True, expose_value=False, help="On an error, show where in the program it happened."
    )(function)


def wants_traceback(arguments: Sequence[str]) -> bool:
    return TRACEBACK in arguments


def most(n: int) -> Callable[[F], F]:
    """-n, for lists that are cut."""
    return click.option("-n", "--limit", default=n, show_default=True, type=click.IntRange(1), help="So many at most.")


as_json = click.option("--json", "json", is_flag=True, help="Print one JSON object.")
collection = click.option("--collection", type=TEXT, metavar="NAME", help="Collection.  [default: default]")
mode = click.option("--mode", type=click.Choice(MODES), help="How passages are found.  [default: hybrid]")
abstain = click.option(
    "--abstain",
    type=click.Choice(("auto", "never")),
    help="auto: refuse what the passages hardly answer, and say what came closest.  [default: auto]",
)
strict = click.option("--strict/--no-strict", default=None, help="Leave out sentences that no passage bears out.")
where = click.option(
    "--filter",
    "where",
    type=TEXT,
    metavar="JSON",
    help='Only documents that match: {"year": {"$gte": 2020}, "language": "en"}.',
)


def loaded(**flags: object) -> "Loaded":
    """The settings with these flags, None where a flag was not given, and where each value came from."""
    from rag.config import load

    return load({"data": click.get_current_context().meta.get(DATA)} | flags)


def settings(**flags: object) -> "Settings":
    return loaded(**flags).settings


@contextmanager
def opened(chosen: "Settings", *, create: bool = False) -> Iterator["App"]:
    """The installation, open while the block runs."""
    from rag.app import opening

    with opening(chosen, create=create) as app:
        yield app


def parse_filter(text: str | None) -> "Filter | None":
    if text is None:
        return None
    from rag.store.filters.tree import Filter

    return Filter.parse(text)
