"""Excel workbooks (.xlsx): each sheet a heading and a table, its rows behind the names of their columns."""

from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import quote

from ingest.errors import Damaged, Empty, TooLarge
from ingest.formats import ooxml, sheets
from ingest.types import Block, Failed, Parsed, Source

if TYPE_CHECKING:
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

MEDIA_TYPES = ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",)
SUFFIXES = (".xlsx", ".xlsm")

MAX_PLACES = 20_000_000  # cells of a sheet's rows up to the last filled one of each; about two seconds


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """One document: the values that Excel last computed, hidden sheets included, pictures and charts not.

    A sheet that is damaged is Failed. Raises Damaged, Empty, TooLarge, Encrypted.
    """
    from openpyxl import load_workbook

    ooxml.check(source)
    workbook = load_workbook(BytesIO(source.content), read_only=True, data_only=True, keep_links=False)
    found: list[Block] = []
    lost: list[Failed] = []
    counter = sheets.Counter(source.uri)
    for sheet in workbook.worksheets:
        try:
            found += sheets.blocks(sheet.title, _rows(sheet, source.uri), counter)
        except TooLarge:
            raise
        except Exception as error:  # whatever breaks in one sheet, the others are read
            place = f"{source.uri}#{quote(sheet.title)}"
            lost.append(Failed(place, f"the sheet {sheet.title!r} is damaged ({error}); save it again in Excel"))
    names = [sheet.title for sheet in workbook.worksheets]
    workbook.close()
    if not found:
        if lost:
            raise Damaged(f"{source.uri}: {lost[0].reason}")
        raise Empty(f"{source.uri}: the workbook has no filled cells; leave it out, or save it with its values")
    title, about = ooxml.core_of(source)
    yield Parsed(found, title=title, metadata={**about, "sheet": [*names]})
    yield from lost


def _rows(sheet: "ReadOnlyWorksheet", uri: str) -> Iterator[list[str]]:
    sheet.reset_dimensions()  # what a sheet says of its size is often wrong: "A1", or all of the 17 billion cells
    places = 0
    for row in sheet.iter_rows(values_only=True):
        places += len(row)
        if places > MAX_PLACES:
            raise TooLarge(f"{uri}: its sheet {sheet.title!r} is over {MAX_PLACES:,} cells wide and high; split it")
        yield [sheets.cell(value) for value in row]
