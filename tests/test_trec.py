"""Run files go out and come in, and metrics come out equal; what does not fit is named."""

from pathlib import Path

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import WrongUsage
from rag.evaluation.metrics import by_query, ranked
from rag.evaluation.trec import lines, parse, read, write

names = st.text("ab.é文\u00a0\u2028\x1c", min_size=1, max_size=4)  # blanks that are none in ASCII are letters here
scores = st.floats(-1e6, 1e6) | st.sampled_from([0.1 + 0.2, 1e-300, -0.0, 1 / 3])
rankings = st.dictionaries(names, st.dictionaries(names, scores, min_size=1, max_size=8), min_size=1, max_size=3)


@given(rankings, st.data())
def test_what_goes_out_comes_in(run: dict[str, dict[str, float]], data: st.DataObject) -> None:
    text = [f"{line}\n".encode() for line in lines(run, "a tag")]
    found = parse(text, "memory")
    assert found.rankings == run
    assert found.tag == "a-tag"
    qrels = {
        query: data.draw(st.dictionaries(st.sampled_from(sorted(run[query])), st.integers(0, 3), min_size=1))
        for query in run
    }
    for name in ("ndcg_cut_10", "map", "recip_rank"):
        assert by_query(name, qrels, found.rankings) == by_query(name, qrels, run)


def test_a_file_is_what_trec_eval_reads(tmp_path: Path) -> None:
    run = {"q1": {"d2": 0.1 + 0.2, "d1": 0.3, "d3": -4.0}, "q2": {"d9": 7.0}}
    write(tmp_path / "run.txt", run, "rag")
    text = (tmp_path / "run.txt").read_text()
    assert text.splitlines()[0] == "q1 Q0 d2 1 0.30000000000000004 rag"
    with (tmp_path / "run.txt").open() as file:
        assert pytrec_eval.parse_run(file) == run
    assert read(tmp_path / "run.txt").rankings == run


def test_lines_stand_in_the_order_of_trec_eval() -> None:
    scored = {"a": 1.0, "b": 1.0, "c": 2.0}
    assert [line.split()[2:4] for line in lines({"q": scored}, "t")] == [["c", "1"], ["b", "2"], ["a", "3"]]
    assert ranked(scored) == ["c", "b", "a"]


def test_the_ranks_of_others_are_not_believed() -> None:
    found = parse([b"q Q0 a 9 1.5 theirs\n", b"\n", b"q\tQ0\tb\t0\t2e0\ttheirs\n"], "x")
    assert (found.rankings, found.tag) == ({"q": {"a": 1.5, "b": 2.0}}, "theirs")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no lines of a run"),
        (b"q Q0 a 1 0.5\n", "x, line 1: expected query Q0 document rank score tag, found 5 fields"),
        (b"q Q0 a 1 0.5 t\nq Q0 b 1 high t\n", "line 2: the score 'high' is no number"),
        (b"q Q0 a 1 nan t\n", "no finite number"),
        (b"q Q0 a 1 1e39 t\n", "no finite number"),
        (b"q Q0 \xff 1 1 t\n", "this is not UTF-8"),
        (b"q Q0 a\x00 1 1 t\n", "NUL"),
        (b"q Q0 a 1 1 t\nq Q0 a 2 0.5 t\n", "line 2: the document 'a' was ranked for the query 'q' before"),
    ],
)
def test_what_does_not_fit_is_named(content: bytes, said: str) -> None:
    with pytest.raises(WrongUsage, match=said):
        parse(content.splitlines(keepends=True), "x")


@pytest.mark.parametrize("run", [{"a b": {"d": 1.0}}, {"q": {"a\tb": 1.0}}, {"q": {"": 1.0}}])
def test_an_id_with_blanks_is_refused(run: dict[str, dict[str, float]], tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="a TREC run file cannot say"):
        write(tmp_path / "run.txt", run, "t")
    assert not (tmp_path / "run.txt").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=r"nowhere\.txt cannot be read"):
        read(tmp_path / "nowhere.txt")
    with pytest.raises(WrongUsage, match="cannot be written"):
        write(tmp_path / "no" / "run.txt", {}, "t")
