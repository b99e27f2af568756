"""JSON lines: one document a line; BEIR's corpus.jsonl (`_id`, `title`, `text`, the rest metadata) and its cousins."""

import json
from collections.abc import Iterator

from ingest.encodings import decode
from ingest.errors import Empty
from ingest.types import Block, Failed, MetadataValue, Parsed, Source

MEDIA_TYPES = ("application/jsonl", "application/x-ndjson", "application/jsonlines")
SUFFIXES = (".jsonl", ".ndjson")

# The first of these that a line has, in this order.
ID_KEYS = ("_id", "id", "doc_id", "docid", "document_id", "passage_id", "pid", "uid", "uuid")
TITLE_KEYS = ("title", "headline", "subject", "name")
TEXT_KEYS = ("text", "contents", "content", "body", "passage", "document", "abstract", "description")

_KNOWN = frozenset((*ID_KEYS, *TITLE_KEYS, *TEXT_KEYS))
MAX_DIGITS = 18  # of a number: larger ones are ids, not amounts, and are kept as text


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """One document a line; its fragment is its id, else "line=N". A line that is no such document is Failed.

    Raises Empty when no line holds anything, Unsupported when it is no text.
    """
    lines = decode(source.content, source.uri).replace("\r\n", "\n").split("\n")
    if not any(line.strip() for line in lines):
        raise Empty(f"{source.uri}: the file has no lines; leave it out, or replace it by a version with text")
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _document(json.loads(line, parse_constant=lambda _: None, parse_int=_int), number)
            except (ValueError, RecursionError) as error:
                where = f"{source.uri}#line={number}"
                yield Failed(where, f"{where}: {error}; correct the line and add the file again")


def _int(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def _document(record: object, number: int) -> Parsed:
    """Raises ValueError, saying what is missing."""
    if not isinstance(record, dict):
        raise ValueError("the line is not a JSON object")
    id_key, title_key = _first(record, ID_KEYS), _first(record, TITLE_KEYS)
    text_key = _first(record, tuple(key for key in TEXT_KEYS if key != title_key))
    name = None if id_key is None else str(record[id_key])
    title = "" if title_key is None else str(record[title_key])
    text = "" if text_key is None else str(record[text_key])
    if not text.strip():
        if not title.strip():
            raise ValueError(f"there is no text in it (looked for: {', '.join(TEXT_KEYS)})")
        text = title  # a document that is only its title is found by it
    blocks = [Block("paragraph", piece) for piece in text.replace("\r\n", "\n").split("\n\n") if piece.strip()]
    rest = {key: value for key, value in record.items() if key not in (id_key, title_key, text_key)}
    rest = {key: value for key, value in rest.items() if value not in (None, "") or key.lower() not in _KNOWN}
    return Parsed(blocks, title=title, external_id=name, metadata=_metadata(rest), fragment=name or f"line={number}")


def _first(record: dict[str, MetadataValue], keys: tuple[str, ...]) -> str | None:
    """The first key that is there with a string or a number."""
    lower: dict[str, str] = {}
    for key in record:
        lower.setdefault(key.lower(), key)
    found = (lower[key] for key in keys if key in lower)
    return next((key for key in found if type(record[key]) in (str, int) and str(record[key]).strip()), None)


def _metadata(rest: dict[str, MetadataValue]) -> dict[str, MetadataValue]:
    """The other fields; those of a nested `metadata` object (as BEIR has it) stand beside them."""
    nested = rest.pop("metadata", None)
    if isinstance(nested, dict):
        return {**nested, **rest}
    return rest if nested in (None, "") else {**rest, "metadata": nested}
