"""Grounded decoding: numbers, names and quoted spans are said only if they stand in the sources.

A text is read character by character. Each character either may stand where it does or not, so that the tokens a model
may say next are those whose characters all may. Bound by this are

- numbers in figures, 1874 or 3.5 or 1,000, which must stand in the sources just so; besides, a marker [n] may name a
  passage that was shown;
- names, that is words with a capital first letter: they must stand so in the sources, and two in a row must stand in a
  row there; a sentence may also begin with a function word or with any word of the sources;
- spans in double quotes, of any form, which must be quoted from the sources verbatim but for blanks.

Small letters are free: what a sentence says of the names and numbers is judged afterwards, by its support. Capitals say
little in languages that write every noun with one, and nothing in scripts that have none.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rag.language import STOPWORDS

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]+")
_PAIR = re.compile(r"([^\W\d_]+)[ \t\n-]+(?=([^\W\d_]+))")
_OPENS, _CLOSES = '"“„«', '"”“»'
_ENDS = ".!?:\n"  # what a sentence may begin after


@dataclass(frozen=True, slots=True)
class State:
    """How far a text was read."""

    number: str = ""  # the number that is being said
    mark: str = ""  # "." or "," behind it, which belongs to it if a digit follows
    word: str = ""  # the word that is being said
    opens: bool = True  # whether the word, or the next one, begins a sentence
    before: str = ""  # the name that ended just before, if the next word comes right after it
    bracket: bool = False  # within [ and so far only numbers
    marker: bool = False  # … of which one is no number of the sources: it must become a marker
    quote: str | None = None  # what was said since a quote began


@dataclass(frozen=True, slots=True)
class _Known:
    """Words or numbers, and what each may begin with."""

    whole: frozenset[str]
    begun: frozenset[str]

    @classmethod
    def of(cls, wholes: Iterable[str]) -> "_Known":
        whole = frozenset(wholes)
        return cls(whole, frozenset(one[:n] for one in whole for n in range(1, len(one) + 1)))


class Sources:
    """What may be said: the numbers, names and spans of some texts. Safe to share."""

    def __init__(self, texts: Iterable[str], passages: int) -> None:
        """texts: the passages, their titles, the question. passages: how many there are to point to by [n]."""
        texts = list(texts)
        lettered = [_letters(text) for text in texts]
        written = {word for text in lettered for word in _WORD.findall(text)}
        names = {word for word in written if word[0].isupper()}
        self._numbers = _Known.of(number for text in texts for number in NUMBER.findall(text))
        self._markers = _Known.of(str(n) for n in range(1, passages + 1))
        self._names = _Known.of(names)
        self._openers = _Known.of(names | {word[0].upper() + word[1:] for word in written | STOPWORDS})
        pairs: dict[str, set[str]] = {}
        for text in lettered:
            for one, other in _PAIR.findall(text):
                if one[0].isupper() and other[0].isupper():
                    pairs.setdefault(one, set()).add(other)
        self._next = {one: _Known.of(others) for one, others in pairs.items()}
        self._text = "\n".join(" ".join(text.split()) for text in texts)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, state: State, text: str) -> State | None:
        """The state after some more text; None if it may not stand there."""
        for char in text:
            after = self._step(state, char)
            if after is None:
                return None
            state = after
        return state

    def closed(self, state: State) -> bool:
        """Whether the text may end here: no number, name or marker is left half said."""
        return self._said_so(state.number) and self._word_whole(state) and not state.marker

    # ── one character ───────────────────────────────────────────────────────────────────────────────────────────────

    def _step(self, state: State, char: str) -> State | None:
        if state.quote is not None and char not in _CLOSES:
            quote = state.quote if char.isspace() and state.quote.endswith(" ") else state.quote + _blank(char)
            if quote.strip() and quote.lstrip() not in self._text:
                return None
            state = replace(state, quote=quote)
        if char.isdecimal():
            return self._digit(state, char)
        if char in ".," and state.number and not state.mark:
            return self._mark(state, char)
        if not self._number_whole(state):
            return None
        marker = state.marker or not self._said_so(state.number)
        state = replace(state, number="", mark="", opens=state.opens or state.mark == ".", marker=marker)
        if char.isalpha():
            return self._letter(state, char)
        return self._other(state, char)

    def _digit(self, state: State, char: str) -> State | None:
        if not self._word_whole(state):
            return None
        number = state.number + state.mark + char
        if number not in self._numbers.begun and not (state.bracket and number in self._markers.begun):
            return None
        return replace(state, number=number, mark="", word="", before="", opens=False)

    def _mark(self, state: State, char: str) -> State | None:
        """A point or comma behind figures: part of a number, if one goes on so, else the end of it."""
        goes_on = state.number + char in self._numbers.begun
        if not goes_on and not self._number_whole(state):
            return None
        if not goes_on and char == "." and (state.marker or not self._said_so(state.number)):
            return None
        return replace(state, mark=char)

    def _letter(self, state: State, char: str) -> State | None:
        if state.marker:
            return None
        word = state.word + char
        if not word[0].isupper() and not state.word:
            return replace(state, word=word, before="", opens=False, bracket=False)
        if word[0].isupper() and word not in self._names_here(state).begun:
            return None
        return replace(state, word=word, bracket=False)

    def _other(self, state: State, char: str) -> State | None:
        """A blank, a bracket, a mark of punctuation: it ends the word."""
        if not self._word_whole(state):
            return None
        if state.marker and char not in " ,;]":
            return None
        name = state.word if state.word[:1].isupper() and state.word.lower() not in STOPWORDS else ""
        before = (name or ("" if state.word else state.before)) if char in " \t\n-" else ""
        opens = (state.opens and not state.word) or char in _ENDS
        after = replace(state, word="", before="" if opens else before, opens=opens)
        if char == "[":
            return replace(after, bracket=True)
        if char not in " ,;" or char == "]":
            after = replace(after, bracket=False, marker=False)
        if state.quote is not None and char in _CLOSES:
            return replace(after, quote=None)
        return replace(after, quote="") if state.quote is None and char in _OPENS else after

    def _names_here(self, state: State) -> _Known:
        """The words with a capital that may stand where the state's word begins."""
        if state.before:
            return self._next.get(state.before, _NOTHING)
        return self._openers if state.opens else self._names

    def _word_whole(self, state: State) -> bool:
        return not state.word[:1].isupper() or state.word in self._names_here(state).whole

    def _number_whole(self, state: State) -> bool:
        return self._said_so(state.number) or (state.bracket and state.number in self._markers.whole)

    def _said_so(self, number: str) -> bool:
        """Whether there is no number, or one of the sources'."""
        return not number or number in self._numbers.whole


class Settled:
    """Lets a growing text through up to the last place at which it may end."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._state: State | None = State()
        self._held = ""

    def feed(self, more: str) -> str:
        """What can be said now, given some more of the text; what may not stand there ends it."""
        let = 0
        for char in more:
            if self._state is None:
                break
            self._state = self._sources.read(self._state, char)
            if self._state is None:
                break
            self._held += char
            if self._sources.closed(self._state):
                let = len(self._held)
        said, self._held = self._held[:let], self._held[let:]
        return said


def _letters(text: str) -> str:
    """The text with what is neither letter nor sign, as figures, in another form: words are runs of letters."""
    return "".join(char if char.isalpha() or not char.isalnum() else "|" for char in text)


def _blank(char: str) -> str:
    return " " if char.isspace() else char


_NOTHING = _Known.of(())


def sources_of(question: str, passages: Sequence[tuple[str, str]]) -> Sources:
    """The sources of one prompt; passages as (title, text)."""
    texts = [question, *(part for passage in passages for part in passage)]
    return Sources(texts, len(passages))
