"""Text becomes the terms that keyword search compares: one analysis for chunks, questions and test oracles alike.

Each chunk is analysed in the language of its text, a question in every language of the collection it is asked of; the
terms of all languages share one index. So a question meets each text in the form that it has there, and the collection
whose texts are all English is searched as if there were no other language.
"""

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from functools import cache
from itertools import pairwise

import Stemmer

from ingest.languages.detection import LATIN, OTHER, detect, primary
from ingest.languages.function_words import FUNCTION_WORDS

# Changes whenever the terms of any text, or the files of the index, could: older indexes are not opened.
VERSION = 3

# Marks belong to their word: \w alone cuts Indic words at vowel signs, Arabic and Hebrew at points.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u07a6-\u07b0\u0816-\u082d\u0859-\u085b"
    "\u08d3-\u0963\u0971-\u0df3\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u0f18\u0f19\u0f35\u0f37"
    "\u0f39\u0f3e\u0f3f\u0f71-\u0f84\u0f86-\u0fbc\u102b-\u103e\u1056-\u1059\u1062-\u1064\u1067-\u106d\u135d-\u135f"
    "\u1712-\u1715\u17b4-\u17d3\u18a9\u1920-\u193b\u1a17-\u1a1b\u1b00-\u1b04\u1b34-\u1b44\u1dc0-\u1dff\u20d0-\u20f0"
    "\u3099\u309a\ua66f\ua674-\ua67d\ua802-\ua827\ua880-\ua881\ua8b4-\ua8c5\uaa29-\uaa36\uaa7b-\uaa7d\uabe3-\uabed"
    "\ufb1e\ufe20-\ufe2f"
)
_JOINERS = "\u00ad\u200c\u200d\u2060\ufeff"  # invisible inside a word: dropped, never a border
_LETTER = rf"[\w{_MARKS}{_JOINERS}]"
# A number with decimals or groups of thousands, C++ and C#, or words joined by single dots and apostrophes.
_WORD = re.compile(
    rf"\d+(?:[.,]\d+)+(?!{_LETTER})|(?<!{_LETTER})[A-Za-z](?:\+\+|#)(?!{_LETTER})|{_LETTER}+(?:['’.]{_LETTER}+)*"
)

# Scripts written without spaces, and Korean, whose words carry their particles: overlapping pairs of characters.
_UNSPACED = (
    "\u0e01-\u0e5b\u0e81-\u0edf\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003134f"
)
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}]+")
_CLUSTER = re.compile(rf"[^{_MARKS}][{_MARKS}]*|[{_MARKS}]+")

_CAMEL = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_POINTS = "".join(map(chr, (*range(0x0591, 0x05C8), 0x0640, *range(0x064B, 0x0653), 0x0670)))
_PLAIN = str.maketrans("", "", _JOINERS + _POINTS)  # Hebrew and Arabic are mostly written without their vowel points
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i", "ð": "d", "þ": "th", "ħ": "h"})

# Function words that say nothing of the subject: the 33 of Lucene, pronouns, auxiliaries and question words. Adverbs
# and the rest of the usual long lists carry meaning; leaving them out made no difference either way.
_FUNCTION_WORDS = """
    a an and are as at be but by for if in into is it no not of on or such that the their then there these they this
    to was will with
    i me my mine myself you your yours he him his himself she her hers herself its itself we us our ours them theirs
    am been being do does did doing done have has had having can could may might must shall should would were
    what which who whom whose when where why how
"""
STOPWORDS = frozenset(_FUNCTION_WORDS.split())

LANGUAGES = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french", "ga": "irish", "hi": "hindi", "hr": "serbian", "hu": "hungarian", "hy": "armenian",
    "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish",
    "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
"""Languages with a stemmer."""
UNTOLD = "und"  # BCP 47: undetermined
KNOWN = frozenset({"", UNTOLD, *LANGUAGES, *FUNCTION_WORDS})
"""Languages with an analysis of their own."""

# Whose stemmer takes the words of a text whose language could not be told, by their letters; English takes the others.
_BY_LETTERS = [
    (language, re.compile(f"[{letters}]+"))
    for language, letters in {
        "ru": "\u0400-\u052f", "ar": "\u0620-\u06ff", "hi": "\u0900-\u097f", "ta": "\u0b82-\u0bd7",
        "el": "\u0370-\u03ff", "hy": "\u0531-\u0587",
    }.items()
]  # fmt: skip

# Devanagari spells one nasal as a sign or as a half letter, and leaves out its dots: हिंदी and हिन्दी, क़लम and कलम.
_DEVANAGARI = frozenset({"hi", "mr", "ne"})
_ARABIC_LETTERS = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ة": "ه"})
_ARTICLES = ("ال", "بال", "كال", "فال", "لل")
_ARABIC_ENDINGS = ("ها", "ان", "ات", "ون", "ين", "يه", "ه", "ي")
_NO_WORD = re.compile(r"[\d_.,'’+#]")
_HALF_NASAL = re.compile("[\u0919\u091e\u0923\u0928\u092e]\u094d(?=[\u0915-\u0939])")
_DOTS = str.maketrans({"\u0901": "\u0902", "\u093c": None})

MAX_TERM = 1_000  # characters; a longer term is cut, in chunks and questions alike
MAX_KEPT = 50_000  # words whose terms are remembered
MAX_KEPT_WORD = 40  # characters of a word that is remembered


def analyse(text: str, language: str = "en") -> list[str]:
    """The terms of a text, in its order, repeated as often as they stand there.

    Compatibility forms, case and the accents of Latin and Greek letters are folded. Words are stemmed (Snowball, by
    `language`; "" stems nothing); a language of other letters stems Latin words as English. A code identifier gives
    itself and its parts, a number with decimals stays whole, Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese
    give overlapping pairs of characters. English loses its function words, unless they are written in capitals; in
    other languages leaving them out was measured to help no search. A term holds no whitespace. Raises ValueError on an
    unknown language; `analysis` knows one for each.
    """
    return _analyser(language)(text)


def analysis(language: str) -> str:
    """The language in which `analyse` takes texts whose language has this tag.

    Where it was not told, or is one in other letters that has no analysis, Latin words count as English, others as of
    the language most often written so. What is written in Latin letters and has no analysis is not stemmed.
    """
    code = primary(language)
    if code in KNOWN and code:
        return code
    return UNTOLD if not code or code in OTHER else ""


def chunk_terms(text: str, language: str) -> list[str]:
    """The terms that an index holds for a chunk whose content is in this language."""
    return analyse(text, analysis(language))


def question_terms(question: str, languages: Collection[str]) -> list[str]:
    """The terms to ask an index for, whose chunks are in these languages.

    Every analysis of the collection gives its terms, each as often as the one that gives it most often. The function
    words of the question's own language are left out of the others: there they are rare, and would weigh much.
    """
    analyses = sorted({analysis(language) for language in languages}) or ["en"]
    if len(analyses) == 1:
        return analyse(question, analyses[0])
    own = detect(question, among=analyses)
    terms: Counter[str] = Counter()
    for language in analyses:
        terms |= Counter(_analyser(language, own)(question))
    return list(terms.elements())


def words(text: str) -> list[str]:
    """The words of a text as they stand there, before any of them becomes terms."""
    return _WORD.findall(text)


def matches(text: str, language: str, terms: Collection[str]) -> list[tuple[int, int]]:
    """Where the words stand in a text of this language that have one of these terms; of unspaced scripts, the pairs."""
    wanted = set(terms)
    analyser = _analyser(analysis(language))
    found: list[tuple[int, int]] = []
    for start, end in _places(text):
        if wanted.intersection(analyser(text[start:end])):
            if found and start < found[-1][1]:
                start = found.pop()[0]
            found.append((start, end))
    return found


def _places(text: str) -> Iterator[tuple[int, int]]:
    """The words of a text, runs of an unspaced script as their pairs."""
    for word in _WORD.finditer(text):
        last = word.start()
        for run in _UNSPACED_RUN.finditer(text, word.start(), word.end()):
            if last < run.start():
                yield last, run.start()
            clusters = [cluster.span() for cluster in _CLUSTER.finditer(text, run.start(), run.end())]
            yield from [(one[0], two[1]) for one, two in pairwise(clusters)] or clusters
            last = run.end()
        if last < word.end():
            yield last, word.end()


@cache
def _analyser(language: str, other: str = "") -> "_Analyser":
    if language not in KNOWN:
        raise ValueError(
            f"no stemmer for language {language!r}; known are {', '.join(sorted(LANGUAGES))}, or '' for none"
        )
    return _Analyser(language, other)


class _Analyser:
    """The analysis of one language, also without the function words of another one. Remembers the terms of the words it
    has seen; safe for many threads."""

    def __init__(self, language: str, other: str) -> None:
        self._latin = _analyser("en", other) if language and language not in LATIN else None
        self._stemmer = Stemmer.Stemmer(LANGUAGES[language], 0) if language in LANGUAGES else None
        self._stopwords = STOPWORDS if language == "en" else frozenset[str]()
        if other != language:
            self._stopwords |= frozenset(fold(word) for word in FUNCTION_WORDS.get(other, ()))
            self._stopwords |= STOPWORDS if other == "en" else frozenset[str]()  # no English text holds these
        self._shortest_name = 1 if language in LATIN - {"en"} else 2  # in capitals: vitamine D, though d' is no name
        self._untold = _BY_LETTERS if language == UNTOLD else []
        self._indic = language in _DEVANAGARI
        self._arabic = language == "ar"
        self._kept: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()  # a stemmer holds state of its own while it works

    def __call__(self, text: str) -> list[str]:
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        found: list[str] = []
        kept = self._kept
        for word in _WORD.findall(text):
            terms = kept.get(word)
            found += self._learn(word) if terms is None else terms
        return found

    def _learn(self, word: str) -> tuple[str, ...]:
        capitals = word.isupper() and len(word) >= self._shortest_name  # WHO and IT are names, who and it are not
        terms = tuple(
            self._stem(term[:MAX_TERM]) for term in self._terms(word) if term and (capitals or not self._dropped(term))
        )
        if len(word) <= MAX_KEPT_WORD:
            if len(self._kept) >= MAX_KEPT:
                self._kept = {}
            self._kept[word] = terms
        return terms

    def _dropped(self, term: str) -> bool:
        return term in (self._stopwords if self._latin is None or not term.isascii() else self._latin._stopwords)

    def _stem(self, term: str) -> str:
        if self._latin is not None and (term.isascii() or self._untold):
            found = None if term.isascii() else next((one for one, own in self._untold if own.fullmatch(term)), None)
            return self._latin._stem(term) if found is None else _analyser(found)._stem(term)
        if not term.isalpha() and (self._latin is None or _NO_WORD.search(term)):  # vowel signs are no letters
            return term
        if self._indic:
            term = _HALF_NASAL.sub("\u0902", term.translate(_DOTS)) or term
        if self._arabic:
            return _arabic(term)
        if self._stemmer is None:
            return term
        with self._lock:
            return str(self._stemmer.stemWord(term)) or term  # Turkish leaves nothing of some words

    def _terms(self, word: str) -> list[str]:
        word = word.translate(_PLAIN) if not word.isascii() else word
        if _UNSPACED_RUN.search(word):
            return _mixed(word)
        if word[:1].isdigit() and _THOUSANDS.fullmatch(word):
            return [word.replace(",", "")]
        return _parts(word)


def _arabic(term: str) -> str:
    """A word without what is joined to it. Larkey, Ballesteros and Connell 2007, "Light Stemming for Arabic": light10.

    Snowball's stemmer takes the first letter of بركان for a preposition, but not that of البركان.
    """
    term = term.translate(_ARABIC_LETTERS)
    if term.startswith("و") and len(term) > 3:
        term = term[1:]
    article = next((one for one in _ARTICLES if term.startswith(one) and len(term) >= len(one) + 2), "")
    term = term[len(article) :]
    for ending in _ARABIC_ENDINGS:
        if term.endswith(ending) and len(term) >= len(ending) + 2:
            term = term[: -len(ending)]
    return term


def _mixed(word: str) -> list[str]:
    """A run that holds an unspaced script: pairs of its characters, and the words between."""
    terms: list[str] = []
    last = 0
    for run in _UNSPACED_RUN.finditer(word):
        terms += _parts(word[last : run.start()])
        clusters = _CLUSTER.findall(run.group())
        terms += [a + b for a, b in pairwise(clusters)] or clusters
        last = run.end()
    return terms + _parts(word[last:])


def _parts(word: str) -> list[str]:
    """A word as one term; a code identifier as itself and its parts."""
    word = word.strip("_.'’")
    if not word:
        return []
    if not any(mark in word for mark in "_.'’") and (word.islower() or word.isupper() or word.istitle()):
        return [fold(word)]
    if "'" in word or "’" in word:
        return _apostrophes(word)
    if "." in word and all(len(part) == 1 for part in word.split(".")) and not any(map(str.isdigit, word)):
        return [fold(word.replace(".", ""))]  # U.S.A. as USA
    if all(part.isdigit() for part in word.split(".")):
        return [fold(word)]  # 3.11, 1.2.3
    pieces = [piece for dotted in word.split(".") for piece in dotted.split("_") if piece]
    split = [part for piece in pieces for part in _camel(piece)]
    whole = fold(word)
    return [whole, *map(fold, split)] if len(split) > 1 else [whole]


def _apostrophes(word: str) -> list[str]:
    """Possessives and contractions keep their head, joined names their parts: user's → user, l'homme → l, homme."""
    head, *tail = re.split("['’]", word)
    rest = [part for part in tail if part.casefold() not in ("s", "t", "d", "ll", "re", "ve", "m")]
    if head.casefold().endswith("n") and tail and tail[0].casefold() == "t":
        head = head[:-1]  # don't → do
    return [term for part in (head, *rest) for term in _parts(part)]


def _camel(piece: str) -> list[str]:
    """getUserName → get, User, Name; a piece with a part of one letter (mRNA, iPhone) is a word and stays whole."""
    if piece.islower() or piece.isupper() or piece.istitle() or not piece.isascii():
        return [piece]
    parts: list[str] = _CAMEL.findall(piece)
    return parts if all(len(part) > 1 for part in parts) and not any(map(str.isdigit, piece)) else [piece]


def fold(word: str) -> str:
    """Case and the accents of Latin and Greek letters removed; other scripts keep their marks."""
    if word.isascii():
        return word.lower()
    folded: list[str] = []
    base = ""
    for character in unicodedata.normalize("NFD", word.casefold()):
        if "\u0300" <= character <= "\u036f":
            if base and (base < "\u0400" or "\u1e00" <= base < "\u2000"):
                continue
        else:
            base = character
        folded.append(character)
    return unicodedata.normalize("NFC", "".join(folded).translate(_LETTERS))
