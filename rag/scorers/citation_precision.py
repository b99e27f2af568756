"""Citation precision: how many of the answer's own markers point to a passage that supports the sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.scorers._applies import does_not_apply, identifier, why_not
from rag.scorers._spans import marked_span
from rag.support import claims
from rag.types import Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class CitationPrecision:
    """The share of the markers [n] in the answer whose passage supports their sentence, at least partly.

    Range 0…1, higher is better; a marker with a number that no passage has counts as wrong, the same marker twice in a
    sentence counts once. Does not apply to answers without markers, to abstentions, nor without passages. After the
    citation precision of ALCE (Gao et al. 2023, "Enabling Large Language Models to Generate Text with Citations"),
    with rag/support.py in place of an entailment model; partly is enough, since two passages may share a sentence.
    """

    name: str = "citation_precision"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return [self._score(interaction) for interaction in interactions]

    def _score(self, interaction: Interaction) -> Score:
        if (why := why_not(interaction)) or interaction.answer is None:
            return does_not_apply(self, why or "there is no answer")
        marks = [(claim.text, n) for claim in claims(interaction.answer.text) for n in claim.numbers]
        if not marks:
            return does_not_apply(self, "the answer has no markers")
        texts = [passage.text for passage in interaction.passages]
        right = sum(1 <= n <= len(texts) and _supports(texts[n - 1], sentence) for sentence, n in marks)
        label = f"{right} of {len(marks)} markers hold"
        return Score(self.name, right / len(marks), label, identifier=identifier(self))


def _supports(text: str, sentence: str) -> bool:
    span = marked_span(sentence, text)
    return span is not None and span.support.verdict in ("supported", "partly")


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return CitationPrecision()
