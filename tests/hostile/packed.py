"""Archives and office files made to do harm: bombs, lies about sizes, names that lead out, nesting without end."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from functools import cache

from tests.hostile.case import Hostile, of
from tests.samples import first

GOOD = b"Tidal turbines harvest the moon.\n"
MB = 1 << 20
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
LAUGHS = "<!DOCTYPE x [<!ENTITY a0 'ha'>{}]>".format(
    "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 11))
)
EXTERNAL = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'


def packed(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method, compresslevel=1) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


@cache
def zeros(size: int) -> bytes:
    """Deflated spaces: no text, but much of it."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return b"".join([*(packer.compress(b" " * MB) for _ in range(size // MB)), packer.flush()])


def raw(
    entries: list[tuple[bytes, bytes, int]], *, method: int = 8, flags: int = 0, overlapping: bool = False, crc: int = 0
) -> bytes:
    """A zip written by hand: (name, packed bytes, stated size) each. Overlapping ones share the bytes of the first."""
    parts: list[bytes] = []
    directory: list[bytes] = []
    offset = length = 0
    for number, (name, content, size) in enumerate(entries):
        if not (overlapping and number):
            offset = length
            head = b"PK\3\4" + struct.pack("<HHHHHIII", 20, flags, method, 0, 0, crc, len(content), size)
            parts += [head, struct.pack("<HH", len(name), 0), name, content]
            length += len(head) + 4 + len(name) + len(content)
        entry = struct.pack("<HHHHHH", 20, 20, flags, method, 0, 0) + struct.pack("<III", crc, len(content), size)
        entry += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, offset)
        directory.append(b"PK\1\2" + entry + name)
    listed = b"".join(directory)
    count = min(len(entries), 65535)
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(listed), length, 0)
    return b"".join([*parts, listed, end])


def nested_zip(levels: int) -> bytes:
    content, name = GOOD, "good.txt"
    for level in range(levels):
        content, name = packed([(name, content)]), f"level{level}.zip"
    return content


def wide_zip() -> bytes:
    """Ten archives in ten archives in ten, each of ten texts of 4 MB: 40 GB."""
    content = packed([(f"{n}.txt", b"tide " * (4 * MB // 5)) for n in range(10)])
    for _ in range(3):
        content = packed([(f"{n}.zip", content) for n in range(10)], zipfile.ZIP_STORED)
        content = packed([("all.zip", content)])
    return content


def tar(*members: tarfile.TarInfo, content: bytes = GOOD, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.GNU_FORMAT) as archive:  # type: ignore[call-overload]
        for member in members:
            if member.isreg():
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return buffer.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def lying_tar(size: int) -> bytes:
    """A member that states more bytes than there are."""
    member = tarfile.TarInfo("huge.txt")
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT) + GOOD.ljust(1024, b"\0")


def long_names_tar() -> bytes:
    """A name of 300 MB, as its header states."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 300 * MB
    return member.tobuf(tarfile.GNU_FORMAT) + b"a" * 4096


def gzipped(size: int) -> bytes:
    body = zeros(size)
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + body + struct.pack("<II", 0, size)


def office(kind: str, member: str, content: bytes) -> bytes:
    """An office file with one member replaced."""
    return packed([*_others(kind, member), (member, content)])


def office_bomb(kind: str, member: str) -> bytes:
    """An office file with one member of 300 MB."""
    others = [(name.encode(), zlib.compress(content, 1)[2:-4], len(content)) for name, content in _others(kind, member)]
    return raw([*others, (member.encode(), zeros(300 * MB), 300 * MB)])


def _others(kind: str, member: str) -> list[tuple[str, bytes]]:
    made = {"docx": lambda: first.docx(), "xlsx": _xlsx, "pptx": _pptx, "epub": _epub, "ods": _ods}[kind]()
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist() if name != member]


def _xlsx() -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["part", "count"])
    book.active.append(["hub", 1])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _pptx() -> bytes:
    import pptx

    show = pptx.Presentation()
    show.slides.add_slide(show.slide_layouts[0]).shapes.title.text = "Tidal turbines"
    buffer = io.BytesIO()
    show.save(buffer)
    return buffer.getvalue()


def _epub() -> bytes:
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Tidal turbines</dc:title></metadata><manifest>'
        '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>'
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
        '<rootfile full-path="c.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    page = "<html xmlns='http://www.w3.org/1999/xhtml'><body><p>Tidal turbines harvest the moon.</p></body></html>"
    parts = [("META-INF/container.xml", container), ("c.opf", opf), ("a.xhtml", page)]
    return packed([("mimetype", b"application/epub+zip"), *((name, text.encode()) for name, text in parts)])


def _ods() -> bytes:
    return packed([("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"), ("content.xml", b"")])


def sheet(rows: str) -> bytes:
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    text = f'<worksheet xmlns="{space}"><dimension ref="A1:B2"/><sheetData>{rows}</sheetData></worksheet>'
    return office("xlsx", "xl/worksheets/sheet1.xml", text.encode())


def repeated_ods() -> bytes:
    """A cell repeated 16,384 times in a row repeated 1,048,576 times."""
    names = "xmlns:office='urn:oasis:names:tc:opendocument:xmlns:office:1.0' "
    names += "xmlns:table='urn:oasis:names:tc:opendocument:xmlns:table:1.0' "
    names += "xmlns:text='urn:oasis:names:tc:opendocument:xmlns:text:1.0'"
    cell = "<table:table-cell table:number-columns-repeated='16384'><text:p>tide</text:p></table:table-cell>"
    row = f"<table:table-row table:number-rows-repeated='1048576'>{cell}</table:table-row>"
    body = f"<office:body><office:spreadsheet><table:table>{row}</table:table></office:spreadsheet></office:body>"
    return office("ods", "content.xml", f"<office:document-content {names}>{body}</office:document-content>".encode())


def word(body: str, before: str = "") -> bytes:
    return office("docx", "word/document.xml", f"{before}<w:document {W}><w:body>{body}</w:body></w:document>".encode())


def ole(fill: bytes) -> bytes:
    """A compound file whose header is right and whose chains of sectors are made of `fill`."""
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 0, 0, 4096, 0, 1, 0, 0) + struct.pack("<I", 0) + b"\xff" * 432
    return header[:512] + fill * (4096 // len(fill))


PARAGRAPH = "<w:p><w:r><w:t>tide</w:t></w:r></w:p>"
TABLE = "<w:tbl><w:tr><w:tc>"

HOSTILE: list[Hostile] = [
    of("bomb.zip", lambda: raw([(b"a.txt", zeros(300 * MB), 300 * MB)]), "refused", "bytes"),
    of("bombs.zip", lambda: raw([(b"%d.txt" % n, zeros(30 * MB), 30 * MB) for n in range(40)]), "refused", "bytes"),
    of("lying.zip", lambda: raw([(b"a.txt", zeros(300 * MB), 100)]), "refused", "damaged"),
    of("nested.zip", lambda: nested_zip(12), "refused", "containers"),
    of("quine.zip", lambda: nested_zip(120), "refused", "containers"),
    of("wide.zip", wide_zip, "refused", "bytes|containers"),
    of(
        "overlapping.zip",
        lambda: raw([(b"%d.txt" % n, zeros(MB), MB) for n in range(500)], overlapping=True),
        "refused",
    ),
    of("members.zip", lambda: raw([(b"%d.txt" % n, b"", 0) for n in range(60_000)], method=0), "refused", "members"),
    of("folders.zip", lambda: packed([(f"{'d/' * 2000}{n}.txt", GOOD) for n in range(5)]), "read"),
    of(
        "traversal.zip",
        lambda: packed([(name, GOOD) for name in ("../a.txt", "/etc/b.txt", "C:\\c.txt", "x/../../d.txt", "good.txt")]),
        "partly",
        "leads out",
    ),
    of("encrypted.zip", lambda: raw([(b"a.txt", b"\1" * 40, 28)], flags=1), "refused", "password"),
    of("cut.zip", lambda: packed([("a.txt", GOOD * 99)])[:120], "refused", "damaged|cut"),
    of("garbage.zip", lambda: b"PK\3\4" + bytes(range(256)) * 40, "refused"),
    of("name.zip", lambda: raw([(b"a" * 60_000 + b".txt", b"\3\0", 0)]), "refused"),
    of("nul-name.zip", lambda: raw([(b"a\0b\n.txt", zlib.compress(GOOD, 1)[2:-4], len(GOOD))]), "refused"),
    of("method.zip", lambda: raw([(b"a.txt", b"\1" * 40, 28)], method=97), "refused"),
    of("bzip2-member.zip", lambda: packed([("a.txt", b" " * (40 * MB))], zipfile.ZIP_BZIP2), "refused"),
    of("gzip-bomb.txt.gz", lambda: gzipped(300 * MB), "refused", "bytes"),
    of("members.gz", lambda: gzip.compress(b"", 1) * 100_000, "refused"),
    of("cut.gz", lambda: gzip.compress(GOOD * 99)[:-30], "refused", "cut"),
    of("bomb.txt.bz2", lambda: bz2.compress(b" " * (10 * MB), 9) * 10, "refused", "bytes"),
    of("bomb.txt.xz", lambda: lzma.compress(b" " * (35 * MB), preset=0) * 2, "refused", "bytes"),
    of("bomb.tar.gz", lambda: gzip.compress(lying_tar(290 * MB)[:512], 1) + gzipped(290 * MB), "refused"),
    of("lying.tar", lambda: lying_tar(60 * MB), "refused"),
    of("exabytes.tar", lambda: lying_tar(1 << 62), "refused"),
    of("long-name.tar", long_names_tar, "refused"),
    of("members.tar", lambda: tar(*(info(f"{n}.txt") for n in range(11_000)), content=b""), "refused"),
    of("traversal.tar", lambda: tar(info("../../a.txt"), info("/b.txt"), info("good.txt")), "partly", "leads out"),
    of(
        "devices.tar",
        lambda: tar(
            info("zero.txt", tarfile.CHRTYPE),
            info("pipe.txt", tarfile.FIFOTYPE),
            info("link.txt", tarfile.SYMTYPE, "/etc/passwd"),
            info("hard.txt", tarfile.LNKTYPE, "../../etc/passwd"),
            info("self.txt", tarfile.SYMTYPE, "self.txt"),
            info("good.txt"),
        ),
        "partly",
        "device|link",
    ),
    of("packed.7z", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(100), "refused", "no parser"),
    of("bomb.docx", lambda: office_bomb("docx", "word/document.xml"), "refused"),
    of("trees.docx", lambda: word(PARAGRAPH * 900_000), "refused"),
    of("laughs.docx", lambda: word("<w:p><w:r><w:t>&a10;</w:t></w:r></w:p>", LAUGHS), "refused"),
    of("external.docx", lambda: word("<w:p><w:r><w:t>tide &e;</w:t></w:r></w:p>", EXTERNAL), "refused"),
    of("deep.docx", lambda: word(TABLE * 9000 + PARAGRAPH + "</w:tc></w:tr></w:tbl>" * 9000), "refused"),
    of("cut.docx", lambda: first.docx()[:-2000], "refused"),
    of("text.docx", lambda: GOOD, "refused"),
    of("noise.docx", lambda: office("docx", "word/document.xml", bytes(range(256)) * 9), "refused"),
    of("laughs.xlsx", lambda: office("xlsx", "xl/workbook.xml", f"{LAUGHS}<x>&a10;</x>".encode()), "refused"),
    of("bomb.xlsx", lambda: office_bomb("xlsx", "xl/worksheets/sheet1.xml"), "refused"),
    of("corner.xlsx", lambda: sheet('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'), "read"),
    of(
        "corners.xlsx",
        lambda: sheet("".join(f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(1, 4000))),
        "refused",
    ),
    of("strings.xlsx", lambda: sheet('<row r="1"><c r="A1" t="s"><v>99999999</v></c></row>'), "refused"),
    of("bomb.pptx", lambda: office_bomb("pptx", "ppt/slides/slide1.xml"), "refused"),
    of("laughs.pptx", lambda: office("pptx", "ppt/slides/slide1.xml", f"{LAUGHS}<x>&a10;</x>".encode()), "refused"),
    of("lost.pptx", lambda: office("pptx", "ppt/presentation.xml", b"<p/>"), "refused"),
    of("bomb.epub", lambda: office_bomb("epub", "a.xhtml"), "refused"),
    of("outside.epub", lambda: _epub().replace(b"a.xhtml", b"../../a"), "refused"),
    of("laughs.epub", lambda: office("epub", "c.opf", f"{LAUGHS}<x>&a10;</x>".encode()), "refused"),
    of("repeated.ods", repeated_ods, "any"),
    of("looping.doc", lambda: ole(struct.pack("<I", 0)), "refused"),
    of("looping.xls", lambda: ole(struct.pack("<I", 1)), "refused"),
    of("looping.msg", lambda: ole(struct.pack("<I", 2)), "refused"),
    of("looping.ppt", lambda: ole(b"\xff"), "refused"),
]
