"""The tables of reStructuredText: drawn with a grid, with rules only, as CSV, as a list of lists."""

import csv
import re
from collections.abc import Sequence
from io import StringIO

_GRID = re.compile(r"\+(?:[-=]+\+)+\s*$")
_SIMPLE = re.compile(r"={2,}(?: +={2,})+\s*$")
_DASHES = re.compile(r"-{2,}(?: +-{2,})*\s*$")

Table = tuple[int, list[str], list[list[str]]]  # where it ends, the header, the other rows


def is_grid(line: str) -> bool:
    """Whether a line is the upper edge of a grid."""
    return bool(_GRID.match(line))


def is_simple(lines: Sequence[str], at: int) -> bool:
    """Whether a line is the upper rule of a simple table."""
    return bool(_SIMPLE.match(lines[at])) and any(_SIMPLE.match(line) for line in lines[at + 1 : at + 500])


def grid(lines: Sequence[str], at: int) -> Table:
    """A grid table. A cell over several columns stands in the first of them."""
    end = at
    while end < len(lines) and lines[end][:1] in ("+", "|"):
        end += 1
    edges = sorted({place for line in lines[at:end] if _GRID.match(line) for place in _corners(line)})
    body: list[list[str]] = []
    header: list[str] = []
    row: list[list[str]] = []
    for line in lines[at:end]:
        if line.startswith("+"):
            if row:
                body.append([" ".join(cell) for cell in row])
            if "=" in line and not header and body:
                header, body = body[-1], []
            row = []
            continue
        row = row or [[] for _ in edges[1:]]
        begin = 0
        for number in range(1, len(edges)):
            if number == len(edges) - 1 or line[edges[number] : edges[number] + 1] in ("|", "+"):
                text = line[edges[begin] + 1 : edges[number]].strip().strip("|").strip()
                if text:
                    row[begin].append(text)
                begin = number
    return end, header, body


def _corners(line: str) -> list[int]:
    return [place for place, character in enumerate(line) if character == "+"]


def simple(lines: Sequence[str], at: int) -> Table:
    """A simple table: columns stand where the rules of its upper edge do; a row without a first cell goes on with the
    one above."""
    spans = [match.span() for match in re.finditer("=+", lines[at])]
    ends = [begin for begin, _ in spans[1:]] + [1_000_000]
    rules = 1
    header: list[str] = []
    body: list[list[str]] = []
    number = at + 1
    while number < len(lines):
        line = lines[number]
        number += 1
        if _SIMPLE.match(line):
            rules += 1
            blank = number >= len(lines) or not lines[number].strip()
            if rules == 2 and not blank:
                header, body = [" ".join(cells) for cells in zip(*body, strict=True)], []
                continue
            break
        if not line.strip() or _DASHES.match(line):
            continue
        cells = [line[begin:end].strip() for (begin, _), end in zip(spans, ends, strict=True)]
        if not cells[0] and body:
            body[-1] = [f"{above} {cell}".strip() for above, cell in zip(body[-1], cells, strict=True)]
        else:
            body.append(cells)
    return number, header, body


def csv_rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """The rows of a csv-table's body."""
    mark = {"tab": "\t", "space": " "}.get(delimiter, delimiter)[:1] or ","
    return [row for row in csv.reader(StringIO("\n".join(lines)), delimiter=mark, skipinitialspace=True) if row]


def list_rows(lines: Sequence[str]) -> list[list[str]]:
    """The rows of a list-table's body: a bullet a row, a bullet within it a cell."""
    table: list[list[str]] = []
    for line in lines:
        text = line.strip()
        row = re.match(r"[*+-] +[*+-](?: +(.*))?$", text)
        if row and not line.startswith(" "):
            table.append([row[1] or ""])
        elif table and (cell := re.match(r"[*+-](?: +(.*))?$", text)):
            table[-1].append(cell[1] or "")
        elif table and text:
            table[-1][-1] = f"{table[-1][-1]} {text}".strip()
    return table
