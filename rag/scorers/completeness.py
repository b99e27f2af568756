"""Completeness: whether the answer speaks to every part of the question."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.languages.sentences import sentences
from rag.answers.claims import without_markers
from rag.language import content_stems
from rag.scorers._applies import does_not_apply, of_answers, scored
from rag.types import SUPPORTING, Answer, Example, Interaction, Models, Score, Scorer

_ASKING = r"(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|should|will|has|have)"
# Where a question goes on to ask something else: "…, and who designed it", "…; how long …".
_NEXT = re.compile(rf"[;\n]+|[,\s]\s*(?:and|or|but)\s+(?:also\s+)?(?={_ASKING}\b)|,\s*(?={_ASKING}\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Completeness:
    """The mean, over the parts of the question, of the share of a part's content words that the answer takes up.

    Range 0…1, higher is better. The parts are the question's sentences, cut where it goes on to ask something else
    ("… and when …"). A word is taken up where the answer, or a quote that bears out one of its sentences, has it or
    its stem: so a short answer is not blamed for leaving out what its source says; a paraphrase of both is. Does not
    apply to abstentions, nor without passages, nor to a question without content words. The completeness of TRACe
    (Friel et al. 2024, "RAGBench") asks for the same from the other side, the share of the relevant context that was
    used, which only a language model can tell; `judge:completeness` asks one.
    """

    name: str = "completeness"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return of_answers(self, self._judged, interactions)

    def _judged(self, interaction: Interaction, answer: Answer) -> Score:
        asked = [(part, frozenset(content_stems(part))) for part in parts(interaction.search_query)]
        wanted = [(part, stems) for part, stems in asked if stems]
        if not wanted:
            return does_not_apply(self, "the question has no content words")
        told = frozenset(content_stems(_said(answer)))
        shares = [len(stems & told) / len(stems) for _, stems in wanted]
        open_parts = [part for (part, _), share in zip(wanted, shares, strict=True) if share < 0.5]
        label = f"{len(wanted) - len(open_parts)} of {len(wanted)} parts of the question"
        return scored(self, sum(shares) / len(shares), label, " | ".join(open_parts) or None)


def parts(question: str) -> list[str]:
    """What a question asks, one thing each, in order."""
    found = [piece.strip() for start, end in sentences(question) for piece in _NEXT.split(question[start:end]) if piece]
    return [piece for piece in found if piece]


def _said(answer: Answer) -> str:
    """The answer with the quotes that bear out its sentences."""
    quotes = [citation.quote for citation in answer.citations if citation.verdict in SUPPORTING]
    return "\n\n".join([without_markers(answer.text), *dict.fromkeys(quotes)])


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return Completeness()
