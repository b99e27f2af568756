"""Filters mean the same on SQLite, on PostgreSQL and in a slow, obvious Python version."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from rag.errors import WrongFilter
from rag.store import collections as collection_store
from rag.store.database import Database, now
from rag.store.filters.conditions import condition as sql_condition
from rag.store.filters.tree import Filter, Own, matches, microseconds
from rag.store.tables import contents, documents
from tests.test_store import Named

METADATA: list[dict[str, object]] = [
    {},
    {"a": None},
    {"a": 1},
    {"a": 1.5, "b": "x"},
    {"a": "1"},
    {"a": True},
    {"a": False, "b": "é"},
    {"a": [1, "x", True]},
    {"a": []},
    {"a": {"b": 1}},
    {"a": "b", "b": "B"},
    {"b": "Ω", "a.b": 3},
    {"a": -1e9, "b": ["y", "x"]},
    {"a": 2**53, "b": ""},
]
scalars = st.sampled_from([1, 1.0, 1.5, -1, 0, "x", "1", "", "B", "b", "é", True, False, 2**53])
keys = st.sampled_from(["a", "b", "a.b", "c"])
simple = st.one_of(
    scalars,
    st.none(),
    st.builds(lambda o, v: {o: v}, st.sampled_from(["$eq", "$ne"]), st.one_of(scalars, st.none())),
    st.builds(
        lambda o, v: {o: v},
        st.sampled_from(["$gt", "$gte", "$lt", "$lte"]),
        scalars.filter(lambda v: not isinstance(v, bool)),
    ),
    st.builds(
        lambda o, v: {o: v}, st.sampled_from(["$in", "$nin"]), st.lists(st.one_of(scalars, st.none()), max_size=3)
    ),
    st.builds(lambda v: {"$exists": v}, st.booleans()),
)
conditions = st.recursive(
    st.dictionaries(keys, st.one_of(simple, st.builds(lambda v: {"$not": v}, simple)), max_size=2),
    lambda inner: st.one_of(
        st.builds(lambda o, v: {o: v}, st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda v: {"$not": v}, inner),
    ),
    max_leaves=4,
)


def kind(value: object) -> str:
    return {bool: "boolean", int: "number", float: "number", str: "text"}.get(type(value), "other")


def obvious(condition: dict[str, object], found: dict[str, object]) -> bool:
    """The filter's meaning, said in Python."""
    passes = []
    for key, operand in condition.items():
        if key in ("$and", "$or"):
            parts = [obvious(part, found) for part in operand]  # type: ignore[attr-defined]
            passes.append(all(parts) if key == "$and" else any(parts))
        elif key == "$not":
            passes.append(not obvious(operand, found))  # type: ignore[arg-type]
        else:
            passes.append(field(found.get(key), operand))
    return all(passes)


def field(value: object, operand: object) -> bool:
    if not isinstance(operand, dict):
        operand = {"$eq": operand}
    items = value if isinstance(value, list) else [value]

    def equal(wanted: object) -> bool:
        if wanted is None:
            return value is None
        return any(kind(item) == kind(wanted) and item == wanted for item in items)

    passes = []
    for operator, wanted in operand.items():
        if operator == "$not":
            passes.append(not field(value, wanted))
        elif operator == "$exists":
            passes.append((value is not None) == wanted)
        elif operator in ("$in", "$nin"):
            passes.append(any(equal(one) for one in wanted) == (operator == "$in"))
        elif operator in ("$eq", "$ne"):
            passes.append(equal(wanted) == (operator == "$eq"))
        else:
            test = {"$gt": "__gt__", "$gte": "__ge__", "$lt": "__lt__", "$lte": "__le__"}[operator]
            same = [item for item in items if kind(item) == kind(wanted)]
            passes.append(any(compare(item, wanted, test) for item in same))
    return all(passes)


def compare(item: object, wanted: object, test: str) -> bool:
    if isinstance(item, (int, float)):
        return bool(getattr(float(item), test)(float(wanted)))  # type: ignore[arg-type]
    return bool(getattr(item, test)(wanted))


@pytest.fixture
def stored(database: Database) -> Database:
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        collection = collection_store.create(connection, tenant, "default", Named(), {})
        connection.execute(
            insert(contents).values(
                collection_id=collection.id,
                digest=b"x",
                title="",
                text="x",
                text_digest=b"x",
                outline=[],
                created_at=now(),
            )
        )
        for number, metadata in enumerate(METADATA):
            connection.execute(
                insert(documents).values(
                    collection_id=collection.id, content_id=1, uri=str(number), name=f"name {number}",
                    media_type="text/plain", metadata=metadata, owner="x", added_position=1, created_at=now(),
                )
            )  # fmt: skip
    return database


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=conditions)
def test_a_filter_means_what_it_says(stored: Database, condition: dict[str, object]) -> None:
    where = Filter.parse(json.dumps(condition))
    with stored.read() as connection:
        rows = connection.execute(
            select(documents.c.uri)
            .join(contents, contents.c.id == documents.c.content_id)
            .where(sql_condition(where, connection.dialect.name))
        )
        found = {int(row[0]) for row in rows}
    assert found == {number for number, metadata in enumerate(METADATA) if obvious(condition, metadata)}


def test_a_document_s_own_fields(stored: Database) -> None:
    for condition, expected in (
        ({"uri": "3"}, {"3"}),
        ({"title": {"$in": ["name 1", "name 2"]}}, {"1", "2"}),
        ({"external_id": {"$exists": True}}, set()),
        ({"uri": 3}, set()),
    ):
        with stored.read() as connection:
            rows = connection.execute(
                select(documents.c.uri)
                .join(contents, contents.c.id == documents.c.content_id)
                .where(sql_condition(Filter.parse(condition), connection.dialect.name))
            )
            assert {row[0] for row in rows} == expected


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("{", "not JSON"),
        ('{"year": {"$gte": 2020}, "year": {"$lt": 2022}}', "'year' stands twice in the filter"),
        ('{"$and": [{"year": {"$gt": 1, "$gt": 2}}]}', r"'\$gt' stands twice in the filter"),
        ("[]", "JSON object"),
        ('{"a": {"$near": 1}}', r"\$near"),
        ('{"$xor": []}', r"\$xor"),
        ('{"$or": []}', "at least one"),
        ('{"a": {}}', "empty condition"),
        ('{"a": {"$in": 1}}', "takes a list"),
        ('{"a": {"$gt": true}}', "number or a text"),
        ('{"a": {"$gt": null}}', "not null"),
        ('{"a": {"$exists": 1}}', "true or false"),
        ('{"a": {"$eq": NaN}}', "finite"),
        ('{"a": "\\u0000"}', "NUL"),
        ('{"a": "\\ud800"}', "surrogates"),
        ('{"a\\"b": 1}', "name of a field"),
        (json.dumps({"a": 2**70}), "63 bits"),
        ("[" * 100_000, "not JSON|JSON object"),
        ('{"$not": ' * 50 + "{}" + "}" * 50, "nested"),
        (json.dumps({"$or": [{"a": i} for i in range(600)]}), "more than"),
        (json.dumps({"$or": [{"a": {"$in": [*range(500)]}} for _ in range(11)]}), "more than 5000 values"),
    ],
)
def test_a_wrong_filter_says_what_is_wrong(wrong: str, named: str) -> None:
    with pytest.raises(WrongFilter, match=named):
        Filter.parse(wrong)


def test_equal_filters_are_equal_keys() -> None:
    assert Filter.parse('{"a": 1, "b": 2}') == Filter.parse('{"b":2,"a":1}')


def large() -> list[dict[str, object]]:
    """Filters near the largest that are taken, each true of the document whose "a" is "1"."""
    every = [str(number) for number in range(500)]
    deep: dict[str, object] = {"a": {"$in": every[:26]}}
    for _ in range(6):
        deep = {"$not": {"$or": [{"$not": deep}, *({"a": value} for value in every[100:124])]}}
    return [
        {"a": {"$in": every}},
        {"title": {"$nin": every}, "a": {"$in": every}},
        {"$or": [{"a": value} for value in every[:490]]},
        {"$and": [{"title": {"$ne": value}} for value in every[:240]]},
        {"$or": [{"a": {"$in": every}} for _ in range(10)]},
        {"a": {"$in": [*range(250), *every[:250]]}},
        deep,
    ]


@pytest.mark.parametrize("number", range(len(large())))
def test_large_filters_are_answered(stored: Database, number: int) -> None:
    """SQLite takes no expression that is 1,000 deep, and only so many parameters."""
    where = Filter.parse(large()[number])
    with stored.read() as connection:
        found = connection.scalars(
            select(documents.c.uri)
            .join(contents, contents.c.id == documents.c.content_id)
            .where(sql_condition(where, connection.dialect.name))
        ).all()
    assert "4" in found


def test_the_end_of_the_calendar_is_a_date() -> None:
    for condition, expected in (({"$lte": "9999-12-31"}, True), ({"$gt": "9999-12-31"}, False)):
        where = Filter.parse({"added_at": condition})
        assert matches(where.tree(), Own({}, microseconds(now()), {})) == expected
