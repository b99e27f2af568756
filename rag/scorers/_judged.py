"""Passages held against the documents that an example judges relevant."""

from collections.abc import Callable, Sequence

from rag.scorers._applies import does_not_apply, identifier
from rag.types import Example, Interaction, Passage, Score, Scorer

Judge = Callable[[Interaction, frozenset[str]], float]
"""From an interaction and the external ids of the relevant documents, at least one, to a value 0…1."""


def against_judged(
    scorer: Scorer,
    judge: Judge,
    interactions: Sequence[Interaction],
    examples: Sequence[Example | None] | None,
) -> list[Score | None]:
    """Each interaction's passages held against its example; None where there is no example. A search that found
    nothing is worth 0, it is not left out."""
    return [
        None if example is None else _score(scorer, judge, interaction, example)
        for interaction, example in zip(interactions, examples or [None] * len(interactions), strict=True)
    ]


def _score(scorer: Scorer, judge: Judge, interaction: Interaction, example: Example) -> Score:
    wanted = frozenset(key for key, grade in example.relevant.items() if grade >= 1)
    if not wanted:
        return does_not_apply(scorer, "no document was judged relevant", example)
    if interaction.error is not None and not interaction.passages:
        return does_not_apply(scorer, "the search failed", example)
    return Score(scorer.name, judge(interaction, wanted), identifier=identifier(scorer, example))


def held(passage: Passage) -> frozenset[str]:
    """The external ids of the documents that hold a passage."""
    return frozenset(place.external_id or place.uri for place in passage.places)


def relevant(passage: Passage, wanted: frozenset[str]) -> bool:
    return bool(held(passage) & wanted)
