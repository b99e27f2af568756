"""Where a text may be cut without tearing what a reader sees as one character: grapheme clusters, conjuncts, syllables.

Stricter than UAX #29 in a few places: nothing is cut behind a virama, nor between a Thai vowel sign and its consonant.
"""

import re
import unicodedata

LONGEST = 64  # code points looked at on each side; a longer cluster is no text, and is cut like any other

_JOINED = re.compile(  # never the beginning of a cluster, besides all marks (M)
    "[\u200c\u200d\u1160-\u11ff\ud7b0-\ud7fb\uff9e\uff9f\u0e30\u0e32\u0e33\u0e45\u0e46\u0e2f\u0eb0\u0eb2\u0eb3\u0ec6"
    "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
)
_JOINING = re.compile(  # never the end of one: joiner, initial jamo, prepended signs, vowels before their consonant
    "[\u200d\u1100-\u115f\ua960-\ua97c\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd\U000111c2"
    "\U000111c3\U00011f02\u0e40-\u0e44\u0ec0-\u0ec4]"
)
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]+")
_PAUSE = re.compile("[、，；：。！？｡､…」』）》〉】،؛。।ๆฯ]")
_SYLLABLE = re.compile("[เแโใไເແໂໃໄ]")


def starts(text: str, at: int) -> bool:
    """Whether a text may be cut before its character `at`."""
    if not 0 < at < len(text):
        return True
    before, after = text[at - 1], text[at]
    if before.isascii() and after.isascii():
        return not (before == "\r" and after == "\n")
    if before.isspace():
        return not unicodedata.category(after).startswith("M")
    if unicodedata.category(after).startswith("M") or _JOINED.match(after):
        return before == "\n"
    if _JOINING.match(before):
        return after.isspace()
    if _FLAG.match(after) and _FLAG.match(before):
        run = 0
        while run < at and _FLAG.match(text[at - 1 - run]):
            run += 1
        return run % 2 == 0
    return not (after.isalpha() and _conjoins(text, at))


def _conjoins(text: str, at: int) -> bool:
    """Whether the marks before a letter end in a virama, which makes one letter of two."""
    for place in range(at - 1, max(-1, at - 9), -1):
        kind = unicodedata.combining(text[place])
        if kind == 9:
            return True
        if kind == 0 and text[place] != "\u200d":
            return False
    return False


def cut(text: str, low: int, at: int, end: int) -> int:
    """The best place to cut a stretch without blanks, that goes on to `end`: up to `at`, but behind `low`.

    That is behind a comma or a stop of an unspaced script, else before a Thai or Lao syllable, else between clusters;
    after `at` when there is no such place before it, and at `at` when the whole stretch is one cluster.
    """
    if text.isascii():
        return at
    places = [place for place in range(at, max(low, at - LONGEST), -1) if starts(text, place)]
    for place in places:
        if _PAUSE.match(text[place - 1]):
            return place
    for place in places:
        if _SYLLABLE.match(text, place):
            return place
    if places:
        return places[0]
    return next((place for place in range(at + 1, min(end, at + LONGEST)) if starts(text, place)), at)
