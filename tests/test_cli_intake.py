"""What `rag ingest` takes in beside files, what it reports, and what is said and done about duplicates."""

import json
import sqlite3
from pathlib import Path
from typing import get_args

import pytest

from rag.cli import dedup
from rag.store.duplicates.policies import LEVELS, Policy
from tests.cli_house import House, build

LONG = " ".join(f"word{number}" for number in range(120))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return build(tmp_path)


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_report_has_a_line_for_every_file(house: House) -> None:
    (house.docs / "copy.md").write_text((house.docs / "bridges.md").read_text())
    (house.docs / "broken.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    (house.docs / "what.bin").write_bytes(bytes(range(256)))
    file = house.folder / "report.jsonl"
    assert house("ingest", str(house.docs), "--report", str(file)).code == 3
    states = {str(line["uri"]).rpartition("/")[2]: line for line in lines(file)}
    assert {name: line["state"] for name, line in states.items()} == {
        "bridges.md": "added",
        "broken.pdf": "failed",
        "copy.md": "duplicate",
        "tea.html": "added",
        "volcanoes.txt": "added",
        "what.bin": "skipped",
    }
    assert "bridges.md" in str(states["copy.md"]["reason"])
    assert "broken.pdf" in str(states["broken.pdf"]["reason"])
    assert "no parser" in str(states["what.bin"]["reason"])
    house("ingest", str(house.docs), "--report", str(file))
    again = {str(line["uri"]).rpartition("/")[2]: line["state"] for line in lines(file)}
    assert again == {
        "bridges.md": "unchanged",
        "broken.pdf": "failed",
        "copy.md": "unchanged",
        "tea.html": "unchanged",
        "volcanoes.txt": "unchanged",
        "what.bin": "skipped",
    }


def test_a_report_that_cannot_be_written_is_said_before_anything_is_done(house: House) -> None:
    done = house("ingest", str(house.docs), "--report", str(house.folder / "nowhere" / "r.jsonl"))
    assert done.code == 2
    assert "report" in done.err
    assert house("search", "bridge").code != 0


def test_rows_of_a_database_become_documents(house: House) -> None:
    shop = house.folder / "shop.db"
    with sqlite3.connect(shop) as connection:
        connection.execute("CREATE TABLE products (id INTEGER, name TEXT, about TEXT, price REAL)")
        connection.executemany(
            "INSERT INTO products VALUES (?, ?, ?, ?)",
            [(1, "Teapot", "Pours without dripping.", 9.5), (2, "Kettle", "Whistles when water boils.", 20.0)],
        )
    arguments = (
        "ingest", "--sql", f"sqlite:///{shop}", "--query", "SELECT * FROM products ORDER BY id", "--id-column", "id",
        "--text-template", "{name}: {about}", "--title-template", "{name}", "--json",
    )  # fmt: skip
    assert house(*arguments).json["added"] == 2
    assert house(*arguments).json["unchanged"] == 2
    with sqlite3.connect(shop) as connection:
        connection.execute("UPDATE products SET about = 'Sings when water boils.' WHERE id = 2")
    done = house(*arguments).json
    assert (done["updated"], done["unchanged"], done["embedded"]) == (1, 1, 1)
    (hit, *_) = house("search", "sings", "--mode", "keyword", "--json").json["hits"]  # type: ignore[misc]
    assert hit["title"] == "Kettle"
    assert hit["external_id"] == "2"
    listed = house("documents", "list", "--json").json["documents"]
    assert [row["metadata"]["price"] for row in listed] == [9.5, 20.0]  # type: ignore[union-attr,index,call-overload]


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_query_that_fails_before_its_first_row_leaves_no_collection_behind(
    house: House, dry: tuple[str, ...]
) -> None:
    shop = house.folder / "shop.db"
    with sqlite3.connect(shop) as connection:
        connection.execute("CREATE TABLE products (id INTEGER, name TEXT)")
        connection.execute("INSERT INTO products VALUES (1, 'Teapot')")
    mapped = ("--id-column", "id", "--text-template", "{name}", "--collection", "shop", *dry)
    failed = house("ingest", "--sql", f"sqlite:///{shop}", "--query", "SELECT * FROM product", *mapped)
    assert (failed.code, "no such table: product" in failed.err) == (2, True), failed
    assert house("collections", "--json").json["collections"] == []
    done = house("ingest", "--sql", f"sqlite:///{shop}", "--query", "SELECT * FROM products", *mapped, "--json")
    assert (done.code, done.json["added"]) == (0, 1)
    names = [one["name"] for one in house("collections", "--json").json["collections"]]  # type: ignore[attr-defined]
    assert names == ([] if dry else ["shop"])


def test_records_of_a_file_become_documents(house: House) -> None:
    table = house.folder / "stock.csv"
    table.write_text("sku,label,notes\nA1,Lamp,It glows at night.\nB2,Chair,It folds flat.\n")
    done = house("ingest", str(table), "--id-column", "sku", "--text-template", "{label}. {notes}", "--json")
    assert done.json["added"] == 2
    (hit, *_) = house("search", "folds", "--mode", "keyword", "--json").json["hits"]  # type: ignore[misc]
    assert hit["external_id"] == "B2"
    assert hit["text"] == "Chair. It folds flat."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name what is to be taken in"),
        (("https://example.org/a",), "--allow-host"),
        (("--sitemap", "https://example.org/sitemap.xml"), "--allow-host"),
        (("--sql", "sqlite:///x.db"), "--query"),
        (("--query", "SELECT 1"), "--sql"),
        (("--sql", "sqlite:///x.db", "--query", "SELECT 1"), "--id-column and --text-template"),
        (("docs", "--id-column", "id"), "--text-template"),
        (("docs", "--sql", "sqlite:///x.db", "--query", "SELECT 1"), "two commands"),
        (("nowhere.txt",), "there is no file or folder"),
    ],
)
def test_what_does_not_fit_together_is_said(
    house: House, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(house.folder)
    done = house("ingest", *arguments)
    assert done.code == 2
    assert said in done.err
    assert not house.data.exists() or not (house.data / "rag.db").exists()


def test_an_address_that_may_not_be_asked_is_a_failure_with_its_reason(house: House) -> None:
    done = house("ingest", str(house.docs), "http://127.0.0.1:9/page", "--allow-host", "example.org", "--json")
    assert done.code == 3
    assert done.json["added"] == 3
    (failure,) = done.json["failures"]  # type: ignore[misc]
    assert "--allow-host" in failure["reason"]


def test_a_dry_run_says_what_would_be_and_does_nothing(house: House) -> None:
    house("ingest", str(house.docs / "tea.html"))
    (house.docs / "long.txt").write_text(LONG)
    (house.docs / "longer.txt").write_text(f"{LONG} and more")
    done = house("ingest", str(house.docs), "--dry-run", "--json").json
    assert (done["added"], done["unchanged"]) == (4, 1)
    (pair,) = done["duplicates"]  # type: ignore[misc]
    assert (pair["level"], pair["policy"]) == ("near", "keep")
    assert house("documents", "list", "--json").json["documents"][0]["title"] == "Tea"  # type: ignore[index]
    assert len(house("documents", "list", "--json").json["documents"]) == 1  # type: ignore[arg-type]
    said = house("ingest", str(house.docs), "--dry-run").out
    assert "nothing was done" in said
    assert "longer.txt" in said


def test_duplicates_are_reported_and_reversed(house: House) -> None:
    (house.docs / "long.txt").write_text(LONG)
    (house.docs / "longer.txt").write_text(f"{LONG} and more")
    (house.docs / "same.txt").write_text(LONG)
    house("ingest", str(house.docs))
    found = house("dedup", "report", "--json").json
    assert [(one["level"], one["policy"]) for one in found["duplicates"]] == [("near", "keep"), ("exact", "alias")]  # type: ignore[union-attr]
    assert found["next"] is None
    assert "longer.txt" in house("dedup", "report").out
    assert len(house("dedup", "report", "--level", "exact", "--json").json["duplicates"]) == 1  # type: ignore[arg-type]
    changed = house("collections", "set", "default", "dedup_near=skip", "--json").json
    assert changed["judged"] >= 1  # type: ignore[operator]
    assert len(house("documents", "list", "--json").json["documents"]) == 5  # type: ignore[arg-type]
    rows = house("dedup", "report", "--level", "near", "--json").json["duplicates"]
    (held,) = [row for row in rows if row["document_id"] is None]  # type: ignore[union-attr]
    undone = house("dedup", "undo", str(held["decision_id"]), "--json").json
    assert undone["document_id"]
    assert len(house("documents", "list", "--json").json["documents"]) == 6  # type: ignore[arg-type]
    assert house("dedup", "run", "--json").code == 0
    assert len(house("documents", "list", "--json").json["documents"]) == 6, "for good"  # type: ignore[arg-type]
    assert house("dedup", "undo", "999").code == 1


def test_a_collection_is_set(house: House) -> None:
    (house.docs / "long.txt").write_text(
        "\n\n".join(f"Paragraph {i} of many says this and that." * 4 for i in range(30))
    )
    house("ingest", str(house.docs))
    before = house("collections", "show", "--json").json
    changed = house("collections", "set", "default", "chunk_tokens=64", "--json").json
    assert changed["recut"] == 4
    after = house("collections", "show", "--json").json
    assert after["chunks"] > before["chunks"]  # type: ignore[operator]
    assert "chunk_tokens" in house("collections", "show").out
    assert house("doctor").code == 0
    for wrong in ("chunk_tokens=5", "chunk_tokens=many", "chunk_size=4", "dedup_near=merge", "dedup_near_threshold=3"):
        done = house("collections", "set", "default", wrong)
        assert done.code == 2, wrong
    assert house("collections", "show", "--json").json == after
    assert house("collections", "set", "nowhere", "chunk_tokens=64").code == 1


def test_words_that_stand_twice_agree() -> None:
    assert dedup.LEVELS == LEVELS
    assert set(dedup.DONE) | {"off"} == set(get_args(Policy))


def test_the_models_are_gone_when_the_index_is_built(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak of memory of a large ingest is not that of the model and the index together."""
    import weakref

    from rag.app import App
    from rag.embedders.hashing import Hashing

    made: weakref.WeakSet[Hashing] = weakref.WeakSet()
    build, publish, seen = Hashing.__init__, App.publish_due, []

    def noting(self: Hashing, *given: object, **named: object) -> None:
        build(self, *given, **named)  # type: ignore[arg-type]
        made.add(self)
        seen.append("made")

    def counting(self: App, collection: object) -> int | None:
        seen.append(f"{len(made)} when the index is built")
        return publish(self, collection)  # type: ignore[arg-type]

    monkeypatch.setattr(Hashing, "__init__", noting)
    monkeypatch.setattr(App, "publish_due", counting)
    assert house("ingest", str(house.docs)).code == 0
    assert seen[0] == "made"
    assert seen[-1] == "0 when the index is built"
