"""Blind comparisons: two answers as A and B, judgements, and what they say of the configurations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag.shapes import Json, number
from rag.shapes.answers import citations_json, passages_json
from rag.types import Interaction

if TYPE_CHECKING:
    from rag.experiments.preferences import Rate, Shown, Strength
    from rag.store.reviews.preferences import Preference


def pair_json(shown: "Shown") -> Json:
    """A pair to be judged; whose answers they are is not in it."""
    return {
        "question": shown.question,
        "first_id": shown.pair.first_id,
        "second_id": shown.pair.second_id,
        "experiment_id": shown.pair.experiment_id,
        "a": _blind(shown.a),
        "b": _blind(shown.b),
    }


def _blind(entry: Interaction) -> Json:
    return {
        "answer": None if entry.answer is None else entry.answer.text,
        "abstained": None if entry.answer is None else entry.answer.abstained,
        "citations": citations_json(entry),
        "passages": passages_json(entry.passages),
    }


def preference_json(kept: "Preference") -> Json:
    """A judgement, with which side was which."""
    return {
        "preference_id": kept.id,
        "created_at": kept.created_at.isoformat(timespec="milliseconds"),
        "question": kept.question,
        "first_id": kept.first_id,
        "second_id": kept.second_id,
        "first": kept.first,
        "second": kept.second,
        "a": "second" if kept.swapped else "first",
        "choice": kept.choice,
        "comment": kept.comment,
        "user": kept.user,
        "experiment_id": kept.experiment_id,
    }


def rates_json(rates: "Sequence[Rate]", strengths: "Sequence[Strength]") -> Json:
    """How often each configuration won against each other, and where all of them stand."""
    return {
        "pairs": [
            {
                "first": each.first,
                "second": each.second,
                "wins": each.wins,
                "losses": each.losses,
                "ties": each.ties,
                "neither": each.neither,
                "share": number(each.share),
                "low": number(each.low),
                "high": number(each.high),
            }
            for each in rates
        ],
        "configurations": [
            {
                "name": each.name,
                "share": number(each.share),
                "low": number(each.low),
                "high": number(each.high),
                "judged": each.judged,
            }
            for each in strengths
        ],
    }
