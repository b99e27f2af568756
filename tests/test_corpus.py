"""The write route on both databases: folders go in once, whatever is interrupted, repeated, changed or damaged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from ingest.sources import from_text
from rag import embedders
from rag.corpus import Arrival, Corpus, Origin, Report, changed, open_corpus
from rag.errors import WrongUsage
from rag.rankings.wrapped import Unembedded
from rag.store import collections as collection_store
from rag.store.checks import collection_checks
from rag.store.database import Database
from rag.store.tables import chunks, contents, documents
from rag.store.trial import trial
from rag.types import Embedder

ORIGIN = Origin("local")
MB = 2**20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small folder of several formats, with one copy and one file that no parser is there for."""
    root = tmp_path / "docs"
    (root / "sub").mkdir(parents=True)
    (root / "a.md").write_text("# Apples\n\nApples are red. They grow on trees.\n\n## Taste\n\nThey taste sweet.\n")
    (root / "b.txt").write_text("Bananas are yellow.\n\nThey grow in bunches.")
    (root / "sub" / "copy.txt").write_text("Bananas are yellow.\r\n\r\nThey grow in bunches.\r\n")
    (root / "c.html").write_text(
        "<html><title>Cherries</title><body><h1>Cherries</h1><p>Cherries are small.</p></body></html>"
    )
    rows = [
        {"_id": "d1", "title": "Dates", "text": "Dates are dry."},
        {"_id": "d2", "title": "", "text": "Figs are soft."},
    ]
    (root / "d.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (root / "image.bin").write_bytes(bytes(range(256)) * 10)
    (root / ".hidden.txt").write_text("Never seen.")
    return root


def ingest(corpus: Corpus, *paths: Path, origin: Origin = ORIGIN) -> Report:
    return corpus.add_paths(list(paths), origin, max_bytes=MB)


def state(corpus: Corpus) -> tuple[object, ...]:
    """What is alive, without ids or positions: two histories that end alike have equal states."""
    with corpus.database.read() as connection:
        bad = [c for c in collection_checks(corpus.database, connection, corpus.collection) if not c.ok]
        assert bad == []
        places = connection.execute(
            select(documents.c.uri, documents.c.external_id, contents.c.title, contents.c.text, documents.c.metadata)
            .join(contents, contents.c.id == documents.c.content_id)
            .where(documents.c.collection_id == corpus.collection.id, documents.c.removed_position.is_(None))
        ).all()
        pieces = connection.execute(
            select(contents.c.text, chunks.c.ordinal, chunks.c.start, chunks.c.end, chunks.c.headings)
            .join(contents, contents.c.id == chunks.c.content_id)
            .where(chunks.c.collection_id == corpus.collection.id, chunks.c.removed_position.is_(None))
        ).all()
    return sorted(map(repr, places)), sorted(map(repr, pieces))


def test_a_folder_goes_in_and_every_file_is_accounted_for(corpus: Corpus, folder: Path) -> None:
    report = ingest(corpus, folder)
    assert (report.added, report.duplicate, report.skipped, report.failed) == (5, 1, 1, 0)
    assert report.documents == 6
    assert report.chunks == report.embedded >= 5
    with corpus.database.read() as connection:
        found = connection.execute(
            select(documents.c.external_id, documents.c.uri).where(documents.c.external_id == "d1")
        )
        assert found.one().uri == (folder / "d.jsonl").as_uri() + "#d1"


def test_the_second_run_embeds_nothing_and_changes_nothing(corpus: Corpus, folder: Path) -> None:
    ingest(corpus, folder)
    before = state(corpus)
    again = ingest(corpus, folder)
    assert (again.unchanged, again.embedded, again.added, again.updated) == (6, 0, 0, 0)
    assert state(corpus) == before
    with corpus.database.read() as connection:
        position = collection_store.position(connection, corpus.collection.id)
    ingest(corpus, folder)
    with corpus.database.read() as connection:
        assert collection_store.position(connection, corpus.collection.id) == position


def test_a_changed_file_replaces_only_itself(corpus: Corpus, folder: Path) -> None:
    ingest(corpus, folder)
    (folder / "a.md").write_text("# Apples\n\nApples are green now.\n")
    rows = [
        {"_id": "d2", "title": "", "text": "Figs are soft."},
        {"_id": "d3", "title": "", "text": "Grapes are round."},
    ]
    (folder / "d.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    report = ingest(corpus, folder)
    assert (report.updated, report.added, report.unchanged, report.embedded) == (1, 1, 4, 2)
    assert report.documents == 6, "d1 went with its line, d3 came"
    places, _ = state(corpus)
    assert not any("Dates" in place for place in places)


def test_an_edit_that_changes_only_the_outline_is_one(corpus: Corpus, tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    body = "\n\n".join(f"Paragraph {number} says {number * 7} things of many kinds." * 3 for number in range(8))
    file.write_text(f"# Title\n\n## Part\n\n{body}\n\n## Other\n\n{body}\n")
    ingest(corpus, file)
    before = state(corpus)
    file.write_text(file.read_text().replace("## Other", "### Other"))
    assert ingest(corpus, file).updated == 1
    fresh = open_corpus(corpus.database, "default", "fresh", corpus.embedder, chunk_tokens=64, overlap_tokens=0)
    ingest(fresh, file)
    assert state(corpus) == state(fresh) != before


def test_what_was_removed_comes_back_when_it_is_ingested_again(corpus: Corpus, folder: Path) -> None:
    first = ingest(corpus, folder)
    before = state(corpus)
    assert corpus.remove(first.document_ids, actor="local") == 6
    assert state(corpus) == ([], [])
    again = ingest(corpus, folder)
    assert (again.added, again.duplicate, again.embedded) == (5, 1, 0)
    assert state(corpus) == before


def test_one_bad_file_stops_no_other(corpus: Corpus, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnot really")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "bad.jsonl").write_text(
        '{"_id": "x", "text": "A good line."}\n{"_id": \n{"_id": "x", "text": "The same id."}'
    )
    report = ingest(corpus, folder, folder / "missing.txt", folder / "image.bin")
    reasons = {failure.uri.rsplit("/", 1)[-1]: failure.reason for failure in report.failures}
    assert report.failed == len(report.failures) == 6, reasons
    assert report.documents == 7
    for name in ("broken.pdf", "empty.txt", "missing.txt", "image.bin"):
        assert name in reasons
        assert len(reasons[name]) > 10
    again = ingest(corpus, folder)
    assert again.embedded == 0
    assert again.failed == 4


def test_metadata_of_the_run_belongs_to_its_documents(corpus: Corpus, folder: Path) -> None:
    ingest(corpus, folder / "a.md", origin=Origin("local", {"team": "fruit"}))
    with corpus.database.read() as connection:
        assert connection.scalar(select(documents.c.metadata))["team"] == "fruit"
    changed = ingest(corpus, folder / "a.md", origin=Origin("local", {"team": "trees"}))
    assert (changed.updated, changed.embedded) == (1, 0)


def test_an_interrupted_run_is_finished_by_the_next(corpus: Corpus, folder: Path, database: Database) -> None:
    class Stopped(BaseException):
        pass

    whole = open_corpus(database, "default", "whole", corpus.embedder, chunk_tokens=64, overlap_tokens=0)
    ingest(whole, folder)
    calls = 0

    def stop(_: object) -> None:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise Stopped

    for _ in range(3):
        with pytest.raises(Stopped):
            corpus.add_paths([folder], ORIGIN, max_bytes=MB, progress=stop)
    ingest(corpus, folder)
    assert state(corpus) == state(whole)


def test_another_embedder_is_refused_and_names_both(database: Database, corpus: Corpus, tmp_path: Path) -> None:
    other = embedders.load("hashing:32", models_dir=tmp_path)
    with pytest.raises(WrongUsage, match=r"default.*hashing.*hashing"):
        open_corpus(database, "default", "default", other, chunk_tokens=64, overlap_tokens=0)


def test_collections_share_nothing(database: Database, corpus: Corpus, folder: Path) -> None:
    ingest(corpus, folder)
    other = open_corpus(database, "default", "other", corpus.embedder, chunk_tokens=64, overlap_tokens=0)
    report = ingest(other, folder)
    assert (report.added, report.duplicate, report.embedded) == (5, 1, 0), "the vectors are known, the texts are not"
    corpus.remove(list(range(1, 7)), actor="local")
    assert state(other) != ([], [])
    assert state(corpus) == ([], [])


def test_vectors_are_those_of_the_embedder(corpus: Corpus, folder: Path) -> None:
    from rag.store.vectors import CollectionFeed

    ingest(corpus, folder)
    feed = CollectionFeed(corpus.database, corpus.collection)
    for batch in feed.changes(0, feed.position()):
        assert (batch.vectors == corpus.embedder.embed_passages(list(batch.texts))).all()
        assert any(text.startswith("Apples\n") for text in batch.texts)
    with corpus.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(chunks)) == len(feed.live_ids(feed.position()))


def test_two_may_make_one_collection_at_the_same_moment(database: Database, embedder: Embedder) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    together = Barrier(4)

    def make(_: int) -> int:
        together.wait()
        made = open_corpus(database, "tenant", "fresh", embedder, chunk_tokens=64, overlap_tokens=0)
        return made.collection.id

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(make, range(4)))) == 1


def test_other_chunk_settings_cut_anew_without_reading_again(corpus: Corpus, folder: Path) -> None:
    (folder / "long.md").write_text(
        "# Long\n\n" + "\n\n".join(f"Paragraph {i} says {i * 7} things. " * 3 for i in range(40))
    )
    ingest(corpus, folder)
    before = state(corpus)
    (folder / "a.md").unlink()  # nothing is read again
    done = changed(corpus, {"chunk_tokens": 32})
    assert done.recut == 6
    places, pieces = state(done_corpus := replace(corpus, collection=done.collection))
    assert places == before[0]
    assert len(pieces) > len(before[1])
    fresh = open_corpus(corpus.database, "default", "fresh", corpus.embedder, chunk_tokens=32, overlap_tokens=0)
    (folder / "a.md").write_text("# Apples\n\nApples are red. They grow on trees.\n\n## Taste\n\nThey taste sweet.\n")
    report = ingest(fresh, folder)
    assert state(fresh) == state(done_corpus)
    assert report.embedded == 0, "every string was embedded when it was cut anew"
    assert ingest(done_corpus, folder).unchanged == 7
    with pytest.raises(WrongUsage, match="no setting 'chunk_size'"):
        changed(corpus, {"chunk_size": 3})


def test_cutting_anew_is_finished_by_the_next(corpus: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(corpus, folder)

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Corpus, "recut", fail)
    with pytest.raises(KeyboardInterrupt):
        changed(corpus, {"chunk_tokens": 32})
    monkeypatch.undo()
    again = open_corpus(corpus.database, "default", "default", corpus.embedder, chunk_tokens=64, overlap_tokens=0)
    assert again.chunk_settings.max_tokens == 32
    with corpus.database.read() as connection:
        stored = collection_store.by_id(connection, corpus.collection.id)
    assert "recut" not in stored.settings


def test_a_trial_says_what_would_be_and_leaves_nothing(corpus: Corpus, folder: Path) -> None:
    ingest(corpus, folder / "a.md")
    before = state(corpus)
    with trial(corpus.database) as database:
        tried = replace(corpus, database=database, embedder=Unembedded(corpus.embedder))
        report = ingest(tried, folder)
        assert (report.added, report.duplicate, report.unchanged) == (4, 1, 1)
        assert ingest(tried, folder).unchanged == 6, "one trial builds on itself"
    assert state(corpus) == before
    assert ingest(corpus, folder).added == 4


def test_of_one_address_that_comes_twice_the_last_counts(corpus: Corpus) -> None:
    def run() -> Report:
        arrivals = [
            Arrival("shop:1", from_text(text, uri="shop:1", media_type="text/plain"))
            for text in ("Apples are cheap today.", "Apples are dear tomorrow.")
        ]
        return corpus.add_sources(arrivals, ORIGIN, total=None)

    run()
    first = state(corpus)
    assert "dear" in str(first)
    run()
    assert state(corpus) == first
