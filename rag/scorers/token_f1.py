"""Token F1: how many words the answer and a gold one have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.evaluation.references import token_f1
from rag.scorers._applies import against_gold
from rag.types import Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class TokenF1:
    """The harmonic mean of precision and recall of the answer's words against those of the gold answer that fits best.

    Range 0…1, higher is better; normalised as SQuAD does it, scripts without spaces by character. An abstention where
    there is a gold answer is worth 0. Does not apply without a gold answer. The F1 of SQuAD (Rajpurkar et al. 2016,
    "SQuAD: 100,000+ Questions for Machine Comprehension of Text").
    """

    name: str = "token_f1"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return against_gold(self, token_f1, interactions, examples)


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return TokenF1()
