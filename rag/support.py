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
from itertools import islice
from typing import NamedTuple

from ingest.languages.sentences import sentences
from rag.checks import dates, names, negation, numbers
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
BESIDE = 4  # words by which a number in brackets is known as quoted
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
        told.append(numbers.compare(ours.placed, theirs.placed))
    if ours.names:
        spelled = held - theirs.keys
        told.append(names.compare(ours.names, theirs.names, ours.following, held, spelled, lambda: theirs.forms))
    conflicts = [reason for found, _ in told for reason in found]
    gaps = [reason for _, found in told for reason in found]
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


def claims(answer: str, texts: Sequence[str] = ()) -> tuple[Claim, ...]:
    """The sentences of an answer with what they mark; a marker belongs to the last sentence that begins before it.

    texts: those that the answer may quote. A number in brackets that is quoted with the words beside it, as a paper
    names its sources, is no marker and stays in its sentence.
    """
    return tuple(
        Claim(start, end, INSERTION.sub("", _without(answer, start, end, marks)), _numbers(marks))
        for (start, end), marks in _marked(answer, tuple(texts))
    )


def markers(answer: str, texts: Sequence[str] = ()) -> tuple[re.Match[str], ...]:
    """The markers of an answer, in order, without what it quotes of the texts."""
    return tuple(mark for _, marks in _marked(answer, tuple(texts)) for mark in marks)


@lru_cache(maxsize=64)  # citations and scorers ask for those of one answer in turn
def _marked(answer: str, texts: tuple[str, ...]) -> tuple[tuple[tuple[int, int], tuple[re.Match[str], ...]], ...]:
    """The sentences of an answer, each with its markers."""
    spans = sentences(MARKER.sub(lambda match: " " * len(match.group()), answer))  # same offsets, markers unseen
    found: list[list[re.Match[str]]] = [[] for _ in spans]
    for match in MARKER.finditer(answer):
        before = [i for i, (start, _) in enumerate(spans) if start < match.end()]
        if spans:
            found[before[-1] if before else 0].append(match)
    return tuple(
        (span, tuple(one for one in marks if not _is_quoted(answer, span[0], one, one is marks[-1], texts)))
        for span, marks in zip(spans, found, strict=True)
    )


def _is_quoted(answer: str, start: int, marker: re.Match[str], last: bool, texts: Sequence[str]) -> bool:
    """Whether a text has a marker's words and the marker itself. The last of a sentence that names such texts only is
    one all the same."""
    before, after = answer[start : marker.start()], answer[marker.end() :]
    told = [_ending(before), _ending(MARKER.sub("", before))]  # a marker of ours may have come between
    parts = {words + marker.group() for words in told if words}
    if opening := _opening(after):
        parts.add(marker.group().strip() + opening)
    holding = {number for number, text in enumerate(texts, 1) if any(part in text for part in parts)}
    return bool(holding) and not (last and holding.issuperset(marked_numbers(marker.group())))


def _ending(text: str) -> str:
    """The last few words of a text as they stand there; "" where it has fewer than two."""
    starts = [word.start() for word in re.finditer(r"\S+", text)][-BESIDE:]
    return text[starts[0] :] if len(starts) > 1 else ""


def _opening(text: str) -> str:
    """The first few words of a text as they stand there; "" where it has fewer than two."""
    ends = [word.end() for word in islice(re.finditer(r"\S+", text), BESIDE)]
    return text[: ends[-1]] if len(ends) > 1 else ""


def _without(answer: str, start: int, end: int, marks: Sequence[re.Match[str]]) -> str:
    """A sentence without its markers."""
    text = answer[start:end]
    for mark in reversed(marks):
        if start <= mark.start() < end:
            text = text[: mark.start() - start] + text[mark.end() - start :]
    return text


def _numbers(marks: Sequence[re.Match[str]]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(number for mark in marks for number in marked_numbers(mark.group())))


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
