"""Faithfulness: how far the answer's sentences are supported by the passages it was given."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.language import content_stems
from rag.scorers._applies import does_not_apply, identifier, why_not
from rag.support import claims, most_supporting
from rag.types import Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """The mean, over the answer's sentences, of the support of the passage that supports each best.

    Range 0…1, higher is better; 1 when every sentence is borne out word for word. Sentences without any content word
    state nothing and are not counted. Does not apply to abstentions, nor without passages. After Ragas' faithfulness
    (Es et al. 2023, "Ragas: Automated Evaluation of Retrieval Augmented Generation"), which is the share of the
    answer's statements that can be inferred from the context; here a sentence is a statement, and rag/support.py, not
    a language model, judges it, with a degree instead of yes or no. The label counts the sentences judged supported.
    """

    name: str = "faithfulness"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return [self._score(interaction) for interaction in interactions]

    def _score(self, interaction: Interaction) -> Score:
        if (why := why_not(interaction)) or interaction.answer is None:
            return does_not_apply(self, why or "there is no answer")
        sentences = [claim.text for claim in claims(interaction.answer.text) if content_stems(claim.text)]
        if not sentences:
            return does_not_apply(self, "the answer states nothing")
        texts = [passage.text for passage in interaction.passages]
        judged = [most_supporting(sentence, texts) for sentence in sentences]
        held = sum(one is not None and one[1].support.verdict == "supported" for one in judged)
        weak = [
            f"{sentence}: {'; '.join(one[1].support.reasons) if one else 'no words in common with any passage'}"
            for sentence, one in zip(sentences, judged, strict=True)
            if one is None or one[1].support.verdict != "supported"
        ]
        value = sum(one[1].support.support if one else 0.0 for one in judged) / len(judged)
        label = f"{held} of {len(judged)} sentences supported"
        return Score(self.name, value, label, " | ".join(weak) or None, identifier=identifier(self))


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return Faithfulness()
