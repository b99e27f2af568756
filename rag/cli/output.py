"""What people and programs read: safe text, styles that vanish outside a terminal, tables, one JSON object."""

import json
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

from ingest.wording import counted as counted

# Control characters steer a terminal, bidirectional controls reorder what it shows, and tags are not shown at all: a
# document, a question or an answer must do none of it.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)
MAX_WIDTH = 100


def safe(text: str) -> str:
    """The text with every control character but newline and tab made visible."""
    return _CONTROL.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # ␀ … ␟
    return "␡" if code == 0x7F else "\ufffd"


def one_line(text: str, width: int = 0) -> str:
    """Safe text on one line, cut to a width when one is given."""
    line = " ".join(safe(text).split())
    return line if not width or len(line) <= width else line[: max(1, width - 1)].rstrip() + "…"


def say(text: str = "", *, newline: bool = True) -> None:
    """Print a line of the result. What came from outside must be `safe` already."""
    click.echo(text, nl=newline)


def note(text: str) -> None:
    """Print a line beside the result, on standard error."""
    click.echo(text, err=True)


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object, the whole output of a command."""
    click.echo(json_text(value, indent=2))


def json_text(value: Mapping[str, object], indent: int | None = None) -> str:
    """A JSON object whose strings hold no control character as it is: programs read the same, terminals obey none."""
    return _CONTROL.sub(_escape, json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent))


def _escape(match: re.Match[str]) -> str:
    """As JSON writes a character by its number: UTF-16, RFC 8259 section 7."""
    raw = match.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at]:02x}{raw[at + 1]:02x}" for at in range(0, len(raw), 2))


def strong(text: str) -> str:
    return click.style(text, bold=True)


def faint(text: str) -> str:
    return click.style(text, dim=True)


def good(text: str) -> str:
    return click.style(text, fg="green")


def bad(text: str) -> str:
    return click.style(text, fg="red", bold=True)


def marked(text: str) -> str:
    return click.style(text, fg="yellow", bold=True)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def width() -> int:
    """Columns to fill: the terminal's, within reason; elsewhere the same for everyone."""
    if not is_terminal():
        return MAX_WIDTH
    try:
        return max(40, min(MAX_WIDTH, os.get_terminal_size(sys.stdout.fileno()).columns))
    except OSError:
        return MAX_WIDTH


def wrapped(text: str, indent: str = "") -> str:
    """Safe text as an indented paragraph of the width."""
    return "\n".join(
        textwrap.wrap(
            one_line(text),
            width(),
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def heading(title: str, headings: Sequence[str]) -> str:
    """Title and heading path on one line; most texts repeat their title as the first heading, we do not."""
    path = headings[1:] if headings and headings[0] == title else headings
    return one_line(" › ".join(part for part in (title, *path) if part))


def shown_uri(uri: str) -> str:
    """A file's path, from the current folder when it lies in it; any other address as it is."""
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc:
        return one_line(uri)
    path = Path(unquote(parts.path))
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return one_line(str(path) + (f"#{unquote(parts.fragment)}" if parts.fragment else ""))


def p_value(p: float) -> str:
    """The p of a test, as tables show it."""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table of safe texts; the columns numbered in `right` are set flush right."""
    if is_terminal():
        _rich_table(headings, rows, right)
        return
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    for row in [headings, *rows]:
        cells = [
            cell.rjust(size) if i in right else cell.ljust(size)
            for i, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())


def _rich_table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(headings):
        shown.add_column(heading, justify="right" if i in right else "left", overflow="fold", no_wrap=i == 0)
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    Console().print(shown)
