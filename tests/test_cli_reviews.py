"""`rag reviews` by hand: a queue, its next answer, a label, who agrees with whom."""

import json
from pathlib import Path

import pytest

from tests.cli_house import House, build


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = build(tmp_path_factory.mktemp("reviews"))
    assert house("ingest", str(house.docs)).code == 0
    for question in ("Where does Mount Etna stand?", "When was the Golden Gate Bridge opened?"):
        assert house("ask", question, RAG_SCORERS="faithfulness").code == 0
    return house


def test_a_review_from_the_queue_to_the_log(house: House, tmp_path: Path) -> None:
    guidelines = tmp_path / "guidelines.md"
    guidelines.write_text("# Be strict\n\x1b[31mred\n")
    assert "no review queue yet" in house("reviews", "next").err
    made = house(
        "reviews", "queues", "add", "q", "--every", "--reviewers", "2", "--guidelines", str(guidelines),
        "--low-score", "faithfulness=0.2",
    )  # fmt: skip
    assert "2 answers of 2 looked at" in made.out
    assert "q" in house("reviews", "queues", "list").out
    shown = house("reviews", "queues", "show", "q").out
    assert "2 waiting, 0 of them locked; 0 done" in shown
    told = house("reviews", "next")
    assert told.code == 0
    assert all(words in told.out for words in ("Golden Gate", "Passage [1]", "# Be strict", "rag reviews label 1"))
    assert "\x1b[31m" not in told.out, "what people wrote does not steer the terminal"
    given = house("reviews", "next", "q", "--as", "bob", "--json").json
    assert given["item"]["item_id"] == 2  # type: ignore[index]
    assert "nothing waits for eve" in house("reviews", "next", "--as", "eve").out
    said = house(
        "reviews", "label", "1", "partly", "--relevant", "1", "--grade", "2=0", "--answer", "In 1937.",
        "--tag", "short", "--note", "the year only", "--json",
    ).json  # fmt: skip
    assert (said["reviewer"], said["value"], said["corrected_answer"]) == ("local", 0.5, "In 1937.")
    assert [(each["number"], each["grade"]) for each in said["passages"]] == [(1, 1), (2, 0)]  # type: ignore[attr-defined]
    key = str(said["interaction_id"])
    assert house("reviews", "label", key, "partly", "--as", "bob").code == 0
    assert "Golden Gate" in house("reviews", "show", key).out
    agreement = house("reviews", "agreement", "--json").json
    assert agreement["agreement"]["value"] == 1.0  # type: ignore[index]
    assert agreement["alpha"]["value"] is None, "one label only"  # type: ignore[index]
    assert "Krippendorff's alpha" in house("reviews", "agreement").out
    assert "the year only" in house("logs", "show", key, "--json").out
    assert house("reviews", "skip", "2", "--as", "bob").code == 0
    assert house("reviews", "next", "--as", "bob", "--skipped", "--json").json["item"] is not None
    assert house("reviews", "undo", str(said["review_id"])).code == 0
    listed = house("reviews", "list", "--history", "--json").json["reviews"]
    assert [(each["reviewer"], each["replaced_at"] is None) for each in listed] == [  # type: ignore[attr-defined]
        ("bob", True),
        ("local", False),
    ]
    assert "(replaced)" in house("reviews", "list", "--history").out


def test_a_queue_is_changed_filled_and_removed(house: House, tmp_path: Path) -> None:
    rule = tmp_path / "rule.json"
    rule.write_text(json.dumps({"any": [{"kind": "refused"}], "waiting": 9}))
    made = house(
        "reviews", "queues", "add", "r", "--rule", str(rule), "--label", "good=1", "--label", "bad=0", "--json"
    )
    assert made.json["added"] == 0
    assert house("reviews", "queues", "change", "r", "-q", "Etna").code == 0
    assert house("reviews", "queues", "fill", "r", "--json").json["by"] == {"every": 1}
    shown = house("reviews", "queues", "show", "r", "--json").json
    assert shown["rule"] == {"any": [{"kind": "every"}], "where": {"text": "Etna"}}
    assert [label["name"] for label in shown["labels"]] == ["good", "bad"]  # type: ignore[attr-defined]
    key = house("logs", "--json", "-n", "1").json["interactions"][0]["interaction_id"]  # type: ignore[index]
    assert "1 answer put in" in house("reviews", "queues", "put", "r", key).out
    assert "removed r; 0 reviews" in house("reviews", "queues", "remove", "r").out


def test_what_is_wrong_says_how_it_goes(house: House, tmp_path: Path) -> None:
    wrong = tmp_path / "rule.json"
    wrong.write_text("{")
    for arguments, names in (
        (("queues", "add", "x"), "--thumbs-down"),
        (("queues", "add", "x", "--rule", str(wrong)), "is not JSON"),
        (("queues", "add", "x", "--rule", str(wrong), "--every"), "leave out"),
        (("queues", "add", "x", "--low-score", "faithfulness=low"), "is no number"),
        (("queues", "add", "x", "--every", "--each", "mood=2"), "mood"),
        (("label", "1", "splendid"), "there are: correct"),
        (("label", "1", "partly", "--relevant", "one"), "no whole number"),
        (("label", "1", "partly", "--grade", "1=7"), "not 7"),
        (("next", "--as", "\n"), "printable"),
    ):
        result = house("reviews", *arguments)
        assert result.code == 2, arguments
        assert names in result.err, arguments
    assert house("reviews", "label", "99", "partly").code == 1
