"""Text becomes the spans of its sentences: exact offsets, in order, never overlapping.

Why not a library: sentencex is fast (75 MB/s here) and good at abbreviations, but one stray quotation mark or closing
parenthesis ("5\" disk", "1) placebo") hides every full stop up to its partner, in abstracts for paragraphs on end. Here
a bracket is believed only when it closes soon. Line breaks are read, too: a list item, a table row or a line of code
ends where its line ends, a wrapped line of prose does not.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from ingest.languages.abbreviations import EITHER, FOLLOWED
from ingest.languages.clusters import starts
from ingest.languages.function_words import FUNCTION_WORDS, STARTERS

_CLOSERS = "\"'”’»)\\]*_`"
_OPENERS = "\"'“‘„«‹([*_`¿¡"

# A stop and what closes after it, footnote marks included, then blank or the end; a stop of a script that sets no blank
# after it; a stop without its blank ("the end.Then it"); a run of line breaks.
_STOP = r"(?P<stop>[.!?…%s]+)(?:[%s]|\[(?:\d+(?:[,–-]\d+)*|[a-z ]{4,30})\]|[ ]”)*(?=\s|$)"
_OTHERS = (
    rf"|(?P<wide>[。！？｡।॥۔؟։።፧።။។៕།༎]+)[{_CLOSERS}」』）》〉】]*"
    r"|(?P<tight>(?:(?<=[a-z]{3})|(?<=[\w%]\)))\.(?=[A-Z][a-z]*(?:\s+[a-z0-9]|[.:]\s)))"
    r"|(?P<line>\n\s*)"
)
_HAN = "\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_THAI = "\u0e01-\u0e4e\u0e81-\u0ece"
# Of scripts without blanks: a question mark of the typewriter; the blank between two Thai or Lao clauses.
_UNSPACED = (
    rf"|(?P<bare>(?<=[{_HAN}])[!?]+[{_CLOSERS}」』）]*(?=[{_HAN}「『（“]))"
    rf"|(?P<clause>(?<=[{_THAI}])[ ]+(?=[{_THAI}]))"
)
_IS_UNSPACED = re.compile(f"[{_HAN}{_THAI}]")
_QUOTED = re.compile("[」』”][とっ、，]")  # the sentence goes on behind the words that it quotes
_WIDE_PAIRS = (("「", "」"), ("『", "』"), ("（", "）"), ("“", "”"), ("《", "》"))
_PAIRS = (("(", ")"), ("[", "]"), ("“", "”"))
_CLAUSE = 60  # code points of a Thai sentence from which a blank ends it …
_CLAUSE_AT_LAST = 240  # … whatever follows
_CLAUSE_LEFT = 15  # that the next clause must have
_THAI_ENDS = re.compile("(?:ครับ|ค่ะ|คะ|นะ|จ้ะ|จ๊ะ)$")
_THAI_GOES_ON = re.compile("และ|หรือ|แต่|ซึ่ง|ที่|โดย|เพื่อ|เพราะ|เช่น|ได้แก่|คือ|ว่า|รวมทั้ง|จึง|กับ|จาก|ของ|ใน|ๆ|ฯ|ແລະ|ຫຼື|ແຕ່|ທີ່|ໂດຍ|ເພື່ອ")
_LIST_ITEM = re.compile(r"(?:[-*+•‣◦▪–—·]|\(?(?:\d{1,3}|[A-Za-z]|[ivxlIVXL]{1,5})[.)])\s")
_ENUMERATOR = re.compile(r"\s*\(?(?:\d{1,3}|[A-Za-z]|[ivxlIVXL]{1,5})")
_STRUCTURED = re.compile(r"\s*(?:[|>#<{}@$]|[-=*_~`]{3}|\w[\w ./()-]{0,60}: [^;\n]*;)|.*(?: \| |\t|[;{}\\|]\s*$)")
_DOTTED = re.compile(r"(?:\w\.)+\w")
_ROMAN = re.compile("[IVXLC]+")
_SPELLED_APART = re.compile(r"\b[^\W\d_]\.\s[^\W\d_]$")  # z. B, d. h
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\S{1,40}")
_SOLID = re.compile(r"\S+")
_BLANK = re.compile(r"\s*")
_WRAPPED = 40  # a line of prose at least this long was wrapped, a shorter one was ended
_LOOK_BACK = 240  # an open bracket or quotation further back than this was not meant to be closed


@dataclass(frozen=True, slots=True)
class _Rules:
    """What is a language's own of where sentences end."""

    stops: str  # besides . ! ? …
    followed: frozenset[str]
    either: frozenset[str]
    starters: frozenset[str]
    ordinals: bool  # are numbers with a full stop, before nouns with a capital
    endings: tuple[str, ...]  # of words that are abbreviations before a number


@cache
def _rules(language: str) -> _Rules:
    if language not in FOLLOWED and language not in FUNCTION_WORDS:
        language = "en"
    return _Rules(
        stops=";" if language == "el" else "",
        followed=FOLLOWED.get(language, FOLLOWED["en"]),
        either=EITHER[""] | EITHER.get(language, frozenset()),
        starters=STARTERS if language == "en" else FUNCTION_WORDS.get(language, frozenset()),
        ordinals=language == "de",
        endings=("str",) if language in ("de", "nl") else (),
    )


@cache
def _candidate(stops: str, unspaced: bool) -> re.Pattern[str]:
    return re.compile(_STOP % (stops, _CLOSERS) + _OTHERS + (_UNSPACED if unspaced else ""))


def sentences(text: str, language: str = "en") -> list[tuple[int, int]]:
    """The spans (start, end) of the sentences of a text, without blanks around them; none overlaps the next.

    Every character that is not blank is in exactly one span. A paragraph break always ends a sentence; so does the end
    of a list item, of a table row, of a line of code. `language` (a code as of ingest/languages; English where it has
    no rules) chooses the abbreviations. Full stops of other scripts are known always; Thai and Lao have none, and are
    cut at blanks between long clauses. Linear in the length of the text.
    """
    rules = _rules(language)
    unspaced = not text.isascii() and _IS_UNSPACED.search(text) is not None
    spans: list[tuple[int, int]] = []
    start = 0
    for found in _candidate(rules.stops, unspaced).finditer(text):
        kind = found.lastgroup
        if kind == "stop":
            ends = _stop_ends(text, start, found, rules)
        elif kind == "line":
            ends = _line_ends(text, found)
        elif kind == "clause":
            ends = _clause_ends(text, start, found)
        else:
            ends = kind == "tight" or _wide_ends(text, start, found)
        if ends:
            _append(spans, text, start, found.end())
            start = found.end()
    _append(spans, text, start, len(text))
    return spans


def _wide_ends(text: str, start: int, found: re.Match[str]) -> bool:
    """Whether a stop of a script that sets no blank after it ends the sentence that begins at `start`."""
    goes_on = _QUOTED.match(text, found.end() - 1) or not starts(text, found.end())
    return not goes_on and not _inside(text, start, found.end() - 1, _WIDE_PAIRS)


def _clause_ends(text: str, start: int, found: re.Match[str]) -> bool:
    """Whether a blank between two Thai clauses ends the sentence, too."""
    at, after = found.span()
    if _THAI_ENDS.search(text, max(start, at - 5), at):
        return True
    following = _SOLID.match(text, after)
    if at - start < _CLAUSE or following is None or len(following.group()) < _CLAUSE_LEFT:
        return False
    return at - start >= _CLAUSE_AT_LAST or not _THAI_GOES_ON.match(text, after)


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    """Add text[start:end] without its blanks; what has no letter or digit goes to the sentence before on its line."""
    piece = text[start:end]
    bare = piece.strip()
    if not bare:
        return
    begin = start + len(piece) - len(piece.lstrip())
    if spans and not any(map(str.isalnum, bare)) and "\n" not in text[spans[-1][1] : begin]:
        spans[-1] = (spans[-1][0], begin + len(bare))
    else:
        spans.append((begin, begin + len(bare)))


def _line_ends(text: str, found: re.Match[str]) -> bool:
    """Whether a run of line breaks ends a sentence."""
    before, after = found.span()
    if text.count("\n", before, after) > 1 or after == len(text):
        return True
    line_start = text.rfind("\n", 0, before) + 1
    if after - before > 4 or text.startswith("    ", line_start):
        return True  # indented: code, or a list within a list
    if before - line_start < _WRAPPED and not text[after].islower():
        return True
    following = text[after : after + 400].partition("\n")[0]
    this = text[max(line_start, before - 400) : before]
    return bool(_LIST_ITEM.match(following) or _STRUCTURED.match(this) or _STRUCTURED.match(following))


def _stop_ends(text: str, start: int, found: re.Match[str], rules: _Rules) -> bool:
    """Whether a stop followed by a blank ends the sentence that begins at `start`."""
    position, end = found.span()
    blank = _BLANK.match(text, end)
    after = blank.end() if blank else end
    if after == len(text) or text.count("\n", end, after) > 1:
        return True
    while after < len(text) and text[after] in _OPENERS:
        after += 1
    first = text[after : after + 1]
    if not first or first in ".…" or _inside(text, start, position):
        return False
    near = text[max(start, position - 40) : position]
    word = near.split()[-1] if near and not near[-1].isspace() else ""
    if not word and near.rstrip()[-1:] in ("", ".", "…"):  # the leaders of a table of contents
        return False
    if position - start < 16 and _ENUMERATOR.fullmatch(text, start, position):
        return False
    if first.islower():  # "mRNA falls.", or someone who writes no capitals; hardly after "etc." or a quotation
        known = rules.followed | rules.either if len(word) > 3 and word.isalpha() else frozenset((word.lower(),))
        if rules.ordinals and _ROMAN.fullmatch(word):
            return False
        return found["stop"] == "." and end == position + 1 and word.lower() not in known
    if found["stop"] != "." or end > position + 1:
        return True
    if rules.ordinals and _SPELLED_APART.search(near):
        return False
    return _word_ends(text, after, word.lstrip(_OPENERS), rules)


def _word_ends(text: str, after: int, word: str, rules: _Rules) -> bool:
    """Whether `word` and its full stop end a sentence, when what begins at `after` is not in lower case."""
    found = _WORD.match(text, after)
    next_word = found.group() if found else ""
    lower = word.lower()
    initial = len(next_word) == 1 and text.startswith(".", after + 1)
    starter = next_word[:1].isupper() and not initial and next_word.lower() in rules.starters
    if lower == "no":  # the number sign, or the word
        return not next_word[:1].isdigit()
    if lower in rules.either or _DOTTED.fullmatch(word) or (len(word) == 1 and word.isupper() and word != "I"):
        return starter
    if rules.ordinals and ((len(word) < 3 and word.isdigit()) or _ROMAN.fullmatch(word)):
        return starter
    return lower not in rules.followed and not (next_word[:1].isdigit() and lower.endswith(rules.endings))


def _inside(text: str, start: int, position: int, pairs: Sequence[tuple[str, str]] = _PAIRS) -> bool:
    """Whether a position stands in brackets or typographic quotes that opened in this sentence and close soon."""
    low = max(start, position - _LOOK_BACK)
    for opening, closing in pairs:
        opened = text.rfind(opening, low, position)
        if opened < 0 or text.rfind(closing, opened, position) >= 0:
            continue
        closed = text.find(closing, position, opened + _LOOK_BACK)
        if closed > position + 3 and not (
            text.find(opening, position, closed) >= 0 or text.find("\n\n", position, closed) >= 0
        ):
            return True
    return False
