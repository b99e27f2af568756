"""A text as the checks see it: its words without its numbers and dates, and its facts; read once, compared often."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, chain, pairwise

from rag.checks import dates, names, negation, numbers, short_forms
from rag.checks.amounts import Placed
from rag.checks.dates import Date
from rag.checks.names import Name
from rag.checks.negation import Clauses
from rag.checks.numbers import Quantity
from rag.checks.places import Place, Places, places
from rag.language import Word, has_content, sentence_spans, stem, words

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

Trigram = tuple[str, str, str]


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
        return frozenset([word.stem for word in self.words])

    @cached_property
    def content(self) -> tuple[str, ...]:
        """The keys of its content words, in order."""
        return tuple([word.stem for word in self.words if has_content(word.text)])

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
    def placed(self) -> tuple[Placed, ...]:
        """Its numbers and their places."""
        return tuple((one, self.place(one.start, one.end)) for one in self.quantities)

    @cached_property
    def dated(self) -> tuple[tuple[Date, Place], ...]:
        """Its dates and their places."""
        return tuple((one, self.place(one.start, one.end)) for one in self.dates)

    @cached_property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Its pairs of neighbouring words."""
        return frozenset(pairwise([word.stem for word in self.words]))

    @cached_property
    def trigrams(self) -> frozenset[Trigram]:
        """Its runs of three characters, in small letters."""
        low = self.text.lower()
        return frozenset(zip(low, low[1:], low[2:], strict=False))

    @cached_property
    def clauses(self) -> Clauses:
        """What of it is denied and what is said."""
        return negation.clauses(self.words, self.text, self.ends, self.place)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Where its sentences end."""
        return tuple(end for _, end in sentence_spans(self.text))

    @cached_property
    def place(self) -> Places:
        """The place of a span of it."""
        return places(self.words, self.ends)


@lru_cache(maxsize=1024)  # an answer compares each of its sentences with the same passages
def read(text: str) -> Reading:
    """What a text says. Linear in its length."""
    written, text = text, short_forms.undotted(text)
    moments = tuple(dates.dates(text))
    bare = _blanked(text, [(one.start, one.end) for one in moments])
    amounts = tuple(numbers.quantities(bare))
    bare = _blanked(bare, [(one.start, one.end) for one in amounts])
    return Reading(written, text, tuple(_words(bare)), amounts, moments)


@dataclass(frozen=True)
class Together:
    """What several texts say, each read by itself and on a line of its own: no date, name or sentence goes from one to
    the next; words are neighbours across them. To be compared with as a `Reading` is, but nothing is read anew."""

    several: tuple[Reading, ...]

    @cached_property
    def written(self) -> str:
        return "\n".join(each.written for each in self.several)

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """Of all texts in order; their places are those in their own text."""
        return tuple(chain.from_iterable(each.words for each in self.several))

    @cached_property
    def dates(self) -> tuple[Date, ...]:
        return tuple(chain.from_iterable(each.dates for each in self.several))

    @cached_property
    def dated(self) -> tuple[tuple[Date, Place], ...]:
        return tuple(chain.from_iterable(each.dated for each in self.several))

    @cached_property
    def placed(self) -> tuple[Placed, ...]:
        return tuple(chain.from_iterable(each.placed for each in self.several))

    @cached_property
    def names(self) -> tuple[Name, ...]:
        return tuple(chain.from_iterable(each.names for each in self.several))

    @cached_property
    def keys(self) -> frozenset[str]:
        return frozenset().union(*(each.keys for each in self.several))

    @cached_property
    def forms(self) -> frozenset[str]:
        seams = [names.joined(self.words[max(0, at - 2) : at + 2]) for at in self._seams]
        return frozenset().union(*(each.forms for each in self.several), *seams)

    @cached_property
    def pairs(self) -> frozenset[tuple[str, str]]:
        seams = [pairwise(word.stem for word in self.words[max(0, at - 1) : at + 1]) for at in self._seams]
        return frozenset().union(*(each.pairs for each in self.several), *seams)

    @cached_property
    def trigrams(self) -> frozenset[Trigram]:
        low = [each.text.lower() for each in self.several]
        whole, ends = "\n".join(low), accumulate(len(one) + 1 for one in low[:-1])
        around = [whole[max(0, end - 3) : end + 2] for end in ends]
        seams = [one for low in around for one in zip(low, low[1:], low[2:], strict=False)]
        return frozenset(seams).union(*(each.trigrams for each in self.several))

    @cached_property
    def _seams(self) -> tuple[int, ...]:
        """How many words stand before each text but the first."""
        return tuple(accumulate(len(each.words) for each in self.several[:-1]))

    @cached_property
    def clauses(self) -> Clauses:
        return negation.together([each.clauses for each in self.several])


def together(texts: Sequence[str]) -> Reading | Together:
    """What one or several texts say."""
    return read(texts[0]) if len(texts) == 1 else Together(tuple(read(text) for text in texts))


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def _words(text: str) -> list[Word]:
    if not short_forms.may_contract(text):
        return words(text, key)
    found: list[Word] = []
    for word in words(text, key):
        parts = short_forms.expanded(word.text) if short_forms.may_contract(word.text) else ()
        if not parts:
            found.append(word)
        for n, (part, at) in enumerate(parts):
            end = word.start + parts[n + 1][1] if n + 1 < len(parts) else word.end
            written = part.capitalize() if n == 0 and word.text[0].isupper() else part
            found.append(Word(word.start + at, end, written, key(part)))
    return found


@lru_cache(maxsize=65536)
def key(word: str) -> str:
    """Under what a word is compared: its stem, of irregular forms that of their base, of British spelling that of
    American."""
    stemmed = stem(word)
    base = _BASES.get(stemmed, stemmed)
    if len(base) > 4:
        for british, american in _BRITISH:
            base = british.sub(american, base)
    return base
