"""Word 97 to 2003 documents (.doc): text by the piece table, headings and tables by the paragraphs' properties.

The layout is [MS-DOC]: the file information block at the start of the stream "WordDocument" says where in the table
stream the piece table lies, which maps character positions to places in the file, and where the pages of paragraph
properties are. Offsets below (FibBase, 2.5.2; FibRgFcLcb97, 2.5.6) count from the start of the stream.
"""

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.errors import Damaged, Empty, Unsupported
from ingest.formats import ole, rows
from ingest.types import Block, Parsed, Source

if TYPE_CHECKING:
    from olefile import OleFileIO

MEDIA_TYPES = ("application/msword",)
SUFFIXES = (".doc",)

_WORD = 0xA5EC  # FibBase.wIdent of Word 97 and later
_FLAGS, _FC_PAPX, _FC_CLX = 0x0A, 0x102, 0x1A2
_OTHER_TABLE = 0x0200  # FibBase.fWhichTblStm: the table stream is "1Table"
_COMPRESSED = 0x40000000  # FcCompressed.fCompressed (2.9.73): one byte a character, the rest is twice the offset
_ROW_END = b"\x17\x24\x01"  # sprmPFTtp (2.6.2) set: the paragraph ends a row of a table
_IN_TABLE = b"\x16\x24\x01"  # sprmPFInTable set
_DEEPEST = 100  # fields within fields that are looked at
_MARKS = str.maketrans(
    {"\x0b": "\n", "\x0c": "\n", "\x0e": "\n", "\x1e": "-", "\x1f": None, "\xa0": " ", "\x13": None, "\x14": None}
    | {chr(code): None for code in (1, 2, 3, 4, 5, 7, 8, 13, 0x15)}
)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Characters that lie together in the file (2.8.35 PlcPcd)."""

    start: int  # of its characters in the document
    text: str
    offset: int  # of its first byte in the stream
    width: int  # bytes a character


@dataclass(frozen=True, slots=True)
class _Style:
    """What is known of a paragraph."""

    heading: int = 0  # 1…9
    in_table: bool = False
    ends_row: bool = False


def parse(source: Source) -> Iterator[Parsed]:
    """One document: the body, then footnotes, headers, comments, endnotes and text boxes as they are stored. Raises
    Damaged, Empty, Unsupported (older than Word 97)."""
    with ole.open_ole(source.content, source.uri) as container:
        if not container.exists("WordDocument"):
            raise Damaged(f"{source.uri}: it holds no Word document; open it in its own program and save it again")
        stream = container.openstream("WordDocument").read()
        if len(stream) < _FC_CLX + 8 or struct.unpack_from("<H", stream)[0] != _WORD:
            raise Unsupported(f"{source.uri}: it is older than Word 97; open it in Word and save it as .docx")
        try:
            pieces = list(_pieces(stream, _table_stream(container, stream)))
            styles = _Styles(stream, _table_stream(container, stream))
        except (struct.error, IndexError, OSError) as error:
            raise Damaged(f"{source.uri}: its piece table is damaged ({error}); save it again in Word") from error
        title, about = ole.about(container, source.uri)
    blocks = list(_blocks(pieces, styles))
    if not blocks:
        raise Empty(f"{source.uri}: the document has no text; if it holds pictures of text, it needs OCR")
    if not title:
        title = next((block.text for block in blocks if block.kind == "heading" and block.level == 1), "")
    yield Parsed(blocks, title=title, metadata=about)


def _table_stream(container: "OleFileIO", stream: bytes) -> bytes:
    (flags,) = struct.unpack_from("<H", stream, _FLAGS)
    return bytes(container.openstream("1Table" if flags & _OTHER_TABLE else "0Table").read())


def _pieces(stream: bytes, table: bytes) -> Iterator[_Piece]:
    """The pieces in the order of the text (2.9.38 Clx: property runs to be passed over, then the piece table)."""
    place, size = struct.unpack_from("<II", stream, _FC_CLX)
    clx = table[place : place + size]
    at = 0
    while clx[at] == 1:  # Prc: its length stands behind
        at += 3 + struct.unpack_from("<H", clx, at + 1)[0]
    if clx[at] != 2:
        raise struct.error("no piece table")
    (length,) = struct.unpack_from("<I", clx, at + 1)
    count = (min(length, len(clx) - at - 5) - 4) // 12
    ends = struct.unpack_from(f"<{count + 1}I", clx, at + 5)
    total = 0
    for number in range(count):
        (place,) = struct.unpack_from("<I", clx, at + 5 + 4 * (count + 1) + 8 * number + 2)
        characters = ends[number + 1] - ends[number]
        if characters <= 0:
            continue
        total += characters
        if total > len(stream):  # pieces do not overlap; a small file could otherwise become a huge text
            raise struct.error("it states more characters than the file has")
        if place & _COMPRESSED:
            offset = (place & (_COMPRESSED - 1)) // 2
            yield _Piece(ends[number], stream[offset : offset + characters].decode("cp1252", "replace"), offset, 1)
        else:
            raw = stream[place : place + 2 * characters]
            yield _Piece(ends[number], raw.decode("utf-16-le", "replace"), place, 2)


class _Styles:
    """The properties of paragraphs by the place of their last character in the file (2.9.175 PapxFkp)."""

    def __init__(self, stream: bytes, table: bytes) -> None:
        place, size = struct.unpack_from("<II", stream, _FC_PAPX)
        count = max(0, (min(size, len(table) - place) - 4) // 8)
        pages = struct.unpack_from(f"<{count}I", table, place + 4 * (count + 1)) if count else ()
        runs = sorted(run for page in pages for run in _runs(stream, page & 0x3FFFFF))
        self._starts = [start for start, _ in runs]
        self._styles = [style for _, style in runs]

    def at(self, offset: int) -> _Style:
        """Of the paragraph that holds a byte of the stream."""
        number = bisect_right(self._starts, offset) - 1
        return self._styles[number] if number >= 0 else _Style()


def _runs(stream: bytes, page: int) -> Iterator[tuple[int, _Style]]:
    """The paragraphs of one page of properties, by the place where each begins."""
    content = stream[512 * page : 512 * (page + 1)]
    if len(content) < 512:
        return
    count = content[511]
    if 4 * (count + 1) + 13 * count > 511:
        return
    starts = struct.unpack_from(f"<{count + 1}I", content)
    for number in range(count):
        at = 2 * content[4 * (count + 1) + 13 * number]
        if not at:
            yield starts[number], _Style()
            continue
        words = content[at] or content[at + 1]  # PapxInFkp (2.9.176): a zero means that the length follows
        begin = at + (1 if content[at] else 2)
        properties = content[begin : begin + 2 * words - (1 if content[at] else 0)]
        style = struct.unpack_from("<H", properties)[0] if len(properties) > 1 else 0
        yield (
            starts[number],
            _Style(
                heading=style if 1 <= style <= 9 else 0,  # styles 1 to 9 are always the headings (2.9.135 LPStd)
                in_table=_IN_TABLE in properties,
                ends_row=_ROW_END in properties,
            ),
        )


def _blocks(pieces: list[_Piece], styles: _Styles) -> Iterator[Block]:
    table: list[list[str]] = []
    row: list[str] = []
    cell: list[str] = []
    for text, mark, style in _paragraphs(pieces, styles):
        if mark == "\x07" or style.in_table:
            if style.ends_row:
                table.append(row)
                row = []
                continue
            cell.append(text)
            if mark == "\x07":
                row.append(" ".join(part for part in cell if part))
                cell = []
            continue
        yield from _table([*table, [*row, *cell]])
        table, row, cell = [], [], []
        if text and style.heading:
            yield Block("heading", text, level=min(6, style.heading))
        elif text:
            yield Block("paragraph", text)
    yield from _table([*table, [*row, *cell]])


def _table(table: list[list[str]]) -> Iterator[Block]:
    text = rows.table(table)
    if text:
        yield Block("table", text)


def _paragraphs(pieces: list[_Piece], styles: _Styles) -> Iterator[tuple[str, str, _Style]]:
    """Each paragraph's readable text, the mark it ends with (a cell's is 07) and its properties."""
    parts: list[str] = []
    for piece in pieces:
        begin = 0
        for found in re.finditer(r"[\r\x07]", piece.text):
            parts.append(piece.text[begin : found.start()])
            yield _readable("".join(parts)), found[0], styles.at(piece.offset + piece.width * found.start())
            parts, begin = [], found.end()
        parts.append(piece.text[begin:])
    if any(parts):
        yield _readable("".join(parts)), "\r", _Style()


def _readable(text: str) -> str:
    """A paragraph without the instructions of its fields and the marks of pictures and notes."""
    if "\x13" not in text:
        return text.translate(_MARKS).strip()
    shown: list[str] = []
    fields: list[bool] = []  # of the open ones, outermost first: whether their instruction goes on
    for part in re.split("([\x13\x14\x15])", text):
        if part == "\x13":
            fields.append(True)
        elif part == "\x14" and fields:
            fields[-1] = False
        elif part == "\x15" and fields:
            fields.pop()
        elif not any(fields[-_DEEPEST:]):
            shown.append(part)
    return "".join(shown).translate(_MARKS).strip()
