"""What every vector index promises, checked for each backend found in rag/vectors against the slow obvious search."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import vectors
from rag.errors import WrongSetting
from rag.types import Ranking, VectorIndex, Vectors
from tests.feeds import NONE, Allowed, allowed, nearest, unit

DIM = 4
# Few different directions, so that equal scores are common.
directions = st.lists(st.integers(-2, 2), min_size=DIM, max_size=DIM).filter(any).map(unit)
chunk_ids = st.one_of(st.integers(0, 40), st.integers(10**6, 10**6 + 3))


WAYS = [
    (name, way)
    for name in vectors.names()
    for way in ("as is", "few is 2")
    if way == "as is" or hasattr(vectors.backend(name), "FEW")
]


@pytest.fixture(params=WAYS, ids=" ".join, scope="module")
def backend(request: pytest.FixtureRequest) -> Iterator[vectors.Backend]:
    """Each backend, and again with its short cuts for few permitted chunks closed, so that its index is used."""
    name, way = request.param
    module = vectors.backend(name)
    with pytest.MonkeyPatch.context() as patch:
        if way != "as is":
            patch.setattr(module, "FEW", 2)
        yield module


def rows_of(content: dict[int, Vectors]) -> Vectors:
    return np.stack(list(content.values())) if content else np.empty((0, DIM), np.float32)


def plain(ranking: Ranking) -> list[tuple[int, float]]:
    return [(hit.chunk_id, hit.score) for hit in ranking]


def reopened(backend: vectors.Backend, index: VectorIndex) -> VectorIndex:
    """Saved, opened and checked while the folder is there; then taken up into memory by a change."""
    with TemporaryDirectory() as name:
        index.save(Path(name))
        again = backend.open(Path(name))
        assert again.position == index.position
        assert again.ids().tolist() == index.ids().tolist()
        again.apply(NONE, np.empty((0, DIM), np.float32), NONE, again.position)
        return again


steps = st.lists(
    st.tuples(st.dictionaries(chunk_ids, directions, max_size=8), st.sets(chunk_ids, max_size=6), st.booleans()),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps, queries=st.lists(directions, max_size=3), k=st.integers(1, 60), may=st.sets(chunk_ids))
def test_any_history_answers_as_the_obvious_search(
    backend: vectors.Backend,
    steps: list[tuple[dict[int, Vectors], set[int], bool]],
    queries: list[Vectors],
    k: int,
    may: set[int],
) -> None:
    index: VectorIndex = backend.new(DIM)
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
    for end in (3_000, 1_200, 40):
        [ranking] = index.search(row[None, :], 7, allowed(range(5, end)))
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
