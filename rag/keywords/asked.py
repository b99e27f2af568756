"""A question as keyword search takes it: its terms, the phrases it puts in double quotes, and which terms are one word.

    >>> asked('"state of the art" vector serch', ["en"]).phrases
    ((('state', 'art'), ('state', 'of', 'the', 'art')),)

A phrase is required: a chunk that does not hold its terms one right after the other is no hit. Function words, which
are no terms, do not count; in a text in capitals, a heading perhaps, they are terms, and stand in the phrase as well.
Quotes that are not closed, or that stand inside a word (5" pipes), are plain text.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import overload

from rag.keywords.analysis import analyse, analysis, question_terms, words

_QUOTED = re.compile(r"(?<![^\s(\[,;:–—-])[\"“„](?=\S)([^\"“”„]+)(?<=\S)[\"”“](?![^\s.,;:!?)\]–—-])")

Phrase = tuple[tuple[str, ...], ...]
"""The terms of a phrase, one right after the other, once for each way the collection's languages analyse it, and once
more where it has others in capitals."""


@dataclass(frozen=True, slots=True)
class Asked(Sequence[str]):
    """The terms of a question, as a sequence of them, and what else it says."""

    terms: tuple[str, ...]
    phrases: tuple[Phrase, ...] = ()  # a hit holds each of them, in one of its ways
    words: tuple[tuple[str, ...], ...] = ()  # different terms of one word; one that no chunk knows may be misspelt

    def __len__(self) -> int:
        return len(self.terms)

    def __iter__(self) -> Iterator[str]:
        return iter(self.terms)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...
    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        return self.terms[at]


def asked(question: str, languages: Collection[str]) -> Asked:
    """What to ask an index for, whose chunks are in these languages."""
    analyses = sorted({analysis(language) for language in languages}) or ["en"]
    phrases = []
    for quoted in _QUOTED.findall(question):
        ways: dict[tuple[str, ...], None] = {}
        for language in analyses:
            if way := tuple(analyse(quoted, language)):
                ways[way] = None
                capitals = tuple(analyse(quoted.upper(), language))
                if len(capitals) > len(way):
                    ways[capitals] = None
        if ways:
            phrases.append(tuple(ways))
    terms = tuple(question_terms(question, languages))
    return Asked(terms, tuple(dict.fromkeys(phrases)), _words(_QUOTED.sub(" ", question), terms, analyses))


def _words(text: str, terms: Collection[str], analyses: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Of each different word outside of quotes its terms in all analyses together; parts of identifiers apart."""
    known = set(terms)
    found: dict[tuple[str, ...], None] = {}
    for word in dict.fromkeys(words(unicodedata.normalize("NFKC", text))):
        for alike in zip_longest(*(analyse(word, language) for language in analyses)):
            group = tuple(sorted({term for term in alike if term in known}))
            if group:
                found[group] = None
    return tuple(found)
