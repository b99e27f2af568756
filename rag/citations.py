"""From an answer's text to checked citations: each sentence, the passage that supports it best, and where; pure.

Markers like [1], [1, 2] or [1][2] are read as claims, not as facts: a number that no passage has is not believed, and
a marked passage is compared with the sentence like any other. A sentence without markers, or whose marked passages do
not support it, is compared with all passages.
"""

from collections.abc import Sequence

from rag.support import Claim, Span, best_span, claims, is_abstention, most_supporting
from rag.types import Citation, Passage

_SUPPORTING = ("supported", "partly")


def cite(answer_text: str, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """The checked citations of an answer, ordered by sentence, then by passage; none for an abstention.

    passages: in prompt order, passage n is marked as [n]. Each sentence has at least one citation: one for every
    passage it marks; where none of these supports it, also the best of all passages; where nothing does, one with
    passage None. The quote stands in the document at [quote_start, quote_end), since a passage is its text[start:end].
    """
    if is_abstention(answer_text):
        return ()
    found: list[Citation] = []
    for claim in claims(answer_text):
        found.extend(_of_claim(claim, passages))
    return tuple(found)


def _of_claim(claim: Claim, passages: Sequence[Passage]) -> list[Citation]:
    believed = sorted(n for n in claim.numbers if 1 <= n <= len(passages))
    found = [
        _citation(claim, n, best_span(claim.text, passages[n - 1].text), passages[n - 1], marked=True) for n in believed
    ]
    if any(citation.verdict in _SUPPORTING for citation in found):
        return found
    others = [n for n in range(1, len(passages) + 1) if n not in believed]
    best = most_supporting(claim.text, [passages[n - 1].text for n in others])
    if best:
        number, span = others[best[0]], best[1]
        # A contradiction is worth telling where nothing was marked; beside a marked passage only support is.
        telling = _SUPPORTING if found else (*_SUPPORTING, "contradicted")
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
    )
