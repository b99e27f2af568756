"""Whatever comes, goes, is relabelled, put back, published and built anew: a search finds what an obvious one does."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from rag import embedders
from rag.access import Access
from rag.corpus import Corpus, Origin, make_pool, open_corpus
from rag.errors import NotFound, WrongFilter
from rag.indexes.snapshots import Indexes
from rag.keywords.analysis import analyse
from rag.search import Found, Fusion, OpenCollection, Refining, Search, search
from rag.store import database as database_store
from rag.store.database import Database
from rag.store.filters.tree import Filter
from rag.store.tables import chunks, contents, documents
from rag.store.vectors import CollectionFeed
from rag.types import Embedder, Mode, Principal
from rag.why import why

MB = 2**20
NAMES = ("a.txt", "b.txt", "c.txt", "d.txt", "e.txt")
WORDS = ("otter", "kelp", "river", "tide", "moon", "bread", "yeast", "whale")
LONG = " ".join(f"{WORDS[number * number % 7]} number{number % 50} \U0001f9a6." for number in range(120))
TEXTS = (
    "otter kelp river",
    "kelp otter tide moon",
    "otter otter otter",
    "bread yeast",
    "yeast bread \U0001f35e tide",
    LONG,
    LONG + " whale",
)
QUESTIONS = (
    "otter",
    "kelp otter",
    '"kelp otter"',
    '"otter" bread',
    "bread yeast tide",
    "whale",
    "owl",
    "the of",
    "\U0001f9a6",
)
LABELS = (frozenset[str](), frozenset({"x"}), frozenset({"y"}), frozenset({"x", "y"}))
ASKERS = (None, frozenset[str](), frozenset({"x"}), frozenset({"y", "z"}))
YEARS = (None, 1, 2)
FILTERS: tuple[dict[str, object] | None, ...] = (
    None,
    {"year": 1},
    {"year": {"$ne": 1}},
    {"$or": [{"year": {"$gte": 2}}, {"title": "a.txt"}]},
    {"year": {"$exists": False}},
)


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
    """A document that stands, or stood."""

    id: int
    name: str
    text: str
    labels: frozenset[str]
    year: int | None

    def seen_by(self, asker: frozenset[str] | None) -> bool:
        return asker is None or not self.labels or bool(self.labels & asker)

    def passes(self, number: int) -> bool:
        year = self.year
        return (True, year == 1, year != 1, year == 2 or self.name == "a.txt", year is None)[number]


@dataclass(frozen=True)
class Chunk:
    """A chunk that stands, cut from its text here."""

    id: int
    text: str  # the document's
    start: int
    end: int
    terms: tuple[str, ...]


class Histories(RuleBasedStateMachine):
    """One collection, and all that is to be known of it."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        number = next(house.numbers)
        self.folder = house.folder / f"docs{number}"
        self.folder.mkdir()
        (house.folder / f"indexes{number}").mkdir()
        self.number = number
        self.corpus = open_corpus(
            house.database, "default", f"history {number}", house.embedder, chunk_tokens=64, overlap_tokens=8,
            dedup={"dedup_chunk_exact": "keep", "dedup_near": "off"}, pool=house.corpus.pool,
        )  # fmt: skip
        self.alive: dict[str, File] = {}
        self.gone: dict[str, File] = {}  # the last at each address, where it was removed
        self.opened = self.start()

    def start(self) -> OpenCollection:
        collection = self.corpus.collection
        feed = CollectionFeed(self.house.database, collection)
        indexes = Indexes(self.house.folder / f"indexes{self.number}", feed, fingerprint=collection.fingerprint)
        return OpenCollection(self.house.database, collection, indexes, Access(), lambda: self.house.embedder)

    # ── what happens ──

    @rule(
        names=st.sets(st.sampled_from(NAMES), min_size=1, max_size=3),
        text=st.sampled_from(TEXTS),
        labels=st.sampled_from(LABELS),
        year=st.sampled_from(YEARS),
    )
    def ingest(self, names: set[str], text: str, labels: frozenset[str], year: int | None) -> None:
        for name in names:
            (self.folder / name).write_text(text)
        origin = Origin("ann", {} if year is None else {"year": year}, labels)
        report = self.corpus.add_paths([self.folder / name for name in sorted(names)], origin, max_bytes=MB)
        assert report.failed == 0
        with self.house.database.read() as connection:
            rows = connection.execute(
                select(documents.c.uri, documents.c.id).where(
                    documents.c.collection_id == self.corpus.collection.id, documents.c.removed_position.is_(None)
                )
            )
            ids = {row[0].rsplit("/", 1)[1]: row[1] for row in rows}
        for name in names:
            self.alive[name] = File(ids[name], name, text, labels, year)
            self.gone.pop(name, None)

    @precondition(lambda self: self.alive)
    @rule(labels=st.sampled_from(LABELS), data=st.data())
    def relabel(self, labels: frozenset[str], data: st.DataObject) -> None:
        one = self.alive[data.draw(st.sampled_from(sorted(self.alive)))]
        self.ingest({one.name}, one.text, labels, one.year)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        names = data.draw(st.sets(st.sampled_from(sorted(self.alive)), min_size=1))
        assert self.corpus.remove([self.alive[name].id for name in names], actor="me") == len(names)
        for name in names:
            self.gone[name] = self.alive.pop(name)

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        one = self.gone.pop(data.draw(st.sampled_from(sorted(self.gone))))
        written = self.corpus.restore(one.id, actor="me")
        assert written.document_id is not None
        self.alive[one.name] = replace(one, id=written.document_id)

    @rule(rebuild=st.booleans())
    def publish(self, rebuild: bool) -> None:
        assert self.opened.indexes.publish(rebuild=rebuild) is not None
        assert self.opened.indexes.check() == []

    @rule()
    def restart(self) -> None:
        self.opened = self.start()

    # ── what is asked ──

    @rule(
        question=st.sampled_from(QUESTIONS),
        mode=st.sampled_from(["keyword", "semantic", "hybrid"]),
        asker=st.sampled_from(ASKERS),
        number=st.integers(0, len(FILTERS) - 1),
        neighbours=st.integers(0, 2),
    )
    def ask(self, question: str, mode: Mode, asker: frozenset[str] | None, number: int, neighbours: int) -> None:
        seen = [file for file in self.alive.values() if file.seen_by(asker)]
        passing = [file for file in seen if file.passes(number)]
        condition = FILTERS[number]
        where = None if condition is None else Filter.parse(condition)
        asked = Search(question, 100, mode, where, Fusion(depth=200), Refining(neighbours=neighbours))
        principal = Principal(self.corpus.collection.tenant_id, "ann", asker)
        try:
            found = search(self.opened, asked, principal)
        except WrongFilter:
            assert seen
            assert all(file.year is None for file in seen)
            return
        standing = self.chunks()
        texts = {file.text for file in passing}
        among = {chunk.id: chunk for chunk in standing if chunk.text in texts}
        if '"' in question:
            phrase = tuple(analyse(question.split('"')[1]))
            size = len(phrase)
            among = {
                key: chunk
                for key, chunk in among.items()
                if any(chunk.terms[at : at + size] == phrase for at in range(len(chunk.terms)))
            }
        words = {key: score for key, score in bm25(analyse(question), standing).items() if key in among}
        near = self.cosines(question, list(among.values()))
        ids = [passage.hit.chunk_id for passage in found.passages]
        expected = words if mode == "keyword" else near
        assert set(ids) == set(expected)
        if mode != "hybrid":
            scores = [passage.hit.score for passage in found.passages]
            assert scores == pytest.approx([expected[key] for key in ids], abs=1e-6)
            assert scores == sorted(scores, reverse=True)
        self.look(found, passing, {chunk.id: chunk for chunk in standing}, neighbours)

    def look(self, found: Found, passing: list[File], standing: dict[int, Chunk], neighbours: int) -> None:
        """What a passage says is true: its text, its places, and where it stands."""
        for passage in found.passages:
            chunk = standing[passage.hit.chunk_id]
            assert passage.text == chunk.text[passage.start : passage.end]
            assert passage.start <= chunk.start < chunk.end <= passage.end
            assert neighbours or (passage.start, passage.end) == (chunk.start, chunk.end)
            there = {file.id for file in passing if file.text == chunk.text}
            assert {place.document_id for place in passage.places} == there

    @rule(
        question=st.sampled_from(QUESTIONS),
        mode=st.sampled_from(["keyword", "semantic", "hybrid"]),
        asker=st.sampled_from(ASKERS),
        number=st.integers(0, len(FILTERS) - 1),
        k=st.integers(1, 3),
        most=st.integers(0, 1),
        diversify=st.sampled_from([1.0, 0.5]),
    )
    def explain(
        self, question: str, mode: Mode, asker: frozenset[str] | None, number: int, k: int, most: int, diversify: float
    ) -> None:
        """`why` says of every document what a look at the search and the model says."""
        condition = FILTERS[number]
        where = None if condition is None else Filter.parse(condition)
        refining = Refining(per_document=most, diversify=diversify)
        asked = Search(question, k, mode, where, refining=refining)
        principal = Principal(self.corpus.collection.tenant_id, "ann", asker)
        seen = [file for file in self.alive.values() if file.seen_by(asker)]
        if number in (1, 2, 3) and all(file.year is None for file in seen):
            return  # a field that nobody has
        shown = [
            {place.document_id for place in passage.places}
            for passage in search(self.opened, asked, principal).passages
        ]
        for file in [*self.alive.values(), *self.gone.values()]:
            if not file.seen_by(asker):
                with pytest.raises(NotFound):
                    why(self.opened, asked, str(file.id), principal)
                continue
            told = why(self.opened, asked, str(file.id), principal)
            rank = next((rank for rank, places in enumerate(shown, 1) if file.id in places), None)
            if file.name in self.gone:
                assert told.stage == "removed"
            elif not file.passes(number):
                assert told.stage == "filtered"
            elif rank is not None:
                assert (told.stage, told.rank) == ("found", rank)
            else:
                assert told.stage in ("retrieval", "cut", "fused", "diverse", "phrase")
                assert mode == "hybrid" or told.stage != "fused"
                assert diversify < 1 or told.stage != "diverse"

    def chunks(self) -> list[Chunk]:
        """All that stand, by the database."""
        with self.house.database.read() as connection:
            rows = connection.execute(
                select(chunks.c.id, contents.c.text, chunks.c.start, chunks.c.end)
                .join(contents, contents.c.id == chunks.c.content_id)
                .where(chunks.c.collection_id == self.corpus.collection.id, chunks.c.removed_position.is_(None))
            )
            return [Chunk(row[0], row[1], row[2], row[3], tuple(analyse(row[1][row[2] : row[3]]))) for row in rows]

    def cosines(self, question: str, among: list[Chunk]) -> dict[int, float]:
        rows = self.house.embedder.embed_passages([chunk.text[chunk.start : chunk.end] for chunk in among])
        query = self.house.embedder.embed_queries([question])[0]
        return {chunk.id: float(np.dot(row, query)) for chunk, row in zip(among, rows, strict=True)}

    @invariant()
    def every_text_stands_once(self) -> None:
        standing = self.chunks()
        assert {chunk.text for chunk in standing} == {file.text for file in self.alive.values()}
        assert len({(chunk.text, chunk.start) for chunk in standing}) == len(standing)
        assert self.opened.indexes.damage == ()


def bm25(question: list[str], standing: list[Chunk]) -> dict[int, float]:
    """By the formula, over every chunk that stands; those that hold a term of the question."""
    average = sum(len(chunk.terms) for chunk in standing) / max(len(standing), 1)
    scores: dict[int, float] = {}
    for term, said in Counter(question).items():
        holding = [chunk for chunk in standing if term in chunk.terms]
        weight = said * log(1 + (len(standing) - len(holding) + 0.5) / (len(holding) + 0.5))
        for chunk in holding:
            times = chunk.terms.count(term)
            gain = weight * times / (times + 1.2 * (0.25 + 0.75 * len(chunk.terms) / average))
            scores[chunk.id] = scores.get(chunk.id, 0.0) + gain
    return scores


def test_a_search_finds_what_a_slow_one_does(tmp_path: Path) -> None:
    database = database_store.connect(f"sqlite:///{tmp_path / 'rag.db'}")
    database_store.upgrade(database)
    embedder = embedders.load("hashing:64", models_dir=tmp_path)
    pool = make_pool(embedder, processes=1)
    corpus = open_corpus(database, "default", "first", embedder, chunk_tokens=64, overlap_tokens=0, pool=pool)
    house = House(database, embedder, corpus, tmp_path, count())
    try:
        run_state_machine_as_test(
            lambda: Histories(house),  # type: ignore[arg-type]
            settings=settings(
                max_examples=10, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
    finally:
        pool.close()
        database.close()
