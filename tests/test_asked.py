"""Questions as keyword search takes them: phrases in double quotes, the words of a question, misspelt ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.keywords.analysis import analyse, question_terms
from rag.keywords.asked import Asked, asked
from rag.keywords.exact import ExactKeywords
from rag.keywords.spelling import correctable, nearest, spread
from rag.keywords.vocabulary import Vocabulary
from tests.feeds import NONE, allowed

QUOTED = {
    '"vector search" in Python': [("vector", "search")],
    "“vector search” in „many words“": [("vector", "search"), ("mani", "word")],
    '("vector search"), "BM25".': [("vector", "search"), ("bm25",)],
    '"vector search" and "vector searches"': [("vector", "search")],
    'an unbalanced "quote': [],
    'a 5" screen and a 7" one': [],
    'say""nothing" "here': [],
    '{"key": "value"}': [],
    '"the"': [],  # function words only: nothing that a chunk could be asked to hold
    '"机械学习" now': [("机械", "械学", "学习")],
    'where is "getUserName" called': [("getusernam", "get", "user", "name")],
}


@pytest.mark.parametrize("question", QUOTED)
def test_phrases(question: str) -> None:
    assert asked(question, ["en"]).phrases == tuple((way,) for way in QUOTED[question])


@given(question=st.text(max_size=80), languages=st.lists(st.sampled_from(["en", "de", "zh", ""]), max_size=3))
def test_the_terms_are_those_of_the_question_whatever_is_quoted(question: str, languages: list[str]) -> None:
    found = asked(question, languages)
    assert list(found) == list(found.terms) == question_terms(question, languages)
    assert len(found) == len(found.terms)
    assert {term for word in found.words for term in word} <= set(found.terms)


def test_a_phrase_is_said_in_each_language_its_own_way() -> None:
    found = asked('"die alten Häuser" of rivers', ["de", "en"])
    assert found.phrases == ((("die", "alt", "haus"), ("die", "alten", "hauser")),)
    index = ExactKeywords()
    index.apply(
        np.arange(3), [analyse("die alten Häuser", "de"), analyse("die alten Häuser"), ["alt", "haus"]], NONE, 1
    )
    assert index.holding(found.phrases, allowed(range(3))).tolist() == [0, 1]
    assert index.holding(found.phrases, allowed([1, 2])).tolist() == [1]
    assert index.holding((), allowed([1, 2])).tolist() == [1, 2]


def test_a_phrase_is_found_in_capitals_whose_function_words_are_terms() -> None:
    found = asked('the "state of the art"?', ["en"])
    assert found.phrases == ((("state", "art"), ("state", "of", "the", "art")),)
    texts = ["STATE OF THE ART, 2026", "the state of the art", "the art of the state", "State-of-the-Art"]
    index = ExactKeywords()
    index.apply(np.arange(4), [analyse(text) for text in texts], NONE, 1)
    assert index.holding(found.phrases, allowed(range(4))).tolist() == [0, 1, 3]
    assert [hit.chunk_id for hit in index.search([found], 4, allowed(range(4)))[0]] == [1, 3, 0]


def test_a_word_known_in_one_of_its_forms_is_not_misspelt() -> None:
    index = ExactKeywords()
    index.apply(np.arange(2), [["haus", "alt"], ["hausen"]], NONE, 1)
    question = asked("Häuser", ["de", "en"])
    assert question.words == (("haus", "hauser"),)
    assert index.corrected(question) == {}
    index.apply(NONE, [], np.array([0]), 2)
    assert index.corrected(question) == {"hauser": ["hausen"]}  # removed chunks know no words


def test_only_the_nearest_stand_in_the_most_frequent_first() -> None:
    held = {"pollen": 3, "polled": 3, "poller": 9, "pollex": 1, "pollinate": 50}
    assert nearest("pollem", held, held.__getitem__) == ["poller", "polled", "pollen"]
    assert nearest("pollxenn", ["pollen"], held.__getitem__) == ["pollen"]  # two mistakes in eight letters
    assert nearest("polxxen", ["pollen"], held.__getitem__) == []  # but not in seven
    assert nearest("pollem", held, lambda term: 0) == []
    assert [correctable(term) for term in ("abc", "abcd", "p53x", "1984", "x" * 99)] == [
        False,
        True,
        False,
        False,
        False,
    ]


words = st.text("abcdeé机", min_size=1, max_size=12)


@settings(max_examples=60)
@given(terms=st.sets(words, max_size=40), asked_for=words)
def test_a_vocabulary_finds_what_it_holds_and_nothing_else(terms: set[str], asked_for: str) -> None:
    vocabulary = Vocabulary.of(sorted(terms))
    assert vocabulary.terms() == sorted(terms)
    assert len(vocabulary) == len(terms)
    for _ in range(2):  # looked up, then remembered
        for term in (*terms, asked_for):
            assert vocabulary.number(term) == (sorted(terms).index(term) if term in terms else None)
    assert set(vocabulary.alike(asked_for, 12 * 3)) == terms


@settings(max_examples=60)
@given(
    terms=st.sets(st.text("abcdef", min_size=3, max_size=12), max_size=60),
    term=st.text("abcdef", min_size=4, max_size=12),
)
def test_no_near_term_is_overlooked(terms: set[str], term: str) -> None:
    """What is looked at, by size, finds what looking at everything finds."""
    near = Vocabulary.of(sorted(terms)).alike(term, spread(term))
    assert nearest(term, near, lambda _: 1) == nearest(term, sorted(terms), lambda _: 1)


def test_corrections_are_the_same_in_any_order_of_writing() -> None:
    content = [["pollen"], ["polled", "pollen"], ["poller"], ["grass"]]
    question = Asked(("pollem",), (), (("pollem",),))
    found = set()
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        index = ExactKeywords()
        for position, chunk in enumerate(order, start=1):
            index.apply(np.array([chunk]), [content[chunk]], NONE, position)
        found.add(str((index.corrected(question), index.search([question], 9, allowed(range(4))))))
    assert len(found) == 1
