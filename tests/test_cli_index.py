"""`rag index`: it tells how vectors are searched and why, and keeps the recall that is asked."""

from pathlib import Path

import pytest

from rag.vectors import faiss, tuning
from tests.cli_house import House, build


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Forty documents, taken in; too few for an index to be written of itself."""
    monkeypatch.setattr(tuning, "QUERIES", 16)
    words = ["etna", "vesuvius", "tea", "bridge", "river", "boat", "loan", "money"]
    texts = {
        f"{i}.txt": f"{words[i % 8]} {words[i // 8]} number {i}\n\nThe {i}. text about {words[i % 7]}."
        for i in range(40)
    }
    house = build(tmp_path, texts)
    assert house("ingest", str(house.docs)).code == 0
    return house


def test_before_there_is_an_index_it_says_what_to_do(house: House) -> None:
    done = house("index", "show")
    assert done.code == 0
    assert "no index on disk yet" in done.out
    assert "rag rebuild" in done.out
    assert house("index", "show", "--json").json == {"collection": "default", "index": None}


def test_tuning_writes_an_index_and_keeps_the_recall(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    done = house("index", "tune", "--recall", "0.95")
    assert done.code == 0
    assert "comparing all is fast" in done.out
    told = house("index", "show", "--json").json["index"]
    assert isinstance(told, dict)
    assert (told["generation"], told["form"], told["asked"]) == (1, "exact", 0.95)
    assert told["bytes"]["rows"] > 0
    monkeypatch.setattr(faiss, "LISTS_FROM", 20)
    monkeypatch.setattr(faiss, "FEW", 2)
    again = house("index", "tune", "--json").json["index"]
    assert isinstance(again, dict)
    assert (again["generation"], again["form"], again["asked"]) == (2, "lists", 0.95)
    shown = house("index", "show").out
    assert "recall 0.95" in shown
    assert "ranked by their exact rows" in shown
    found = house("search", "etna", "--mode", "semantic", "-k", "3", "--json")
    assert found.code == 0


def test_one_document_is_told_in_the_singular(tmp_path: Path) -> None:
    house = build(tmp_path, {"otters.txt": "Otters hold hands."})
    assert house("ingest", str(house.docs)).code == 0
    assert "1 row, fewer than " in house("index", "tune").out
    told = house("doctor").out
    for one in ("positions: 1 change,", "texts: 1 text,", "vectors: 1 vector,"):
        assert one in told


def test_a_recall_out_of_bounds_is_wrong_usage(house: House) -> None:
    before = house("collections", "show", "default").out
    for wrong in ("1.5", "0.1", "much", "nan"):
        done = house("index", "tune", "--recall", wrong)
        assert done.code == 2
        assert "recall" in done.err
    assert house("collections", "show", "default").out == before, "nothing of it is kept"
