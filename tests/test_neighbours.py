"""Widened passages quote their document exactly and never say the same words twice."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from rag.rankings.neighbours import widened
from rag.store.surroundings import Stretch
from rag.types import Hit, Passage, Place

TEXT = "".join(chr(0x4E00 + number) for number in range(200))  # no character twice
PLACE = (Place(1, "note:1", None, "Note"),)


def passage(content: int, stretch: Stretch) -> Passage:
    text = TEXT[stretch.start : stretch.end]
    return Passage(Hit(1, 0.5, {}), text, "Note", (), PLACE, stretch.page, stretch.start, stretch.end, content)


def read(spans: list[tuple[int, int, int]]) -> list[str]:
    return [TEXT[start:end] for _, start, end in spans]


def cut(sizes: list[int], gap: int, overlap: int) -> list[Stretch]:
    """Chunks of these sizes one behind the other."""
    found, start = [], 0
    for page, size in enumerate(sizes, 1):
        found.append(Stretch(max(0, start - overlap), start + size, page))
        start += size + gap
    return found


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=10),
    gap=st.integers(0, 2),
    overlap=st.integers(0, 3),
    reach=st.integers(1, 4),
    data=st.data(),
)
def test_the_text_is_exact_and_nothing_new_is_shown_twice(
    sizes: list[int], gap: int, overlap: int, reach: int, data: st.DataObject
) -> None:
    chunks = cut(sizes, gap, overlap)
    order = data.draw(st.permutations(range(len(chunks))))[: data.draw(st.integers(1, len(chunks)))]
    contents = [data.draw(st.integers(1, 2)) for _ in order]
    found = [passage(content, chunks[number]) for content, number in zip(contents, order, strict=True)]
    around = [chunks[max(0, number - reach) : number + reach + 1] for number in order]
    wide = widened(found, around, read)  # type: ignore[arg-type]
    for before, after in zip(found, wide, strict=True):
        assert after.text == TEXT[after.start : after.end]
        assert after.start <= before.start <= before.end <= after.end
        assert (after.hit, after.content_id) == (before.hit, before.content_id)
    for one, other in combinations(range(len(wide)), 2):
        if wide[one].content_id == wide[other].content_id:
            twice = range(max(wide[one].start, wide[other].start), min(wide[one].end, wide[other].end))
            already = range(max(found[one].start, found[other].start), min(found[one].end, found[other].end))
            assert len(twice) <= len(already), "only what two chunks share by themselves is shown twice"


def test_what_two_passages_could_have_goes_to_the_better_one() -> None:
    chunks = cut([5, 5, 5], 1, 0)
    wide = widened([passage(1, chunks[2]), passage(1, chunks[0])], [chunks[1:], chunks[:2]], read)  # type: ignore[arg-type]
    assert [(each.start, each.end, each.page) for each in wide] == [(6, 17, 2), (0, 5, 1)]


def test_a_passage_that_stands_alone_has_both_neighbours_and_the_page_of_its_beginning() -> None:
    chunks = cut([5, 5, 5], 1, 0)
    [wide] = widened([passage(1, chunks[1])], [chunks], read)  # type: ignore[arg-type]
    assert (wide.text, wide.start, wide.end, wide.page) == (TEXT[:17], 0, 17, 1)


def test_without_neighbours_nothing_changes() -> None:
    [chunk] = cut([5], 0, 0)
    assert widened([passage(1, chunk)], [[]], read) == [passage(1, chunk)]  # type: ignore[arg-type]
