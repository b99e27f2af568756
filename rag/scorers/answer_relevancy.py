"""Answer relevancy: how near the answer is to what was asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.answers.claims import without_markers
from rag.language import beginnings
from rag.scorers._applies import answer_of, does_not_apply, scored
from rag.types import Answer, Embedder, Example, Interaction, Models, Passage, Score, Scorer, Vectors

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
        answers = [answer_of(interaction) for interaction in interactions]
        pairs = [
            (interaction.search_query, without_markers(answer.text))
            for interaction, answer in zip(interactions, answers, strict=True)
            if isinstance(answer, Answer)
        ]
        values = iter(self._cosines(pairs))
        return [
            scored(self, next(values)) if isinstance(answer, Answer) else does_not_apply(self, answer)
            for answer in answers
        ]

    def begin(self, said: str, passages: Sequence[Passage]) -> None:
        """Embed the answer while it is told: for an embedder that remembers the last passage, as an application's own
        does. Enough is said once it has more than `READ` tokens."""
        self._told([without_markers(said)])

    def _cosines(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Of each question and answer."""
        if not pairs:
            return []
        questions, answers = zip(*pairs, strict=True)
        asked = self.embedder.embed_queries(questions)  # (n, d)
        return [min(1.0, max(0.0, float(a @ b))) for a, b in zip(asked, self._told(answers), strict=True)]

    def _told(self, answers: Sequence[str]) -> Vectors:
        """The beginnings of answers as they are compared, (n, d)."""
        fitting = beginnings(answers, self.embedder.count_tokens, min(READ, self.embedder.max_tokens))
        return self.embedder.embed_passages(fitting)


def load(models: Models) -> Scorer:
    """The scorer over this embedder."""
    return AnswerRelevancy(models.embedder)
