"""Makes OLE compound files ([MS-CFB]), the container of old Office documents, and the two kinds of stream in them."""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5

_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_SMALLEST = 4096  # shorter streams would go into a stream of their own


def compound(streams: dict[str, bytes]) -> bytes:
    """A file with these streams, each filled up to 4,096 bytes."""
    sectors: list[bytes] = []
    fat: list[int] = []

    def add(content: bytes) -> int:
        first = len(fat)
        count = -(-len(content) // 512)
        sectors.extend(content[512 * at : 512 * (at + 1)].ljust(512, b"\x00") for at in range(count))
        fat.extend([*range(first + 1, first + count), _END])
        return first

    entries = [("Root Entry", 5, _FREE, 1, _END, 0)]
    for number, (name, content) in enumerate(streams.items(), 1):
        full = content.ljust(_SMALLEST, b"\x00")
        entries.append((name, 2, number + 1 if number < len(streams) else _FREE, _FREE, add(full), len(full)))
    directory = b"".join(_entry(*entry) for entry in entries)
    start = add(directory.ljust(-(-len(directory) // 512) * 512, b"\x00"))
    table = len(fat)
    size = next(count for count in range(1, 100) if 128 * count >= len(fat) + count)
    fat += [_FAT] * size
    packed = struct.pack(f"<{len(fat)}I", *fat).ljust(512 * size, b"\xff")
    places = [*range(table, table + size)]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    header += bytes(6) + struct.pack("<IIIIIIIII", 0, size, start, 0, _SMALLEST, _END, 0, _END, 0)
    header += struct.pack(f"<{len(places)}I", *places).ljust(436, b"\xff")
    return header + b"".join(sectors) + packed


def _entry(name: str, kind: int, right: int, child: int, start: int, size: int) -> bytes:
    raw = (name + "\x00").encode("utf-16-le")
    return raw.ljust(64, b"\x00") + struct.pack(
        "<HBBIII16sIQQIQ", len(raw), kind, 1, _FREE, right, child, b"", 0, 0, 0, start, size
    )


@dataclass(frozen=True, slots=True)
class Line:
    """A paragraph of a Word document: its text with its mark (\\r, or \\x07 for a cell), and its properties."""

    text: str
    style: int = 0  # 1…9 headings
    properties: bytes = b""  # sprms


CELL = b"\x16\x24\x01"
ROW = CELL + b"\x17\x24\x01"


def word(lines: Sequence[Line], *, compressed: int = 1) -> bytes:
    """A Word 97 document; the first lines are one compressed piece, the others one of two bytes a character."""
    stream, table = _word(lines, compressed, 0)
    return compound({"WordDocument": stream, "1Table": table})


def locked_word(lines: Sequence[Line], password: str) -> bytes:
    """The same with a password ([MS-OFFCRYPTO] 2.3.6: RC4, which decrypts as it encrypts)."""
    from msoffcrypto.method.rc4 import DocumentRC4

    salt = bytes(range(16))

    def encrypted(content: bytes) -> bytes:
        return bytes(DocumentRC4.decrypt(password, salt, io.BytesIO(content)).read())

    verifier = b"sixteen bytes do"
    proof = encrypted(verifier + md5(verifier, usedforsecurity=False).digest())
    header = struct.pack("<HH", 1, 1) + salt + proof
    stream, table = _word(lines, 1, len(header))
    begin = bytearray(stream[:68])
    struct.pack_into("<H", begin, 0x0A, 0x0300)
    struct.pack_into("<I", begin, 0x0E, len(header))
    return compound(
        {
            "WordDocument": bytes(begin) + encrypted(stream)[68:],
            "1Table": header + encrypted(bytes(len(header)) + table)[len(header) :],
        }
    )


def _word(lines: Sequence[Line], compressed: int, header: int) -> tuple[bytes, bytes]:
    """The document's stream, and its table's what stands behind a header of some length."""
    narrow = "".join(line.text for line in lines[:compressed]).encode("cp1252")
    wide = "".join(line.text for line in lines[compressed:])
    at = 1024 + len(narrow) + len(narrow) % 2
    body = narrow.ljust(at - 1024, b"\x00") + wide.encode("utf-16-le")
    page = -(-(1024 + len(body)) // 512)
    starts, place = [], 1024
    for number, line in enumerate(lines):
        if number == compressed:
            place = at
        starts.append(place)
        place += len(line.text) * (1 if number < compressed else 2)
    ends = (0, len(narrow), len(narrow) + len(wide))
    pieces = struct.pack("<HIH", 0, 1024 * 2 | 0x40000000, 0) + struct.pack("<HIH", 0, at, 0)
    plc = struct.pack("<3I", *ends) + pieces
    clx = b"\x01\x02\x00\x00\x00" + b"\x02" + struct.pack("<I", len(plc)) + plc
    pages = struct.pack("<3I", 1024, place, page)
    fib = bytearray(1024)
    struct.pack_into("<HH", fib, 0, 0xA5EC, 0xC1)
    struct.pack_into("<H", fib, 0x0A, 0x0200)
    struct.pack_into("<II", fib, 0x1A2, header, len(clx))
    struct.pack_into("<II", fib, 0x102, header + len(clx), len(pages))
    stream = (bytes(fib) + body).ljust(512 * page, b"\x00") + _properties(lines, [*starts, place])
    return stream, clx + pages


def _properties(lines: Sequence[Line], starts: Sequence[int]) -> bytes:
    """One page of paragraph properties ([MS-DOC] 2.9.175)."""
    page = bytearray(512)
    struct.pack_into(f"<{len(starts)}I", page, 0, *starts)
    free = 510
    for number, line in enumerate(lines):
        found = struct.pack("<H", line.style) + line.properties
        found += bytes((len(found) + 1) % 2)
        free = (free - len(found) - 1) & ~1
        page[free] = (len(found) + 1) // 2
        page[free + 1 : free + 1 + len(found)] = found
        page[4 * len(starts) + 13 * number] = free // 2
    page[511] = len(lines)
    return bytes(page)


Value = str | float | bool


def excel(
    sheets: dict[str, Sequence[Sequence[Value | None]]],
    *,
    dates: Sequence[tuple[int, int]] = (),
    file_pass: bytes = b"",
) -> bytes:
    """An Excel 97 workbook; the numbers at `dates` (row, column of any sheet) are shown as days. `file_pass` is the
    record that states an encryption, which is not done."""
    globals_ = _record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 6))
    globals_ += _record(0x2F, file_pass) if file_pass else b""
    globals_ += _record(0x42, struct.pack("<H", 1200))
    for shown in (0, 14):  # the second is the built-in form of a day
        globals_ += _record(0xE0, struct.pack("<HH", 0, shown) + bytes(16))
    bodies = [_sheet(rows, dates) for rows in sheets.values()]
    names = [name.encode("utf-16-le") for name in sheets]
    place = len(globals_) + sum(12 + len(name) for name in names) + 4
    for name, body in zip(names, bodies, strict=True):
        globals_ += _record(0x85, struct.pack("<IBBBB", place, 0, 0, len(name) // 2, 1) + name)
        place += len(body)
    return compound({"Workbook": globals_ + _record(0x0A, b"") + b"".join(bodies)})


def _sheet(rows: Sequence[Sequence[Value | None]], dates: Sequence[tuple[int, int]]) -> bytes:
    found = _record(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 6))
    for row, cells in enumerate(rows):
        for column, value in enumerate(cells):
            head = struct.pack("<HHH", row, column, int((row, column) in dates))
            if isinstance(value, bool):
                found += _record(0x205, head + struct.pack("<BB", value, 0))
            elif isinstance(value, str):
                found += _record(0x204, head + struct.pack("<HB", len(value), 1) + value.encode("utf-16-le"))
            elif value is not None:
                found += _record(0x203, head + struct.pack("<d", value))
    return found + _record(0x0A, b"")


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("<HH", kind, len(content)) + content
