"""Words that are searched in the log: what people type becomes terms, and never the syntax of a database.

Words are runs of letters and digits, whatever their case; all must be found. "Several words" in quotes are found as
they stand, wor* finds what begins so, with three letters at least. Everything else that is typed separates words. Where
writing has no spaces, a word is what stands between punctuation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST = 32  # terms of a search; further ones are not heard
LONGEST = 200  # letters of a word that is indexed on every database
SHORTEST = 3  # letters of a beginning: with fewer, half of all words begin so

_TYPED = re.compile(r'"([^"]*)"(\*?)|([^\s"]+)')
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand next to each other; of the last one, with `prefix`, the beginning."""

    words: tuple[str, ...]
    prefix: bool = False


def terms(typed: str) -> tuple[Term, ...]:
    """What is searched for; empty where nothing that was typed is a word."""
    found: dict[Term, None] = {}
    for phrase, star, word in _TYPED.findall(typed):
        if words := tuple(_WORD.findall((phrase or word).lower())):
            prefix = (bool(star) or word.endswith("*")) and len(words[-1]) >= SHORTEST
            found[Term(words, prefix)] = None
    return tuple(found)[:MOST]


def searchable(wanted: Sequence[Term]) -> bool:
    """Whether anything can match."""
    return bool(wanted) and all(len(word) <= LONGEST for term in wanted for word in term.words)


def apart(wanted: Sequence[Term]) -> tuple[Term, ...]:
    """The words of the terms, wherever they stand."""
    return tuple(
        Term((word,), term.prefix and place == len(term.words))
        for term in wanted
        for place, word in enumerate(term.words, 1)
    )


def fts5(wanted: Sequence[Term], begun: Mapping[str, Sequence[str]] | None = None) -> str:
    """As SQLite's FTS5 reads it (https://sqlite.org/fts5.html, section 3). begun: for beginnings, all words that begin
    so, in their place."""

    def one(term: Term) -> str:
        ends = (begun or {}).get(term.words[-1]) if term.prefix else None
        if ends is None:
            return f'"{" ".join(term.words)}"{"*" if term.prefix else ""}'
        return "(" + " OR ".join(f'"{" ".join((*term.words[:-1], end))}"' for end in ends) + ")"

    return " AND ".join(map(one, wanted))


def tsquery(wanted: Sequence[Term]) -> str:
    """As PostgreSQL reads a tsquery (manual, section 8.11.2)."""
    return " & ".join(
        "(" + " <-> ".join(f"'{word}'" for word in term.words) + (":*" if term.prefix else "") + ")" for term in wanted
    )
