"""The documentation of a real project, then its pages of two years earlier: every duplicate is reported, no other."""

import re
from itertools import combinations
from pathlib import Path

import pytest
from sqlalchemy import func, select

from rag.app import App
from rag.config import load
from rag.store.tables import contents, documents
from tests.cli_house import House

WORD = re.compile(r"\w+")
THRESHOLD = 0.8


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> House:
    """The pages of today, then the older ones, taken in by the command line."""
    house = House(tmp_path_factory.mktemp("revisions"), tmp_path_factory.mktemp("models"))
    for folder in ("docs-fastapi", "neardup-fastapi"):
        place = shared_data / folder
        if not place.is_dir():
            pytest.skip(f"real data absent: {place}")
        done = house("ingest", str(place), "--json")
        assert done.code == 0, done.err
    return house


def texts(house: House) -> dict[int, tuple[str, str]]:
    """The digest and normalised text of every live document's own content, by document."""
    app = App.open(load({"data": house.data, "embedder": "hashing:256"}, {}).settings)
    with app.database.read() as connection:
        own = func.coalesce(documents.c.own_content_id, documents.c.content_id)
        rows = connection.execute(
            select(documents.c.id, contents.c.digest, contents.c.text)
            .join(contents, contents.c.id == own)
            .where(documents.c.removed_position.is_(None))
        ).all()
    app.close()
    return {row.id: (bytes(row.digest).hex(), row.text) for row in rows}


def reported(house: House, level: str) -> dict[frozenset[int], float]:
    found: dict[frozenset[int], float] = {}
    after = "0"
    while after:
        page = house("dedup", "report", "--level", level, "-n", "1000", "--after", after, "--json").json
        for row in page["duplicates"]:  # type: ignore[attr-defined]
            if row["scope"] == "document":
                found[frozenset((row["document_id"], row["against_id"]))] = row["similarity"]
        after = str(page["next"] or "")
    return found


def words(text: str) -> set[tuple[str, ...]]:
    found = WORD.findall(text.lower())
    return {tuple(found[i : i + 5]) for i in range(len(found) - 4)} or {tuple(found)}


def test_the_pairs_are_those_of_brute_force(house: House) -> None:
    """Over all pairs of different texts, with plain sets of word tuples: none is missing, none is too many, and every
    similarity is the true Jaccard. One page holds Chinese and Japanese words, whose shingles are characters."""
    own = texts(house)
    first: dict[str, int] = {}
    for key in sorted(own):
        first.setdefault(own[key][0], key)
    sets = {key: words(own[key][1]) for key in first.values()}
    true: dict[frozenset[int], float] = {}
    for one, other in combinations(sorted(sets), 2):
        a, b = sets[one], sets[other]
        if min(len(a), len(b)) < THRESHOLD * max(len(a), len(b)):
            continue
        similarity = len(a & b) / len(a | b)
        if similarity >= THRESHOLD:
            true[frozenset((one, other))] = similarity
    found = {
        frozenset(first[own[key][0]] for key in pair): similarity
        for pair, similarity in reported(house, "near").items()
    }
    assert len(true) > 30
    assert len(found.keys() & true.keys()) >= 0.97 * len(true)
    assert found.keys() <= true.keys()
    assert all(found[pair] == pytest.approx(true[pair], abs=0.001) for pair in found)
    assert min(found.values()) >= THRESHOLD


def test_equal_pages_share_one_text(house: House) -> None:
    own = texts(house)
    copies: dict[str, list[int]] = {}
    for key in sorted(own):
        copies.setdefault(own[key][0], []).append(key)
    several = [keys for keys in copies.values() if len(keys) > 1]
    assert len(several) >= 15
    exact = reported(house, "exact")
    assert exact.keys() == {frozenset((keys[0], key)) for keys in several for key in keys[1:]}
    assert set(exact.values()) == {1.0}
    app = App.open(load({"data": house.data, "embedder": "hashing:256"}, {}).settings)
    with app.database.read() as connection:
        shown = select(documents.c.content_id).where(documents.c.id.in_(several[0]))
        assert len({row[0] for row in connection.execute(shown)}) == 1
    app.close()
