"""When a metric applies to an interaction, and how one that does not is written down."""

from collections.abc import Callable, Sequence
from hashlib import blake2b

from rag.types import Answer, Example, Interaction, Score, Scorer

Judge = Callable[[Interaction, Answer], Score]
"""From an interaction that has passages and its answer, which says something, to a score."""
Measure = Callable[[str, Sequence[str]], float]
"""From what was said, without markers, and one or more gold answers to a value 0…1."""


def answer_of(interaction: Interaction) -> Answer | str:
    """The answer that there is to judge; where no answer metric applies, why not."""
    if interaction.answer is None:
        return "there is no answer"
    if interaction.answer.abstained:
        return "the answer is an abstention"
    if not interaction.answer.text.strip():
        return "the answer is empty"
    if not interaction.passages:
        return "the answer had no passages"
    return interaction.answer


def of_answers(scorer: Scorer, judge: Judge, interactions: Sequence[Interaction]) -> list[Score | None]:
    """Each answer judged by itself, where answer metrics apply."""
    return [
        does_not_apply(scorer, answer) if isinstance(answer, str) else judge(interaction, answer)
        for interaction, answer in zip(interactions, map(answer_of, interactions), strict=True)
    ]


def scored(scorer: Scorer, value: float, label: str | None = None, explanation: str | None = None) -> Score:
    """The score of a metric that applies."""
    return Score(scorer.name, value, label, explanation, identifier=identifier(scorer))


def does_not_apply(scorer: Scorer, why: str, example: Example | None = None) -> Score:
    """The score of a metric that does not apply: no value, which is not zero."""
    return Score(scorer.name, None, explanation=why, identifier=identifier(scorer, example))


def identifier(scorer: Scorer, example: Example | None = None) -> str:
    """Which scorer said it, in which version and, where it was held against a reference, against which."""
    return f"{scorer.name}@{scorer.version}" + ("" if example is None else f"#{reference(example)}")


def reference(example: Example) -> str:
    """The digest of what an example demands, 8 hexadecimal digits: other gold answers give other scores."""
    told = "\x00".join(
        (*example.answers, "", *(f"{key}\x01{grade}" for key, grade in sorted(example.relevant.items())))
    )
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


# ── against gold answers ────────────────────────────────────────────────────────────────────────────────────────────


def against_gold(
    scorer: Scorer,
    measure: Measure,
    interactions: Sequence[Interaction],
    examples: Sequence[Example | None] | None,
) -> list[Score | None]:
    """Each answer held against its example's gold answers; None where there is no example.

    An abstention where there is a gold answer is worth 0, as an empty prediction is in SQuAD 2.0.
    """
    return [
        None if example is None else _against(scorer, measure, interaction, example)
        for interaction, example in zip(interactions, examples or [None] * len(interactions), strict=True)
    ]


def _against(scorer: Scorer, measure: Measure, interaction: Interaction, example: Example) -> Score:
    from rag.answers.claims import without_markers

    if interaction.answer is None:
        return does_not_apply(scorer, "there is no answer", example)
    gold = [text for text in example.answers if text.strip()]
    if not gold:
        return does_not_apply(scorer, "there is no gold answer", example)
    said = without_markers(interaction.answer.text)
    value = 0.0 if interaction.answer.abstained or not said.strip() else measure(said, gold)
    return Score(scorer.name, value, identifier=identifier(scorer, example))
