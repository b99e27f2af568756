"""The tables of AsciiDoc: between |=== lines, their cells behind bars, or as CSV; and lines of bars by themselves."""

import csv
import re
from collections.abc import Sequence
from io import StringIO

_CELL = re.compile(
    r"(?:(?:^|(?<=[\s|]))(?:\d+(?:\.\d+)?[+*]|\.\d+\+)?[<^>]?(?:\.[<^>])?[aehlmsv]?)?(?<!\\)\|", re.MULTILINE
)
_SPAN = re.compile(r"(\d+)[+*]")
_COLUMNS = re.compile(r"cols\s*=\s*(?:\"([^\"]*)\"|([^,\]]*))")
_FORMAT = {",===": ",", ":===": ":"}

Table = tuple[int, list[str], list[list[str]]]  # where it ends, the header, the other rows


def table(lines: Sequence[str], at: int, style: str) -> Table:
    """The table that begins at a line. Its first row is the header where `style` says so or a blank line follows."""
    fence = lines[at].rstrip()
    if not fence.endswith("==="):
        end = at
        while end < len(lines) and lines[end].startswith("|"):
            end += 1
        return end, [], [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[at:end]]
    stop = next((number for number in range(at + 1, len(lines)) if lines[number].rstrip() == fence), len(lines))
    inner = list(lines[at + 1 : stop])
    delimiter = _FORMAT.get(fence[:4]) or ("," if re.search(r"format\s*=\s*\"?csv", style) else "")
    if delimiter:
        body = [row for row in csv.reader(StringIO("\n".join(inner)), delimiter=delimiter) if row]
    else:
        body = _rows(inner, style)
    first = next((number for number, line in enumerate(inner) if line.strip()), 0)
    follows = first + 1 < len(inner) and not inner[first + 1].strip() and first == 0
    if len(body) > 1 and (follows or "header" in style):
        return stop + 1, body[0], body[1:]
    return stop + 1, [], body


def _rows(inner: Sequence[str], style: str) -> list[list[str]]:
    """The cells in rows of as many columns as are declared, else as the first line has."""
    counts = [len(_cells(line)) for line in inner if line.strip()]
    count = _declared(style) or next((count for count in counts if count), 0)
    if not count:
        return [[line.strip()] for line in inner if line.strip()]
    if not _declared(style) and sum(number == count for number in counts) * 2 >= len(counts):
        return [cells for line in inner if (cells := _cells(line))]  # a line a row, as nearly all write them
    cells = _cells("\n".join(inner))
    return [cells[begin : begin + count] for begin in range(0, len(cells), count)]


def _cells(text: str) -> list[str]:
    """The cells of some text; one that is repeated ("3*|") as often."""
    marks = list(_CELL.finditer(text))
    found: list[str] = []
    for mark, following in zip(marks, [*marks[1:], None], strict=False):
        cell = " ".join(text[mark.end() : following.start() if following else len(text)].replace(r"\|", "|").split())
        span = _SPAN.match(mark.group())
        times = min(int(span[1]), 50) if span and "*" in mark.group() else 1
        found.extend([cell] * times)
        if span and "+" in mark.group():
            found.extend([""] * (min(int(span[1]), 50) - 1))
    return found


def _declared(style: str) -> int:
    """How many columns [cols="1,2*,3"] declares; 0 when it does not."""
    match = _COLUMNS.search(style)
    if not match:
        return 0
    said = (match[1] or match[2] or "").strip()
    if said.isdigit():
        return min(int(said), 1000)
    counts = [re.match(r"\s*(\d+)\*", part) for part in re.split("[,;]", said) if said]
    return sum(min(int(count[1]), 1000) if count else 1 for count in counts)
