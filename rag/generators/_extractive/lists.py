"""Lists in documents: which consecutive items answer a question, and how many of them fit; pure."""

import re
from collections.abc import Sequence

from rag.generators._evidence import Candidate
from rag.generators._extractive.writing import Quote

FEWEST = 2  # items that make a list
LONGEST_OPENING = 25  # words of the sentence that opens a list, as "There are three kinds:"
_ITEM = re.compile(r"(?:[-*+•‣◦▪–—·]|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)])\s+\S")


def is_item(one: Candidate) -> bool:
    """Whether a sentence begins as an item of a list does: with a bullet, a number or a letter."""
    return _ITEM.match(one.text) is not None


def listed(found: Sequence[Candidate], at: int, words: int) -> list[Quote]:
    """The list that the sentence found[at] is an item of or opens, whole items in their order, with the sentence that
    opens it, as many as there is room for; nothing when it is no list or fewer than two fit.

    found: every sentence of the passages, in order. words: room for them, a marker each included.
    """
    items = _items(found, at)
    if len(items) < FEWEST:
        return []
    quotes: list[Quote] = []
    opening = found[items[0] - 1] if items[0] else None
    if opening is not None and opening.passage == found[items[0]].passage and _opens(opening):
        quotes.append(Quote(opening.passage, opening.start, opening.end, opening.text))
    used = sum(len(quote.text.split()) + 1 for quote in quotes)
    taken = 0
    for i in items:
        one = found[i]
        used += len(one.text.split()) + 1
        if used > words:
            break
        quotes.append(Quote(one.passage, one.start, one.end, one.text, item=True))
        taken += 1
    return quotes if taken >= FEWEST else []


def _opens(one: Candidate) -> bool:
    return one.text.rstrip().endswith(":") and len(one.text.split()) <= LONGEST_OPENING


def _items(found: Sequence[Candidate], at: int) -> list[int]:
    """The places of the items of one list, a further sentence of an item left out."""
    if not is_item(found[at]):
        follows = at + 1 < len(found) and found[at + 1].passage == found[at].passage and is_item(found[at + 1])
        if not (follows and found[at].text.rstrip().endswith(":")):
            return []
        at += 1
    first = at
    while (before := _next(found, first, -1)) is not None:
        first = before
    items = [first]
    while (after := _next(found, items[-1], 1)) is not None:
        items.append(after)
    return items


def _next(found: Sequence[Candidate], at: int, step: int) -> int | None:
    """The neighbouring item, at most one sentence further; the sentence between them must not open another list."""
    for distance in (1, 2):
        i = at + step * distance
        if not 0 <= i < len(found) or found[i].passage != found[at].passage or found[i].text.rstrip().endswith(":"):
            return None
        if is_item(found[i]):
            return i
    return None
