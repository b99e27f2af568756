"""How well a text supports a sentence, judged by words, numbers, dates, names, units and negation; pure, no model.

Two parts make the judgement. The overlap is the share of the sentence's words that the text holds. The checks then look
at what overlap cannot see: a number that differs, another month, another unit, a name the text never mentions, a
negation or an opposite on one side only. Words are compared by their English Snowball stems; other languages are
compared by the same rule, which leaves most of their words as they are.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from rag.checks import amounts, dates, exchanges, names, negation
from rag.checks.negation import without_prefix
from rag.checks.reading import Reading, Together, key, read
from rag.checks.short_forms import stands_for
from rag.language import is_content, sentence_spans, stems
from rag.types import Reason, Verdict

# What the support of a sentence is made of, set on dialogue answers and scientific claims; see the log.
CONTENT, EVERY, NEIGHBOURS = 0.6, 0.3, 0.1  # shares of content words, all words, pairs of neighbours; they sum to 1
GAP = 0.9  # factor for each number or name that the text does not have
OPINION = 0.6  # factor where the sentence is an opinion or a question
CONFLICT = 0.4  # factor for a contradiction
SUPPORTED = 0.75  # support from which a sentence counts as supported
PARTLY = 0.45  # … and as partly supported
_TELLING: dict[Verdict, int] = {"supported": 0, "partly": 0, "contradicted": 1, "unsupported": 2}
SPAN_SENTENCES = 3  # the longest span that is offered as evidence
NEAR = 0.6  # of what the best text holds of a sentence, others must hold so much to be judged
TIE = 0.1  # what the share of all words counts beside that of the content words when a span is chosen
EXTENSION_GAIN = 0.06  # a further sentence must add this much overlap to be taken into a span
_SPEAKER = re.compile(r"\b(?:I(?:'\w+)?|i|[Mm]y|[Mm]e|[Ww]e|[Oo]ur|(?<![Ll]et )us|[Yy]ou(?:r|'re)?)\b(?!\.)")


@dataclass(frozen=True, slots=True)
class Support:
    """A judgement and why."""

    support: float  # 0…1
    verdict: Verdict
    reasons: tuple[Reason, ...]  # empty when nothing is missing


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, text[start:end], and how well it supports a sentence."""

    start: int
    end: int
    support: Support


# ── the judgement ───────────────────────────────────────────────────────────────────────────────────────────────────


def judge(sentence: str, text: str) -> Support:
    """How well a text supports a sentence.

    A sentence that states nothing (no content word, number or date) is supported by nothing (0). A conflict (another
    number for the same thing, another date, unit or name in its place, a negation or an opposite on one side) makes it
    "contradicted" when the rest agrees well enough for the two to speak of the same matter. With a number, a date or a
    name that the text does not have it is supported in part at most; so it is where a speaker says "I" or "you", or
    asks, and the text does not.
    """
    return judged(read(sentence), read(text))


def judged(ours: Reading, theirs: Reading | Together) -> Support:
    """`judge` for a sentence and a text that are read already."""
    facts = _facts(ours)
    if not ours.content and not facts:
        return Support(0.0, "unsupported", (Reason("words", "the sentence states nothing"),))
    held = _held(ours, theirs)
    conflicts, gaps = _checked(ours, theirs, held)
    share = _agreement(ours, theirs, held, facts, len(_of_facts(conflicts, gaps)))
    opinions = _opinions(ours.written, theirs.written)
    reasons = [*conflicts, *gaps, *opinions]
    if not reasons and (missing := _missing(ours, held)):
        reasons = [Reason("words", "not in the text: " + ", ".join(missing[:6]))]
    value = share * GAP ** len(gaps) * OPINION ** len(opinions) * (CONFLICT if conflicts else 1.0)
    verdict = _verdict(value, share, conflict=bool(conflicts), gap=bool(gaps or opinions))
    return Support(round(value, 6), verdict, tuple(reasons))


def states(sentence: str) -> bool:
    """Whether a sentence states anything: whether it has a content word, a number or a date."""
    ours = read(sentence)
    return bool(ours.content) or _facts(ours) > 0


def _facts(ours: Reading) -> int:
    return sum(not one.soft for one in ours.quantities) + len(ours.dates)


def lacking(ours: Reading, theirs: Reading | Together) -> frozenset[str]:
    """The stems of the sentence's content words that the text neither has nor stands for."""
    return frozenset(ours.content) - _held(ours, theirs)


def letters(ours: Reading, theirs: Reading | Together) -> float:
    """The share of the sentence's runs of three characters that the text has: a match that sees parts of words."""
    wanted = ours.trigrams
    return len(wanted & theirs.trigrams) / len(wanted) if wanted else 0.0


def _held(ours: Reading, theirs: Reading | Together) -> Set[str]:
    """The stems that the text has or, in a longer, shorter or prefixed form, stands for."""
    if ours.keys <= theirs.keys:
        return theirs.keys
    held = theirs.keys | stands_for(ours.words, theirs.words, theirs.keys)
    return held | {one.stem for one in ours.words if one.stem not in held and without_prefix(one.text.lower()) in held}


def _checked(ours: Reading, theirs: Reading | Together, held: Set[str]) -> tuple[list[Reason], list[Reason]]:
    """Conflicts with the text, and facts that it does not have."""
    told = []
    if ours.dates:
        told.append(dates.compare(ours.dates, theirs.dates))
    if ours.quantities:
        told.append(amounts.compare(ours.placed, theirs.placed))
    if ours.names:
        spelled = held - theirs.keys
        told.append(names.compare(ours.names, theirs.names, ours.following, held, spelled, lambda: theirs.forms))
    conflicts = [reason for found, _ in told for reason in found]
    gaps = [reason for _, found in told for reason in found]
    if not conflicts and not gaps:
        conflicts = exchanges.compare(ours, theirs)
    return [*conflicts, *negation.compare(ours.clauses, theirs.clauses, theirs.keys, held)], gaps


def _of_facts(conflicts: Sequence[Reason], gaps: Sequence[Reason]) -> set[Reason]:
    return {reason for reason in (*conflicts, *gaps) if reason.kind in ("number", "unit", "date")}


def _missing(ours: Reading, held: Set[str]) -> list[str]:
    return sorted({word.text for word in ours.words if is_content(word) and word.stem not in held})


def _agreement(ours: Reading, theirs: Reading | Together, held: Set[str], facts: int, wrong: int) -> float:
    """Of the content words and facts, of all words and of the pairs of neighbours the shares held, mixed."""
    wanted = set(ours.content)
    every = len(ours.keys & held) / len(ours.keys) if ours.keys else 1.0
    there = len(wanted & held) + max(0, facts - wrong)
    neighbours = len(ours.pairs & theirs.pairs) / len(ours.pairs) if ours.pairs else 1.0
    return CONTENT * there / (len(wanted) + facts) + EVERY * every + NEIGHBOURS * neighbours


def _verdict(value: float, share: float, *, conflict: bool, gap: bool) -> Verdict:
    if conflict:
        return "contradicted" if share >= PARTLY else "unsupported"
    if value >= SUPPORTED and not gap:
        return "supported"
    return "partly" if value >= PARTLY else "unsupported"


def _opinions(sentence: str, text: str) -> list[Reason]:
    """A speaker's own voice and questions, which no text supports that has neither."""
    found = []
    if _SPEAKER.search(sentence) and not _SPEAKER.search(text):
        found.append(Reason("opinion", "it speaks of the speaker or of whoever is spoken to, the text does not"))
    if sentence.rstrip(" \"'”’)").endswith("?") and "?" not in text:
        found.append(Reason("opinion", "it asks and states nothing"))
    return found


# ── where the evidence stands ───────────────────────────────────────────────────────────────────────────────────────

_QUOTED = Support(1.0, "supported", ())


@lru_cache(maxsize=1024)  # citations and scorers ask the same of an answer's sentences and passages
def best_span(sentence: str, text: str) -> Span | None:
    """The one to three consecutive sentences of a text that support a sentence best; None when no word is shared.

    A sentence quoted word for word is its own evidence, wherever it begins and ends. Among equals the shorter, then
    the earlier; the checks are made on the chosen span.
    """
    verbatim = _verbatim(_quotes(sentence), text)
    if verbatim:
        return Span(*verbatim, _QUOTED)
    chosen = _chosen(sentence, text)
    return chosen and Span(chosen.start, chosen.end, judge(sentence, text[chosen.start : chosen.end]))


class _Chosen(NamedTuple):
    """The one to three sentences of a text that hold most of a sentence."""

    value: float  # what they hold of it
    start: int
    end: int


@lru_cache(maxsize=1024)
def _chosen(sentence: str, text: str) -> _Chosen | None:
    ours = read(sentence)
    named = frozenset(ours.content) or ours.keys
    total, every, parts = len(named), len(ours.keys), _parted(text).parts
    shared = [ours.keys & part.keys for part in parts]
    best: tuple[float, int, int] | None = None
    for first, keys in enumerate(shared):
        if named.isdisjoint(keys):
            continue
        held: frozenset[str] = frozenset()
        for length, more in enumerate(shared[first : first + SPAN_SENTENCES], 1):
            if length > 1 and more <= held:
                continue
            held = held | more
            value = _value(len(named & held), len(held), total, every) - EXTENSION_GAIN * (length - 1)
            if best is None or value > best[0] + 1e-12:
                best = (value, first, length)
    if best is None:
        return None
    value, first, length = best
    return _Chosen(value, parts[first].start, parts[first + length - 1].end)


def _value(content: int, held: int, total: int, every: int) -> float:
    """What it is worth to hold so many of a sentence's content words and of all its words; never less for more."""
    return content / total + TIE * held / every


def most_supporting(sentence: str, texts: Sequence[str]) -> tuple[int, Span] | None:
    """The text that says most about a sentence, as (its 0-based place, the span in it); None when no word is shared.

    Support comes first, then a contradiction, which speaks of the same matter, then what has only words in common;
    among equals the higher support, then the earlier text. Texts that hold much less of the sentence than another one
    are passed over.
    """
    quotes = _quotes(sentence)
    for i, text in enumerate(texts):
        if verbatim := _verbatim(quotes, text):
            return i, Span(*verbatim, _QUOTED)
    near = _near(sentence, texts)
    spans = [(i, span) for i in near if (span := best_span(sentence, texts[i]))]
    return min(
        spans, key=lambda item: (_TELLING[item[1].support.verdict], -item[1].support.support, item[0]), default=None
    )


def _near(sentence: str, texts: Sequence[str]) -> list[int]:
    """The places of the texts whose best sentences hold the most of a sentence, or nearly so much.

    What a text holds as a whole bounds what its sentences hold: one that can hold too little is not looked at closer.
    """
    ours = read(sentence)
    named = frozenset(ours.content) or ours.keys
    bounds: dict[int, float] = {}
    for i, text in enumerate(texts):
        held = ours.keys & _parted(text).keys
        if not named.isdisjoint(held):
            bounds[i] = _value(len(named & held), len(held), len(named), len(ours.keys))
    values: dict[int, float] = {}
    most = 0.0
    for i in sorted(bounds, key=lambda i: -bounds[i]):
        if bounds[i] < NEAR * most:
            break
        if chosen := _chosen(sentence, texts[i]):
            values[i] = chosen.value
            most = max(most, chosen.value)
    return sorted(i for i, value in values.items() if value >= NEAR * most)


class _Part(NamedTuple):
    """A sentence of a text."""

    start: int
    end: int
    keys: frozenset[str]  # of its words, numbers among them


class _Parted(NamedTuple):
    """A text as it is searched for evidence."""

    parts: tuple[_Part, ...]
    keys: frozenset[str]  # of all its sentences


@lru_cache(maxsize=256)  # an answer compares each of its sentences with the same passages
def _parted(text: str) -> _Parted:
    found, at = stems(text, key), 0
    parts = []
    for start, end in sentence_spans(text):
        first = at
        while at < len(found) and found[at][0] < end:
            at += 1
        parts.append(_Part(start, end, frozenset(one for _, one in found[first:at])))
    return _Parted(tuple(parts), frozenset().union(*(part.keys for part in parts)))


def _quotes(sentence: str) -> list[str]:
    """How a sentence may stand in a text that it is taken from: with its full stop or without; never a single word."""
    whole = sentence.strip()
    return [quote for quote in dict.fromkeys((whole, whole.rstrip(" ."))) if len(quote.split(None, 1)) > 1]


def _verbatim(quotes: Sequence[str], text: str) -> tuple[int, int] | None:
    """Where one of the quotes stands in the text word for word, its words whole."""
    for quote in quotes:
        start = text.find(quote)
        while start >= 0:
            end = start + len(quote)
            if not _in_word(text[start - 1 : start]) and not _in_word(text[end : end + 1]):
                return start, end
            start = text.find(quote, start + 1)
    return None


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"
