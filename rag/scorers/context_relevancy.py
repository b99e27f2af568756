"""Context relevancy: how near the passages are to what was asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rag.language import beginnings
from rag.scorers._applies import does_not_apply, scored
from rag.types import Embedder, Example, Interaction, Models, Passage, Score, Scorer, Vectors

Stored = Callable[[Sequence[int]], Mapping[int, Vectors]]
"""Chunk ids → the vectors that are known."""


@dataclass(frozen=True, slots=True)
class ContextRelevancy:
    """The mean cosine of the question and the passages that were in the prompt.

    Range 0…1 (a negative cosine counts as 0), higher is better. The cosine is the one that dense retrieval found; for a
    passage found by words alone it is that of the chunk's stored vector; only where there is none is the passage
    embedded, with its title and headings. Applies to abstentions too, since it judges
    the search; does not apply without passages. After Ragas' context relevancy (Es et al. 2023), the share of the
    context's sentences that a language model finds needed for the answer; here nearness takes the place of need, so
    that every answer can be scored without reading its passages again.
    """

    embedder: Embedder
    stored: Stored
    name: str = "context_relevancy"
    version: str = "2"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return [
            scored(self, self._mean(interaction))
            if interaction.passages
            else does_not_apply(self, "there are no passages")
            for interaction in interactions
        ]

    def _mean(self, interaction: Interaction) -> float:
        known = [p.hit.parts["dense"].score for p in interaction.passages if "dense" in p.hit.parts]
        others = [p for p in interaction.passages if "dense" not in p.hit.parts]
        if others:
            asked = self.embedder.embed_queries([interaction.search_query])[0]  # (d,)
            known += [float(vector @ asked) for vector in self._vectors(others)]
        return sum(min(1.0, max(0.0, cosine)) for cosine in known) / len(known)

    def _vectors(self, passages: Sequence[Passage]) -> list[Vectors]:
        """One (d,) a passage."""
        stored = self.stored([passage.hit.chunk_id for passage in passages])
        missing = [passage for passage in passages if passage.hit.chunk_id not in stored]
        texts = beginnings([_embedded(p) for p in missing], self.embedder.count_tokens, self.embedder.max_tokens)
        made = iter(self.embedder.embed_passages(texts)) if texts else iter(())
        return [stored[p.hit.chunk_id] if p.hit.chunk_id in stored else next(made) for p in passages]


def _embedded(passage: Passage) -> str:
    return "\n".join(part for part in (passage.title, *passage.headings, passage.text) if part)


def _nothing(chunk_ids: Sequence[int]) -> Mapping[int, Vectors]:
    return {}


def load(models: Models) -> Scorer:
    """The scorer over this embedder."""
    return ContextRelevancy(models.embedder, models.stored or _nothing)
