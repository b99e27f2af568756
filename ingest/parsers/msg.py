"""Outlook messages (.msg, [MS-OXMSG]): the text with sender, recipients and dates; attachments as documents."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ingest import nested
from ingest.errors import Damaged, Empty, IngestError
from ingest.formats import ole
from ingest.nested import Member
from ingest.parsers import _mail, _rtf_packed, rtf
from ingest.types import Block, Failed, Parsed, Source

if TYPE_CHECKING:
    from olefile import OleFileIO

MEDIA_TYPES = ("application/vnd.ms-outlook",)
SUFFIXES = (".msg",)

# Property ids of [MS-OXPROPS].
_SUBJECT, _BODY, _HTML, _RTF = 0x0037, 0x1000, 0x1013, 0x1009
_SENDER = ((0x0042, (0x5D02, 0x0065)), (0x0C1A, (0x5D01, 0x0C1F)))  # who it is from, then who sent it for them
_MESSAGE_ID, _SUBMITTED, _DELIVERED = 0x1035, 0x0039, 0x0E06
_CODE_PAGES = (0x3FDE, 0x3FFD)  # of HTML, of other strings
_DISPLAY_TO, _DISPLAY_CC = 0x0E04, 0x0E03
_KIND, _NAME, _SMTP, _ADDRESS = 0x0C15, 0x3001, 0x39FE, 0x3003  # of a recipient
_METHOD, _LONG_NAME, _SHORT_NAME, _MIME_TYPE, _DATA = 0x3705, 0x3707, 0x3704, 0x370E, 0x3701  # of an attachment
_FLAGS, _HIDDEN = 0x3714, 0x7FFE
_EMBEDDED, _IN_HTML = 5, 4  # a method: it is a message; a flag: a picture in the text

_ENTRY = struct.Struct("<HHI8s")  # type, id, flags, value: [MS-OXMSG] 2.4.2
_LONG = struct.Struct("<I")
_FILETIME = struct.Struct("<Q")
_TEXT, _BYTES = (0x001F, 0x001E), 0x0102  # types of properties: strings in UTF-16 and in a code page; bytes
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)

_Path = tuple[str, ...]


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """The message, then its attachments in order, attached messages with theirs; as mail in .eml is read.

    Raises Damaged, Empty, TooLarge.
    """
    with ole.open_ole(source.content, source.uri) as container:
        if not container.exists("__properties_version1.0"):
            raise Damaged(f"{source.uri}: it is no Outlook message; open it in its own program and save it again")
        yield from _message(source, container, (), 32)


def _message(source: Source, container: "OleFileIO", root: _Path, header: int) -> Iterator[Parsed | Failed]:
    source = nested.limited(source)
    item = _Item(source, container, root, header)
    attachments = list(_attachments(source, container, root))
    document = _mail.document(_about(item), _blocks(item), [member.path for member in attachments])
    if document is not None:
        yield document
    tally = yield from nested.members(source, attachments)
    if document is None and not tally.read:
        raise Empty(f"{source.uri}: the message has neither subject nor text, nor an attachment that can be read")


@dataclass(frozen=True)
class _Item:
    """The properties of a message, a recipient or an attachment: the streams of one storage."""

    source: Source
    container: "OleFileIO"
    path: _Path
    header: int  # bytes before the entries of its property stream: [MS-OXMSG] 2.4.1

    def stream(self, name: str) -> bytes:
        """Raises Damaged; TooLarge: streams may lie over one another and so be more than the file."""
        place = [*self.path, name]
        if not self.container.exists(place) or self.container.get_type(place) != 2:
            return b""
        uri, size = self.source.uri, self.container.get_size(place)
        if size > len(self.source.content):
            raise Damaged(f"{uri}: it is cut off or damaged ({name} is longer than the file); save it again")
        if self.source.allowance:
            self.source.allowance.unpack(size, uri)
        try:
            with self.container.openstream(place) as stream:
                return bytes(stream.read())
        except Exception as error:  # olefile raises whatever a broken sector table leads to
            raise Damaged(f"{uri}: it is cut off or damaged ({error}); save it again") from error

    @cached_property
    def fixed(self) -> dict[int, bytes]:
        """Eight bytes for each property of a fixed length."""
        entries = self.stream("__properties_version1.0")[self.header :]
        whole = len(entries) - len(entries) % _ENTRY.size
        return {tag: value for _, tag, _, value in _ENTRY.iter_unpack(entries[:whole])}

    def number(self, tag: int) -> int:
        return int(_LONG.unpack_from(self.fixed.get(tag, bytes(8)))[0])

    def data(self, tag: int) -> bytes:
        return self.stream(f"__substg1.0_{tag:04X}{_BYTES:04X}")

    def text(self, tag: int) -> str:
        wide, narrow = (self.stream(f"__substg1.0_{tag:04X}{kind:04X}") for kind in _TEXT)
        if wide:
            return wide.decode("utf-16-le", "replace").strip("\x00")
        return _mail.words(narrow, self.charset).strip("\x00")

    @cached_property
    def charset(self) -> str | None:
        page = next((page for page in map(self.number, reversed(_CODE_PAGES)) if page), 0)
        return _charset(page)

    def time(self, tag: int) -> str:
        """A point in time in ISO 8601; "" when the property is missing or says nothing."""
        ticks = _FILETIME.unpack_from(self.fixed.get(tag, bytes(8)))[0]  # of 100 ns
        try:
            return (_EPOCH + timedelta(microseconds=ticks // 10)).isoformat(timespec="seconds") if ticks else ""
        except OverflowError:
            return ""


def _charset(page: int) -> str | None:
    return {0: None, 65001: "utf-8", 1200: "utf-16-le", 20127: "ascii", 28591: "iso-8859-1"}.get(page, f"cp{page}")


def _about(item: _Item) -> _mail.About:
    to, cc = _recipients(item, 1), _recipients(item, 2)
    return _mail.About(
        subject=" ".join(item.text(_SUBJECT).split()),
        sender=next((person for person in (_sender(item, *tags) for tags in _SENDER) if person), ""),
        to=to or _names(item.text(_DISPLAY_TO)),
        cc=cc or _names(item.text(_DISPLAY_CC)),
        date=item.time(_SUBMITTED) or item.time(_DELIVERED),
        message_id=item.text(_MESSAGE_ID).strip("<> "),
    )


def _sender(item: _Item, name: int, tags: tuple[int, ...]) -> str:
    """Name and address; an address of Exchange's own ("/O=…") is none that anybody could write to."""
    addresses = (item.text(tag) for tag in tags)
    return _mail.person(item.text(name), next((found for found in addresses if "@" in found), ""))


def _recipients(item: _Item, kind: int) -> list[str]:
    found = []
    for path in _storages(item.container, item.path, "__recip_version1.0_#"):
        recipient = _Item(item.source, item.container, path, 8)
        if recipient.number(_KIND) == kind:
            found.append(_sender(recipient, _NAME, (_SMTP, _ADDRESS)))
    return [person for person in found if person]


def _names(said: str) -> list[str]:
    return [name for part in said.split(";") if (name := part.strip())]


def _storages(container: "OleFileIO", root: _Path, prefix: str) -> list[_Path]:
    """The storages directly below one whose names begin so, in order."""
    entries = container.listdir(streams=False, storages=True)
    depth = len(root) + 1
    return sorted(tuple(e) for e in entries if len(e) == depth and tuple(e[:-1]) == root and e[-1].startswith(prefix))


def _blocks(item: _Item) -> list[Block]:
    """The text: plain if there is one, else of the HTML, else of the packed RTF."""
    uri = item.source.uri
    body = item.text(_BODY)
    if body.strip():
        return _mail.plain_blocks(body, uri)
    page = item.data(_HTML)
    html = _mail.words(page, _charset(item.number(_CODE_PAGES[0]))) if page else item.text(_HTML)
    if html.strip():
        return _mail.html_blocks(html, uri)
    packed = item.data(_RTF)
    if not packed:
        return []
    content = _rtf_packed.unpacked(packed, uri)
    try:
        return [block for parsed in rtf.parse(Source(uri, "application/rtf", content)) for block in parsed.blocks]
    except Empty:
        return []


def _attachments(source: Source, container: "OleFileIO", root: _Path) -> Iterator[Member]:
    for number, path in enumerate(_storages(container, root, "__attach_version1.0_#"), 1):
        item = _Item(source, container, path, 8)
        kind = item.text(_MIME_TYPE).strip().lower()
        shown = item.number(_FLAGS) & _IN_HTML or item.fixed.get(_HIDDEN, b"\x00")[0]
        name = (item.text(_LONG_NAME) or item.text(_SHORT_NAME) or item.text(_NAME)).replace("\\", "/")
        name = PurePosixPath(name.replace("\x00", "")).name or f"part-{number}"
        if item.number(_METHOD) == _EMBEDDED:
            inner = (*path, f"__substg1.0_{_DATA:04X}000D")
            name = name if name.lower().endswith(".msg") else f"{name}.msg"
            yield Member(
                name, lambda: source.content, MEDIA_TYPES[0], parse=partial(_embedded, container=container, root=inner)
            )
        elif not (shown and (kind.startswith("image/") or not kind)):
            yield Member(name, partial(item.data, _DATA), kind)


def _embedded(source: Source, *, container: "OleFileIO", root: _Path) -> Iterator[Parsed | Failed]:
    """An attached message: a storage in the same file."""
    try:
        yield from _message(source, container, root, 24)
    except IngestError:
        raise
    except Exception as error:  # the message around it is not affected
        raise Damaged(f"{source.uri}: it cannot be read ({type(error).__name__}: {error}); save it again") from error
