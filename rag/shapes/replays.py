"""Replays: two answers to one question and what differs between them."""

from typing import TYPE_CHECKING

from rag.shapes import Json, number
from rag.types import Interaction

if TYPE_CHECKING:
    from rag.experiments.differences import Difference, Gone, New


def difference_json(found: "Difference") -> Json:
    """What differs between two answers; `first` is the earlier one."""
    return {
        "first": side_json(found.first),
        "second": side_json(found.second),
        "same_passages": found.same_passages,
        "same_answer": found.same_answer,
        "kept": [{"before": each.before, "after": each.after, "same_text": each.same_text} for each in found.kept],
        "gone": [{"before": each.before} | _passage_json(each) for each in found.gone],
        "new": [{"after": each.after} | _passage_json(each) for each in found.new],
        "words": [{"kind": each.kind, "text": each.text} for each in found.words],
        "scores": {name: {"first": number(a), "second": number(b)} for name, (a, b) in found.scores.items()},
        "settings": {name: {"first": a, "second": b} for name, (a, b) in found.settings.items()},
        "total_ms": {"first": round(found.total_ms[0], 3), "second": round(found.total_ms[1], 3)},
        "tokens": {"first": found.tokens[0], "second": found.tokens[1]},
    }


def side_json(entry: Interaction) -> Json:
    """One of the two."""
    return {
        "interaction_id": entry.id,
        "created_at": entry.created_at,
        "question": entry.question,
        "answer": None if entry.answer is None else entry.answer.text,
        "error": entry.error,
        "model": entry.model,
        "template": entry.template,
        "collection": entry.collection,
        "position": entry.position,
        "generation": entry.generation,
    }


def _passage_json(each: "Gone | New") -> Json:
    return {
        "chunk_id": each.passage.hit.chunk_id,
        "title": each.passage.title,
        "uris": [place.uri for place in each.passage.places],
        "text": each.passage.text,
        "reason": each.reason,
        "told": each.told,
        "rank": each.rank,
    }
