"""BLEU: how many runs of words the answer shares with the gold ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.evaluation.references import bleu
from rag.scorers._applies import against_gold
from rag.types import Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class Bleu:
    """The sentence BLEU of the answer against all its gold answers, as sacrebleu computes it, a hundredth of its scale.

    Range 0…1, higher is better; an answer that is longer than the gold one scores low. An abstention where there is a
    gold answer is worth 0. Does not apply without a gold answer. Papineni et al. 2002, "BLEU: a Method for Automatic
    Evaluation of Machine Translation"; Post 2018, "A Call for Clarity in Reporting BLEU Scores".
    """

    name: str = "bleu"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return against_gold(self, bleu, interactions, examples)


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return Bleu()
