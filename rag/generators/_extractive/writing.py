"""Quotes become an answer: in reading order, each with its marker, introduced where that helps; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ingest.languages.sentences import sentences
from rag.generators._extractive.features import refers
from rag.language import content_stems
from rag.types import Passage

LONGEST_LEAD = 8  # words of a title or heading that may introduce a quote
# A full stop with what closes after it: quotation marks, brackets, notes like [citation needed].
_STOP = re.compile(r"[.!?…。！？]+[\"'”’»)」』]*(?:\[[^\]]{1,40}\])*$")
_PERSON = re.compile(
    r"^\W*(?:\w+,? ){0,2}?(?:he|she|his|her|him|er|il|elle|él|ella|egli|lui|lei|ele|ela|hij|zij)\b", re.IGNORECASE
)
_NAME = re.compile(r"[\w'’(),&:/+ -]+")


@dataclass(frozen=True, slots=True)
class Quote:
    """A piece of a passage: passages[passage].text[start:end] == text."""

    passage: int  # 0-based
    start: int
    end: int
    text: str
    lead: str = ""  # the title or heading that says what it speaks of; not part of the quote
    item: bool = False  # of a list: it stands on a line of its own


def in_order(quotes: Sequence[Quote]) -> list[Quote]:
    """Those of one passage as they stand in it, the passages in the order of their best quote."""
    places = list(dict.fromkeys(quote.passage for quote in quotes))
    return sorted(quotes, key=lambda quote: (places.index(quote.passage), quote.start))


def introduced(
    quotes: Sequence[Quote], passages: Sequence[Passage], before: Sequence[str | None], question: str, room: int
) -> list[Quote]:
    """The quotes, those that begin with "he", "this" … under the title or heading that they speak of.

    before: for each quote the sentence before it ("" where there is none), None where that is quoted, too, or the quote
    begins inside its sentence. room: words that are left for it, all together.
    """
    found: list[Quote] = []
    for quote, told in zip(quotes, before, strict=True):
        lead = "" if told is None or not refers(quote.text) else _lead(quote, passages[quote.passage], told, question)
        if lead and len(lead.split()) <= room and all(lead != one.lead for one in found):
            room -= len(lead.split())
            quote = replace(quote, lead=lead)
        found.append(quote)
    return found


def _lead(quote: Quote, passage: Passage, before: str, question: str) -> str:
    """The title, or the nearest heading where there is no title, if it helps: it has words that the quote does not
    have, and the quote speaks of it, as the sentence before it or the question says. A person is one only where they
    name the whole of it; a thing, also where nothing stands before the quote."""
    known = set(content_stems(quote.text))
    spoken_of = set(content_stems(before)), set(content_stems(question))
    for name in (passage.title, *reversed(passage.headings)):
        shown = " ".join(name.split())
        if not shown or len(shown.split()) > LONGEST_LEAD or not _NAME.fullmatch(shown):
            continue
        named = set(content_stems(shown))
        if not named or named <= known:
            return ""
        if _PERSON.match(quote.text):
            return shown if any(named <= one for one in spoken_of) else ""
        return shown if not before or any(named & one for one in spoken_of) else ""
    return ""


def pieces(quotes: Sequence[Quote]) -> list[str]:
    """The quotes as they are written: the marker stands before the full stop; a piece that does not end or begin like
    a sentence is set apart by an empty line, so that nobody reads two quotes as one sentence. Words in square brackets
    are not the document's."""
    found: list[str] = []
    for quote in quotes:
        stop = _STOP.search(quote.text)
        at = stop.start() if stop else len(quote.text)
        lead = f"[{quote.lead}] " if quote.lead else ""
        piece = f"{lead}{quote.text[:at]} [{quote.passage + 1}]{quote.text[at:]}"
        if found:
            apart = not _STOP.search(found[-1]) or not (quote.text[0].isupper() or quote.text[0].isdigit() or lead)
            piece = ("\n" if quote.item else "\n\n" if apart else " ") + piece
        found.append(piece)
    return found


def counted(quotes: Sequence[Quote]) -> int:
    """How many sentences a reader counts in the answer; items of a list are none of them."""
    return len(sentences("".join(pieces([quote for quote in quotes if not quote.item]))))
