"""Policies on duplicates on both databases: what is decided, recorded, released when its reason goes, and reversed."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from rag.access import Access
from rag.corpus import Corpus, Origin, Report, changed, open_corpus
from rag.errors import Conflict, NotFound, WrongUsage
from rag.indexes.snapshots import Indexes
from rag.search import OpenCollection, Search, search
from rag.store import collections as collection_store
from rag.store import writing
from rag.store.checks import collection_checks
from rag.store.database import Database, now
from rag.store.duplicates import near
from rag.store.duplicates import second_looks as review
from rag.store.tables import chunks, contents, decisions, documents
from rag.store.vectors import CollectionFeed
from rag.types import Embedder, Metadata, MetadataValue, Passage, Principal

MB = 2**20
WORDS = [f"word{number}" for number in range(200)]
FIRST = " ".join(WORDS)
SECOND = " ".join([*WORDS[:100], "changed", *WORDS[101:]])  # Jaccard of 5-word shingles: 191 / 201
THIRD = " ".join(reversed(WORDS))


class House:
    """A folder and a collection that takes it in."""

    def __init__(self, database: Database, embedder: Embedder, folder: Path, dedup: Metadata) -> None:
        self.folder = folder
        self.corpus: Corpus = open_corpus(
            database, "default", "default", embedder, chunk_tokens=64, overlap_tokens=0, dedup=dedup
        )

    def put(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def ingest(self, *names: str, owner: str = "local", labels: tuple[str, ...] = ()) -> Report:
        paths = [self.folder / name for name in names] or [self.folder]
        report = self.corpus.add_paths(paths, Origin(owner, {}, frozenset(labels)), max_bytes=MB)
        self.check()
        return report

    def check(self) -> None:
        with self.corpus.database.read() as connection:
            bad = [c for c in collection_checks(self.corpus.database, connection, self.corpus.collection) if not c.ok]
        assert bad == []

    def change(self, **settings: MetadataValue) -> None:
        """Set policies of the collection."""
        corpus = self.corpus
        with corpus.database.write() as connection:
            collection_store.change_settings(connection, corpus.collection.id, settings)
            changed = collection_store.by_id(connection, corpus.collection.id)
        self.corpus = replace(corpus, collection=changed)

    def alive(self) -> list[str]:
        """The names of the documents that stand."""
        with self.corpus.database.read() as connection:
            rows = connection.execute(select(documents.c.name).where(documents.c.removed_position.is_(None)))
            return sorted(row[0] for row in rows)

    def decided(self, scope: str = "document") -> list[tuple[object, ...]]:
        """The decisions that hold, in order: which, against which, level, policy, similarity."""
        with self.corpus.database.read() as connection:
            rows = connection.execute(
                select(decisions)
                .where(decisions.c.ended_at.is_(None), decisions.c.scope == scope)
                .order_by(decisions.c.id)
            ).all()
        last = [(row.uri.rpartition("/")[2], row.against_uri.rpartition("/")[2]) for row in rows]
        return [
            (*names, row.level, row.policy, round(row.similarity, 3)) for names, row in zip(last, rows, strict=True)
        ]

    def decision_id(self) -> int:
        with self.corpus.database.read() as connection:
            return int(connection.execute(select(decisions.c.id).where(decisions.c.ended_at.is_(None))).scalar_one())

    def undo(self, decision_id: int) -> writing.Written | None:
        with self.corpus.database.write() as connection:
            return review.undo_decision(connection, self.corpus.collection, decision_id, actor="me")

    def remove(self, name: str) -> None:
        with self.corpus.database.read() as connection:
            found = connection.execute(
                select(documents.c.id).where(documents.c.name == name, documents.c.removed_position.is_(None))
            ).scalar_one()
        assert self.corpus.remove([found], actor="me") == 1


@pytest.fixture
def make(database: Database, embedder: Embedder, tmp_path: Path):  # type: ignore[no-untyped-def]
    folder = tmp_path / "docs"
    folder.mkdir()
    return lambda **dedup: House(database, embedder, folder, dedup)


JACCARD = round(191 / 201, 3)


def test_by_default_near_duplicates_both_stand_and_are_recorded(make) -> None:  # type: ignore[no-untyped-def]
    house = make()
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    house.put("c.txt", THIRD)
    house.put("d.txt", FIRST.replace(" ", "\t  "))
    report = house.ingest()
    assert (report.added, report.duplicate) == (3, 1)
    assert house.alive() == ["a.txt", "b.txt", "c.txt", "d.txt"]
    assert house.decided() == [
        ("b.txt", "a.txt", "near", "keep", JACCARD),
        ("d.txt", "a.txt", "exact", "alias", 1.0),
    ]
    assert house.ingest().unchanged == 4
    assert len(house.decided()) == 2, "a second run finds nothing new"


def test_skip_holds_back_until_the_other_goes(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="skip")
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    report = house.ingest()
    assert (report.added, report.duplicate) == (1, 1)
    assert house.alive() == ["a.txt"]
    assert house.decided() == [("b.txt", "a.txt", "near", "skip", JACCARD)]
    again = house.ingest()
    assert (again.unchanged, again.embedded) == (2, 0)
    house.remove("a.txt")
    assert house.alive() == ["b.txt"], "in the same transaction: nothing has to be read again"
    assert house.decided() == []
    back = house.ingest()
    assert house.alive() == ["b.txt"]
    assert back.embedded == 0
    assert house.decided() == [("a.txt", "b.txt", "near", "skip", JACCARD)]


def test_skip_follows_what_becomes_of_the_one_held_back(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="skip")
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    house.ingest()
    house.put("b.txt", THIRD)
    house.ingest()
    assert house.alive() == ["a.txt", "b.txt"]
    assert house.decided() == []
    house.put("b.txt", SECOND)
    house.ingest()
    assert house.alive() == ["a.txt"]
    house.put("a.txt", THIRD)
    house.ingest("a.txt")
    assert house.alive() == ["a.txt", "b.txt"], "a is another text now: b stands for itself"


def test_newest_replaces_and_comes_back(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="newest")
    house.put("a.txt", FIRST)
    house.ingest()
    house.put("b.txt", SECOND)
    report = house.ingest()
    assert (report.added, report.unchanged) == (1, 1)
    assert house.alive() == ["b.txt"]
    assert house.decided() == [("a.txt", "b.txt", "near", "newest", JACCARD)]
    assert house.ingest().unchanged == 2
    assert house.alive() == ["b.txt"], "the older one does not come back by being read again"
    house.remove("b.txt")
    assert house.alive() == ["a.txt"]


def test_alias_makes_it_a_place_of_the_other_text(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="alias")
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    house.ingest()
    assert house.alive() == ["a.txt", "b.txt"]
    with house.corpus.database.read() as connection:
        rows = connection.execute(select(documents.c.content_id, documents.c.own_content_id)).all()
    assert rows[0][0] == rows[1][0]
    assert rows[1][1] not in (None, rows[0][0])
    assert house.ingest().unchanged == 2
    house.remove("a.txt")
    assert house.alive() == ["b.txt"]
    with house.corpus.database.read() as connection:
        shown = connection.execute(
            select(documents.c.content_id, documents.c.own_content_id).where(documents.c.removed_position.is_(None))
        ).one()
    assert shown == (rows[1][1], None), "a text that was removed does not go on answering under another's name"


@pytest.mark.parametrize("policy", ["skip", "newest", "alias"])
def test_labels_and_owners_are_never_mixed(make, policy: str) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near=policy)
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    house.ingest("a.txt", labels=("x",))
    house.ingest("b.txt", labels=("y",))
    assert house.alive() == ["a.txt", "b.txt"]
    assert house.decided() == []


@pytest.mark.parametrize("policy", ["skip", "newest"])
def test_nobody_suppresses_anothers_document(make, policy: str) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near=policy, dedup_exact=policy)
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    house.put("c.txt", FIRST)
    house.ingest("a.txt", owner="ann")
    house.ingest("b.txt", "c.txt", owner="bob")
    assert "a.txt" in house.alive()
    assert {"b.txt", "c.txt"} & set(house.alive())


def test_exact_skip_and_newest(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_exact="skip")
    house.put("a.txt", FIRST)
    house.put("b.txt", FIRST)
    house.ingest()
    assert house.alive() == ["a.txt"]
    (house.folder / "a.txt").unlink()
    house.remove("a.txt")
    assert house.alive() == ["b.txt"]


@pytest.mark.parametrize("policy", ["skip", "newest", "alias"])
def test_undo_lets_both_stand_for_good(make, policy: str) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near=policy)
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    house.ingest()
    which = house.decision_id()
    assert house.undo(which) is not None
    assert house.alive() == ["a.txt", "b.txt"]
    assert house.decided() == []
    assert house.ingest().unchanged == 2
    assert house.alive() == ["a.txt", "b.txt"]
    with pytest.raises(Conflict, match="undone"):
        house.undo(which)
    with pytest.raises(NotFound):
        house.undo(999)


def test_an_exact_copy_has_nothing_to_undo(make) -> None:  # type: ignore[no-untyped-def]
    house = make()
    house.put("a.txt", FIRST)
    house.put("b.txt", FIRST)
    house.ingest()
    with pytest.raises(Conflict, match="stored once"):
        house.undo(house.decision_id())


def test_semantic_duplicates_when_asked_for(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="off", dedup_semantic="skip", dedup_semantic_threshold=0.8)
    house.put("a.txt", FIRST)
    blocks = [" ".join(WORDS[i : i + 20]) for i in range(0, 200, 20)]
    house.put("b.txt", " ".join(reversed(blocks)))
    house.put("c.txt", "entirely other things are said here about nothing of the kind")
    house.ingest()
    found = house.decided()
    assert [each[:4] for each in found] == [("b.txt", "a.txt", "semantic", "skip")]
    assert 0.8 <= float(str(found[0][4])) < 1


def test_a_policy_that_is_none_is_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(WrongUsage, match="dedup_near is one of"):
        make(dedup_near="merge")
    with pytest.raises(WrongUsage, match="between"):
        make(dedup_near_threshold=0.2)


def test_a_changed_policy_is_heard_by_those_who_stand(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="off")
    for name, text in (("a.txt", FIRST), ("b.txt", SECOND), ("c.txt", THIRD), ("d.txt", SECOND + " and more")):
        house.put(name, text)
    house.ingest()
    assert house.decided() == []
    house.change(dedup_near="keep")
    assert house.corpus.review_duplicates() == 3
    assert house.alive() == ["a.txt", "b.txt", "c.txt", "d.txt"]
    assert [each[:2] for each in house.decided()] == [("b.txt", "a.txt"), ("d.txt", "b.txt"), ("d.txt", "a.txt")]
    house.change(dedup_near="skip")
    house.corpus.review_duplicates()
    assert house.alive() == ["a.txt", "c.txt"]
    house.change(dedup_near="alias")
    house.corpus.review_duplicates()
    assert house.alive() == ["a.txt", "b.txt", "c.txt", "d.txt"]
    with house.corpus.database.read() as connection:
        shown = connection.execute(select(documents.c.content_id).where(documents.c.removed_position.is_(None)))
        assert len({row[0] for row in shown}) == 2
    house.change(dedup_near="off")
    house.corpus.review_duplicates()
    with house.corpus.database.read() as connection:
        shown = connection.execute(select(documents.c.content_id).where(documents.c.removed_position.is_(None)))
        assert len({row[0] for row in shown}) == 4
    house.check()


@pytest.mark.parametrize("policy", ["skip", "alias"])
def test_what_is_held_back_for_nothing_is_noticed(make, policy: str) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near=policy)
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    house.ingest()
    with house.corpus.database.write() as connection:
        connection.execute(
            update(documents).where(documents.c.name == "a.txt").values(removed_position=1, removed_at=now())
        )
    with house.corpus.database.read() as connection:
        found = {c.name: c for c in collection_checks(house.corpus.database, connection, house.corpus.collection)}
    assert not found["default: duplicates"].ok
    assert "b.txt" in found["default: duplicates"].detail


# ── chunks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

NOTICE = "All content is provided as is without warranty of any kind and may be changed at any time without notice."


@pytest.mark.parametrize(
    ("policy", "which"), [("alias", "best"), ("skip", "oldest"), ("newest", "newest"), ("keep", "all"), ("off", "all")]
)
def test_equal_passages_of_different_documents_are_shown_once_with_every_place(
    make,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    policy: str,
    which: str,
) -> None:
    house = make(dedup_chunk_exact=policy, dedup_near="off")
    for number in range(4):
        house.put(f"{number}.txt", f"{' '.join(f'w{number}x{i}' for i in range(60))}\n\n{NOTICE}\n")
    house.put("other.txt", "A warranty of another kind is provided here, for what is not content at all.")
    house.ingest()
    found = search_in(house, tmp_path, "warranty of content without notice", k=3)
    notices = [passage for passage in found if passage.text == NOTICE]
    if which == "all":
        assert len(notices) == 3
        assert all(len(passage.places) == 1 for passage in notices)
    else:
        assert len(notices) == 1
        assert len(notices[0].places) == 4
        assert len(found) == 3, "what a duplicate leaves free goes to the next one"
        with house.corpus.database.read() as connection:
            same = select(chunks.c.digest).where(chunks.c.id == notices[0].hit.chunk_id).scalar_subquery()
            ids = sorted(row[0] for row in connection.execute(select(chunks.c.id).where(chunks.c.digest == same)))
        if which != "best":
            assert notices[0].hit.chunk_id == (ids[0] if which == "oldest" else ids[-1])
    assert [hit.hit.score for hit in found] == sorted((hit.hit.score for hit in found), reverse=True)
    expected = 0 if policy == "off" else 3
    assert len([each for each in house.decided("chunk") if each[2:4] == ("exact", policy)]) == expected


def test_nearly_equal_passages_when_asked_for(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_chunk_near="newest", dedup_near="off", dedup_near_threshold=0.6)
    for number, ending in enumerate(("without notice", "without any notice")):
        notice = NOTICE.replace("without notice", ending)
        house.put(f"{number}.txt", f"{' '.join(f'w{number}x{i}' for i in range(60))}\n\n{notice}\n")
    house.ingest()
    decided = house.decided("chunk")
    assert [each[:4] for each in decided] == [("1.txt", "0.txt", "near", "newest")]
    found = search_in(house, tmp_path, "provided as is without warranty", k=2)
    first = [passage for passage in found if "warranty" in passage.text]
    assert len(first) == 1
    assert "any notice" in first[0].text
    assert [place.uri.rpartition("/")[2] for place in first[0].places] == ["0.txt", "1.txt"]
    house.undo(house.decision_id())
    found = search_in(house, tmp_path, "provided as is without warranty", k=2)
    assert len([passage for passage in found if "warranty" in passage.text]) == 2


def test_policies_on_chunks_are_heard_by_those_that_are_there(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_chunk_exact="off", dedup_near="off", dedup_near_threshold=0.6)
    for number, ending in enumerate(("without notice", "without any notice", "without notice")):
        notice = NOTICE.replace("without notice", ending)
        house.put(f"{number}.txt", f"{' '.join(f'w{number}x{i}' for i in range(60))}\n\n{notice}\n")
    house.ingest()
    assert house.decided("chunk") == []
    house.change(dedup_chunk_exact="alias", dedup_chunk_near="alias")
    for _ in range(2):
        house.corpus.review_duplicates()
        assert sorted(each[:3] for each in house.decided("chunk")) == [
            ("1.txt", "0.txt", "near"),
            ("2.txt", "0.txt", "exact"),
        ]


def search_in(house: House, tmp_path: Path, query: str, *, k: int) -> tuple[Passage, ...]:
    corpus = house.corpus
    folder = tmp_path / "index"
    folder.mkdir(exist_ok=True)
    feed = CollectionFeed(corpus.database, corpus.collection)
    indexes = Indexes(folder, feed, vectors="exact", keywords="exact", fingerprint=corpus.collection.fingerprint)
    opened = OpenCollection(corpus.database, corpus.collection, indexes, Access(), lambda: corpus.embedder)
    who = Principal(corpus.collection.tenant_id, "local")
    return search(opened, Search(query, k), who).passages


# ── what only some orders of things bring about ─────────────────────────────────────────────────────────────────────


def revised(*places: int) -> str:
    return " ".join(f"changed{place}" if place in places else word for place, word in enumerate(WORDS))


def test_of_many_revisions_in_one_ingest_the_newest_stands(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="newest")
    for name, places in (("a.txt", ()), ("b.txt", (9,)), ("c.txt", (9, 29))):
        house.put(name, revised(*places))
    house.ingest()
    assert house.alive() == ["c.txt"]
    assert sorted(each[:2] for each in house.decided()) == [("a.txt", "c.txt"), ("b.txt", "c.txt")]
    assert house.ingest().unchanged == 3


def test_what_was_held_back_for_one_that_gives_way_in_its_turn_stands_again(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="newest", dedup_near_threshold=0.95)
    for name, places in (("a.txt", ()), ("b.txt", (9,)), ("c.txt", (9, 29))):  # a is like b, b like c, a not like c
        house.put(name, revised(*places))
    house.ingest()
    assert house.alive() == ["a.txt", "c.txt"]
    assert [each[:2] for each in house.decided()] == [("b.txt", "c.txt")]


def test_none_gives_way_to_one_that_is_held_back_itself(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="newest", dedup_near_threshold=0.95)
    for name, places, day in (("old.txt", (), 1), ("new.txt", (9, 29), 3), ("between.txt", (9,), 2)):
        house.put(name, revised(*places))
        origin = Origin("local", {"modified": f"2026-01-0{day}T00:00:00Z"})
        house.corpus.add_paths([house.folder / name], origin, max_bytes=MB)
        house.check()
    assert house.alive() == ["new.txt", "old.txt"]
    assert [each[:2] for each in house.decided()] == [("between.txt", "new.txt")]


def test_a_duplicate_at_two_levels_gives_way_once(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="newest", dedup_semantic="newest", dedup_semantic_threshold=0.8)
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    house.ingest()
    assert house.alive() == ["b.txt"]
    assert [each[:3] for each in house.decided()] == [("a.txt", "b.txt", "near")]


def test_dates_without_an_order_among_them_come_to_an_end(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="newest")
    dates = ("2030-01-01", "", "2020-01-01", "someday", "2020-01-01T00:00:00+02:00")
    for number, date in enumerate(dates):
        house.put(f"{number}.txt", revised(number * 30))
        origin = Origin("local", {"modified": date} if date else {})
        house.corpus.add_paths([house.folder / f"{number}.txt"], origin, max_bytes=MB)
        house.check()
    assert house.alive() == ["0.txt"]
    house.remove("0.txt")
    assert house.alive() == ["3.txt"], "without a date it counts when it came"


def test_a_held_back_document_is_no_newer_for_having_stood_meanwhile(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="newest")
    house.put("a.txt", FIRST)
    house.ingest()
    house.put("b.txt", SECOND)
    house.ingest()
    for policy in ("keep", "newest"):
        house.change(dedup_near=policy)
        house.corpus.review_duplicates()
    assert house.alive() == ["b.txt"]


def test_copies_that_are_held_back_crowd_out_none_that_stands(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="skip", dedup_near_threshold=0.6)
    house.put("000.txt", FIRST)
    common = range(9, 69, 10)
    for number in range(1, near.MOST + 11):  # all are more alike among themselves than to the first
        house.put(f"{number:03}.txt", revised(*common, 79 + number))
    house.ingest()
    house.put("last.txt", revised(*common))
    house.ingest()
    assert house.alive() == ["000.txt"]


def test_a_document_that_comes_back_is_cut_as_texts_are_cut_by_now(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="skip")
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    house.put("c.txt", THIRD)
    report = house.ingest()
    third = report.document_ids[-1]
    house.remove("c.txt")
    changed(house.corpus, {"chunk_tokens": 128})
    house.corpus = open_again(house)
    house.remove("a.txt")
    house.corpus.restore(third, actor="me")
    assert house.alive() == ["b.txt", "c.txt"]
    with house.corpus.database.read() as connection:
        rows = connection.execute(
            select(contents.c.cutting, func.count())
            .join(chunks, chunks.c.content_id == contents.c.id)
            .where(chunks.c.removed_position.is_(None))
            .group_by(contents.c.id, contents.c.cutting)
        ).all()
    assert [(bytes(row[0]), row[1]) for row in rows] == [(house.corpus.cutting, rows[0][1])] * 2
    house.check()


def open_again(house: House) -> Corpus:
    corpus = house.corpus
    return open_corpus(
        corpus.database, "default", "default", corpus.embedder, chunk_tokens=64, overlap_tokens=0, pool=corpus.pool
    )


def test_a_file_whose_older_revision_was_restored_is_read_again(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="skip")
    house.put("a.txt", FIRST)
    house.put("b.txt", THIRD)
    before = house.ingest().document_ids[1]
    house.remove("b.txt")
    house.put("b.txt", SECOND)
    house.ingest()
    assert house.alive() == ["a.txt"]
    house.corpus.restore(before, actor="me")
    assert house.alive() == ["a.txt", "b.txt"]
    house.ingest()
    assert house.alive() == ["a.txt"]
    assert house.decided() == [("b.txt", "a.txt", "near", "skip", JACCARD)]


def test_a_writer_hears_of_settings_that_were_changed_since_it_opened(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="keep", dedup_near_threshold=0.9)
    opened = house.corpus
    house.put("a.txt", FIRST)
    house.put("b.txt", revised(9, 29, 49, 69))
    house.put("c.txt", revised(109, 129, 149))
    changed(opened, {"dedup_near": "skip", "dedup_near_threshold": 0.6, "chunk_tokens": 128})
    house.ingest()
    assert house.alive() == ["a.txt"]
    house.corpus = open_again(house)
    with house.corpus.database.read() as connection:
        assert {bytes(row[0]) for row in connection.execute(select(contents.c.cutting))} == {house.corpus.cutting}
        assert "recut" not in collection_store.by_id(connection, house.corpus.collection.id).settings


def test_a_review_that_was_interrupted_is_done_when_the_collection_is_opened(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="keep")
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    house.ingest()
    house.change(dedup_near="skip", review=True)  # as `changed` leaves it when it is killed here
    assert house.alive() == ["a.txt", "b.txt"]
    house.corpus = open_again(house)
    assert house.alive() == ["a.txt"]
    assert "review" not in open_again(house).collection.settings


def test_a_record_of_what_is_there_no_longer_cannot_be_undone(make) -> None:  # type: ignore[no-untyped-def]
    house = make(dedup_near="keep", dedup_chunk_exact="off")
    house.put("a.txt", FIRST)
    house.put("b.txt", SECOND)
    house.ingest()
    which = house.decision_id()
    house.change(dedup_near="skip")
    house.corpus.review_duplicates()
    assert house.alive() == ["a.txt"]
    with pytest.raises(Conflict, match="removed or replaced"):
        house.undo(which)
