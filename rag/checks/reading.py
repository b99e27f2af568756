"""A text as the checks see it: its words without its numbers and dates, and its facts; read once, compared often."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise

from ingest.languages.sentences import sentences
from rag.checks import dates, names, negation, numbers, short_forms
from rag.checks.dates import Date
from rag.checks.names import Name
from rag.checks.negation import Clauses
from rag.checks.numbers import Quantity
from rag.checks.places import Places, places
from rag.language import Word, is_content, stem, words

_IRREGULAR = """
    be is are was were been being am; have has had having; do does did done; go went gone; write wrote written;
    send sent; build built; make made; run ran; find found; choose chose chosen; keep kept; take took taken;
    give gave given; begin began begun; know knew known; see saw seen; get got gotten; hold held; lead led; lose
    lost; mean meant; break broke broken; tell told; say said; become became; come came; fall fell fallen; rise
    rose risen; grow grew grown; show shown; speak spoke spoken; think thought; bring brought; buy bought; teach
    taught; catch caught; win won; sell sold; leave left; feel felt; meet met; pay paid; stand stood; understand
    understood; draw drew drawn; drive drove driven; eat ate eaten; fly flew flown; forget forgot forgotten;
    hide hid hidden; sing sang sung; steal stole stolen; swim swam swum; wear wore worn; child children; person
    people; man men; woman women; foot feet; mouse mice; bear bore born; die died death dead; spend spent; shoot
    shot; sit sat; sleep slept; throw threw thrown; wake woke woken; bind bound; override overrode overridden;
    rewrite rewrote rewritten; rebuild rebuilt; undo undid undone; redo redid redone; arise arose arisen; forbid
    forbade forbidden; overcome overcame; withdraw withdrew withdrawn; freeze froze frozen; lend lent; bend
    bent; blow blew blown; deal dealt; dig dug; fight fought; hang hung; lie lay lain; ride rode ridden; seek
    sought; shake shook shaken; stick stuck; strike struck
"""
_BASES = {
    stem(form): stem(forms.split()[0]) for forms in _IRREGULAR.replace("\n", " ").split(";") for form in forms.split()
}
_BRITISH = (
    (re.compile("isat"), "izat"),
    (re.compile("is$"), "iz"),
    (re.compile("ys$"), "yz"),
    (re.compile("our(?=$|it|abl|ful|s)"), "or"),
)


@dataclass(frozen=True)
class Reading:
    """What one text says, and how it says it."""

    written: str
    text: str  # as it is read: U.S.A. as USA, at the same offsets
    words: tuple[Word, ...]  # outside numbers and dates, contractions taken apart, in order; their stems are keys
    quantities: tuple[Quantity, ...]
    dates: tuple[Date, ...]

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of all its words."""
        return frozenset(word.stem for word in self.words)

    @cached_property
    def content(self) -> tuple[str, ...]:
        """The keys of its content words, in order."""
        return tuple(word.stem for word in self.words if is_content(word))

    @cached_property
    def forms(self) -> frozenset[str]:
        """Its words in small letters, alone and joined with their neighbours."""
        return names.joined(self.words)

    @cached_property
    def names(self) -> tuple[Name, ...]:
        return tuple(names.names(self.words, self.text, self.place))

    @cached_property
    def following(self) -> tuple[str, ...]:
        """For each name the word after it in small letters, "" at the end."""
        places = {word.start: i for i, word in enumerate(self.words)}
        after = [places[name.words[-1].start] + 1 for name in self.names]
        return tuple(self.words[i].text.lower() if i < len(self.words) else "" for i in after)

    @cached_property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Its pairs of neighbouring words."""
        return frozenset(pairwise(word.stem for word in self.words))

    @cached_property
    def trigrams(self) -> frozenset[str]:
        """Its runs of three characters, in small letters."""
        low = self.text.lower()
        return frozenset(low[i : i + 3] for i in range(len(low) - 2))

    @cached_property
    def clauses(self) -> Clauses:
        """What of it is denied and what is said."""
        return negation.clauses(self.words, self.text, self.ends, self.place)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Where its sentences end."""
        return tuple(end for _, end in sentences(self.text))

    @cached_property
    def place(self) -> Places:
        """The place of a span of it."""
        return places(self.words, self.ends)


@lru_cache(maxsize=4096)  # an answer compares each of its sentences with the same passages
def read(text: str) -> Reading:
    """What a text says. Linear in its length."""
    written, text = text, short_forms.undotted(text)
    moments = tuple(dates.dates(text))
    bare = _blanked(text, [(one.start, one.end) for one in moments])
    amounts = tuple(numbers.quantities(bare))
    bare = _blanked(bare, [(one.start, one.end) for one in amounts])
    return Reading(written, text, tuple(_words(bare)), amounts, moments)


def together(texts: Sequence[str]) -> Reading:
    """What several texts say, each read by itself and on a line of its own: no date or name goes from one to the next.
    Costs a tenth of reading them anew."""
    if len(texts) == 1:
        return read(texts[0])
    parts, at = [read(text) for text in texts], 0
    words: list[Word] = []
    amounts: list[Quantity] = []
    moments: list[Date] = []
    for part in parts:
        words += [Word(word.start + at, word.end + at, word.text, word.stem) for word in part.words]
        amounts += [replace(one, start=one.start + at, end=one.end + at) for one in part.quantities]
        moments += [replace(one, start=one.start + at, end=one.end + at) for one in part.dates]
        at += len(part.text) + 1
    written, text = "\n".join(part.written for part in parts), "\n".join(part.text for part in parts)
    return Reading(written, text, tuple(words), tuple(amounts), tuple(moments))


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def _words(text: str) -> list[Word]:
    found: list[Word] = []
    for word in words(text):
        parts = short_forms.expanded(word.text) if not word.text.isalnum() or word.text.lower() == "cannot" else ()
        if not parts:
            found.append(Word(word.start, word.end, word.text, key(word.stem)))
        for n, (part, at) in enumerate(parts):
            end = word.start + parts[n + 1][1] if n + 1 < len(parts) else word.end
            written = part.capitalize() if n == 0 and word.text[0].isupper() else part
            found.append(Word(word.start + at, end, written, key(stem(part))))
    return found


@lru_cache(maxsize=65536)
def key(stemmed: str) -> str:
    """Under what a stem is compared: irregular forms as their base, British spelling as American."""
    base = _BASES.get(stemmed, stemmed)
    if len(base) > 4:
        for british, american in _BRITISH:
            base = british.sub(american, base)
    return base
