"""From a bad answer to a better one, as docs/improving.md walks through it: a question is answered badly, reviewed and
corrected; the review becomes an evaluation set; the gate is red; what is wrong is mended; the gate is green.

On the tutorial of FastAPI's documentation, with an embedder that hashes words and knows no meaning: so half of the
weight of every ranking is noise, and the fusion's weight is what there is to mend.
"""

import json
from pathlib import Path

import pytest

from tests.cli_house import House, Result

BADLY = "How do I measure how long a request takes?"
WELL = "How do I upload several files at once?"
CORRECTED = (
    "Add a middleware that takes the time before and after call_next, and put the difference into a header such as "
    "X-Process-Time."
)
BOUNDS = ("--min", "success_5=1", "--min", "answered=0.5", "--min", "faithfulness=0.9")


@pytest.fixture(scope="module")
def house(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("improving")
    house = House(folder, folder / "models")
    done(house("ingest", str(shared_data / "docs-fastapi" / "docs" / "tutorial")))
    return house


def done(result: Result) -> Result:
    assert result.code == 0, result
    return result


def test_from_a_bad_answer_to_a_green_gate(house: House, tmp_path: Path) -> None:
    # 1. Asked, and answered badly: what tells it is not among the passages.
    badly = done(house("ask", "--json", BADLY)).json
    assert badly["abstained"], badly["answer"]
    well = done(house("ask", "--json", WELL)).json
    assert not well["abstained"]

    # 2. Reviewed and corrected, with the passage that should have been found.
    done(house("reviews", "queues", "add", "docs", "--thumbs-down"))
    done(house("reviews", "queues", "put", "docs", str(badly["interaction_id"]), str(well["interaction_id"])))
    found = done(house("search", "--json", "--mode", "keyword", "-k", "1", "X-Process-Time request response time")).json
    [better] = found["hits"]  # type: ignore[misc]
    assert "middleware.md" in json.dumps(better)
    wrong = ("--answer", CORRECTED, "--better", str(better["chunk_id"]), "--irrelevant", "1")  # type: ignore[index]
    done(house("reviews", "label", str(badly["interaction_id"]), "wrong", *wrong))
    done(house("reviews", "label", str(well["interaction_id"]), "correct", "--relevant", "1"))

    # 3. The reviews are an evaluation set, and files for training.
    out = tmp_path / "regressions"
    made = done(house("reviews", "export", "regressions", str(out), "--format", "beir", "--shares", "0,0,1", "--json"))
    assert (made.json["items"], made.json["rows"]["queries.jsonl"]) == (2, 2)  # type: ignore[index]
    preferred = tmp_path / "preference"
    done(house("datasets", "export", "regressions", str(preferred), "--format", "preference"))
    [row] = [json.loads(line) for line in (preferred / "test.jsonl").read_text().splitlines()]
    assert row["chosen"] == [{"role": "assistant", "content": CORRECTED}]
    assert row["rejected"] == [{"role": "assistant", "content": badly["answer"]}]

    # 4. The gate is red, and says by which question.
    report = tmp_path / "gate.md"
    red = house("gate", "regressions", *BOUNDS, "--name", "before", "--report", str(report))
    assert red.code == 1, red
    assert red.out.startswith("# Gate: FAILED")
    assert report.read_text().startswith("# Gate: FAILED")
    assert BADLY in red.out
    assert red.out.count("FAILED") == 2, "the whole, and success_5"

    # 5. What would mend it is tried on the gate first, and on questions made from the documents, which nobody reviewed.
    done(house("datasets", "synthesize", "practice", "--questions", "24", "--by", "templates"))
    done(house("gate", "practice", "--min", "success_5=0", "--name", "practice before"))
    mended = {"RAG_ALPHA": "0.2"}  # as `alpha = 0.2` in rag.toml
    done(house("gate", "practice", "--against", "practice before", "--metric", "success_5", **mended))

    # 6. The gate is green, against its bounds and against the run before.
    green = house("gate", "regressions", *BOUNDS, "--against", "before", "--max-drop", "0", "--json", **mended)
    assert green.code == 0, green
    held = {bound["metric"]: bound["value"] for bound in green.json["bounds"]}  # type: ignore[attr-defined]
    assert (held["success_5"], held["faithfulness"]) == (1.0, 1.0)
    gained = {drop["metric"]: drop["difference"] for drop in green.json["drops"]}  # type: ignore[attr-defined]
    assert (gained["success_5"], gained["answered"]) == (0.5, 0.0)

    # The same sets are what fusion and refusals are fitted to; a dataset that is only a test is not fitted to unasked.
    refused = house("eval", "tune", "practice")
    assert (refused.code, "holds nothing in train and validation" in refused.err) == (2, True)
    tuned = done(house("eval", "tune", "practice", "--split", "test", "--json")).json
    assert (tuned["queries"], tuned["collection"]) == (24, "default")
    fitted = done(house("calibrate", "practice", "--split", "test", "--hide", "--dry-run", "--json")).json
    assert (fitted["questions"], fitted["answerable"], fitted["kept"]) == (48, 24, False)
