"""Near-duplicates in SQL: across runs and within a batch, after removal, at another threshold; what is said is true."""

import random
from collections.abc import Callable, Mapping, Sequence
from csv import DictReader
from pathlib import Path

import pytest
from sqlalchemy import func, select

from ingest import parsers, sources
from ingest.clean import assemble
from ingest.minhash import band_shape, signatures
from ingest.shingles import Shingles, jaccard, shingle_sets, shingles
from ingest.types import Parsed
from rag.store import collections as collection_store
from rag.store.database import Database
from rag.store.duplicates import near
from rag.store.duplicates.near import Item, Near, Scope
from rag.store.tables import bands
from rag.store.tables import signatures as signature_table
from tests.test_store import Named

THRESHOLD = 0.7
Found = dict[tuple[int, int], float]  # (earlier, later) → similarity


@pytest.fixture
def collection_id(database: Database) -> int:
    return new_collection(database, "default")


def new_collection(database: Database, name: str) -> int:
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        return collection_store.create(connection, tenant, name, Named(), {}).id


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def items(texts: Sequence[str], first: int = 0) -> list[Item]:
    return [
        Item(digest(first + i), text, made) for i, (text, made) in enumerate(zip(texts, signatures(texts), strict=True))
    ]


def reader(texts: Sequence[str]) -> Callable[[Sequence[bytes]], Mapping[bytes, str]]:
    return lambda wanted: {one: texts[int.from_bytes(one, "big")] for one in wanted}


def run(
    database: Database, collection_id: int, texts: Sequence[str], *, first: int = 0, batch: int = 64,
    threshold: float = THRESHOLD, scope: Scope = "document",
) -> Found:  # fmt: skip
    """Match texts[first:] batch by batch, each in a transaction of its own; later batches read the stored texts."""
    found: Found = {}
    for start in range(first, len(texts), batch):
        part = items(texts[start : start + batch], start)
        with database.write() as connection:
            rows = near.match(connection, collection_id, scope, part, threshold, reader(texts))
        for i, ones in enumerate(rows):
            assert ones == sorted(ones, key=lambda one: (-one.similarity, one.digest))
            found |= {(int.from_bytes(one.digest, "big"), start + i): one.similarity for one in ones}
    return found


def truth(sets: Sequence[Shingles], threshold: float) -> Found:
    return {
        (i, j): similarity
        for j in range(len(sets))
        for i in range(j)
        if (similarity := jaccard(sets[i], sets[j])) >= threshold
    }


def planted(count: int, seed: int) -> list[str]:
    """Texts of 60 words, every third one a copy of an earlier one with up to five words changed."""
    choose = random.Random(seed)
    words = [f"w{i}" for i in range(2_000)]
    texts: list[str] = []
    for number in range(count):
        if number % 3 == 2:
            copy = texts[choose.randrange(number)].split()
            for _ in range(choose.randrange(6)):
                copy[choose.randrange(len(copy))] = choose.choice(words)
            texts.append(" ".join(copy))
        else:
            texts.append(" ".join(choose.choices(words, k=60)))
    return texts


def counts(database: Database) -> tuple[int, int]:
    """How many signatures and bands there are."""
    with database.read() as connection:
        return tuple(  # type: ignore[return-value]
            connection.scalar(select(func.count()).select_from(table)) for table in (signature_table, bands)
        )


@pytest.mark.parametrize("batch", [1, 50, 1_000])
def test_what_is_found_is_what_brute_force_finds(database: Database, collection_id: int, batch: int) -> None:
    texts = planted(120 if batch == 1 else 400, 1)
    true = truth(list(shingle_sets(texts)), THRESHOLD)
    found = run(database, collection_id, texts, batch=batch)
    assert len(true) >= 20
    assert all(true[pair] == similarity for pair, similarity in found.items()), "precision 1, true similarity"
    assert len(found) >= 0.97 * len(true)
    assert counts(database) == (len(texts), len(texts) * band_shape(THRESHOLD)[0])


def test_batches_of_any_size_find_the_same(database: Database, collection_id: int) -> None:
    texts = planted(150, 2)
    other = new_collection(database, "other")
    assert run(database, collection_id, texts, batch=7) == run(database, other, texts, batch=150)


def test_a_later_run_finds_what_an_earlier_one_stored(database: Database, collection_id: int) -> None:
    texts = planted(150, 3)
    run(database, collection_id, texts[:100])
    copies = [*texts[:100], *texts[:100]]
    found = run(database, collection_id, copies, first=100)
    assert all(found[i, 100 + i] == 1.0 for i in range(100))


def test_the_same_digest_again_is_no_duplicate_of_itself(database: Database, collection_id: int) -> None:
    texts = planted(2, 4)
    assert run(database, collection_id, texts) == {}
    assert run(database, collection_id, texts) == {}
    twice = items(texts) + items(texts)
    with database.write() as connection:
        assert near.match(connection, collection_id, "document", twice, THRESHOLD, reader(texts)) == [[], [], [], []]
    assert counts(database)[0] == 2


def test_scopes_and_collections_do_not_meet(database: Database, collection_id: int) -> None:
    texts = planted(20, 5)
    run(database, collection_id, texts)
    other = new_collection(database, "other")
    unread = items(texts, 1_000)
    with database.write() as connection:
        for where, scope in ((other, "document"), (collection_id, "chunk")):
            pairs = [(item.digest, item.signature) for item in unread]
            assert near.candidates(connection, where, scope, pairs, THRESHOLD) == [[]] * 20  # type: ignore[arg-type]
        assert all(near.candidates(connection, collection_id, "document", pairs, THRESHOLD))


def test_finding_alone_keeps_nothing(database: Database, collection_id: int) -> None:
    texts = planted(9, 6)
    with database.write() as connection:
        found = near.find(connection, collection_id, "chunk", items(texts), THRESHOLD, reader(texts))
        assert any(found)
        assert near.match(connection, collection_id, "chunk", [], THRESHOLD, reader(texts)) == []
    assert counts(database) == (0, 0)


def test_what_was_removed_is_not_found(database: Database, collection_id: int) -> None:
    texts = planted(60, 7)
    run(database, collection_id, texts, batch=20)
    run(database, collection_id, texts, batch=20, scope="chunk")
    gone = [digest(i) for i in range(0, 60, 2)]
    with database.write() as connection:
        near.remove(connection, collection_id, "document", [*gone, b"never kept"], THRESHOLD)
        near.remove(connection, collection_id, "document", [], THRESHOLD)
    assert counts(database) == (90, 90 * band_shape(THRESHOLD)[0])
    found = run(database, collection_id, [*texts, *texts], first=60)
    assert {pair for pair in found if pair[0] < 60 and pair[0] + 60 == pair[1]} == {
        (i, i + 60) for i in range(1, 60, 2)
    }


def test_bands_left_by_another_threshold_are_passed_over(database: Database, collection_id: int) -> None:
    texts = planted(30, 8)
    run(database, collection_id, texts)
    with database.write() as connection:
        near.remove(connection, collection_id, "document", [digest(i) for i in range(30)], 0.5)
    assert counts(database)[0] == 0
    assert counts(database)[1] > 0
    pairs = [(item.digest, item.signature) for item in items(texts, 100)]
    with database.write() as connection:
        assert near.candidates(connection, collection_id, "document", pairs, THRESHOLD) == [[]] * 30
        assert near.rebuild(connection, collection_id, THRESHOLD) == 0
    assert counts(database) == (0, 0)


def test_another_threshold_after_a_rebuild(
    database: Database, collection_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near, "PAGE", 70)
    texts = planted(200, 9)
    other = new_collection(database, "other")
    run(database, other, texts[:5])
    run(database, collection_id, texts, threshold=0.9)
    with database.write() as connection:
        assert near.rebuild(connection, collection_id, 0.5) == 200
    copies = [*texts, *planted(200, 9)]
    sets = list(shingle_sets(copies))
    true = {pair: similarity for pair, similarity in truth(sets, 0.5).items() if pair[1] >= 200}
    found = run(database, collection_id, copies, first=200, threshold=0.5)
    assert all(true[pair] == similarity for pair, similarity in found.items())
    assert len(found) >= 0.97 * len(true)
    expected = 400 * band_shape(0.5)[0] + 5 * band_shape(THRESHOLD)[0]
    assert counts(database) == (405, expected), "the other collection keeps its own"


def test_a_text_that_cannot_be_read_is_near_to_nothing(database: Database, collection_id: int) -> None:
    texts = planted(6, 10)
    run(database, collection_id, texts)
    with database.write() as connection:
        found = near.find(connection, collection_id, "document", items(texts, 50), THRESHOLD, lambda wanted: {})
    stored = {digest(i) for i in range(6)}
    assert not [one for ones in found for one in ones if one.digest in stored]


def test_many_copies_cost_a_bounded_number_of_readings(database: Database, collection_id: int) -> None:
    base = planted(1, 11)[0].split()
    texts = [" ".join([*base, f"copy{i}"]) for i in range(150)]
    run(database, collection_id, texts)
    read: list[bytes] = []

    def counting(wanted: Sequence[bytes]) -> Mapping[bytes, str]:
        read.extend(wanted)
        return reader(texts)(wanted)

    text = " ".join([*base, "copy7"])
    with database.write() as connection:
        (found,) = near.find(connection, collection_id, "document", items([text], 999), THRESHOLD, counting, most=10)
    assert len(found) == len(read) == 10
    assert found[0] == Near(digest(7), 1.0)


def test_a_rolled_back_batch_leaves_nothing(database: Database, collection_id: int) -> None:
    texts = planted(10, 12)

    def unlucky() -> None:
        with database.write() as connection:
            near.match(connection, collection_id, "document", items(texts), THRESHOLD, reader(texts))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        unlucky()
    assert counts(database) == (0, 0)


def test_recent_bands_move_on(tmp_path: Path) -> None:
    """On SQLite every part of all keys is reached in time, whatever the batches are, and nothing is lost on the way."""
    from rag.store import database as database_store

    database = database_store.connect(f"sqlite:///{tmp_path / 'rag.db'}")
    database_store.upgrade(database)
    collection_id = new_collection(database, "default")
    made = signatures(planted(300, 13))
    for i in range(0, 300, 2):
        with database.write() as connection:
            near.add(connection, collection_id, "chunk", [(digest(i + j), made[i + j]) for j in (0, 1)], THRESHOLD)
    rows = band_shape(THRESHOLD)[0] * 300
    with database.read() as connection:
        recent = connection.scalar(select(func.count()).select_from(bands).where(bands.c.recent))
    assert counts(database) == (300, rows)
    assert recent is not None
    assert 0 < recent < rows / 3
    database.close()


# ── real revisions ──────────────────────────────────────────────────────────────────────────────────────────────────


def files_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        pytest.skip(f"real data absent: {folder}")
    return sorted(folder.rglob("*.md"))


def normalised(file: Path) -> str:
    source = sources.from_upload(file.name, file.read_bytes())
    (found,) = parsers.parse(source)
    assert isinstance(found, Parsed)
    return assemble(source, found).text


@pytest.fixture(scope="module")
def pages(shared_data: Path) -> tuple[list[str], list[str]]:
    """The documentation's texts today, and those of two years ago."""
    new, old = files_of(shared_data / "docs-fastapi"), files_of(shared_data / "neardup-fastapi")
    return [normalised(file) for file in new], [normalised(file) for file in old]


def test_revisions_of_real_pages(database: Database, collection_id: int, pages: tuple[list[str], list[str]]) -> None:
    """The documentation, then its pages of two years ago: the pairs are those of brute force over all pairs."""
    new, old = pages
    true = truth(list(shingle_sets([*new, *old])), 0.8)
    found = run(database, collection_id, new, threshold=0.8)
    found |= run(database, collection_id, [*new, *old], first=len(new), threshold=0.8)
    assert len(true) > 30
    assert all(true[pair] == similarity for pair, similarity in found.items())
    assert len(found) >= 0.97 * len(true)


def test_raw_pages_give_the_published_similarities(shared_data: Path) -> None:
    """pairs.tsv was computed by others, by words alone: ours differs only where a page holds Chinese or Japanese."""
    pairs = shared_data / "neardup-fastapi" / "pairs.tsv"
    if not pairs.is_file():
        pytest.skip(f"real data absent: {pairs}")
    with pairs.open(newline="") as file:
        rows = list(DictReader(file, delimiter="\t"))
    off = 0
    for row in rows:
        a, b = (shingles((shared_data / row[name]).read_text(encoding="utf-8")) for name in ("a", "b"))
        assert jaccard(a, b) == pytest.approx(float(row["jaccard5"]), abs=0.001)
        off += abs(jaccard(a, b) - float(row["jaccard5"])) > 0.00006
    assert off <= 0.02 * len(rows)
