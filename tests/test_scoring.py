"""Scoring the history on both databases: what lacks a score gets it, once, and what is done stays done."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from rag.errors import GeneratorFailed
from rag.evaluation import scoring
from rag.rankings.wrapped import REMEMBERED, Recalling
from rag.scorers.exact_match import ExactMatch
from rag.store import collections as collection_store
from rag.store import database as database_store
from rag.store import interactions as interaction_store
from rag.store.database import Database
from rag.store.interactions import Query
from rag.store.log import scores as score_store
from rag.types import Embedder, Example, Interaction, Score, Vectors
from tests.contracts.test_scorers import interaction


@dataclass
class Length:
    """Scores an answer by its length, and remembers what it was asked for."""

    version: str = "1"
    name: str = "length"
    asked: list[list[str]] = field(default_factory=list)
    after: threading.Event | None = None  # set once something was scored
    fails_at: str = ""

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        if any(entry.id == self.fails_at for entry in interactions):
            raise GeneratorFailed("the server went away")
        self.asked.append([entry.id for entry in interactions])
        if self.after is not None:
            self.after.set()
        return [self._score(entry) for entry in interactions]

    def _score(self, entry: Interaction) -> Score | None:
        if entry.answer is None:
            return None
        return Score(self.name, len(entry.answer.text) / 100, identifier=f"{self.name}@{self.version}")

    @property
    def ids(self) -> list[str]:
        return [each for batch in self.asked for each in batch]


@pytest.fixture
def tenant(database: Database) -> int:
    return tenant_of(database)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """For what the database has no part in."""
    opened = database_store.connect(f"sqlite:///{tmp_path / 'rag.db'}")
    database_store.upgrade(opened)
    yield opened
    opened.close()


def tenant_of(database: Database) -> int:
    with database.write() as connection:
        return collection_store.ensure_tenant(connection, "default")


def number(n: int) -> str:
    return f"01ARZ3NDEKTSV4RRFFQ69G5{n:03d}"


def log(database: Database, tenant: int, *texts: str | None) -> list[str]:
    """Logged interactions, one a text, the question being the text too."""
    with database.write() as connection:
        for n, text in enumerate(texts):
            entry = replace(interaction(text, question=str(text)), id=number(n), tenant_id=tenant)
            interaction_store.record(connection, database, entry, None)
    return [number(n) for n in range(len(texts))]


def scores_of(database: Database, tenant: int, interaction_id: str) -> list[tuple[str, float | None, str]]:
    with database.read() as connection:
        found = interaction_store.get(connection, tenant, interaction_id).scores
    return [(score.name, score.value, score.identifier) for score in found]


def test_everything_is_scored_once_and_again_only_when_asked(database: Database, tenant: int) -> None:
    ids = log(database, tenant, "one", "three", None)
    first = Length()
    (tally,) = scoring.score(database, tenant, [first], Query())
    assert first.ids == ids[::-1]  # the newest first
    assert tally == scoring.Tally("length", 3, 0, 0, 2, pytest.approx(0.04))
    assert tally.does_not_apply == 1
    assert scores_of(database, tenant, ids[0]) == [("length", 0.03, "length@1")]
    assert scores_of(database, tenant, ids[2]) == [("length", None, "length@1")]
    second = Length()
    (tally,) = scoring.score(database, tenant, [second], Query())
    assert second.asked == []
    assert tally == scoring.Tally("length", 0, 3, 0, 2, pytest.approx(0.04))
    (tally,) = scoring.score(database, tenant, [second], Query(), again=True)
    assert (second.ids, tally.scored) == (ids[::-1], 3)
    assert scores_of(database, tenant, ids[0]) == [("length", 0.03, "length@1")]  # one row, not two


def test_another_version_stands_beside_the_older_one(sqlite: Database) -> None:
    tenant = tenant_of(sqlite)
    (one,) = log(sqlite, tenant, "one")
    for version in "121":
        scoring.score(sqlite, tenant, [Length(version)], Query())
    assert scores_of(sqlite, tenant, one) == [("length", 0.03, "length@1"), ("length", 0.03, "length@2")]


def test_what_others_said_stays(database: Database, tenant: int) -> None:
    (one,) = log(database, tenant, "one")
    person = Score("length", 1.0, annotator_kind="HUMAN", identifier="ann")
    with database.write() as connection:
        interaction_store.add_scores(connection, one, [person])
    scoring.score(database, tenant, [Length()], Query(), again=True)
    assert scores_of(database, tenant, one) == [("length", 1.0, "ann"), ("length", 0.03, "length@1")]


def test_a_limit_ends_it_and_the_next_call_goes_on(sqlite: Database) -> None:
    tenant = tenant_of(sqlite)
    ids = log(sqlite, tenant, *("x" * n for n in range(1, 10)))
    seen: list[str] = []
    for scored in (4, 4, 1, 0):
        scorer = Length()
        (tally,) = scoring.score(sqlite, tenant, [scorer], Query(), limit=4)
        assert tally.scored == scored
        seen += scorer.ids
    assert seen == ids[::-1]


def test_a_cancelled_run_keeps_what_is_done(sqlite: Database) -> None:
    tenant = tenant_of(sqlite)
    ids = log(sqlite, tenant, *("x" * n for n in range(1, 10)))
    cancel = threading.Event()
    stopped = Length(after=cancel)
    (tally,) = scoring.score(sqlite, tenant, [stopped], Query(), cancel=cancel)
    assert stopped.ids == ids[-1:]
    assert tally.scored == 1
    rest = Length()
    (tally,) = scoring.score(sqlite, tenant, [rest], Query())
    assert rest.ids == ids[-2::-1]
    assert (tally.scored, tally.already, tally.applies) == (8, 1, 9)


def test_a_failure_keeps_what_was_done_before(sqlite: Database) -> None:
    tenant = tenant_of(sqlite)
    ids = log(sqlite, tenant, *("x" * n for n in range(1, 6)))
    with pytest.raises(GeneratorFailed):
        scoring.score(sqlite, tenant, [Length(fails_at=ids[0])], Query())
    assert scores_of(sqlite, tenant, ids[-1]) == [("length", 0.05, "length@1")]
    assert scores_of(sqlite, tenant, ids[0]) == []
    (tally,) = scoring.score(sqlite, tenant, [Length()], Query())
    assert tally.applies == 5


def test_long_logs_are_gone_through_page_by_page(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = tenant_of(sqlite)
    monkeypatch.setattr("rag.evaluation.scoring.PAGE", 4)
    ids = log(sqlite, tenant, *("x" * n for n in range(1, 12)))
    scoring.score(sqlite, tenant, [Length()], Query(), limit=3)
    scorer, seen = Length(), list[int]()
    (tally,) = scoring.score(sqlite, tenant, [scorer], Query(), progress=seen.append)
    assert scorer.ids == ids[-4::-1]
    assert (tally.scored, tally.already) == (8, 3)
    assert seen[-1] == 11
    assert seen == sorted(seen)


def test_each_scorer_gets_what_it_lacks(sqlite: Database) -> None:
    tenant = tenant_of(sqlite)
    log(sqlite, tenant, "one", "two")
    scoring.score(sqlite, tenant, [Length()], Query(), limit=1)
    old, new = Length(), Length(name="size")
    scoring.score(sqlite, tenant, [old, new], Query())
    assert (len(old.ids), len(new.ids)) == (1, 2)


def test_only_what_the_query_means_is_scored(database: Database, tenant: int) -> None:
    ids = log(database, tenant, "one", "two")
    scorer = Length()
    scoring.score(database, tenant, [scorer], Query(text="two"))
    assert scorer.ids == [ids[1]]
    with database.write() as connection:
        other = collection_store.ensure_tenant(connection, "other")
    assert scoring.score(database, other, [Length()], Query())[0].scored == 0


def test_references_are_found_by_their_question(sqlite: Database) -> None:
    tenant = tenant_of(sqlite)
    ids = log(sqlite, tenant, "Paris", "Rome", None)
    known = scoring.references([Example("1", " paris ", ("Paris",)), Example("2", "ROME", ("Oslo",))])
    (tally,) = scoring.score(sqlite, tenant, [ExactMatch()], Query(), known=known)
    assert (tally.scored, tally.without_reference, tally.mean) == (2, 1, 0.5)
    assert scores_of(sqlite, tenant, ids[2]) == []
    changed = scoring.references([Example("1", "Paris", ("Lyon",)), Example("2", "Rome", ("Oslo",))])
    (tally,) = scoring.score(sqlite, tenant, [ExactMatch()], Query(), known=changed)
    assert (tally.scored, tally.already) == (1, 1)  # another gold answer is another score
    assert [value for _, value, _ in scores_of(sqlite, tenant, ids[0])] == [1.0, 0.0]


def test_a_question_in_several_examples_has_all_their_answers() -> None:
    known = scoring.references(
        [Example("1", "Who?", ("Ann",), {"d1": 1}), Example("2", "who?", ("Bob", "Ann"), {"d2": 1}), Example("3", "x")]
    )
    assert known["who?"].answers == ("Ann", "Bob")
    assert known["who?"].relevant == {"d1": 1, "d2": 1}
    assert len(known) == 2


def test_two_that_replace_at_once_leave_one_score(database: Database, tenant: int) -> None:
    (one,) = log(database, tenant, "one")
    start = threading.Barrier(4)

    def give(value: float) -> None:
        start.wait()
        for _ in range(5):
            with database.write() as connection:
                score_store.replace(connection, [(one, Score("length", value, identifier="length@1"))])

    threads = [threading.Thread(target=give, args=(n / 10,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(scores_of(database, tenant, one)) == 1


def test_an_interaction_that_is_gone_is_left_out(database: Database, tenant: int) -> None:
    (one,) = log(database, tenant, "one")
    with database.write() as connection:
        score_store.replace(connection, [(number(7), Score("a", 1.0)), (one, Score("a", 1.0))])
        score_store.replace(connection, [(number(7), Score("a", 1.0))])
    assert scores_of(database, tenant, one) == [("a", 1.0, "")]


# ── a question is embedded once ─────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Counted:
    """An embedder that remembers which queries it was given."""

    inner: Embedder
    queries: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        self.queries += texts
        return self.inner.embed_queries(texts)


def test_queries_are_remembered_and_give_the_same_vectors(embedder: Embedder) -> None:
    counted = Counted(embedder)
    recalling = Recalling(counted)  # type: ignore[arg-type]
    for texts in (["a", "b"], ["b", "c", "b"], ["a"], []):
        assert np.array_equal(recalling.embed_queries(texts), embedder.embed_queries(texts))
    assert counted.queries == ["a", "b", "c"]
    recalling.embed_queries([f"q{n}" for n in range(REMEMBERED + 5)])
    recalling.embed_queries([f"q{REMEMBERED + 4}", "q5"])
    assert len(counted.queries) == 3 + REMEMBERED + 5
    recalling.embed_queries(["q4", "a"])
    assert counted.queries[-2:] == ["q4", "a"]
    assert recalling.fingerprint == embedder.fingerprint
