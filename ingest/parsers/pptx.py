"""PowerPoint presentations (.pptx): slides in order, each with its title, texts, tables, charts and speaker's notes."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest.errors import Damaged, Empty, TooLarge
from ingest.formats import ooxml, rows, sheets
from ingest.formats.xmltree import tree
from ingest.types import Block, BlockKind, Failed, Parsed, Source

if TYPE_CHECKING:
    from pptx.chart.chart import Chart
    from pptx.presentation import Presentation
    from pptx.shapes.base import BaseShape
    from pptx.slide import Slide
    from pptx.table import Table
    from pptx.text.text import TextFrame

MEDIA_TYPES = ("application/vnd.openxmlformats-officedocument.presentationml.presentation",)
SUFFIXES = (".pptx", ".pptm")

_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_NO_TITLE = (
    "",
    "powerpoint presentation",
    "presentation",
    "slide 1",
    "powerpoint-präsentation",
    "présentation powerpoint",
)
_MAX_POINTS = 100_000  # of a chart; python-pptx gives as many as are stated, however few there are
_WORD = re.compile(r"[^\W_]")


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """One document, `Block.page` the number of the slide; a slide or part that is damaged is Failed.

    The order within a slide is that of the file, as screen readers take it, its title first; hidden slides are
    included, slide numbers are not, and what stands on every slide (a date, a foot) is given once. Raises Damaged,
    Encrypted, Empty, TooLarge.
    """
    import pptx

    found, lost = ooxml.mended(source, ooxml.parts(source))
    presentation = pptx.Presentation(ooxml.package(found))
    blocks: list[Block] = []
    repeated: set[str] = set()
    count = 0
    for number, slide in _slides(presentation, source, lost):
        count = number
        slide_blocks = _Slide(number, repeated)
        slide_blocks.read(slide)
        blocks += slide_blocks.found
        lost += [Failed(f"{source.uri}#slide={number}", reason) for reason in slide_blocks.lost]
    if not blocks:
        if lost:
            raise Damaged(f"{source.uri}: {lost[0].reason}")
        raise Empty(f"{source.uri}: the slides have no text; if they hold pictures of text, they need OCR")
    title, about = ooxml.core(ooxml.core_part(found), source.uri)
    if title.casefold() in _NO_TITLE:
        title = next((block.text for block in blocks if block.kind == "heading"), "")
    yield Parsed(blocks, title=title, metadata={**about, "slides": count})
    yield from lost


def _slides(presentation: "Presentation", source: Source, lost: list[Failed]) -> Iterator[tuple[int, "Slide"]]:
    """Each slide that the presentation lists and holds, with its number."""
    listed = presentation.element.sldIdLst
    for number, entry in enumerate(listed if listed is not None else (), 1):
        try:
            slide = presentation.part.related_part(entry.rId).slide
        except (KeyError, AttributeError) as error:  # the part is missing, or is no slide
            reason = f"slide {number} is missing or damaged ({error}); save it again in its own program"
            lost.append(Failed(f"{source.uri}#slide={number}", reason))
            continue
        yield number, slide


class _Slide:
    """Collects the blocks of one slide; what breaks in one shape costs that shape only."""

    def __init__(self, number: int, repeated: set[str]) -> None:
        self.found: list[Block] = []
        self.lost: list[str] = []
        self._number = number
        self._repeated = repeated

    def read(self, slide: "Slide") -> None:
        title = slide.shapes.title
        if title is not None:
            self._add("heading", " ".join(title.text_frame.text.split()))
        for shape in slide.shapes:
            if title is None or shape.shape_id != title.shape_id:
                self._try(shape)
        if slide.has_notes_slide:
            frame = slide.notes_slide.notes_text_frame
            if frame is not None:
                self._add("paragraph", frame.text, prefix="Notes: ")

    def _try(self, shape: "BaseShape") -> None:
        try:
            self._shape(shape)
        except RecursionError:
            raise
        except Exception as error:  # python-pptx meets what PowerPoint forgives in ways that nobody listed
            self.lost.append(f"a shape of slide {self._number} is damaged ({error}); save it again in its own program")

    def _shape(self, shape: "BaseShape") -> None:
        if hasattr(shape, "shapes"):  # a group
            for inner in shape.shapes:
                self._try(inner)
        elif getattr(shape, "has_table", False):
            self._add("table", _table(shape.table))
        elif getattr(shape, "has_chart", False):
            self._chart(shape.chart)
        elif shape.has_text_frame:
            self._text(shape)
        else:
            self._diagram(shape)

    def _text(self, shape: "BaseShape") -> None:
        kind = str(shape.placeholder_format.type).partition(" ")[0] if shape.is_placeholder else ""
        if kind == "SLIDE_NUMBER":
            return
        if kind in ("DATE", "FOOTER", "HEADER"):
            text = shape.text_frame.text.strip()
            if text in self._repeated:
                return
            self._repeated.add(text)
        if kind in ("BODY", "OBJECT", "VERTICAL_BODY", "VERTICAL_OBJECT"):
            self._add("list" if len(_points(shape.text_frame)) > 1 else "paragraph", _body(shape.text_frame))
        else:
            self._add("paragraph", shape.text_frame.text)

    def _chart(self, chart: "Chart") -> None:
        if chart.has_title and chart.chart_title.has_text_frame:
            self._add("paragraph", chart.chart_title.text_frame.text)
        counts = chart._chartSpace.iter("{*}ptCount")
        if any(int(count.get("val", "0")) > _MAX_POINTS for count in counts):
            raise TooLarge(f"its chart states over {_MAX_POINTS:,} points")
        for plot in chart.plots:
            names = [str(series.name or "") for series in plot.series]
            columns = [list(series.values) for series in plot.series]
            categories = [str(category) for category in plot.categories]
            height = max([len(categories), *(len(column) for column in columns)])
            table = [
                [
                    categories[row] if row < len(categories) else "",
                    *(sheets.cell(column[row]) if row < len(column) else "" for column in columns),
                ]
                for row in range(height)
            ]
            self._add("table", rows.lines(["", *names], table))

    def _diagram(self, shape: "BaseShape") -> None:
        """The texts of a SmartArt drawing, which lie in a part of their own."""
        marks = shape._element.iter("{*}relIds")
        for mark in marks:
            key = next((value for name, value in mark.attrib.items() if name.endswith("}dm")), None)
            part = shape.part.related_part(key) if key else None
            if part is not None:
                texts = ["".join(node.itertext()).strip() for node in tree(part.blob, "").iter(f"{_DRAWING}p")]
                self._add("list", "\n".join(f"- {text}" for text in texts if text))

    def _add(self, kind: BlockKind, text: str, *, prefix: str = "") -> None:
        text = text.replace("\v", "\n").strip()
        if _WORD.search(text):
            self.found.append(Block(kind, prefix + text, level=1 if kind == "heading" else 0, page=self._number))


def _points(frame: "TextFrame") -> list[tuple[int, str]]:
    """The paragraphs of a text with the depth of each, without empty ones."""
    return [(line.level, text) for line in frame.paragraphs if (text := " ".join(line.text.split()))]


def _body(frame: "TextFrame") -> str:
    """The text of a content placeholder: its paragraphs are points, a single one is a paragraph."""
    points = _points(frame)
    if len(points) == 1:
        return points[0][1]
    return "\n".join(f"{'  ' * level}- {text}" for level, text in points)


def _table(table: "Table") -> str:
    """A table, its first row the header unless the table says otherwise; a merged cell is given once."""
    lines = [["" if cell.is_spanned else cell.text for cell in row.cells] for row in table.rows]
    if not table.first_row or len(lines) < 2:
        return rows.lines((), lines)
    return rows.lines(lines[0], lines[1:])
