"""Columns in memory, one document looked at by itself, and SQL answer every filter alike, whatever comes and goes."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from queue import SimpleQueue

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from rag.access import Access
from rag.errors import WrongFilter
from rag.store import collections as collection_store
from rag.store import documents as document_store
from rag.store import writing
from rag.store.collections import Collection
from rag.store.database import Connection, Database
from rag.store.filters.columns import Columns
from rag.store.filters.fields import CUT, Dictionary
from rag.store.filters.tree import Filter
from rag.store.permitted import Predicate, permitted_ids, require_known
from rag.store.prepared import Prepared, Rows
from rag.store.tables import chunks, contents, documents
from rag.types import Bitmap, Hit, Principal
from tests.test_store import Named, add, document

LONG = "ä" * CUT
texts = st.sampled_from(["", "a", "B", "é", "1", "Ω😀", "2024-05-01", "2024-05-01T10:00:00Z", "en", "web", LONG[:-1]])
longer = st.sampled_from([LONG, LONG + "a", LONG + "b"])
numbers = st.sampled_from([0, 1, -1, 1.0, 1.5, 0.1, -0.0, 2**53, 2**53 + 1, -1e300, 2**62])
scalars = st.one_of(texts, numbers, st.booleans(), longer)
values = st.one_of(
    scalars,
    st.none(),
    st.lists(st.one_of(scalars, st.none(), st.just({"x": 1}), st.just(["a"])), max_size=3),
    st.dictionaries(st.sampled_from(["a", "x"]), scalars, max_size=1),
)
keys = st.sampled_from(["a", "b", "a.b", "über", "language", "source", "title"])
own = st.sampled_from(["uri", "external_id", "media_type", "owner", "origin"])
metadatas = st.dictionaries(keys, values, max_size=4)
orders = st.sampled_from(["$gt", "$gte", "$lt", "$lte"])
moments = st.sampled_from(["2024-05-01", "2999-01-01", "2024-05-01T10:00:00+02:00", "1969-12-31"])
simple = st.one_of(
    scalars,
    st.none(),
    st.builds(lambda o, v: {o: v}, st.sampled_from(["$eq", "$ne"]), st.one_of(scalars, st.none())),
    st.builds(lambda o, v: {o: v}, orders, st.one_of(texts, numbers, longer)),
    st.builds(
        lambda o, v: {o: v}, st.sampled_from(["$in", "$nin"]), st.lists(st.one_of(scalars, st.none()), max_size=3)
    ),
    st.builds(lambda v: {"$exists": v}, st.booleans()),
)
one = st.one_of(
    st.builds(lambda k, v: {k: v}, st.one_of(keys, own), st.one_of(simple, st.builds(lambda v: {"$not": v}, simple))),
    st.builds(lambda o, v: {"added_at": {o: v}}, st.one_of(orders, st.sampled_from(["$eq", "$ne"])), moments),
)
filters = st.recursive(
    one,
    lambda inner: st.one_of(
        st.builds(lambda o, v: {o: v}, st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda v: {"$not": v}, inner),
    ),
    max_leaves=4,
)
arriving = st.tuples(
    st.integers(0, 9),  # the address
    st.integers(0, 5),  # the words
    metadatas,
    st.frozensets(st.sampled_from(["hr", "sales"]), max_size=2),
    st.sampled_from([None, "file:///f", "https://example.org/", "upload:x", "kb:1"]),
)
steps = st.lists(st.one_of(arriving, st.integers(0, 9)), min_size=1, max_size=6)
askers = st.one_of(st.none(), st.frozensets(st.sampled_from(["hr", "sales", "it"]), max_size=2))


@pytest.fixture
def fresh(database: Database) -> list[Collection]:
    with database.write() as connection:
        collection_store.ensure_tenant(connection)
    return []


def another(database: Database, made: list[Collection]) -> Collection:
    """A new, empty collection."""
    with database.write() as connection:
        made.append(collection_store.create(connection, 1, f"number {len(made)}", Named(), {}))
    return made[-1]


def at_once(database: Database, collection: Collection, step: object, alive: dict[int, int]) -> None:
    """Add, change or remove one document."""
    if isinstance(step, int):
        if step in alive:
            with database.write() as connection:
                writing.remove_documents(connection, collection, [alive.pop(step)], actor="test")
        return
    place, words, metadata, labels, source = step  # type: ignore[misc]
    new = document(
        database, f"{['kb', 'file', 'none'][place % 3]}:{place}".removeprefix("none:"), f"words {words}",
        metadata=metadata, labels=labels, source_uri=source, external_id=None if place % 2 else f"id {place}",
    )  # fmt: skip
    assert new.content is not None
    new = replace(new, content=replace(new.content, language=["", "en", "de"][words % 3], title=["", "B"][words % 2]))
    alive[place] = add(database, collection, new)[0].document_id or 0


def by_sql(connection: Connection, predicate: Predicate, at: int) -> list[int]:
    return sorted(permitted_ids(connection, predicate, at).tolist())


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(script=st.lists(st.tuples(steps, st.lists(st.tuples(filters, askers), max_size=3)), min_size=1, max_size=4))
def test_columns_passages_and_sql_agree(
    database: Database,
    fresh: list[Collection],
    script: list[tuple[list[object], list[tuple[dict[str, object], frozenset[str] | None]]]],
) -> None:
    collection = another(database, fresh)
    columns, alive = Columns(collection.id), dict[int, int]()
    for changes, asked in script:
        for step in changes:
            at_once(database, collection, step, alive)
        with database.read() as connection:
            at = collection_store.position(connection, collection.id)
            for condition, labels in asked:
                predicate = Predicate(collection.id, labels, Filter.parse(condition))
                expected = by_sql(connection, predicate, at)
                try:
                    found = columns.bitmap(connection, predicate, at)
                except WrongFilter:
                    with pytest.raises(WrongFilter):
                        require_known(connection, predicate, at)
                    found = None
                else:
                    require_known(connection, predicate, at)
                if found is not None:
                    assert found.ids().tolist() == expected
                every = [
                    Hit(int(each), 0.0, {}) for each in permitted_ids(connection, Predicate(collection.id, None), at)
                ]
                shown = document_store.passages(connection, every, predicate, at)
                assert sorted(passage.hit.chunk_id for passage in shown) == expected
                passing = connection.scalars(
                    select(documents.c.id)
                    .join(contents, contents.c.id == documents.c.content_id)
                    .where(predicate.documents(connection.dialect.name, at))
                ).all()
                assert {place.document_id for passage in shown for place in passage.places} == set(passing)


def test_columns_answer_what_they_should(database: Database, fresh: list[Collection]) -> None:
    """The comparison above would be empty if columns always left it to SQL."""
    collection = another(database, fresh)
    columns, alive = Columns(collection.id), dict[int, int]()
    for place in range(6):
        tags = [f"t{place % 2}", place]
        made = (place, place, {"tags": tags, "year": 2000 + place, "wide": 2**53 + place}, frozenset(), "file:///f")
        at_once(database, collection, made, alive)
    for condition, expected in (
        ({"tags": "t1"}, 3),
        ({"tags": 4}, 1),
        ({"year": {"$gte": 2002, "$lt": 2005}}, 3),
        ({"language": "de"}, 2),
        ({"origin": "file", "source": "file:///f"}, 6),
        ({"uri": {"$gt": "file:"}}, 4),
        ({"added_at": {"$gte": "2020-01-01"}, "year": {"$ne": 2000}}, 5),
        ({"nothing": {"$exists": False}}, 6),
        ({"nothing": None}, 6),
        ({"title": "x" * CUT}, 0),
        ({"wide": 2**53 + 2}, None),
    ):
        with database.read() as connection:
            found = columns.bitmap(connection, Predicate(collection.id, None, Filter.parse(condition)), 6)
        assert (None if found is None else found.count()) == expected, condition


def test_a_reader_of_an_earlier_moment_is_answered_as_of_it(database: Database, fresh: list[Collection]) -> None:
    collection = another(database, fresh)
    columns, alive = Columns(collection.id), dict[int, int]()
    for place in range(5):
        at_once(database, collection, (place, place, {"n": place}, frozenset(), None), alive)
    predicate = Predicate(collection.id, None, Filter.parse({"n": {"$gte": 1}}))
    other = Predicate(collection.id, None, Filter.parse({"uri": {"$exists": True}}))
    with database.read() as early:
        before = columns.bitmap(early, predicate, 5)
        assert before is not None
        at_once(database, collection, 3, alive)
        at_once(database, collection, (7, 7, {"n": 7}, frozenset(), None), alive)
        with database.read() as late:
            after = columns.bitmap(late, predicate, 7)
            assert after is not None
            assert after.ids().tolist() == by_sql(late, predicate, 7)
        again = columns.bitmap(early, predicate, 5)
        assert again is not None
        assert again.ids().tolist() == before.ids().tolist() == by_sql(early, predicate, 5)
        assert columns.bitmap(early, other, 5) is None, "it cannot read a field of rows that it does not see"
        assert before.count() == 4, "what was given out is not changed"


def test_columns_are_read_anew_when_most_of_them_are_gone(database: Database, fresh: list[Collection]) -> None:
    collection = another(database, fresh)
    new = [document(database, f"kb:{number}", f"words {number}", metadata={"n": number}) for number in range(1100)]
    ids = [written.document_id for written in add(database, collection, *new)]
    columns, predicate = Columns(collection.id), Predicate(collection.id, None, Filter.parse({"n": {"$gte": 500}}))
    with database.read() as connection:
        assert columns.bitmap(connection, predicate, 1).count() == 600  # type: ignore[union-attr]
    with database.write() as connection:
        writing.remove_documents(connection, collection, [each for each in ids[:700] if each], actor="test")
    with database.read() as connection:
        found = columns.bitmap(connection, predicate, 2)
        assert found is not None
        assert found.ids().tolist() == by_sql(connection, predicate, 2)
    assert columns._rows is not None
    assert columns._rows.base == 2


def test_no_search_shows_what_was_revoked(database: Database, fresh: list[Collection]) -> None:
    """While documents come, change their labels and go, whoever asks after a commit sees nothing that it took away.

    Each of two ask after each commit, while the next one is on its way.
    """
    collection = another(database, fresh)
    access, wrong, shown = Access(), list[str](), set[str]()
    commits = [SimpleQueue[bool](), SimpleQueue[bool]()]  # for each of the two; False after the last
    revoked: set[str] = set()  # texts that nobody of sales may see again
    asker = Principal(1, "x", frozenset({"sales"}))

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while commits[seed].get():
            forbidden = set(revoked)
            where = Filter.parse({"salt": {"$ne": int(rng.integers(1000))}, "n": {"$gte": 0}})
            with database.read() as connection:
                try:
                    permitted = access.permitted(connection, asker, collection.id, where)
                except WrongFilter:  # at this moment no document that the asker may see has these fields
                    continue
                ids = permitted.bitmap().ids().tolist()
                query = select(contents.c.text).join(chunks, chunks.c.content_id == contents.c.id)
                said = set(connection.scalars(query.where(chunks.c.id.in_(ids))))
                exact = by_sql(connection, permitted.predicate, permitted.position)
            shown.update(said)
            if exact != ids:
                wrong.append(f"{ids} in place of {exact}")
            wrong.extend(f"revoked: {each}" for each in said & forbidden)

    def write(place: int, words: str, *labels: str) -> int:
        metadata = {"n": 1, "salt": -1}
        new = document(database, f"kb:{place}", words, labels=frozenset(labels), metadata=metadata)
        return add(database, collection, new)[0].document_id or 0

    def tell(more: bool) -> None:
        for each in commits:
            each.put(more)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    try:
        for revision in range(15):
            for place in range(3):
                words = f"{place}: {revision}"
                written = write(place, words, "sales")
                tell(True)
                if place < 2:
                    write(place, words, "hr")
                else:
                    with database.write() as connection:
                        writing.remove_documents(connection, collection, [written], actor="test")
                revoked.add(words)
                tell(True)
            write(9, f"open {revision}")
            tell(True)
    finally:
        tell(False)
        for thread in threads:
            thread.join()
    assert wrong == []
    assert shown, "somebody searched"


@pytest.mark.parametrize("warm", [False, True])
def test_a_field_that_nobody_has_is_named_with_its_neighbours(
    database: Database, fresh: list[Collection], warm: bool
) -> None:
    collection, access = another(database, fresh), Access()

    def ask(condition: dict[str, object], labels: frozenset[str] | None = None) -> int:
        with database.read() as connection:
            asker = Principal(1, "x", labels)
            return access.permitted(connection, asker, collection.id, Filter.parse(condition)).bitmap().count()

    assert ask({"yaer": 1}) == 0, "a collection without documents knows every field"
    add(
        database,
        collection,
        document(database, "kb:1", "one", metadata={"year": 1, "empty": None}),
        document(database, "kb:2", "two", metadata={"project orion": 1}, labels=frozenset({"hr"})),
    )
    if warm:
        assert ask({"year": 1}) == 1
    else:
        access = Access()
    with pytest.raises(WrongFilter, match=r"no document has a field 'yaer'; did you mean year\?"):
        ask({"$or": [{"year": 1}, {"$not": {"yaer": {"$gt": 3}}}]})
    with pytest.raises(WrongFilter, match="there are: uri, external_id"):
        ask({"zzzzzz": 1})
    assert ask({"empty": 3}) == 0, "a field that is null is a field"
    assert ask({"yaer": {"$exists": False}}) == 2
    assert ask({"project orion": 1}) == 1
    with pytest.raises(WrongFilter, match="no document has a field 'project orion'") as raised:
        ask({"project orion": 1}, frozenset({"sales"}))
    assert str(raised.value).count("project orion") == 1, "what may not be seen is not named"
    predicate = Predicate(collection.id, None, Filter.parse({"yaer": 1}))
    with database.read() as connection, pytest.raises(WrongFilter, match="did you mean year"):
        document_store.listing(connection, predicate, 1, limit=1)


def test_nothing_changed_costs_one_read(
    database: Database, fresh: list[Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, access, statements = another(database, fresh), Access(), list[str]()
    add(database, collection, document(database, "kb:1", "one", metadata={"year": 1}))
    event.listen(database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    rows = Prepared.rows

    def watched(self: Prepared, connection: Connection, values: Mapping[str, object]) -> Rows:
        statements.append(str(self.statement(connection.dialect.name)))
        return rows(self, connection, values)

    monkeypatch.setattr(Prepared, "rows", watched)  # its statements go past SQLAlchemy's events
    for condition in (None, {"year": 1}, {"year": {"$gt": 0}}):
        where = None if condition is None else Filter.parse(condition)
        for _ in range(2):
            with database.read() as connection:
                statements.clear()
                access.permitted(connection, Principal(1, "x"), collection.id, where)
                asked = [each for each in statements if "SELECT" in each]
        assert len(asked) == 1
        assert "position" in asked[0]


@given(words=st.lists(st.text(max_size=3), max_size=600, unique=True), wanted=st.text(max_size=3), order=orders)
@settings(max_examples=50, deadline=None)
def test_texts_are_ordered_by_code_point(words: list[str], wanted: str, order: str) -> None:
    held = Dictionary()
    for each in words:
        held.code(each)
    test = {"$gt": str.__gt__, "$gte": str.__ge__, "$lt": str.__lt__, "$lte": str.__le__}[order]
    assert held.on_side(order, wanted).tolist() == [test(each, wanted) for each in words]


@given(ids=st.sets(st.integers(0, 3000), max_size=400), asked=st.lists(st.integers(-5, 9000), max_size=600))
@settings(max_examples=80, deadline=None)
def test_a_bitmap_is_a_set(ids: set[int], asked: list[int]) -> None:
    bitmap = Bitmap.of(sorted(ids))
    assert bitmap.ids().tolist() == sorted(ids)
    assert bitmap.count() == bitmap.count() == len(ids)
    assert bitmap.mask(np.array(asked, np.int64)).tolist() == [each in ids for each in asked]
