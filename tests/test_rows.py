"""Rows of databases as sources, on SQLite and PostgreSQL: types, streaming, what is wrong and what is never written."""

import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from ingest import parsers
from ingest.clean import assemble
from ingest.types import Document, Failed, MetadataValue, Parsed, Source
from rag.errors import NotReady, WrongUsage
from rag.store import rows

SHOP = """
CREATE TABLE parts (id INTEGER PRIMARY KEY, what TEXT, does TEXT, price NUMERIC(8,2), built DATE, code TEXT);
INSERT INTO parts VALUES (1, 'Tidal turbine', 'It harvests the moon.', 19.90, '2026-01-05', 'x');
INSERT INTO parts VALUES (2, 'Hub', 'It turns; 100% of the time at 12:30.', NULL, NULL, 'x');
INSERT INTO parts VALUES (3, 'Blade', NULL, 7, NULL, NULL);
"""


@pytest.fixture
def shop(database_url: str) -> str:
    """The same small shop on SQLite and on PostgreSQL."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        for statement in SHOP.strip().split(";\n"):
            connection.exec_driver_sql(
                statement.strip(";\n").replace("100%", "100%%") if "psycopg" in database_url else statement.strip(";\n")
            )
    engine.dispose()
    return database_url


def read(url: str, query: str, **said: object) -> list[Source | Failed]:
    options: dict[str, object] = {"id_column": "id", "text_template": "{what}\n\n{does}", **said}
    return list(rows.sources(url, query, **options))  # type: ignore[arg-type]


def whole(found: list[Source | Failed]) -> list[Document]:
    return [
        assemble(source, item)
        for source in found
        if isinstance(source, Source)
        for item in parsers.parse(source)
        if isinstance(item, Parsed)
    ]


def said(document: Document) -> dict[str, MetadataValue]:
    """The metadata without what was told from the text."""
    return {name: value for name, value in document.metadata.items() if name != "language"}


def test_each_row_is_a_document(shop: str) -> None:
    found = whole(read(shop, "SELECT * FROM parts ORDER BY id", title_template="{what}", name="shop"))
    assert [document.uri for document in found] == ["sql:shop#1", "sql:shop#2", "sql:shop#3"]
    assert [document.external_id for document in found] == ["1", "2", "3"]
    assert [document.title for document in found] == ["Tidal turbine", "Hub", "Blade"]
    assert [document.name for document in found] == ["shop#1", "shop#2", "shop#3"]
    assert found[0].text == "Tidal turbine\n\nIt harvests the moon."
    assert found[2].text == "Blade"
    assert said(found[0]) == {"price": 19.9, "built": "2026-01-05", "code": "x"}
    assert said(found[1]) == {"price": None, "built": None, "code": "x"}


def test_the_text_of_a_query_is_not_touched(shop: str) -> None:
    """Percent signs, colons and braces belong to the query, not to a driver's placeholders."""
    (found,) = whole(
        read(shop, "SELECT *, '%s :x {y}' AS odd FROM parts WHERE does LIKE '%100\\%%' ESCAPE '\\' OR what = ':what'")
    )
    assert found.external_id == "2"
    assert found.metadata["odd"] == "%s :x {y}"


def test_reading_again_gives_equal_sources(shop: str) -> None:
    query = "SELECT id, what, does, price FROM parts ORDER BY id"
    assert read(shop, query) == read(shop, query)
    assert read(shop, query) == read(shop, f"  {query.replace(' ', '  ')}\n")


def test_an_address_holds_the_database_and_the_query_but_no_password(shop: str) -> None:
    first, *_ = read(shop, "SELECT * FROM parts")
    other, *_ = read(shop, "SELECT id, what, does FROM parts")
    bare = make_url(shop)
    assert first.uri != other.uri
    assert bare.get_backend_name() in first.uri
    assert str(bare.database) in first.uri
    assert rows.address("postgresql://me:secret@db.example.org:5433/shop?sslpassword=secret", "SELECT 1").startswith(
        "sql:postgresql://db.example.org:5433/shop?query="
    )
    assert rows.address("postgresql://a:b@h/shop", "SELECT 1") == rows.address(
        "postgresql+psycopg://c:d@h/shop", " SELECT  1 "
    )
    assert rows.address("sqlite:///x.db", "q", "my shop/1") == "sql:my%20shop%2F1"
    assert str(Path("x.db").resolve()) in rows.address("sqlite:///x.db", "q")


def test_postgresql_types_become_json(postgres_url: str) -> None:
    query = """SELECT 1 AS id, 'a' AS what, '' AS does, true AS b, 12345678901234567890::numeric AS huge,
        0.10::numeric AS n, '2026-01-05 12:00+00'::timestamptz AS at, DATE '2026-01-05' AS d, '\\x00ff'::bytea AS raw,
        '12345678-1234-5678-1234-567812345678'::uuid AS u, ARRAY[1,2] AS list, '{"k": [1.5]}'::jsonb AS tree,
        'NaN'::float8 AS nan, INTERVAL '1 minute' AS i, '10.0.0.1'::inet AS net, NULL::int AS nothing"""
    (found,) = whole(read(postgres_url, query))
    assert said(found) == {
        "b": True,
        "huge": "12345678901234567890",
        "n": 0.1,
        "at": found.metadata["at"],
        "d": "2026-01-05",
        "raw": "00ff",
        "u": "12345678-1234-5678-1234-567812345678",
        "list": [1, 2],
        "tree": {"k": [1.5]},
        "nan": None,
        "i": 60.0,
        "net": "10.0.0.1",
        "nothing": None,
    }
    assert datetime.fromisoformat(str(found.metadata["at"])) == datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_sqlite_holds_what_it_likes(tmp_path: Path) -> None:
    file = tmp_path / "odd.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE t (id, what, does)")
        connection.executemany(
            "INSERT INTO t VALUES (?, ?, ?)",
            [("a", b"caf\xc3\xa9", 1.5), (b"\x01", "nul\x00s", None), (2.5, b"\xff\xfe" * 99, "x")],
        )
        connection.execute("INSERT INTO t VALUES ('bad', CAST(X'61FF62' AS TEXT), '')")
    connection.close()
    found = read(f"sqlite:///{file}", "SELECT * FROM t", name="odd")
    assert [(document.external_id, document.text) for document in whole(found)] == [
        ("a", "café\n\n1.5"),
        ("01", "nuls"),
        ("bad", "a\ufffdb"),
    ]
    (failed,) = [item for item in found if isinstance(item, Failed)]
    assert failed.uri == "sql:odd#row=3"
    assert "'what' holds bytes" in failed.reason


def test_ids_that_are_null_or_come_twice_are_failed_and_the_others_are_read(shop: str) -> None:
    values = ["1, 'a', ''", "NULL, 'b', ''", "1, 'c', ''", "2, 'd', ''"]
    query = " UNION ALL ".join(
        ["SELECT 0 AS id, 'z' AS what, '' AS does WHERE 1 = 0", *(f"SELECT {v}" for v in values)]
    )
    found = read(shop, query, name="n")
    assert [item.uri for item in found] == ["sql:n#1", "sql:n#row=2", "sql:n#row=3", "sql:n#2"]
    reasons = [item.reason for item in found if isinstance(item, Failed)]
    assert "its id is empty (column 'id')" in reasons[0]
    assert "its id '1' was there before" in reasons[1]


def test_ids_that_look_alike_are_the_same_document(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    found = read(
        f"sqlite:///{tmp_path / 'x.db'}", "SELECT 1 AS id, 'a' AS what, 0 AS does UNION ALL SELECT '1', 'b', 0"
    )
    assert [type(item) for item in found] == [Source, Failed]


@pytest.mark.parametrize(
    ("query", "said", "options"),
    [
        ("SELECT * FROM nowhere", "nowhere", {}),
        ("SELEKT 1", "refused by", {}),
        (
            "SELECT * FROM parts",
            "there is no column 'nr'; there are: id, what, does, price, built, code",
            {"id_column": "nr"},
        ),
        ("SELECT * FROM parts", "no column 'body'", {"text_template": "{body}"}),
        ("SELECT * FROM parts", "no column 'name'", {"title_template": "{name}"}),
        ("SELECT * FROM parts", "no column 'year'", {"metadata_columns": ["year"]}),
        ("SELECT * FROM parts", "names no column", {"text_template": "body"}),
        ("SELECT * FROM parts", "single {", {"text_template": "{body"}),
        ("SELECT *, id FROM parts", "'id' twice", {}),
    ],
)
def test_what_is_wrong_with_the_query_is_said(shop: str, query: str, said: str, options: dict[str, object]) -> None:
    with pytest.raises(WrongUsage, match=said):
        read(shop, query, **options)


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO parts VALUES (9, 'x', 'y', 1, NULL, NULL)",
        "DELETE FROM parts",
        "DROP TABLE parts",
        "CREATE TABLE other (id INTEGER)",
        "DELETE FROM parts RETURNING id, what, does",
        "SELECT 1 AS id; DROP TABLE parts",
        "COMMIT; DELETE FROM parts",
        "COMMIT",
        "",
    ],
)
def test_nothing_is_written(shop: str, query: str) -> None:
    with pytest.raises(WrongUsage):
        read(shop, query)
    assert len(read(shop, "SELECT * FROM parts")) == 3
    with pytest.raises(WrongUsage):
        read(shop, "SELECT * FROM other")


def test_a_function_that_writes_writes_nothing(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n int)")
        connection.exec_driver_sql(
            "CREATE FUNCTION w() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING n'"
        )
    with pytest.raises((WrongUsage, NotReady), match="read-only"):
        read(postgres_url, "SELECT w() AS id, '' AS what, '' AS does")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        ("nonsense secret", WrongUsage, "cannot be read"),
        ("nosuch://me:secret@h/d", WrongUsage, "no dialect 'nosuch'"),
        ("mysql+pymysql://me:secret@h/d", WrongUsage, "pip install pymysql"),
        ("sqlite://", WrongUsage, "name the SQLite file"),
        ("sqlite:///:memory:", WrongUsage, "name the SQLite file"),
        ("sqlite:////no/such/shop.db", WrongUsage, "there is no SQLite database"),
        ("postgresql://me:secret@127.0.0.1:9/d", NotReady, "cannot be opened"),
    ],
)
def test_what_is_wrong_with_the_url_is_said_without_its_password(url: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        read(url, "SELECT 1 AS id, '' AS what, '' AS does")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database at all" * 99)
    with pytest.raises((WrongUsage, NotReady), match="not a database"):
        read(f"sqlite:///{tmp_path / 'x.db'}", "SELECT * FROM parts")


def test_a_sqlite_file_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "odd name?#%.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE t (id, what, does)")
    connection.execute("INSERT INTO t VALUES (1, 'a', 'b')")
    connection.commit()
    connection.close()
    before = file.read_bytes(), file.stat().st_mtime_ns, sorted(tmp_path.iterdir())
    (found,) = read(str(make_url("sqlite://").set(database=str(file)).render_as_string(False)), "SELECT * FROM t")
    assert isinstance(found, Source)
    assert (file.read_bytes(), file.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before
    assert "#1" in found.uri
    assert found.uri.count("#") == 1


@pytest.fixture
def many(database_url: str) -> tuple[str, str]:
    """A query that gives 100,000 rows of 1,000 characters."""
    if "postgresql" in database_url:
        numbers = "FROM generate_series(1, 100000) AS id"
        return database_url, f"SELECT id, 'part ' || id AS what, repeat('x', 1000) AS does {numbers}"
    Path(str(make_url(database_url).database)).touch()
    numbers = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 100000)"
    return database_url, f"{numbers} SELECT id, 'part ' || id AS what, printf('%.1000c', 'x') AS does FROM n"


MEASURED = """
import resource, sys
from rag.store import rows
def count(query):
    return sum(1 for _ in rows.sources(sys.argv[1], query, id_column="id", text_template="{what} {does}", name="many"))
count("SELECT 1 AS id, 'x' AS what, 'x' AS does")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = count(sys.argv[2])
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_many_rows_stream_in_little_memory(many: tuple[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED, *many], capture_output=True, text=True, check=True)
    count, grown_mb = map(int, done.stdout.split())
    assert count == 100_000
    assert grown_mb < 40  # all rows at once are over 100 MB


def test_a_reader_that_stops_early_leaves_no_connection(many: tuple[str, str]) -> None:
    url, query = many
    found = rows.sources(url, query, id_column="id", text_template="{what}", name="many")
    next(found)
    found.close()  # type: ignore[attr-defined]
    if "postgresql" in url:
        engine = create_engine(url)
        with engine.connect() as connection:
            others = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            for _ in range(200):
                if connection.exec_driver_sql(others).scalar() == 0:
                    break
                connection.exec_driver_sql("SELECT pg_sleep(0.01)")
            assert connection.exec_driver_sql(others).scalar() == 0
        engine.dispose()
    else:
        with sqlite3.connect(str(make_url(url).database)) as connection:
            connection.execute("CREATE TABLE t (id)")
        connection.close()


def test_the_bytes_of_a_row_are_json(shop: str) -> None:
    first, *_ = read(shop, "SELECT * FROM parts ORDER BY id", name="shop")
    assert isinstance(first, Source)
    assert json.loads(first.content)["id"] == "1"
    assert first.media_type == "application/x-record+json"
