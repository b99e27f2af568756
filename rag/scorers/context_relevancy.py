"""Context relevancy: how near the passages are to what was asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.language import beginnings
from rag.scorers._applies import does_not_apply, identifier
from rag.types import Embedder, Example, Interaction, Models, Passage, Score, Scorer


@dataclass(frozen=True, slots=True)
class ContextRelevancy:
    """The mean cosine of the question and the passages that were in the prompt.

    Range 0…1 (a negative cosine counts as 0), higher is better. The cosine is the one that dense retrieval found; a
    passage found by words alone is embedded with its title and headings. Applies to abstentions too, since it judges
    the search; does not apply without passages. After Ragas' context relevancy (Es et al. 2023), the share of the
    context's sentences that a language model finds needed for the answer; here nearness takes the place of need, so
    that every answer can be scored without reading its passages again.
    """

    embedder: Embedder
    name: str = "context_relevancy"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return [
            Score(self.name, self._mean(interaction), identifier=identifier(self))
            if interaction.passages
            else does_not_apply(self, "there are no passages")
            for interaction in interactions
        ]

    def _mean(self, interaction: Interaction) -> float:
        known = [p.hit.parts["dense"].score for p in interaction.passages if "dense" in p.hit.parts]
        missing = [_embedded(p) for p in interaction.passages if "dense" not in p.hit.parts]
        if missing:
            asked = self.embedder.embed_queries([interaction.question])[0]  # (d,)
            texts = beginnings(missing, self.embedder.count_tokens, self.embedder.max_tokens)
            known += [float(cosine) for cosine in self.embedder.embed_passages(texts) @ asked]
        return sum(min(1.0, max(0.0, cosine)) for cosine in known) / len(known)


def _embedded(passage: Passage) -> str:
    return "\n".join(part for part in (passage.title, *passage.headings, passage.text) if part)


def load(models: Models) -> Scorer:
    """The scorer over this embedder."""
    return ContextRelevancy(models.embedder)
