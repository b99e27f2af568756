"""A search as of an earlier position finds what a search found when the collection stood there, whatever came since and
whenever the index was published."""

import random
from pathlib import Path

import pytest

from ingest.types import Source
from rag.access import Access
from rag.corpus import Arrival, Corpus, Origin
from rag.errors import Conflict, WrongUsage
from rag.indexes.snapshots import Indexes
from rag.search import Found, OpenCollection, Search, search
from rag.store import documents as document_store
from rag.store.collections import position
from rag.store.database import Database
from rag.store.permitted import Predicate
from rag.store.vectors import CollectionFeed
from rag.types import Mode, Principal

WORDS = ["tide", "moon", "otter", "kelp", "paw", "sand", "gull", "storm", "reef", "pearl"]
ASKED = "which otter sleeps in the kelp while the tide comes"
MODES: tuple[Mode, ...] = ("hybrid", "keyword", "semantic")


@pytest.fixture
def opened(corpus: Corpus, tmp_path: Path) -> OpenCollection:
    folder = tmp_path / "indexes"
    folder.mkdir()
    indexes = Indexes(
        folder, CollectionFeed(corpus.database, corpus.collection), fingerprint=corpus.collection.fingerprint
    )
    return OpenCollection(corpus.database, corpus.collection, indexes, Access(), lambda: corpus.embedder)


def add(corpus: Corpus, name: str, text: str) -> None:
    arrival = Arrival(f"note:{name}", Source(f"note:{name}", "text/plain", text.encode()))
    corpus.add_sources([arrival], Origin("local"), total=1)


def documents(corpus: Corpus, at: int) -> list[int]:
    with corpus.database.read() as connection:
        rows = document_store.listing(connection, Predicate(corpus.collection.id, None), at, limit=100)
    return [row.id for row in rows]


def now(corpus: Corpus) -> int:
    with corpus.database.read() as connection:
        return position(connection, corpus.collection.id)


def told(found: Found) -> list[tuple[object, ...]]:
    return [
        (passage.hit.chunk_id, round(passage.hit.score, 5), passage.text, passage.places) for passage in found.passages
    ]


def test_every_moment_can_be_searched_again(corpus: Corpus, opened: OpenCollection) -> None:
    drawn, asker = random.Random(7), Principal(corpus.collection.tenant_id, "ann")
    seen: dict[tuple[int, Mode], list[tuple[object, ...]]] = {}
    for step in range(14):
        here = documents(corpus, now(corpus))
        if step > 4 and drawn.random() < 0.35 and here:
            corpus.remove([drawn.choice(here)], actor="test")
        else:  # some under an address that is taken: a new text in the place of the old
            add(corpus, f"n{drawn.randrange(7)}", " ".join(drawn.choices(WORDS, k=drawn.randrange(6, 30))) + ".")
        if step in (6, 11):
            opened.indexes.publish(rebuild=step == 11)
        for mode in MODES:
            seen[now(corpus), mode] = told(search(opened, Search(ASKED, 5, mode), asker))
    moments = list(seen)
    drawn.shuffle(moments)
    for at, mode in moments:
        again = search(opened, Search(ASKED, 5, mode, at=at), asker)
        assert told(again) == seen[at, mode], (at, mode)
        assert again.position == at
    with pytest.raises(WrongUsage, match="never was"):
        search(opened, Search(ASKED, at=now(corpus) + 1), asker)
    assert told(search(opened, Search(ASKED, 5), asker)) == seen[now(corpus), "hybrid"]


def test_vectors_that_are_gone_are_told(corpus: Corpus, opened: OpenCollection, database: Database) -> None:
    from sqlalchemy import delete

    from rag.store.tables import vectors

    asker = Principal(corpus.collection.tenant_id, "ann")
    add(corpus, "a", "An otter sleeps in the kelp.")
    then = now(corpus)
    add(corpus, "a", "A gull sleeps on the sand.")
    opened.indexes.publish()
    with database.write() as connection:
        connection.execute(delete(vectors))
    with pytest.raises(Conflict, match=f"as it stood at position {then} cannot be had again"):
        search(opened, Search(ASKED, at=then), asker)


def test_a_large_index_of_then_is_let_go(
    corpus: Corpus, opened: OpenCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker = Principal(corpus.collection.tenant_id, "ann")
    add(corpus, "a", "An otter sleeps in the kelp.")
    then = now(corpus)
    add(corpus, "b", "A gull sleeps on the sand.")
    search(opened, Search(ASKED, at=then), asker)
    kept = opened.indexes.at(then)
    opened.indexes.let_go()
    assert opened.indexes.at(then) is kept
    monkeypatch.setattr("rag.indexes.snapshots.SMALL", 0)
    opened.indexes.let_go()
    assert opened.indexes.at(then) is not kept
