"""Old Excel workbooks (.xls, Excel 2 to 2003): each sheet a heading and a table, as in .xlsx."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest.errors import Damaged, Empty, Encrypted
from ingest.formats import ole, sheets
from ingest.types import Block, MetadataValue, Parsed, Source

if TYPE_CHECKING:
    from xlrd.sheet import Sheet

MEDIA_TYPES = ("application/vnd.ms-excel",)
SUFFIXES = (".xls",)


def parse(source: Source) -> Iterator[Parsed]:
    """One document: the values that Excel last computed, hidden sheets included. Raises Damaged, Encrypted, Empty,
    TooLarge."""
    import xlrd

    try:
        workbook = xlrd.open_workbook(file_contents=source.content, logfile=io.StringIO(), ragged_rows=True)
    except xlrd.XLRDError as error:
        if "encrypted" in str(error):
            raise Encrypted(f"{source.uri}: it is encrypted; give its password with --password") from error
        raise Damaged(f"{source.uri}: it is no readable workbook ({error}); save it again as .xlsx") from error
    counter = sheets.Counter(source.uri)
    found: list[Block] = []
    for sheet in workbook.sheets():
        found += sheets.blocks(sheet.name, _rows(sheet, workbook.datemode), counter)
    if not found:
        raise Empty(f"{source.uri}: the workbook has no filled cells; leave it out, or save it with its values")
    title, about = _about(source)
    yield Parsed(found, title=title, metadata={**about, "sheet": [*workbook.sheet_names()]})


def _rows(sheet: "Sheet", datemode: int) -> Iterator[list[str]]:
    for number in range(sheet.nrows):
        kinds, values = sheet.row_types(number), sheet.row_values(number)
        yield [_cell(kind, value, datemode) for kind, value in zip(kinds, values, strict=True)]


def _cell(kind: int, value: object, datemode: int) -> str:
    import xlrd

    if kind == xlrd.XL_CELL_DATE:
        try:
            return sheets.cell(xlrd.xldate.xldate_as_datetime(value, datemode))
        except (ValueError, OverflowError):  # a number outside of the calendar in a cell shown as a date
            return sheets.cell(value)
    if kind == xlrd.XL_CELL_BOOLEAN:
        return sheets.cell(bool(value))
    if kind == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(value, "#ERROR"))
    return sheets.cell(value)


def _about(source: Source) -> tuple[str, dict[str, MetadataValue]]:
    if not source.content.startswith(ole.MAGIC):
        return "", {}  # Excel 2 to 4 wrote bare streams
    with ole.open_ole(source.content, source.uri) as container:
        return ole.about(container, source.uri)
