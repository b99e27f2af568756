"""What every keyword index promises, checked for each backend found in rag/keywords against plain BM25 and bm25s."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import keywords
from rag.errors import WrongSetting
from rag.keywords import ScoredIndex
from rag.keywords.analysis import analyse
from rag.keywords.asked import Asked, asked
from rag.keywords.bm25 import best
from rag.types import Permitted, Ranking
from tests.feeds import NONE, Allowed, allowed

Chunks = dict[int, list[str]]
terms = st.sampled_from(["a", "b", "c", "d", "é", "机械", "os.path", "c++", "OR", "AND", "a:b", '"', "(", "x" * 900])
chunk = st.lists(terms, max_size=60)
chunk_ids = st.one_of(st.integers(0, 30), st.integers(10**6, 10**6 + 3))


@pytest.fixture(params=keywords.names(), scope="module")
def backend(request: pytest.FixtureRequest) -> keywords.Backend:
    return keywords.backend(request.param)


def bm25(
    query: Sequence[str],
    content: Mapping[int, Sequence[str]],
    may: frozenset[int],
    required: Sequence[Sequence[str]] = (),
) -> dict[int, float]:
    """The formula, term by term, over what is there and may be seen."""
    average = sum(map(len, content.values())) / max(len(content), 1)
    told = Counter(chain.from_iterable(map(set, content.values())))
    scores = {}
    for chunk, tokens in content.items():
        counts = Counter(tokens)
        if chunk in may and set(query) & set(tokens) and all(holds(tokens, phrase) for phrase in required):
            scores[chunk] = sum(
                log(1 + (len(content) - told[term] + 0.5) / (told[term] + 0.5))
                * counts[term]
                / (counts[term] + 1.2 * (1 - 0.75 + 0.75 * len(tokens) / average))
                for term in query
            )
    return scores


def holds(tokens: Sequence[str], phrase: Sequence[str]) -> bool:
    return any(list(tokens[at : at + len(phrase)]) == list(phrase) for at in range(len(tokens)))


def assert_same(found: Ranking, expected: Mapping[int, float], k: int) -> None:
    """The k best, with their scores, in order; chunks that score the same but for rounding in either order."""
    best = sorted(expected.values(), reverse=True)[:k]
    assert [hit.score for hit in found] == pytest.approx(best, rel=1e-9)
    assert [expected[hit.chunk_id] for hit in found] == pytest.approx(best, rel=1e-9)
    assert [(hit.parts["bm25"].rank, hit.parts["bm25"].score) for hit in found] == [
        (place, hit.score) for place, hit in enumerate(found, start=1)
    ]
    assert found == sorted(found, key=lambda hit: (-hit.score, hit.chunk_id))
    assert len({hit.chunk_id for hit in found}) == len(found)


def apply(index: ScoredIndex, content: Mapping[int, Sequence[str]], upto: int = 1) -> None:
    index.apply(np.array(list(content), np.int64), list(content.values()), NONE, upto)


steps = st.lists(
    st.tuples(st.dictionaries(chunk_ids, chunk, max_size=8), st.sets(chunk_ids, max_size=6), st.booleans()),
    min_size=1,
    max_size=4,
)


phrases = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3).map(tuple), max_size=2)


@settings(max_examples=40, deadline=None)
@given(steps=steps, queries=st.lists(chunk, max_size=3), k=st.integers(1, 40), may=st.sets(chunk_ids), required=phrases)
def test_any_history_answers_as_plain_bm25(
    backend: keywords.Backend,
    steps: list[tuple[Chunks, set[int], bool]],
    queries: list[list[str]],
    k: int,
    may: set[int],
    required: list[tuple[str, ...]],
) -> None:
    """Adds, replacements, removals, through the disk or not: ids, order and scores are those of a fresh index."""
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        (folder / "new").mkdir()
        for constant, value in (("FAN", 3), ("SMALL", 2)):  # so that merges of every kind happen
            if hasattr(backend, constant):
                patch.setattr(backend, constant, value)
        index = backend.new(folder / "new")
        model: Chunks = {}
        for position, (added, gone, through_disk) in enumerate(steps, start=1):
            gone -= set(added)
            index.apply(
                np.array(list(added), np.int64), list(added.values()), np.array(sorted(gone), np.int64), position
            )
            model = {chunk: tokens for chunk, tokens in model.items() if chunk not in gone} | added
            if through_disk:
                saved = folder / str(position)
                saved.mkdir()
                index.save(saved)
                index = backend.open(saved)
                if position % 2:
                    index = index.following()
            assert index.position == position
            assert len(index) == len(model)
            assert index.ids().tolist() == sorted(model)
            assert 0 <= index.dead() < 1 or not model
        told = index.statistics()
        assert told.documents == len(model)
        assert told.average_length == pytest.approx(sum(map(len, model.values())) / max(len(model), 1))
        for term in {*chain.from_iterable(queries)}:
            assert told.frequency(term) == sum(term in tokens for tokens in model.values())
        for chunks in (frozenset(may), frozenset(model)):
            everything = np.array(sorted({*model, 77}), np.int64)
            for query, ranking in zip(queries, index.search(queries, k, Allowed(chunks)), strict=True):
                assert_same(ranking, bm25(query, model, chunks), k)
                true = bm25(query, model, frozenset(model))
                scores = index.scores(query, everything)
                assert scores.tolist() == pytest.approx([true.get(each, 0.0) for each in everything.tolist()], rel=1e-9)
                same = {hit.chunk_id: hit.score for hit in ranking}
                assert same == {
                    each: score
                    for each, score in zip(everything.tolist(), scores.tolist(), strict=True)
                    if each in same
                }
                asked = Asked(tuple(query), tuple((phrase,) for phrase in required))
                expected = bm25(query, model, chunks, required)
                assert_same(index.search([asked], k, Allowed(chunks))[0], expected, k)
                rest = index.scores(asked, everything)
                assert {
                    each
                    for each, score in zip(everything.tolist(), rest.tolist(), strict=True)
                    if score and each in chunks
                } == set(expected)
            ways = tuple((phrase, ("no such", "phrase")) for phrase in required)
            held = [
                chunk
                for chunk in sorted(chunks)
                if chunk in model and all(holds(model[chunk], each) for each in required)
            ]
            assert index.holding(ways, Allowed(chunks)).tolist() == held


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.sampled_from([0.1, 0.2, 0.3, 7.0, 1e-9]) | st.floats(0.01, 50), max_size=300),
    repeat=st.integers(1, 40),
    k=st.integers(0, 60),
)
def test_the_best_are_those_of_a_full_sort(values: list[float], repeat: int, k: int) -> None:
    scores = np.array(values * repeat)
    ids = np.random.default_rng(len(values)).permutation(len(scores)).astype(np.int64)
    expected = sorted(zip((-scores).tolist(), ids.tolist(), strict=True))[:k]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rag.keywords.bm25.MANY", 50)
        found, kept = best(ids, scores, k)
    assert list(zip((-kept).tolist(), found.tolist(), strict=True)) == expected


def test_thousands_of_chunks_answer_as_plain_bm25(backend: keywords.Backend, tmp_path: Path) -> None:
    """Large enough for every short cut, in several segments, with removals, at every selectivity."""
    for name in ("work", "saved"):
        (tmp_path / name).mkdir()
    random = np.random.default_rng(3)
    content = {
        int(i): [f"t{t}" for t in random.zipf(1.3, random.integers(0, 30)) % 400] for i in random.permutation(3_000)
    }
    index = backend.new(tmp_path / "work")
    ids = list(content)
    for first in range(0, 3_000, 500):
        some = {chunk: content[chunk] for chunk in ids[first : first + 500]}
        gone = np.array(sorted(set(ids[:200]) - set(some)), np.int64) if first else NONE
        index.apply(np.array(list(some), np.int64), list(some.values()), gone, first + 1)
    content = {chunk: content[chunk] for chunk in ids[200:]}
    index.save(tmp_path / "saved")
    for each in (index, backend.open(tmp_path / "saved")):
        for permitted in (3_000, 1_500, 150, 15, 1):
            may = frozenset(random.choice(3_000, permitted, replace=False).tolist())
            for query in (["t1", "t2", "t300"], ["t1"], [f"t{t}" for t in range(0, 400, 9)]):
                assert_same(each.search([query], 25, Allowed(may))[0], bm25(query, content, may), 25)


def test_a_backend_that_ignores_its_filter_is_found_out(
    backend: keywords.Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suite's own check of filters, on an index that shows everything to everybody: it must go red."""
    index = backend.new(tmp_path)
    apply(index, {1: ["a"], 2: ["a", "b"], 3: ["a"]})
    open_to_all = type(index).search

    def sabotaged(self: ScoredIndex, queries: Sequence[Sequence[str]], k: int, permitted: Permitted) -> list[Ranking]:
        return open_to_all(self, queries, k, allowed([1, 2, 3]))

    assert_same(
        index.search([["a"]], 3, allowed([2]))[0], bm25(["a"], {1: ["a"], 2: ["a", "b"], 3: ["a"]}, frozenset([2])), 3
    )
    monkeypatch.setattr(type(index), "search", sabotaged)
    with pytest.raises(AssertionError):
        assert_same(
            index.search([["a"]], 3, allowed([2]))[0],
            bm25(["a"], {1: ["a"], 2: ["a", "b"], 3: ["a"]}, frozenset([2])),
            3,
        )


def test_the_last_bitmap_is_not_taken_for_another(backend: keywords.Backend, tmp_path: Path) -> None:
    index = backend.new(tmp_path)
    apply(index, {chunk: ["a"] for chunk in range(50)})
    for may in ([3], [4], [], [3, 49], range(50), [70, 3]):
        [found] = index.search([["a"]], 60, allowed(may))
        assert [hit.chunk_id for hit in found] == [chunk for chunk in may if chunk < 50] or set(may) == {70, 3}
    assert [hit.chunk_id for hit in found] == [3]


def test_a_phrase_is_required_and_a_misspelt_word_is_taken_for_its_neighbours(
    backend: keywords.Backend, tmp_path: Path
) -> None:
    index = backend.new(tmp_path)
    texts = [
        "the mitochondrial membrane leaks", "a membrane that is mitochondrial", "membrane pollution",
        "call getUserName with max_tokens_per_request", "机械学习 is fun", "机械工程 and 学习", "version 3.11 of 2019",
    ]  # fmt: skip
    apply(index, {chunk: analyse(text) for chunk, text in enumerate(texts)})
    may = allowed(range(len(texts)))

    def found(question: str) -> list[int]:
        return [hit.chunk_id for hit in index.search([asked(question, ["en"])], 9, may)[0]]

    assert found('"mitochondrial membrane" pollution') == [0]
    assert found('mitochondrial membrane "') == found("mitochondrial membrane") == [1, 0, 2]
    assert found('"getUserName"') == found('"max_tokens_per_request"') == found('"user name" with') == [3]
    assert found('"学习 机械"') == []
    assert found('"机械学习"') == [4]
    assert sorted(found("机械学习")) == [4, 5]
    assert found('"version 3.11"') == [6]
    assert found("polution") == found("pollutin") == [2]
    assert index.corrected(asked("polution mitocondrial of 3.12 membran 2018", ["en"])) == {
        "polut": ["pollut"], "mitocondri": ["mitochondri"],
    } | ({} if index.statistics().frequency("membran") else {"membran": ["membrane"]})  # fmt: skip
    assert found("getUserNmae")[:1] == [3]
    assert found("3.12") == found("2018") == found("fub") == []  # numbers and short words mean what they say
    assert found('"polution"') == []
    assert index.corrected(["polut"]) == {}  # a plain list of terms is searched as it is
    [plain], [stand_in] = (
        index.search([asked("pollution", ["en"])], 9, may),
        index.search([asked("polution", ["en"])], 9, may),
    )
    assert 0 < stand_in[0].score < plain[0].score


def test_k_permitted_hits_come_back_when_the_best_are_all_forbidden(backend: keywords.Backend, tmp_path: Path) -> None:
    index = backend.new(tmp_path)
    content = [["wolf"] * 20] * 1_500 + [["wolf", "sheep", "grass"]] * 1_500
    index.apply(np.arange(3_000), content, NONE, 1)
    [ranking] = index.search([["wolf"]], 12, allowed(range(1_500, 3_000)))
    assert [hit.chunk_id for hit in ranking] == list(range(1_500, 1_512))
    [ranking] = index.search([["wolf"]], 3, allowed(range(3_000)))
    assert [hit.chunk_id for hit in ranking] == [0, 1, 2]


def test_a_repeated_term_counts_as_often(backend: keywords.Backend, tmp_path: Path) -> None:
    index = backend.new(tmp_path)
    index.apply(np.arange(4), [["cat"], ["dog"], ["cat", "dog"], ["bird"]], NONE, 1)
    may = allowed(range(4))
    [once], [thrice] = index.search([["cat"]], 9, may), index.search([["cat"] * 3], 9, may)
    assert [hit.score for hit in thrice] == pytest.approx([3 * hit.score for hit in once])
    assert [hit.chunk_id for hit in index.search([["dog", "cat", "dog"]], 2, may)[0]] == [2, 1]


def test_nothing_asked_held_or_permitted_finds_nothing(backend: keywords.Backend, tmp_path: Path) -> None:
    index = backend.new(tmp_path)
    assert index.search([["a"], []], 3, allowed([1])) == [[], []]
    index.apply(np.array([1]), [["a"]], NONE, 1)
    assert index.search([[], ["b"], ["a"]], 3, allowed([])) == [[], [], []]
    assert index.search([[], ["b"]], 3, allowed([1])) == [[], []]
    assert index.search([["a"]], 0, allowed([1])) == [[]]
    index.apply(NONE, [], np.array([1]), 2)
    assert index.search([["a"]], 3, allowed([1])) == [[]]


def test_what_cannot_be_a_term_is_refused_and_changes_nothing(backend: keywords.Backend, tmp_path: Path) -> None:
    index = backend.new(tmp_path)
    index.apply(np.array([1]), [["a"]], NONE, 1)
    for bad in ([""], ["a b"], ["a\u2003b"], ["x" * 70_000]):
        with pytest.raises(ValueError, match="chunk 3 has a term"):
            index.apply(np.array([2, 3]), [["a"], bad], np.array([1]), 2)
    with pytest.raises(ValueError, match="twice"):
        index.apply(np.array([2, 2]), [["a"], ["b"]], NONE, 2)
    with pytest.raises(ValueError, match="both"):
        index.apply(np.array([2]), [["a"]], np.array([2]), 2)
    with pytest.raises(ValueError, match="the terms of 2"):
        index.apply(np.array([2]), [["a"], ["b"]], NONE, 2)
    assert (index.position, index.ids().tolist()) == (1, [1])


def test_what_is_not_an_index_is_not_opened(backend: keywords.Backend, tmp_path: Path) -> None:
    for name in ("work", "saved"):
        (tmp_path / name).mkdir()
    with pytest.raises((OSError, ValueError)):
        backend.open(tmp_path / "saved")
    index = backend.new(tmp_path / "work")
    index.apply(np.array([4]), [["a"]], NONE, 1)
    index.save(tmp_path / "saved")
    for path in (tmp_path / "saved").iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises((OSError, ValueError)):
        backend.open(tmp_path / "saved")


def test_a_saved_index_does_not_change_with_the_one_it_came_from(backend: keywords.Backend, tmp_path: Path) -> None:
    for name in ("work", "saved"):
        (tmp_path / name).mkdir()
    index = backend.new(tmp_path / "work")
    index.apply(np.arange(50), [["a", f"t{i}"] for i in range(50)], NONE, 1)
    index.save(tmp_path / "saved")
    before = {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()}
    index.apply(np.array([99]), [["a"]], np.arange(49), 2)
    assert {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()} == before
    assert len(backend.open(tmp_path / "saved")) == 50
    assert index.ids().tolist() == [49, 99]


@pytest.mark.parametrize("name", ["xquad-en", "scifact"])
def test_real_questions_agree_with_bm25s(
    backend: keywords.Backend, tmp_path: Path, shared_data: Path, name: str
) -> None:
    """The same ten chunks with the same scores as bm25s' Lucene variant on the same terms."""
    folder = shared_data / name
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()][:1_500]
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()[:200]
    tokens = [analyse(f"{entry['title']}\n{entry['text']}") for entry in corpus]
    queries = [analyse(json.loads(line)["text"]) for line in lines]
    rival = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    rival.index(tokens, show_progress=False)
    index = backend.new(tmp_path)
    index.apply(np.arange(len(tokens)), tokens, NONE, 1)
    may = allowed(range(len(tokens)))
    ratios, same = [], []
    for query, ours in zip(queries, index.search(queries, 10, may), strict=True):
        places, scores = rival.retrieve([query], k=11, show_progress=False)
        theirs = {place: score for place, score in zip(places[0].tolist(), scores[0].tolist(), strict=True) if score}
        best = sorted(theirs.values(), reverse=True)
        assert len(ours) == min(len(best), 10)
        ratios += [hit.score / score for hit, score in zip(ours, best, strict=False)]
        tied = len(best) > 10 and best[9] - best[10] < 1e-5 * best[9]
        same.append(
            tied or {hit.chunk_id for hit in ours} == set(sorted(theirs, key=lambda place: -theirs[place])[:10])
        )
    assert len(ratios) > 1_000  # most questions share a term with ten chunks
    assert ratios == pytest.approx([1.0] * len(ratios), rel=1e-5)
    assert np.mean(same) >= 0.99


def test_an_unknown_backend_is_named_with_those_there_are() -> None:
    assert keywords.names() == ["exact"]
    for name in ("lucene", "analysis"):
        with pytest.raises(WrongSetting, match=f"{name}.*exact"):
            keywords.backend(name)
