"""Faithfulness: how far the answer's sentences are supported by the passages it was given."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.answers.claims import claims, without_markers
from rag.checks.reading import read, together
from rag.language import beginnings
from rag.scorers._applies import does_not_apply, of_answers, scored
from rag.scorers._grounds import BY_WORDS, EMBEDDED, Observed, likely, observe
from rag.support import most_supporting, states
from rag.types import Answer, Embedder, Example, Interaction, Models, Passage, Score, Scorer


@dataclass(frozen=True, slots=True)
class Borne:
    """A sentence of an answer and what supports it."""

    sentence: str
    passage: int | None  # 0-based; None when no passage has a word of it
    quote: str  # the span that supports it best
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """How likely the answer is borne out by the passages: the mean of its sentences, and of the answer as one.

    Range 0…1, higher is better; 1 when every sentence is borne out word for word, 0 when none shares a word with any
    passage. Each sentence is compared with the
    passage that supports it best, the answer as one with all of these; rag/scorers/_grounds.py says how likely they
    bear it out. The value is half the mean over the sentences and half the answer's own. Sentences that state nothing
    are not counted. Does not apply to abstentions, nor without passages. After Ragas' faithfulness (Es et al. 2023,
    "Ragas: Automated Evaluation of Retrieval Augmented Generation"), which is the share of the answer's statements that
    can be inferred from the context; here a sentence is a statement, and no language model is asked. The label counts
    the sentences judged supported. Without an embedder nothing is embedded: rag/scorers/groundedness.py has one.
    """

    embedder: Embedder | None = None
    name: str = "faithfulness"
    version: str = "3"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return of_answers(self, self._judged, interactions)

    def begin(self, said: str, passages: Sequence[Passage]) -> None:
        """Read the passages and compare the sentences that are told already, while the rest is told: what the functions
        that do so remember need not be done again, by the citations either."""
        told = claims(said)[:-1]  # the last sentence may go on
        if told:
            borne = sentences_of(said[: told[-1].end], passages)
            reworded = [one.sentence for one in borne if one.passage is not None and one.sentence not in one.quote]
            for passage in passages if reworded else ():
                observe(read(reworded[-1]), read(passage.text), 0.0)

    def _judged(self, interaction: Interaction, answer: Answer) -> Score:
        borne = sentences_of(answer.text, interaction.passages)
        if not borne:
            return does_not_apply(self, "the answer states nothing")
        value = self._likely(answer.text, borne, interaction.passages)
        held = sum(one.verdict == "supported" for one in borne)
        weak = [f"{one.sentence}: {one.why}" for one in borne if one.verdict != "supported"]
        label = f"{held} of {len(borne)} sentences supported"
        return scored(self, value, label, " | ".join(weak) or None)

    def _likely(self, answer: str, borne: Sequence[Borne], passages: Sequence[Passage]) -> float:
        if all(one.passage is None for one in borne):
            return 0.0
        weights = BY_WORDS if self.embedder is None else EMBEDDED
        seen = self.observed(answer, borne, passages)
        *parts, whole = [1.0 if one is None else likely(one, weights) for one in seen]
        parts = [0.0 if one.passage is None else part for one, part in zip(borne, parts, strict=True)]
        return (sum(parts) / len(parts) + whole) / 2

    def observed(self, answer: str, borne: Sequence[Borne], passages: Sequence[Passage]) -> list[Observed | None]:
        """What is observed of each sentence, and last of the answer as one; None for what is there word for word."""
        used = list(dict.fromkeys(one.passage for one in borne if one.passage is not None))
        pairs = [
            (one.sentence, [passages[one.passage].text] if one.passage is not None else [""], one.quote)
            for one in borne
        ]
        quotes = "\n".join(dict.fromkeys(one.quote for one in borne if one.quote))
        if len(borne) > 1:
            pairs.append((without_markers(answer), [passages[n].text for n in used], quotes))
        verbatim = [bool(sentence.strip(" .")) and sentence.strip(" .") in quote for sentence, _, quote in pairs]
        if len(borne) > 1:
            verbatim[-1] = all(verbatim[:-1])
        open_ones = [pair for pair, same in zip(pairs, verbatim, strict=True) if not same]
        cosines = iter(self._cosines([(sentence, quote) for sentence, _, quote in open_ones]))
        seen = [
            None if same else observe(read(sentence), together(texts), next(cosines))
            for (sentence, texts, _), same in zip(pairs, verbatim, strict=True)
        ]
        return seen if len(borne) > 1 else [*seen, *seen]

    def _cosines(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The cosine of each (sentence, quote); 0 where there is no quote, or no embedder."""
        if self.embedder is None:
            return [0.0] * len(pairs)
        texts = list(dict.fromkeys(text for pair in pairs if pair[1] for text in pair))
        if not texts:
            return [0.0] * len(pairs)
        fitting = beginnings(texts, self.embedder.count_tokens, self.embedder.max_tokens)
        vectors = dict(zip(texts, self.embedder.embed_passages(fitting), strict=True))  # (d,) each
        return [float(vectors[one] @ vectors[other]) if other else 0.0 for one, other in pairs]


def sentences_of(answer: str, passages: Sequence[Passage]) -> list[Borne]:
    """The sentences of an answer that state something, each with what supports it best."""
    texts = [passage.text for passage in passages]
    found = []
    for sentence in (claim.text for claim in claims(answer, texts) if states(claim.text)):
        best = most_supporting(sentence, texts)
        if best is None:
            found.append(Borne(sentence, None, "", "unsupported", "no words in common with any passage"))
            continue
        number, span = best
        why = "; ".join(reason.text for reason in span.support.reasons)
        found.append(Borne(sentence, number, texts[number][span.start : span.end], span.support.verdict, why))
    return found


def load(models: Models) -> Scorer:
    """The scorer by words, numbers, dates, names and negation."""
    return Faithfulness()
