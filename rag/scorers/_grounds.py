"""How likely a text bears a sentence out: six observations on the two, weighed together as they were found to tell."""

from dataclasses import dataclass
from math import exp, log1p

from rag.checks.reading import Reading, Together
from rag.support import judged, lacking, letters


@dataclass(frozen=True, slots=True)
class Weights:
    """Of a logistic regression on human judgements of dialogue answers (BEGIN, Dziri et al. 2022: 4,031 of its
    Wizard-of-Wikipedia part) and of scientific claims (SciFact, Wadden et al. 2020: 322); benchmarks/faithfulness.py
    fits them anew, on parts of the data to judge the others."""

    bias: float
    support: float  # of the text for the sentence, 0…1: what rag/support.py says
    letters: float  # the share of runs of three characters that the text has
    cosine: float  # of the sentence and the span of the text that supports it best, by the embedding model
    opinion: float  # for each sign that the sentence is an opinion or a question
    missing: float  # log(1 + how many of the content words the text lacks)
    negation: float  # where one of the two denies what the other says

    @property
    def each(self) -> tuple[float, float, float, float, float, float]:
        """Without the bias, in the order of `Observed.weighed`."""
        return self.support, self.letters, self.cosine, self.opinion, self.missing, self.negation


BY_WORDS = Weights(-5.130, 2.347, 6.189, 0.0, -0.834, -0.336, -0.830)  # nothing is embedded
EMBEDDED = Weights(-5.974, 1.390, 5.649, 2.941, -1.205, -0.438, -1.133)

# A number, a unit, a date or a name that contradicts the text is too rare in these sets to be fitted, and means most
# where all the rest agrees.
WRONG = 0.3  # the factor …
NEARLY = 0.85  # … where the text has so many of the runs of three characters

_FACTS = frozenset(("number", "unit", "date", "name"))


@dataclass(frozen=True, slots=True)
class Observed:
    """What was observed of a sentence and a text."""

    weighed: tuple[float, float, float, float, float, float]  # in the order of Weights
    wrong: bool  # whether a fact contradicts the text that agrees in nearly all the rest


def observe(sentence: Reading, text: Reading | Together, cosine: float) -> Observed:
    """What is observed of a sentence and a text."""
    told = judged(sentence, text)
    kinds = [reason.kind for reason in told.reasons]
    weighed = (
        told.support,
        letters(sentence, text),
        cosine,
        float(kinds.count("opinion")),
        log1p(len(lacking(sentence, text))),
        float("negation" in kinds),
    )
    contradicts = told.verdict == "contradicted" and not _FACTS.isdisjoint(kinds)
    return Observed(weighed, contradicts and weighed[1] >= NEARLY)


def likely(seen: Observed, weights: Weights) -> float:
    """The probability, 0…1, that the text bears the sentence out."""
    logit = weights.bias + sum(weight * value for weight, value in zip(weights.each, seen.weighed, strict=True))
    return (WRONG if seen.wrong else 1.0) / (1 + exp(-logit))
