"""Mail messages (RFC 5322, MIME): the text with its headers as metadata; every attachment is a document of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from functools import partial

from ingest import nested, parsers
from ingest.errors import Damaged, Empty, Encrypted
from ingest.nested import Member
from ingest.parsers import _mail
from ingest.types import Block, Failed, Parsed, Source

MEDIA_TYPES = ("message/rfc822",)
SUFFIXES = (".eml",)

_SEALED = ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")
_REPORTS = ("message/delivery-status", "message/disposition-notification", "text/rfc822-headers")


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """The message, then its attachments in order, those that are messages too; pictures shown in the text are left out.

    Plain text is preferred to HTML, quoted replies are kept. The fragment of an attachment is its file name. The
    metadata names all attachments, also those of kinds that are not read. Raises Empty, Encrypted (PGP or S/MIME),
    Damaged (no mail).
    """
    message = _mail.load(source)
    found = _read(message, source.uri)
    if not found.blocks and message.get_content_type() in _SEALED:
        raise Encrypted(f"{source.uri}: the message is encrypted (PGP or S/MIME); save it decrypted and add it again")
    attachments = [_member(part, number) for number, part in enumerate(found.attachments, 1)]
    document = _mail.document(_mail.about(message), found.blocks, [member.path for member in attachments])
    if document is not None:
        yield document
    tally = yield from nested.members(source, attachments)
    if document is None and not tally.read:
        raise Empty(f"{source.uri}: the message has neither subject nor text, nor an attachment that can be read")


@dataclass(frozen=True, slots=True)
class _Found:
    """What a part of a message holds."""

    blocks: list[Block] = field(default_factory=list)
    is_plain: bool = False
    attachments: list[Message] = field(default_factory=list)


def _read(part: Message, uri: str) -> _Found:
    """The text and the attachments of a part and of the parts in it."""
    kind = part.get_content_type()
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        found = [_read(child, uri) for child in _mail.children(part)]
        attachments = [attachment for one in found for attachment in one.attachments]
        if kind == "multipart/alternative":
            best = _best(found)
            return _Found(best.blocks, best.is_plain, attachments)
        plain = all(one.is_plain for one in found if one.blocks)
        return _Found([block for one in found for block in one.blocks], plain, attachments)
    if kind in _REPORTS:
        return _Found()
    if part.get_content_maintype() == "image" and part.get_content_disposition() != "attachment":
        return _Found()
    if _is_body(part):
        return _Found(_blocks(part, uri), kind != "text/html")
    return _Found(attachments=[part])


def _best(found: list[_Found]) -> _Found:
    """Of several forms of one text: plain text, else the last, which is the richest (RFC 2046, 5.1.4)."""
    plain = next((one for one in found if one.blocks and one.is_plain), None)
    return plain or next((one for one in reversed(found) if one.blocks), _Found())


def _is_body(part: Message) -> bool:
    """Whether a part is to be read as the message's text. A multipart without parts counts as text: it is broken."""
    if part.get_content_disposition() == "attachment" or _mail.filename(part):
        return False
    broken = part.get_content_maintype() == "multipart" and not part.is_multipart()
    return broken or part.get_content_type() in ("text/plain", "text/html", "text/enriched")


def _blocks(part: Message, uri: str) -> list[Block]:
    text = _mail.words(_mail.payload(part), _mail.charset(part))
    if not text.strip():
        return []
    if part.get_content_type() == "text/html":
        return _mail.html_blocks(text, uri)
    if str(part.get_param("format") or "").lower() == "flowed":
        text = _mail.unflowed(text, delete_space=str(part.get_param("delsp") or "").lower() == "yes")
    return _mail.plain_blocks(text, uri)


def _member(part: Message, number: int) -> Member:
    kind = part.get_content_type()
    path = _mail.filename(part) or f"part-{number}"
    if kind == "message/rfc822":
        path = path if path.lower().endswith(".eml") else f"{path}.eml"
        return Member(path, partial(_message, part), kind, parse=parsers.parse)
    return Member(path, partial(_mail.payload, part), kind, _mail.charset(part))


def _message(part: Message) -> bytes:
    """The bytes of an attached message. Raises Damaged."""
    if not part.is_multipart():
        return _mail.payload(part)
    message = next(iter(_mail.children(part)), Message())
    if not message.keys() and str(part.get("content-transfer-encoding") or "").strip().lower() == "base64":
        message["content-transfer-encoding"] = "base64"  # forbidden by RFC 2046, 5.2.1, and done
        return _mail.payload(message)
    try:
        return message.as_bytes()
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Damaged(f"the attached message cannot be read ({error}); save it as a file of its own") from error
