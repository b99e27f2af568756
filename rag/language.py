"""What words are to us: stems, content words, rarity, numbers with their units, months, names, negation, opposites.

Pure, and the vocabulary of `rag/support.py` and of the extractive generator. Words are compared by their English
Snowball stems; other languages go through the same rule, which leaves most of their words as they are.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log

import Stemmer

Weights = Callable[[str], float]
"""A stem's weight, above 0: its rarity where something is known of it, else 1."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text with its place."""

    start: int
    end: int
    text: str  # as written
    stem: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it was meant: 3.5 million is 3500000."""

    value: float
    unit: str  # the canonical unit ("%", "km", "year" …), else ""
    noun: str  # the stem of the word that follows, "" when there is none: 9 *touchdowns*
    text: str  # as written


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────

# \w alone cuts Indic words at their vowel signs, so the combining marks of those blocks belong to words too.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0971-\u0dff"
_WORD = re.compile(rf"[\w{_MARKS}]+(?:['’][\w{_MARKS}]+)?")
# Scripts written without spaces: their runs are compared by pairs of characters.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_POSSESSIVE = re.compile(r"['’]s?$")


def _listed(text: str) -> list[str]:
    return text.split()


STOPWORDS = frozenset(
    _listed("""
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
    _listed("""
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


def words(text: str) -> list[Word]:
    """Every word of a text in order; runs of unspaced scripts as overlapping pairs of characters."""
    found: list[Word] = []
    for match in _WORD.finditer(text):
        written, start = match.group(), match.start()
        if not written.isascii() and _UNSPACED.search(written):
            last = max(1, len(written) - 1)
            for i in range(last):
                pair = written[i : i + 2]
                found.append(Word(start + i, start + i + len(pair), pair, pair.lower()))
        else:
            found.append(Word(start, match.end(), written, stem(written)))
    return found


def is_content(word: Word) -> bool:
    """Whether a word carries meaning of its own."""
    lowered = word.text.lower().replace("’", "'")
    return lowered not in STOPWORDS and lowered not in NEGATIONS and _POSSESSIVE.sub("", lowered) not in STOPWORDS


def content_stems(text: str) -> list[str]:
    """The stems of the content words in order, repetitions kept."""
    return [word.stem for word in words(text) if is_content(word)]


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


# ── numbers, units, dates ───────────────────────────────────────────────────────────────────────────────────────────

_ONES = _listed("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen")
_SMALL = {name: float(i) for i, name in enumerate([*_ONES, "seventeen", "eighteen", "nineteen"])}
_TENS = {
    name: 10.0 * (i + 2) for i, name in enumerate(_listed("twenty thirty forty fifty sixty seventy eighty ninety"))
}
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "dozen": 12.0}
_ORDINALS = _listed("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth")
NUMBER_WORDS = frozenset([*_SMALL, *_TENS, *_SCALES, *_ORDINALS, "half", "third", "quarter", "twice", "percent"])
_FRACTIONS = {"½": 0.5, "¼": 0.25, "¾": 0.75, "⅓": 1 / 3, "⅔": 2 / 3}
_UNIT_NAMES = {
    "%": "% percent percentage",
    "km": "km kilometre kilometer kilometres kilometers",
    "mi": "mile miles",
    "m": "m metre meter metres meters",
    "cm": "cm centimetre centimeter centimetres centimeters",
    "mm": "mm millimetre millimeter millimetres millimeters",
    "ft": "ft foot feet",
    "in": "inch inches",
    "kg": "kg kilogram kilograms",
    "g": "g gram grams",
    "mg": "mg milligram milligrams",
    "lb": "lb lbs pound pounds",
    "s": "second seconds sec secs",
    "min": "minute minutes min mins",
    "h": "hour hours hr hrs",
    "day": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "year years",
    "°C": "°c celsius",
    "°F": "°f fahrenheit",
    "l": "l litre liter litres liters",
    "$": "$ dollar dollars usd",
    "€": "€ euro euros eur",
    "£": "£ gbp",
}
_UNITS = {name: unit for unit, names in _UNIT_NAMES.items() for name in names.split()}
_MONTHS = _listed("january february march april may june july august september october november december")
_NUMERAL = re.compile(
    r"(?<![\w.])([$€£])?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?([½¼¾⅓⅔])?(st|nd|rd|th|s)?(?![\w])\s?(%|°[CF])?"
)
_SPELLED = re.compile(r"[a-z]+(?:-[a-z]+)?", re.IGNORECASE)
_YEAR = re.compile(r"1\d{3}|20\d\d")


def quantities(text: str) -> list[Quantity]:
    """The numbers of a text, in figures and in words, with scale and unit. "One" alone is a pronoun and left out."""
    found: list[Quantity] = []
    for match in _NUMERAL.finditer(text):
        value = float(match[2].replace(",", "") + (match[3] or "")) + _FRACTIONS.get(match[4] or "", 0.0)
        after = _SPELLED.match(text, _skip(text, match.end()))
        scale = _SCALES.get(after.group().lower()) if after else None
        if after and scale:
            value *= scale
            after = _SPELLED.match(text, _skip(text, after.end()))
        noun = after.group().lower() if after else ""
        unit = (match[1] or "") or (match[6] or "") or _UNITS.get(noun, "")
        if not unit and not scale and _YEAR.fullmatch(match[2]) and not match[3]:
            unit = "year number"
        found.append(Quantity(value, unit, stem(noun) if noun not in STOPWORDS else "", match.group().strip()))
    return found + _spelled_out(text)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " -\u00a0":
        at += 1
    return at


def _spelled_out(text: str) -> list[Quantity]:
    """Numbers written in words: twenty-five, two hundred, third."""
    found: list[Quantity] = []
    value, written = 0.0, ""
    for match in [*_SPELLED.finditer(text), None]:
        name = match.group().lower() if match else ""
        head, _, tail = name.partition("-")
        part = _SMALL.get(name, _TENS.get(name, _TENS.get(head, 0.0) + _SMALL.get(tail, 0.0) if tail else 0.0))
        if name in _ORDINALS:
            found.append(Quantity(float(_ORDINALS.index(name) + 1), "", "", name))
        if part:
            value, written = value + part, f"{written} {name}".strip()
        elif written and name in _SCALES:
            value, written = value * _SCALES[name], f"{written} {name}"
        elif written:
            if written != "one":
                found.append(
                    Quantity(value, _UNITS.get(name, ""), stem(name) if name not in STOPWORDS else "", written)
                )
            value, written = 0.0, ""
    return found


def months(text: str) -> set[str]:
    """The months a text names. "May" and "March" count only when written with a capital after the first word."""
    return {name for name in _MONTHS if re.search(rf"\b{name.capitalize()}\b", text)}


# ── names, negation, opposites ──────────────────────────────────────────────────────────────────────────────────────


def names(text: str) -> list[Word]:
    """Words written with a capital that is not only the capital of a sentence's first word."""
    found = []
    for i, word in enumerate(words(text)):
        opens = i == 0 or text[: word.start].rstrip(" \"'“‘([").endswith((".", "!", "?", ":", "\n"))
        if word.text[0].isupper() and not opens and word.text.lower() not in STOPWORDS and len(word.text) > 1:
            found.append(word)
    return found


# Pairs whose members say opposite things of the same matter; compared by stem.
_OPPOSITES = _listed("""
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


def negated(found: Sequence[Word]) -> set[str]:
    """The stems of the content words in the reach of a negation: the four content words after it, in one clause."""
    reached: set[str] = set()
    left = 0
    for word in found:
        lowered = word.text.lower().replace("’", "'")
        if lowered in NEGATIONS or lowered.endswith("n't"):
            left = 4
        elif left and lowered in ("but", "although", "while", "whereas"):
            left = 0
        elif left and is_content(word):
            reached.add(word.stem)
            left -= 1
    return reached


# ── length ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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
        middle = (low + high) // 2
        low, high = (middle, high) if count_tokens([text[: ends[middle - 1]]])[0] <= limit else (low, middle)
    return text[: ends[low - 1]] if low else ""
