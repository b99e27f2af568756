"""The language of a text: by its script first, then by function words and special letters; "" when it cannot be told.

Why not a library: a trained detector (py3langid was the best of those tried) costs 80 MB and most of a second in every
process that parses, and names a language for a table of numbers, too. Function words are evidence that can be shown:
prose is a third of them in any language, and what has none is not prose.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from ingest.languages.function_words import FUNCTION_WORDS

__all__ = ["LATIN", "OTHER", "UNSPACED", "detect", "primary"]

UNSPACED = frozenset({"th", "lo", "km", "my", "zh", "ja"})
"""Languages that set no blanks between words."""

LOOKED_AT = 6_000  # characters: the first two thirds of them from the beginning, the rest from the middle
MIN_LETTERS = 20  # of a Latin, Cyrillic, Arabic or Devanagari text; other scripts are told by fewer
MIN_LETTERS_OF_SCRIPT = 4
HAN_LETTERS = 3  # that a character of Chinese or Japanese stands for
MAIN_SHARE = 0.5  # of the letters, that the main script must have
KANA_SHARE = 0.05  # of Han and kana, from which a text is Japanese
MIN_EVIDENCE = 1.7  # weighed function words and letters, below which nothing is said
MIN_EVIDENCE_AMONG = 0.3  # likewise, where the language is one of a few
MIN_RATE = 0.07  # of evidence a word
MIN_DIFFERENT = 3  # words with evidence
MIN_WORDS_OF_TWO = 40  # from which on both halves of a text are looked at:
TWO = 1.5  # it is mixed when one half has so many times more evidence of another language
LETTER, CAPITAL = 0.2, 0.4  # what a single letter counts, which may be of a formula, and what may begin a name
MARGIN = 1.12  # how many times the evidence of the next language it must be …
LONG, LONG_MARGIN = 10.0, 1.04  # … and how many where there is this much of it


# Letters that a language has and most of its neighbours do not.
_LETTERS = {
    "de": "ßäöü", "fr": "çêœèàùû", "es": "ñ¿¡", "pt": "ãõ", "gl": "ñ", "ca": "·", "ro": "șțăşţ", "it": "èàù",
    "da": "øå", "no": "øå", "sv": "öäå", "is": "þðæö", "fi": "äö", "et": "õäöü", "hu": "őűöü", "tr": "ğışç",
    "pl": "łąęśżźćń", "cs": "řěůýž", "sk": "ľĺŕôťčž", "sl": "čšž", "hr": "đćčšž", "lt": "ėųįąęšž", "lv": "ņķļģāēī",
    "vi": "đơưăạảấầẩậắằặẹẻẽếềểệỉịọỏốồổộớờởợụủứừửựỳỵỷỹ", "eo": "ĉĝĥĵŝŭ", "sq": "ëç", "cy": "ŵŷ", "nl": "ĳ",
    "ru": "ыэёъ", "uk": "іїєґ", "be": "ўіыэ", "bg": "ъщ", "sr": "ђјљњћџ", "mk": "ѓќѕјљњџ", "kk": "әғқңөұүһ",
    "tg": "ғӣқӯҳҷ", "mn": "өү", "tt": "әөүҗңһ", "ky": "ңөү",
    "ar": "ةىكيإأ", "fa": "پچژگکی", "ur": "ٹڈڑںےہھ", "ckb": "ێۆڕڵە", "ps": "ښځډړۍې", "ug": "ۇۈۋېە", "sd": "ڏڳڻٿڄ",
    "mr": "ळ", "yi": "ײװױ",
}  # fmt: skip

# Endings of languages that say with them what others say with words of their own.
_ENDINGS = {
    "fi": "ssa ssä sta stä lla llä lta ltä ksi aan ään iin een ista istä isen inen", "tr": "lar ler dır dir ması mesi",
    "hu": "ban ben nak nek ból ből hoz hez val vel ok ek ság ség", "eu": "aren etan tzen ko ren ak ek tik rako",
    "et": "sse st ks dega ile ilt mine", "lt": "os ų ams ose iai uose", "lv": "iem ā ās ība ību šanas",
}  # fmt: skip

_LATIN, _CYRILLIC, _ARABIC, _DEVANAGARI, _HAN, _HEBREW = "Latin", "Cyrillic", "Arabic", "Devanagari", "Han", "Hebrew"
_SCRIPTS = {  # ranges of letters; what is not in capitals names the one language that is written so
    _LATIN: "A-Za-zª\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff", _CYRILLIC: "\u0400-\u052f",
    _ARABIC: "\u0620-\u064a\u066e-\u06d3\u06d5\u06fa-\u06ff\u0750-\u077f", _DEVANAGARI: "\u0900-\u0963\u0970-\u097f",
    _HAN: "\u3005\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f",
    _HEBREW: "\u05d0-\u05f2", "ko": "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3", "el": "\u0370-\u03ff\u1f00-\u1fff",
    "hy": "\u0531-\u0587", "ka": "\u10a0-\u10ff\u1c90-\u1cbf", "th": "\u0e01-\u0e4e", "lo": "\u0e81-\u0edf",
    "km": "\u1780-\u17d3", "my": "\u1000-\u109f", "bn": "\u0980-\u09e5\u09fc", "pa": "\u0a01-\u0a75",
    "gu": "\u0a81-\u0ae3\u0af9-\u0aff", "or": "\u0b01-\u0b63\u0b71", "ta": "\u0b82-\u0bd7", "te": "\u0c00-\u0c63",
    "kn": "\u0c80-\u0ce3", "ml": "\u0d00-\u0d63\u0d7a-\u0d7f", "si": "\u0d81-\u0df3", "am": "\u1200-\u135a",
    "bo": "\u0f40-\u0fbc", "dv": "\u0780-\u07b1",
}  # fmt: skip
_OF_SCRIPT = {  # which languages share one
    _CYRILLIC: frozenset(["ru", "uk", "be", "bg", "sr", "mk", "kk", "tg", "mn", "tt", "ky"]),
    _ARABIC: frozenset(["ar", "fa", "ur", "ckb", "ps", "ug", "sd"]),
    _DEVANAGARI: frozenset(["hi", "mr", "ne"]),
    _HEBREW: frozenset(["he", "yi"]),
}
_OF_SCRIPT[_LATIN] = frozenset({*FUNCTION_WORDS, *_LETTERS}) - frozenset().union(*_OF_SCRIPT.values()) - set(_SCRIPTS)
LATIN = _OF_SCRIPT[_LATIN]
"""Languages written in Latin letters, of those that can be told."""
OTHER = frozenset({*UNSPACED, "as", *_SCRIPTS, *(one for script in _OF_SCRIPT.values() for one in script)}) - LATIN - {
    _LATIN, _CYRILLIC, _ARABIC, _DEVANAGARI, _HAN, _HEBREW
}  # fmt: skip
"""Languages written in other letters, of those that can be told."""
_LETTER = re.compile("|".join(f"(?P<s{number}>[{letters}]+)" for number, letters in enumerate(_SCRIPTS.values())))
_KANA = re.compile("[\u3041-\u30ff\u31f0-\u31ff]")
_ASSAMESE = re.compile("[\u09f0\u09f1]")
_WORD = re.compile(r"[^\W\d_]+(?:[\u0900-\u0903\u093a-\u094f\u0b82-\u0bd7\u05b0-\u05c7\u064b-\u0652]+[^\W\d_]*)*")
_CODE = re.compile(
    r"https?://\S+|(?<!\S)\S+@\S+|(?<![\w/.\\-])[\w/.\\-]*[/\\_][\w/.\\-]*|```.*?```|<[^<>]{1,200}>",
    re.DOTALL,
)

# Three-letter and withdrawn codes of what FUNCTION_WORDS, LANGUAGES and the scripts name by two letters.
_SAME = {
    "iw": "he", "in": "id", "ji": "yi", "nb": "no", "nn": "no", "cmn": "zh", "yue": "zh", "fil": "tl", "mo": "ro",
    "bs": "hr", "sh": "hr", "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "ita": "it",
    "por": "pt", "nld": "nl", "dut": "nl", "rus": "ru", "ara": "ar", "fas": "fa", "per": "fa", "hin": "hi", "tha": "th",
    "zho": "zh", "chi": "zh", "jpn": "ja", "kor": "ko", "swe": "sv", "dan": "da", "nor": "no", "nob": "no", "fin": "fi",
    "tur": "tr", "pol": "pl", "ces": "cs", "cze": "cs", "ell": "el", "gre": "el", "heb": "he", "ben": "bn", "tam": "ta",
    "urd": "ur", "ukr": "uk", "hun": "hu", "ron": "ro", "rum": "ro", "vie": "vi", "ind": "id", "cat": "ca", "mar": "mr",
    "nep": "ne",
}  # fmt: skip
_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{1,8})*")
_NONE = frozenset({"und", "mul", "zxx", "mis"})  # BCP 47 for: not told, several, no language, not coded


def primary(tag: object) -> str:
    """The language of a BCP 47 tag by its shortest code: "en" of "en-US" or "eng"; "" of what is no tag."""
    found = _TAG.fullmatch(tag.strip()) if isinstance(tag, str) else None
    code = found[1].lower() if found else ""
    return "" if code in _NONE else _SAME.get(code, code)


def detect(text: str, among: Collection[str] | None = None) -> str:
    """The code of the language that a text is written in; "" when it is too short, mixed or no prose.

    Only of `among` when given, which needs less evidence: a short question among the languages that it may be in.
    Looks at 6,000 characters at most. Deterministic.
    """
    if len(text) > LOOKED_AT:
        first, middle = LOOKED_AT * 2 // 3, len(text) // 2
        text = f"{text[:first]}\n{text[middle : middle + LOOKED_AT - first]}"
    counts: Counter[str] = Counter()
    scripts = list(_SCRIPTS)
    for found in _LETTER.finditer(text):
        script = scripts[int(str(found.lastgroup)[1:])]
        counts[script] += (found.end() - found.start()) * (HAN_LETTERS if script == _HAN else 1)
    if not counts:
        return ""
    script, letters = counts.most_common(1)[0]
    if letters < counts.total() * MAIN_SHARE:
        return ""
    if script not in _OF_SCRIPT:
        told = _alone(script, text) if letters >= MIN_LETTERS_OF_SCRIPT else ""
        return told if among is None or told in among else ""
    if among is None and letters < MIN_LETTERS:
        return ""
    return _voted(text, _OF_SCRIPT[script] if among is None else _OF_SCRIPT[script] & frozenset(among), among is None)


def _alone(script: str, text: str) -> str:
    """The language of a script that hardly another one uses."""
    if script == _HAN:
        han = sum(found.end() - found.start() for found in re.finditer(f"[{_SCRIPTS[_HAN]}]+", text))
        return "ja" if len(_KANA.findall(text)) >= han * KANA_SHARE else "zh"
    if script == "bn" and _ASSAMESE.search(text):
        return "as"
    return script


def _voted(text: str, languages: frozenset[str], alone: bool) -> str:
    """The language with clearly more evidence in the words of a text than the next."""
    words = _WORD.findall(_CODE.sub(" ", text))
    if not words or not languages:
        return ""
    halves = [words] if len(words) < MIN_WORDS_OF_TWO else [words[: len(words) // 2], words[len(words) // 2 :]]
    counted = [_counted(half, languages) for half in halves]
    scores = {language: sum(half[0][language] for half in counted) for language in sorted(languages)}
    (best, most), *others = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    if not alone:
        enough = most >= MIN_EVIDENCE_AMONG
    else:
        different = sum(half[1][best] for half in counted)
        enough = most >= max(MIN_EVIDENCE, MIN_RATE * len(words)) and different >= MIN_DIFFERENT
        for scored, _ in counted:
            rival = max(scored.values())
            enough = enough and (rival < MIN_EVIDENCE or rival < TWO * scored[best])
    margin = LONG_MARGIN if most >= LONG else MARGIN
    return best if enough and (not others or most >= margin * others[0][1]) else ""


def _counted(words: Sequence[str], languages: Collection[str]) -> tuple[dict[str, float], Counter[str]]:
    """The evidence for each language, and how many different words give it."""
    scores: dict[str, float] = dict.fromkeys(languages, 0.0)
    different: Counter[str] = Counter()
    evidence = _evidence()
    for word, times in Counter(words).items():
        folded = word.casefold()
        sure = LETTER if len(word) == 1 and word.isascii() else CAPITAL if word != folded else 1.0
        for language, weight in evidence.of(folded).items():
            if language in scores:
                scores[language] += weight * times * sure
                different[language] += 1
    return scores, different


class _Evidence:
    """What a word says of each language: the fewer share it, the more."""

    def __init__(self) -> None:
        self._words = _weighed(FUNCTION_WORDS)
        self._letters = _weighed(_LETTERS)
        self._endings = _weighed({language: endings.split() for language, endings in _ENDINGS.items()})

    def of(self, word: str) -> Mapping[str, float]:
        if (known := self._words.get(word)) is not None:
            return known
        found: dict[str, float] = {}
        if not word.isascii():
            for letter in set(word):
                for language, weight in self._letters.get(letter, {}).items():
                    found[language] = max(found.get(language, 0.0), 0.6 * weight)
        for size in (5, 4, 3, 2, 1):
            if len(word) > size + 2 and (weighed := self._endings.get(word[-size:])):
                for language in weighed:
                    found[language] = found.get(language, 0.0) + 0.15
                break
        return found


def _weighed(signs: Mapping[str, Collection[str]]) -> dict[str, dict[str, float]]:
    """For each sign the languages that have it, with 1 / √(how many)."""
    having: dict[str, list[str]] = {}
    for language, own in sorted(signs.items()):
        for sign in own:
            having.setdefault(sign, []).append(language)
    return {sign: dict.fromkeys(languages, len(languages) ** -0.5) for sign, languages in having.items()}


@cache
def _evidence() -> _Evidence:
    return _Evidence()
