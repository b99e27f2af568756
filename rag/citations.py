"""From an answer's text to checked citations: each sentence, the passage that supports it best, and where; pure.

Markers like [1], [1, 2] or [1][2] are read as claims, not as facts: a number that no passage has is not believed, a
number in brackets that is quoted from a passage is none, and a marked passage is compared with the sentence like any
other. A sentence without markers, or whose marked passages do
not support it, is compared with all passages.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from rag.answers.claims import ABSTENTION, Claim, claims, is_abstention
from rag.support import Span, best_span, most_supporting
from rag.types import SUPPORTING, Citation, Passage, Verdict

_FACTS = frozenset(("number", "unit", "date", "name", "negation"))  # reasons with which no part of a sentence is kept


class OnlySupported(NamedTuple):
    """What is left of an answer when its unsupported sentences are taken out."""

    text: str  # `ABSTENTION` when nothing is left
    citations: tuple[Citation, ...]  # of the sentences that stay, at their offsets in the new text
    removed: tuple[str, ...]  # the sentences that went, without markers, in order


def cite(answer_text: str, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """The checked citations of an answer, ordered by sentence, then by passage; none for an abstention.

    passages: in prompt order, passage n is marked as [n]. Each sentence has at least one citation: one for every
    passage it marks; where none of these supports it, also the best of all passages; where nothing does, one with
    passage None. The quote stands in the document at [quote_start, quote_end), since a passage is its text[start:end].
    """
    if is_abstention(answer_text):
        return ()
    found: list[Citation] = []
    for claim in claims(answer_text, [passage.text for passage in passages]):
        found.extend(_of_claim(claim, passages))
    return tuple(found)


def only_supported(answer_text: str, citations: Sequence[Citation]) -> OnlySupported:
    """The answer without the sentences that its citations do not bear out, and which these were.

    citations: as `cite` gives them. A sentence stays when one of its citations supports it, or supports it in part and
    finds no number, unit, date, name or negation amiss. A sentence goes with its own markers, wherever they stand;
    markers of others stay, and so do the passages' numbers. What is left untouched is returned as it was.
    """
    found = claims(answer_text)
    kept = [any(_bears_out(citation) for citation in citations if citation.start == claim.start) for claim in found]
    if all(kept) or is_abstention(answer_text):
        return OnlySupported(answer_text, tuple(citations), ())
    removed = tuple(claim.text for claim, stays in zip(found, kept, strict=True) if not stays)
    if not any(kept):
        return OnlySupported(ABSTENTION, (), removed)
    edges = [0, *(claim.start for claim in found[1:]), len(answer_text)]
    text, moved = "", []
    for claim, stays, start, end in zip(found, kept, edges, edges[1:], strict=False):
        if stays:
            by = len(text) - start
            moved += [
                replace(citation, start=citation.start + by, end=citation.end + by)
                for citation in citations
                if citation.start == claim.start
            ]
            text += answer_text[start:end]
    return OnlySupported(text.rstrip(), tuple(moved), removed)


def _bears_out(citation: Citation) -> bool:
    if citation.verdict == "partly":
        return not _FACTS & {reason.kind for reason in citation.reasons}
    return citation.verdict == "supported"


def _of_claim(claim: Claim, passages: Sequence[Passage]) -> list[Citation]:
    believed = sorted(n for n in claim.numbers if 1 <= n <= len(passages))
    found = [
        _citation(claim, n, best_span(claim.text, passages[n - 1].text), passages[n - 1], marked=True) for n in believed
    ]
    if any(citation.verdict in SUPPORTING for citation in found):
        return found
    others = [n for n in range(1, len(passages) + 1) if n not in believed]
    best = most_supporting(claim.text, [passages[n - 1].text for n in others])
    if best:
        number, span = others[best[0]], best[1]
        # A contradiction is worth telling where nothing was marked; beside a marked passage only support is, and beside
        # one that contradicts only full support.
        contradicted = any(citation.verdict == "contradicted" for citation in found)
        telling: tuple[Verdict, ...] = (
            ("supported",) if contradicted else SUPPORTING if found else (*SUPPORTING, "contradicted")
        )
        if span.support.verdict in telling:
            return [*found, _citation(claim, number, span, passages[number - 1], marked=False)]
    if found:
        return found
    support = best[1].support.support if best else 0.0
    return [Citation(claim.start, claim.end, None, None, None, "", support, "unsupported", False)]


def _citation(claim: Claim, number: int, span: Span | None, passage: Passage, *, marked: bool) -> Citation:
    if span is None:  # a marked passage that shares no word with the sentence
        return Citation(claim.start, claim.end, number, None, None, "", 0.0, "unsupported", marked)
    return Citation(
        claim.start,
        claim.end,
        number,
        passage.start + span.start,
        passage.start + span.end,
        passage.text[span.start : span.end],
        span.support.support,
        span.support.verdict,
        marked,
        span.support.reasons,
    )
