"""Sheets of cells (Excel, OpenDocument) become headings and tables: every cell behind the name of its column."""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from ingest.errors import TooLarge
from ingest.formats import rows
from ingest.types import Block

MAX_CELLS = 2_000_000  # filled ones of a workbook; about 60 MB of text
_NUMBER = re.compile(r"[-+(]?\s*[\d.,' ]*\d[\d.,' ]*\s*[%)]?|\d{4}-\d\d-\d\d.*")
_REACH = 20  # rows from the top in which a header is looked for


class Counter:
    """Counts the cells that are taken from one source, so that a small file cannot become a huge text."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._cells = 0

    def add(self, cells: int) -> None:
        """Raises TooLarge over MAX_CELLS."""
        self._cells += cells
        if self._cells > MAX_CELLS:
            raise TooLarge(f"{self._uri}: it has over {MAX_CELLS:,} filled cells; split it, or put it into a database")


def blocks(name: str, table: Iterable[Sequence[str]], counter: Counter) -> list[Block]:
    """A heading of the sheet's name and one table; nothing for a sheet without text.

    Rows and columns without text are left out. The first row that fills every column names them when its cells are
    words, none twice; single cells above it are the sheet's captions.
    """
    filled: list[list[str]] = []
    for row in table:
        if any(row):
            counter.add(sum(1 for cell in row if cell))
            filled.append(list(row))
    if not filled:
        return []
    used = [any(column) for column in _columns(filled)]
    packed = [[cell for cell, wanted in zip(row, used, strict=False) if wanted] for row in filled]
    captions, header, body = _split(packed)
    found = [Block("heading", name, level=1)] if name.strip() else []
    found += [Block("paragraph", caption) for caption in captions]
    return [*found, Block("table", rows.lines(header, body))] if body or header else found


def cell(value: object) -> str:
    """A cell as text: dates in ISO 8601, numbers with the 15 digits that spreadsheets keep, "" for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() else value).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else format(value, ".15g")
    return str(value).strip() if isinstance(value, str | int | Decimal) else ""


def _columns(filled: Sequence[Sequence[str]]) -> list[list[bool]]:
    """For each column whether anything stands in it, as a list of one."""
    width = max(len(row) for row in filled)
    used = [False] * width
    for row in filled:
        for number, text in enumerate(row):
            if text:
                used[number] = True
    return [[mark] for mark in used]


def _split(table: list[list[str]]) -> tuple[list[str], list[str], list[list[str]]]:
    """Captions above the table, the names of its columns ([] when it has none), its rows."""
    captions: list[str] = []
    width = max(len(row) for row in table)
    for number, row in enumerate(table[:_REACH]):
        named = [text for text in row if text]
        if len(named) == 1 and width > 1:
            captions.append(named[0])
            continue
        whole = len(named) == width or (len(named) > 1 and len(named) >= width - 1)
        words = len(set(named)) == len(named) and not any(_NUMBER.fullmatch(text) for text in named)
        if whole and words and number + 1 < len(table):
            return captions, row, table[number + 1 :]
        break
    return [], [], table
