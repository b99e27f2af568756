"""The sentences of some passages as candidates for an answer, and those of them that may be quoted; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.languages.sentences import sentences
from rag.answers.injection import commands
from rag.generators._extractive.asked import is_open
from rag.language import NEGATIONS, Word, is_content, words
from rag.types import Passage

NEAR_EQUAL = 0.8  # share of their content words that two sentences have in common which say the same
MOST_MARKS = 0.15  # share of a line's characters that are marks of JSON and its like from which it is no sentence
_MACHINE = re.compile(
    r"\W{0,3}(?:(?:usage|synopsis|syntax):\s|(?:\$|>>>|#!) ?\S|(?:event|data): ?(?:\{|\w+$))",
    re.IGNORECASE | re.MULTILINE,
)
_MARKS = re.compile(r"[{}\[\]\\|<>=;\"]")
_WANTS_FORM = re.compile(
    r"\b(?:usage|synopsis|syntax|options?|flags?|commands?|arguments?|parameters?|json|curl|code|output|print\w*"
    r"|look like|example)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(r"[?？؟][\"'”’»)*_\]]*$")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of a passage that may answer: passages[passage].text[start:end]."""

    passage: int  # 0-based, in prompt order
    place: int  # which of its passage's sentences, from 0
    start: int
    end: int
    text: str
    words: tuple[Word, ...]  # offsets into `text`


def candidates(passages: Sequence[Passage]) -> list[Candidate]:
    """Every sentence of the passages that holds a word, in order; none that gives orders to a model."""
    found = []
    for number, passage in enumerate(passages):
        place, orders = 0, frozenset(commands(passage.text))
        for start, end in sentences(passage.text):
            if (start, end) in orders:
                continue
            text = passage.text[start:end]
            inside = tuple(words(text))
            if inside:
                found.append(Candidate(number, place, start, end, text, inside))
                place += 1
    return found


def quotable(question: str, found: Sequence[Candidate]) -> list[int]:
    """The places of the sentences that may be quoted: those that do more than repeat the question and do not only ask,
    and of several that say the same word for word the first, so that no answer says a thing twice. What a machine
    prints or reads is left out where there is anything else, unless the question asks for such."""
    first: dict[tuple[str, ...], int] = {}
    for i, one in enumerate(found):
        if not repeats(question, one) and not _ASKS.search(one.text):
            first.setdefault(tuple(word.text.lower() for word in one.words), i)
    able = list(first.values())
    if _WANTS_FORM.search(question):
        return able
    return [i for i in able if not is_machine_text(found[i].text)] or able


def is_machine_text(text: str) -> bool:
    """Whether a line is a synopsis of a command, a prompt of a shell, or mostly the marks of JSON and its like: it
    holds the words of many questions and says nothing about them."""
    return _MACHINE.match(text) is not None or len(_MARKS.findall(text)) > MOST_MARKS * len(text)


def near_equal(one: Candidate, other: Candidate) -> bool:
    """Whether two sentences say the same in nearly the same words: four fifths of their content words, and every
    number and every denial, are common to both."""
    first, second = _said(one), _said(other)
    facts = [{word.text for word in each.words if any(map(str.isdigit, word.text))} for each in (one, other)]
    denials = [sum(word.text.lower().replace("’", "'") in NEGATIONS for word in each.words) for each in (one, other)]
    alike = len(first & second) >= NEAR_EQUAL * len(first | second)
    return alike and facts[0] == facts[1] and denials[0] == denials[1]


def _said(one: Candidate) -> set[str]:
    return {word.stem for word in one.words if is_content(word)}


def repeats(question: str, one: Candidate) -> bool:
    """Whether a sentence only says the question again: it matches best of all and answers nothing.

    So does one that holds the question word for word, a heading that only names what is asked about, and, unless yes or
    no would do, one without a content word of its own.
    """
    asked = [word.text.lower() for word in words(question)]
    held = [word.text.lower() for word in one.words]
    if any(held[i : i + len(asked)] == asked for i in range(len(held) - len(asked) + 1)):
        return True
    known = {word.stem for word in words(question)}
    if all(is_content(word) and word.stem in known for word in one.words):
        return True
    return is_open(question) and not any(is_content(word) and word.stem not in known for word in one.words)
