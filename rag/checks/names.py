"""Names: words written as names, and whether a text has them, in whatever of their forms."""

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from operator import add

from rag.checks.places import ENOUGH, Place, Places, shared
from rag.language import STOPWORDS, Word, listed
from rag.types import Reason

_ENDS = (".", "!", "?", ":", "\n", "•", "|", ";")
_SEVERAL = re.compile(r"[a-z][A-Z]|^[A-Z]{2}|^[A-Z]\d|[A-Z]\w*\d")  # FastAPI, OWASP, OAuth2
_POSSESSIVE = re.compile(r"['’]s?$")
# A first word before one of these is what the sentence is about, not what it tells to do: "Django is …".
_FINITE = frozenset(
    listed("""
        is was are were has had have does did do can could will would shall should may might must isn't wasn't
        doesn't didn't can't won't also now only already still never always provides supports allows uses offers
        requires makes includes contains comes needs works runs gives lets helps handles returns introduced
        published released announced recommends defines became began wrote founded
    """)
)
_COMMON_NOUN = re.compile(r"(?:tion|sion|ment|ness|ity|ing|ance|ence|ship|ism|ure|age|ies|ers|ors|ly|ed|ions|ments)$")
_TITLES = frozenset(listed("mr mrs ms dr prof st no"))


@dataclass(frozen=True, slots=True)
class Name:
    """A run of words written as one name."""

    words: tuple[Word, ...]
    place: Place
    opens: bool  # whether only its place at the beginning of a sentence may be why it has a capital

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


def names(found: Sequence[Word], text: str, place: Places) -> list[Name]:
    """The names of a text by their form: a capital inside a sentence, several capitals, letters with digits.

    Of a sentence's first word with one capital the form cannot tell: it is given as a name of its own, with `opens`.
    """
    told: list[Name] = []
    run: list[Word] = []

    def end_run() -> None:
        if run:
            told.append(Name(tuple(run), place(run[0].start, run[-1].end), opens=False))
            run.clear()

    capitals = [i for i, word in enumerate(found) if not word.text.islower()]  # most words: without one none is a name
    for i, before in zip(capitals, [-1, *capitals], strict=False):
        word = found[i]
        if run and before < i - 1:
            end_run()
        between = text[found[i - 1].end if i else 0 : word.start]
        opening = i == 0 or between.strip(" \"'“‘’”)([*_`").endswith(_ENDS)
        plain = _SEVERAL.search(word.text) is None
        low = word.text.lower()
        looks = (word.text[0].isupper() and len(word.text) > 1) or not plain
        looks = looks and low not in STOPWORDS and low not in _TITLES and not word.text.isdigit()
        if not looks or opening or between not in (" ", "-", "\u00a0"):
            end_run()
        if looks and plain and opening:
            told.append(Name((word,), place(word.start, word.end), opens=True))
        elif looks:
            run.append(word)
    end_run()
    return told


def joined(found: Sequence[Word]) -> frozenset[str]:
    """Every word, and two or three neighbours written as one: Git Hub Actions → "git", "github", "githubactions"."""
    low = [_bare(word.text) for word in found]
    two = list(map(add, low, low[1:]))
    return frozenset([*low, *two, *map(add, two, low[2:])])


@lru_cache(maxsize=65536)
def _bare(written: str) -> str:
    return _POSSESSIVE.sub("", written.lower())


def _is_held(word: Word, held: Set[str], forms: Callable[[], Set[str]], spelled: Set[str]) -> bool:
    """Whether the text has the name: of a name with one capital the stem is enough, of APIRouter it is not."""
    if word.stem in spelled:
        return True
    if word.stem in held and (_SEVERAL.search(word.text) is None or word.text.endswith("s")):
        return True
    low, known = _bare(word.text), forms()
    return low in known or low + "s" in known or (low.endswith("s") and low[:-1] in known)


def compare(
    ours: Sequence[Name],
    theirs: Sequence[Name],
    following: Sequence[str],
    held: Set[str],
    spelled: Set[str],
    forms: Callable[[], Set[str]],
) -> tuple[list[Reason], list[Reason]]:
    """For the names that the text does not have: conflicts, where another one stands in their place, and the rest.

    following: for each of our names the word after it as written in small letters. held: the stems that the text has;
    spelled: those it has in a longer or shorter form; forms: gives its words and joined neighbours in small letters.
    """
    conflicts, missing = [], []
    mine = {word.stem for name in ours for word in name.words}
    for name, next_word in zip(ours, following, strict=True):
        lacking = [word for word in name.words if not _is_held(word, held, forms, spelled)]
        if not lacking or "".join(_bare(word.text) for word in name.words) in forms():
            told = not lacking and not name.opens and not any(word.stem in spelled for word in name.words)
            if told and (rival := _in_the_same_place(name, theirs, mine)):
                conflicts.append(Reason("name", f"{name.text} against {rival.text} in the text"))
            continue
        rival = _standing_for(name, theirs)
        if name.opens and (rival is None or (rival.opens and not _is_about(name, next_word))):
            continue
        shown = " ".join(word.text for word in lacking)
        if rival:
            conflicts.append(Reason("name", f"{shown} against {rival.text} in the text"))
        else:
            missing.append(Reason("name", f"the name {shown} is not in the text"))
    return conflicts, missing


def _is_about(name: Name, next_word: str) -> bool:
    """Whether a sentence's first word is a name rather than an order, an adverb or a common noun."""
    return next_word in _FINITE and not _COMMON_NOUN.search(name.words[0].text)


def _standing_for(name: Name, theirs: Sequence[Name]) -> Name | None:
    """The name of the text that has the place which the name has in the sentence: most of the same neighbours."""
    ours = {word.stem for word in name.words}
    others = [other for other in theirs if not ours >= {word.stem for word in other.words}]
    best = max(others, key=lambda other: shared(name.place, other.place), default=None)
    return best if best and shared(name.place, best.place) >= ENOUGH else None


def _in_the_same_place(name: Name, theirs: Sequence[Name], mine: Set[str]) -> Name | None:
    """Another name, none of ours, in the place that the name has in the sentence, where the text never has it there."""
    ours = {word.stem for word in name.words}
    beside = _beside(name)
    there = [other for other in theirs if _beside(other) == beside and shared(name.place, other.place) > ENOUGH]
    if any(ours & {word.stem for word in other.words} for other in there):
        return None
    return next((other for other in there if not mine >= {word.stem for word in other.words}), None)


def _beside(name: Name) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return name.place.before[:1], name.place.after[:1]
