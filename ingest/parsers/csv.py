"""Comma, tab or semicolon separated tables: one document, a line a row, each cell behind the name of its column."""

import csv
import re
from collections.abc import Iterator, Sequence
from io import StringIO

from ingest.encodings import decode
from ingest.errors import Empty
from ingest.formats import rows
from ingest.types import Block, Parsed, Source

MEDIA_TYPES = ("text/csv", "text/tab-separated-values")
SUFFIXES = (".csv", ".tsv", ".tab")

_DELIMITERS = ",;\t|"
_SAMPLE = 65_536  # characters the dialect is told from
_NUMBER = re.compile(r"\s*[-+(]?[$€£¥]?\s*[\d.,' ]*\d[\d.,' ]*\s*[%€$)]?\s*")


def parse(source: Source) -> Iterator[Parsed]:
    """One document of one table. Raises Empty, Unsupported (binary data), Damaged (a broken encoding)."""
    text = decode(source.content, source.uri).replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    if not text.strip():
        raise Empty(f"{source.uri}: the table has no rows; leave it out, or replace it by a version with text")
    delimiter = "\t" if source.media_type == "text/tab-separated-values" else _delimiter(text[:_SAMPLE])
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))  # the default refuses fields over 131,072
    table = [row for row in _rows(text, delimiter) if any(cell.strip() for cell in row)]
    title, table = _titled(table)
    header, body = _headed(table)
    yield Parsed([Block("table", rows.lines(header, body))], title=title)


def _rows(text: str, delimiter: str) -> list[list[str]]:
    """The rows; where a quotation mark is opened and never closed, quotation marks are taken as they stand."""
    found = list(csv.reader(StringIO(text, newline=""), delimiter=delimiter))
    lines = text.count("\n")
    if found and sum(cell.count("\n") for cell in found[-1]) * 2 > lines > 4:
        return list(csv.reader(StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE))
    return found


def _delimiter(sample: str) -> str:
    """The delimiter that gives most rows the same number of fields, and that more than one."""

    def evenness(delimiter: str) -> tuple[float, int]:
        counts = [len(row) for row in csv.reader(StringIO(sample, newline=""), delimiter=delimiter) if row][:200]
        usual = max(set(counts), key=lambda n: (counts.count(n), n), default=1)
        return (0.0, 0) if usual < 2 else (counts.count(usual) / len(counts), usual)

    return max(_DELIMITERS, key=lambda delimiter: (evenness(delimiter), -_DELIMITERS.index(delimiter)))


def _titled(table: list[list[str]]) -> tuple[str, list[list[str]]]:
    """A first row with one cell filled, above rows with several, is the table's title."""
    filled = [sum(1 for cell in row if cell.strip()) for row in table[:3]]
    if len(table) > 2 and filled[0] == 1 and min(filled[1:]) > 1:
        return next(cell.strip() for cell in table[0] if cell.strip()), table[1:]
    return "", table


def _headed(table: Sequence[list[str]]) -> tuple[list[str], Sequence[list[str]]]:
    """The names of the columns and the rows. The first row names them unless a cell of it is a number or is missing, or
    a name comes twice."""
    first = [cell.strip() for cell in table[0]]
    names = all(first) and len(set(first)) == len(first) and not any(_NUMBER.fullmatch(cell) for cell in first)
    return (first, table[1:]) if names and len(table) > 1 else ([], table)
