"""Filters over documents: the JSON that people write becomes a tree of tests, which three places answer alike.

{"year": {"$gte": 2020}, "$or": [{"language": "en"}, {"tags": {"$exists": false}}]}: keys name metadata, or one of the
document's own fields, beside which metadata of the same name count as well; several keys must all hold. A missing key
equals nothing, so $ne, $nin and $not hold for it, as in MongoDB, whose operator names these are. Numbers compare with
numbers, texts with texts by code point (dates in ISO 8601 therefore in order), booleans with booleans; across kinds
nothing matches. A list in the metadata (tags) matches when one of its items does. `added_at` is a moment: a date stands
for its whole day, a time without a zone is UTC.

SQL compiles the tree (conditions.py: the reference), columns.py evaluates it over a collection's columns in memory, and
`matches` over one document.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from rag.errors import WrongFilter

TEXTS = ("uri", "external_id", "title", "media_type", "owner", "language", "source", "origin")
MOMENT = "added_at"
FIELDS = (*TEXTS, MOMENT)
OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$and", "$or", "$not")
ORDERS = ("$gt", "$gte", "$lt", "$lte")
MAX_DEPTH = 20
MAX_TERMS = 500
MAX_VALUES = 5_000  # in all lists of a filter together
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Scalar = str | int | float | bool


# ── the tree ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple["Node", ...]  # none: holds


@dataclass(frozen=True, slots=True)
class Either:
    parts: tuple["Node", ...]  # none: does not hold


@dataclass(frozen=True, slots=True)
class Not:
    part: "Node"


@dataclass(frozen=True, slots=True)
class There:
    """The document has the field, and not null."""

    key: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value of the field equals one of these."""

    key: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A value of the field lies on this side of a number or text."""

    key: str
    operator: str  # of ORDERS
    value: str | int | float


@dataclass(frozen=True, slots=True)
class During:
    """The document came in at a moment in [start, end), in microseconds since 1970; None is open."""

    start: int | None
    end: int | None


Node = All | Either | Not | There | OneOf | Order | During


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
                value = json.loads(given, object_pairs_hook=_object)
            except (ValueError, RecursionError) as error:
                raise WrongFilter(f"the filter is not JSON ({error}): {given[:200]}") from error
        if not isinstance(value, Mapping):
            raise WrongFilter('a filter is a JSON object such as {"year": {"$gte": 2020}}')
        _conditions(value, depth=0, budget=[MAX_TERMS, MAX_VALUES])
        return cls(json.dumps(value, sort_keys=True, ensure_ascii=False))

    def tree(self) -> Node:
        """What is asked, as tests."""
        return _conditions(json.loads(self.canonical), depth=0, budget=[MAX_TERMS, MAX_VALUES])


def keys(node: Node) -> set[str]:
    """Every field that a filter names."""
    match node:
        case All(parts) | Either(parts):
            return set().union(*(keys(part) for part in parts))
        case Not(part):
            return keys(part)
        case During():
            return {MOMENT}
        case _:
            return {node.key}


def must_be_known(node: Node) -> set[str]:
    """The keys of the metadata that a filter takes to be there in some document: those that it names, unless it asks
    ($exists, null) whether a document has them."""
    return keys(node) - _asked(node) - set(FIELDS)


def _asked(node: Node) -> set[str]:
    match node:
        case All(parts) | Either(parts):
            return set().union(*(_asked(part) for part in parts))
        case Not(part):
            return _asked(part)
        case There(key):
            return {key}
        case _:
            return set()


# ── from JSON ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys are different: of two conditions on one field JSON would drop the first."""
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise WrongFilter(f'{key!r} stands twice in the filter; write {{"$gte": 1, "$lt": 5}}, or join with $and')
        found[key] = value
    return found


def _conditions(value: object, *, depth: int, budget: list[int]) -> Node:
    if depth > MAX_DEPTH:
        raise WrongFilter(f"the filter is nested deeper than {MAX_DEPTH}")
    if not isinstance(value, Mapping):
        raise WrongFilter(f"expected an object of conditions, found {json.dumps(value)[:100]}")
    terms: list[Node] = []
    for key, operand in value.items():
        budget[0] -= 1
        if budget[0] < 0:
            raise WrongFilter(f"the filter has more than {MAX_TERMS} terms")
        if key in ("$and", "$or"):
            if not isinstance(operand, list) or not operand:
                raise WrongFilter(f"{key} takes a list of at least one condition")
            parts = tuple(_conditions(part, depth=depth + 1, budget=budget) for part in operand)
            terms.append(All(parts) if key == "$and" else Either(parts))
        elif key == "$not":
            terms.append(Not(_conditions(operand, depth=depth + 1, budget=budget)))
        elif key.startswith("$"):
            raise WrongFilter(f"unknown operator {key}; there are: {', '.join(OPERATORS)}")
        else:
            terms.append(_field(key, operand, depth=depth + 1, budget=budget))
    return terms[0] if len(terms) == 1 else All(tuple(terms))


def _field(key: str, operand: object, *, depth: int, budget: list[int]) -> Node:
    if not key or '"' in key or "\\" in key or "\x00" in key:
        raise WrongFilter(f"{key!r} cannot be the name of a field: it is empty or holds a quote, backslash or NUL")
    if any("\ud800" <= character <= "\udfff" for character in key):
        raise WrongFilter(f"{key!r} cannot be the name of a field: it holds lone surrogates")
    if not isinstance(operand, Mapping):
        return _compare(key, "$eq", operand)
    if not operand:
        raise WrongFilter(f"{key}: an empty condition; write a value or an operator such as $eq")
    if depth > MAX_DEPTH:
        raise WrongFilter(f"the filter is nested deeper than {MAX_DEPTH}")
    terms: list[Node] = []
    for operator, value in operand.items():
        budget[0] -= 1
        if operator == "$not":
            terms.append(Not(_field(key, value, depth=depth + 1, budget=budget)))
        elif operator in OPERATORS and operator not in ("$and", "$or"):
            budget[1] -= len(value) if isinstance(value, list) else 0
            if budget[1] < 0:
                raise WrongFilter(f"the filter has more than {MAX_VALUES} values in its lists")
            terms.append(_compare(key, operator, value))
        else:
            raise WrongFilter(f"{key}: unknown operator {operator}; there are: {', '.join(OPERATORS)}")
    return terms[0] if len(terms) == 1 else All(tuple(terms))


def _compare(key: str, operator: str, value: object) -> Node:
    if operator == "$exists":
        if not isinstance(value, bool):
            raise WrongFilter(f"{key}: $exists takes true or false")
        return There(key) if value else Not(There(key))
    if operator in ("$in", "$nin"):
        if not isinstance(value, list):
            raise WrongFilter(f"{key}: {operator} takes a list")
        if len(value) > MAX_TERMS:
            raise WrongFilter(f"{key}: {operator} takes at most {MAX_TERMS} values")
        found = _one_of(key, value)
        return found if operator == "$in" else Not(found)
    if operator in ("$eq", "$ne"):
        found = _one_of(key, [value])
        return found if operator == "$eq" else Not(found)
    if key == MOMENT:
        start, end = _moment(operator, value)
        return {
            "$gt": During(end, None),
            "$gte": During(start, None),
            "$lt": During(None, start),
            "$lte": During(None, end),
        }[operator]
    scalar = _scalar(key, operator, value)
    if isinstance(scalar, bool):
        raise WrongFilter(f"{key}: {operator} takes a number or a text")
    return Order(key, operator, scalar)


def _one_of(key: str, values: Sequence[object]) -> Node:
    wanted = [value for value in values if value is not None]
    parts: list[Node] = [Not(There(key))] if len(wanted) < len(values) else []
    if key == MOMENT:
        parts += [During(*_moment("$eq", value)) for value in wanted]
    elif wanted or not parts:
        parts.append(OneOf(key, tuple(_scalar(key, "$eq", value) for value in wanted)))
    return parts[0] if len(parts) == 1 else Either(tuple(parts))


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


def _moment(operator: str, value: object) -> tuple[int, int]:
    """The first microsecond of a date or time, and the first after it."""
    wrong = WrongFilter(
        f'{MOMENT}: {operator} takes a date or time in ISO 8601 such as "2026-11-21" or "2026-11-21T14:30:00Z", '
        f"not {json.dumps(value)[:60]}"
    )
    if not isinstance(value, str):
        raise wrong
    try:
        if len(value) == len("2026-11-21"):
            day = date.fromisoformat(value)
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            length = 24 * 60 * 60 * 1_000_000
        else:
            start = datetime.fromisoformat(value)
            start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
            length = 1
        return microseconds(start), min(microseconds(start) + length, LAST)
    except (ValueError, OverflowError) as error:
        raise wrong from error


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


LAST = microseconds(datetime.max.replace(tzinfo=UTC))
"""The end of the calendar, which stands for what would lie behind it."""


# ── one document ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Own:
    """What a filter may ask of a document: its own fields by name, None where it has none, and its metadata."""

    texts: Mapping[str, str | None]
    added: int  # microseconds since 1970
    metadata: Mapping[str, object]


def origin_of(address: str) -> str | None:
    """How a document came in, as far as its address tells: file, web, upload, text, or another scheme of its own."""
    scheme, colon, _ = address.partition(":")
    return None if not colon or not scheme else "web" if scheme in ("http", "https") else scheme


def items(document: Own, key: str) -> list[object]:
    """The values of a document's field, one by one: its own, then the metadata's, a list's each by itself. An object,
    and a list within a list, is one value that equals nothing; null is none."""
    own = document.texts.get(key)
    found = document.metadata.get(key)
    return [*([] if own is None else [own]), *(found if isinstance(found, list) else [] if found is None else [found])]


def there(document: Own, key: str) -> bool:
    """Whether a document has a field, and not null; an empty list is there."""
    return key == MOMENT or document.texts.get(key) is not None or document.metadata.get(key) is not None


def matches(node: Node, document: Own) -> bool:
    """Whether one document passes; a few microseconds a test."""
    match node:
        case All(parts):
            return all(matches(part, document) for part in parts)
        case Either(parts):
            return any(matches(part, document) for part in parts)
        case Not(part):
            return not matches(part, document)
        case There(key):
            return there(document, key)
        case During(start, end):
            return (start is None or document.added >= start) and (end is None or document.added < end)
        case OneOf(key, values):
            return any(kind(item) == kind(value) and item == value for item in items(document, key) for value in values)
        case Order(key, operator, value):
            return any(_on_side(item, operator, value) for item in items(document, key))


def kind(value: object) -> str:
    """text, number, boolean, or other: only values of one kind compare, and those of the last not at all."""
    return {bool: "boolean", int: "number", float: "number", str: "text"}.get(type(value), "other")


def _on_side(item: object, operator: str, value: str | int | float) -> bool:
    if isinstance(item, str) and isinstance(value, str):
        pass
    elif isinstance(item, bool) or not isinstance(item, (int, float)) or isinstance(value, str):
        return False
    if operator == "$gt":
        return item > value  # type: ignore[operator]  # of one kind, as seen above
    if operator == "$gte":
        return item >= value  # type: ignore[operator]
    return item < value if operator == "$lt" else item <= value  # type: ignore[operator]
