"""`rag score` by hand: the history gets a new metric, once, and what cannot be scored says why."""

import json
from pathlib import Path

import pytest

from tests.cli_house import House, build


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = build(tmp_path_factory.mktemp("score"))
    assert house("ingest", str(house.docs)).code == 0
    for question in ("Where does Mount Etna stand?", "When was the Golden Gate Bridge opened?"):
        assert house("ask", question, RAG_SCORERS="faithfulness").code == 0
    return house


def folder(house: House) -> Path:
    beir = house.folder / "beir"
    if not beir.exists():
        (beir / "qrels").mkdir(parents=True)
        (beir / "corpus.jsonl").write_text(json.dumps({"_id": "d1", "title": "", "text": "Etna."}) + "\n")
        (beir / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "where does mount etna stand?"}) + "\n")
        (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
        (beir / "answers.jsonl").write_text(json.dumps({"_id": "q1", "answers": ["It stands on Sicily."]}) + "\n")
    return beir


def test_the_history_gets_a_metric_once(house: House) -> None:
    entry = house("logs", "--json", "-n", "1").json["interactions"][0]  # type: ignore[index]
    assert set(entry["scores"]) == {"faithfulness"}
    result = house("score", "--metric", "completeness", "--metric", "citation_recall", "--json")
    assert result.code == 0
    assert result.json["interactions"] == 2
    metrics = {each["name"]: each for each in result.json["metrics"]}  # type: ignore[attr-defined]
    assert {name: each["scored"] for name, each in metrics.items()} == {"citation_recall": 2, "completeness": 2}
    assert house("logs", "--json", "-n", "1").json["interactions"][0]["scores"].keys() == {  # type: ignore[index]
        "faithfulness",
        "citation_recall",
        "completeness",
    }
    told = house("score", "--metric", "completeness")
    assert told.code == 0
    assert "completeness" in told.out
    assert house("score", "--metric", "completeness", "--json").json["metrics"][0]["scored"] == 0  # type: ignore[index]
    again = house("score", "--metric", "completeness", "--json", "--again", "--limit", "1").json
    assert again["metrics"][0]["scored"] == 1  # type: ignore[index]
    shown = house("logs", "show", entry["interaction_id"], "--json").json
    assert len(shown["judgements"]) == 3  # type: ignore[arg-type]


def test_all_default_metrics_are_scored_when_none_is_named(house: House) -> None:
    result = house("score", "--json", "--since", "1d")
    assert {each["name"] for each in result.json["metrics"]} == {  # type: ignore[attr-defined]
        "answer_relevancy",
        "citation_precision",
        "citation_recall",
        "completeness",
        "context_relevancy",
        "context_utilisation",
        "faithfulness",
    }
    assert house("score", "--until", "1d", "--json").json["interactions"] == 0
    assert "no such entries" in house("score", "--collection", "nope").out


def test_gold_answers_come_from_a_folder(house: House) -> None:
    refused = house("score", "--metric", "token_f1")
    assert refused.code == 2
    assert "--references" in refused.err
    arguments = ("score", "--metric", "token_f1", "--metric", "context_recall", "--references", str(folder(house)))
    metrics = {each["name"]: each for each in house(*arguments, "--json").json["metrics"]}  # type: ignore[attr-defined]
    assert (metrics["token_f1"]["scored"], metrics["token_f1"]["without_reference"]) == (1, 1)
    assert metrics["token_f1"]["mean"] > 0
    assert metrics["context_recall"]["mean"] == 0


def test_what_cannot_be_scored_says_why(house: House) -> None:
    for name, said in (
        ("nope", "no scorer 'nope'; there are"),
        ("judge:faithfulness", "needs a language model"),
        ("judge:nope", "judge:answer_relevancy"),
    ):
        result = house("score", "--metric", name)
        assert result.code == 2
        assert said in result.err


def test_what_is_just_asked_has_no_reference(house: House) -> None:
    result = house("ask", "Where does Mount Etna stand?", RAG_SCORERS="bleu,faithfulness")
    assert result.code == 2
    assert "bleu needs gold answers" in result.err


def test_an_evaluation_holds_answers_against_gold_ones(house: House) -> None:
    answers = house("eval", str(folder(house)), "--answers", "--json").json["answers"]
    assert isinstance(answers, dict)
    assert answers["context_recall"] == 1
    assert {"exact_match", "token_f1", "rouge_l", "bleu", "semantic_similarity", "faithfulness"} <= answers.keys()
