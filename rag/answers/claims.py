"""What an answer claims: its sentences, the passages that it marks, and whether it says that it has no answer; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from ingest.languages.sentences import sentences

BESIDE = 4  # words by which a number in brackets is known as quoted

ABSTENTION = "The documents do not answer this question."
_ABSTAINS = re.compile(
    r"\W*(?:(?:i am|i'm) sorry\W+|sorry\W+|unfortunately\W+)?(?:but\s+)?the\s+(?:provided\s+|given\s+)?"
    r"(?:documents|passages)\s+(?:do\s+not|don't)\s+(?:answer|contain\s+(?:the|an)\s+answer\s+to)\s+(?:this|the)\s+question",
    re.IGNORECASE,
)

MARKER = re.compile(r"[ \t]*\[\s*\d{1,4}(?:\s*[,;]\s*\d{1,4})*\s*\]")
"""A citation marker with the blanks before it: [1], [1, 2]."""
INSERTION = re.compile(r"^\[[^\[\]\n]*[^\W\d][^\[\]\n]*\]\s+(?=\S)")
"""Words in square brackets before a quote, as the title of what it speaks of: they are no part of what is claimed."""


def is_abstention(text: str) -> bool:
    """Whether an answer says that it has none: it begins with `ABSTENTION` or a close variant of it."""
    return _ABSTAINS.match(text.replace("’", "'")) is not None


def marked_numbers(marker: str) -> list[int]:
    """The numbers in a marker, in order."""
    return [int(number) for number in re.findall(r"\d+", marker)]


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer and the passages it names."""

    start: int  # in the answer; the span does not cover markers after the full stop
    end: int
    text: str  # without markers
    numbers: tuple[int, ...]  # as marked, each once, whether or not there is such a passage


def without_markers(answer: str) -> str:
    """The text without its citation markers."""
    return MARKER.sub("", answer)


def claims(answer: str, texts: Sequence[str] = ()) -> tuple[Claim, ...]:
    """The sentences of an answer with what they mark; a marker belongs to the last sentence that begins before it.

    texts: those that the answer may quote. A number in brackets that is quoted with the words beside it, as a paper
    names its sources, is no marker and stays in its sentence.
    """
    return tuple(
        Claim(start, end, INSERTION.sub("", _without(answer, start, end, marks)), _numbers(marks))
        for (start, end), marks in _marked(answer, tuple(texts))
    )


def markers(answer: str, texts: Sequence[str] = ()) -> tuple[re.Match[str], ...]:
    """The markers of an answer, in order, without what it quotes of the texts."""
    return tuple(mark for _, marks in _marked(answer, tuple(texts)) for mark in marks)


@lru_cache(maxsize=64)  # citations and scorers ask for those of one answer in turn
def _marked(answer: str, texts: tuple[str, ...]) -> tuple[tuple[tuple[int, int], tuple[re.Match[str], ...]], ...]:
    """The sentences of an answer, each with its markers."""
    spans = sentences(MARKER.sub(lambda match: " " * len(match.group()), answer))  # same offsets, markers unseen
    found: list[list[re.Match[str]]] = [[] for _ in spans]
    for match in MARKER.finditer(answer):
        before = [i for i, (start, _) in enumerate(spans) if start < match.end()]
        if spans:
            found[before[-1] if before else 0].append(match)
    return tuple(
        (span, tuple(one for one in marks if not _is_quoted(answer, span[0], one, one is marks[-1], texts)))
        for span, marks in zip(spans, found, strict=True)
    )


def _is_quoted(answer: str, start: int, marker: re.Match[str], last: bool, texts: Sequence[str]) -> bool:
    """Whether a text has a marker's words and the marker itself. The last of a sentence that names such texts only is
    one all the same."""
    before, after = answer[start : marker.start()], answer[marker.end() :]
    told = [_ending(before), _ending(MARKER.sub("", before))]  # a marker of ours may have come between
    parts = {words + marker.group() for words in told if words}
    if opening := _opening(after):
        parts.add(marker.group().strip() + opening)
    holding = {number for number, text in enumerate(texts, 1) if any(part in text for part in parts)}
    return bool(holding) and not (last and holding.issuperset(marked_numbers(marker.group())))


def _ending(text: str) -> str:
    """The last few words of a text as they stand there; "" where it has fewer than two."""
    starts = [word.start() for word in re.finditer(r"\S+", text)][-BESIDE:]
    return text[starts[0] :] if len(starts) > 1 else ""


def _opening(text: str) -> str:
    """The first few words of a text as they stand there; "" where it has fewer than two."""
    ends = [word.end() for word in islice(re.finditer(r"\S+", text), BESIDE)]
    return text[: ends[-1]] if len(ends) > 1 else ""


def _without(answer: str, start: int, end: int, marks: Sequence[re.Match[str]]) -> str:
    """A sentence without its markers."""
    text = answer[start:end]
    for mark in reversed(marks):
        if start <= mark.start() < end:
            text = text[: mark.start() - start] + text[mark.end() - start :]
    return text


def _numbers(marks: Sequence[re.Match[str]]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(number for mark in marks for number in marked_numbers(mark.group())))
