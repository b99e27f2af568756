"""Pages, images and mail made to do harm: loops, streams that swell, pages and messages without number."""

import struct
import zlib
from email.message import EmailMessage

from tests.hostile.case import Hostile, of
from tests.hostile.packed import MB, gzipped, nested_zip, zeros
from tests.samples import first

GOOD = "Tidal turbines harvest the moon."
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 3 0 R>>>>/Contents 4 0 R>>"
TEXT = b"BT /F1 10 Tf 60 700 Td (Tidal turbines harvest the moon, all of them.) Tj ET"


def pdf(objects: list[bytes], *, offset: int = 0) -> bytes:
    """A PDF of objects, the first one its catalog; `offset` makes its table of places wrong."""
    parts, at, offsets = [b"%PDF-1.5\n"], 9, []
    for number, content in enumerate(objects, 1):
        offsets.append(at + offset)
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, content))
        at += len(parts[-1])
    table = b"".join(b"%010d 00000 n \n" % place for place in offsets)
    size = len(objects) + 1
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\n" % (size, table, size))
    return b"".join([*parts, b"startxref\n%d\n%%%%EOF" % at])


def stream(content: bytes, keys: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (keys, len(content), content)


FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"


def pages(count: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % (number + 5) for number in range(count))
    return pdf([CATALOG, b"<</Type/Pages/Count %d/Kids[%s]>>" % (count, kids), FONT, stream(TEXT), *[PAGE] * count])


def one_page(content: bytes, page: bytes = PAGE, *more: bytes, offset: int = 0) -> bytes:
    return pdf([CATALOG, b"<</Type/Pages/Count 1/Kids[5 0 R]>>", FONT, content, page, *more], offset=offset)


def swelling(size: int) -> bytes:
    packed = b"\x78\x01" + zeros(size) + struct.pack(">I", 0)
    return one_page(stream(packed, b"/Filter/FlateDecode"))


def deep_tree(levels: int) -> bytes:
    objects = [CATALOG]
    objects += [b"<</Type/Pages/Count 1/Kids[%d 0 R]>>" % (number + 3) for number in range(levels)]
    return pdf([*objects, b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 9 9]>>" % (levels + 1)])


def calling_itself() -> bytes:
    """A form that draws itself twice."""
    form = stream(b"/X Do /X Do " + TEXT, b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 6 0 R>>>>")
    page = PAGE.replace(b"<</Font", b"<</XObject<</X 6 0 R>>/Font")
    return one_page(stream(b"/X Do " + TEXT), page, form)


def png(width: int, height: int, content: bytes = b"") -> bytes:
    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", content) + part(b"IEND", b"")


def tiff(frames: int) -> bytes:
    """Frames of one pixel, each pointing to the next; the last one to the first."""
    parts = [b"II*\x00", struct.pack("<I", 8)]
    for number in range(frames):
        after = 8 + 114 * (number + 1) if number + 1 < frames else 8
        tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1), (278, 1), (279, 1)]
        parts += [struct.pack("<H", 9), *(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)]
        parts.append(struct.pack("<I", after))
    return b"".join(parts)


def mail(body: str = GOOD) -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Tide", "a@example.org", "b@example.org"
    message.set_content(body)
    return message.as_bytes()


def multiparts(depth: int) -> bytes:
    head = b"From: a@example.org\nSubject: Tide\nMIME-Version: 1.0\n"
    parts = [b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(depth)]
    return head + b"".join(parts) + b"Content-Type: text/plain\n\n" + GOOD.encode()


def messages(depth: int) -> bytes:
    return b"Subject: Tide\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n" * depth + mail()


def attached(name: str, content: bytes) -> bytes:
    message = EmailMessage()
    message["Subject"] = "Tide"
    message.set_content(GOOD)
    message.add_attachment(content, maintype="application", subtype="zip", filename=name)
    return message.as_bytes()


def many_parts(count: int) -> bytes:
    head = b'Subject: Tide\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
    return head + b"--b\nContent-Type: text/plain\n\ntide\n" * count + b"--b--\n"


def mbox(count: int) -> bytes:
    return b"".join(b"From a@b Thu Jan  1 00:00:00 2026\nSubject: %d\n\nTide %d.\n\n" % (n, n) for n in range(count))


HOSTILE: list[Hostile] = [
    # ── PDF ──
    of("pages.pdf", lambda: pages(10_000), "any"),
    of("too-many-pages.pdf", lambda: pages(10_001), "refused"),
    of("stated-pages.pdf", lambda: pages(1).replace(b"/Count 1/", b"/Count 2000000000/"), "read"),
    of("looping-tree.pdf", lambda: pdf([CATALOG, b"<</Type/Pages/Count 2/Kids[2 0 R 2 0 R]>>"]), "refused"),
    of("deep-tree.pdf", lambda: deep_tree(50_000), "refused"),
    of("swelling.pdf", lambda: swelling(600 * MB), "refused"),
    of("filters.pdf", lambda: one_page(stream(zeros(MB), b"/Filter[%s]" % (b"/FlateDecode" * 5000))), "refused"),
    of("places.pdf", lambda: one_page(stream(TEXT), offset=77), "read"),
    of("no-places.pdf", lambda: one_page(stream(TEXT))[:-120], "refused"),
    of("cut.pdf", lambda: first.pdf(first.PDF_PAGES)[:300], "refused"),
    of("itself.pdf", calling_itself, "refused"),
    of("length.pdf", lambda: one_page(b"<</Length 4 0 R>>stream\n" + TEXT + b"\nendstream"), "read"),
    of("huge-page.pdf", lambda: one_page(stream(TEXT), PAGE.replace(b"595 842", b"9e30 9e30")), "read"),
    of("locked.pdf", lambda: first.pdf(first.PDF_PAGES, encrypted=True), "refused", "password|encrypted"),
    of("brackets.pdf", lambda: one_page(stream(b"[" * 500_000 + TEXT)), "refused"),
    of("states.pdf", lambda: one_page(stream(b"q " * 1_000_000 + TEXT)), "read"),
    # ── images ──
    of("absurd.png", lambda: png(60_000, 60_000, zlib.compress(bytes(MB))), "refused"),
    of("impossible.png", lambda: png(2**31 - 1, 2**31 - 1), "refused"),
    of("cut.png", lambda: png(500, 500, zlib.compress(bytes(999)))[:-40], "refused"),
    of(
        "absurd.gif",
        lambda: (
            b"GIF89a"
            + struct.pack("<HHBBB", *[65535] * 2, *[0] * 3)
            + b","
            + struct.pack("<HHHHB", 0, 0, *[65535] * 2, 0)
            + b"\2\1\1\0;"
        ),
        "refused",
    ),
    of("looping.tiff", lambda: tiff(3), "refused"),
    of("frames.tiff", lambda: tiff(5_000), "refused"),
    of("noise.jpg", lambda: b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40, "refused"),
    # ── mail ──
    of("multiparts.eml", lambda: multiparts(10_000), "refused"),
    of("messages.eml", lambda: messages(300), "partly"),
    of("parts.eml", lambda: many_parts(10_000), "read"),
    of("header.eml", lambda: b"Subject: " + b"tide " * (2 * MB) + b"\n\n" + GOOD.encode(), "read"),
    of("headers.eml", lambda: b"X-Tide: moon\n" * 50_000 + b"\n" + GOOD.encode(), "any"),
    of("encoded.eml", lambda: b"Subject: " + b"=?utf-8?q?tide?= " * 30_000 + b"\n\n" + GOOD.encode(), "read"),
    of("charset.eml", lambda: mail().replace(b'"utf-8"', b'"rot13\xff"'), "read"),
    of("addresses.eml", lambda: b"From: " + b"(" * 50_000 + b"\nSubject: tide\n\n" + GOOD.encode(), "refused"),
    of("bomb.eml", lambda: attached("a.gz", gzipped(300 * MB)), "partly", "bytes"),
    of("nested.eml", lambda: attached("a.zip", nested_zip(12)), "partly", "containers"),
    of("messages.mbox", lambda: mbox(100_000), "partly"),
]
