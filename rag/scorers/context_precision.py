"""Context precision: whether the relevant passages stand before the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from rag.scorers._judged import against_judged, relevant
from rag.types import Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class ContextPrecision:
    """The mean, over the relevant passages of the prompt, of the share of relevant ones down to their rank.

    Range 0…1, 1 where every relevant passage stands before every other, 0 where there is none. A passage is relevant
    when a document that holds it was judged so, grade 1 or more. Applies to abstentions too, since it judges the
    search; does not apply without a judged document, nor where the search itself failed. The context precision of
    Ragas (Es et al. 2023, "Ragas: Automated Evaluation of Retrieval Augmented Generation") with judged documents in
    place of a language model's verdicts.
    """

    name: str = "context_precision"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return against_judged(self, _precision, interactions, examples)


def _precision(interaction: Interaction, wanted: frozenset[str]) -> float:
    hits = [rank for rank, passage in enumerate(interaction.passages, 1) if relevant(passage, wanted)]
    return fsum(i / rank for i, rank in enumerate(hits, 1)) / len(hits) if hits else 0.0


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return ContextPrecision()
