"""Histories of a collection under policies on duplicates: whatever happens in whatever order, the promises hold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Row, func, select

from ingest.shingles import shingles
from rag import embedders
from rag.access import Access
from rag.corpus import Corpus, Origin, changed, make_pool, open_corpus
from rag.errors import Conflict
from rag.indexes.snapshots import Indexes
from rag.search import OpenCollection, Search, search
from rag.store import collections as collection_store
from rag.store import database as database_store
from rag.store import documents as document_store
from rag.store.checks import collection_checks
from rag.store.database import Database
from rag.store.duplicates import second_looks as review
from rag.store.duplicates.policies import DEFAULTS, Rule
from rag.store.permitted import Predicate
from rag.store.tables import chunks, contents, decisions, document_labels, documents, signatures, vectors
from rag.store.trial import trial
from rag.store.vectors import CollectionFeed
from rag.types import Embedder, Principal

MB = 2**20
WORDS = [f"word{number}" for number in range(60)]


def revision(*changed_words: int) -> str:
    """The text with some words changed: each takes five of 56 shingles away and brings five others."""
    return " ".join(f"changed{place}" if place in changed_words else word for place, word in enumerate(WORDS))


def stored(text: str) -> str:
    """How a text is kept."""
    return text.replace("  ", " ").strip()


# Jaccard of neighbours 0.84, of those two apart 0.70, three apart 0.58: likeness is no equivalence at either threshold
TEXTS = (
    revision(),
    revision(7),
    revision(7, 22),
    revision(7, 22, 37),
    revision(7, 52),
    revision().replace(" ", "  "),
    revision().replace(" ", "\n"),
    " ".join(reversed(WORDS)),
    "Too short to say much.",
    "ภาษาไทยไม่มีช่องว่าง \u00e9 \U0001f98a " * 12,
)
NAMES = ("a.txt", "b.txt", "c.txt", "d.txt", "e.txt")
OWNERS = ("ann", "bob")
LABELS = (frozenset[str](), frozenset({"x"}), frozenset({"x", "y"}))
DATES = (None, "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z")
HOLDING = ("skip", "newest")
SHARES = {
    (one, other): len(np.intersect1d(shingles(one), shingles(other))) / len(np.union1d(shingles(one), shingles(other)))
    for one in map(stored, TEXTS)
    for other in map(stored, TEXTS)
}
POLICIES = {
    "dedup_exact": st.sampled_from(["alias", "alias", "skip", "newest", "keep", "off"]),
    "dedup_near": st.sampled_from(["newest", "skip", "alias", "newest", "skip", "keep", "off"]),
    "dedup_semantic": st.sampled_from(["off", "off", "skip", "newest", "alias"]),
    "dedup_near_threshold": st.sampled_from([0.8, 0.6]),
    "dedup_chunk_near": st.sampled_from(["off", "alias"]),
}


@dataclass(frozen=True)
class House:
    """What all histories share: each has a collection of its own."""

    database: Database
    embedder: Embedder
    corpus: Corpus
    folder: Path
    numbers: Iterator[int]


@dataclass(frozen=True)
class File:
    """A file as it was taken in last."""

    text: str
    owner: str
    labels: frozenset[str]


@dataclass(frozen=True)
class Document:
    """A live document, as the database tells of it."""

    id: int
    name: str
    content_id: int
    own: str  # its own text
    shown: str
    owner: str
    labels: frozenset[str]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    database = database_store.connect(f"sqlite:///{tmp_path / 'rag.db'}")
    database_store.upgrade(database)
    embedder = embedders.load("hashing:64", models_dir=tmp_path)
    pool = make_pool(embedder, processes=1)
    corpus = open_corpus(database, "default", "first", embedder, chunk_tokens=64, overlap_tokens=0, pool=pool)
    yield House(database, embedder, corpus, tmp_path, count())
    pool.close()
    database.close()


class Histories(RuleBasedStateMachine):
    """One collection, and what is expected of it: every file taken in stands, or is held back for a reason."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        number = next(house.numbers)
        self.name = f"history {number}"
        self.folder = house.folder / f"docs{number}"
        self.folder.mkdir()
        self.files: dict[str, File] = {}  # what has to stand or wait, by name
        self.last: dict[str, tuple[Origin, str]] = {}  # how a name was taken in, where doing it again changes nothing
        self.access = Access()

    @initialize(given=st.fixed_dictionaries(POLICIES))
    def open(self, given: dict[str, str | float]) -> None:
        self.corpus = open_corpus(
            self.house.database,
            "default",
            self.name,
            self.house.embedder,
            chunk_tokens=64,
            overlap_tokens=0,
            dedup=given,
            pool=self.house.corpus.pool,
        )

    # ── what happens ────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        texts=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(TEXTS), min_size=2, max_size=5),
        owner=st.sampled_from(OWNERS),
        labels=st.sampled_from(LABELS),
        date=st.sampled_from(DATES),
    )
    def ingest(self, texts: dict[str, str], owner: str, labels: frozenset[str], date: str | None) -> None:
        origin = Origin(owner, {} if date is None else {"modified": date}, labels)
        for name, text in texts.items():
            (self.folder / name).write_text(text)
            self.files[name], self.last[name] = File(text, owner, labels), (origin, text)
        report = self.corpus.add_paths([self.folder / name for name in texts], origin, max_bytes=MB)
        assert report.added + report.updated + report.unchanged + report.duplicate == len(texts)

    @precondition(lambda self: self.last)
    @rule()
    def twice(self) -> None:
        """What is done a second time changes nothing."""
        self.ingest_again()
        self.judge_again()

    def ingest_again(self) -> None:
        before = self.whole()
        for name, (origin, text) in self.last.items():
            (self.folder / name).write_text(text)
            report = self.corpus.add_paths([self.folder / name], origin, max_bytes=MB)
            assert (report.unchanged, report.embedded) == (1, 0)
        assert different(before, self.whole()) == {}

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        alive = self.alive()
        gone = data.draw(st.lists(st.sampled_from(alive), min_size=1, max_size=3, unique_by=lambda each: each.id))
        assert self.corpus.remove([each.id for each in gone], actor="me") == len(gone)
        for each in gone:
            del self.files[each.name]
            self.last.pop(each.name, None)

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        with self.corpus.database.read() as connection:
            rows = document_store.removed(connection, Predicate(self.corpus.collection.id, None), limit=99)
            texts = {row.id: self.own_text(row.id) for row in rows}
        if not rows:
            return
        row = data.draw(st.sampled_from(rows))
        name = row.uri.rpartition("/")[2]
        if any(each.name == name for each in self.alive()):
            with pytest.raises(Conflict):
                self.corpus.restore(row.id, actor="me")
            return
        self.corpus.restore(row.id, actor="me")
        self.files[name] = File(texts[row.id], row.owner, frozenset(row.labels))
        self.last.pop(name, None)

    @rule(given=st.fixed_dictionaries({}, optional={**POLICIES, "chunk_tokens": st.sampled_from([64, 32])}))
    def change(self, given: dict[str, str | float]) -> None:
        done = changed(self.corpus, given)
        self.corpus = replace(self.corpus, collection=done.collection)

    def judge_again(self) -> None:
        before = self.whole()
        self.corpus.review_duplicates()
        after = self.whole()
        # Pairs that stand beside each other are recorded against the oldest copy; when that went, against the next.
        held = [[row for row in each.pop("decisions") if row.held_back] for each in (before, after)]
        assert different(before, after) == {}
        assert held[0] == held[1]
        after = self.whole()
        self.corpus.review_duplicates()
        assert different(after, self.whole()) == {}

    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        rows = [row for row in self.open_decisions() if row.scope == "document"]
        if not rows:
            return
        row = data.draw(st.sampled_from(rows))
        try:
            with self.corpus.database.write() as connection:
                review.undo_decision(connection, self.corpus.collection, row.id, actor="me")
        except Conflict:
            alive = {each.id for each in self.alive()}
            assert row.held_back is None
            assert row.level == "exact" or not {row.document_id, row.against_id} <= alive
            return
        pair = {bytes(row.digest), bytes(row.against_digest)}
        assert not [
            each
            for each in self.open_decisions()
            if each.uri == row.uri
            and {bytes(each.digest), bytes(each.against_digest)} == pair
            and each.held_back is not None
        ]

    @rule(text=st.sampled_from(TEXTS), name=st.sampled_from(NAMES), owner=st.sampled_from(OWNERS))
    def try_only(self, text: str, name: str, owner: str) -> None:
        before = self.whole()
        (self.folder / name).write_text(text)
        with trial(self.corpus.database) as database:
            tried = replace(self.corpus, database=database)
            tried.add_paths([self.folder / name], Origin(owner), max_bytes=MB)
        assert different(before, self.whole()) == {}

    @rule(
        text=st.sampled_from(TEXTS), who=st.sampled_from([None, frozenset[str](), frozenset({"x"}), frozenset({"y"})])
    )
    def search(self, text: str, who: frozenset[str] | None) -> None:
        corpus = self.corpus
        folder = self.house.folder / f"index of {self.name}"
        folder.mkdir(exist_ok=True)
        feed = CollectionFeed(corpus.database, corpus.collection)
        indexes = Indexes(folder, feed, vectors="exact", keywords="exact", fingerprint=corpus.collection.fingerprint)
        opened = OpenCollection(corpus.database, corpus.collection, indexes, self.access, lambda: corpus.embedder)
        found = search(opened, Search(text, 50), Principal(corpus.collection.tenant_id, "me", who)).passages
        may = [each for each in self.alive() if who is None or not each.labels or each.labels & who]
        places = {place.document_id for passage in found for place in passage.places}
        assert places <= {each.id for each in may}
        shown = {" ".join(each.shown.split()) for each in may}
        assert all(any(" ".join(passage.text.split()) in text for text in shown) for passage in found)
        assert {passage.content_id for passage in found} <= {each.content_id for each in may}
        if self.corpus.collection.settings["dedup_chunk_near"] == "off":
            assert places == {each.id for each in may}, "k is larger than all there is"

    # ── what is promised ────────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def all_checks_hold(self) -> None:
        if not hasattr(self, "corpus"):
            return
        with self.corpus.database.read() as connection:
            bad = [c for c in collection_checks(self.corpus.database, connection, self.corpus.collection) if not c.ok]
        assert bad == []

    @invariant()
    def every_file_stands_or_waits(self) -> None:
        if not hasattr(self, "corpus"):
            return
        found = {each.name: File(each.own, each.owner, each.labels) for each in self.alive()}
        for row in self.open_decisions():
            if row.held_back is not None:
                name = row.held_back["name"]
                assert name not in found, "it stands, or is held back twice"
                found[name] = File(
                    self.text_of_digest(row.digest), row.held_back["owner"], frozenset(row.held_back["labels"])
                )
        expected = {name: replace(file, text=stored(file.text)) for name, file in self.files.items()}
        assert found == expected

    @invariant()
    def what_is_held_back_has_a_reason(self) -> None:
        if not hasattr(self, "corpus"):
            return
        settings = self.corpus.collection.settings
        alive = {each.id: each for each in self.alive()}
        for row in self.open_decisions():
            if row.held_back is None:
                continue
            assert row.policy == settings[f"dedup_{row.level}"]
            assert row.policy in HOLDING
            against = alive[row.against_id]
            assert against.own == against.shown == self.text_of_digest(row.against_digest)
            assert against.owner == row.held_back["owner"]
            assert against.labels == frozenset(row.held_back["labels"])
            mine = self.text_of_digest(row.digest)
            if row.level == "exact":
                assert mine == against.own
            elif row.level == "near":
                assert row.similarity == pytest.approx(SHARES[mine, against.own])
                assert row.similarity >= settings["dedup_near_threshold"]
            else:
                assert row.similarity >= settings["dedup_semantic_threshold"]

    @invariant()
    def an_alias_shows_a_text_that_stands(self) -> None:
        if not hasattr(self, "corpus"):
            return
        alive = self.alive()
        reasons = {
            row.document_id: row for row in self.open_decisions() if row.policy == "alias" and row.level != "exact"
        }
        for each in alive:
            if each.own == each.shown:
                continue
            row = reasons[each.id]
            against = next(other for other in alive if other.id == row.against_id)
            assert against.own == against.shown == each.shown
            assert against.labels == each.labels

    @invariant()
    def no_two_duplicates_stand(self) -> None:
        if not hasattr(self, "corpus"):
            return
        rules: dict[str, Rule] = {each.level: each for each in self.corpus.policies.document}
        exempt = self.exempt()
        copies = self.copies()
        standing = [each for each in self.alive() if each.own == each.shown]
        for one in standing:
            for other in standing:
                if one.id >= other.id or one.labels != other.labels or (one.own, other.own) in exempt:
                    continue
                level = "exact" if one.own == other.own else "near"
                held = rules.get(level)
                if held is None or held.policy not in (*HOLDING, "alias") or (level, held.policy) == ("exact", "alias"):
                    continue
                if level == "near" and (SHARES[one.own, other.own] < held.threshold or {one.own, other.own} & copies):
                    continue
                assert held.policy in HOLDING, (held, one, other)
                assert one.owner != other.owner, (held, one, other)

    @invariant()
    def a_chunk_lives_exactly_as_long_as_its_text_is_shown(self) -> None:
        if not hasattr(self, "corpus"):
            return
        with self.corpus.database.read() as connection:
            rows = connection.execute(
                select(chunks.c.content_id, contents.c.cutting)
                .join(contents, contents.c.id == chunks.c.content_id)
                .where(chunks.c.collection_id == self.corpus.collection.id, chunks.c.removed_position.is_(None))
            ).all()
        assert {row[0] for row in rows} == {each.content_id for each in self.alive()}
        assert {bytes(row[1]) for row in rows} <= {self.corpus.cutting}

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def alive(self) -> list[Document]:
        own = contents.alias()
        with self.corpus.database.read() as connection:
            rows = connection.execute(
                select(documents, contents.c.text.label("shown"), own.c.text.label("own"))
                .join(contents, contents.c.id == documents.c.content_id)
                .join(own, own.c.id == func.coalesce(documents.c.own_content_id, documents.c.content_id))
                .where(documents.c.collection_id == self.corpus.collection.id, documents.c.removed_position.is_(None))
                .order_by(documents.c.id)
            ).all()
            labels: dict[int, set[str]] = {}
            for row in connection.execute(select(document_labels)):
                labels.setdefault(row.document_id, set()).add(row.label)
        return [
            Document(
                row.id,
                row.name,
                row.content_id,
                row.own,
                row.shown,
                row.owner,
                frozenset(labels.get(row.id, ())),
            )
            for row in rows
        ]

    def own_text(self, document_id: int) -> str:
        with self.corpus.database.read() as connection:
            return str(
                connection.scalar(
                    select(contents.c.text)
                    .join(documents, contents.c.id == func.coalesce(documents.c.own_content_id, documents.c.content_id))
                    .where(documents.c.id == document_id)
                )
            )

    def text_of_digest(self, digest: bytes) -> str:
        with self.corpus.database.read() as connection:
            found = connection.scalar(
                select(contents.c.text).where(
                    contents.c.collection_id == self.corpus.collection.id, contents.c.digest == digest
                )
            )
        return str(found)

    def open_decisions(self) -> Sequence[Row[Any]]:
        with self.corpus.database.read() as connection:
            return connection.execute(
                select(decisions)
                .where(decisions.c.collection_id == self.corpus.collection.id, decisions.c.ended_at.is_(None))
                .order_by(decisions.c.id)
            ).all()

    def exempt(self) -> set[tuple[str, str]]:
        with self.corpus.database.read() as connection:
            rows = connection.execute(
                select(decisions.c.digest, decisions.c.against_digest).where(
                    decisions.c.collection_id == self.corpus.collection.id,
                    decisions.c.ending == "undone",
                    decisions.c.scope == "document",
                )
            ).all()
        pairs = {(self.text_of_digest(row[0]), self.text_of_digest(row[1])) for row in rows}
        return pairs | {(other, one) for one, other in pairs}

    def copies(self) -> set[str]:
        """The texts of which there were copies: a copy stands beside what its like would be held back for."""
        with self.corpus.database.read() as connection:
            rows = connection.execute(
                select(decisions.c.digest).where(
                    decisions.c.collection_id == self.corpus.collection.id, decisions.c.level == "exact"
                )
            ).all()
        return {self.text_of_digest(row[0]) for row in rows}

    def whole(self) -> dict[str, Any]:
        """Everything that is kept of the collection, but for marks of when a source was looked at."""
        found: dict[str, Any] = {}
        with self.corpus.database.read() as connection:
            found["position"] = collection_store.position(connection, self.corpus.collection.id)
            for table in (documents, contents, chunks, signatures):
                mine = table.c.collection_id == self.corpus.collection.id
                found[table.name] = connection.execute(select(table).where(mine).order_by(table.c.id)).all()
            found["vectors"] = connection.scalar(select(func.count()).select_from(vectors))
        found["decisions"] = self.open_decisions()
        return found


def different(before: dict[str, Any], after: dict[str, Any]) -> dict[str, object]:
    return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def test_the_texts_are_as_alike_as_they_are_meant_to_be() -> None:
    assert SHARES[TEXTS[0], TEXTS[1]] >= 0.8 > SHARES[TEXTS[0], TEXTS[2]] >= 0.6 > SHARES[TEXTS[0], TEXTS[3]]
    assert DEFAULTS["dedup_near_threshold"] == 0.8


def test_every_history_keeps_the_promises(house: House) -> None:
    class Here(Histories):
        def __init__(self) -> None:
            super().__init__(house)

    run_state_machine_as_test(
        seed(1)(Here),
        settings=settings(
            max_examples=60,
            stateful_step_count=8,
            phases=[Phase.generate],  # a history is short enough to be read as it is
            report_multiple_bugs=False,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
