"""Short forms and what they stand for: initials (API), clipped words (config), contractions (don't), e.g."""

import re
from collections.abc import Mapping, Sequence, Set

from rag.language import STOPWORDS, Word, listed, stem

_CONTRACTIONS = {
    "can't": "can not", "won't": "will not", "shan't": "shall not", "ain't": "is not", "let's": "let us",
    "cannot": "can not",
}  # fmt: skip
_CONTRACTED = re.compile(
    r"\b([a-z]+)(n't|'re|'ve|'ll|'m|'d)\b|\b(it|he|she|that|there|here|what|who|where|this)('s)\b", re.I
)
_LONG = {"n't": "not", "'re": "are", "'ve": "have", "'ll": "will", "'m": "am", "'d": "would", "'s": "is"}
# Short forms whose letters do not tell.
_IRREGULAR = {
    "db": "database", "http": "hypertext transfer protocol", "html": "hypertext markup language",
    "json": "javascript object notation",
    "https": "hypertext transfer protocol secure", "dbs": "databases", "xml": "extensible markup language",
    "xss": "cross-site scripting", "csrf": "cross-site request forgery",
    "xxe": "xml external entity", "k8s": "kubernetes", "i18n": "internationalization", "l10n": "localization",
    "js": "javascript",
    "ts": "typescript", "os": "operating system", "id": "identifier", "ids": "identifiers", "vs": "versus",
    "approx": "approximately", "pwd": "password",
    "msg": "message", "mgmt": "management", "dept": "department", "govt": "government", "intl": "international",
    "max": "maximum",
    "min": "minimum", "usa": "united states of america", "us": "united states", "uk": "united kingdom",
    "eu": "european union", "wifi": "wireless",
    "pkg": "package", "src": "source", "dns": "domain name system", "ux": "user experience", "mins": "minutes",
    "eg": "for example",
    "ie": "that is", "etc": "and so on", "cmd": "command", "btn": "button", "qty": "quantity", "avg": "average",
    "num": "number", "hq": "headquarters",
}  # fmt: skip
_CLIPPED_AT_LEAST = 4  # letters of a clipped word, but of …
_CLIPPED_SHORT = frozenset(
    listed("""
        app apps doc docs env dev lib libs var dir ref org ops gov lab exam ad gym fig vol ed est
    """)
)
_DOTTED = re.compile(r"\b(?:[A-Za-z]\.){2,}")


def undotted(text: str) -> str:
    """The text with U.S.A. as USA and e.g. as eg, at the same offsets: the dots go behind the letters as blanks."""
    return _DOTTED.sub(lambda match: match.group().replace(".", "").ljust(len(match.group())), text)


def may_contract(text: str) -> bool:
    """Whether a text may hold a contraction."""
    return "'" in text or "’" in text or "cannot" in text.lower()


def expanded(word: str) -> tuple[tuple[str, int], ...]:
    """The words that a contraction is short for, each with where in it it begins; none for what is no contraction."""
    if not may_contract(word):
        return ()
    low = word.lower().replace("’", "'")
    if low in _CONTRACTIONS:
        first, *rest = _CONTRACTIONS[low].split()
        return (first, 0), *((one, max(1, low.find("'"))) for one in rest)
    match = _CONTRACTED.fullmatch(low)
    if not match:
        return ()
    first = match[1] or match[3]
    return (first, 0), (_LONG[match[2] or match[4]], len(first))


def stands_for(ours: Sequence[Word], theirs: Sequence[Word], held: Set[str]) -> set[str]:
    """The stems of ours that the text lacks but says in a longer or shorter form. held: the stems that the text has."""
    lacking = {word.text: word for word in ours if word.stem not in held}.values()
    if not lacking:
        return set()
    said = {word.stem for word in ours}
    extra: dict[str, list[str]] = {}  # by their first letters: words of the text that the sentence does not have
    for word in theirs:
        low = word.text.lower()
        if word.stem not in said and (low == word.text or low in _IRREGULAR):
            extra.setdefault(low[:2], []).append(low)
    found = {word.stem for word in lacking if word.text.islower() and _is_clipped(word.text, extra)}
    found |= {word.stem for word in lacking if _is_known(word.text.lower(), extra)}
    found |= {word.stem for word in lacking if word.stem not in found and _written_out(word, theirs, said)}
    for short in {word.text: word for word in theirs if _is_short(word)}.values():
        for first, last in _expansions(short, ours, held):
            found |= {word.stem for word in ours[first:last]}
    return found


def _is_short(word: Word) -> bool:
    text = word.text
    if text.islower() or len(text) > 7:
        return text in _IRREGULAR
    return text.lower() in _IRREGULAR or (2 <= len(text.rstrip("s")) <= 6 and sum(map(str.isupper, text)) >= 2)


def _is_clipped(low: str, theirs: Mapping[str, Sequence[str]]) -> bool:
    """Whether one of the words is the longer or the shorter form: config, configuration; repos, repositories."""
    for other in theirs.get(low[:2], ()):
        short, long = (low, other) if len(low) < len(other) else (other, low)
        bare = short[:-1] if short.endswith("s") and len(short) > 4 else short
        enough = len(bare) >= _CLIPPED_AT_LEAST or bare in _CLIPPED_SHORT
        if enough and len(long) - len(bare) >= 3 and long.startswith(bare) and bare not in STOPWORDS:
            return True
    return False


def _is_known(low: str, theirs: Mapping[str, Sequence[str]]) -> bool:
    """Whether the text has the word that this is known to be short for, or its short form."""
    others = [_IRREGULAR.get(low), *(short for short, known in _IRREGULAR.items() if known == low)]
    return any(other in theirs.get(other[:2], ()) for other in others if other)


def _written_out(short: Word, theirs: Sequence[Word], said: Set[str]) -> bool:
    """Whether the text writes out what the word abbreviates."""
    return _is_short(short) and bool(_expansions(short, theirs, said))


def _expansions(short: Word, found: Sequence[Word], others: Set[str]) -> list[tuple[int, int]]:
    """Where found[first:last] is what the short form stands for.

    others: the stems of the text that the short form is in. Words that it has as well are there for themselves: of two
    none may be among them, of more at most half.
    """
    spans: list[tuple[int, int]] = []
    low = short.text.lower()
    known = _IRREGULAR.get(low) or _IRREGULAR.get(low.rstrip("s"))
    if known:
        wanted = [stem(one) for one in re.findall(r"\w+", known)]
        n = len(wanted)
        spans += [(i, i + n) for i in range(len(found) - n + 1) if [word.stem for word in found[i : i + n]] == wanted]
    letters = short.text[:-1] if len(low) > 2 and short.text[-1] == "s" and short.text[-2].isupper() else short.text
    if not letters.isalpha() or len(letters) < 2:
        return spans
    passed = 2 if len(letters) > 2 else 0  # function words that have no letter
    for i, word in enumerate(found):
        if word.text[0].lower() != letters[0].lower() or word.text == short.text:
            continue
        for n in range(2, len(letters) + passed + 1):
            common = sum(one.stem in others for one in found[i : i + n] if one.text not in STOPWORDS)
            if (
                i + n <= len(found)
                and common <= (n // 2 if n > 2 else 0)
                and _spells(letters, [one.text for one in found[i : i + n]])
            ):
                spans.append((i, i + n))
                break
    return spans


def _spells(letters: str, words: Sequence[str]) -> bool:
    """Whether the letters are the initials of the words: HyperText Transfer Protocol, denial of service.

    A capital stands for a content word or for a capital inside one, a small letter may stand for a function word, and
    function words may have no letter.
    """
    if words[-1].lower() in STOPWORDS or any(word.isupper() and len(word) > 1 for word in words[1:]):
        return False

    def fits(at: int, n: int) -> bool:
        if n == len(words):
            return at == len(letters)
        word, function = words[n].lower(), words[n].lower() in STOPWORDS
        if function and n and fits(at, n + 1):
            return True
        if at >= len(letters) or word[0] != letters[at].lower() or (function and letters[at].isupper()):
            return False
        inner = [letter.lower() for letter in words[n][1:] if letter.isupper()]
        more = at + 1 < len(letters) and letters[at + 1].lower() in inner
        return fits(at + 1, n + 1) or (more and fits(at + 2, n + 1))

    return fits(0, 0)
