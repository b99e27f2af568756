"""What the extractive generator may quote: more than the question itself, and nothing twice."""

import pytest

from rag.generators._evidence import candidates, quotable
from rag.types import Hit, Passage, Place


def texts(question: str, *passages: str) -> list[str]:
    """The sentences of these passages that may be quoted."""
    found = candidates(
        [
            Passage(Hit(n, 1.0, {}), text, "", (), (Place(n, "file:///x", None, "x"),), None, 0, len(text), n)
            for n, text in enumerate(passages, 1)
        ]
    )
    return [found[i].text for i in quotable(question, found)]


@pytest.mark.parametrize("echo", ["What does the doctor check?", "$ run what does the doctor check", "The doctor."])
def test_a_sentence_that_only_says_the_question_again_is_not_quoted(echo: str) -> None:
    answer = "It looks at every checksum."
    assert texts("What does the doctor check?", f"{echo}\n\n{answer}") == [answer]


def test_where_yes_or_no_would_do_the_question_s_own_words_are_an_answer() -> None:
    assert texts("Is the sky blue?", "The sky is blue.") == ["The sky is blue."]


def test_what_stands_twice_is_quoted_where_it_stands_first() -> None:
    assert texts("What grows?", "Apples grow here. Pears too.", "apples grow here! Plums as well.") == [
        "Apples grow here.",
        "Pears too.",
        "Plums as well.",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Usage: rag doctor [OPTIONS]",
        "$ rag doctor --repair",
        'data: {"text":"the doctor looks at what is broken"}',
        "event: done",
        '{"interaction_id":"01M7","question":"What does the doctor do?","answer":null}',
    ],
)
def test_what_a_machine_prints_or_reads_is_quoted_only_where_it_is_asked_for(line: str) -> None:
    said = "The doctor looks at every checksum."
    assert texts("What does the doctor look at?", f"{line}\n\n{said}") == [said]
    assert line in texts("Which options has the doctor?", f"{line}\n\n{said}")
    assert texts("What does the doctor look at?", line) == [line]


@pytest.mark.parametrize(
    "line", ["Usage of the park is free.", "Data: they say nothing.", "It costs $5 [2].", '"Never," she said, "again."']
)
def test_prose_is_no_machine_text(line: str) -> None:
    assert texts("What is free or costs something?", f"{line}\n\nThe doctor is in.")[0] == line
