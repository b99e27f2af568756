"""`--json` is a contract: the shape of every object that a command prints stands in tests/golden/cli/shapes.json.

A field may be added (run the test with UPDATE_GOLDEN=1 and read the difference), never renamed, changed or removed.
"""

import json
import os
from pathlib import Path

import pytest

from tests.cli_house import House, build

GOLDEN = Path(__file__).parent / "golden" / "cli" / "shapes.json"
CONTRACT = {  # as promised to everyone who reads the output; these may never go
    "ingest": "added updated unchanged duplicate skipped failed documents chunks embedded seconds failures",
    "ingest.failures[]": "uri reason",
    "search": "query mode hits timings_ms",
    "search.hits[]": "rank chunk_id document_id external_id uri title text start end score parts",
    "search.stages[]": "stage given kept dropped ms",
    "why": "query mode k document stage explanation rank chunk_id arms parts stages",
    "ask": "interaction_id question answer abstained generator citations passages scores model usage timings_ms",
    "ask.citations[]": "start end passage uri places quote quote_start quote_end support verdict",
    "eval": "folder mode queries metrics answers",
    "eval.metrics": "ndcg_cut_10 recall_100 recip_rank",
    "doctor": "ok checks",
    "doctor.checks[]": "name ok detail",
    "logs": "interactions",
}
FREE = {"metadata", "settings", "timings_ms", "parts", "scores", "relevant"}  # objects whose keys are data, not shape


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = build(tmp_path_factory.mktemp("shapes"))
    (house.docs / "broken.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    beir = house.folder / "beir"
    (beir / "qrels").mkdir(parents=True)
    documents = [{"_id": "d1", "title": "Etna", "text": "Mount Etna stands on Sicily."}]
    (beir / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in documents))
    (beir / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "Where does Etna stand?"}) + "\n")
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    (beir / "answers.jsonl").write_text(json.dumps({"_id": "q1", "answers": [{"text": "Sicily"}]}) + "\n")
    return house


def shape(value: object, key: str = "") -> object:
    """The value with every scalar replaced by the name of its type; a list is shown by its first item."""
    if isinstance(value, dict):
        if key in FREE:
            return {"*": sorted({json.dumps(shape(item)) for item in value.values()})}
        return {name: shape(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "null" if value is None else type(value).__name__


def at(value: object, path: str) -> object:
    for step in path.split(".")[1:]:
        assert isinstance(value, dict)
        value = value[step.removesuffix("[]")]
        if step.endswith("[]"):
            assert isinstance(value, list)
            assert value, path
            value = value[0]
    return value


def everything(house: House) -> dict[str, dict[str, object]]:
    """What every command prints, on one small installation, in an order in which each has something to show."""
    printed: dict[str, dict[str, object]] = {}

    def say(name: str, *arguments: str, code: int = 0) -> dict[str, object]:
        result = house(*arguments, "--json")
        assert result.code == code, (arguments, result)
        printed[name] = result.json
        return result.json

    say("db current", "db", "current", code=1)
    say("db upgrade", "db", "upgrade")
    say("ingest", "ingest", str(house.docs), code=3)
    say("search", "search", "tallest volcano")
    say("why", "why", "tallest volcano", str(house.docs / "volcanoes.txt"))
    asked = say("ask", "ask", "Where does Mount Etna stand?")
    say("score", "score")
    say("logs", "logs")
    say("logs show", "logs", "show", str(asked["interaction_id"]))
    say("reviews queues add", "reviews", "queues", "add", "all", "--every")
    say("reviews queues list", "reviews", "queues", "list")
    say("reviews queues show", "reviews", "queues", "show", "all")
    say("reviews queues fill", "reviews", "queues", "fill", "all")
    given = say("reviews next", "reviews", "next")["item"]
    assert isinstance(given, dict)
    say("reviews label", "reviews", "label", str(given["item_id"]), "partly", "--relevant", "1", "--tag", "short")
    say("reviews list", "reviews", "list")
    say("reviews agreement", "reviews", "agreement")
    say("dashboard", "dashboard")
    say("dashboard drift", "dashboard", "drift")
    say("dashboard topics", "dashboard", "topics")
    say("dashboard unanswered", "dashboard", "unanswered")
    say("prompts list", "prompts", "list")
    say("prompts show", "prompts", "show", "answer")
    file = house.folder / "mine.j2"
    file.write_text(str(printed["prompts show"]["text"]), encoding="utf-8")
    say("prompts add", "prompts", "add", "mine", str(file))
    say("prompts diff", "prompts", "diff", "mine", "summary")
    say("documents list", "documents", "list", "-n", "1")
    say("documents show", "documents", "show", "1")
    say("documents history", "documents", "history", "1")
    say("collections", "collections")
    say("models", "models")
    say("token create", "token", "create", "--name", "ada", "--label", "staff")
    say("token list", "token", "list")
    say("token revoke", "token", "revoke", "ada")
    say("ingest --background", "ingest", str(house.docs), "--background")
    say("jobs cancel", "jobs", "cancel", "1")
    say("jobs retry", "jobs", "retry", "1")
    assert house("worker", "--once").code == 0
    say("jobs show", "jobs", "show", "1", "--items")
    say("jobs list", "jobs", "list")
    say("config", "config")
    beir = str(house.folder / "beir")
    say("eval", "eval", beir, "--answers")
    (house.folder / "run.txt").write_text("q1 Q0 another 1 1.0 theirs\n")
    say("eval import", "eval", "import", str(house.folder / "run.txt"), "--folder", beir)
    say("eval list", "eval", "list")
    say("eval show", "eval", "show", "2")
    say("eval compare", "eval", "compare", "1", "2")
    say("eval remove", "eval", "remove", "1")
    say("datasets make", "datasets", "make", "gold", "--all", "--shares", "0,0,1")
    say("datasets synthesize", "datasets", "synthesize", "practice", "--by", "templates")
    say("datasets list", "datasets", "list")
    say("datasets show", "datasets", "show", "practice", "-n", "1")
    say("datasets export", "datasets", "export", "gold", str(house.folder / "ragas"), "--format", "ragas")
    say("datasets compare", "datasets", "compare", "practice", "gold")
    say("datasets verify", "datasets", "verify", "gold")
    say("gate", "gate", beir, "--min", "map=0", "--against", "2")
    say("replay", "replay", str(asked["interaction_id"]), "--mode", "keyword", "-k", "1")
    say("replay --all", "replay", "--all", "-n", "1")
    (house.folder / "config.toml").write_text('[now]\n[words]\nmode = "keyword"\npassages = 1\n')
    (house.folder / "questions.txt").write_text("How is green tea brewed?\n")
    questions = ("--questions", str(house.folder / "questions.txt"))
    say("experiment run", "experiment", "run", str(house.folder / "config.toml"), *questions)
    say("experiment list", "experiment", "list")
    say("experiment show --answers", "experiment", "show", "1", "--answers")
    say("compare judge", "compare", "judge", "1")
    pair = say("compare ask", "compare", "ask", "--b", "mode=keyword", "How is green tea brewed?")
    ids = (str(pair["first_id"]), str(pair["second_id"]))
    say("compare judge --choice", "compare", "judge", *ids, "--choice", "a")
    say("compare list", "compare", "list")
    say("compare results", "compare", "results")
    say("traces export", "traces", "export", "--to", str(house.folder / "traces.jsonl"))
    say("experiment remove", "experiment", "remove", "1")
    say("rebuild", "rebuild")
    say("doctor", "doctor")
    say("doctor --repair", "doctor", "--repair")
    say("documents remove", "documents", "remove", "1")
    say("documents list --removed", "documents", "list", "--removed")
    say("documents restore", "documents", "restore", "1", "2", code=3)
    say("sync", "sync", "pages", str(house.docs), code=3)
    (house.docs / "volcanoes.txt").rename(house.docs / "mountains.txt")
    say("sync --dry-run", "sync", "pages", "--dry-run")
    say("sync --all", "sync", "--all", code=3)
    say("sync --list", "sync", "--list")
    say("sync --remove", "sync", "--remove", "pages")
    return printed


def test_every_json_object_keeps_its_shape(house: House) -> None:
    printed = everything(house)
    shapes = {name: shape(value) for name, value in printed.items()}
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(shapes, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert shapes == json.loads(GOLDEN.read_text(encoding="utf-8")), "a field changed; see this file's first lines"
    for path, names in CONTRACT.items():
        value = at(printed[path.split(".")[0]], path)
        assert isinstance(value, dict)
        assert set(names.split()) <= value.keys(), path


def test_json_is_the_whole_of_standard_output_even_when_items_failed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.cli.ingest.PLAIN_EVERY_S", 1e9)  # a slow machine is told how far it is
    result = house("ingest", str(house.docs), "--json")
    assert result.code == 3
    assert result.out == json.dumps(result.json, ensure_ascii=False, indent=2) + "\n"
    assert result.err == ""
