"""What words are to us: stems, content words, rarity, words of number, of denial and of opposite meaning.

Pure, and the vocabulary of `rag/checks`, `rag/support.py` and the extractive generator. Words are compared by their
English Snowball stems; other languages go through the same rule, which leaves most of their words as they are.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from math import log
from typing import NamedTuple

import Stemmer

from ingest.languages.sentences import sentences

Weights = Callable[[str], float]
"""A stem's weight, above 0: its rarity where something is known of it, else 1."""


class Word(NamedTuple):  # made by the hundred for every answer that is checked
    """A word of a text with its place."""

    start: int
    end: int
    text: str  # as written
    stem: str


_word = partial(tuple.__new__, Word)  # half the cost of calling it


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────

# \w alone cuts Indic words at their vowel signs, so the combining marks of those blocks belong to words too.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0971-\u0dff"
_WORD = re.compile(rf"[\w{_MARKS}]+(?:['’][\w{_MARKS}]+)?")
# Scripts written without spaces: their runs are compared by pairs of characters.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_POSSESSIVE = re.compile(r"['’]s?$")


def listed(text: str) -> list[str]:
    """The words of a list that is written as a text."""
    return text.split()


STOPWORDS = frozenset(
    listed("""
        a about above after again all also am an and any are as at be because been before being below between both but
        by can could did do does doing down during each either else even ever few for from further get had has have
        having he her here hers herself him himself his how however i if in into is it its itself just me might more
        most much must my myself of off on once only or other our ours ourselves out over own per rather same shall she
        should so some such than that the their theirs them themselves then there these they this those through thus to
        too under until up upon us very was we were what when where which while who whom whose why will with within
        would you your yours yourself it's i'm i've i'd he's she's we're they're that's there's let's one many several
        may
    """)
)
NEGATIONS = frozenset(
    listed("""
        no not never none nobody nothing nowhere neither nor without cannot can't don't doesn't didn't isn't aren't
        wasn't weren't won't wouldn't couldn't shouldn't hasn't haven't hadn't hardly scarcely lack lacks lacking lacked
        fail fails failed absence absent unable denied denies
    """)
)

_local = threading.local()  # a Snowball stemmer keeps state between calls: one a thread


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The stem under which a word is compared."""
    stemmer = getattr(_local, "stemmer", None)
    if stemmer is None:
        stemmer = _local.stemmer = Stemmer.Stemmer("english", 0)
    return str(stemmer.stemWord(_POSSESSIVE.sub("", word.lower().replace("’", "'"))))


def words(text: str, stemmed: Callable[[str], str] = stem) -> list[Word]:
    """Every word of a text in order; runs of unspaced scripts as overlapping pairs of characters."""
    found: list[Word] = []
    plain, end = text.isascii(), 0
    for written in _WORD.findall(text):
        start = text.find(written, end)  # nothing between two words begins as a word does
        end = start + len(written)
        if plain or written.isascii() or not _UNSPACED.search(written):
            found.append(_word((start, end, written, stemmed(written))))
            continue
        for i in range(max(1, len(written) - 1)):
            pair = written[i : i + 2]
            found.append(Word(start + i, start + i + len(pair), pair, pair.lower()))
    return found


def stems(text: str, stemmed: Callable[[str], str] = stem) -> list[tuple[int, str]]:
    """Where each word of a text begins, and its stem: what `words` gives, at half its cost."""
    found: list[tuple[int, str]] = []
    plain, end = text.isascii(), 0
    for written in _WORD.findall(text):
        start = text.find(written, end)
        end = start + len(written)
        if plain or written.isascii() or not _UNSPACED.search(written):
            found.append((start, stemmed(written)))
        else:
            found += [(start + i, written[i : i + 2].lower()) for i in range(max(1, len(written) - 1))]
    return found


def is_content(word: Word) -> bool:
    """Whether a word carries meaning of its own."""
    return has_content(word.text)


@lru_cache(maxsize=65536)
def has_content(written: str) -> bool:
    """Whether a word, as written, carries meaning of its own."""
    lowered = written.lower().replace("’", "'")
    return lowered not in STOPWORDS and lowered not in NEGATIONS and _POSSESSIVE.sub("", lowered) not in STOPWORDS


@lru_cache(maxsize=256)  # the passages of an answer are weighed, cited and judged, each time by their sentences
def sentence_spans(text: str) -> tuple[tuple[int, int], ...]:
    """As `sentences` of ingest, for texts of a passage's length."""
    return tuple(sentences(text))


def content_stems(text: str) -> list[str]:
    """The stems of the content words in order, repetitions kept."""
    return [word.stem for word in words(text) if has_content(word.text)]


def rarity(texts: Iterable[Sequence[str]]) -> Weights:
    """Inverse document frequency over texts given as stems, as in BM25: log(1 + (n - df + 0.5) / (df + 0.5)).

    A stem found in none of them gets the weight of the rarest kind.
    """
    frequency: Counter[str] = Counter()
    n = 0
    for stems in texts:
        frequency.update(set(stems))
        n += 1
    return lambda one: log(1 + (n - frequency[one] + 0.5) / (frequency[one] + 0.5)) if n else 1.0


# ── number words ────────────────────────────────────────────────────────────────────────────────────────────────────

_ONES = listed("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen")
SMALL = {name: float(i) for i, name in enumerate([*_ONES, "seventeen", "eighteen", "nineteen"])}
TENS = {name: 10.0 * (i + 2) for i, name in enumerate(listed("twenty thirty forty fifty sixty seventy eighty ninety"))}
SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "dozen": 12.0}
ORDINALS = listed("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth")
NUMBER_WORDS = frozenset([*SMALL, *TENS, *SCALES, *ORDINALS, "half", "third", "quarter", "twice", "percent"])


# ── opposites ───────────────────────────────────────────────────────────────────────────────────────────────────────

# Pairs whose members say opposite things of the same matter; compared by stem.
_OPPOSITES = listed("""
        increase/decrease increase/reduce increases/lowers rise/fall rising/declining gain/loss raise/lower higher/lower
        high/low more/less more/fewer greater/smaller greater/lower larger/smaller longer/shorter up/down
        promote/inhibit promotes/suppresses promote/prevent activate/inhibit activate/repress activate/suppress
        enhance/impair enhance/reduce enhance/inhibit enhance/suppress improve/worsen improve/impair stimulate/inhibit
        induce/inhibit induce/suppress induce/prevent positive/negative better/worse best/worst success/failure
        beneficial/harmful benefit/harm effective/ineffective sensitive/resistant sensitivity/resistance present/absent
        presence/absence upregulate/downregulate upregulated/downregulated upregulation/downregulation before/after
        above/below always/never most/least maximum/minimum north/south east/west win/lose won/lost accept/reject
        allow/forbid include/exclude early/late older/younger old/new strong/weak stronger/weaker
        significant/insignificant stable/unstable dependent/independent essential/dispensable necessary/unnecessary
        required/dispensable protective/harmful protects/exacerbates cause/prevent increased/unchanged gain/lose
        proliferation/apoptosis survival/death hyper/hypo
    """)


@lru_cache(maxsize=1)
def opposites() -> dict[str, frozenset[str]]:
    """For each stem the stems that say the opposite of the same matter."""
    table: dict[str, set[str]] = {}
    for pair in _OPPOSITES:
        one, other = (stem(member) for member in pair.split("/"))
        table.setdefault(one, set()).add(other)
        table.setdefault(other, set()).add(one)
    return {key: frozenset(values) for key, values in table.items()}


# ── length ──────────────────────────────────────────────────────────────────────────────────────────────────────────


COUNTED = 7  # beginnings whose tokens are counted at once: a call costs more than what it counts


def beginnings(texts: Sequence[str], count_tokens: Callable[[Sequence[str]], Sequence[int]], limit: int) -> list[str]:
    """Each text, or its longest beginning of whole words that has at most `limit` tokens; "" when there is none."""
    return [
        text if count <= limit else _beginning(text, count_tokens, limit)
        for text, count in zip(texts, count_tokens(texts), strict=True)
    ]


def _beginning(text: str, count_tokens: Callable[[Sequence[str]], Sequence[int]], limit: int) -> str:
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    low, high = 0, len(ends)  # ends[:low] fit, ends[:high] do not
    while high - low > 1:
        reach = min(high - 1 - low, limit)  # a word has a token at least, or nearly always
        places = sorted({low + max(1, reach * n // COUNTED) for n in range(1, COUNTED + 1)})
        counts = count_tokens([text[: ends[place - 1]] for place in places])
        fits = [place for place, count in zip(places, counts, strict=True) if count <= limit]
        low, high = (fits[-1] if fits else low), next((place for place in places if place not in fits), high)
    return text[: ends[low - 1]] if low else ""
