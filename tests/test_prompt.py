"""The prompt: what it looks like, that no passage can leave its fence, and that no budget is exceeded."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import TooMuch
from rag.prompt import pack, render, version
from rag.types import Hit, Message, Passage

GOLDEN = Path(__file__).parent / "golden" / "prompt.txt"


def passage(text: str, title: str = "", headings: tuple[str, ...] = (), start: int = 0) -> Passage:
    return Passage(Hit(1, 1.0, {}), text, title, headings, (), None, start, start + len(text), 1)


def count(messages: Sequence[Message]) -> int:
    return sum(len(message.content.split()) for message in messages)


def test_the_prompt_is_as_it_was() -> None:
    """A change of the prompt is a change of every answer: change this file on purpose only."""
    messages = render(
        "When was the bridge opened?",
        [
            passage("The bridge was opened in 1937.\n\nIt is red.", "Golden Gate Bridge", ("History", "Opening")),
            passage("Run:\n~~~\nmake demo\n~~~\n"),
        ],
    )
    told = "\n".join(f"── {message.role} ──\n{message.content}" for message in messages) + "\n"
    assert told == GOLDEN.read_text(encoding="utf-8")


def test_the_version_names_the_template_and_its_content() -> None:
    assert re.fullmatch(r"answer@[0-9a-f]{8}", version())
    assert pack("Why?", [], count_tokens=count, context_tokens=500, max_tokens=10).template == version()


nasty = st.text(
    st.one_of(st.sampled_from("~[]\n1 {}%#"), st.characters(exclude_categories=["Cs"], exclude_characters="\r")),
    max_size=60,
)


@given(st.lists(st.tuples(nasty, nasty), max_size=4), nasty)
def test_no_passage_leaves_its_fence(contents: list[tuple[str, str]], question: str) -> None:
    """Read back by its fences, the prompt holds exactly the passages that were put in, and then the question."""
    _, user = render(question, [passage(text, title) for text, title in contents])
    fence = re.match("~*", user.content).group() if contents else "~~~"  # type: ignore[union-attr]
    rest = user.content
    for number, (text, title) in enumerate(contents, 1):
        label = " ".join(title.split())
        opening = f"{fence} {label} [{number}]\n" if label else f"{fence} [{number}]\n"
        assert rest.startswith(opening)
        rest = rest.removeprefix(opening)
        end = rest.index(f"\n{fence}\n")  # the first line that can close it
        assert rest[:end] == text
        rest = rest[end + len(fence) + 2 :].removeprefix("\n")
    assert rest == f"Question: {question}"


@given(st.lists(st.integers(0, 80), max_size=6), st.integers(150, 500), st.integers(1, 100))
def test_the_budget_is_never_exceeded(sizes: list[int], context: int, answer: int) -> None:
    passages = [passage(" ".join([f"word{i}"] * size)) for i, size in enumerate(sizes)]
    try:
        prompt = pack("Why?", passages, count_tokens=count, context_tokens=context, max_tokens=answer)
    except TooMuch:
        assert count(render("Why?", [])) > context - answer
        return
    assert prompt.tokens == count(prompt.messages) <= context - answer
    assert prompt.messages == render("Why?", prompt.passages)
    assert [p.text for p in passages if p in prompt.passages] == [p.text for p in prompt.passages]  # in order of rank


def test_what_does_not_fit_is_left_out_and_the_next_is_tried() -> None:
    short, long = passage("A few words."), passage("word " * 300)
    room = count(render("Why?", [short, short]))
    prompt = pack("Why?", [short, long, short], count_tokens=count, context_tokens=room + 10, max_tokens=10)
    assert prompt.passages == (short, short)


def test_when_none_fits_the_first_is_cut_behind_a_sentence() -> None:
    whole = passage("One two three. Four five six. " + "Seven. " * 200, start=100)
    room = count(render("Why?", [passage("One two three. Four five six.")]))
    prompt = pack("Why?", [whole], count_tokens=count, context_tokens=room + 20, max_tokens=20)
    (cut,) = prompt.passages
    assert cut.text == "One two three. Four five six."
    assert (cut.start, cut.end) == (100, 100 + len(cut.text))


def test_without_room_for_a_sentence_there_is_no_passage() -> None:
    room = count(render("Why?", []))
    prompt = pack("Why?", [passage("word " * 300)], count_tokens=count, context_tokens=room + 25, max_tokens=20)
    assert prompt.passages == ()


def test_a_question_that_does_not_fit_is_refused() -> None:
    with pytest.raises(TooMuch, match="shorten the question"):
        pack("why " * 400, [], count_tokens=count, context_tokens=300, max_tokens=20)
