"""Mailboxes (mbox, RFC 4155): every message is a document of its own, with its attachments."""

import re
from collections.abc import Iterator
from functools import partial

from ingest import nested, parsers
from ingest.errors import Damaged
from ingest.nested import Member
from ingest.parsers import _mail
from ingest.types import Failed, Parsed, Source

MEDIA_TYPES = ("application/mbox",)
SUFFIXES = (".mbox",)

# A line like "From ann@example.org Mon Jun 01 04:28:28 2009" with a header after it: a sentence that begins with
# "From" has none, and not every program puts a blank line before or a ">" where it should.
_BOUNDARY = re.compile(
    rb"^From [^\r\n]{0,998}?\d\d:\d\d[^\r\n]{0,998}\r?\n(?=[!-9;-~]{1,76}[ \t]*:|>From )|\AFrom [^\r\n]{0,998}\r?\n",
    re.MULTILINE,
)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_ID = re.compile(rb"^message-id[ \t]*:\s*<?([^\s<>]{1,500})", re.MULTILINE | re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\n\r?\n")


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """The messages in order, split one at a time. A fragment is the Message-ID, else "message=N", counted from 1; that
    of an attachment has its name behind it. A message that cannot be read is Failed. Raises Damaged (no mailbox)."""
    tally = yield from nested.members(source, _messages(source))
    if not tally.read:
        raise Damaged(f'{source.uri}: no line of it begins a message ("From …"); if it is one message, name it .eml')


def _messages(source: Source) -> Iterator[Member]:
    content = source.content
    start: int | None = None
    number = 0
    for boundary in _BOUNDARY.finditer(content):
        if start is not None:
            number += 1
            yield _member(content, start, boundary.start(), number)
        start = boundary.end()
    if start is not None:
        yield _member(content, start, len(content), number + 1)


def _member(content: bytes, start: int, end: int, number: int) -> Member:
    blank = _BLANK_LINE.search(content, start, end)
    found = _ID.search(content, start, blank.start() if blank else end)
    path = _mail.decoded(found[1].decode("utf-8", "surrogateescape")) if found else ""
    return Member(
        path or f"message={number}", partial(_unquoted, content, start, end), "message/rfc822", parse=parsers.parse
    )


def _unquoted(content: bytes, start: int, end: int) -> bytes:
    """A message without the ">" that protects lines beginning with "From "."""
    return _QUOTED.sub(rb"\1", content[start:end])
