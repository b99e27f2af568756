"""The gate: bounds are read strictly, a mean below its bound is red, and questions are asked as people ask them."""

import json
from pathlib import Path

import pytest

from rag.api.models import gates
from rag.cli import gate as command
from rag.errors import WrongUsage
from rag.evaluate import Answered, Judged
from rag.evaluation import gate
from rag.evaluation.gate import Bound, Gate, Held, bounds, drops, hold, markdown, worst
from rag.evaluation.questions import said
from rag.evaluation.runs import METRICS
from rag.scorers import names
from rag.types import Example
from tests.cli_house import House, build
from tests.test_evaluate import write


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = build(tmp_path_factory.mktemp("gate"), {})
    write(house.folder / "beir")
    with (house.folder / "beir" / "answers.jsonl").open("a") as file:
        file.write(json.dumps({"_id": "unjudged", "answers": []}) + "\n")  # it is known to have no answer
    assert house("eval", str(house.folder / "beir"), "--mode", "keyword", "--name", "before").code == 0
    return house


# ── bounds and verdicts ─────────────────────────────────────────────────────────────────────────────────────────────


def test_bounds_are_read_strictly() -> None:
    found = bounds(["ndcg_cut_10=0.7", "faithfulness = 0.9"], ["refused=0.5", "ndcg_cut_10=1"], names())
    assert found == (Bound("ndcg_cut_10", 0.7, 1.0), Bound("faithfulness", 0.9), Bound("refused", None, 0.5))
    assert bounds(["judge:faithfulness=0.5"], [], names())[0].metric == "judge:faithfulness"
    for wrong in ("ndcg_cut_10", "ndcg_cut_10=", "ndcg_cut_10=x", "ndcg_cut_10=nan", "=1", "ndcg=1", "ndcg_cut_0=1"):
        with pytest.raises(WrongUsage):
            bounds([wrong], [], names())
    with pytest.raises(WrongUsage, match=r"no metric 'faithfullness'; .*of answers there are .*faithfulness"):
        bounds(["faithfullness=1"], [], names())


def test_a_mean_is_held_and_nothing_is_not_enough() -> None:
    values = {"a": {"1": 1.0, "2": 0.0, "3": 1.0, "4": 1.0}, "b": {}}
    just, above, most, empty = hold(
        values, [Bound("a", 0.75), Bound("a", 0.76), Bound("a", None, 0.7), Bound("b", 0.0)]
    )
    assert [one.passed for one in (just, above, most, empty)] == [True, False, False, False]
    assert (just.sure, just.questions, empty.mean) == (False, 4, None)
    assert hold({"a": {"1": 1.0}}, [Bound("a", 0.5)])[0].sure


def test_a_drop_is_over_the_questions_that_both_have() -> None:
    now = {"a": {"1": 0.5, "2": 0.5, "3": 0.0}, "new": {"1": 1.0}}
    before = {"a": {"1": 0.5, "2": 0.6, "9": 1.0}}
    [one] = drops(now, before, 0.05)
    assert (one.metric, one.questions, one.before, one.now) == ("a", 2, 0.55, 0.5)
    assert one.passed, "exactly the largest drop is let pass"
    assert not drops(now, before, 0.04)[0].passed


def test_the_worst_come_first_and_of_equals_those_that_lost_most() -> None:
    values, before = {"a": 0.0, "b": 0.0, "c": 1.0, "d": 0.5}, {"a": 0.2, "b": 0.9}
    found = worst({key: key.upper() for key in values}, values, before, 3)
    assert [(one.id, one.before) for one in found] == [("b", 0.9), ("a", 0.2), ("d", None)]


def test_answers_become_metrics_where_they_apply() -> None:
    def one(key: str, *, gold: bool | None, abstained: bool, relevant: bool, citations: int = 2) -> Answered:
        example = Example(key, "?", ("x",) if gold is not None else (), {"d": 1} if relevant else {})
        return Answered(example, Judged(gold, abstained, citations, 1, 9, 1, 1.0), {"faithfulness": None, "f": 0.5})

    found = said(
        [
            one("right", gold=True, abstained=False, relevant=True),
            one("refused", gold=False, abstained=True, relevant=True, citations=0),
            one("nothing", gold=None, abstained=True, relevant=False, citations=0),
        ]
    )
    assert found["answered"] == {"right": 1.0, "refused": 0.0}
    assert found["refused"] == {"nothing": 1.0}
    assert found["contains_gold"] == {"right": 1.0, "refused": 0.0}
    assert found["quotes_verbatim"] == {"right": 0.5}
    assert "faithfulness" not in found
    assert len(found["f"]) == 3


def test_a_report_cannot_be_broken_by_what_it_quotes() -> None:
    held = Held(Bound("a", 0.5), None, 0)
    question = "a | b\n# <img src=x> `c` [d](e) \x1b[31m\u202e"
    row = gate.Worst("i|d", question, 0.0, None)
    shown = markdown(Gate("x|y", "c", 1, (held,), (), None, "a", (row,), {"k": "v"}, ()))
    assert "applies to no question" in shown
    assert not {"\x1b", "\u202e"} & set(shown)
    [line] = [line for line in shown.splitlines() if "img" in line]
    assert line.replace("\\|", "").count("|") == 5
    assert "\\<img" in line


def test_defaults_are_those_of_the_modules() -> None:
    assert (gate.MAX_DROP, gate.WORST, METRICS[0]) == (command.MAX_DROP, command.WORST, "ndcg_cut_10")
    assert (gate.MAX_DROP, gate.WORST) == (gates.MAX_DROP, gates.WORST)


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_green_red_and_wrong(house: House, tmp_path: Path) -> None:
    folder, report = str(house.folder / "beir"), tmp_path / "report.md"
    keyword = ("--mode", "keyword")
    green = house("gate", folder, *keyword, "--min", "ndcg_cut_10=0.6", "--report", str(report))
    assert (green.code, green.out.splitlines()[0]) == (0, "# Gate: passed")
    assert report.read_text() == green.out
    red = house("gate", folder, *keyword, "--min", "ndcg_cut_10=0.7", "--json")
    assert (red.code, red.json["passed"]) == (1, False)
    [bound] = red.json["bounds"]  # type: ignore[misc]
    assert (round(bound["value"], 4), bound["questions"], bound["sure"]) == (0.6667, 3, False)
    assert red.json["worst"][0]["question"] == "zzzz qqqq"  # type: ignore[index]
    against = house("gate", folder, *keyword, "--against", "before", "--json")
    assert (against.code, [drop["metric"] for drop in against.json["drops"]]) == (0, ["ndcg_cut_10"])  # type: ignore[attr-defined]
    for wrong, said_so in (
        (("--min", "nope=1"), "no metric 'nope'"),
        (("--against", "nothing"), "no run 'nothing'; there are: before"),
        ((), "nothing to hold the set to"),
        (("--min", "map=x"), "is no bound"),
        (("--min", "map=0", "--split", "test"), "--split is for datasets"),
        (("--min", "map=0", "--metric", "map"), "give --against RUN"),
        (("--against", "before", "--max-drop", "nan"), "nan is no number between 0 and 1"),
        (("--min", "map=0", "--report", "/no/folder/x.md"), "there is no folder"),
        (("--min", "map=0", "--collection", "elsewhere"), "elsewhere"),
    ):
        result = house("gate", folder, *wrong)
        assert (result.code, said_so in result.err) == (2, True), result
    for name, said_so in (("./beir-x", "there is no folder"), ("beir-x", "no dataset 'beir-x'")):
        result = house("gate", name, "--min", "map=0")
        assert (result.code, said_so in result.err) == (2, True), result


def test_a_run_that_lost_is_red_and_names_what_was_lost(house: House) -> None:
    folder = str(house.folder / "beir")
    kept = house("gate", folder, "--mode", "keyword", "--min", "success_1=0.5", "--answers", "--name", "with answers")
    assert kept.code == 0, kept
    nothing = house("gate", folder, "--mode", "keyword", "--min", "contains_gold=0", "--against", "with answers",
                    RAG_ABSTAIN_THRESHOLD="1.0", RAG_ABSTAIN="auto")  # fmt: skip
    assert nothing.code == 1, nothing
    [row] = [line for line in nothing.out.splitlines() if line.startswith("| contains_gold") and "FAILED" in line]
    assert row.endswith("| 2 | FAILED |")
    same = house("gate", folder, "--mode", "keyword", "--against", "with answers", "--metric", "faithfulness")
    assert (same.code, "| faithfulness |" in same.out) == (0, True), same
    older = house("gate", folder, "--mode", "keyword", "--against", "before", "--metric", "faithfulness")
    assert (older.code, "does not know faithfulness" in older.out) == (1, True), (
        "what cannot be compared has not passed"
    )
    conflict = house("gate", folder, "--min", "map=0", "--name", "before")
    assert "there is a run 'before' already" in conflict.err


def test_questions_are_refused_as_everybodys_are(house: House) -> None:
    """The confidence of a question decides in `rag eval --answers` and in the gate, just as in `rag ask`."""
    folder = str(house.folder / "beir")
    for threshold, share in (("0.0", 0.0), ("1.0", 1.0)):
        found = house("eval", folder, "--answers", "--json", RAG_ABSTAIN_THRESHOLD=threshold).json["answers"]
        refused = house("gate", folder, "--min", "refused=0", "--json", RAG_ABSTAIN_THRESHOLD=threshold).json
        if share:
            assert found["abstained"] == share  # type: ignore[index]
            assert refused["bounds"][0]["value"] == share  # type: ignore[index]
        else:
            assert found["abstained"] < 1  # type: ignore[index, operator]
        assert refused["settings"]["abstain_threshold"] == float(threshold)  # type: ignore[index]
