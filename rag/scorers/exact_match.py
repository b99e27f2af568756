"""Exact match: whether the answer is a gold one, word for word."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.evaluation.references import exact_match
from rag.scorers._applies import against_gold
from rag.types import Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class ExactMatch:
    """1 when the answer without its markers is one of the gold answers, else 0.

    Range 0…1; small letters, no punctuation, no English article on either side. Made for answers of a few words; whole
    sentences seldom match. An abstention where there is a gold answer is worth 0. Does not apply without a gold answer.
    The exact match of SQuAD (Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text").
    """

    name: str = "exact_match"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return against_gold(self, exact_match, interactions, examples)


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return ExactMatch()
