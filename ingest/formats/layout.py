"""Lines of a printed page become paragraphs, headings and tables again, by their place and the size of their type."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ingest.formats import rows
from ingest.types import Block, BlockKind

_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u00ad\ufffe\x02]$")
_BULLET = re.compile(r"(?:[-*•‣◦▪–●○■]|\(?\d{1,2}[.)]|\(?[a-z][.)])\s+\S")
_NUMBERED = re.compile(r"(?:[A-Z]|\d+)(?:\.\d+)*\.?\s+")  # "2.1 Parts" is "Parts" in many tables of contents
_SENTENCE_END = re.compile(r"[.!?:;。！？][\"'”’»)\]]*$")
_HEADING_SCALE = 1.15  # of the body's type size
_HEADING_LENGTH = 150  # characters
_FULL = 0.88  # a line that ends before this share of its column's width was ended, not wrapped
_LONE_ROW = 6  # cells that a row needs when no other stands beside it
_ROW_GAP = 2.5  # type sizes between two lines up to which they may be rows of one table

Titles = Mapping[tuple[int, str], int]
"""The level of each heading that a document's own table of contents names, by its page and folded text."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page in points, the origin at the lower left."""

    text: str
    page: int
    size: float  # of the type; 0 for text that is not set from left to right
    left: float  # of its first character
    right: float  # of its last one
    top: float  # where its first character stands
    bottom: float  # where its last one stands: lower, when a word was divided and the library joined two lines
    cells: tuple[str, ...] = ()  # the stretches of it between wide gaps, when there are several


def folded(text: str) -> str:
    """A heading as it is compared: without blanks and case."""
    return "".join(text.split()).casefold()


def blocks(pages: Sequence[Sequence[Line]], titles: Titles | None = None) -> list[Block]:
    """The blocks of a document's pages. Running heads, which most pages repeat, are left out; a paragraph over two
    pages stays in two blocks, each with its page. A line that `titles` names is a heading in any type size."""
    running = _running(pages)
    kept = [[line for line in page if line not in running] for page in pages]
    body = _body_size([line for page in kept for line in page])
    levels = _levels([line for page in kept for line in page], body)
    return [block for page in kept for block in _page(_rows(page, levels), levels, titles or {})]


def _rows(lines: Sequence[Line], levels: dict[float, int]) -> list[Line]:
    """The lines of a page, those of the text's size at one height and far apart joined to a row of cells. A line of few
    stretches that has no row beside it is text with wide blanks in it, as in narrow columns set even on both sides."""
    found: list[Line] = []
    for line in lines:
        last = found[-1] if found else None
        if last is not None and _same_row(last, line) and round(line.size, 1) not in levels:
            cells = (*(last.cells or (last.text,)), *(line.cells or (line.text,)))
            found[-1] = replace(
                last, text=f"{last.text} {line.text}", right=line.right, bottom=line.bottom, cells=cells
            )
        else:
            found.append(line)
    around = [None, *found, None]
    return [
        replace(line, cells=())
        if 1 < len(line.cells) < _LONE_ROW and not (_near(before, line) or _near(line, after))
        else line
        for before, line, after in zip(around, found, around[2:], strict=False)
    ]


def _same_row(last: Line, line: Line) -> bool:
    size = max(last.size, line.size)
    level = size > 0 and abs(last.bottom - line.bottom) < 0.3 * size and abs(last.size - line.size) <= 0.1 * size
    return level and line.left >= last.right + 2 * size


def _near(upper: Line | None, lower: Line | None) -> bool:
    """Whether two lines may be rows of one table."""
    if upper is None or lower is None or not upper.cells or not lower.cells:
        return False
    size = max(upper.size, lower.size)
    return abs(upper.size - lower.size) <= 0.1 * size and 0 <= upper.bottom - lower.top + 0.5 * size <= _ROW_GAP * size


def _running(pages: Sequence[Sequence[Line]]) -> set[Line]:
    """The first and last lines that at least half of the pages share, of four pages or more. A number in them may grow
    with the pages; any other difference makes them the text's own."""
    edges = [line for page in pages if len(page) > 2 for line in (page[0], page[-1])]
    seen = Counter(shape for line in edges for shape in _shapes(line))
    return {
        line for line in edges if any(seen[shape] >= 4 and seen[shape] * 2 >= len(pages) for shape in _shapes(line))
    }


def _shapes(line: Line) -> set[str]:
    """A line as it stands, and with its first or last number counted from the number of the page."""
    found = {line.text}
    for pattern in (r"^(\D*)(\d{1,6})(.*)$", r"^(.*?)(\d{1,6})(\D*)$"):
        number = re.match(pattern, line.text)
        if number:
            found.add(f"{number[1]}#{int(number[2]) - line.page}{number[3]}")
    return found


def _body_size(lines: Sequence[Line]) -> float:
    """The type size that most characters have."""
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(line.size, 1)] += len(line.text)
    return max(sizes, key=lambda size: (sizes[size], -size), default=0.0)


def _levels(lines: Sequence[Line], body: float) -> dict[float, int]:
    """The heading level of each type size that is larger than the body's, 1 for the largest."""
    larger = {
        round(line.size, 1) for line in lines if body and line.size >= body * _HEADING_SCALE and _names(line.text)
    }
    return {size: min(level, 6) for level, size in enumerate(sorted(larger, reverse=True), 1)}


def _names(text: str) -> bool:
    """Whether a line could be (part of) a heading."""
    return sum(map(str.isalpha, text)) >= 3 and not text.endswith((".", ",", ";"))


def _page(lines: Sequence[Line], levels: dict[float, int], titles: Titles) -> list[Block]:
    named = _named(lines, titles)
    groups: list[list[Line]] = []
    inner = 0  # how many lines of a heading are still to come
    for number, line in enumerate(lines):
        if inner:
            groups[-1].append(line)
            inner -= 1
        elif number in named or not groups or number - len(groups[-1]) in named or _begins(groups[-1], line, levels):
            groups.append([line])
            inner = named[number][0] - 1 if number in named else 0
        else:
            groups[-1].append(line)
    found: list[Block] = []
    deepest = max(levels.values(), default=0)
    number = 0
    for group in groups:
        if number in named:
            text = " ".join(line.text for line in group)
            level = levels.get(round(group[0].size, 1)) or deepest + named[number][1]
            found.append(Block("heading", text, level=min(level, 6), page=group[0].page))
        else:
            found.append(_block(group, levels, lines))
        number += len(group)
    return found


def _named(lines: Sequence[Line], titles: Titles) -> dict[int, tuple[int, int]]:
    """The headings of a page that the table of contents names: by the number of their first line, how many lines they
    have (a long one is set in up to three) and their level."""
    found: dict[int, tuple[int, int]] = {}
    number = 0
    while titles and number < len(lines):
        text = ""
        for count, line in enumerate(lines[number : number + 3], 1):
            text = f"{text} {line.text}".strip()
            names = (folded(text), folded(_NUMBERED.sub("", text)))
            level = next((titles[line.page, name] for name in names if (line.page, name) in titles), None)
            if level is not None:
                found[number] = (count, level)
                number += count - 1
                break
        number += 1
    return found


def _begins(group: Sequence[Line], line: Line, levels: dict[float, int]) -> bool:
    """Whether a line begins a new block behind a group of lines."""
    last = group[-1]
    if last.cells or line.cells:
        return not _near(last, line)
    if _same_line(last, line):
        return False
    if abs(line.size - last.size) > 0.1 * max(line.size, last.size):
        return True
    gap = last.bottom - line.top
    if line.top > last.top:  # another column
        return bool(_SENTENCE_END.search(last.text[-8:])) or round(line.size, 1) in levels
    if gap > 1.9 * line.size:
        return True
    if _BULLET.match(line.text):
        return True
    width = max(other.right for other in group) - min(other.left for other in group)
    ended = _SENTENCE_END.search(last.text[-8:]) and last.right < min(other.left for other in group) + width * _FULL
    return bool(ended) or (line.left > last.left + line.size and bool(_SENTENCE_END.search(last.text[-8:])))


def _same_line(last: Line, line: Line) -> bool:
    """Whether a line only goes on with the one before: a raised number or a change of type came between."""
    size = max(last.size, line.size)
    return abs(last.bottom - line.top) < 0.6 * size and line.left > last.left and line.left < last.right + 2 * size


def _block(group: Sequence[Line], levels: dict[float, int], page: Sequence[Line]) -> Block:
    text = joined(group, max((line.right for line in page), default=0.0))
    level = levels.get(round(group[0].size, 1), 0)
    if level and len(text) <= _HEADING_LENGTH:
        return Block("heading", text.replace("\n", " "), level=level, page=group[0].page)
    if group[0].cells:
        kind: BlockKind = "table" if len(group) > 1 else "paragraph"
        return Block(kind, rows.lines((), [line.cells for line in group]), page=group[0].page)
    return Block("list" if _BULLET.match(text) else "paragraph", text, page=group[0].page)


def joined(group: Sequence[Line], right: float) -> str:
    """The lines of a block as running text. Words divided at a line's end are joined; a line that ends well before its
    column does (an address, a row of a table) keeps its line break."""
    edge = max(line.right for line in group)
    text = group[0].text
    for before, line in pairwise(group):
        width = max(edge - before.left, 0.35 * (right - before.left))
        if _same_line(before, line):
            text += line.text if line.text[:1] in ",.;:)" else f" {line.text}"
        elif _HYPHEN.search(text[-2:]) and line.text[:1].islower():
            text = text[:-1] + line.text
        elif before.right - before.left < width * _FULL * 0.85 and not line.text[:1].islower():
            text += "\n" + line.text
        else:
            text += " " + line.text
    return text
