"""Semantic similarity: how near the answer is in meaning to a gold one."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.language import beginnings
from rag.scorers._applies import against_gold
from rag.types import Embedder, Example, Interaction, Models, Score, Scorer


@dataclass(frozen=True, slots=True)
class SemanticSimilarity:
    """The cosine of the answer without its markers and the nearest gold answer, as the embedding model sees them.

    Range 0…1 (a negative cosine counts as 0), higher is better. Of a text longer than the model reads, the beginning
    is compared. An abstention where there is a gold answer is worth 0. Does not apply without a gold answer. The
    answer similarity of Ragas (Es et al. 2023), after Risch et al. 2021, "Semantic Answer Similarity for Evaluating
    Question Answering Models".
    """

    embedder: Embedder
    name: str = "semantic_similarity"
    version: str = "1"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return against_gold(self, self._nearest, interactions, examples)

    def _nearest(self, said: str, gold: Sequence[str]) -> float:
        texts = beginnings([said, *gold], self.embedder.count_tokens, self.embedder.max_tokens)
        rows = self.embedder.embed_passages(texts)  # (1 + gold, d)
        return min(1.0, max(0.0, float((rows[1:] @ rows[0]).max())))


def load(models: Models) -> Scorer:
    """The scorer over this embedder."""
    return SemanticSimilarity(models.embedder)
