"""From an answer to its checked citations: markers, offsets into the document, and what is not believed."""

from rag.answers.claims import ABSTENTION
from rag.citations import cite, only_supported
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


def test_what_a_document_cites_is_no_source_of_the_answer() -> None:
    paper = passage("Transformers beat recurrent networks on translation [2]. They need much memory.")
    answer = "Transformers beat recurrent networks on translation [2] [1]."
    citation = only(cite(answer, (paper, passage(BEES))))
    assert (citation.passage, citation.marked, citation.verdict) == (1, True, "supported")
    assert citation.quote == "Transformers beat recurrent networks on translation [2]."


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


def test_why_a_sentence_is_not_supported_is_told_by_kind() -> None:
    citation = only(cite("The Golden Gate Bridge was opened in 1973 [1].", PASSAGES))
    assert [(reason.kind, reason.text) for reason in citation.reasons] == [("date", "1973 against 1937 in the text")]
    assert only(cite("The Golden Gate Bridge was opened in 1937 [1].", PASSAGES)).reasons == ()


def test_only_what_is_supported_stays() -> None:
    answer = (
        "The bridge was opened in 1973 [1]. It is painted orange. [1] Bananas are yellow [2].\n\nBees dance [2][1]."
    )
    citations = cite(answer, PASSAGES)
    left = only_supported(answer, citations)
    assert left.text == "It is painted orange. [1] Bees dance [2][1]."
    assert left.removed == ("The bridge was opened in 1973.", "Bananas are yellow.")
    assert [left.text[c.start : c.end] for c in left.citations] == [
        "It is painted orange.",
        *["Bees dance [2][1]."] * 2,
    ]
    assert left.citations == cite(left.text, PASSAGES)


def test_an_answer_that_is_supported_is_left_as_it_is() -> None:
    answer = "  It is painted orange [1].\n"
    citations = cite(answer, PASSAGES)
    assert only_supported(answer, citations) == (answer, citations, ())


def test_when_nothing_is_supported_the_answer_is_an_abstention() -> None:
    answer = "Bananas are yellow [1]. The bridge was not opened in 1937."
    assert only_supported(answer, cite(answer, PASSAGES)) == (
        ABSTENTION,
        (),
        ("Bananas are yellow.", "The bridge was not opened in 1937."),
    )
    assert only_supported("", ()) == ("", (), ())
    assert only_supported(ABSTENTION, ()) == (ABSTENTION, (), ())


def test_items_of_a_list_go_one_by_one() -> None:
    answer = (
        "- The bridge was opened in 1937 [1]\n- It was painted blue in 1999 [1]\n- Bees see ultraviolet light [2]\n"
    )
    left = only_supported(answer, cite(answer, PASSAGES))
    assert left.text == "- The bridge was opened in 1937 [1]\n- Bees see ultraviolet light [2]"


def test_half_a_sentence_stays_only_if_its_facts_are_right() -> None:
    for answer, stays in (
        ("The bridge is painted orange and beautiful.", True),
        ("The bridge is painted Ferrari orange.", False),
    ):
        citation = only(cite(answer, PASSAGES))
        assert citation.verdict == "partly"
        assert (only_supported(answer, (citation,)).removed == ()) == stays
