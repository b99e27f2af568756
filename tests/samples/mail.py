"""Samples of eml, mbox, msg and mhtml."""

import struct
from collections.abc import Iterator, Mapping
from email.message import EmailMessage
from itertools import pairwise
from typing import Union

from tests.samples.sample import Sample

Storage = Mapping[str, Union[bytes, "Storage"]]

TEXT = "They harvest the moon in Nørrebro.\n\n> Who bought them?\n"


def eml() -> bytes:
    """A message in two forms, with an attached table, an attached message and a picture shown in the text."""
    inner = EmailMessage()
    inner["Subject"] = "Costs"
    inner["From"] = "Bob <bob@example.org>"
    inner.set_content("They are low.\n")
    message = EmailMessage()
    message["Subject"] = "Tidal turbines"
    message["From"] = "Søren Mole <mole@example.org>"
    message["To"] = "Ann <ann@example.org>, bob@example.org"
    message["Date"] = "Mon, 05 Jan 2026 10:00:00 +0100"
    message["Message-ID"] = "<m1@example.org>"
    message.set_content(TEXT)
    message.add_alternative(f"<p>{TEXT}</p><img src='cid:p'>", subtype="html")
    message.add_attachment(
        "part;place\nhub;Nørrebro\n".encode(), maintype="text", subtype="csv", filename="Bauteile für Søren.csv"
    )
    message.add_attachment(inner)
    message.add_attachment(b"\x89PNG...", maintype="image", subtype="png", disposition="inline", cid="<p>")
    return message.as_bytes()


def mbox(*messages: bytes) -> bytes:
    """A mailbox of some messages; lines in them that begin with "From " are protected."""
    out = b""
    for number, message in enumerate(messages):
        lines = (b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in message.split(b"\n"))
        out += b"From mole@example.org Mon Jan 05 10:%02d:00 2026\n%s\n\n" % (number % 60, b"\n".join(lines))
    return out


def simple(subject: str, text: str, message_id: str = "") -> bytes:
    message = EmailMessage()
    message["From"] = "mole@example.org"
    message["Subject"] = subject
    if message_id:
        message["Message-ID"] = message_id
    message.set_content(text)
    return message.as_bytes()


PAGE = """<html><head><title>Tidal turbines</title></head><body><h1>Tidal turbines</h1>
<p>They harvest the moon in N=F8rrebro=2E</p><iframe src="cid:f"></iframe></body></html>"""


def mhtml() -> bytes:
    return (
        "From: <Saved by Blink>\r\nSnapshot-Content-Location: https://example.org/\r\nSubject: Saved\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/related; type="text/html"; start="<root>"; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/html\r\nContent-ID: <f>\r\n\r\n<p>A frame.</p>\r\n"
        "--b\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-ID: <root>\r\n"
        f"Content-Transfer-Encoding: quoted-printable\r\n\r\n{PAGE}\r\n"
        "--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n--b--\r\n"
    ).encode()


# ── Outlook ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_SECTOR, _MINI, _CUTOFF = 512, 64, 4096
_END, _FREE, _FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


def compound(root: Storage) -> bytes:
    """A compound file ([MS-CFB], version 3) of nested storages."""
    names, kinds, contents, children = ["Root Entry"], [5], [b""], [list[int]()]
    waiting: list[tuple[int, Storage]] = [(0, root)]
    while waiting:
        parent, storage = waiting.pop()
        for name in sorted(storage, key=lambda name: (len(name), name.upper())):
            held = storage[name]
            children[parent].append(len(names))
            if not isinstance(held, bytes):
                waiting.append((len(names), held))
            names.append(name)
            kinds.append(2 if isinstance(held, bytes) else 1)
            contents.append(held if isinstance(held, bytes) else b"")
            children.append([])
    starts, mini, mini_fat = [_END] * len(names), b"", list[int]()
    for number, content in enumerate(contents):
        if 0 < len(content) < _CUTOFF:
            starts[number] = len(mini_fat)
            mini_fat += _chain(len(mini_fat), -(-len(content) // _MINI))
            mini += content.ljust(-(-len(content) // _MINI) * _MINI, b"\x00")
    contents[0] = mini
    return _laid_out(names, kinds, contents, children, starts, mini_fat)


def _chain(start: int, length: int) -> list[int]:
    return [*range(start + 1, start + length), _END]


def _laid_out(
    names: list[str],
    kinds: list[int],
    contents: list[bytes],
    children: list[list[int]],
    starts: list[int],
    mini_fat: list[int],
) -> bytes:
    """Header, FAT, mini FAT, streams, then the directory."""
    fat_sectors = 8
    fat = [_FAT] * fat_sectors
    body = b""

    def place(content: bytes) -> int:
        nonlocal body
        start, length = len(fat), -(-len(content) // _SECTOR)
        fat.extend(_chain(start, length))
        body += content.ljust(length * _SECTOR, b"\x00")
        return start

    mini_start = place(struct.pack(f"<{len(mini_fat)}I", *mini_fat).ljust(_SECTOR, b"\xff")) if mini_fat else _END
    for number, content in enumerate(contents):
        if len(content) >= _CUTOFF or (number == 0 and content):
            starts[number] = place(content)
    following = {child: after for row in children for child, after in pairwise(row)}
    directory = b""
    for number, name in enumerate(names):
        raw = name.encode("utf-16-le") + b"\x00\x00"
        first = children[number][0] if children[number] else _FREE
        directory += raw.ljust(64, b"\x00") + struct.pack(
            "<HBBIII16xIQQIQ", len(raw), kinds[number], 1, _FREE, following.get(number, _FREE), first, 0, 0, 0,
            starts[number], len(contents[number]),
        )  # fmt: skip
    directory_start = place(directory)
    assert len(fat) <= fat_sectors * 128
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(fat_sectors * _SECTOR, b"\xff")
    header = struct.pack(
        "<8s16xHHHHH6xIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6, 0, fat_sectors,
        directory_start, 0, _CUTOFF, mini_start, -(-len(mini_fat) * 4 // _SECTOR), _END, 0,
    )  # fmt: skip
    header += struct.pack("<109I", *range(fat_sectors), *[_FREE] * (109 - fat_sectors))
    return header + table + body


def properties(header: int, numbers: Mapping[int, int]) -> bytes:
    """A property stream ([MS-OXMSG] 2.4) of numbers by their tags (id and type)."""
    entries = (struct.pack("<HHIQ", tag & 0xFFFF, tag >> 16, 6, value) for tag, value in numbers.items())
    return bytes(header) + b"".join(entries)


def strings(values: Mapping[int, str]) -> Iterator[tuple[str, bytes]]:
    for tag, value in values.items():
        yield f"__substg1.0_{tag:04X}001F", value.encode("utf-16-le")


def recipient(kind: int, name: str, address: str) -> Storage:
    return {
        "__properties_version1.0": properties(8, {0x0C150003: kind}),
        **dict(strings({0x3001: name, 0x39FE: address})),
    }


def message(subject: str, body: str, header: int = 32) -> dict[str, bytes | Storage]:
    """A message sent 2026-01-05 09:00 UTC."""
    return {
        "__properties_version1.0": properties(header, {0x00390040: 134_120_772_000_000_000, 0x3FFD0003: 1252}),
        **dict(strings({0x0037: subject, 0x1000: body, 0x0C1A: "Mole", 0x5D01: "mole@example.org", 0x1035: "<o1@x>"})),
    }


def attachment(name: str, content: bytes, numbers: Mapping[int, int] | None = None, mime: str = "") -> Storage:
    return {
        "__properties_version1.0": properties(8, {0x37050003: 1, **(numbers or {})}),
        "__substg1.0_37010102": content,
        **dict(strings({0x3707: name, 0x370E: mime})),
    }


def msg() -> bytes:
    """A message with an attached text, a picture shown in the text and an attached message."""
    inner: Storage = {
        "__properties_version1.0": properties(8, {0x37050003: 5}),
        "__substg1.0_3701000D": message("Costs", "They are low.", 24),
        **dict(strings({0x3001: "Costs"})),
    }
    storages: dict[str, Storage] = {
        "__recip_version1.0_#00000000": recipient(1, "Ann", "ann@example.org"),
        "__recip_version1.0_#00000001": recipient(2, "Bob", "bob@example.org"),
        "__attach_version1.0_#00000000": attachment("parts.txt", b"A hub and a blade. " * 400),
        "__attach_version1.0_#00000001": attachment("p.png", b"\x89PNG", {0x37140003: 4}, "image/png"),
        "__attach_version1.0_#00000002": inner,
    }
    return compound({**message("Tidal turbines", TEXT), **storages})


SAMPLES: dict[str, list[Sample]] = {
    "eml": [Sample("sea.eml", eml(), "Tidal turbines", documents=3)],
    "mbox": [Sample("sea.mbox", mbox(eml(), simple("Second", "Text.\n")), "Tidal turbines", documents=4)],
    "msg": [Sample("sea.msg", msg(), "Tidal turbines", documents=3)],
    "mhtml": [Sample("sea.mhtml", mhtml(), "Tidal turbines")],
}
"""By the name of the parser's module."""
