"""The documents and chunks of a collection as columns in memory: a filter asked for the first time becomes a bitmap in
a millisecond.

A cache of SQL, brought up to the position of the transaction that asks, as every index is. Rows are appended and keep
the position at which they went, so that a reader of a slightly earlier moment is answered as of that moment. Fields
are read when a filter first names them. What memory cannot answer exactly (very long texts, integers beyond 2**53, a
moment before the columns were read, too large a collection) is left to SQL.

State: 28 bytes a document, 28 a chunk, and what rag/store/filters/fields.py says for every field that was asked for.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, case, func, literal_column, null, select
from sqlalchemy.dialects.postgresql import JSONB

from rag.errors import WrongFilter
from rag.store.filters.conditions import own, path
from rag.store.filters.fields import CUT, Field, Grown, Mask, TooMuch
from rag.store.filters.tree import (
    MOMENT,
    All,
    During,
    Either,
    Node,
    Not,
    OneOf,
    Order,
    There,
    keys,
    microseconds,
    must_be_known,
)
from rag.store.permitted import Predicate, integers, refuse, standing
from rag.store.tables import chunks, contents, document_labels, documents
from rag.types import Bitmap, Ids

BATCH = 8192  # documents whose fields are read at once
MAX_ROWS = 8_000_000  # documents or chunks; a larger collection is left to SQL
MAX_FIELD_BYTES = 256 * 2**20  # a field that takes more is left to SQL
MAX_FIELDS = 64  # kept a collection, the one that was asked for last goes last
ALIVE = np.iinfo(np.int64).max
LABELS = "$labels"  # no key of the metadata that a filter can name


class Columns:
    """One collection's columns. Thread-safe; answers are those of SQL at the position asked, or None."""

    def __init__(self, collection_id: int) -> None:
        self._collection_id = collection_id
        self._lock = threading.Lock()
        self._rows: Rows | None = None

    def bitmap(self, connection: Connection, predicate: Predicate, now: int) -> Bitmap | None:
        """The chunks that pass at `now`, the position of this transaction; None when SQL must say.

        Raises WrongFilter for a field that no document has which the asker may see.
        """
        with self._lock:
            rows, self._rows = self._rows, None  # what breaks off half way is read anew
            if rows is None or rows.upto < now:
                rows = self._followed(connection, rows, now)
            elif not rows.base <= now:
                self._rows = rows
                return None
            if rows is None:
                return None
            try:
                found = rows.permitted(connection, predicate, now)
            except TooMuch:
                found = None
            except WrongFilter:
                self._rows = rows
                raise
            self._rows = rows
            return found

    def _followed(self, connection: Connection, rows: "Rows | None", now: int) -> "Rows | None":
        if rows is not None and rows.follow(connection, now):
            return rows
        return Rows.read(connection, self._collection_id, now)


class Rows:
    """The rows of documents and chunks that stood at position `base` or came until `upto`."""

    def __init__(self, collection_id: int, base: int) -> None:
        self.collection_id = collection_id
        self.base = self.upto = base
        self._documents = Standing()
        self._chunks = Standing()
        self._fields: OrderedDict[str, Field | None] = OrderedDict()  # None: too large
        self._moments = Grown(np.int64)  # microseconds since 1970 at which a document came in

    @classmethod
    def read(cls, connection: Connection, collection_id: int, now: int) -> "Rows | None":
        """What stands at `now`, the position of this transaction; None if that is too much."""
        rows = cls(collection_id, now)
        for table, held in ((documents, rows._documents), (chunks, rows._chunks)):
            mine = table.c.collection_id == collection_id
            query = select(table.c.id, table.c.content_id).where(mine, standing(table))
            if (connection.scalar(select(func.count()).select_from(query.subquery())) or 0) > MAX_ROWS:
                return None
            ids, content_ids = integers(connection, query)
            order = np.argsort(ids, kind="stable")
            held.extend(ids[order], content_ids[order], np.full(len(ids), now), np.full(len(ids), ALIVE))
        return rows

    def follow(self, connection: Connection, now: int) -> bool:
        """Take in what happened until `now`, the position of this transaction; False if all must be read anew."""
        for table, held in ((documents, self._documents), (chunks, self._chunks)):
            mine = table.c.collection_id == self.collection_id
            came, went = table.c.added_position, table.c.removed_position
            columns = (table.c.id, table.c.content_id, came, func.coalesce(went, ALIVE))
            added = select(*columns).where(mine, came > self.upto, came <= now)
            gone = select(table.c.id, went).where(mine, went > self.upto, went <= now, came <= self.upto)
            ids, content_ids, since, until = integers(connection, added)
            order = np.argsort(ids, kind="stable")
            if not held.remove(*integers(connection, gone)):
                return False
            if not held.extend(ids[order], content_ids[order], since[order], until[order]):
                return False
        self.upto = now
        return not (self._documents.mostly_gone(now) or self._chunks.mostly_gone(now))

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def permitted(self, connection: Connection, predicate: Predicate, at: int) -> Bitmap:
        """The chunks that pass at a position within [base, upto]. Raises TooMuch, WrongFilter."""
        alive = self._documents.alive(at)
        tree = None if predicate.filter is None else predicate.filter.tree()
        self._load(connection, predicate, tree, at)
        if predicate.labels is not None:
            alive = alive & self._field(LABELS).shares(sorted(predicate.labels))
        if tree is not None:
            unknown = [key for key in sorted(must_be_known(tree)) if not self._field(key).known_among(alive)]
            if unknown:
                refuse(connection, predicate, at, unknown)
            alive = alive & self._passing(tree)
        return self._chunks.among(self._documents.contents(alive, self._chunks.highest), at)

    def _passing(self, node: Node) -> Mask:
        match node:
            case All(parts):
                found = np.ones(len(self._documents), bool)
                for part in parts:
                    found = found & self._passing(part)
                return found
            case Either(parts):
                found = np.zeros(len(self._documents), bool)
                for part in parts:
                    found = found | self._passing(part)
                return found
            case Not(part):
                return ~self._passing(part)
            case There(key):
                return np.ones(len(self._documents), bool) if key == MOMENT else self._field(key).there()
            case During(start, end):
                found = np.ones(len(self._documents), bool)
                if start is not None:
                    found &= self._moments.view >= start
                if end is not None:
                    found &= self._moments.view < end
                return found
            case OneOf(key, _):
                return self._field(key).one_of(node)
            case Order(key, _, _):
                return self._field(key).on_side(node)

    def _field(self, key: str) -> Field:
        found = self._fields[key]
        if found is None:
            raise TooMuch
        return found

    # ── reading fields ──────────────────────────────────────────────────────────────────────────────────────────────

    def _load(self, connection: Connection, predicate: Predicate, tree: Node | None, at: int) -> None:
        """Bring every field that is asked for up to the last row."""
        wanted = set() if tree is None else keys(tree)
        if predicate.labels is not None:
            wanted.add(LABELS)
        for key in sorted(wanted):
            if key != MOMENT and key not in self._fields:
                self._fields[key] = Field()
        behind: dict[int, list[str]] = {}
        for key in wanted:
            held = self._moments if key == MOMENT else self._fields[key]
            taken = len(self._documents) if held is None else len(held)
            if taken < len(self._documents):
                behind.setdefault(taken, []).append(key)
        if behind and at < self.upto:
            raise TooMuch  # this transaction does not see the last rows
        for taken, names in behind.items():
            for start in range(taken, len(self._documents), BATCH):
                self._read(connection, sorted(names), self._documents.ids[start : start + BATCH])
        for key in wanted & self._fields.keys():
            self._fields.move_to_end(key)
        while len(self._fields) > max(MAX_FIELDS, len(wanted)):
            self._fields.popitem(last=False)

    def _read(self, connection: Connection, names: Sequence[str], ids: Ids) -> None:
        low, high = int(ids[0]), int(ids[-1])
        if LABELS in names:
            self._take(LABELS, _labels(connection, low, high), ids)
        if MOMENT in names:
            query = select(documents.c.id, documents.c.created_at).where(_between(self.collection_id, low, high))
            moments = {row[0]: microseconds(row[1]) for row in connection.execute(query)}
            self._moments.extend([moments[each] for each in ids.tolist()])
        plain = [name for name in names if name not in (LABELS, MOMENT)]
        if plain:
            read = _values(connection, plain, _between(self.collection_id, low, high))
            for name in plain:
                self._take(name, read[name], ids)

    def _take(self, name: str, read: Mapping[int, tuple[bool, Sequence[object]]], ids: Ids) -> None:
        field = self._fields[name]
        if field is not None:
            field.extend([read.get(each, NOTHING) for each in ids.tolist()])
            if field.nbytes > MAX_FIELD_BYTES:
                self._fields[name] = None


NOTHING: tuple[bool, Sequence[object]] = (False, ())


class Standing:
    """Documents or chunks with their contents, and from when to when they stood; by id."""

    def __init__(self) -> None:
        self._ids, self._content_ids, self._added, self._removed = (Grown(np.int64) for _ in range(4))
        self._last: tuple[int, Mask] | None = None
        self._different = True  # no two rows have one content
        self.highest = 0  # of the contents' ids

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> Ids:
        return self._ids.view

    def extend(self, ids: Ids, content_ids: Ids, added: Ids, removed: Ids) -> bool:
        """Take in rows with higher ids; False, and nothing done, if they are not higher."""
        if not len(ids):
            return True
        if len(self) and ids[0] <= self.ids[-1]:
            return False
        last = self._content_ids.view[-1:]
        self._different &= bool((np.diff(content_ids, prepend=last) > 0).all())
        self.highest = max(self.highest, int(content_ids.max()))
        mine = (self._ids, self._content_ids, self._added, self._removed)
        for held, new in zip(mine, (ids, content_ids, added, removed), strict=True):
            held.extend(new)
        self._last = None
        return True

    def remove(self, ids: Ids, positions: Ids) -> bool:
        """End rows at positions; False if one is not held."""
        if not len(ids):
            return True
        at = np.searchsorted(self.ids, ids)
        if not len(self) or at.max() >= len(self) or (self.ids[at] != ids).any():
            return False
        self._removed.view[at] = positions
        self._last = None
        return True

    def alive(self, at: int) -> Mask:
        """Which rows stood at a position."""
        if self._last is None or self._last[0] != at:
            self._last = at, (self._added.view <= at) & (self._removed.view > at)
        return self._last[1]

    def mostly_gone(self, at: int) -> bool:
        """Whether so few rows stand that the others are better forgotten."""
        return len(self) > 1024 and 2 * int(np.count_nonzero(self.alive(at))) < len(self)

    def contents(self, mask: Mask, highest: int) -> Mask:
        """The contents of some rows, by id.  → (the highest id + 1,)"""
        found = np.zeros(max(highest, self.highest) + 1, bool)
        if self._different:
            found[self._content_ids.view] = mask
        else:
            found[self._content_ids.view[mask]] = True
        return found

    def among(self, content_ids: Mask, at: int) -> Bitmap:
        """The rows that stood at a position and have one of these contents."""
        passing = content_ids[self._content_ids.view] & self.alive(at)
        if not len(self):
            return Bitmap(np.empty(0, np.uint8))
        first, last = int(self.ids[0]), int(self.ids[-1])
        flags = np.zeros(last + 1, bool)
        if last - first + 1 == len(self):
            flags[first:] = passing
        else:
            flags[self.ids] = passing
        return Bitmap(np.packbits(flags, bitorder="little"))


def _between(collection_id: int, low: int, high: int) -> ColumnElement[bool]:
    """Documents of a collection by id; the sum keeps the database from an index by which they are in another order."""
    return and_(documents.c.id >= low, documents.c.id <= high, documents.c.collection_id + 0 == collection_id)


def _labels(connection: Connection, low: int, high: int) -> dict[int, tuple[bool, list[object]]]:
    rows = connection.execute(
        select(document_labels).where(document_labels.c.document_id >= low, document_labels.c.document_id <= high)
    )
    found: dict[int, tuple[bool, list[object]]] = {}
    for document_id, label in rows:
        found.setdefault(document_id, (True, []))[1].append(label)
    return found


def _values(
    connection: Connection, names: Sequence[str], which: ColumnElement[bool]
) -> dict[str, dict[int, tuple[bool, list[object]]]]:
    """The values of fields by name and document. Of a text no more is read than is kept, and one character."""
    dialect = connection.dialect.name
    columns: list[ColumnElement[Any]] = []
    for name in names:
        mine = own(name, dialect)
        columns.append(null() if mine is None else func.substr(mine, 1, CUT + 1))
        columns += _postgresql(name) if dialect == "postgresql" else _sqlite(name)
    query = select(documents.c.id, *columns).where(which)
    if {"title", "language"} & set(names):
        query = query.join(contents, contents.c.id == documents.c.content_id)
    found: dict[str, dict[int, tuple[bool, list[object]]]] = {name: {} for name in names}
    for row in connection.execute(query).all():
        for number, name in enumerate(names):
            text, there, value = row[1 + 3 * number : 4 + 3 * number]
            if there is None or there == "null":
                if text is not None:
                    found[name][row[0]] = (True, [text])
                continue
            if there == "array":
                value = json.loads(value) if isinstance(value, str) else value
                values = list(value)
            else:
                values = [value == 1 if there in ("true", "false") else value if there != "object" else None]
            found[name][row[0]] = (True, values if text is None else [text, *values])
    return found


def _sqlite(name: str) -> list[ColumnElement[Any]]:
    there = func.json_type(documents.c.metadata, path(name))
    value = func.json_extract(documents.c.metadata, path(name))
    return [there, case((there == "text", func.substr(value, 1, CUT + 1)), (there != "object", value), else_=None)]


def _postgresql(name: str) -> list[ColumnElement[Any]]:
    found = func.jsonb_extract_path(documents.c.metadata, name, type_=JSONB)
    there = func.jsonb_typeof(found)
    short = func.to_jsonb(func.left(found.op("#>>")(literal_column("'{}'")), CUT + 1), type_=JSONB)
    return [there, case((there == "string", short), (there != "object", found), else_=None)]
