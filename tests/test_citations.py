"""From an answer to its checked citations: markers, offsets into the document, and what is not believed."""

from rag.citations import cite
from rag.support import ABSTENTION
from rag.types import Citation, Hit, Passage

BRIDGE = "Ships pass below. The Golden Gate Bridge was opened in 1937. It is painted orange."
BEES = "Bees dance to tell their sisters where flowers are. They see ultraviolet light."


def passage(text: str, start: int = 0) -> Passage:
    return Passage(Hit(1, 1.0, {}), text, "", (), (), None, start, start + len(text), 1)


PASSAGES = (passage(BRIDGE, 1000), passage(BEES, 50))


def only(citations: tuple[Citation, ...]) -> Citation:
    (citation,) = citations
    return citation


def test_a_marked_sentence_is_matched_in_the_document() -> None:
    answer = "The bridge was opened in 1937 [1]."
    citation = only(cite(answer, PASSAGES))
    assert (citation.passage, citation.marked, citation.verdict) == (1, True, "supported")
    assert answer[citation.start : citation.end] == answer
    assert citation.quote == "The Golden Gate Bridge was opened in 1937."
    at = BRIDGE.index(citation.quote)
    assert (citation.quote_start, citation.quote_end) == (1000 + at, 1000 + at + len(citation.quote))


def test_every_form_of_marker_is_read() -> None:
    for answer in (
        "Bees dance for flowers [1][2].",
        "Bees dance for flowers. [1, 2]",
        "Bees dance for flowers [2; 1].",
    ):
        assert [c.passage for c in cite(answer, PASSAGES) if c.marked] == [1, 2]


def test_an_unmarked_sentence_is_matched_too() -> None:
    citation = only(cite("Ultraviolet light is what they see.", PASSAGES))
    assert (citation.passage, citation.marked, citation.verdict) == (2, False, "supported")
    assert citation.quote == "They see ultraviolet light."


def test_a_number_that_no_passage_has_is_not_believed() -> None:
    citation = only(cite("The bridge was opened in 1937 [7][0].", PASSAGES))
    assert (citation.passage, citation.marked) == (1, False)


def test_a_wrong_marker_is_told_and_the_right_passage_is_found() -> None:
    wrong, right = cite("The bridge was opened in 1937 [2].", PASSAGES)
    assert (wrong.passage, wrong.marked, wrong.verdict) == (2, True, "unsupported")
    assert (right.passage, right.marked, right.verdict) == (1, False, "supported")


def test_what_nothing_supports_has_no_passage() -> None:
    citation = only(cite("Bananas are rich in potassium.", PASSAGES))
    assert citation.passage is None
    assert (citation.quote, citation.quote_start, citation.verdict) == ("", None, "unsupported")


def test_a_contradiction_is_shown_with_its_place() -> None:
    citation = only(cite("The Golden Gate Bridge was opened in 1973.", PASSAGES))
    assert (citation.passage, citation.verdict) == (1, "contradicted")
    assert "1937" in citation.quote


def test_sentences_keep_their_own_citations() -> None:
    answer = "The bridge was opened in 1937 [1]. Bees dance to tell where flowers are [2]."
    first, second = cite(answer, PASSAGES)
    assert [answer[c.start : c.end] for c in (first, second)] == [answer[:34], answer[35:]]
    assert (first.passage, second.passage) == (1, 2)


def test_abstentions_and_empty_answers_cite_nothing() -> None:
    assert cite(ABSTENTION, PASSAGES) == ()
    assert cite("", PASSAGES) == ()
    assert cite("[1] [2]", PASSAGES) == ()


def test_without_passages_nothing_is_supported() -> None:
    assert only(cite("Bees dance [1].", ())).passage is None
