"""Context utilisation: how much of what the generator was given went into the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.scorers._applies import does_not_apply, of_answers, scored
from rag.types import SUPPORTING, Answer, Citation, Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class ContextUtilisation:
    """The share of the passages' characters that stand in a quote which bears out a sentence of the answer.

    Range 0…1; low where few of the passages were needed, so that it speaks of how many to give, not of how good the
    answer is. Counted are the quotes of the logged citations that support their sentence, at least partly, each
    character once. Does not apply to abstentions, nor without passages or where their text was erased. After the
    utilization of TRACe (Friel et al. 2024, "RAGBench: Explainable Benchmark for Retrieval-Augmented Generation
    Systems"), for which a language model marks the sentences that were used.
    """

    name: str = "context_utilisation"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return of_answers(self, self._judged, interactions)

    def _judged(self, interaction: Interaction, answer: Answer) -> Score:
        given = sum(len(passage.text) for passage in interaction.passages)
        if not given:
            return does_not_apply(self, "the passages are empty")
        used = 0
        for number, passage in enumerate(interaction.passages, 1):
            spans = [_span(one) for one in answer.citations if _bears_out(one, number)]
            end = passage.start + len(passage.text)
            used += _covered([(max(a, passage.start), min(b, end)) for a, b in spans])
        label = f"{used:,} of {given:,} characters used"
        return scored(self, used / given, label)


def _bears_out(citation: Citation, number: int) -> bool:
    return citation.passage == number and citation.verdict in SUPPORTING


def _span(citation: Citation) -> tuple[int, int]:
    """In the document's text; empty where nothing was quoted."""
    return citation.quote_start or 0, citation.quote_end or 0


def _covered(spans: Sequence[tuple[int, int]]) -> int:
    """How many places at least one of the spans covers."""
    covered, reached = 0, 0
    for start, end in sorted(spans):
        covered += max(0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return ContextUtilisation()
