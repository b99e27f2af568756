"""Filters over documents: the JSON people write becomes one SQL condition, the same on SQLite and PostgreSQL.

{"year": {"$gte": 2020}, "$or": [{"lang": "en"}, {"lang": {"$exists": false}}]}: keys name metadata, or one of the
document's own fields; several keys must all hold. A missing key equals nothing, so $ne, $nin and $not hold for it, as
in MongoDB, whose operator names these are. Numbers compare with numbers, texts with texts by code point (dates in
ISO 8601 therefore in order), booleans with booleans; across kinds nothing matches. A list in the metadata matches
when one of its items does.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
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

from rag.errors import WrongFilter
from rag.store.tables import contents, documents

FIELDS = ("uri", "external_id", "title", "media_type", "owner")
OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$and", "$or", "$not")
MAX_DEPTH = 20
MAX_TERMS = 500

Scalar = str | int | float | bool
Test = Callable[[ColumnElement[Any], Any], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Filter:
    """A checked filter. Equal filters have equal `canonical` texts, which key caches."""

    canonical: str

    @classmethod
    def parse(cls, value: str | Mapping[str, object]) -> "Filter":
        """From JSON text or its value. Raises WrongFilter, naming the operator or value that does not fit."""
        if isinstance(value, str):
            given = value
            try:
                value = json.loads(given)
            except (ValueError, RecursionError) as error:
                raise WrongFilter(f"the filter is not JSON ({error}): {given[:200]}") from error
        if not isinstance(value, Mapping):
            raise WrongFilter('a filter is a JSON object such as {"year": {"$gte": 2020}}')
        _condition(value, "sqlite", depth=0, budget=[MAX_TERMS])  # what can be compiled is well formed
        return cls(json.dumps(value, sort_keys=True, ensure_ascii=False))

    def condition(self, dialect: str) -> ColumnElement[bool]:
        """True, or false, never NULL, for each row of `documents` joined with `contents`."""
        return _condition(json.loads(self.canonical), dialect, depth=0, budget=[MAX_TERMS])


def _condition(value: object, dialect: str, *, depth: int, budget: list[int]) -> ColumnElement[bool]:
    if depth > MAX_DEPTH:
        raise WrongFilter(f"the filter is nested deeper than {MAX_DEPTH}")
    if not isinstance(value, Mapping):
        raise WrongFilter(f"expected an object of conditions, found {json.dumps(value)[:100]}")
    terms: list[ColumnElement[bool]] = []
    for key, operand in value.items():
        budget[0] -= 1
        if budget[0] < 0:
            raise WrongFilter(f"the filter has more than {MAX_TERMS} terms")
        if key in ("$and", "$or"):
            if not isinstance(operand, list) or not operand:
                raise WrongFilter(f"{key} takes a list of at least one condition")
            parts = [_condition(part, dialect, depth=depth + 1, budget=budget) for part in operand]
            terms.append(and_(*parts) if key == "$and" else or_(*parts))
        elif key == "$not":
            terms.append(not_(_condition(operand, dialect, depth=depth + 1, budget=budget)))
        elif key.startswith("$"):
            raise WrongFilter(f"unknown operator {key}; there are: {', '.join(OPERATORS)}")
        else:
            terms.append(_field(key, operand, dialect, depth=depth + 1, budget=budget))
    return and_(true(), *terms)


def _field(key: str, operand: object, dialect: str, *, depth: int, budget: list[int]) -> ColumnElement[bool]:
    if not isinstance(operand, Mapping):
        return _compare(key, "$eq", operand, dialect)
    if not operand:
        raise WrongFilter(f"{key}: an empty condition; write a value or an operator such as $eq")
    terms = []
    for operator, value in operand.items():
        budget[0] -= 1
        if operator == "$not":
            terms.append(not_(_field(key, value, dialect, depth=depth + 1, budget=budget)))
        elif operator in OPERATORS and operator not in ("$and", "$or"):
            terms.append(_compare(key, operator, value, dialect))
        else:
            raise WrongFilter(f"{key}: unknown operator {operator}; there are: {', '.join(OPERATORS)}")
    return and_(*terms)


def _compare(key: str, operator: str, value: object, dialect: str) -> ColumnElement[bool]:
    if operator == "$exists":
        if not isinstance(value, bool):
            raise WrongFilter(f"{key}: $exists takes true or false")
        there = _there(key, dialect)
        return there if value else not_(there)
    if operator in ("$in", "$nin"):
        if not isinstance(value, list):
            raise WrongFilter(f"{key}: {operator} takes a list")
        if len(value) > MAX_TERMS:
            raise WrongFilter(f"{key}: {operator} takes at most {MAX_TERMS} values")
        found = or_(false(), *(_equals(key, item, dialect) for item in value))
        return found if operator == "$in" else not_(found)
    if operator == "$eq":
        return _equals(key, value, dialect)
    if operator == "$ne":
        return not_(_equals(key, value, dialect))
    scalar = _scalar(key, operator, value)
    if isinstance(scalar, bool):
        raise WrongFilter(f"{key}: {operator} takes a number or a text")
    return _any_item(key, scalar, dialect, _ORDER[operator])


_ORDER: dict[str, Test] = {
    "$gt": lambda column, value: column > value,
    "$gte": lambda column, value: column >= value,
    "$lt": lambda column, value: column < value,
    "$lte": lambda column, value: column <= value,
}


def _scalar(key: str, operator: str, value: object) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise WrongFilter(f"{key}: {operator} takes a finite number")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise WrongFilter(f"{key}: {operator} takes a number of at most 63 bits")
    if isinstance(value, str) and ("\x00" in value or any("\ud800" <= c <= "\udfff" for c in value)):
        raise WrongFilter(f"{key}: {operator} takes a text without NUL or lone surrogates")
    if not isinstance(value, (str, int, float, bool)):
        raise WrongFilter(f"{key}: {operator} takes a text, a number or a boolean, not {json.dumps(value)[:60]}")
    return value


def _equals(key: str, value: object, dialect: str) -> ColumnElement[bool]:
    if value is None:
        return not_(_there(key, dialect))
    return _any_item(key, _scalar(key, "$eq", value), dialect, lambda column, wanted: column == wanted)


def _there(key: str, dialect: str) -> ColumnElement[bool]:
    own = _own(key)
    if own is not None:
        return own.is_not(None)
    path = _path(key)
    if dialect == "postgresql":
        found = func.jsonb_extract_path(documents.c.metadata, key, type_=JSONB)
        return func.coalesce(func.jsonb_typeof(found) != "null", false())
    return func.coalesce(func.json_type(documents.c.metadata, path) != "null", false())


def _any_item(key: str, value: Scalar, dialect: str, test: Test) -> ColumnElement[bool]:
    """Whether the value under `key`, or one item of it when it is a list, has the kind of `value` and passes."""
    own = _own(key)
    if own is not None:
        if not isinstance(value, str):
            return false()
        return func.coalesce(test(own.collate("C" if dialect == "postgresql" else "BINARY"), value), false())
    _path(key)
    if dialect == "postgresql":
        return _any_item_postgresql(key, value, test)
    return _any_item_sqlite(key, value, test)


def _any_item_sqlite(key: str, value: Scalar, test: Test) -> ColumnElement[bool]:
    kinds = (
        ("true", "false") if isinstance(value, bool) else ("text",) if isinstance(value, str) else ("integer", "real")
    )
    path = _path(key)
    # json_each walks the items of a list, and gives the value itself when it is a scalar.
    items = func.json_each(documents.c.metadata, path).table_valued("value", "type").alias()
    return (
        select(literal(1))
        .select_from(items)
        .where(
            func.json_type(documents.c.metadata, path) != "object",
            items.c.type.in_(kinds),
            test(items.c.value, int(value) if isinstance(value, bool) else value),
        )
        .correlate(documents)
        .exists()
    )


def _any_item_postgresql(key: str, value: Scalar, test: Test) -> ColumnElement[bool]:
    found = func.jsonb_extract_path(documents.c.metadata, key, type_=JSONB)
    listed = case(
        (func.jsonb_typeof(found) == "array", found),
        (found.is_(None), cast([], JSONB)),
        else_=func.jsonb_build_array(found),
    )
    items = func.jsonb_array_elements(listed).table_valued(column("value", JSONB)).alias()
    kind = func.jsonb_typeof(items.c.value)
    plain = items.c.value.op("#>>")(literal_column("'{}'"))
    typed: ColumnElement[Any]
    if isinstance(value, bool):
        wanted, typed, passes = "boolean", plain, test(plain, "true" if value else "false")
    elif isinstance(value, str):
        wanted, typed = "string", cast(plain, Text).collate("C")
        passes = test(typed, value)
    else:
        wanted, typed = "number", case((kind == "number", cast(plain, Numeric)), else_=None)
        passes = func.coalesce(test(typed, value), false())
    return select(literal(1)).select_from(items).where(kind == wanted, passes).correlate(documents).exists()


def _path(key: str) -> str:
    if not key or '"' in key or "\\" in key or "\x00" in key:
        raise WrongFilter(f"{key!r} cannot be the name of a field: it is empty or holds a quote, backslash or NUL")
    return f'$."{key}"'


def _own(key: str) -> ColumnElement[Any] | None:
    if key == "title":
        return func.coalesce(func.nullif(contents.c.title, ""), documents.c.name)
    return documents.c[key] if key in FIELDS else None
