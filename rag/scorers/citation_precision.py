"""Citation precision: how many of the answer's own markers point to a passage that supports the sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.answers.claims import claims
from rag.scorers._applies import does_not_apply, of_answers, scored
from rag.support import best_span
from rag.types import SUPPORTING, Answer, Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class CitationPrecision:
    """The share of the markers [n] in the answer whose passage supports their sentence, at least partly.

    Range 0…1, higher is better; a marker with a number that no passage has counts as wrong, the same marker twice in a
    sentence counts once, a number in brackets that is quoted from a passage is none. Does not apply to answers without
    markers, to abstentions, nor without passages. After the citation precision of ALCE (Gao et al. 2023, "Enabling
    Large Language Models to Generate Text with Citations"), with rag/support.py in place of an entailment model; partly
    is enough, since two passages may share a sentence.
    """

    name: str = "citation_precision"
    version: str = "2"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return of_answers(self, self._judged, interactions)

    def _judged(self, interaction: Interaction, answer: Answer) -> Score:
        texts = [passage.text for passage in interaction.passages]
        marks = [(claim.text, n) for claim in claims(answer.text, texts) for n in claim.numbers]
        if not marks:
            return does_not_apply(self, "the answer has no markers")
        right = sum(1 <= n <= len(texts) and _supports(texts[n - 1], sentence) for sentence, n in marks)
        label = f"{right} of {len(marks)} markers hold"
        return scored(self, right / len(marks), label)


def _supports(text: str, sentence: str) -> bool:
    span = best_span(sentence, text)
    return span is not None and span.support.verdict in SUPPORTING


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return CitationPrecision()
