"""Citation recall: how many of the answer's sentences are borne out by the passages they mark."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.answers.claims import Claim, claims
from rag.language import content_stems
from rag.scorers._applies import does_not_apply, of_answers, scored
from rag.support import best_span, judge
from rag.types import Answer, Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class CitationRecall:
    """The share of the answer's sentences that the passages they mark support, one of them alone or all together.

    Range 0…1, higher is better; a sentence without a marker counts as not supported, so an answer without any scores 0.
    Sentences without any content word state nothing and are not counted. Does not apply to abstentions, nor without
    passages. After the citation recall of ALCE (Gao et al. 2023, "Enabling Large Language Models to Generate Text with
    Citations"), with rag/support.py in place of an entailment model; what several passages say together is what their
    best spans say.
    """

    name: str = "citation_recall"
    version: str = "2"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return of_answers(self, self._judged, interactions)

    def _judged(self, interaction: Interaction, answer: Answer) -> Score:
        texts = [passage.text for passage in interaction.passages]
        stated = [claim for claim in claims(answer.text, texts) if content_stems(claim.text)]
        if not stated:
            return does_not_apply(self, "the answer states nothing")
        bare = [claim.text for claim in stated if not _borne_out(claim, texts)]
        held = len(stated) - len(bare)
        label = f"{held} of {len(stated)} sentences borne out by what they mark"
        return scored(self, held / len(stated), label, " | ".join(bare) or None)


def _borne_out(claim: Claim, texts: Sequence[str]) -> bool:
    marked = [texts[n - 1] for n in claim.numbers if 1 <= n <= len(texts)]
    found = [(text, span) for text in marked if (span := best_span(claim.text, text))]
    if any(span.support.verdict == "supported" for _, span in found):
        return True
    if len(found) < 2:
        return False
    together = "\n\n".join(text[span.start : span.end] for text, span in found)
    return judge(claim.text, together).verdict == "supported"


def load(models: Models) -> Scorer:
    """The scorer; it uses no model."""
    return CitationRecall()
