"""What every vector index promises, checked for each backend found in rag/vectors against the slow obvious search."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import vectors
from rag.errors import IndexDamaged, WrongSetting
from rag.types import Permitted, Ranking, Vectors
from rag.vectors import rows as stored
from rag.vectors import tuning
from rag.vectors.tuning import RECALL
from tests.feeds import NONE, Allowed, allowed, nearest, unit

DIM = 4
# Few different directions, so that equal scores are common.
directions = st.lists(st.integers(-2, 2), min_size=DIM, max_size=DIM).filter(any).map(unit)
chunk_ids = st.one_of(st.integers(0, 40), st.integers(10**6, 10**6 + 3))


WAYS: dict[str, dict[str, int]] = {  # what is set otherwise for the backend that changes with size
    "as is": {},
    "lists from 16": {"FEW": 2, "LISTS_FROM": 16},  # the index itself, not its short cuts for few
    "rows read": {"FEW": 2, "LISTS_FROM": 16, "MAPPED": 0, "SPILL": 0, "STEP": 7},  # as at a million
}


EACH = [(name, way) for name in vectors.names() for way in WAYS if way == "as is" or name == "faiss"]


@pytest.fixture(params=EACH, ids=" ".join, scope="module")
def backend(request: pytest.FixtureRequest) -> Iterator[vectors.Backend]:
    """Each backend, and again as it is when collections are large."""
    name, way = request.param
    module = vectors.backend(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "QUERIES", 32)
        for setting, value in WAYS[way].items():
            patch.setattr(stored if hasattr(stored, setting) else module, setting, value)
        yield module


def rows_of(content: dict[int, Vectors]) -> Vectors:
    return np.stack(list(content.values())) if content else np.empty((0, DIM), np.float32)


def plain(ranking: Ranking) -> list[tuple[int, float]]:
    return [(hit.chunk_id, hit.score) for hit in ranking]


def reopened(backend: vectors.Backend, index: vectors.StoredVectors) -> vectors.StoredVectors:
    """Tuned, saved, opened and checked; what is open does not need the folder's name any more."""
    with TemporaryDirectory() as name:
        index.tune(RECALL)
        index.save(Path(name))
        again = backend.open(Path(name))
        assert again.position == index.position
        assert again.ids().tolist() == index.ids().tolist()
        assert again.tuning == index.tuning
        everything = np.arange(len(index))
        assert np.array_equal(again.take(everything), index.take(everything))
        return again


steps = st.lists(
    st.tuples(st.dictionaries(chunk_ids, directions, max_size=8), st.sets(chunk_ids, max_size=6), st.booleans()),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(steps=steps, queries=st.lists(directions, max_size=3), k=st.integers(1, 60), may=st.sets(chunk_ids))
def test_any_history_answers_as_the_obvious_search(
    backend: vectors.Backend,
    steps: list[tuple[dict[int, Vectors], set[int], bool]],
    queries: list[Vectors],
    k: int,
    may: set[int],
) -> None:
    index = backend.new(DIM)
    model: dict[int, Vectors] = {}
    for position, (added, gone, through_disk) in enumerate(steps, start=1):
        gone -= set(added)
        index.apply(np.array(list(added), np.int64), rows_of(added), np.array(sorted(gone), np.int64), position)
        model = {chunk: row for chunk, row in model.items() if chunk not in gone} | added
        if through_disk:
            index = reopened(backend, index)
        assert index.position == position
        assert len(index) == len(model)
        assert index.ids().tolist() == sorted(model)
    asked = np.stack(queries) if queries else np.empty((0, DIM), np.float32)
    for chunks in (frozenset(may), frozenset(model)):
        found = index.search(asked, k, Allowed(chunks))
        assert [plain(ranking) for ranking in found] == [nearest(query, model, k, chunks) for query in queries]
        for ranking in found:
            assert [(hit.parts["dense"].rank, hit.parts["dense"].score) for hit in ranking] == [
                (place, hit.score) for place, hit in enumerate(ranking, start=1)
            ]


def test_equal_rows_come_in_the_order_of_their_ids(backend: vectors.Backend) -> None:
    index = backend.new(DIM)
    ids = np.random.default_rng(0).permutation(3_000)
    row = unit([1, 2, 0, 1])
    index.apply(ids, np.tile(row, (3_000, 1)), NONE, 1)
    for each in (index, reopened(backend, index)):
        for end in (3_000, 1_200, 40):
            [ranking] = each.search(row[None, :], 7, allowed(range(5, end)))
            assert [hit.chunk_id for hit in ranking] == [5, 6, 7, 8, 9, 10, 11]


def test_a_batch_scores_as_single_queries_and_as_other_backends(backend: vectors.Backend) -> None:
    random = np.random.default_rng(1)
    rows, queries = random.standard_normal((4_000, 96)), random.standard_normal((9, 96))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    ids = random.permutation(4_000) * 7 + 3
    index, reference = backend.new(96), vectors.backend("exact").new(96)
    for each in (index, reference):
        each.apply(ids, rows, NONE, 1)
    for share in (1.0, 0.6, 0.4, 0.01):
        may = allowed(ids[: int(share * len(ids))])
        together = index.search(queries, 20, may)
        assert together == [index.search(query[None, :], 20, may)[0] for query in queries]
        assert together == reference.search(queries, 20, may)
        assert all(hit.chunk_id in may.chunks for ranking in together for hit in ranking)
        assert [len(ranking) for ranking in together] == [20] * 9


def crowded(count: int, dim: int, seed: int) -> Vectors:
    """Unit rows around a few centres, every tenth twice."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(dim).standard_normal((20, dim))
    rows = centres[random.integers(0, 20, count)] + 0.7 * random.standard_normal((count, dim))
    rows[1::10] = rows[: len(rows[1::10]) * 10 : 10]
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def large(backend: vectors.Backend) -> vectors.StoredVectors:
    """3,000 rows, tuned, saved and opened; a tenth of them replaced or removed since."""
    index = backend.new(32)
    ids, rows = np.arange(3_000) * 3 + 1, crowded(3_000, 32, 2)
    index.apply(ids, rows, NONE, 1)
    index = reopened(backend, index)
    index.apply(ids[:300], crowded(300, 32, 3), ids[300:600], 2)
    return index


def exact(index: vectors.StoredVectors) -> vectors.StoredVectors:
    """The reference with what an index holds."""
    reference = vectors.backend("exact").new(32)
    reference.apply(index.ids(), index.take(np.arange(len(index))), NONE, index.position)
    return reference


@pytest.mark.parametrize("share", [1, 0.5, 0.02])
@pytest.mark.parametrize("k", [1, 10, 200])
def test_a_large_index_finds_what_it_was_tuned_for(large: vectors.StoredVectors, share: float, k: int) -> None:
    """k hits whenever k permitted are held, with the reference's scores, and the recall that was asked."""
    random = np.random.default_rng(4)
    held = large.ids()
    may = Allowed(frozenset([*held[random.random(len(held)) < share].tolist(), *range(1_000, 1_200), 10**6]))
    queries = crowded(15, 32, 5)
    found, true = large.search(queries, k, may), exact(large).search(queries, k, may)
    assert [len(ranking) for ranking in found] == [len(ranking) for ranking in true]
    hits = 0
    for ranking, right in zip(found, true, strict=True):
        scores = {hit.chunk_id: hit.score for hit in right}
        assert ranking == sorted(ranking, key=lambda hit: (-hit.score, hit.chunk_id))
        assert all(scores[hit.chunk_id] == hit.score for hit in ranking if hit.chunk_id in scores)
        hits += sum(hit.chunk_id in scores for hit in ranking)
    wanted = sum(map(len, true))
    assert hits >= RECALL * wanted - 3 * np.sqrt(wanted * RECALL * (1 - RECALL))  # so few queries may be unlucky
    assert all(hit.chunk_id in may.chunks for ranking in found for hit in ranking)


def test_what_is_permitted_far_from_the_question_is_found(large: vectors.StoredVectors) -> None:
    """A filter that goes with the question: everything near it is forbidden."""
    queries = crowded(3, 32, 6)
    reference, everything = exact(large), allowed(large.ids())
    for query in queries:
        [order] = reference.search(query[None, :], len(large), everything)
        for kept in (1_000, 40, 3):
            may = allowed([hit.chunk_id for hit in order[-kept:]])
            [ranking], [right] = (index.search(query[None, :], 10, may) for index in (large, reference))
            assert len(ranking) == len(right)
            assert all(hit.chunk_id in may.chunks for hit in ranking)
            assert ranking[-1].score == pytest.approx(right[-1].score, abs=0.01)


def keeps_to_its_filter(index: vectors.StoredVectors) -> bool:
    queries, held = crowded(10, 32, 7), index.ids()
    for step in (2, 20, 1_000):
        may = allowed(held[::step])
        for k in (1, 10, 200):
            if any(hit.chunk_id not in may.chunks for ranking in index.search(queries, k, may) for hit in ranking):
                return False
    return True


def test_no_backend_ignores_its_filter(large: vectors.StoredVectors, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that did would be seen."""
    assert keeps_to_its_filter(large)
    held, search = large.ids(), type(large).search

    def careless(self: vectors.StoredVectors, queries: Vectors, k: int, permitted: Permitted) -> list[Ranking]:
        return search(self, queries, k, allowed(held))  # type: ignore[arg-type]

    monkeypatch.setattr(type(large), "search", careless)
    assert not keeps_to_its_filter(large)


def test_a_row_that_changed_on_disk_is_told_when_it_is_read(backend: vectors.Backend, tmp_path: Path) -> None:
    """Where a backend says that it checks a file itself, it does; and what is sound is read all the same."""
    index = backend.new(32)
    index.apply(np.arange(400), crowded(400, 32, 8), NONE, 1)
    index.tune(RECALL)
    index.save(tmp_path)
    for name in backend.CHECKED_WHEN_READ:
        for row in (0, 7, 399):
            path = tmp_path / name
            sound = path.read_bytes()
            for bit in (0, 13, 31 * 32 + 30):
                broken = bytearray(sound)
                broken[row * 128 + bit // 8] ^= 1 << bit % 8
                path.write_bytes(broken)
                opened = backend.open(tmp_path)
                others = np.setdiff1d(np.arange(400), [row])
                assert np.array_equal(opened.take(others), index.take(others))
                with pytest.raises(IndexDamaged, match=f"{name} differs from its checksum in row {row}"):
                    opened.take(np.array([3, row]))
                with pytest.raises(IndexDamaged, match=f"in row {row}"):
                    opened.search(index.take(np.array([row])), 400, allowed(range(400)))
            path.write_bytes(sound)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_changes_nothing(backend: vectors.Backend, bad: float) -> None:
    index = backend.new(DIM)
    index.apply(np.array([1]), unit([1, 0, 0, 0])[None, :], NONE, 1)
    rows = np.stack([unit([0, 1, 0, 0]), np.array([0, bad, 0, 0], np.float32)])
    with pytest.raises(ValueError, match="chunk 3 is not finite"):
        index.apply(np.array([2, 3]), rows, np.array([1]), 2)
    assert index.position == 1
    assert index.ids().tolist() == [1]
    with pytest.raises(ValueError, match="not finite"):
        index.search(rows[1:], 1, allowed([1]))


def test_wrong_shapes_and_ids_are_refused(backend: vectors.Backend) -> None:
    index = backend.new(DIM)
    row = unit([1, 0, 0, 0])
    with pytest.raises(ValueError, match="expected"):
        index.apply(np.array([1]), np.ones((1, DIM + 1), np.float32), NONE, 1)
    with pytest.raises(ValueError, match="twice"):
        index.apply(np.array([1, 1]), np.stack([row, row]), NONE, 1)
    with pytest.raises(ValueError, match="both added and removed"):
        index.apply(np.array([1]), row[None, :], np.array([1]), 1)
    with pytest.raises(ValueError, match="expected"):
        index.search(np.ones((1, DIM + 1), np.float32), 1, allowed([1]))
    assert len(index) == 0


def test_nothing_permitted_finds_nothing(backend: vectors.Backend) -> None:
    index = backend.new(DIM)
    row = unit([1, 0, 0, 0])[None, :]
    assert index.search(row, 3, allowed([])) == [[]]
    index.apply(np.array([4]), row, NONE, 1)
    assert index.search(row, 3, allowed([])) == [[]]
    assert index.search(row, 3, allowed([5, 10**6])) == [[]]
    assert index.search(row, 0, allowed([4])) == [[]]


def test_what_is_not_an_index_is_not_opened(backend: vectors.Backend, tmp_path: Path) -> None:
    with pytest.raises((OSError, ValueError)):
        backend.open(tmp_path)
    index = backend.new(DIM)
    index.apply(np.array([4]), unit([1, 0, 0, 0])[None, :], NONE, 1)
    index.save(tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises((OSError, ValueError)):
        backend.open(tmp_path)


def test_an_unknown_backend_is_named_with_those_there_are() -> None:
    assert {"exact", "faiss"} <= set(vectors.names())
    for name in ("nearby", "finalists"):
        with pytest.raises(WrongSetting, match=f"{name}.*exact, faiss"):
            vectors.backend(name)
