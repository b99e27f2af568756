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

from ingest.languages.sentences import sentences
from rag.checks import dates, names, negation, numbers
from rag.checks.negation import without_prefix
from rag.checks.reading import Reading, key, read
from rag.checks.short_forms import stands_for
from rag.language import Weights, is_content, stems
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


# ── what answers share: the words of an abstention, the form of a marker ────────────────────────────────────────────

ABSTENTION = "The documents do not answer this question."
_ABSTAINS = re.compile(
    r"\W*(?:(?:i am|i'm) sorry\W+|sorry\W+|unfortunately\W+)?(?:but\s+)?the\s+(?:provided\s+|given\s+)?"
    r"(?:documents|passages)\s+(?:do\s+not|don't)\s+(?:answer|contain\s+(?:the|an)\s+answer\s+to)\s+(?:this|the)\s+question",
    re.IGNORECASE,
)

_SPEAKER = re.compile(r"\b(?:I(?:'\w+)?|i|[Mm]y|[Mm]e|[Ww]e|[Oo]ur|(?<![Ll]et )us|[Yy]ou(?:r|'re)?)\b(?!\.)")

MARKER = re.compile(r"[ \t]*\[\s*\d{1,4}(?:\s*[,;]\s*\d{1,4})*\s*\]")
"""A citation marker with the blanks before it: [1], [1, 2]."""
INSERTION = re.compile(r"^\[[^\[\]\n]*[^\W\d][^\[\]\n]*\]\s+(?=\S)")
"""Words in square brackets before a quote, as the title of what it speaks of: they are no part of what is claimed."""


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

    A sentence that states nothing (no content word, number or date) is supported by nothing (0). A conflict (another
    number for the same thing, another date, unit or name in its place, a negation or an opposite on one side) makes it
    "contradicted" when the rest agrees well enough for the two to speak of the same matter. With a number, a date or a
    name that the text does not have it is supported in part at most; so it is where a speaker says "I" or "you", or
    asks, and the text does not.
    """
    return judged(read(sentence), read(text), weights)


def judged(ours: Reading, theirs: Reading, weights: Weights = _even) -> Support:
    """`judge` for a sentence and a text that are read already."""
    facts = _facts(ours)
    if not ours.content and not facts:
        return Support(0.0, "unsupported", (Reason("words", "the sentence states nothing"),))
    held = _held(ours, theirs)
    conflicts, gaps = _checked(ours, theirs, held)
    share = _agreement(ours, theirs, held, facts, len({*conflicts, *gaps} & _of_facts(conflicts, gaps)), weights)
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


def lacking(ours: Reading, theirs: Reading) -> frozenset[str]:
    """The stems of the sentence's content words that the text neither has nor stands for."""
    return frozenset(ours.content) - _held(ours, theirs)


def letters(ours: Reading, theirs: Reading) -> float:
    """The share of the sentence's runs of three characters that the text has: a match that sees parts of words."""
    wanted = ours.trigrams
    return len(wanted & theirs.trigrams) / len(wanted) if wanted else 0.0


def _held(ours: Reading, theirs: Reading) -> Set[str]:
    """The stems that the text has or, in a longer, shorter or prefixed form, stands for."""
    if ours.keys <= theirs.keys:
        return theirs.keys
    held = theirs.keys | stands_for(ours.words, theirs.words, theirs.keys)
    return held | {one.stem for one in ours.words if one.stem not in held and without_prefix(one.text.lower()) in held}


def _checked(ours: Reading, theirs: Reading, held: Set[str]) -> tuple[list[Reason], list[Reason]]:
    """Conflicts with the text, and facts that it does not have."""
    told = [
        dates.compare(ours.dates, theirs.dates),
        numbers.compare(ours.quantities, theirs.quantities, ours.place, theirs.place),
    ]
    if ours.names:
        told.append(names.compare(ours.names, theirs.names, ours.following, held, held - theirs.keys, theirs.forms))
    conflicts = [reason for found, _ in told for reason in found]
    gaps = [reason for _, found in told for reason in found]
    return [*conflicts, *negation.compare(ours.clauses, theirs.clauses, theirs.keys, held)], gaps


def _of_facts(conflicts: Sequence[Reason], gaps: Sequence[Reason]) -> set[Reason]:
    return {reason for reason in (*conflicts, *gaps) if reason.kind in ("number", "unit", "date")}


def _missing(ours: Reading, held: Set[str]) -> list[str]:
    return sorted({word.text for word in ours.words if is_content(word) and word.stem not in held})


def _agreement(ours: Reading, theirs: Reading, held: Set[str], facts: int, wrong: int, weights: Weights) -> float:
    """Of the content words and facts, of all words and of the pairs of neighbours the shares held, mixed."""
    wanted = set(ours.content)
    every = len(ours.keys & held) / len(ours.keys) if ours.keys else 1.0
    total = sum(weights(one) for one in sorted(wanted)) + facts
    there = sum(weights(one) for one in sorted(wanted & held)) + max(0, facts - wrong)
    neighbours = len(ours.pairs & theirs.pairs) / len(ours.pairs) if ours.pairs else 1.0
    return CONTENT * there / total + EVERY * every + NEIGHBOURS * neighbours


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
        Claim(start, end, INSERTION.sub("", without_markers(answer[start:end])), tuple(dict.fromkeys(marks)))
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
    chosen = _chosen(sentence, text, weights)
    return chosen and Span(*chosen[1:], judge(sentence, text[slice(*chosen[1:])], weights))


def _chosen(sentence: str, text: str, weights: Weights) -> tuple[float, int, int] | None:
    """How much of a sentence the best one to three sentences of a text hold, and where they stand."""
    ours = read(sentence)
    wanted = {one: weights(one) for one in sorted(set(ours.content) or ours.keys)}
    named, total, every = frozenset(wanted), sum(wanted.values()), len(ours.keys)
    parts = _parts(text)
    shared = [ours.keys & keys for _, _, keys in parts]
    best: tuple[float, int, int] | None = None
    for first in range(len(parts)):
        if named.isdisjoint(shared[first]):
            continue
        held: frozenset[str] = frozenset()
        for length, more in enumerate(shared[first : first + SPAN_SENTENCES], 1):
            if length > 1 and more <= held:
                continue
            held = held | more
            found = named & held
            content = float(len(found)) if weights is _even else sum(sorted(wanted[one] for one in found))
            value = content / total + TIE * len(held) / every - EXTENSION_GAIN * (length - 1)
            if best is None or value > best[0] + 1e-12:
                best = (value, first, length)
    if best is None:
        return None
    value, first, length = best
    return value, parts[first][0], parts[first + length - 1][1]


def most_supporting(sentence: str, texts: Sequence[str], weights: Weights = _even) -> tuple[int, Span] | None:
    """The text that says most about a sentence, as (its 0-based place, the span in it); None when no word is shared.

    Support comes first, then a contradiction, which speaks of the same matter, then what has only words in common;
    among equals the higher support, then the earlier text. Texts that hold much less of the sentence than another one
    are passed over.
    """
    spans: list[tuple[int, Span]] = []
    chosen: list[tuple[float, int, int, int]] = []
    for i, text in enumerate(texts):
        if verbatim := _verbatim(sentence, text):
            return i, Span(*verbatim, Support(1.0, "supported", ()))
        if found := _chosen(sentence, text, weights):
            chosen.append((found[0], i, *found[1:]))
    near = NEAR * max((value for value, *_ in chosen), default=0.0)
    for value, i, start, end in chosen:
        if value >= near:
            spans.append((i, Span(start, end, judge(sentence, texts[i][start:end], weights))))
    return min(
        spans, key=lambda item: (_TELLING[item[1].support.verdict], -item[1].support.support, item[0]), default=None
    )


@lru_cache(maxsize=256)  # an answer compares each of its sentences with the same passages
def _parts(text: str) -> tuple[tuple[int, int, frozenset[str]], ...]:
    """The sentences of a text with the keys of their words, numbers among them."""
    spans, at = sentences(text), 0
    found = [(start, key(one)) for start, one in stems(text)]
    parts = []
    for start, end in spans:
        first = at
        while at < len(found) and found[at][0] < end:
            at += 1
        parts.append((start, end, frozenset(one for _, one in found[first:at])))
    return tuple(parts)


def _verbatim(sentence: str, text: str) -> tuple[int, int] | None:
    """Where the sentence stands in the text word for word, its final full stop aside; None for a single word."""
    whole = sentence.strip()
    for quote in (whole, whole.rstrip(" .")):
        if len(quote.split()) > 1 and quote in text:
            match = re.search(rf"(?<!\w){re.escape(quote)}(?!\w)", text)
            if match:
                return match.span()
    return None
