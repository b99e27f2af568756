"""Whatever is answered, citations are ordered, within bounds, and quote the document exactly."""

from hypothesis import given
from hypothesis import strategies as st

from rag.citations import cite
from rag.types import Hit, Passage

WORDS = ["The", "bridge", "opened", "in", "1937", "not", "Bees", "dance", "flowers", "never", "increased", "I", "?"]
word = st.sampled_from([*WORDS, "[1]", "[2]", "[9]", "[1, 2]"])
prose = st.one_of(
    st.lists(st.lists(word, min_size=1, max_size=8).map(" ".join), max_size=5).map(". ".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
)


@given(prose, st.lists(st.tuples(prose, st.integers(0, 50)), max_size=3))
def test_citations_quote_the_document(answer: str, documents: list[tuple[str, int]]) -> None:
    whole = ["x" * start + text for text, start in documents]
    passages = [
        Passage(Hit(i, 1.0, {}), text, "", (), (), None, start, start + len(text), i)
        for i, (text, start) in enumerate(documents, 1)
    ]
    found = cite(answer, passages)
    assert found == cite(answer, passages)
    assert list(found) == sorted(found, key=lambda c: c.start)
    for citation in found:
        assert 0 <= citation.start < citation.end <= len(answer)
        assert 0 <= citation.support <= 1
        if citation.quote_start is None:
            assert (citation.quote, citation.quote_end, citation.verdict) == ("", None, "unsupported")
            continue
        assert citation.passage is not None
        assert citation.quote == whole[citation.passage - 1][citation.quote_start : citation.quote_end] != ""


@given(st.lists(st.lists(word, min_size=3, max_size=8).map(" ".join), min_size=1, max_size=4))
def test_what_is_copied_with_its_marker_is_supported(lines: list[str]) -> None:
    plain = [line.replace("[", "").replace("]", "").replace("?", "x") for line in lines]
    text = ". ".join(f"So {line} 5 words" for line in plain) + "."
    passage = Passage(Hit(1, 1.0, {}), text, "", (), (), None, 0, len(text), 1)
    answer = text[: text.index(" 5 words")] + " 5 words [1]."
    assert all(c.verdict == "supported" and c.support == 1.0 and c.marked for c in cite(answer, [passage])[:1])
