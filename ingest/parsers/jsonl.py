"""JSON lines: one document a line; BEIR's corpus.jsonl (`_id`, `title`, `text`, the rest metadata) and its cousins."""

import json
from collections.abc import Iterator

from ingest.encodings import decode
from ingest.errors import Empty
from ingest.formats import records
from ingest.types import Failed, Parsed, Source

MEDIA_TYPES = ("application/jsonl", "application/x-ndjson", "application/jsonlines")
SUFFIXES = (".jsonl", ".ndjson")


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
                record = json.loads(line, parse_constant=lambda _: None, parse_int=records.integer)
                yield records.document(record, f"line={number}")
            except (ValueError, RecursionError) as error:
                where = f"{source.uri}#line={number}"
                yield Failed(where, f"{where}: {error}; correct the line and add the file again")
