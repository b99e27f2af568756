"""Records with a stated mapping: a row of a database, or a file of records (JSON, JSON lines, CSV, TSV)."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from io import StringIO

from ingest import mapping
from ingest.encodings import decode
from ingest.errors import Damaged, Empty, Unsupported
from ingest.formats import records
from ingest.mapping import RecordMapping
from ingest.types import Block, Failed, Parsed, Source

MEDIA_TYPES = (mapping.RECORD, mapping.MAPPED)
SUFFIXES = ()

Found = tuple[str, dict[str, object] | str]
"""Where a record stands, and the record or what is wrong with it."""

_DELIMITERS = ",;\t|"
_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """The documents of a source that ingest.mapping made. A record that is none by the mapping is Failed.

    Raises Damaged for other bytes and for columns that are not there, Empty, Unsupported for a file of another kind.
    """
    if not source.content.strip():
        raise Empty(f"{source.uri}: there is no record in it; leave it out")
    if source.media_type == mapping.RECORD:
        yield _row(source)
        return
    said, _, content = source.content.partition(b"\n")
    try:
        head = json.loads(said)
        by = RecordMapping.from_json(head)
    except (ValueError, AttributeError, RecursionError) as error:
        raise Damaged(f"{source.uri}: it does not begin with a mapping ({error}); add the file again") from error
    yield from _documents(replace(source, media_type=str(head.get("media_type")), content=content), by)


def _row(source: Source) -> Parsed:
    try:
        record = json.loads(source.content)
        key, name, title, text = (record[field] for field in ("id", "name", "title", "text"))
        metadata = record["metadata"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{source.uri}: it is no record ({type(error).__name__}: {error}); add the row again") from error
    if not all(isinstance(said, str) for said in (key, name, title, text)) or not isinstance(metadata, dict):
        raise Damaged(f"{source.uri}: it is no record (a field is of another type); add the row again")
    blocks = [Block("paragraph", piece) for piece in _PARAGRAPHS.split(text) if piece.strip()]
    if not blocks:
        raise Empty(f"{source.uri}: its text is empty; leave the row out, or write another column in the text")
    return Parsed(blocks, title=title, external_id=key, metadata=metadata, name=name)


def _documents(source: Source, by: RecordMapping) -> Iterator[Parsed | Failed]:
    found = list(_records(source, by))
    if not found:
        raise Empty(f"{source.uri}: there is no record in it; leave it out, or replace it by one with records")
    columns = dict.fromkeys(name for _, record in found if isinstance(record, dict) for name in record)
    try:
        if columns:
            by.check(columns)
    except ValueError as error:
        raise Damaged(f"{source.uri}: {error}; name others in the mapping") from error
    for place, record in found:
        where = f"{source.uri}#{place}"
        if isinstance(record, str):
            yield Failed(where, f"{where}: {record}; correct it and add the file again")
            continue
        try:
            parsed = by.document(record)
        except (ValueError, RecursionError) as error:
            yield Failed(where, f"{where}: {error}; correct it and add the file again")
            continue
        if parsed.blocks:
            yield replace(parsed, media_type=source.media_type)
        else:
            yield Failed(where, f"{where}: its text is empty; leave it out, or write another column in the text")


def _records(source: Source, by: RecordMapping) -> Iterator[Found]:
    text = decode(source.content, source.uri, source.charset)
    if source.media_type in ("text/csv", "text/tab-separated-values"):
        yield from _rows(text, source, by)
    elif source.media_type in ("application/jsonl", "application/x-ndjson", "application/jsonlines"):
        yield from _lines(text)
    elif source.media_type in ("application/json", "text/json"):
        yield from _tree(text, source)
    else:
        raise Unsupported(
            f"{source.uri}: records are mapped of JSON, JSON lines, CSV and TSV, not of {source.media_type}; "
            "convert it to one of these, or leave out the mapping"
        )


def _loads(text: str) -> object:
    """Numbers with a point keep their digits: "19.90" is written so."""
    return json.loads(text, parse_constant=lambda _: None, parse_int=records.integer, parse_float=Decimal)


def _lines(text: str) -> Iterator[Found]:
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.strip():
            try:
                yield f"line={number}", _object(_loads(line))
            except (ValueError, RecursionError) as error:
                yield f"line={number}", str(error)


def _tree(text: str, source: Source) -> Iterator[Found]:
    """A list of records, by itself or as the only list of records in an object; else the one object."""
    try:
        tree = _loads(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{source.uri}: it is no JSON ({error}); correct it and add it again") from error
    if isinstance(tree, dict):
        lists = [member for member in tree.values() if isinstance(member, list) and _is_records(member)]
        tree = lists[0] if len(lists) == 1 else [tree]
    if not isinstance(tree, list):
        raise Damaged(f"{source.uri}: there is no list of records in it; leave out the mapping")
    for number, item in enumerate(tree, 1):
        yield f"item={number}", _object(item)


def _is_records(member: list[object]) -> bool:
    return bool(member) and all(isinstance(item, Mapping) for item in member)


def _object(item: object) -> dict[str, object] | str:
    return item if isinstance(item, dict) else "it is not a JSON object"


def _rows(text: str, source: Source, by: RecordMapping) -> Iterator[Found]:
    """The rows of a table whose first row names the columns. A row that is shorter lacks its last ones."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))  # the default refuses fields over 131,072
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    delimiter = "\t" if source.media_type == "text/tab-separated-values" else _delimiter(text, by)
    table = _cells(text, delimiter)
    _, first = next(table, (1, []))
    if isinstance(first, str):
        raise Damaged(f"{source.uri}: its first row cannot be told apart ({first}); correct its quotation marks")
    header = [name.strip() for name in first]
    if len(set(header)) < len(header):
        raise Damaged(f"{source.uri}: a name stands twice in its first row; give each column a name of its own")
    for line, cells in table:
        if isinstance(cells, str):
            yield f"line={line}", f"the row cannot be told apart ({cells})"
        elif len(cells) > len(header):
            yield f"line={line}", f"the row has {len(cells)} cells, the first row names {len(header)}"
        elif any(cell.strip() for cell in cells):
            yield f"line={line}", dict(zip(header, cells, strict=False))


def _cells(text: str, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """The line each row ends on, and its cells or what is wrong with its quotation marks."""
    table = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        try:
            row: list[str] | str = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            row = str(error)
        yield table.line_num, row


def _delimiter(text: str, by: RecordMapping) -> str:
    """The one by which the first row has the id's column, and most columns."""

    def fits(delimiter: str) -> tuple[bool, int]:
        names = [
            name.strip() for name in next(csv.reader(StringIO(text[:65_536], newline=""), delimiter=delimiter), [])
        ]
        return by.id_column in names, len(names)

    return max(_DELIMITERS, key=lambda delimiter: (fits(delimiter), -_DELIMITERS.index(delimiter)))
