"""Answer relevancy: how near the answer is to what was asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.language import beginnings
from rag.scorers._applies import does_not_apply, identifier, why_not
from rag.support import without_markers
from rag.types import Embedder, Example, Interaction, Models, Score, Scorer

READ = 48  # tokens of an answer that are compared, at most


@dataclass(frozen=True, slots=True)
class AnswerRelevancy:
    """The cosine of the question and the answer without its markers, as the collection's embedding model sees them.

    Range 0…1 (a negative cosine counts as 0), higher is better. Says nothing of whether the answer is true. Does not
    apply to abstentions, nor without passages. After Ragas' answer relevancy (Es et al. 2023), the mean cosine between
    the question and questions that a language model makes up from the answer; here the answer itself is compared,
    since no language model is asked. Of a long answer the first `READ` tokens are compared: that bounds what every
    answer costs, and tells answers to a question from answers to others as well as the whole does; see the log.
    """

    embedder: Embedder
    name: str = "answer_relevancy"
    version: str = "2"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        why = [why_not(interaction) for interaction in interactions]
        fit = [interaction for interaction, reason in zip(interactions, why, strict=True) if reason is None]
        values = iter(self._cosines(fit))
        return [
            does_not_apply(self, reason)
            if reason is not None
            else Score(self.name, next(values), identifier=identifier(self))
            for reason in why
        ]

    def _cosines(self, interactions: Sequence[Interaction]) -> list[float]:
        if not interactions:
            return []
        answers = [without_markers(one.answer.text) for one in interactions if one.answer]
        asked = self.embedder.embed_queries([one.search_query for one in interactions])  # (n, d)
        told = self.embedder.embed_passages(
            beginnings(answers, self.embedder.count_tokens, min(READ, self.embedder.max_tokens))
        )  # (n, d)
        return [min(1.0, max(0.0, float(a @ b))) for a, b in zip(asked, told, strict=True)]


def load(models: Models) -> Scorer:
    """The scorer over this embedder."""
    return AnswerRelevancy(models.embedder)
