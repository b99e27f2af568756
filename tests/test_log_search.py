"""Searches of the log with any filters together, page by page and counted, held against looking at every row; and what
is not looked at: rows, where the states of all rows say that nothing fits, and each row of a common beginning."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, text, update

from rag.store import interactions as log
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.interactions import Query, ScoreRange
from rag.store.log import in_postgresql, in_sqlite, states, tags, words
from rag.store.tables import STATE, interactions, scores
from rag.types import Answer, Interaction, Score, Usage
from tests.test_interactions import collection as collection  # the fixture
from tests.test_interactions import interaction, record
from tests.test_log import _holds, narrow, saying

WORDS = ("the", "then", "they", "thé", "odd", "even", "oder")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """An interaction, and what was said of it."""

    entry: Interaction
    ratings: tuple[int, ...]
    review: str | None
    tags: tuple[str, ...]


def rows(collection: Collection, count: int) -> list[Row]:
    """Interactions of every kind, some of which nobody would expect: an abstention with a score."""
    draw, made = random.Random(6), []
    for number in range(1, count + 1):
        failed, abstained = draw.random() < 0.2, draw.random() < 0.3
        said = " ".join(draw.choices(WORDS, k=3))
        sure = draw.choice((None, 0.25, 0.75))
        answer = None if failed else Answer(said, (), abstained, "extractive", "stop", Usage(None, None), sure)
        judged = not failed and (not abstained or draw.random() < 0.1)
        entry = saying(
            collection,
            number,
            " ".join(draw.choices(WORDS, k=2)),
            user=draw.choice(("ann", "ann", "bob")),
            error="late" if failed else None,
            scores=tuple(Score(name, draw.choice((0.0, 0.5, 1.0))) for name in "fg" if draw.random() < 0.8 and judged),
            replays_id=made[0].entry.id if number % 4 == 2 else None,
        )
        made.append(
            Row(
                replace(entry, answer=answer),
                tuple(draw.choices((-1, 0, 1), k=draw.choice((0, 0, 1, 2)))),
                draw.choice((None, None, "queued", "reviewed")),
                tuple(tag for tag in ("red", "big") if draw.random() < 0.4),
            )
        )
    return made


def write(database: Database, collection: Collection, made: list[Row]) -> None:
    record(database, collection, *(row.entry for row in made))
    tenant = collection.tenant_id
    with database.write() as connection:
        for row in made:
            for rating in row.ratings:
                log.add_feedback(connection, tenant, row.entry.id, user="u", rating=rating, label=None, comment="x")
            tags.add(connection, tenant, [row.entry.id], row.tags, user="u")
            here = interactions.c.id == row.entry.id
            connection.execute(update(interactions).where(here).values(review_state=row.review))


def fits(row: Row, query: Query) -> bool:
    """Whether a query means a row, condition by condition."""
    entry, answer = row.entry, row.entry.answer
    given = {score.name: score.value for score in entry.scores}
    at = datetime.fromisoformat(entry.created_at)
    said = f"{entry.question}\n{'' if answer is None else answer.text}"
    confidence = None if answer is None else answer.confidence
    rated = {"good": 1 in row.ratings, "bad": -1 in row.ratings, "any": bool(row.ratings), "none": not row.ratings}
    return (
        (query.text is None or all(_holds(said, term) for term in words.terms(query.text)))
        and query.user in (None, entry.user)
        and query.abstained in (None, None if answer is None else answer.abstained)
        and query.failed in (None, entry.error is not None)
        and query.replays in (None, entry.replays_id is not None)
        and (query.feedback is None or rated[query.feedback])
        and query.review_state in (None, row.review or "none")
        and (query.since is None or at >= query.since)
        and (query.until is None or at < query.until)
        and set(query.tags) <= set(row.tags)
        and all(_within(given.get(each.name), each.least, each.most) for each in query.scores)
        and ((query.confidence_min, query.confidence_max) == (None, None)
             or _within(confidence, query.confidence_min, query.confidence_max))
    )  # fmt: skip


def _within(value: float | None, least: float | None, most: float | None) -> bool:
    return value is not None and (least is None or value >= least) and (most is None or value <= most)


BOUND = st.sampled_from((None, 0.0, 0.5, 1.0))
RANGE = st.builds(ScoreRange, st.sampled_from("ffggh"), BOUND, BOUND)
TIME = st.integers(0, 40).map(lambda hours: MOMENT + timedelta(hours=hours))
FILTERS: dict[str, st.SearchStrategy[object]] = {
    "text": st.sampled_from(("the*", "odd", "the they", '"odd even"', '"the ode"*', "the* od*", "thé", "none")),
    "user": st.sampled_from(("ann", "bob", "eve")),
    "since": TIME,
    "until": TIME,
    "scores": st.lists(RANGE, min_size=1, max_size=2).map(tuple),
    "confidence_min": st.sampled_from((0.0, 0.5, 1.0)),
    "abstained": st.booleans(),
    "failed": st.booleans(),
    "replays": st.booleans(),
    "feedback": st.sampled_from(("good", "bad", "any", "none")),
    "review_state": st.sampled_from(("queued", "reviewed", "none")),
    "tags": st.lists(st.sampled_from(("red", "red", "big", "new")), min_size=1, max_size=2).map(tuple),
}
QUERIES = (
    st.lists(st.sampled_from(sorted(FILTERS)), max_size=3, unique=True)
    .flatmap(lambda names: st.fixed_dictionaries({name: FILTERS[name] for name in names}))
    .map(lambda told: Query(**told))  # type: ignore[arg-type]
)


def test_any_filters_together_mean_what_looking_at_every_row_does(
    database: Database, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both with the bounds as they are, and so small that every way of searching has its turn."""
    made = rows(collection, 40)
    write(database, collection, made)
    tenant = collection.tenant_id

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(query=QUERIES)
    def hold(query: Query) -> None:
        meant = [row.entry.id for row in reversed(made) if fits(row, query)]
        with database.read() as connection:
            seen: list[str] = []
            while behind := log.page(connection, tenant, query, limit=4, before=seen[-1] if seen else None):
                seen += behind
            assert seen == meant
            if meant[4:]:
                assert log.page(connection, tenant, query, limit=4, after=meant[4]) == meant[:4]
            assert log.count(connection, tenant, query) == len(meant)
            told = log.counted(connection, tenant, query, most=5)
            assert told.number == min(5, len(meant)) if not told.more else told.number <= len(meant)
            assert told.more or told.number == len(meant)

    hold()
    narrow(monkeypatch)
    hold()


# ── states ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def asked(database: Database) -> Iterator[list[str]]:
    """The statements that are run meanwhile."""
    told: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        told.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield told
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def test_filters_that_exclude_one_another_read_no_rows(database: Database, collection: Collection) -> None:
    silent = Answer("No.", (), True, "extractive", "stop", Usage(None, None))
    judged = (Score("f", 0.5),)
    record(
        database,
        collection,
        *(saying(collection, n, "odd", "yes", scores=judged) for n in range(3)),
        *(saying(collection, n, "odd", scores=()) for n in range(3, 6)),
        *(replace(saying(collection, n, "odd", scores=()), answer=silent) for n in range(6, 9)),
    )
    tenant, one = collection.tenant_id, ScoreRange("f", 0.0)
    excluding = (
        Query(abstained=True, scores=(one,)),
        Query(abstained=True, scores=(one,), text="odd"),
        Query(failed=True, feedback="bad"),
        Query(review_state="queued", abstained=False),
        Query(scores=(ScoreRange("nobody gave it"),)),
    )
    for query in excluding:
        with asked(database) as told, database.read() as connection:
            assert log.page(connection, tenant, query, limit=5) == []
            assert log.counted(connection, tenant, query) == log.Count(0, False)
        assert [each for each in told if "interaction_facts" in each and "RECURSIVE" not in each] == [], query
    late = interaction(collection, 7).id
    with database.write() as connection:  # one row is enough, whoever writes it
        log.add_scores(connection, late, judged)
        assert log.page(connection, tenant, excluding[1], limit=5) == [late]
        connection.execute(delete(scores).where(scores.c.interaction_id == late))
        assert log.page(connection, tenant, excluding[1], limit=5) == []


def test_the_index_of_states_is_that_which_is_asked(database: Database, collection: Collection) -> None:
    record(database, collection, interaction(collection))
    found = f"SELECT number FROM interaction_facts {{}} WHERE tenant_id = 1 AND ({STATE}) = 2"
    index = "ix_interaction_facts_tenant_id_state_number"
    with database.write() as connection:
        if database.is_sqlite:
            plan = str(connection.exec_driver_sql("EXPLAIN QUERY PLAN " + found.format(f"INDEXED BY {index}")).all())
            assert "<expr>=?" in plan
        else:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plan = str(connection.exec_driver_sql("EXPLAIN " + found.format("")).all())
            assert f"{index} " in plan
            assert "Filter" not in plan
        held = connection.execute(text(f"SELECT {STATE} AS state, f.* FROM interaction_facts f")).one()
        assert list(connection.scalars(states._KNOWN, {"tenant": 1, "most": 9})) == [held.state]
    assert held.state == 1 + states._BIT["score_1 IS NOT NULL"]


# ── beginnings and phrases ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_beginning_is_heard_as_the_words_that_begin_so(
    database: Database, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not database.is_sqlite:
        pytest.skip("PostgreSQL has no such index")
    record(database, collection, saying(collection, 1, "the thé then", "theory"), saying(collection, 2, "thin x"))

    def heard(typed: str) -> str:
        with database.read() as connection:
            return in_sqlite.heard(connection, Query(text=typed))

    assert heard("THE* x") == '("the" OR "then" OR "theory") AND "x"'
    assert heard('"a the"*') == '("a the" OR "a then" OR "a theory")'
    assert heard("thé* none*") == '"thé"* AND "none"*', "as FTS5 reads them"
    monkeypatch.setattr(in_sqlite, "ALIKE", 2)
    assert heard("the* thi*") == '"the"* AND ("thin")', "more are searched at once"
    with database.write() as connection:
        connection.execute(update(interactions).values(question="", search_query="", answer=""))
    assert heard("thi*") == '"thi"*', "what is gone from the log is gone from its words"


def test_a_common_phrase_is_counted_as_far_as_it_was_looked_for(
    database: Database, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite knows where words stand")
    monkeypatch.setattr(in_postgresql, "SOME", -1)
    said = ["odd even", "even odd", "odd even", "odd then even", "odd"]
    record(database, collection, *(saying(collection, number, each) for number, each in enumerate(said)))

    def told(looked: int, most: int) -> log.Count:
        monkeypatch.setattr(in_postgresql, "NEXT", looked)
        with database.read() as connection:
            return log.counted(connection, collection.tenant_id, Query(text='"odd even"'), most=most)

    assert told(4, 10) == log.Count(2, False)
    assert told(4, 1) == log.Count(1, True)
    few = told(3, 10)
    assert few.more
    assert few.number in (1, 2)
