"""The doctor names every damage that is done to an installation, mends what can be mended, and says what cannot."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from rag.store.database import connect
from tests.cli_house import House, build

MANY = 260  # documents: enough for an index to be published


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> House:
    texts = {f"{i}.txt": f"Entry {i} of the gazetteer describes the village number {i * 7}.\n" for i in range(MANY)}
    house = build(tmp_path_factory.mktemp("healthy"), texts)
    assert house("ingest", str(house.docs)).code == 0
    assert house("ask", "Which village does entry 12 describe?").code == 0
    return house


@pytest.fixture
def house(healthy: House, tmp_path: Path) -> House:
    """A copy of the healthy installation, to be damaged."""
    shutil.copytree(healthy.folder, tmp_path / "house")
    return House(tmp_path / "house", healthy.models)


def wrong(house: House) -> dict[str, str]:
    """The checks that fail, with what they say; exit code and `ok` agree."""
    result = house("doctor", "--json")
    checks = result.json["checks"]
    assert isinstance(checks, list)
    bad = {check["name"]: check["detail"] for check in checks if not check["ok"]}
    assert (result.code, result.json["ok"]) == ((1, False) if bad else (0, True)), result
    return bad


def mended(house: House) -> tuple[bool, list[dict[str, object]]]:
    result = house("doctor", "--repair", "--json")
    done = result.json["repaired"]
    assert isinstance(done, list)
    return result.code == 0, done


def sql(house: House, statement: str, *values: object) -> int:
    """Tamper with the database; how many rows were changed."""
    connection = sqlite3.connect(house.data / "rag.db")
    try:
        with connection:
            return connection.execute(statement, values).rowcount
    finally:
        connection.close()


def index_files(house: House, part: str) -> list[Path]:
    return sorted(
        path for path in (house.data / "indexes").rglob(f"{part}/*") if path.is_file() and path.stat().st_size
    )


def hits(house: House) -> list[tuple[int, float]]:
    """What a search finds; scores to the digits that a snapshot and the exact tail share."""
    found = house("search", "village entry 12", "--json").json["hits"]
    assert isinstance(found, list)
    assert found
    return [(hit["chunk_id"], round(hit["score"], 4)) for hit in found]


def test_a_healthy_installation_is_healthy(house: House) -> None:
    assert wrong(house) == {}
    assert mended(house) == (True, [])
    assert "healthy" in house("doctor").out


@pytest.mark.parametrize("part", ["vectors", "keywords"])
def test_flipped_bytes_of_an_index_are_found_and_mended(house: House, part: str) -> None:
    before = hits(house)
    file = max(index_files(house, part), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    (detail,) = wrong(house).values()
    assert "checksum" in detail
    assert part in detail
    ok, done = mended(house)
    assert ok
    assert [one["name"] for one in done] == ["default: index"]
    assert "nothing was embedded" in str(done[0]["detail"])
    assert wrong(house) == {}
    assert hits(house) == before


def test_a_deleted_index_folder_is_found_and_rebuilt(house: House) -> None:
    before = hits(house)
    shutil.rmtree(house.data / "indexes")
    assert hits(house) == before
    assert list(wrong(house)) == ["default: index"]
    assert mended(house)[0]
    assert wrong(house) == {}
    assert hits(house) == before


def test_a_lost_manifest_is_found_and_rebuilt(house: House) -> None:
    (manifest,) = (house.data / "indexes").rglob("manifest.json")
    manifest.unlink()
    assert list(wrong(house)) == ["default: index"]
    assert mended(house)[0]
    assert wrong(house) == {}


def test_a_changed_text_is_found_and_cannot_be_mended(house: House) -> None:
    assert sql(house, "UPDATE contents SET text = replace(text, 'village', 'hamlet x') WHERE id = 3") == 1
    assert "content 3" in wrong(house)["default: texts"]
    ok, _ = mended(house)
    assert not ok
    assert "content 3" in wrong(house)["default: texts"]


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM vectors WHERE digest = (SELECT digest FROM chunks WHERE id = 5)",
        "UPDATE vectors SET data = zeroblob(1024) WHERE digest = (SELECT digest FROM chunks WHERE id = 5)",
        "UPDATE vectors SET data = x'00' WHERE digest = (SELECT digest FROM chunks WHERE id = 5)",
    ],
)
def test_a_lost_or_wrong_vector_is_found_and_embedded_again(house: House, damage: str) -> None:
    before = hits(house)
    assert sql(house, damage) == 1
    assert "chunk 5" in wrong(house)["default: vectors"]
    ok, done = mended(house)
    assert ok
    assert done[0]["name"] == "default: vectors"
    assert done[0]["detail"] == "missing or wrong vectors, embedded anew from their texts: 1"
    assert wrong(house) == {}
    assert hits(house) == before


def test_a_lost_vector_of_a_changed_text_is_not_invented(house: House) -> None:
    assert sql(house, "DELETE FROM vectors WHERE digest = (SELECT digest FROM chunks WHERE id = 5)") == 1
    owner = "(SELECT content_id FROM chunks WHERE id = 5)"
    assert sql(house, f"UPDATE contents SET text = replace(text, 'village', 'hamletX') WHERE id = {owner}") == 1
    assert {"default: texts", "default: vectors"} <= wrong(house).keys()
    ok, done = mended(house)
    assert not ok
    assert [one["ok"] for one in done if one["name"] == "default: vectors"] == [False]
    assert "backup" in str(done[0]["detail"])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("DELETE FROM changes WHERE position = 1", "default: positions"),
        ("DELETE FROM chunks WHERE id = 7", "default: lifetimes"),
        ('UPDATE chunks SET "end" = "end" + 10000 WHERE id = 7', "default: offsets"),
        ("UPDATE texts SET text = text || ' ' WHERE id = 1", "logged prompts"),
        ("UPDATE alembic_version SET version_num = '0000'", "database"),
    ],
)
def test_damaged_rows_are_found_and_named(house: House, damage: str, named: str) -> None:
    assert sql(house, damage) == 1
    assert named in wrong(house)


def test_a_damaged_version_of_a_dataset_is_found_and_named(house: House) -> None:
    at = "2026-01-01 00:00:00.000000"
    sql(house, "INSERT INTO datasets (id, tenant_id, name, kind, created_at) VALUES (1, 1, 'gold', 'log', ?)", at)
    columns = 'id, dataset_id, number, digest, collection, items, query, card, sealed, "user", created_at'
    values = "1, 1, 1, '', 'default', 1, '{}', '{}', 1, 'ann', ?"
    assert sql(house, f"INSERT INTO dataset_versions ({columns}) VALUES ({values})", at) == 1
    assert "gold@1" in wrong(house)["datasets"]


def test_damaged_pages_of_the_database_are_found(house: House) -> None:
    sql(house, "PRAGMA wal_checkpoint(TRUNCATE)")
    file = house.data / "rag.db"
    content = bytearray(file.read_bytes())
    for page in range(6, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = bytes(64)
    file.write_bytes(content)
    for left in ("rag.db-wal", "rag.db-shm"):
        (house.data / left).unlink(missing_ok=True)
    assert wrong(house)


def test_rebuild_makes_the_index_anew_and_embeds_nothing(house: House) -> None:
    before = hits(house)
    shutil.rmtree(house.data / "indexes")
    sql(house, "UPDATE embedders SET name = 'gone'")  # whoever tried to embed would load another model
    result = house("rebuild", RAG_EMBEDDER="sentence_transformers:no-such-model")
    assert result.code == 0, result
    assert "nothing was embedded" in result.out
    assert hits(house) == before
    assert house("rebuild", "--collection", "nowhere").code == 1


def test_without_a_database_the_doctor_says_what_to_do(tmp_path: Path) -> None:
    result = build(tmp_path)("doctor")
    assert result.code == 1
    assert "rag ingest PATH" in result.out


def test_on_every_database_a_lost_vector_is_found_and_embedded_again(tmp_path: Path, database_url: str) -> None:
    house = build(tmp_path / "house")
    there = {"RAG_DATABASE": database_url}
    assert house("ingest", str(house.docs), **there).code == 0
    before = house("search", "green tea", "--json", **there).json["hits"]
    database = connect(database_url)
    try:
        with database.write() as connection:
            lost = "DELETE FROM vectors WHERE digest IN (SELECT digest FROM chunks ORDER BY id LIMIT 1)"
            assert connection.exec_driver_sql(lost).rowcount == 1
    finally:
        database.close()
    assert "has no vector" in house("doctor", **there).out
    repaired = house("doctor", "--repair", **there)
    assert repaired.code == 0, repaired
    assert "embedded anew from their texts: 1" in repaired.out
    assert house("search", "green tea", "--json", **there).json["hits"] == before
