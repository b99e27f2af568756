"""When a metric applies to an interaction, and how one that does not is written down."""

from rag.types import Interaction, Score, Scorer


def why_not(interaction: Interaction) -> str | None:
    """Why no answer metric applies; None when they do."""
    if interaction.answer is None:
        return "there is no answer"
    if interaction.answer.abstained:
        return "the answer is an abstention"
    if not interaction.answer.text.strip():
        return "the answer is empty"
    if not interaction.passages:
        return "the answer had no passages"
    return None


def does_not_apply(scorer: Scorer, why: str) -> Score:
    """The score of a metric that does not apply: no value, which is not zero."""
    return Score(scorer.name, None, explanation=why, identifier=identifier(scorer))


def identifier(scorer: Scorer) -> str:
    """Which scorer said it, and in which version."""
    return f"{scorer.name}@{scorer.version}"
