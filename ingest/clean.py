"""Texts become comparable and safe to store: one Unicode form, one line end, no control characters; blocks are joined.

What is removed carries no meaning for a reader and breaks a search or a database: NUL and other control characters,
lone surrogates (shown as U+FFFD), soft hyphens, zero-width spaces, direction overrides, invisible tag characters.
Joiners stay: Persian, Indic scripts and emoji are spelled with them.
"""

import re
import unicodedata
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from ingest.errors import Empty
from ingest.languages.detection import detect, primary
from ingest.types import BlockKind, Document, Mark, Metadata, MetadataValue, Parsed, Source

_LINE_ENDS = re.compile("\r\n?|\x85|\u2028|\u2029|\x0b|\x0c")
_SURROGATES = re.compile("[\ud800-\udfff]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u180e\u200b\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\U000e0000-\U000e007f]"
)
_BLANKS = "[ \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]"
_BLANK_RUN = re.compile(rf"{_BLANKS}{{2,}}|(?! ){_BLANKS}")  # all runs but a single plain space
_INNER_RUN = re.compile(rf"(?<=\S)(?:{_BLANKS}{{2,}}|(?! ){_BLANKS})(?=\S)")
_TRAILING = re.compile(rf"(?<!{_BLANKS}){_BLANKS}++$", re.MULTILINE)  # linear: of a long run, each start is tried once
_LEADING = re.compile(rf"^{_BLANKS}+", re.MULTILINE)
_EMPTY_LINES = re.compile(r"\n{3,}")


def characters(text: str) -> str:
    """The text in NFC with "\\n" line ends and without invisible or impossible characters; blanks are kept."""
    if not text.isascii():
        text = _SURROGATES.sub("\ufffd", text)
    text = _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))
    return unicodedata.normalize("NFC", text)


def clean(text: str, kind: BlockKind) -> str:
    """The normalised text of a block, "" when nothing is left. Cleaning what is clean changes nothing.

    Runs of blanks become one space; lists and tables keep the blanks that indent a line, code keeps every blank within
    its lines, a heading becomes one line.
    """
    text = characters(text)
    if kind == "heading":
        return " ".join(text.split())
    if kind == "code":
        return _TRAILING.sub("", text).strip("\n")
    text = _TRAILING.sub("", text)
    text = _BLANK_RUN.sub(" ", _LEADING.sub("", text)) if kind == "paragraph" else _INNER_RUN.sub(" ", text)
    return _EMPTY_LINES.sub("\n\n", text).strip("\n")


def assemble(source: Source, parsed: Parsed) -> Document:
    """Join the cleaned blocks of a document by blank lines and mark where each begins.

    Every block gives a mark of its kind, headings with their level and text; the first block of a page gives a page
    mark before it. Raises Empty when no block has text.
    """
    parts: list[str] = []
    outline: list[Mark] = []
    offset, page = 0, None
    for block in parsed.blocks:
        text = clean(block.text, block.kind)
        if not text.strip():
            continue
        if block.page is not None and block.page != page:
            page = block.page
            outline.append(Mark(offset, "page", str(page)))
        value = text if block.kind == "heading" else ""
        outline.append(Mark(offset, block.kind, value, block.level))
        parts.append(text)
        offset += len(text) + 2
    uri = f"{source.uri}#{quote(characters(parsed.fragment), safe='')}" if parsed.fragment else source.uri
    if not parts:
        raise Empty(f"{uri}: there is no text in it; leave it out, or replace it by a version with text")
    text = "\n\n".join(parts)
    return Document(
        uri=uri,
        external_id=None if parsed.external_id is None else characters(parsed.external_id),
        title=clean(parsed.title, "heading"),
        name=clean(parsed.name, "heading") or _name(source.uri, parsed.fragment),
        text=text,
        outline=tuple(outline),
        metadata=_spoken(_metadata(parsed.metadata), text),
        media_type=parsed.media_type or source.media_type,
    )


def _spoken(metadata: dict[str, MetadataValue], text: str) -> dict[str, MetadataValue]:
    """The metadata with the language of the text, which the document itself knows best; none when it cannot be told."""
    if primary(metadata.get("language")):
        return metadata
    told = detect(text)
    rest = {key: value for key, value in metadata.items() if key != "language"}
    return {**rest, "language": told} if told else rest


def _name(uri: str, fragment: str) -> str:
    """What to call a place: the file name of its address, and which part of the file."""
    rest = uri.partition(":")[2] if uri.startswith(("upload:", "text:")) else urlsplit(uri).path
    name = clean(PurePosixPath(unquote(rest)).name or uri, "heading")
    return f"{name}#{clean(fragment, 'heading')}" if fragment else name


def _metadata(metadata: Metadata) -> dict[str, MetadataValue]:
    """Metadata whose strings are clean; empty keys are dropped."""
    return {characters(key): _value(value) for key, value in metadata.items() if key.strip()}


def _value(value: MetadataValue) -> MetadataValue:
    if isinstance(value, str):
        return characters(value)
    if isinstance(value, list):
        return [_value(item) for item in value]
    if isinstance(value, dict):
        return {characters(key): _value(item) for key, item in value.items() if key.strip()}
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None  # JSON has no such number
    return value
