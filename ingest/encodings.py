"""Bytes become text: a byte order mark decides, then what the file declares, then UTF-8, then statistics."""

import codecs
import re
from contextlib import suppress

from ingest.errors import Damaged, Unsupported

_MARKS = (  # UTF-32 first: its little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 65_536  # bytes that the statistics look at
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_NO_CHARSETS = ("idna", "punycode", "unicode-escape", "raw-unicode-escape", "utf-7")  # no page is written in these
_WEB_LATIN = ("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii")  # browsers read these as windows-1252


def decode(content: bytes, uri: str, *declared: str | None) -> str:
    """The text of some bytes. `uri` names them in errors; the first of the declared encodings that fits is taken.

    Raises Unsupported when they are no text at all, Damaged when they begin as one encoding and break off.
    """
    encoding = _marked(content) or _wide(content)
    if encoding:
        return _strict(content, encoding, uri)
    if b"\x00" in content[:_SAMPLE]:
        raise Unsupported(f"{uri}: this is binary data, not text; save it as text, or in one of the known formats")
    said = (_declared(content, name) for name in declared)
    text = next((text for text in said if text is not None), None)
    if text is None:
        text = _utf8(content)
    if text is None:
        text = _guessed(content, uri)
    if len(_CONTROL.findall(text[:_SAMPLE])) * 50 > min(len(text), _SAMPLE):
        raise Unsupported(f"{uri}: this is binary data, not text; save it as text, or in one of the known formats")
    return text


def _marked(content: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)


def _wide(content: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of Latin text is NUL."""
    sample = content[:4096]
    if len(sample) < 8 or len(content) % 2:
        return None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if odd * 10 > half * 7 and even * 20 < half:
        return "utf-16-le"
    if even * 10 > half * 7 and odd * 20 < half:
        return "utf-16-be"
    return None


def _strict(content: bytes, encoding: str, uri: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise Damaged(
            f"{uri}: it begins as {encoding.upper()} but byte {error.start} does not fit; save it again as UTF-8"
        ) from error


def _declared(content: bytes, declared: str | None) -> str | None:
    if not declared:
        return None
    latin = declared.strip().lower() in _WEB_LATIN
    if latin and not content.isascii():  # servers say Latin-1 of everything; no Latin-1 text is UTF-8 by chance
        with suppress(UnicodeDecodeError):
            return content.decode("utf-8")
    try:
        name = codecs.lookup("windows-1252" if latin else declared.strip()).name
        return None if name in _NO_CHARSETS else content.decode(name)
    except (LookupError, UnicodeError, ValueError):
        return None


def _utf8(content: bytes) -> str | None:
    """As UTF-8; a few broken bytes among many good sequences are shown as U+FFFD."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    good = sum(1 for character in text if character > "\x7f") - broken
    return text if broken * 10 <= good else None


def _guessed(content: bytes, uri: str) -> str:
    """By the statistics of charset-normalizer over the part that is not plain ASCII."""
    from charset_normalizer import from_bytes

    first = _NOT_ASCII.search(content)
    start = max(0, (first.start() if first else 0) - 512)
    for sample in (content[start : start + _SAMPLE], content):
        # Of equally likely ones the commoner: a short text in windows-1252 could be windows-1250 as well.
        best = min(from_bytes(sample), key=lambda match: (match.chaos, match.encoding != "cp1252"), default=None)
        if best is None:
            break
        try:
            return content.decode(best.encoding)
        except UnicodeDecodeError:
            continue
    raise Unsupported(f"{uri}: its encoding cannot be told, or it is no text at all; save it again as UTF-8")
