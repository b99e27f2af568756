"""Rows and records become documents as a person says: which column is the id, of which the text and title are written.

A row of a database becomes a source of its own whose bytes are the finished record (`row`), a file of records keeps its
bytes behind the mapping (`mapped`); ingest/parsers/record.py reads both. So what holds of files holds of rows: equal
bytes are unchanged, parsing happens where files are parsed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from urllib.parse import quote

from ingest.formats import records
from ingest.types import Block, MetadataValue, Parsed, Source

RECORD = "application/x-record+json"
"""One finished record: a JSON object of id, name, title, text and metadata."""
MAPPED = "application/x-mapped-records"
"""A file of records behind one line of JSON: how they are mapped, and what kind of file it is."""

MAX_BINARY = 64  # bytes that are written as metadata, in hexadecimal: digests and keys, no pictures

_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places `{column}`; braces that are meant are written twice. Nothing else is understood: no attribute,
    no index, no format. Raises ValueError for a single brace."""

    text: str
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        wrong = next((match for match in _PLACE.finditer(self.text) if match[0] in ("{", "}")), None)
        if wrong is not None:
            raise ValueError(
                f"the template {self.text!r} has a single {wrong[0]} at character {wrong.start() + 1}; "
                "write a column as {column}, and a brace that is meant twice"
            )
        found = (match[1] for match in _PLACE.finditer(self.text) if match[1])
        object.__setattr__(self, "columns", tuple(dict.fromkeys(found)))

    def fill(self, record: Mapping[str, object]) -> str:
        """The text with each place taken by what stands in its column: nothing for NULL or where it is missing.

        Raises ValueError for bytes that are no text.
        """

        def put(match: re.Match[str]) -> str:
            return match[0][0] if match[1] is None else shown(record.get(match[1]), match[1])

        return _PLACE.sub(put, self.text)


@dataclass(frozen=True, slots=True)
class RecordMapping:
    """How a record becomes a document. Raises ValueError for a template that is none, or one without a column."""

    id_column: str
    text: Template
    title: Template | None = None
    metadata: tuple[str, ...] | None = None  # columns; None: all that are neither the id nor written in text or title

    @classmethod
    def of(
        cls,
        id_column: str,
        text_template: str,
        title_template: str | None = None,
        metadata_columns: Iterable[str] | None = None,
    ) -> "RecordMapping":
        """From what a person gave."""
        text, title = Template(text_template), Template(title_template) if title_template else None
        if not text.columns:
            raise ValueError(f"the template {text_template!r} names no column; write them as {{column}}")
        return cls(id_column, text, title, None if metadata_columns is None else tuple(metadata_columns))

    def check(self, columns: Iterable[str]) -> None:
        """Raise ValueError if a column is named that is not among these."""
        there = list(dict.fromkeys(columns))
        missing = [name for name in self._named() if name not in there]
        if missing:
            raise ValueError(f"there is no column {', '.join(map(repr, missing))}; there are: {', '.join(there)}")

    def document(self, record: Mapping[str, object]) -> Parsed:
        """The document of a record; its fragment and external id are the record's id.

        Raises ValueError for an id that is missing or NULL, and for bytes in a text.
        """
        key = shown(record.get(self.id_column), self.id_column).strip()
        if not key:
            raise ValueError(f"its id is empty (column {self.id_column!r})")
        text = self.text.fill(record).replace("\r\n", "\n")
        blocks = [Block("paragraph", piece) for piece in _PARAGRAPHS.split(text) if piece.strip()]
        title = self.title.fill(record) if self.title else ""
        names = self.metadata
        if names is None:
            written = {self.id_column, *self.text.columns, *(self.title.columns if self.title else ())}
            names = tuple(name for name in record if name not in written)
        metadata = {name: value(record[name]) for name in names if name in record}
        return Parsed(blocks, title=title, external_id=key, metadata=metadata, fragment=key)

    def _named(self) -> list[str]:
        title = self.title.columns if self.title else ()
        return list(dict.fromkeys((self.id_column, *self.text.columns, *title, *(self.metadata or ()))))

    def to_json(self) -> dict[str, MetadataValue]:
        return {
            "id": self.id_column,
            "text": self.text.text,
            "title": self.title.text if self.title else None,
            "metadata": None if self.metadata is None else list(self.metadata),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, object]) -> "RecordMapping":
        """What `to_json` gave. Raises ValueError for anything else."""
        key, text, title, metadata = (said.get(name) for name in ("id", "text", "title", "metadata"))
        if not isinstance(key, str) or not isinstance(text, str) or not isinstance(title, str | None):
            raise ValueError("the mapping has no id or text")
        if metadata is not None and not isinstance(metadata, list):
            raise ValueError("the mapping's metadata is no list")
        return cls.of(key, text, title, None if metadata is None else [str(name) for name in metadata])


def value(cell: object) -> MetadataValue:
    """What a database or a JSON file holds, as a JSON value.

    Decimals become numbers where a number holds them exactly, else strings; so do integers of over 18 digits. Dates and
    times are ISO 8601, durations seconds. Bytes are text if they are UTF-8, else hexadecimal up to MAX_BINARY, else
    null. NaN and infinities are null, JSON has none. Anything else is its string.
    """
    if cell is None or isinstance(cell, bool | str):
        return cell
    if isinstance(cell, Enum):
        return value(cell.value)
    if isinstance(cell, int):
        return records.integer(str(cell))
    if isinstance(cell, float):
        return cell if isfinite(cell) else None
    if isinstance(cell, Decimal):
        return _number(cell)
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return cell.total_seconds()
    if isinstance(cell, bytes | bytearray | memoryview):
        return _binary(bytes(cell))
    if isinstance(cell, Mapping):
        return {str(key): value(item) for key, item in cell.items()}
    if isinstance(cell, list | tuple):
        return [value(item) for item in cell]
    if isinstance(cell, set | frozenset):
        return sorted((value(item) for item in cell), key=str)
    return str(cell)


def _number(cell: Decimal) -> MetadataValue:
    if not cell.is_finite():
        return None
    if abs(cell.adjusted()) > records.MAX_DIGITS:
        return str(cell)
    if cell == cell.to_integral_value():
        return records.integer(format(cell.to_integral_value(), "f"))
    return float(cell) if Decimal(repr(float(cell))) == cell else str(cell)


def _binary(cell: bytes) -> str | None:
    text = _text(cell)
    return text if text is not None else (cell.hex() if len(cell) <= MAX_BINARY else None)


def _text(cell: bytes) -> str | None:
    try:
        return None if _CONTROL.search(cell) else cell.decode("utf-8")
    except UnicodeDecodeError:
        return None


def shown(cell: object, column: str) -> str:
    """What a person reads of a cell: "" for NULL, decimals with all their digits, lists with commas.

    Raises ValueError for bytes that are no text and too long to be an id.
    """
    if cell is None:
        return ""
    if isinstance(cell, Decimal) and cell.is_finite() and abs(cell.adjusted()) <= 2 * records.MAX_DIGITS:
        return format(cell, "f")
    if isinstance(cell, int) and not isinstance(cell, bool | Enum):
        return str(cell)
    if isinstance(cell, bytes | bytearray | memoryview):
        said = _binary(bytes(cell))
        if said is None:
            raise ValueError(f"the column {column!r} holds bytes that are no text; leave it out, or convert it")
        return said
    plain = value(cell)
    if isinstance(plain, list) and not any(isinstance(item, list | dict) for item in plain):
        return ", ".join(shown(item, column) for item in plain)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def row(place: str, name: str, parsed: Parsed) -> Source:
    """The source of one row: its address is that of the query with the row's id as fragment. Equal rows give equal
    bytes. `name` is what the query is called."""
    key = parsed.external_id or ""
    finished = {
        "id": key,
        "name": f"{name}#{key}",
        "title": parsed.title,
        "text": "\n\n".join(block.text for block in parsed.blocks),
        "metadata": dict(parsed.metadata),
    }
    content = json.dumps(finished, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    return Source(f"{place}#{quote(key, safe='', errors='replace')}", RECORD, content)


def mapped(source: Source, mapping: RecordMapping) -> Source:
    """A file of records (JSON, JSON lines, CSV, TSV) that is to be read by a mapping: each record is one document, with
    its id as fragment. The parser says what is wrong with the file or its columns."""
    head = {**mapping.to_json(), "media_type": source.media_type}
    line = json.dumps(head, sort_keys=True, separators=(",", ":")).encode("ascii")
    return replace(source, media_type=MAPPED, content=line + b"\n" + source.content)
