"""JSON: a list of records is a document each; anything else is one document of lines "path: value"."""

import json
from collections.abc import Iterator

from ingest.encodings import decode
from ingest.errors import Damaged, Empty, TooLarge
from ingest.formats import records
from ingest.parsers import jsonl
from ingest.types import Block, Failed, MetadataValue, Parsed, Source

MEDIA_TYPES = ("application/json", "text/json")
SUFFIXES = (".json", ".geojson")

MAX_DEPTH = 200
MAX_GROWTH = 20  # times the file's length that its lines may reach: each repeats the path to its value
_ALIKE = 0.8  # share of a list's records that must have a text to be read as documents
_PROSE = 200  # characters from which on a value is a paragraph of its own
_SHORT = 200  # characters up to which the plain values of a list stand on one line


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """The documents of a list of records (by itself, or as the only member of an object) of which most have a text, as
    JSON lines have them; a record that has none is Failed. Else one document. JSON lines under this name are read too.

    Raises Empty, Damaged, Unsupported (binary data), TooLarge above MAX_DEPTH.
    """
    text = decode(source.content, source.uri, source.charset)
    if not text.strip():
        raise Empty(f"{source.uri}: the file has no text; leave it out, or replace it by a version with text")
    try:
        value: MetadataValue = json.loads(text, parse_constant=lambda _: None, parse_int=records.integer)
    except RecursionError as error:
        raise _too_deep(source) from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and _is_lines(text):
            yield from jsonl.parse(source)
            return
        raise Damaged(f"{source.uri}: it is no JSON ({error}); correct it and add it again") from error
    found = _records(value)
    if found:
        yield from _documents(source, found)
        return
    lines = Lines(source, MAX_GROWTH * len(text) + 10_000)
    lines.add("", value)
    if not lines.blocks:
        raise Empty(f"{source.uri}: there is no value in it; leave it out, or replace it by a version with text")
    title = next((value[key] for key in records.TITLE_KEYS if value.get(key)), "") if isinstance(value, dict) else ""
    yield Parsed(lines.blocks, title=title if isinstance(title, str) and len(title) <= _SHORT else "")


def _too_deep(source: Source) -> TooLarge:
    return TooLarge(f"{source.uri}: it is nested over {MAX_DEPTH} deep; save it in a flatter form")


def _is_lines(text: str) -> bool:
    """Whether the first line is an object by itself."""
    try:
        return isinstance(json.loads(text.lstrip().partition("\n")[0]), dict)
    except (ValueError, RecursionError):
        return False


def _records(value: MetadataValue) -> list[MetadataValue]:
    """The records of a list that looks like documents; [] for anything else."""
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return []
    texts = sum(isinstance(item, dict) and records.has_text(item) for item in value)
    return value if texts and texts >= _ALIKE * len(value) else []


def _documents(source: Source, found: list[MetadataValue]) -> Iterator[Parsed | Failed]:
    for number, record in enumerate(found, 1):
        try:
            yield records.document(record, f"item={number}")
        except ValueError as error:
            where = f"{source.uri}#item={number}"
            yield Failed(where, f"{where}: {error}; correct the record and add the file again")


class Lines:
    """The values of a JSON tree, each behind the path that leads to it: "address.city: Berlin", "tags: a, b"."""

    def __init__(self, source: Source, limit: int) -> None:
        self.blocks: list[Block] = []
        self._source = source
        self._left = limit
        self._lines: list[str] = []

    def add(self, path: str, value: MetadataValue) -> None:
        """Add a whole tree: a block for each member of it, and for each long text."""
        if isinstance(value, dict):
            members = [(_joined(path, key), member) for key, member in value.items()]
        elif isinstance(value, list) and not _is_plain(value):
            members = [(f"{path}[{number}]", member) for number, member in enumerate(value)]
        else:
            members = [(path, value)]
        for name, member in members:
            nested = bool(member) and (isinstance(member, dict) or (isinstance(member, list) and not _is_plain(member)))
            if nested:
                self._end()
            self._walk(name, member, 0)
            if nested:
                self._end()
        self._end()

    def _walk(self, path: str, value: MetadataValue, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _too_deep(self._source)
        if isinstance(value, dict) and value:
            for key, member in value.items():
                self._walk(_joined(path, key), member, depth + 1)
        elif isinstance(value, list) and value and not _is_plain(value):
            for number, member in enumerate(value):
                self._walk(f"{path}[{number}]", member, depth + 1)
        else:
            self._write(path, ", ".join(map(_shown, value)) if isinstance(value, list) and value else _shown(value))

    def _write(self, path: str, text: str) -> None:
        line = f"{path}: {text}" if path else text
        self._left -= len(line) + 1
        if self._left < 0:
            raise TooLarge(
                f"{self._source.uri}: its paths and values written out are over {MAX_GROWTH} times its length; "
                "save it in a flatter form, or as JSON lines"
            )
        if len(text) > _PROSE or "\n" in text:
            self._end()
            self.blocks.append(Block("paragraph", line))
        elif text.strip():
            self._lines.append(line)

    def _end(self) -> None:
        if self._lines:
            self.blocks.append(Block("table", "\n".join(self._lines)))
            self._lines = []


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_plain(values: list[MetadataValue]) -> bool:
    """Whether a list holds only short values, to stand on one line."""
    if any(isinstance(value, dict | list) for value in values):
        return False
    return sum(len(_shown(value)) + 2 for value in values) <= _SHORT


def _shown(value: MetadataValue) -> str:
    if isinstance(value, str):
        return value
    return str(value) if type(value) in (int, float) else json.dumps(value, ensure_ascii=False)
