"""The text layer of a PDF page becomes lines: where each stands, its cells, right-to-left writing in reading order."""

import re
import unicodedata
from collections.abc import Sequence
from ctypes import c_double
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from ingest.formats.layout import Line

if TYPE_CHECKING:
    from pypdfium2 import PdfTextPage

# Where a line divides a word the library joins its halves by U+FFFE; a compound's own hyphen looks the same.
_COMPOUND = re.compile("[\ufffe\x02](?=[A-Z0-9])")
_DIVIDED = re.compile("[\ufffe\x02]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_RIGHT_TO_LEFT_RUN = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+")
_LIGATURES = re.compile("[\ufb00-\ufb06\ufb1d-\ufdff\ufe70-\ufefc]+")
_LINE = re.compile(r"\S(?:[^\r\n\f]*\S)?")
_GAP = 1.2  # type sizes between two words from which on they stand in cells of their own
_ROW_GAP = 0.75  # the same in a line that has several such gaps
_MARKER = re.compile(r"(?:[-*•‣◦▪–●○■§]|\(?\w{1,3}[.)]|\d+(?:\.\d+)*)$")  # a list's: no cell of its own

_Box = tuple[float, float, float, float]  # left, bottom, right, top


def lines(textpage: "PdfTextPage", number: int) -> list[Line]:
    """The lines of page `number` in the order of the file."""
    page = _Page(textpage)
    return [line for match in _LINE.finditer(page.text) if (line := _line(page, match, number)) is not None]


@dataclass(frozen=True, slots=True)
class _Glyph:
    text: str  # several characters for a ligature
    box: _Box


class _Page:
    """A page's text and where its characters stand, by their place in the text."""

    def __init__(self, textpage: "PdfTextPage") -> None:
        import pypdfium2.raw as pdfium

        self.text: str = textpage.get_text_range()
        self._pdfium = pdfium
        self._page = textpage
        self._wide = not self.text.isascii() and any(character > "\uffff" for character in self.text)
        self._shift: int | None = None
        self._get_box = pdfium.FPDFText_GetCharBox
        self._sides = c_double(), c_double(), c_double(), c_double()  # left, right, bottom, top
        self._rectangle = pdfium.FS_RECTF()
        self._matrix = pdfium.FS_MATRIX()

    def span(self, first: int, last: int) -> None:
        """Look at the characters from one place to another: their numbers are mostly a row, which is quick to use."""
        begin, end = self._found(first), self._found(last)
        self._shift = begin - first if begin >= 0 and end - begin == last - first else None

    def _index(self, at: int) -> int:
        return self._found(at) if self._shift is None else at + self._shift

    def _found(self, at: int) -> int:
        """The library's number of the character at a place of the text; it counts in UTF-16."""
        units = len(self.text[:at].encode("utf-16-le", "surrogatepass")) // 2 if self._wide else at
        return int(self._pdfium.FPDFText_GetCharIndexFromTextIndex(self._page, units))

    def loose(self, at: int) -> _Box | None:
        """The box of the character's line, with its ascent and descent."""
        box = self._rectangle
        index = self._index(at)
        if index < 0 or not self._pdfium.FPDFText_GetLooseCharBox(self._page, index, box):
            return None
        return box.left, box.bottom, box.right, box.top

    def ink(self, at: int) -> tuple[float, float] | None:
        """Where the character's ink begins and ends, from left to right."""
        index = self._index(at)
        if index < 0 or not self._get_box(self._page, index, *self._sides):
            return None
        return self._sides[0].value, self._sides[1].value

    def size(self, at: int) -> float:
        """The type size in points as it is seen; 0 for text that is not set from left to right."""
        index = self._index(at)
        size = float(self._pdfium.FPDFText_GetFontSize(self._page, index))
        if self._pdfium.FPDFText_GetMatrix(self._page, index, self._matrix):
            size *= self._matrix.d if self._matrix.d > abs(self._matrix.b) else 0.0
        return size


def _line(page: _Page, match: re.Match[str], number: int) -> Line | None:
    page.span(match.start(), match.end() - 1)
    first = page.loose(match.start())
    if first is None:
        return None
    last = page.loose(match.end() - 1) or first
    size = page.size(match.start())
    found = match.group()
    if _RIGHT_TO_LEFT.search(found):
        cells: list[str] = []
        text = _in_reading_order(page, match.start(), found)
    else:
        cells = [_tidy(cell) for cell in _cells(page, match, size)]
        text = found
    return Line(_tidy(text), number, size, first[0], last[2], first[3], last[1], tuple(cells) if len(cells) > 1 else ())


def _tidy(text: str) -> str:
    """A line with its divided word joined, without ligatures and doubled blanks."""
    text = _DIVIDED.sub("", _COMPOUND.sub("-", text))
    text = _LIGATURES.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    return " ".join(text.split())


def _cells(page: _Page, match: re.Match[str], size: float) -> list[str]:
    """The stretches of a line with wide gaps between them. In a row of several the gaps may be narrower."""
    found = match.group()
    gaps: list[tuple[float, int, int]] = []  # width in type sizes, begin, end
    for blank in re.finditer(" +", found) if size else ():
        before, after = page.ink(match.start() + blank.start() - 1), page.ink(match.start() + blank.end())
        if before is not None and after is not None:
            gaps.append(((after[0] - before[1]) / size, blank.start(), blank.end()))
    wide = [gap for gap in gaps if gap[0] >= _GAP]
    if len(wide) == 1 and _MARKER.match(found[: wide[0][1]]):
        return [found]
    if len(wide) > 1:
        wide = [gap for gap in gaps if gap[0] >= _ROW_GAP]
    edges = [0, *(edge for _, begin, end in wide for edge in (begin, end)), len(found)]
    return [found[begin:end] for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def _in_reading_order(page: _Page, start: int, text: str) -> str:
    """A line whose right-to-left words read from their rightmost glyph on.

    The library turns such words round once, taking them for glyphs set from left to right. So they come out backwards
    where a file sets them in reading order, and so does every glyph that stands for several letters.
    """
    glyphs = [
        _Glyph("".join(character for character, _ in group), box)
        for box, group in groupby(
            ((character, page.loose(start + at) or (0.0, 0.0, 0.0, 0.0)) for at, character in enumerate(text)),
            key=lambda pair: pair[1],
        )
    ]
    parts: list[str] = []
    for is_word, run in groupby(glyphs, key=lambda glyph: bool(_RIGHT_TO_LEFT.search(glyph.text))):
        found = list(run)
        if not is_word:
            parts.extend(glyph.text for glyph in found)
            continue
        placed = [glyph for glyph in found if glyph.box[2] > glyph.box[0]]
        if len(placed) > 1 and placed[0].box[0] < placed[-1].box[0]:
            found = _turned(found)
        parts.extend(_letters(glyph.text) for glyph in found)
    return "".join(parts)


def _turned(glyphs: Sequence[_Glyph]) -> list[_Glyph]:
    """The glyphs backwards; marks stay behind their letter."""
    clusters: list[list[_Glyph]] = []
    for glyph in glyphs:
        if clusters and unicodedata.combining(glyph.text[0]):
            clusters[-1].append(glyph)
        else:
            clusters.append([glyph])
    return [glyph for cluster in reversed(clusters) for glyph in cluster]


def _letters(text: str) -> str:
    """The letters of one glyph in reading order. Those of a presentation form come right from the library already."""
    inner = text.strip()
    if len(inner) < 2 or not _RIGHT_TO_LEFT_RUN.search(inner):
        return text
    turned = inner[::-1]
    if unicodedata.combining(turned[0]) or (inner in _presented() and turned not in _presented()):
        return text
    return text.replace(inner, turned, 1)


@cache
def _presented() -> frozenset[str]:
    """The letters of every Arabic and Hebrew presentation form that stands for several."""
    forms = (*range(0xFB1D, 0xFB50), *range(0xFB50, 0xFE00), *range(0xFE70, 0xFEFD))
    return frozenset(letters for form in forms if len(letters := unicodedata.normalize("NFKC", chr(form))) > 1)
