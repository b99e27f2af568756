"""Runs that are kept: stored on both databases, listed, shown, compared, drawn, out and in again, over HTTP too."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytrec_eval

from rag.api.application import create
from rag.app import App, opening
from rag.cli.evaluation import with_default
from rag.config import Settings
from rag.errors import Conflict, NotFound, WrongUsage
from rag.evaluation.metrics import by_query
from rag.evaluation.runs import compare, digest_of, first_relevant, judged, latency, rescored, worst
from rag.store import collections as collection_store
from rag.store import evaluations as store
from rag.store.database import Database
from rag.store.evaluations import JudgedQuery, NewEvaluation
from rag.types import Example
from tests.api import client, make_token, small
from tests.cli_house import House, build
from tests.test_evaluate import write

Json = dict[str, Any]
METRICS = {"ndcg_cut_10", "recall_10", "recall_100", "recip_rank", "map", "P_10", "success_1", "success_5"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with two runs over the same folder: `words` and `both`."""
    house = build(tmp_path_factory.mktemp("runs"), {})
    folder = str(write(house.folder / "beir"))
    for name, mode in (("words", "keyword"), ("both", "hybrid")):
        assert house("eval", folder, "--mode", mode, "--name", name).code == 0
    return house


def said(house: House, *arguments: str) -> Json:
    result = house("eval", *arguments, "--json")
    assert result.code == 0, result
    return result.json


# ── the arithmetic of runs ──────────────────────────────────────────────────────────────────────────────────────────

EXAMPLES = [Example(f"q{number}", f"question {number}", (), {"a": 1, "b": 2}) for number in range(4)]
FOUND = {"q0": {"b": 2.0, "a": 1.0}, "q1": {"x": 3.0, "a": 2.0}, "q2": {"x": 1.0}}


def test_every_judged_example_has_its_metrics() -> None:
    queries = judged(EXAMPLES, FOUND, ["recip_rank", "recall_10"], {f"q{number}": 1.0 + number for number in range(4)})
    assert [query.metrics for query in queries] == [
        {"recip_rank": 1.0, "recall_10": 1.0},
        {"recip_rank": 0.5, "recall_10": 0.5},
        {"recip_rank": 0.0, "recall_10": 0.0},
        {"recip_rank": 0.0, "recall_10": 0.0},
    ]
    assert [first_relevant(query) for query in queries] == [1, 2, None, None]
    assert latency(queries) == {"p50": 2.5, "p95": 3.85, "mean": 2.5}
    assert latency(judged(EXAMPLES, FOUND, ["map"])) is None
    assert [query.id for query in worst(queries, "recip_rank", 3)] == ["q2", "q3", "q1"]
    assert rescored(queries, ["P_5"])[1].metrics == {"P_5": 0.2}
    with pytest.raises(WrongUsage, match="no metric 'mrr'"):
        rescored(queries, ["mrr"])


def test_only_queries_that_both_have_and_that_are_judged_alike_are_compared() -> None:
    first = judged(EXAMPLES[:3], FOUND, ["recip_rank"])
    others = [EXAMPLES[0], replace(EXAMPLES[1], relevant={"a": 1}), EXAMPLES[2], EXAMPLES[3]]
    second = judged(others, {"q0": {"x": 2.0, "a": 1.0}, "q2": {"a": 1.0}}, ["recip_rank"])
    found = compare(first, second, ["recip_rank"])
    assert (found.queries, found.only_first, found.only_second, found.judged_otherwise) == (2, 0, 1, 1)
    (one,) = found.metrics
    assert (one.first, one.second, one.difference.mean.value) == (0.5, 0.75, 0.25)
    assert (one.difference.wins, one.difference.losses, one.difference.p, one.p_holm) == (1, 1, 1.0, None)
    assert [(change.query.id, change.first, change.second) for change in found.changes] == [
        ("q0", 1.0, 0.5),
        ("q2", 0.0, 1.0),
    ]
    with pytest.raises(WrongUsage, match="share no query that is judged alike"):
        compare(first[:1], second[1:], ["recip_rank"])


def test_a_folders_digest_does_not_depend_on_order() -> None:
    assert digest_of(EXAMPLES) == digest_of(EXAMPLES[::-1])
    assert digest_of(EXAMPLES) != digest_of(EXAMPLES[1:])
    assert digest_of(EXAMPLES) != digest_of([*EXAMPLES[1:], replace(EXAMPLES[0], relevant={"a": 1})])


# ── the store ───────────────────────────────────────────────────────────────────────────────────────────────────────


def new(name: str, **changes: object) -> NewEvaluation:
    metrics = {"recall_100": {"value": 0.5, "low": 0.25, "high": 1 / 3 + 0.5}, "map": {"value": 0, "low": 0, "high": 0}}
    run = NewEvaluation(name, "scifact", b"\x00\xff", "hybrid", {"alpha": 0.5, "limit": None}, "0.1.0", metrics)
    return replace(run, **changes)  # type: ignore[arg-type]


def test_a_run_comes_back_as_it_was_kept(database: Database) -> None:
    queries = [
        JudgedQuery("q2", "Wie heiß? 文", {"é": 2, "a": 0}, {"map": 0.1 + 0.2}, 1.25, {"é": 1 / 3, "b": -1e-9}),
        JudgedQuery("q1", "what", {"b": 1}, {"map": 0.0}, None, {}),
    ]
    timed = {"p50": 1.25, "p95": 1.25, "mean": 1.25}
    run = new("first", latency_ms=timed, collection="c", position=7, generation=2)
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        kept = store.add(connection, tenant, run, queries)
        store.add(connection, tenant, new("second"), [])
    with database.read() as connection:
        found = store.get(connection, tenant, "first")
        assert (found.run, found.queries, found.id) == (run, 2, kept.id)
        assert list(found.run.metrics) == ["recall_100", "map"], "the one to be judged by stays first"
        assert store.get(connection, tenant, str(kept.id)) == found
        back = store.queries(connection, kept.id)
        assert back == queries
        assert list(back[0].ranking) == ["é", "b"]
        assert [run.name for run in store.listing(connection, tenant, limit=9)] == ["second", "first"]
        assert [run.name for run in store.listing(connection, tenant, limit=9, before=kept.id + 1)] == ["first"]
        assert store.listing(connection, tenant, limit=9, folder="other") == []
        assert store.listing(connection, tenant + 1, limit=9) == []
        for name in ("third", "99", "9" * 40):
            with pytest.raises(NotFound, match="there are: second, first"):
                store.get(connection, tenant, name)
    with database.write() as connection:
        store.remove(connection, tenant, "first")
        assert store.queries(connection, kept.id) == []
    with database.read() as connection, pytest.raises(NotFound):
        store.get(connection, tenant, "first")


def test_names_are_made_unique_and_taken_ones_refused(database: Database) -> None:
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        for expected in ("a-b-hybrid", "a-b-hybrid-2", "a-b-hybrid-3"):
            name = store.free_name(connection, tenant, "a/b", "hybrid")
            assert name == expected
            store.add(connection, tenant, new(name), [])
        store.check_name(store.free_name(connection, tenant, "x" * 500, "keyword"))
    with database.write() as connection:
        with pytest.raises(Conflict, match="there is a run 'a-b-hybrid' already"):
            store.add(connection, tenant, new("a-b-hybrid"), [])
        for name in ("", " x", "a/b", "12", "x" * 121, "a\nb"):
            with pytest.raises(WrongUsage, match="cannot name a run"):
                store.add(connection, tenant, new(name), [])


# ── the command line ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (["beir", "--json"], ["run", "beir", "--json"]),
        (["--mode", "keyword", "beir"], ["run", "--mode", "keyword", "beir"]),
        (["--data", "d", "beir"], ["--data", "d", "run", "beir"]),
        (["--data=d", "--traceback", "list"], ["--data=d", "--traceback", "list"]),
        (["./list"], ["run", "./list"]),
        (["run", "list"], ["run", "list"]),
        (["--help"], ["--help"]),
        ([], []),
    ],
)
def test_a_folder_may_stand_where_a_command_does(given: list[str], understood: list[str]) -> None:
    assert with_default(given, ["run", "list", "show"]) == understood


def test_options_may_stand_before_the_folder(house: House) -> None:
    result = house("eval", "--data", str(house.data), "--mode", "keyword", str(house.folder / "beir"), "--limit", "1")
    assert result.code == 0, result
    assert "beir, keyword, 1 judged query\n" in result.out
    assert "beir-keyword: rag eval show" in result.out
    assert house("eval", "remove", "beir-keyword").code == 0


def test_a_run_is_told_with_intervals_latency_and_its_worst_queries(house: House) -> None:
    kept = said(house, "show", "words")
    assert kept["metrics"].keys() == kept["intervals"].keys() == METRICS
    for name, value in kept["metrics"].items():
        assert kept["intervals"][name]["low"] <= value <= kept["intervals"][name]["high"]
    assert kept["latency_ms"]["p50"] <= kept["latency_ms"]["p95"]
    assert (kept["queries"], kept["mode"], kept["folder"]) == (3, "keyword", "beir")
    assert kept["settings"]["alpha"] == Settings().alpha
    assert len(kept["folder_digest"]) == 64
    assert kept["position"] >= 1
    assert [query["query_id"] for query in kept["worst"]] == ["q3"], "the others could not be better"
    assert kept["worst"][0]["relevant"] == [{"external_id": "bridge", "grade": 1, "rank": None}]
    assert said(house, "show", "words", "--worst", "0")["worst"] == []
    told = house("eval", "show", "words").out
    assert "worst" in told
    assert "q3" in told
    assert "median" in told


def test_a_run_can_be_scored_by_a_metric_that_was_not_measured(house: House) -> None:
    shown = said(house, "show", "words", "--metric", "P_5", "--metric", "P_5")
    assert shown["metrics"] == {"P_5": pytest.approx(2 / 15)}
    result = house("eval", "show", "words", "--metric", "mrr")
    assert result.code == 2
    assert "no metric 'mrr'" in result.err


def test_runs_are_listed_newest_first(house: House) -> None:
    listed = said(house, "list")["runs"]
    assert [run["name"] for run in listed] == ["both", "words"]
    assert "words" in house("eval", "list").out
    assert said(house, "list", "--folder", "else")["runs"] == []


def test_two_modes_are_compared(house: House) -> None:
    found = said(house, "compare", "words", "both")
    assert (found["first"]["name"], found["second"]["name"], found["queries"]) == ("words", "both", 3)
    assert {row["metric"] for row in found["metrics"]} == METRICS
    for row in found["metrics"]:
        assert row["difference"] == pytest.approx(row["second"] - row["first"])
        assert row["low"] <= row["difference"] <= row["high"]
        assert 0 < row["p"] <= row["p_holm"] <= 1
        assert row["wins"] + row["losses"] + row["ties"] == 3
    told = house("eval", "compare", "words", "both").out
    assert "8 metrics are compared" in told
    assert "p (Holm)" in told
    alone = said(house, "compare", "words", "both", "--metric", "recall_1")["metrics"]
    assert [row["p_holm"] for row in alone] == [None]
    assert "Holm" not in house("eval", "compare", "words", "both", "--metric", "recall_1").out
    same = said(house, "compare", "words", "words")["metrics"]
    assert {(row["p"], row["difference"], row["low"], row["high"]) for row in same} == {(1.0, 0.0, 0.0, 0.0)}


def test_a_new_run_is_held_against_an_earlier_one(house: House) -> None:
    folder = str(house.folder / "beir")
    found = said(house, folder, "--mode", "semantic", "--against", "words", "--name", "near", "--metric", "map")
    assert found["name"] == "near"
    assert found["metrics"].keys() == {"map"}
    assert (found["against"]["first"]["name"], found["against"]["second"]["name"]) == ("words", "near")
    told = house("eval", folder, "--against", "near", "--mode", "keyword", "--name", "near-words")
    assert "near-words against near: 3 judged queries in both" in told.out
    assert said(house, "remove", "near")["name"] == "near"
    assert said(house, "remove", "near-words")["name"] == "near-words"


@pytest.mark.parametrize(
    ("flags", "code", "text"),
    [
        (["--name", "words"], 1, "there is a run 'words' already"),
        (["--name", "7"], 2, "a number is taken for a run's id"),
        (["--against", "nothing"], 1, "no run 'nothing'; there are: both, words"),
        (["--metric", "f1"], 2, "no metric 'f1'"),
        (["--run-file", "/nowhere/run.txt"], 2, "there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(house: House, flags: list[str], code: int, text: str) -> None:
    result = house("eval", str(house.folder / "beir"), *flags)
    assert result.code == code
    assert text in result.err
    assert result.out == ""
    assert [run["name"] for run in said(house, "list")["runs"]] == ["both", "words"]


def test_a_folder_that_is_not_there_or_has_no_judgements_is_named(house: House, tmp_path: Path) -> None:
    assert "there is no folder" in house("eval", "compair").err
    folder = write(tmp_path / "unjudged")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    result = house("eval", str(folder))
    assert result.code == 2
    assert "holds no judged queries" in result.err


def test_a_run_goes_out_and_comes_in_with_the_same_metrics(house: House, tmp_path: Path) -> None:
    file, folder = tmp_path / "run.txt", str(house.folder / "beir")
    file.write_text(house("eval", "export", "both").out)
    came = said(house, "import", str(file), "--folder", folder, "--name", "returned")
    kept = said(house, "show", "both")
    assert (came["metrics"], came["intervals"]) == (kept["metrics"], kept["intervals"])
    assert (came["latency_ms"], came["collection"], came["position"], came["mode"]) == (None, None, None, "imported")
    assert came["settings"] == {"tag": "both", "file": "run.txt"}
    assert {row["difference"] for row in said(house, "compare", "both", "returned")["metrics"]} == {0.0}
    # and trec_eval says the same of it
    qrels = {"q1": {"etna": 1}, "q2": {"tea-again": 1}, "q3": {"bridge": 1}}
    with file.open() as opened:
        theirs = pytrec_eval.RelevanceEvaluator(qrels, {"map"}).evaluate(pytrec_eval.parse_run(opened))
    assert sum(query["map"] for query in theirs.values()) / 3 == pytest.approx(came["metrics"]["map"], abs=1e-9)
    assert said(house, "remove", "returned")["name"] == "returned"


def test_a_run_file_is_written_beside_the_run(house: House, tmp_path: Path) -> None:
    file = tmp_path / "run.txt"
    folder = str(house.folder / "beir")
    result = house("eval", folder, "--mode", "keyword", "--name", "filed", "--run-file", str(file))
    assert result.code == 0, result
    assert file.read_text() == house("eval", "export", "filed").out
    assert house("eval", "remove", "filed").code == 0


def test_what_fails_behind_the_work_says_where_the_run_is_kept(house: House, tmp_path: Path) -> None:
    folder, file = write(tmp_path / "blanks"), tmp_path / "run.txt"
    corpus = (folder / "corpus.jsonl").read_text()
    (folder / "corpus.jsonl").write_text(corpus.replace('"_id": "etna"', '"_id": "mount etna"'))
    (folder / "qrels" / "test.tsv").write_text("q1\tmount etna\t1\n")
    asked = ("eval", str(folder), "--mode", "keyword", "--name", "blanks")
    for flags in (("--run-file", str(file)), ("--against", "both")):
        result = house(*asked, *flags)
        kept = said(house, "show", "blanks")
        assert (result.code, kept["queries"]) == (1, 1)
        assert f"; here it is kept as run {kept['run_id']}, blanks" in result.err
        assert house("eval", "remove", "blanks").code == 0
    assert not file.exists(), "the id of a document holds a blank, which a run file cannot say"


@pytest.mark.parametrize(("tag", "name"), [("BAAI/bge-small", "beir-BAAI-bge-small"), ("t" * 200, "beir-" + "t" * 30)])
def test_a_tag_that_could_name_no_run_still_gives_one_a_name(house: House, tmp_path: Path, tag: str, name: str) -> None:
    file = tmp_path / "run.txt"
    file.write_text(f"q1 Q0 etna 1 2.0 {tag}\n")
    came = said(house, "import", str(file), "--folder", str(house.folder / "beir"))
    assert (came["name"], came["settings"]["tag"]) == (name, tag)
    assert said(house, "remove", name)["name"] == name


def test_a_run_file_of_something_else_is_refused(house: House, tmp_path: Path) -> None:
    file = tmp_path / "run.txt"
    file.write_text("other Q0 etna 1 1.0 theirs\n")
    result = house("eval", "import", str(file), "--folder", str(house.folder / "beir"))
    assert result.code == 2
    assert "of the 3 judged queries of " in result.err
    file.write_text("other Q0 etna 1 1.0 theirs\nq1 Q0 etna 1 1.0 theirs\n")
    result = house("eval", "import", str(file), "--folder", str(house.folder / "beir"))
    assert result.code == 0
    assert "left out: 1 query without judgement, other for one" in result.err
    assert "0.3333" in result.out, "a query that the file lacks scores zero"
    assert house("eval", "remove", "beir-theirs").code == 0


def test_runs_are_drawn(house: House, tmp_path: Path) -> None:
    from PIL import Image

    file = tmp_path / "runs.png"
    result = house("eval", "plot", "words", "both", "--to", str(file))
    assert result.code == 0, result
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20, "it shows something"
    for arguments, text in (
        (["words", "--to", str(tmp_path / "runs.gif")], "does not end in .png"),
        (["words", "--to", str(tmp_path / "no" / "runs.png")], "there is no folder"),
        (["none", "--to", str(file)], "no run 'none'"),
    ):
        assert text in house("eval", "plot", *arguments).err


def test_without_matplotlib_the_extra_is_named(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    result = house("eval", "plot", "words", "--to", str(tmp_path / "runs.png"))
    assert result.code == 1
    assert "pip install 'rag[plots]'" in result.err


# ── duplicates ──────────────────────────────────────────────────────────────────────────────────────────────────────

LONG = "The tide rises twice a day because the moon pulls the water of all the seas. " * 3


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword"])
def test_each_of_several_copies_is_found_under_its_own_id(tmp_path: Path, mode: str) -> None:
    """A real ingest merges them; each id is judged by a query of its own, and none may come out lower."""
    house = build(tmp_path / "house", {})
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"copy-{n}", "title": "Tides", "text": LONG} for n in range(3)]
    corpus += [{"_id": f"other-{n}", "title": f"Bridge {n}", "text": f"Bridge {n} spans a river."} for n in range(4)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in corpus))
    queries = [{"_id": f"q{n}", "text": "Why does the tide rise twice a day?"} for n in range(3)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in queries))
    (folder / "qrels" / "test.tsv").write_text("".join(f"q{n}\tcopy-{n}\t1\n" for n in range(3)))
    found = said(house, str(folder), "--mode", mode)
    counts = house("collections", "--json").json["collections"]
    assert [(one["documents"], one["chunks"]) for one in counts] == [(7, 5)]  # type: ignore[attr-defined]
    assert found["metrics"]["success_5"] == found["metrics"]["recall_10"] == 1.0
    run: dict[str, dict[str, float]] = {}
    for line in house("eval", "export", found["name"]).out.splitlines():
        query, _, document, _, score, _ = line.split()
        run.setdefault(query, {})[document] = float(score)
    for ranking in run.values():
        copies = {document: score for document, score in ranking.items() if document.startswith("copy")}
        assert len(copies) == 3
        assert len(set(copies.values())) == 1, "a text has one score, wherever it stands"
    ranks = by_query("recip_rank", {f"q{n}": {f"copy-{n}": 1} for n in range(3)}, run)
    assert sorted(ranks.values()) == pytest.approx([1 / 3, 1 / 2, 1])


# ── over HTTP ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opening(small(tmp_path), create=True) as opened:
        tenant = opened.tenant_id
        with opened.database.write() as connection:
            for name, rankings in (("one", FOUND), ("two", {"q2": {"a": 1.0}, "q0": {"b": 1.0}})):
                queries = judged(EXAMPLES, rankings, ["recall_100", "map"])
                store.add(connection, tenant, new(name), queries)
        yield opened


def test_runs_over_http(app: App) -> None:
    api = client(create(app))
    page = api.get("/api/evaluations?limit=1").json()
    rest = api.get(f"/api/evaluations?limit=1&cursor={page['next']}").json()
    assert [run["name"] for run in (*page["runs"], *rest["runs"])] == ["two", "one"]
    assert rest["next"] is None
    one = api.get("/api/evaluations/one").json()
    assert one == api.get(f"/api/evaluations/{one['run_id']}").json()
    assert one["metrics"] == {"recall_100": 0.5, "map": 0.0}
    assert [query["query_id"] for query in one["worst"]] == ["q2", "q3", "q1", "q0"]
    scored = api.get("/api/evaluations/one?metric=success_1&lowest=1").json()
    assert (scored["metrics"], len(scored["worst"])) == ({"success_1": 0.25}, 1)
    found = api.get("/api/evaluations/two/comparison?against=one").json()
    assert (found["first"]["name"], found["second"]["name"], found["queries"]) == ("one", "two", 4)
    assert [row["metric"] for row in found["metrics"]] == ["recall_100", "map"]
    assert [query["query_id"] for query in found["losses"]] == ["q0", "q1"]
    assert api.get("/api/evaluations/nothing").status_code == 404
    assert api.get("/api/evaluations/two/comparison?against=nothing").status_code == 404
    assert api.get("/api/evaluations/two/comparison").status_code == 422
    assert api.get("/api/evaluations/one?metric=mrr").status_code == 400


def test_who_is_bound_to_labels_or_another_tenant_sees_no_runs(app: App) -> None:
    from rag.store import tokens

    with app.database.write() as connection:
        stranger = tokens.create(connection, app.database, collection_store.ensure_tenant(connection, "second"), "eve")
    api, bound = create(app), make_token(app, "bob", ["red"])
    for path in ("", "/one", "/two/comparison?against=one"):
        assert client(api, token=bound).get(f"/api/evaluations{path}").status_code == 403
    assert client(api, token=stranger).get("/api/evaluations").json() == {"runs": [], "next": None}
    assert client(api, token=stranger).get("/api/evaluations/one").status_code == 404
