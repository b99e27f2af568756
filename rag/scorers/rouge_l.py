"""ROUGE-L: how long a sequence of words the answer and a gold one have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.evaluation.references import rouge_l
from rag.scorers._applies import against_gold
from rag.types import Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class RougeL:
    """The F1 of the longest common subsequence of words, gaps allowed, of the answer and the nearest gold answer.

    Range 0…1, higher is better; small letters, unstemmed, scripts without spaces by character. An abstention where
    there is a gold answer is worth 0. Does not apply without a gold answer. ROUGE-L over whole texts,
    Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries".
    """

    name: str = "rouge_l"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return against_gold(self, rouge_l, interactions, examples)


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return RougeL()
