"""A filter as one SQL condition over documents, the same on SQLite and PostgreSQL: what every faster way must equal."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Numeric,
    Text,
    and_,
    case,
    cast,
    column,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from rag.store.filters.tree import (
    EPOCH,
    MOMENT,
    TEXTS,
    All,
    During,
    Either,
    Filter,
    Node,
    Not,
    OneOf,
    Order,
    Scalar,
    There,
    kind,
)
from rag.store.tables import contents, documents, sources

Test = Callable[[ColumnElement[Any]], ColumnElement[bool]]
AT_ONCE = 16  # conditions side by side: SQLite refuses expressions that are 1,000 deep, and takes each for a step


def condition(where: Filter, dialect: str) -> ColumnElement[bool]:
    """True, or false, never NULL, for each row of `documents` joined with `contents`."""
    return _node(where.tree(), dialect)


def _node(node: Node, dialect: str) -> ColumnElement[bool]:
    match node:
        case All(parts):
            return _both([_node(part, dialect) for part in parts])
        case Either(parts):
            return _either([_node(part, dialect) for part in parts])
        case Not(part):
            return not_(_node(part, dialect))
        case There(key):
            return _there(key, dialect)
        case During(start, end):
            terms = []
            if start is not None:
                terms.append(documents.c.created_at >= EPOCH + timedelta(microseconds=start))
            if end is not None:
                terms.append(documents.c.created_at < EPOCH + timedelta(microseconds=end))
            return and_(true(), *terms)
        case OneOf(key, values):
            alike: dict[str, list[Scalar]] = {}
            for value in values:
                alike.setdefault(kind(value), []).append(value)
            return _either([_any_item(key, each, dialect, _equal(wanted)) for each, wanted in alike.items()])
        case Order(key, operator, value):
            return _any_item(key, kind(value), dialect, lambda found: _ORDER[operator](found, value))


_ORDER: dict[str, Callable[[ColumnElement[Any], Any], ColumnElement[bool]]] = {
    "$gt": lambda column, value: column > value,
    "$gte": lambda column, value: column >= value,
    "$lt": lambda column, value: column < value,
    "$lte": lambda column, value: column <= value,
}


def _equal(values: Sequence[Scalar]) -> Test:
    """Whether a value of the same kind is one of these."""
    if isinstance(values[0], str):
        return lambda found: found.in_(values)
    return lambda found: _either([found == value for value in values])


def _both(parts: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Whether all of these hold."""
    return and_(true(), *_few(parts, lambda some: and_(true(), *some)))


def _either(parts: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Whether one of these holds."""
    return or_(false(), *_few(parts, lambda some: or_(false(), *some)))


def _few(
    parts: Sequence[ColumnElement[bool]], join: Callable[[Sequence[ColumnElement[bool]]], ColumnElement[bool]]
) -> Sequence[ColumnElement[bool]]:
    """Many conditions as the branches of a tree, so that no expression grows deep."""
    while len(parts) > AT_ONCE:
        groups = (parts[i : i + AT_ONCE] for i in range(0, len(parts), AT_ONCE))
        parts = [func.coalesce(join(group), false()) for group in groups]  # bare, it would be made one row again
    return parts


def own(key: str, dialect: str) -> ColumnElement[Any] | None:
    """A document's own field as text, NULL where it has none; None for a key that is no such field."""
    if key not in TEXTS:
        return None
    if key == "title":
        return func.coalesce(func.nullif(contents.c.title, ""), documents.c.name)
    if key == "language":
        return func.nullif(contents.c.language, "")
    if key not in ("source", "origin"):
        return documents.c[key]
    source = select(sources.c.uri).where(sources.c.id == documents.c.source_id).correlate(documents).scalar_subquery()
    if key == "source":
        return source
    address = func.coalesce(source, documents.c.uri)
    colon = func.strpos(address, ":") if dialect == "postgresql" else func.instr(address, ":")
    scheme = func.nullif(func.substr(address, 1, colon - 1), "")
    return case((colon <= 1, None), (scheme.in_(["http", "https"]), "web"), else_=scheme)


def _there(key: str, dialect: str) -> ColumnElement[bool]:
    if key == MOMENT:
        return true()
    if dialect == "postgresql":
        found = func.jsonb_extract_path(documents.c.metadata, key, type_=JSONB)
        there = func.coalesce(func.jsonb_typeof(found) != "null", false())
    else:
        there = func.coalesce(func.json_type(documents.c.metadata, path(key)) != "null", false())
    mine = own(key, dialect)
    return there if mine is None else or_(mine.is_not(None), there)


def _any_item(key: str, wanted: str, dialect: str, test: Test) -> ColumnElement[bool]:
    """Whether the value under `key`, or one item of it when it is a list, is of the wanted kind and passes."""
    find = _any_item_postgresql if dialect == "postgresql" else _any_item_sqlite
    found = find(key, wanted, test)
    mine = own(key, dialect)
    if mine is None or wanted != "text":
        return found
    here = func.coalesce(test(mine.collate("C" if dialect == "postgresql" else "BINARY")), false())
    return or_(here, found)


_SQLITE_KINDS = {"boolean": ("true", "false"), "text": ("text",), "number": ("integer", "real")}


def _any_item_sqlite(key: str, wanted: str, test: Test) -> ColumnElement[bool]:
    # json_each walks the items of a list, and gives the value itself when it is a scalar; booleans as 1 and 0.
    items = func.json_each(documents.c.metadata, path(key)).table_valued("value", "type").alias()
    return (
        select(literal(1))
        .select_from(items)
        .where(
            func.json_type(documents.c.metadata, path(key)) != "object",
            items.c.type.in_(_SQLITE_KINDS[wanted]),
            test(items.c.value),
        )
        .correlate(documents)
        .exists()
    )


def _any_item_postgresql(key: str, wanted: str, test: Test) -> ColumnElement[bool]:
    found = func.jsonb_extract_path(documents.c.metadata, key, type_=JSONB)
    listed = case(
        (func.jsonb_typeof(found) == "array", found),
        (found.is_(None), cast([], JSONB)),
        else_=func.jsonb_build_array(found),
    )
    items = func.jsonb_array_elements(listed).table_valued(column("value", JSONB)).alias()
    held = func.jsonb_typeof(items.c.value)
    plain = items.c.value.op("#>>")(literal_column("'{}'"))
    typed: ColumnElement[Any]
    if wanted == "boolean":
        typed = cast(case((held == "boolean", plain), else_=None), Boolean)
    elif wanted == "text":
        typed = cast(plain, Text).collate("C")
    else:
        typed = case((held == "number", cast(plain, Numeric)), else_=None)
    named = {"boolean": "boolean", "text": "string", "number": "number"}[wanted]
    passes = func.coalesce(test(typed), false())
    return select(literal(1)).select_from(items).where(held == named, passes).correlate(documents).exists()


def path(key: str) -> str:
    """Where a key of the metadata stands, as SQLite writes it."""
    return f'$."{key}"'
