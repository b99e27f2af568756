"""A ranking kept as arrays is the ranking of its hits."""

from hypothesis import given
from hypothesis import strategies as st

from rag.rankings.arrays import columns, ids_of, joined
from rag.types import Hit, Part

parts = st.dictionaries(
    st.sampled_from(["dense", "bm25", "fused"]),
    st.builds(Part, st.integers(1, 9), st.floats(-1, 9, allow_nan=False)),
    max_size=3,
)
hits = st.lists(st.builds(Hit, st.integers(0, 2**40), st.floats(-1, 9, allow_nan=False), parts), max_size=6)


@given(hits=hits)
def test_arrays_and_hits_say_the_same(hits: list[Hit]) -> None:
    kept = columns(hits)
    assert list(kept) == hits
    assert kept == hits
    assert [kept[place] for place in range(len(kept))] == hits
    assert ids_of(kept).tolist() == [hit.chunk_id for hit in hits]
    assert columns(kept) is kept


@given(hits=hits, first=st.integers(-7, 7), last=st.integers(-7, 7))
def test_a_slice_is_the_slice_of_the_hits(hits: list[Hit], first: int, last: int) -> None:
    assert columns(hits)[first:last] == hits[first:last]
    assert (columns(hits)[:1] == []) == (not hits)


@given(one=hits, other=hits)
def test_rankings_behind_each_other(one: list[Hit], other: list[Hit]) -> None:
    assert joined(one, columns(other)) == one + other


def test_another_ranking_is_not_equal() -> None:
    one = columns([Hit(1, 0.5, {"dense": Part(1, 0.5)})])
    assert one != [Hit(1, 0.5, {"dense": Part(2, 0.5)})]
    assert one != [Hit(1, 0.5, {})]
    assert one != 3
