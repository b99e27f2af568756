"""Context recall: how many of the relevant documents are among the passages."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.scorers._judged import against_judged, held
from rag.types import Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class ContextRecall:
    """The share of the documents judged relevant, grade 1 or more, of which the prompt holds a passage.

    Range 0…1, higher is better. Applies to abstentions too, since it judges the search; does not apply without a judged
    document, nor where the search itself failed. The context recall of Ragas (Es et al. 2023, "Ragas: Automated
    Evaluation of Retrieval Augmented Generation") in its form by ids: judged documents in place of statements.
    """

    name: str = "context_recall"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return against_judged(self, _recall, interactions, examples)


def _recall(interaction: Interaction, wanted: frozenset[str]) -> float:
    found = frozenset[str]().union(*(held(passage) for passage in interaction.passages))
    return len(wanted & found) / len(wanted)


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return ContextRecall()
