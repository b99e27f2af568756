"""What the mail formats share: headers become text and metadata, bodies become blocks, whatever their encoding."""

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32
from email.utils import getaddresses, parsedate_to_datetime
from pathlib import PurePosixPath

from ingest.encodings import decode
from ingest.errors import Damaged, Empty, IngestError
from ingest.parsers import html, text
from ingest.types import Block, MetadataValue, Parsed, Source

MAX_HEADER = 256 * 1024
"""Characters of one header that are read; more recipients than fit are left out of the metadata."""

_BOM = codecs.BOM_UTF8
_LINE_FOLDS = re.compile(r"[\r\n]+(?=[ \t])|[\r\n]+")
_JAPANESE = "iso2022_jp_ext"
_CHARSET = re.compile(r"[a-z0-9._:+-]{1,40}")
_WIDER = {  # what senders call the narrow one they mean the wide one by, as browsers read it (WHATWG Encoding)
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "big5": "big5hkscs",
    "iso-2022-jp": _JAPANESE,
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
}
_BEYOND_ASCII = bytes(range(0x80, 0x100))
_ESCAPED = re.compile(rb"\x1b\$[@B(]")  # ISO-2022-JP switches to two bytes a character


class _Bare(Compat32):
    """Headers as they stand in the file, bytes that are not ASCII as surrogates; nothing is parsed, nothing raised."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class About:
    """What the headers of a message say."""

    subject: str = ""
    sender: str = ""
    to: Sequence[str] = ()
    cc: Sequence[str] = ()
    date: str = ""  # ISO 8601
    message_id: str = ""
    language: str = ""


def load(source: Source) -> Message:
    """The message that some bytes are; a whole file in UTF-16 too, which is then a message in UTF-8.

    Raises Empty; Damaged: it has no headers.
    """
    content = source.content
    wide = content[:64].count(0) > 16  # UTF-16; a stray NUL is none
    if wide:
        content = decode(content, source.uri).encode("utf-8", "replace")
    content = content.removeprefix(_BOM).lstrip(b"\r\n")
    if not content.strip():
        raise Empty(f"{source.uri}: the message is empty; leave it out")
    message = BytesParser(policy=_Bare()).parsebytes(content)
    if not message.keys():
        raise Damaged(f"{source.uri}: it is no mail, it does not begin with headers; save it again as .eml")
    for part in message.walk() if wide else ():
        if str(part.get("content-transfer-encoding") or "").strip().lower() not in ("base64", "quoted-printable"):
            part.set_param("charset", "utf-8")  # whatever it was before the whole file was written as UTF-16
    return message


# ── headers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def about(message: Message) -> About:
    return About(
        subject=header(message, "subject"),
        sender=", ".join(addresses(message, "from")) or ", ".join(addresses(message, "sender")),
        to=addresses(message, "to"),
        cc=addresses(message, "cc"),
        date=date(_raw(message, "date")),
        message_id=header(message, "message-id").strip("<> "),
        language=header(message, "content-language").partition(",")[0].strip(),
    )


def header(message: Message, name: str) -> str:
    """A header as text on one line, its encoded words (RFC 2047) decoded; "" when it is missing."""
    return decoded(_raw(message, name))


def addresses(message: Message, name: str) -> list[str]:
    """The people in a header, each as "Name <address>" or the address alone."""
    raw = _raw(message, name)
    found = [person(decoded(name), decoded(address)) for name, address in getaddresses([raw]) if address[:1] != "@"]
    return [one for one in found if one] or ([decoded(raw)] if "@" in raw else [])


def person(name: str, address: str) -> str:
    """Name <address>; either alone where there is no other, or where the name says the address too."""
    if not name or name.strip("'\" ") == address:
        return address
    if address in name:
        return name
    return f"{name} <{address}>" if address else name


def date(value: str) -> str:
    """A date of RFC 5322 in ISO 8601; "" when it is none, without a zone where the sender did not know it."""
    try:
        return parsedate_to_datetime(value).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(value.strip()).isoformat()
    except ValueError:
        return ""


def decoded(value: str) -> str:
    """A raw header value as text: encoded words, and bytes that stand there although they should not."""
    value = _LINE_FOLDS.sub(" ", value)
    try:
        parts = decode_header(value) if "=?" in value else [(value, None)]
    except (HeaderParseError, ValueError):  # an encoded word that is none
        parts = [(value, None)]
    return " ".join("".join(_part(part, charset) for part, charset in parts).split())


def _part(part: bytes | str, charset: str | None) -> str:
    if isinstance(part, str):
        if part.isascii() and "\x1b" not in part:
            return part
        part = part.encode("utf-8", "surrogateescape")
    return words(part, charset)


def _raw(message: Message, name: str) -> str:
    return str(message.get(name) or "")[:MAX_HEADER]


# ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def words(content: bytes, charset: str | None) -> str:
    """Some bytes as text: as declared, read as widely as browsers do, else as the bytes look; never fails."""
    charset = _wider(charset)
    if charset == _JAPANESE or (not charset and _ESCAPED.search(content)):
        # Its bytes are all ASCII: any other reading would succeed, with letter salad.
        return content.decode(_JAPANESE, "replace")
    try:
        if _is_latin(content):
            return decode(content, "", charset or None, "utf-8", "windows-1252")
        return decode(content, "", charset or None)
    except IngestError:
        return content.decode("utf-8", "replace")


def _is_latin(content: bytes) -> bool:
    """Whether a text has few letters beyond ASCII: too few for statistics, and in a European language."""
    beyond = len(content) - len(content.translate(None, _BEYOND_ASCII))
    return beyond < 32 and beyond * 3 < len(content)


def children(part: Message) -> list[Message]:
    """The parts in a part, the message in an attached one."""
    found = part.get_payload() if part.is_multipart() else []  # else it would be decoded, by whatever it claims to be
    return [child for child in found if isinstance(child, Message)] if isinstance(found, list) else []


def payload(part: Message) -> bytes:
    """The bytes of a part, its transfer encoding undone as far as it goes."""
    found = part.get_payload(decode=True)
    return found if isinstance(found, bytes) else b""


def charset(part: Message) -> str | None:
    """The encoding that a part names, by its wider name; None when it names none, or nothing that could be one."""
    try:
        found = part.get_param("charset")
    except (ValueError, LookupError):
        return None
    return _wider(found[2] if isinstance(found, tuple) else found) or None


def _wider(charset: str | None) -> str:
    name = (charset or "").strip("'\" \t").lower()
    return _WIDER.get(name, name) if _CHARSET.fullmatch(name) else ""


def filename(part: Message) -> str:
    """The file name of an attachment, without folders; "" when it has none."""
    try:
        found = part.get_filename() or ""
    except (ValueError, LookupError):  # the name is in an encoding whose own name is damaged (RFC 2231)
        found = "unnamed"
    return PurePosixPath(decoded(found).replace("\\", "/").replace("\x00", "")).name


def plain_blocks(body: str, uri: str) -> list[Block]:
    """The paragraphs and lists of a plain text, quoted lines included."""
    return _blocks(text.parse(Source(uri, "text/plain", _marked(body))))


def html_blocks(page: str, uri: str) -> list[Block]:
    return _blocks(html.parse(Source(uri, "text/html", _marked(page))))


def _marked(body: str) -> bytes:
    """With a byte order mark: the parser then neither guesses nor believes an encoding that the text names."""
    return _BOM + body.encode("utf-8", "replace")


def _blocks(found: Iterable[Parsed]) -> list[Block]:
    try:
        return [block for parsed in found for block in parsed.blocks]
    except Empty:
        return []


def unflowed(body: str, *, delete_space: bool) -> str:
    """A text of format=flowed (RFC 3676) with its soft line breaks undone; quoted lines keep their marks."""
    lines: list[str] = []
    depth, soft = 0, False  # of the line before
    for line in body.replace("\r\n", "\n").split("\n"):
        bare = line.lstrip(">")
        quotes = len(line) - len(bare)
        bare = bare.removeprefix(" ")
        flows = bare.endswith(" ") and bare != "-- "
        kept = bare[:-1] if flows and delete_space else bare
        if soft and quotes == depth and bare != "-- ":
            lines[-1] += kept
        else:
            lines.append(f"{'>' * quotes} {kept}" if quotes else kept)
        depth, soft = quotes, flows
    return "\n".join(lines)


def document(about: About, blocks: Sequence[Block], attachments: Sequence[str]) -> Parsed | None:
    """The message itself; one without a text is found by its subject. None when it has neither."""
    metadata: dict[str, MetadataValue] = {
        "subject": about.subject,
        "from": about.sender,
        "to": list(about.to),
        "cc": list(about.cc),
        "date": about.date,
        "message_id": about.message_id,
        "language": about.language,
        "attachments": list(attachments),
    }
    if not blocks and about.subject:
        blocks = [Block("paragraph", about.subject)]
    if not blocks:
        return None
    return Parsed(blocks, about.subject, metadata={key: value for key, value in metadata.items() if value})
