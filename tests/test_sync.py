"""A collection follows folders on both databases: new, changed, moved and gone, and what is not to be reached."""

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from rag.corpus import Corpus, Origin, open_corpus, sync
from rag.corpus.sync import Difference, Moved, Options
from rag.errors import Conflict, NotFound, WrongUsage
from rag.store import syncs as store
from rag.store.checks import collection_checks
from rag.store.database import Database
from rag.store.syncs import Follows, Location, StoredSync
from rag.store.tables import audit, chunks, contents, decisions, documents, sources
from rag.types import Embedder

MB = 2**20
OPTIONS = Options(MB)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.md").write_text("# Apples\n\nApples are red. They grow on trees.\n")
    (folder / "b.txt").write_text("Bananas are yellow and grow in bunches.")
    (folder / "sub" / "c.html").write_text("<html><title>Cherries</title><p>Cherries are small.</p></html>")
    rows = [{"_id": f"d{n}", "text": f"Date number {n} is dry."} for n in range(3)]
    (folder / "d.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def follow(corpus: Corpus, *places: Path, name: str = "docs", **settings: object) -> StoredSync:
    locations = tuple(Location("path", str(place)) for place in places)
    with corpus.database.write() as connection:
        follows = Follows(locations, **settings)  # type: ignore[arg-type]
        return store.register(connection, corpus.collection, name, follows, actor="local")


def again(corpus: Corpus, name: str = "docs") -> StoredSync:
    with corpus.database.read() as connection:
        return store.get(connection, corpus.collection.tenant_id, name, corpus.collection.name)


def run(corpus: Corpus, name: str = "docs", **changes: object) -> Difference:
    return sync.run(corpus, again(corpus, name), replace(OPTIONS, **changes))  # type: ignore[arg-type]


def told(difference: Difference) -> dict[str, object]:
    """The difference by names."""

    def name(uri: str) -> str:
        return uri.rpartition("/")[2]

    found: dict[str, object] = {
        "added": sorted(map(name, difference.added)),
        "updated": sorted(map(name, difference.updated)),
        "moved": sorted((name(each.moved_from), name(each.uri)) for each in difference.moved),
        "removed": sorted(map(name, difference.removed)),
        "failed": sorted(name(each.uri) for each in difference.failures),
        "unchanged": difference.unchanged,
        "skipped": difference.skipped,
    }
    return {key: value for key, value in found.items() if value}


def state(corpus: Corpus) -> tuple[object, ...]:
    """What is alive, without ids or positions."""
    with corpus.database.read() as connection:
        bad = [c for c in collection_checks(corpus.database, connection, corpus.collection) if not c.ok]
        assert bad == []
        places = connection.execute(
            select(documents.c.uri, documents.c.external_id, documents.c.name, contents.c.title, contents.c.text)
            .join(contents, contents.c.id == documents.c.content_id)
            .where(documents.c.collection_id == corpus.collection.id, documents.c.removed_position.is_(None))
        ).all()
        pieces = connection.execute(
            select(contents.c.text, chunks.c.ordinal, chunks.c.start, chunks.c.end, chunks.c.headings)
            .join(contents, contents.c.id == chunks.c.content_id)
            .where(chunks.c.collection_id == corpus.collection.id, chunks.c.removed_position.is_(None))
        ).all()
    return sorted(map(repr, places)), sorted(map(repr, pieces))


def fresh(corpus: Corpus, *places: Path, name: str = "fresh") -> tuple[object, ...]:
    """The state that an ingest of these places into a new collection ends in."""
    with_nothing = open_corpus(corpus.database, "default", name, corpus.embedder, chunk_tokens=64, overlap_tokens=0)
    with_nothing.add_paths(list(places), Origin("local"), max_bytes=MB)
    return state(with_nothing)


def live(corpus: Corpus) -> dict[str, int]:
    """The ids of the documents that stand, by the ends of their addresses."""
    with corpus.database.read() as connection:
        rows = connection.execute(
            select(documents.c.uri, documents.c.id).where(
                documents.c.collection_id == corpus.collection.id, documents.c.removed_position.is_(None)
            )
        )
        return {row[0].rpartition("/")[2]: row[1] for row in rows}


def count(corpus: Corpus, table: object) -> int:
    with corpus.database.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)  # type: ignore[arg-type]


# ── what changes ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_run_takes_all_in_and_the_second_changes_nothing(corpus: Corpus, root: Path) -> None:
    follow(corpus, root)
    first = run(corpus)
    assert told(first) == {"added": ["a.md", "b.txt", "c.html", "d.jsonl"]}
    assert (first.documents, first.embedded) == (6, first.chunks)
    assert state(corpus) == fresh(corpus, root)
    with corpus.database.read() as connection:
        before = connection.execute(select(documents)).all()
    second = run(corpus)
    assert told(second) == {"unchanged": 4}
    assert second.embedded == 0
    with corpus.database.read() as connection:
        assert connection.execute(select(documents)).all() == before
    kept = again(corpus)
    assert kept.sources == 4
    assert kept.result is not None
    assert (kept.result["unchanged"], kept.result["failed"]) == (4, 0)
    assert kept.ran_at is not None


def test_what_is_new_changed_and_gone_is_followed(corpus: Corpus, root: Path) -> None:
    follow(corpus, root)
    run(corpus)
    (root / "a.md").write_text("# Apples\n\nApples are green now.\n")
    (root / "b.txt").unlink()
    (root / "sub" / "e.txt").write_text("Elderberries are dark.")
    difference = run(corpus)
    assert told(difference) == {"added": ["e.txt"], "updated": ["a.md"], "removed": ["b.txt"], "unchanged": 2}
    assert difference.embedded == 2
    assert state(corpus) == fresh(corpus, root)
    (root / "b.txt").write_text("Bananas are yellow and grow in bunches.")
    back = run(corpus)
    assert told(back) == {"added": ["b.txt"], "unchanged": 4}
    assert back.embedded == 0, "its vectors are still there"
    assert state(corpus) == fresh(corpus, root, name="fresh again")


def test_what_was_renamed_moves(corpus: Corpus, root: Path) -> None:
    follow(corpus, root)
    run(corpus)
    before = live(corpus)
    (root / "b.txt").rename(root / "sub" / "bananas.txt")
    (root / "d.jsonl").rename(root / "dates.jsonl")
    difference = run(corpus)
    assert told(difference) == {"moved": [("b.txt", "bananas.txt"), ("d.jsonl", "dates.jsonl")], "unchanged": 2}
    assert difference.embedded == 0
    after = live(corpus)
    with corpus.database.read() as connection:
        previous = dict(connection.execute(select(documents.c.id, documents.c.previous_id)).all())  # type: ignore[arg-type]
    assert previous[after["bananas.txt"]] == before["b.txt"]
    assert [previous[after[f"dates.jsonl#d{n}"]] for n in range(3)] == [before[f"d.jsonl#d{n}"] for n in range(3)]
    assert count(corpus, decisions) == 0, "a move is no duplicate"
    assert state(corpus) == fresh(corpus, root)
    assert told(run(corpus)) == {"unchanged": 4}


def test_what_was_renamed_and_edited_comes_and_goes(corpus: Corpus, root: Path) -> None:
    follow(corpus, root)
    run(corpus)
    (root / "b.txt").unlink()
    (root / "bananas.txt").write_text("Bananas are yellow and grow in bunches, mostly.")
    assert told(run(corpus)) == {"added": ["bananas.txt"], "removed": ["b.txt"], "unchanged": 3}
    assert state(corpus) == fresh(corpus, root)


def test_of_several_alike_the_one_of_the_same_name_moves(corpus: Corpus, root: Path) -> None:
    text = (root / "b.txt").read_text()
    (root / "sub" / "z.txt").write_text(text)
    follow(corpus, root)
    run(corpus)
    other = root / "other"
    other.mkdir()
    (root / "b.txt").unlink()
    (root / "sub" / "z.txt").rename(other / "z.txt")
    assert told(run(corpus)) == {"moved": [("z.txt", "z.txt")], "removed": ["b.txt"], "unchanged": 3}
    assert state(corpus) == fresh(corpus, root)


def test_a_copy_is_a_duplicate_and_what_moves_onto_another_is_an_update(corpus: Corpus, root: Path) -> None:
    follow(corpus, root)
    run(corpus)
    (root / "copy.txt").write_text((root / "b.txt").read_text())
    assert told(run(corpus)) == {"added": ["copy.txt"], "unchanged": 4}
    assert count(corpus, decisions) == 1
    (root / "copy.txt").replace(root / "a.md")
    assert told(run(corpus)) == {"updated": ["a.md"], "removed": ["copy.txt"], "unchanged": 3}
    assert state(corpus) == fresh(corpus, root)


def test_a_moved_file_that_cannot_be_read_now_keeps_what_was_there(corpus: Corpus, root: Path) -> None:
    from docx import Document
    from msoffcrypto.format.ooxml import OOXMLFile

    plain, locked = io.BytesIO(), io.BytesIO()
    document = Document()
    document.add_paragraph("The safe stands behind the picture.")
    document.save(plain)
    OOXMLFile(plain).encrypt("sesame", locked)
    (root / "safe.docx").write_bytes(locked.getvalue())
    follow(corpus, root)
    run(corpus, passwords=("sesame",))
    before = state(corpus)
    assert "safe.docx" in live(corpus)
    (root / "safe.docx").rename(root / "strongbox.docx")
    assert told(run(corpus)) == {"failed": ["strongbox.docx"], "unchanged": 4}
    assert state(corpus) == before
    assert told(run(corpus, passwords=("sesame",))) == {"moved": [("safe.docx", "strongbox.docx")], "unchanged": 4}
    assert told(run(corpus)) == {"unchanged": 5}, "what is there already needs no password"


# ── what cannot be reached ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_becomes_damaged_keeps_its_documents(corpus: Corpus, root: Path) -> None:
    follow(corpus, root)
    run(corpus)
    before = state(corpus)
    (root / "d.jsonl").write_text('{"_id": ')
    (root / "b.txt").write_bytes(b"")
    difference = run(corpus)
    assert {"b.txt", "d.jsonl"} <= {each.uri.rpartition("/")[2].partition("#")[0] for each in difference.failures}
    assert difference.removed == []
    assert state(corpus) == before


SURVEY = """
import os, sys
from rag.corpus import survey
root, *known = sys.argv[1:]
if os.geteuid() == 0:
    os.setuid(65534)  # root may read everything
files = survey.files([root], known, allow_empty=False)
gone, failed = files.gone(uri for uri in known if survey.path_of(uri) not in files.paths)
print([path.name for path in files.paths], [uri.rpartition("/")[2] for uri in gone], failed)
"""


def test_of_a_folder_that_cannot_be_listed_nothing_is_gone() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders can be entered by their owner alone
        root = Path(name)
        (root / "sub").mkdir()
        (root / "a.txt").write_text("Apples.")
        known = [(root / place).as_uri() for place in ("a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt")]
        for mode, said in ((0, "['a.txt', 'sub'] ['b.txt'] []"), (0o755, "['a.txt'] ['b.txt', 'c.txt', 'd.txt'] []")):
            root.chmod(0o755)
            (root / "sub").chmod(mode)
            child = [sys.executable, "-c", SURVEY, name, *known]
            done = subprocess.run(child, capture_output=True, text=True, check=True)
            assert done.stdout.strip() == said


def test_a_missing_root_removes_nothing_and_says_so(corpus: Corpus, root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("Xylophones are loud.")
    follow(corpus, root, other)
    assert len(run(corpus).added) == 5
    before = state(corpus)
    root.rename(tmp_path / "away")
    (other / "y.txt").write_text("Yaks are calm.")
    difference = run(corpus)
    assert told(difference) == {"added": ["y.txt"], "unchanged": 1, "failed": ["docs"]}
    assert "register the sync anew" in difference.failures[0].reason
    (other / "y.txt").unlink()
    assert told(run(corpus)) == {"removed": ["y.txt"], "unchanged": 1, "failed": ["docs"]}
    assert state(corpus) == before
    follow(corpus, other)
    assert told(run(corpus)) == {"removed": ["a.md", "b.txt", "c.html", "d.jsonl"], "unchanged": 1}


def test_an_empty_root_removes_nothing_unless_that_is_meant(corpus: Corpus, root: Path, tmp_path: Path) -> None:
    follow(corpus, root)
    run(corpus)
    before = state(corpus)
    root.rename(tmp_path / "away")
    root.mkdir()
    difference = run(corpus)
    assert told(difference) == {"failed": ["docs"]}
    assert "--allow-empty" in difference.failures[0].reason
    assert state(corpus) == before
    assert told(run(corpus, allow_empty=True)) == {"removed": ["a.md", "b.txt", "c.html", "d.jsonl"]}
    assert state(corpus) == ([], [])


def test_a_link_that_leads_nowhere_keeps_what_it_led_to(corpus: Corpus, root: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (far / "f.txt").write_text("Figs are soft.")
    (root / "far").symlink_to(far)
    follow(corpus, root)
    assert len(run(corpus).added) == 5
    far.rename(tmp_path / "away")
    difference = run(corpus)
    assert told(difference) == {"failed": ["f.txt"], "unchanged": 4}
    assert "leads to nothing" in difference.failures[0].reason
    (root / "far").unlink()
    assert told(run(corpus)) == {"removed": ["f.txt"], "unchanged": 4}


def test_what_is_no_longer_taken_is_removed(corpus: Corpus, root: Path) -> None:
    follow(corpus, root)
    run(corpus)
    (root / ".ragignore").write_text("sub/\n")
    (root / "b.txt").write_bytes(bytes(range(256)) * 20)
    assert told(run(corpus)) == {"removed": ["b.txt", "c.html"], "skipped": 1, "unchanged": 2}
    assert state(corpus) == fresh(corpus, root)
    assert told(run(corpus)) == {"skipped": 1, "unchanged": 2}


def test_a_file_of_which_a_part_fails_is_read_again_and_nothing_of_it_goes(corpus: Corpus, root: Path) -> None:
    (root / "d.jsonl").write_text('{"_id": "x", "text": "A good line."}\n{"_id": ')
    follow(corpus, root)
    first = run(corpus)
    assert (len(first.added), len(first.failures)) == (4, 1)
    again = run(corpus)
    assert (again.unchanged, len(again.failures), again.added, again.updated) == (4, 1, [], [])
    (root / "d.jsonl").unlink()
    assert told(run(corpus)) == {"removed": ["d.jsonl"], "unchanged": 3}
    assert state(corpus) == fresh(corpus, root)


# ── several places, several syncs ───────────────────────────────────────────────────────────────────────────────────


def test_two_roots_one_within_the_other_and_a_link_give_each_file_once(corpus: Corpus, root: Path) -> None:
    (root / "sub" / "again.md").symlink_to(root / "a.md")
    follow(corpus, root, root / "sub", root / "b.txt")
    assert told(run(corpus)) == {"added": ["a.md", "b.txt", "c.html", "d.jsonl"]}
    (root / "a.md").unlink()
    difference = run(corpus)
    assert difference.removed == [(root / "a.md").as_uri()]
    assert told(difference) == {"removed": ["a.md"], "unchanged": 3}


def test_a_file_goes_over_to_the_link_that_comes_first(corpus: Corpus, root: Path) -> None:
    follow(corpus, root)
    run(corpus)
    (root / "0.md").symlink_to(root / "a.md")
    difference = run(corpus)
    assert told(difference) == {"moved": [("a.md", "0.md")], "unchanged": 3}
    assert state(corpus) == fresh(corpus, root)


def test_overlapping_syncs_leave_each_other_their_files(corpus: Corpus, root: Path) -> None:
    follow(corpus, root, name="all")
    follow(corpus, root / "sub", name="part", labels=frozenset({"staff"}))
    assert told(run(corpus, "part")) == {"added": ["c.html"]}
    assert told(run(corpus, "all")) == {"added": ["a.md", "b.txt", "d.jsonl"], "skipped": 1}
    assert told(run(corpus, "part")) == {"unchanged": 1}
    follow(corpus, root / "a.md", name="all")
    assert told(run(corpus, "all")) == {"removed": ["b.txt", "d.jsonl"], "unchanged": 1}
    assert sorted(live(corpus)) == ["a.md", "c.html"]
    with corpus.database.read() as connection:
        part = again(corpus, "part")
        assert set(store.known(connection, part.id)) == {(root / "sub" / "c.html").as_uri()}
    assert sync.remove(corpus.database, corpus.collection, part, keep_documents=False, actor="local") == 1
    follow(corpus, root, name="all")
    assert told(run(corpus, "all")) == {"added": ["b.txt", "c.html", "d.jsonl"], "unchanged": 1}


def test_what_was_ingested_before_is_looked_after_from_then_on(corpus: Corpus, root: Path) -> None:
    corpus.add_paths([root], Origin("local"), max_bytes=MB)
    follow(corpus, root)
    assert told(run(corpus)) == {"unchanged": 4}
    (root / "b.txt").unlink()
    assert told(run(corpus)) == {"removed": ["b.txt"], "unchanged": 3}


def test_labels_and_metadata_belong_to_what_is_followed(corpus: Corpus, root: Path) -> None:
    follow(corpus, root, labels=frozenset({"staff"}), metadata={"team": "fruit"})
    run(corpus)
    with corpus.database.read() as connection:
        assert {row[0]["team"] for row in connection.execute(select(documents.c.metadata))} == {"fruit"}
    follow(corpus, root, metadata={"team": "trees"})
    changed = run(corpus)
    assert told(changed) == {"updated": ["a.md", "b.txt", "c.html", "d.jsonl"]}
    assert changed.embedded == 0


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def everything(corpus: Corpus, tables: Sequence[object]) -> list[object]:
    with corpus.database.read() as connection:
        return [connection.execute(select(table)).all() for table in tables]  # type: ignore[call-overload]


def test_a_dry_run_tells_the_same_and_writes_nothing(corpus: Corpus, root: Path) -> None:
    (root / "sub" / "gone.txt").write_text("Grapes are gone soon.")
    follow(corpus, root)
    run(corpus)
    (root / "a.md").write_text("# Apples\n\nApples are blue.\n")
    (root / "b.txt").rename(root / "bananas.txt")
    (root / "sub" / "gone.txt").unlink()
    (root / "new.txt").write_text("New things are new.")
    (root / "odd.bin").write_bytes(bytes(range(256)) * 20)
    tables = (documents, contents, chunks, sources, decisions, audit, store.syncs)
    before = everything(corpus, tables)
    foreseen = sync.preview(corpus, again(corpus), OPTIONS)
    assert everything(corpus, tables) == before
    assert foreseen.dry_run
    done = run(corpus)
    assert told(foreseen) == told(done)
    assert told(done) == {
        "added": ["new.txt"],
        "updated": ["a.md"],
        "moved": [("b.txt", "bananas.txt")],
        "removed": ["gone.txt"],
        "skipped": 1,
        "unchanged": 2,
    }
    assert done.moved == [Moved((root / "bananas.txt").as_uri(), (root / "b.txt").as_uri())]


def test_a_second_run_of_the_same_sync_is_refused(corpus: Corpus, root: Path) -> None:
    one = follow(corpus, root)
    follow(corpus, root / "sub", name="other")
    with store.running(corpus.database, one):
        with pytest.raises(Conflict, match="'docs' is running already"):
            run(corpus)
        with pytest.raises(Conflict):
            sync.remove(corpus.database, corpus.collection, one, keep_documents=True, actor="local")
        assert told(run(corpus, "other")) == {"added": ["c.html"]}
        assert told(sync.preview(corpus, one, OPTIONS))["skipped"] == 1
    assert len(run(corpus).added) == 3


def test_a_run_that_is_stopped_removes_nothing_and_the_next_goes_on(corpus: Corpus, root: Path) -> None:
    follow(corpus, root)
    run(corpus)
    (root / "b.txt").unlink()
    (root / "new.txt").write_text("New things are new.")
    stopped = sync.run(corpus, again(corpus), OPTIONS, stopping=lambda: True)
    assert stopped.stopped
    assert "b.txt" in live(corpus)
    assert told(run(corpus)) == {"added": ["new.txt"], "removed": ["b.txt"], "unchanged": 3}
    assert state(corpus) == fresh(corpus, root)


def test_a_sync_is_removed_with_its_documents_or_without(corpus: Corpus, root: Path) -> None:
    one = follow(corpus, root)
    run(corpus)
    assert sync.remove(corpus.database, corpus.collection, one, keep_documents=True, actor="local") == 0
    assert len(live(corpus)) == 6
    with pytest.raises(NotFound, match="rag sync docs PATH"):
        again(corpus)
    one = follow(corpus, root)
    run(corpus)
    assert sync.remove(corpus.database, corpus.collection, one, keep_documents=False, actor="local") == 6
    assert state(corpus) == ([], [])
    with corpus.database.read() as connection:
        actions = [row[0] for row in connection.execute(select(audit.c.action).order_by(audit.c.id))]
    assert actions == ["sync register", "sync remove"] * 2


def test_names(corpus: Corpus, root: Path) -> None:
    for name in ("", " docs", "a/b", "x" * 101, "a\nb"):
        with pytest.raises(WrongUsage, match="cannot name a sync"):
            follow(corpus, root, name=name)
    follow(corpus, root, name="Überall")
    with corpus.database.read() as connection:
        assert [each.name for each in store.listing(connection, corpus.collection.tenant_id)] == ["Überall"]
        with pytest.raises(NotFound, match="there are: Überall"):
            store.get(connection, corpus.collection.tenant_id, "docs", "default")


def test_a_removed_file_takes_along_what_was_held_back_for_it(
    database: Database, embedder: Embedder, root: Path
) -> None:
    corpus = open_corpus(
        database, "default", "default", embedder, chunk_tokens=64, overlap_tokens=0, dedup={"dedup_exact": "skip"}
    )
    (root / "copy.txt").write_text((root / "b.txt").read_text())
    follow(corpus, root)
    run(corpus)
    assert "copy.txt" not in live(corpus)
    (root / "copy.txt").rename(root / "other.txt")
    assert told(run(corpus))["moved"] == [("copy.txt", "other.txt")]
    assert "other.txt" not in live(corpus)
    (root / "b.txt").unlink()
    assert told(run(corpus)) == {"removed": ["b.txt"], "unchanged": 4}
    assert "other.txt" in live(corpus), "it was held back for the one that went"
    (root / "copy.txt").write_text((root / "other.txt").read_text())
    run(corpus)
    (root / "copy.txt").unlink()
    run(corpus)
    (root / "other.txt").unlink()
    assert told(run(corpus)) == {"removed": ["other.txt"], "unchanged": 3}
    assert "copy.txt" not in live(corpus), "it went before"
