"""The log searched, paged, tagged, proved and forgotten, on both databases, held against slow obvious versions."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select, text, update

from rag.errors import NotFound, WrongUsage
from rag.prompt import pack
from rag.rankings.arrays import columns
from rag.store import datasets, evaluations
from rag.store import interactions as log
from rag.store.collections import Collection
from rag.store.database import Database, now
from rag.store.interactions import Query, ScoreRange
from rag.store.log import forgetting, in_postgresql, in_sqlite, prompts, proofs, search, tags, views, words
from rag.store.log.query import query_json, query_value, score_ranges
from rag.store.tables import audit, interaction_facts, interactions, texts
from rag.store.tables.packed import packed_ranking, packed_stages, unpacked_ranking, unpacked_stages
from rag.types import Answer, Hit, Interaction, Message, Part, Passage, Score, Usage
from tests.test_interactions import collection as collection  # the fixture
from tests.test_interactions import interaction, record

Ids = Callable[[Query], list[int]]


@pytest.fixture
def found(database: Database, collection: Collection) -> Ids:
    """The numbers of the interactions that a query means; `count` and `conditions` must agree."""

    def ids(query: Query) -> list[int]:
        with database.read() as connection:
            page = log.page(connection, collection.tenant_id, query, limit=1000)
            assert log.count(connection, collection.tenant_id, query) == len(page), query
            where = log.conditions(collection.tenant_id, query)
            assert sorted(connection.scalars(select(interactions.c.id).where(*where))) == sorted(page), query
        return [int(key[3:]) for key in page]

    return ids


def saying(collection: Collection, number: int, question: str, answer: str = "", **changes: object) -> Interaction:
    said = Answer(answer, (), False, "extractive", "stop", Usage(None, None)) if answer else None
    return interaction(
        collection, number, question=question, search_query=question, answer=said, passages=(), prompt=None, **changes
    )


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_words_are_found_however_they_are_typed(database: Database, collection: Collection, found: Ids) -> None:
    record(
        database,
        collection,
        saying(collection, 1, "Who can't read Müller's e-mail_box?", "It was NAÏVE."),
        saying(collection, 2, "東京 2024: the 3.5 rule", "nobody knows"),
        saying(collection, 3, "box for mail", "The rule of three"),
    )
    for typed, meant in {
        "mail": [3, 1],
        "MAIL box": [3, 1],
        '"mail box"': [1],
        "can't": [1],
        "müller naïve": [1],
        "muller": [],
        "nobo*": [2],
        "no*": [],
        '"rule of" thr*': [3],
        '"of thr"*': [3],
        "3.5": [2],
        "東京": [2],
        "the": [3, 2],
        "NOT mail": [],
        "mail OR nobody": [],
        "mail -box": [3, 1],
        'unbalanced "mail': [],
        '"mail': [3, 1],
        "???": [],
        "* ^ : ( ) & | ! <-> ' \\ \x00": [],
        "   ": [3, 2, 1],
        "x" * 5000: [],
        " ".join(["mail"] * 100): [3, 1],
    }.items():
        assert found(Query(text=typed)) == meant, typed


WORD = st.text(alphabet="abcdeAÉñ7_", min_size=1, max_size=4)
SAID = st.lists(st.lists(WORD, min_size=1, max_size=5).map(" ".join), min_size=1, max_size=6)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=SAID, typed=st.text(max_size=12) | st.lists(WORD, max_size=3).map(" ".join) | WORD.map('"a {}"'.format))
def test_both_databases_find_what_a_slow_search_finds(
    database: Database, collection: Collection, found: Ids, said: list[str], typed: str
) -> None:
    with database.write() as connection:
        connection.execute(interactions.delete())
    record(database, collection, *(saying(collection, number, each) for number, each in enumerate(said, 1)))
    wanted = words.terms(typed)
    slow = [
        number
        for number, each in enumerate(said, 1)
        if not typed.strip() or (wanted and all(_holds(each, term) for term in wanted))
    ]
    assert found(Query(text=typed)) == slow[::-1]


def _holds(said: str, term: words.Term) -> bool:
    held = [word for each in words._WORD.findall(said) for word in [each.lower()]]
    n = len(term.words)
    for at in range(len(held) - n + 1):
        *first, last = held[at : at + n]
        if first == list(term.words[:-1]) and (
            last.startswith(term.words[-1]) if term.prefix else last == term.words[-1]
        ):
            return True
    return False


def test_what_is_reworded_is_found_anew(database: Database, collection: Collection, found: Ids) -> None:
    record(database, collection, saying(collection, 1, "old words", "here"), saying(collection, 2, "old", "there"))
    with database.write() as connection:
        connection.execute(
            update(interactions).where(interactions.c.question == "old").values(question="new", search_query="new")
        )
    assert (found(Query(text="old")), found(Query(text="new")), found(Query(text="there"))) == ([1], [2], [2])
    with database.write() as connection:
        connection.execute(interactions.delete().where(interactions.c.question == "new"))
    assert (found(Query(text="there")), found(Query(text="here"))) == ([], [1])


# ── filters and pages ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_new_filter_narrows(database: Database, collection: Collection, found: Ids) -> None:
    sure = Answer("Yes.", (), False, "extractive", "stop", Usage(None, None), confidence=0.8)
    record(
        database,
        collection,
        interaction(collection, 1, template="answer@aa", answer=sure),
        interaction(collection, 2, template="answer@bb", origin="synthetic", replays_id=interaction(collection, 1).id),
        interaction(collection, 3, template="answers@aa", scores=(Score("f", 0.2), Score("g", 0.9), Score("f", 0.6))),
        interaction(collection, 4, error="gone", answer=None, scores=(Score("f", 0.4), Score("g", 0.4))),
    )
    ids = [interaction(collection, number).id for number in range(1, 5)]
    with database.write() as connection:
        for number, rating in ((1, 1), (1, -1), (2, 1), (3, None)):
            log.add_feedback(
                connection, collection.tenant_id, ids[number - 1], user="u", rating=rating, label="x", comment=None
            )
        connection.execute(update(interactions).where(interactions.c.id == ids[3]).values(review_state="queued"))
        tags.add(connection, collection.tenant_id, ids[:2], ["Red", "big  one"], user="u")
        tags.add(connection, collection.tenant_id, ids[2:3], ["red"], user="u")
    for query, meant in (
        (Query(template="answer"), [4, 2, 1]),
        (Query(template="answer@aa"), [1]),
        (Query(template="answer@"), []),
        (Query(origin="synthetic"), [2]),
        (Query(confidence_min=0.5), [1]),
        (Query(confidence_max=0.7), []),
        (Query(scores=(ScoreRange("f", 0.5),)), [3]),
        (Query(scores=(ScoreRange("f", most=0.5), ScoreRange("g", 0.4, 0.4))), [4]),
        (Query(scores=(ScoreRange("g"), ScoreRange("f", 0.3))), [4, 3]),
        (Query(scores=(ScoreRange("nobody gave it"),)), []),
        (Query(feedback="good"), [2, 1]),
        (Query(feedback="bad"), [1]),
        (Query(feedback="any"), [3, 2, 1]),
        (Query(feedback="none"), [4]),
        (Query(review_state="queued"), [4]),
        (Query(review_state="none"), [3, 2, 1]),
        (Query(review_state="reviewed"), []),
        (Query(failed=True), [4]),
        (Query(replays=True), [2]),
        (Query(replays=False), [4, 3, 1]),
        (Query(replays=False, origin="synthetic"), []),
        (Query(tags=("red",)), [3, 2, 1]),
        (Query(tags=("red", "big one")), [2, 1]),
        (Query(tags=("red", "nothing")), []),
        (Query(tags=("red",), text="who", origin="human", feedback="any"), [3, 1]),
    ):
        assert found(query) == meant, query


def test_more_scores_than_have_columns_are_found_too(database: Database, collection: Collection, found: Ids) -> None:
    names = [f"metric {number:02d}" for number in range(15)]
    record(
        database,
        collection,
        interaction(collection, 1, scores=tuple(Score(name, 0.25) for name in names)),
        interaction(collection, 2, scores=tuple(Score(name, 0.75) for name in names)),
    )
    assert all(found(Query(scores=(ScoreRange(name, 0.5),))) == [2] for name in names)


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the window, and what counts as many, so small that every way of searching has its turn in a small log."""
    for module, bounds in (
        (search, {"WINDOW": 3, "WIDER": 6}),
        (in_sqlite, {"SPOKEN": 1, "SEVERAL": 3, "ALIKE": 2}),
        (in_postgresql, {"FEW": 2, "HEARD": 2, "SOME": 1, "NEXT": 2, "WALKED": 2}),
    ):
        for name, value in bounds.items():
            monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("query", [Query(), Query(text="odd"), Query(user="ann"), Query(text="odd", user="ann")])
def test_pages_go_both_ways_and_stay_what_they_were(
    database: Database, collection: Collection, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow(monkeypatch)
    odd = [saying(collection, n, "odd" if n % 2 else "even", user="ann" if n % 3 else "bob") for n in range(1, 21)]
    record(database, collection, *odd)
    meant = [
        entry.id
        for entry in reversed(odd)
        if (query.user in (None, entry.user)) and (query.text in (None, entry.question))
    ]

    def page(**bounds: str) -> list[str]:
        with database.read() as connection:
            return log.page(connection, collection.tenant_id, query, limit=3, **bounds)  # type: ignore[arg-type]

    seen = page()
    while behind := page(before=seen[-1]):
        seen += behind
        if len(seen) == 6:  # what is new is on no page behind
            record(database, collection, saying(collection, 30, "odd", user="ann"))
    assert seen == meant
    back = [meant[-1]]
    while ahead := page(after=back[0]):
        back = [*ahead, *back]
    assert back == [interaction(collection, 30).id, *meant]
    with database.read() as connection:
        count = log.count(connection, collection.tenant_id, query)
        assert count == len(back)
        told = log.counted(connection, collection.tenant_id, query, most=2)
        assert told.more
        assert told.number <= 2


RARE = {
    "user_id": Query(user="ann"),
    "model_id": Query(model="small", abstained=False),
    "template_id": Query(template="answer", feedback="none"),
    "collection_term_id": Query(collection="law"),
    "origin_id": Query(origin="generated"),
    "review_id": Query(review_state="queued"),
    "abstained": Query(abstained=True),
    "failed": Query(failed=True, until=datetime(2100, 1, 1, tzinfo=UTC)),
    "replay": Query(replays=True),
    "said": Query(feedback="any"),
    "good": Query(feedback="good"),
    "bad": Query(feedback="bad", text="odd"),
    "confidence": Query(confidence_max=0.2),
    "score_1": Query(scores=(ScoreRange("f", None, 0.2),)),
}


def test_sqlite_finds_what_is_rare_by_an_index_of_it(
    database: Database, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However its planner guesses: it is told by which."""
    if not database.is_sqlite:
        pytest.skip("PostgreSQL plans by its statistics")
    monkeypatch.setattr(search, "WINDOW", 0)
    monkeypatch.setattr(in_sqlite, "SPOKEN", 0)
    judged = (Score("f", 0.1, None, None),)
    record(database, collection, *(saying(collection, n, "odd", scores=judged) for n in range(3)))
    asked: list[tuple[str, object]] = []
    event.listen(database.engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
    for column, query in RARE.items():
        for ask in (log.counted, partial(log.page, limit=2)):
            asked.clear()
            with database.read() as connection:
                ask(connection, collection.tenant_id, query)
                found = [each for each in asked if "interaction_facts" in each[0]]
                told = found[-1:] if query.text is None else found  # the page itself comes last
                plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given).all() for sql, given in told]  # type: ignore[arg-type]
            assert f"ix_interaction_facts_tenant_id_{column}_number (tenant_id=? AND {column}" in str(plans), query


def test_an_id_that_is_gone_still_has_its_place(database: Database, collection: Collection) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    keys = []
    for number in range(4):
        from ulid import ULID

        moment = at + timedelta(hours=number)
        entry = interaction(collection, number, id=str(ULID.from_datetime(moment)))
        keys.append(entry.id)
        record(database, collection, replace(entry, created_at=moment.isoformat(timespec="milliseconds")))
    with database.write() as connection:
        connection.execute(interactions.delete().where(interactions.c.id == keys[2]))
        assert log.page(connection, collection.tenant_id, Query(), limit=9, before=keys[2]) == [keys[1], keys[0]]
        assert log.page(connection, collection.tenant_id, Query(), limit=9, after=keys[2]) == [keys[3]]


def test_a_span_of_time_is_exact_to_the_millisecond(database: Database, collection: Collection, found: Ids) -> None:
    record(database, collection, *(interaction(collection, number) for number in (1, 2, 3)))
    second = datetime.fromisoformat(interaction(collection, 2).created_at)
    assert found(Query(since=second)) == [3, 2]
    assert found(Query(until=second)) == [1]
    assert found(Query(since=second, until=second + timedelta(milliseconds=1))) == [2]


def test_facts_are_kept_by_whoever_writes(database: Database, collection: Collection) -> None:
    record(database, collection, interaction(collection, 1, scores=(Score("f", 0.5),)))
    with database.write() as connection:
        for statement in (
            "UPDATE scores SET value = 0.25",
            "INSERT INTO scores (interaction_id, name, value, annotator_kind, identifier, created_at) "
            "SELECT id, 'f', 0.75, 'HUMAN', '', created_at FROM interactions",
            "UPDATE interactions SET abstained = NULL, error = 'late'",
        ):
            connection.execute(text(statement))
        row = connection.execute(select(interaction_facts)).one()
        assert (row.score_1, row.failed, row.abstained) == (0.75, True, None)
        connection.execute(text("DELETE FROM scores WHERE value > 0.5"))
        assert connection.scalar(select(interaction_facts.c.score_1)) == 0.25
        connection.execute(text("DELETE FROM interactions"))
        assert connection.scalar(select(func.count()).select_from(interaction_facts)) == 0


# ── tags and views ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_tags_are_counted_and_taken_off(database: Database, collection: Collection) -> None:
    record(database, collection, interaction(collection, 1), interaction(collection, 2, user="bob"))
    one, two = interaction(collection, 1).id, interaction(collection, 2).id
    tenant = collection.tenant_id
    with database.write() as connection:
        assert tags.add(connection, tenant, [one, two], ["Red", "red ", "v1.2/x"], user="eve") == 4
        assert tags.add(connection, tenant, [one], ["red"], user="bob") == 0
        assert tags.listing(connection, tenant) == [("red", 2), ("v1.2/x", 2)]
        assert tags.listing(connection, tenant, user="bob") == [("red", 1), ("v1.2/x", 1)]
        assert [(tag.name, tag.user) for tag in tags.of(connection, tenant, [one])[one]] == [
            ("red", "eve"),
            ("v1.2/x", "eve"),
        ]
        assert tags.remove(connection, tenant, [one], ["RED", "other"]) == 1
        assert tags.listing(connection, tenant) == [("v1.2/x", 2), ("red", 1)]
    for bad in ("", "-x", "a\nb\x00", "x" * 65, "<script>", "a,b"):
        with database.write() as connection, pytest.raises(WrongUsage, match="tag"):
            tags.add(connection, tenant, [one], [bad], user="eve")
    with database.write() as connection, pytest.raises(WrongUsage, match="100 tags"):
        tags.add(connection, tenant, [one], [f"tag {n}" for n in range(100)], user="eve")
    with database.write() as connection, pytest.raises(NotFound):
        tags.add(connection, tenant + 1, [one], ["red"], user="eve")


def test_views_are_their_users_own(database: Database, collection: Collection) -> None:
    query = Query(
        text="x", scores=(ScoreRange("f", None, 0.5),), tags=("a", "b"), since=datetime(2026, 1, 1, tzinfo=UTC)
    )
    with database.write() as connection:
        views.save(connection, collection.tenant_id, "ann", " my  view ", Query())
        views.save(connection, collection.tenant_id, "ann", "my view", query)
        assert views.get(connection, collection.tenant_id, "ann", "my view").query == query
        assert [view.name for view in views.listing(connection, collection.tenant_id, "ann")] == ["my view"]
        assert views.listing(connection, collection.tenant_id, "bob") == []
        with pytest.raises(NotFound):
            views.remove(connection, collection.tenant_id, "bob", "my view")
        views.remove(connection, collection.tenant_id, "ann", "my view")
        with pytest.raises(NotFound):
            views.get(connection, collection.tenant_id, "ann", "my view")
        with pytest.raises(WrongUsage):
            views.save(connection, collection.tenant_id, "ann", "\x1b[2J", query)


@pytest.mark.parametrize("bound", [float("nan"), float("inf"), -float("inf")])
def test_a_bound_is_a_finite_number(bound: float) -> None:
    """A view that said NaN could be saved on SQLite, and no list of views could be told as JSON from then on."""
    for told in ({"confidence_min": bound}, {"confidence_max": bound}, {"scores": [{"name": "f", "most": bound}]}):
        with pytest.raises(WrongUsage, match="finite"):
            query_value(told)
    with pytest.raises(WrongUsage, match="finite"):
        Query(scores=score_ranges(["f"], bound))


def test_a_query_is_kept_as_json_and_nothing_else_is_taken() -> None:
    query = Query("a", "m", "t", "u", "human", "c", "d", now().replace(microsecond=0), None, (ScoreRange("f", 0.1),))
    query = replace(query, confidence_min=0.0, abstained=False, replays=False, feedback="none", tags=("x",))
    query = replace(query, review_state="queued")
    assert query_value(query_json(query)) == query
    for bad in (
        {"colour": "red"}, {"text": 1}, {"abstained": 1}, {"scores": [{"name": "f", "above": 1}]}, {"tags": "x"},
        {"replays": "no"},
        {"since": "yesterday"}, {"confidence_min": "low"}, {"feedback": "great"},
        {"scores": [{"name": "f", "least": "x"}]},
    ):  # fmt: skip
        with pytest.raises(WrongUsage):
            query_value(bad)


def test_ranges_of_scores_are_read_as_written() -> None:
    assert score_ranges(["f", "judge:f", "judge:f:..0.5", "g:0.25..", "h:-1..1"]) == (
        ScoreRange("f"),
        ScoreRange("judge:f"),
        ScoreRange("judge:f", None, 0.5),
        ScoreRange("g", 0.25),
        ScoreRange("h", -1.0, 1.0),
    )
    assert score_ranges(["f"], 0.1) == (ScoreRange("f", 0.1),)
    for names, least in ((["f", "g"], 0.1), ([], 0.1), (["f:1.2.3..2"], None)):
        with pytest.raises(WrongUsage):
            score_ranges(names, least)


# ── what is kept of prompts and rankings ────────────────────────────────────────────────────────────────────────────

LINE = st.text(alphabet="ab~[]1 \n€", max_size=12)


@given(
    question=LINE,
    shown=st.lists(st.tuples(LINE, LINE), max_size=4),
    turns=st.lists(st.tuples(LINE, LINE), max_size=2),
    contents=st.lists(LINE, max_size=3),
)
def test_any_prompt_is_given_back_letter_by_letter(
    question: str, shown: list[tuple[str, str]], turns: list[tuple[str, str]], contents: list[str]
) -> None:
    passages = [
        Passage(Hit(n, 0.0, {}), body, title, (), (), None, 0, len(body), n) for n, (title, body) in enumerate(shown, 1)
    ]
    sources = prompts.Sources(question, question, passages, turns)
    told = "".join(f"{prompts.label(each)} [{n}]\n{each.text}\n" for n, each in enumerate(passages, 1))
    messages = (*(Message("user", said) for said in contents), Message("user", f"{told}{question}"))
    assert prompts.unfolded(prompts.folded(messages, sources), sources) == messages


def test_real_prompts_share_their_frame(collection: Collection) -> None:
    (passage,) = interaction(collection).passages
    long = replace(passage, text="A sentence that says something. " * 40)
    kept = set()
    for question, first in (("Who wrote it?", long), ("Why?", replace(long, text=long.text[:300], title="Other"))):
        shown = (first, replace(long, text=long.text[5:]))
        prompt = pack(question, shown, count_tokens=lambda messages: 1, context_tokens=99, max_tokens=9)
        kept.add(prompts.folded(prompt.messages, prompts.Sources(question, question, shown)))
    (frame,) = kept
    assert len(frame) < 1200
    assert "sentence that says" not in frame


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**62),
            st.floats(allow_nan=False),
            st.dictionaries(
                st.sampled_from(["dense", "bm25", "fused", "é"]),
                st.tuples(st.integers(1, 2**31), st.floats(allow_nan=False)).map(list),
            ),
        ).map(list),
        max_size=5,
    )
)
def test_rankings_are_packed_without_loss(hits: list[list[Any]]) -> None:
    assert unpacked_ranking(packed_ranking(hits)) == hits
    parts = [{name: Part(*part) for name, part in stages.items()} for _, _, stages in hits]
    ranked = [Hit(hit[0], hit[1], told) for hit, told in zip(hits, parts, strict=True)]
    assert packed_ranking(columns(ranked)) == packed_ranking(hits)
    for _, _, stages in hits:
        assert unpacked_stages(packed_stages(stages)) == stages


# ── proving and forgetting ──────────────────────────────────────────────────────────────────────────────────────────


def wrong(database: Database, collection: Collection) -> list[str]:
    """The parts of the log that do not hold."""
    return [part.name for part in proofs.verify(database, collection.tenant_id).parts if part.failures]


@pytest.mark.parametrize(
    ("statement", "parts"),
    [
        ("SELECT 1", []),
        ("UPDATE interactions SET answer = 'Eve wrote it.'", ["words"]),
        ("UPDATE interactions SET question = 'who wrote?'", ["words", "prompts"]),
        ("UPDATE texts SET text = replace(text, 'be true', 'be false')", ["prompts", "shared texts"]),
        ("UPDATE contents SET text = 'Eve' || substr(text, 4)", ["prompts", "texts of passages"]),
        ('UPDATE interaction_passages SET "end" = 13', ["prompts"]),
        ("DELETE FROM interaction_facts", ["facts of interactions"]),
    ],
)
def test_a_change_of_the_log_is_found(
    database: Database, collection: Collection, statement: str, parts: list[str]
) -> None:
    entry = interaction(collection, question="who wrote it?", search_query="who wrote it?")
    assert entry.prompt is not None
    asked = (Message("system", "be true"), Message("user", "[1] Anna wrote it.\nwho wrote it?"))
    record(database, collection, replace(entry, prompt=replace(entry.prompt, messages=asked)))
    with database.write() as connection:
        connection.execute(text(statement))
    assert wrong(database, collection) == parts


def conversation(database: Database, collection: Collection) -> tuple[Interaction, Interaction]:
    """Two turns, the second of which repeats the first in its prompt."""
    first = interaction(collection, 1, conversation_id="C", turn=1, kind="first", question="secret question?")
    prompt = first.prompt
    assert prompt is not None
    messages = (Message("system", "be true"), Message("user", "secret question?\nAnna wrote it.\nand then?"))
    second = interaction(
        collection, 2, conversation_id="C", turn=2, kind="continuation", parent_id=first.id, question="and then?",
        search_query="and then?", prompt=replace(prompt, question="and then?", messages=messages),
    )  # fmt: skip
    record(database, collection, first, second)
    return first, second


def test_a_turn_is_not_kept_twice_and_is_erased_from_later_prompts(database: Database, collection: Collection) -> None:
    first, second = conversation(database, collection)
    with database.read() as connection:
        assert log.get(connection, collection.tenant_id, second.id) == second
        kept = " ".join(connection.scalars(select(texts.c.text)))
        assert "secret" not in kept
        assert "Anna" not in kept
    assert forgetting.erase(database, collection.tenant_id, [first.id], actor="eve", asked=Query()) == 1
    with database.read() as connection:
        left = log.get(connection, collection.tenant_id, second.id)
        assert left.prompt is not None
        assert "secret" not in str(left)
        assert "gone from the log" in left.prompt.messages[0].content
    proof = proofs.verify(database, collection.tenant_id)
    assert proof.sound
    assert [part.unproved for part in proof.parts if part.name in ("words", "prompts")] == [1, 2]


def test_replays_say_the_same_and_are_erased_with_what_they_replay(database: Database, collection: Collection) -> None:
    first, second = conversation(database, collection)
    alone = {"conversation_id": None, "turn": None, "kind": None, "parent_id": None, "user": "bob"}
    again = replace(second, id=interaction(collection, 3).id, replays_id=second.id, **alone)
    third = replace(again, id=interaction(collection, 4).id, replays_id=again.id)
    record(database, collection, again, third)
    tenant = collection.tenant_id
    with database.read() as connection:
        assert "secret" not in " ".join(connection.scalars(select(texts.c.text))), "the turn before is a reference"
        assert log.get(connection, tenant, third.id) == third
        everything = [second.id, again.id, third.id]
        assert forgetting.erasable(connection, tenant, Query(), [second.id]) == everything
        assert forgetting.erasable(connection, tenant, Query(text="then")) == [third.id, again.id, second.id]
        assert forgetting.erasable(connection, tenant, Query(), [third.id]) == [third.id]
    forgetting.erase(database, tenant, [first.id], actor="eve", asked=Query())
    with database.read() as connection:
        assert "secret" not in str([log.get(connection, tenant, key) for key in everything])
    assert proofs.verify(database, tenant).sound


def test_erasing_leaves_no_word(database: Database, collection: Collection, found: Ids) -> None:
    judged = (Score("f", 0.5, "label zebra", "since zebra"),)
    asked = interaction(
        collection, 1, question="zebra one", search_query="zebra two", error="zebra three", scores=judged,
        settings={"k": 8, "filter": "zebra", "fallback_reason": "zebra"},
    )  # fmt: skip
    record(database, collection, asked, interaction(collection, 2))
    tenant = collection.tenant_id
    with database.write() as connection:
        log.add_feedback(connection, tenant, asked.id, user="u", rating=-1, label="zebra", comment="zebra")
        held = datasets.Item(asked.id, "train", "human", {}, asked.id)
        datasets.add(connection, tenant, datasets.NewVersion("gold", "log", "default", (held,), {}, {}))
        put = evaluations.JudgedQuery(asked.id, "a question", {}, {}, None, {})
        evaluations.add(
            connection, tenant, evaluations.NewEvaluation("before", "f", b"0", "hybrid", {}, "1", {}), [put]
        )
        ids = forgetting.erasable(connection, tenant, Query(text="zebra"))
        told = forgetting.told(connection, tenant, ids)
    assert (ids, told.interactions, told.feedback, told.datasets) == ([asked.id], 1, 1, ("gold@1",))
    assert told.runs == ("before",)
    assert forgetting.erase(database, tenant, ids, actor="eve", asked=Query(text="zebra")) == 1
    assert forgetting.erase(database, tenant, ids, actor="eve", asked=Query()) == 0, "once is enough"
    with database.read() as connection:
        left = log.get(connection, tenant, asked.id)
        said = log.feedback_of(connection, asked.id)
        rows = connection.execute(select(audit.c.actor, audit.c.action, audit.c.detail).order_by(audit.c.id)).all()
        digest = connection.scalar(select(interactions.c.said_digest).where(interactions.c.id == asked.id))
        assert log.marks(connection, tenant, [asked.id])[asked.id].erased_at is not None
    assert "zebra" not in str((left, said, rows))
    assert (left.question, left.prompt, left.settings, said[0].rating) == ("", None, {"k": 8}, -1)
    assert [row.action for row in rows][-2:] == ["log erase", "log erase"]
    assert rows[-2].detail == {"interactions": 1, "asked for": 1, "filters": ["text"]}
    assert digest, "what was said can still be held against it"
    assert (found(Query(text="zebra")), found(Query(failed=True)), found(Query())) == ([], [1], [2, 1])
    assert found(Query(text="zeb*")) == []
    if database.file is not None:
        database.close()
        assert b"zebra" not in database.file.read_bytes(), "nor in what the file no longer uses"
    with database.read() as connection, pytest.raises(WrongUsage, match="what to erase"):
        forgetting.erasable(connection, tenant, Query())
    with database.read() as connection, pytest.raises(NotFound):
        forgetting.erasable(connection, tenant, Query(), ["0" * 26])


def test_the_log_is_kept_for_so_many_days(database: Database, collection: Collection, found: Ids) -> None:
    record(database, collection, *(interaction(collection, number) for number in range(1, 6)))
    conversation_id = "C"
    young = interaction(collection, 6, created_at=now().isoformat(timespec="milliseconds"))
    old = interaction(collection, 7, conversation_id=conversation_id, question="alone")
    record(database, collection, young, old)
    with database.write() as connection:
        tags.add(connection, collection.tenant_id, [old.id], ["x"], user="u")
        assert log.count(connection, collection.tenant_id, forgetting.overdue(30)) == 6
    assert forgetting.prune_all(database, 30, actor="rule", at_most=4) == 4
    assert forgetting.prune(database, collection.tenant_id, 30, actor="rule") == 2
    assert found(Query()) == [6]
    with database.read() as connection:
        for table in ("conversations", "interaction_tags"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0
        assert connection.scalar(select(func.count()).select_from(texts)) == 2, "what the young one is made of"
        details = connection.scalars(select(audit.c.detail).where(audit.c.action == "log prune")).all()
    assert details == [{"interactions": 4, "days": 30}, {"interactions": 2, "days": 30}]
    assert wrong(database, collection) == []
    with pytest.raises(WrongUsage, match="for ever"):
        forgetting.overdue(0)


def test_links_say_what_came_of_an_answer(database: Database, collection: Collection) -> None:
    first, second = conversation(database, collection)
    again = interaction(collection, 3, conversation_id="C", turn=3, kind="regeneration", regenerates_id=first.id)
    record(database, collection, again, interaction(collection, 4, replays_id=first.id, user="bob"))
    with database.read() as connection:
        links = log.links(connection, collection.tenant_id, first.id)
        assert links == log.Links((second.id,), (again.id,), (interaction(collection, 4).id,))
        assert log.links(connection, collection.tenant_id, first.id, user="ann").replayed_by == ()
        assert log.get(connection, collection.tenant_id, interaction(collection, 4).id).replays_id == first.id
