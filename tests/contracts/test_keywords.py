"""What every keyword index promises, checked for each backend found in rag/keywords against plain BM25 and bm25s."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
from rag.keywords.analysis import analyse
from rag.keywords.bm25 import Statistics, byte_lengths, settle
from rag.keywords.exact import ExactKeywords
from rag.types import Ranking
from tests.feeds import NONE, Allowed, allowed

Chunks = dict[int, list[str]]
terms = st.sampled_from(["a", "b", "c", "d", "é", "机械", "os.path", "c++", "OR", "AND", "a:b", '"', "(", "x" * 900])
chunk = st.lists(terms, max_size=60)
chunk_ids = st.one_of(st.integers(0, 30), st.integers(10**6, 10**6 + 3))


WAYS = [
    (name, way)
    for name in keywords.names()
    for way in ("as is", "few is 2", "deep is 2")
    if way == "as is" or hasattr(keywords.backend(name), "FEW")
]


@pytest.fixture(params=WAYS, ids=" ".join, scope="module")
def backend(request: pytest.FixtureRequest) -> Iterator[keywords.Backend]:
    """Each backend, and again with its short cuts for few permitted chunks closed or always taken."""
    name, way = request.param
    module = keywords.backend(name)
    with pytest.MonkeyPatch.context() as patch:
        if way != "as is":
            patch.setattr(module, "FEW", 2)
            patch.setattr(module, "SLACK", 1)
        if way == "deep is 2":
            patch.setattr(module, "DEEP", 2)
        yield module


def bm25(
    query: Sequence[str], content: Mapping[int, Sequence[str]], k: int, may: frozenset[int], told: Statistics
) -> list[tuple[int, float]]:
    """The formula, term by term."""
    scores = {}
    for chunk, tokens in content.items():
        length = len(tokens) if told.lengths == "exact" else int(byte_lengths(np.array([len(tokens)]))[0])
        counts = Counter(tokens)
        if chunk in may and set(query) & set(tokens):
            scores[chunk] = sum(
                log(1 + (told.documents - told.frequency(term) + 0.5) / (told.frequency(term) + 0.5))
                * counts[term]
                / (counts[term] + 1.2 * (1 - 0.75 + 0.75 * length / told.average_length))
                for term in sorted(query)
                if counts[term]
            )
    ids, values = settle(np.array(list(scores), np.int64), np.array(list(scores.values()), np.float64))
    return list(zip(ids[:k].tolist(), values[:k].tolist(), strict=True))


def assert_same(found: Ranking, expected: list[tuple[int, float]]) -> None:
    assert [hit.chunk_id for hit in found] == [chunk for chunk, _ in expected]
    assert [hit.score for hit in found] == pytest.approx([score for _, score in expected], rel=1e-5)
    assert [(hit.parts["bm25"].rank, hit.parts["bm25"].score) for hit in found] == [
        (place, hit.score) for place, hit in enumerate(found, start=1)
    ]
    assert found == sorted(found, key=lambda hit: (-hit.score, hit.chunk_id))


steps = st.lists(
    st.tuples(st.dictionaries(chunk_ids, chunk, max_size=8), st.sets(chunk_ids, max_size=6), st.booleans()),
    min_size=1,
    max_size=4,
)


@settings(max_examples=15, deadline=None)
@given(steps=steps, queries=st.lists(chunk, max_size=3), k=st.integers(1, 40), may=st.sets(chunk_ids))
def test_any_history_answers_as_plain_bm25(
    backend: keywords.Backend,
    steps: list[tuple[Chunks, set[int], bool]],
    queries: list[list[str]],
    k: int,
    may: set[int],
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "new").mkdir()
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
            assert index.position == position
            assert len(index) == len(model)
            assert index.ids().tolist() == sorted(model)
            assert 0 <= index.dead() < 1 or not model
        told = index.statistics()
        outside = replace(told, documents=told.documents + 50, frequency=lambda term: told.frequency(term) + 7)
        for chunks in (frozenset(may), frozenset(model)):
            found = index.search(queries, k, Allowed(chunks))
            weighed = index.search(queries, k, Allowed(chunks), outside)
            for query, own, other in zip(queries, found, weighed, strict=True):
                assert_same(own, bm25(query, model, k, chunks, told))
                assert_same(other, bm25(query, model, k, chunks, outside))


def test_an_index_written_in_one_go_has_exact_statistics(backend: keywords.Backend, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    content = {int(i): [f"t{t}" for t in random.zipf(1.5, random.integers(1, 90)) % 50] for i in range(0, 600, 3)}
    index, reference = backend.new(tmp_path), ExactKeywords()
    for each in (index, reference):
        each.apply(np.array(list(content)), list(content.values()), NONE, 1)
    ours, exact = index.statistics(), reference.statistics()
    assert ours.lengths == backend.LENGTHS
    assert (ours.documents, ours.average_length) == (200, pytest.approx(exact.average_length))
    assert [ours.frequency(f"t{t}") for t in range(51)] == [exact.frequency(f"t{t}") for t in range(51)]
    assert index.dead() == 0


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


def test_real_questions_agree_with_bm25s(backend: keywords.Backend, tmp_path: Path, shared_data: Path) -> None:
    """The same as bm25s but for the rounding of lengths to a byte, and exactly the same when we round them too."""
    folder = shared_data / "xquad-en"
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()[::6]
    tokens = [analyse(f"{entry['title']}\n{entry['text']}") for entry in corpus]
    queries = [analyse(json.loads(line)["text"]) for line in lines]
    rival = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    rival.index(tokens, show_progress=False)
    index = backend.new(tmp_path)
    index.apply(np.arange(len(tokens)), tokens, NONE, 1)
    may = allowed(range(len(tokens)))
    rounded = ExactKeywords()
    rounded.apply(np.arange(len(tokens)), tokens, NONE, 1)
    expected = rounded.search(queries, 10, may, index.statistics())
    ratios, kept = [], []
    for query, ours, same in zip(queries, index.search(queries, 10, may), expected, strict=True):
        places, scores = rival.retrieve([query], k=10, show_progress=False)
        theirs = {place: score for place, score in zip(places[0].tolist(), scores[0].tolist(), strict=True) if score}
        assert [hit.chunk_id for hit in ours] == [hit.chunk_id for hit in same]
        assert len(ours) == len(theirs)
        best = sorted(theirs.values(), reverse=True)
        ratios += [hit.score / score for hit, score in zip(ours, best, strict=True)]
        kept += [hit.chunk_id in theirs for hit in ours]
    assert len(ratios) > 1_000  # most questions share a term with ten chunks
    if backend.LENGTHS == "exact":
        assert ratios == pytest.approx([1.0] * len(ratios), rel=1e-5)
    # A length is rounded down by a ninth at most, so a score can only rise, and by less than an eighth.
    assert 1 - 1e-5 < min(ratios) <= max(ratios) < 1.125
    assert np.mean(ratios) < 1.03
    assert np.mean(kept) >= 0.98


def test_an_unknown_backend_is_named_with_those_there_are() -> None:
    assert {"exact", "tantivy"} <= set(keywords.names())
    for name in ("lucene", "analysis"):
        with pytest.raises(WrongSetting, match=f"{name}.*exact, tantivy"):
            keywords.backend(name)
