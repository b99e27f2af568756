"""How well a text supports a sentence, judged by words, numbers, dates, names, units and negation; pure, no model.

Two parts make the judgement. The overlap is the share of the sentence's content words, weighted by rarity, that the
text holds. The checks then look at what overlap cannot see: a number that differs, another month, another unit, a
name the text never mentions, a negation or an opposite on one side only. Words are compared by their English Snowball
stems; other languages are compared by the same rule, which leaves most of their words as they are.
"""

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ingest.languages.sentences import sentences
from rag.language import Weights, Word, content_stems, is_content, months, names, negated, opposites, quantities, words
from rag.types import Verdict

# What the support of a sentence is made of, set on dialogue answers and scientific claims; see the log.
CONTENT, EVERY, NEIGHBOURS = 0.6, 0.3, 0.1  # shares of content words, all words, pairs of neighbours; they sum to 1
GAP = 0.9  # factor for each number or name that the text does not have
OPINION = 0.6  # factor where the sentence is an opinion or a question
CONFLICT = 0.4  # factor for a contradiction
SUPPORTED = 0.75  # support from which a sentence counts as supported
PARTLY = 0.45  # … and as partly supported
_TELLING: dict[Verdict, int] = {"supported": 0, "partly": 0, "contradicted": 1, "unsupported": 2}
SPAN_SENTENCES = 3  # the longest span that is offered as evidence
EXTENSION_GAIN = 0.06  # a further sentence must add this much overlap to be taken into a span


@dataclass(frozen=True, slots=True)
class Support:
    """A judgement and why."""

    support: float  # 0…1
    verdict: Verdict
    reasons: tuple[str, ...]  # in words, for people; empty when nothing is missing


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, text[start:end], and how well it supports a sentence."""

    start: int
    end: int
    support: Support


# ── what answers share: the words of an abstention, the form of a marker ────────────────────────────────────────────

ABSTENTION = "The documents do not answer this question."
_ABSTAINS = re.compile(
    r"\W*(?:(?:i am|i'm) sorry\W+|sorry\W+|unfortunately\W+)?(?:but\s+)?the\s+(?:provided\s+|given\s+)?"
    r"(?:documents|passages)\s+(?:do\s+not|don't)\s+(?:answer|contain\s+(?:the|an)\s+answer\s+to)\s+(?:this|the)\s+question",
    re.IGNORECASE,
)

_SPEAKER = re.compile(r"\b(?:I(?:'\w+)?|i|[Mm]y|[Mm]e|[Ww]e|[Oo]ur|us|[Yy]ou(?:r|'re)?)\b(?!\.)")

MARKER = re.compile(r"[ \t]*\[\s*\d{1,4}(?:\s*[,;]\s*\d{1,4})*\s*\]")
"""A citation marker with the blanks before it: [1], [1, 2]."""


def is_abstention(text: str) -> bool:
    """Whether an answer says that it has none: it begins with `ABSTENTION` or a close variant of it."""
    return _ABSTAINS.match(text.replace("’", "'")) is not None


def marked_numbers(marker: str) -> list[int]:
    """The numbers in a marker, in order."""
    return [int(number) for number in re.findall(r"\d+", marker)]


def _even(_: str) -> float:
    return 1.0


# ── the judgement ───────────────────────────────────────────────────────────────────────────────────────────────────


def overlap(stems: Iterable[str], held: Set[str], weights: Weights = _even) -> float:
    """The weighted share of different stems that are held; 0 when there are none."""
    wanted = set(stems)
    total = sum(weights(one) for one in sorted(wanted))
    return sum(weights(one) for one in sorted(wanted & held)) / total if total else 0.0


def judge(sentence: str, text: str, weights: Weights = _even) -> Support:
    """How well a text supports a sentence.

    A sentence without any content word is supported by nothing (0). A conflict (another number for the same thing,
    another month or unit, a negation or an opposite on one side) makes it "contradicted" when the rest agrees well
    enough for the two to speak of the same matter. With a number or a name that the text does not have it is supported
    in part at most; so it is where a speaker says "I" or "you", or asks, and the text does not.
    """
    ours, theirs = words(sentence), words(text)
    wanted = [word.stem for word in ours if is_content(word)]
    if not wanted:
        return Support(0.0, "unsupported", ("the sentence states nothing",))
    held = {word.stem for word in theirs}
    share = _agreement(ours, wanted, theirs, held, weights)
    conflicts = [*_number_conflicts(sentence, text), *_month_conflicts(sentence, text)]
    conflicts += _polarity_conflicts(ours, theirs)
    gaps = [*([] if conflicts else _missing_numbers(sentence, text)), *_missing_names(sentence, held)]
    opinions = _opinions(sentence, text)
    reasons = [*conflicts, *gaps, *opinions]
    if not reasons and (missing := sorted({w.text for w in ours if is_content(w) and w.stem not in held})):
        reasons = ["not in the text: " + ", ".join(missing[:6])]
    value = share * GAP ** len(gaps) * OPINION ** len(opinions) * (CONFLICT if conflicts else 1.0)
    verdict = _verdict(value, share, conflict=bool(conflicts), gap=bool(gaps or opinions))
    return Support(round(value, 6), verdict, tuple(reasons))


def _agreement(
    ours: Sequence[Word], wanted: Sequence[str], theirs: Sequence[Word], held: Set[str], weights: Weights
) -> float:
    """Of the content words, of all words and of the pairs of neighbours the shares that the text holds, mixed."""
    told, heard = [word.stem for word in ours], [word.stem for word in theirs]
    pairs = set(pairwise(told))
    neighbours = len(pairs & set(pairwise(heard))) / len(pairs) if pairs else 1.0
    return CONTENT * overlap(wanted, held, weights) + EVERY * overlap(told, held) + NEIGHBOURS * neighbours


def _verdict(value: float, share: float, *, conflict: bool, gap: bool) -> Verdict:
    if conflict:
        return "contradicted" if share >= PARTLY else "unsupported"
    if value >= SUPPORTED and not gap:
        return "supported"
    return "partly" if value >= PARTLY else "unsupported"


def _opinions(sentence: str, text: str) -> list[str]:
    """A speaker's own voice and questions, which no text supports that has neither."""
    found = []
    if _SPEAKER.search(sentence) and not _SPEAKER.search(text):
        found.append("it speaks of the speaker or of whoever is spoken to, the text does not")
    if sentence.rstrip(" \"'”’)").endswith("?") and "?" not in text:
        found.append("it asks and states nothing")
    return found


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-9 * max(abs(one), abs(other), 1.0)


def _number_conflicts(sentence: str, text: str) -> list[str]:
    """Numbers of the sentence for which the text has another value of the same thing, or the value in another unit."""
    theirs = quantities(text)
    found = []
    for ours in quantities(sentence):
        same = [other for other in theirs if _close(ours.value, other.value)]
        if same:
            units = {other.unit for other in same}
            if ours.unit and "" not in units and ours.unit not in units:
                found.append(f"{ours.text} is in another unit: {same[0].text} {same[0].unit}")
            continue
        rivals = [other for other in theirs if ours.noun and other.noun == ours.noun and other.unit == ours.unit]
        if ours.unit == "year number":
            rivals = [other for other in theirs if other.unit == "year number"]
        if rivals:
            found.append(f"{ours.text} against {rivals[0].text} in the text")
    return found


def _missing_numbers(sentence: str, text: str) -> list[str]:
    theirs = quantities(text)
    return [
        f"the number {ours.text} is not in the text"
        for ours in quantities(sentence)
        if not any(_close(ours.value, other.value) for other in theirs)
    ]


def _month_conflicts(sentence: str, text: str) -> list[str]:
    ours, theirs = months(sentence), months(text)
    if ours and theirs and not ours & theirs:
        return [f"{sorted(ours)[0].capitalize()} against {sorted(theirs)[0].capitalize()} in the text"]
    return []


def _missing_names(sentence: str, held: set[str]) -> list[str]:
    missing = {word.text: None for word in names(sentence) if word.stem not in held and not word.text[0].isdigit()}
    return [f"the name {name} is not in the text" for name in missing]


def _polarity_conflicts(ours: Sequence[Word], theirs: Sequence[Word]) -> list[str]:
    """A shared word that is negated on one side only, or a word whose opposite stands on the other side in its place.

    A negation and an opposite cancel each other: "did not increase" agrees with "decreased".
    """
    here, there = {w.stem for w in ours if is_content(w)}, {w.stem for w in theirs if is_content(w)}
    negated_here, negated_there = negated(ours), negated(theirs)
    flips = sorted((here & there) & (negated_here ^ negated_there))
    table = opposites()
    turned = [
        (one, other)
        for one in sorted({w.stem for w in ours} - {w.stem for w in theirs})
        for other in sorted(table.get(one, frozenset()) & {w.stem for w in theirs})
        if other not in {w.stem for w in ours}
    ]
    found = [f"{one} against {other} in the text" for one, other in turned]
    if flips and found:
        return []
    if flips:
        found.append(f"negated on one side only: {', '.join(flips[:4])}")
    return found


# ── what an answer claims ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer and the passages it names."""

    start: int  # in the answer; the span does not cover markers after the full stop
    end: int
    text: str  # without markers
    numbers: tuple[int, ...]  # as marked, each once, whether or not there is such a passage


def without_markers(answer: str) -> str:
    """The text without its citation markers."""
    return MARKER.sub("", answer)


def claims(answer: str) -> list[Claim]:
    """The sentences of an answer with what they mark; a marker belongs to the last sentence that begins before it."""
    spans = sentences(MARKER.sub(lambda match: " " * len(match.group()), answer))  # same offsets, markers unseen
    numbers: list[list[int]] = [[] for _ in spans]
    for match in MARKER.finditer(answer):
        before = [i for i, (start, _) in enumerate(spans) if start < match.end()]
        if spans:
            numbers[before[-1] if before else 0].extend(marked_numbers(match.group()))
    return [
        Claim(start, end, without_markers(answer[start:end]), tuple(dict.fromkeys(marks)))
        for (start, end), marks in zip(spans, numbers, strict=True)
    ]


# ── where the evidence stands ───────────────────────────────────────────────────────────────────────────────────────


def best_span(sentence: str, text: str, weights: Weights = _even) -> Span | None:
    """The one to three consecutive sentences of a text that support a sentence best; None when no word is shared.

    A sentence quoted word for word is its own evidence, wherever it begins and ends. Among equals the shorter, then
    the earlier; the checks are made on the chosen span.
    """
    verbatim = _verbatim(sentence, text)
    if verbatim:
        return Span(*verbatim, Support(1.0, "supported", ()))
    wanted = frozenset(content_stems(sentence))
    parts = _parts(text)
    best: tuple[float, int, int] | None = None
    for length in range(1, SPAN_SENTENCES + 1):
        for first in range(len(parts) - length + 1):
            held = frozenset().union(*(stems for _, _, stems in parts[first : first + length]))
            value = overlap(wanted, held, weights) - EXTENSION_GAIN * (length - 1)
            if wanted & held and (best is None or value > best[0] + 1e-12):
                best = (value, first, length)
    if best is None:
        return None
    _, first, length = best
    start, end = parts[first][0], parts[first + length - 1][1]
    return Span(start, end, judge(sentence, text[start:end], weights))


def most_supporting(sentence: str, texts: Sequence[str], weights: Weights = _even) -> tuple[int, Span] | None:
    """The text that says most about a sentence, as (its 0-based place, the span in it); None when no word is shared.

    Support comes first, then a contradiction, which speaks of the same matter, then what has only words in common;
    among equals the higher support, then the earlier text.
    """
    spans = [(i, span) for i, text in enumerate(texts) if (span := best_span(sentence, text, weights))]
    return min(
        spans, key=lambda item: (_TELLING[item[1].support.verdict], -item[1].support.support, item[0]), default=None
    )


@lru_cache(maxsize=256)  # an answer compares each of its sentences with the same passages
def _parts(text: str) -> tuple[tuple[int, int, frozenset[str]], ...]:
    """The sentences of a text with their stems."""
    return tuple(
        (start, end, frozenset(word.stem for word in words(text[start:end]))) for start, end in sentences(text)
    )


def _verbatim(sentence: str, text: str) -> tuple[int, int] | None:
    """Where the sentence stands in the text word for word, its final full stop aside; None for a single word."""
    whole = sentence.strip()
    for quote in (whole, whole.rstrip(" .")):
        if len(quote.split()) > 1 and quote in text:
            match = re.search(rf"(?<!\w){re.escape(quote)}(?!\w)", text)
            if match:
                return match.span()
    return None
