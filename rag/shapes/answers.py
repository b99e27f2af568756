"""Answers with their evidence: passages, citations, scores."""

from collections.abc import Iterable, Sequence

from rag.shapes import Json, number, timings_json
from rag.shapes.searching import hit_json, place_json
from rag.types import Citation, Interaction, Passage, Refusal, Score, Usage


def ask_json(interaction: Interaction) -> Json:
    """An answer with its evidence. `answer` is null when none was given, as for a generator that failed."""
    answer = interaction.answer
    return {
        "interaction_id": interaction.id,
        "question": interaction.question,
        "answer": None if answer is None else answer.text,
        "abstained": None if answer is None else answer.abstained,
        "confidence": None if answer is None else number(answer.confidence),
        "refusal": None if answer is None else refusal_json(answer.refusal, interaction.passages),
        "removed": [] if answer is None else list(answer.removed),
        "generator": interaction.model if answer is None else answer.generator,
        "fallback": fallback_json(interaction),
        "citations": citations_json(interaction),
        "passages": passages_json(interaction.passages),
        "scores": scores_json(interaction.scores),
        "model": interaction.model,
        "revision": interaction.revision,
        "usage": usage_json(None if answer is None else answer.usage),
        "finish_reason": None if answer is None else answer.finish_reason,
        "timings_ms": timings_json(interaction.timings_ms),
        "collection": interaction.collection,
        **turn_json(interaction),
        "search_query": interaction.search_query,
        "created_at": interaction.created_at,
    }


def turn_json(interaction: Interaction) -> Json:
    """Where an interaction stands in its conversation; nulls where it was asked by itself."""
    return {
        "conversation_id": interaction.conversation_id,
        "turn": interaction.turn,
        "kind": interaction.kind,
        "parent_id": interaction.parent_id,
        "regenerates_id": interaction.regenerates_id,
    }


def fallback_json(interaction: Interaction) -> Json | None:
    """Which generator should have answered in place of the one that did, and why it did not; null where it did."""
    instead = interaction.settings.get("fallback_from")
    return {"instead_of": instead, "reason": interaction.settings.get("fallback_reason")} if instead else None


def refusal_json(refusal: Refusal | None, passages: Sequence[Passage]) -> Json | None:
    """What was looked for where the house refused, and the passage that came closest; null where it did not."""
    if refusal is None:
        return None
    closest = None
    if refusal.closest is not None:
        passage = passages[refusal.closest - 1]
        closest = {
            "passage": refusal.closest,
            "document_id": passage.places[0].document_id,
            "uri": passage.places[0].uri,
            "title": passage.title,
            "headings": list(passage.headings),
            "page": passage.page,
            "start": passage.start,
            "end": passage.end,
        }
    return {"looked_for": list(refusal.looked_for), "missing": list(refusal.missing), "closest": closest}


def passages_json(passages: Iterable[Passage]) -> list[Json]:
    """The passages of an answer: hits whose `rank` is the number they are cited by."""
    return [hit_json(passage, number) for number, passage in enumerate(passages, 1)]


def citations_json(interaction: Interaction) -> list[Json]:
    answer = interaction.answer
    return [] if answer is None else [citation_json(citation, interaction.passages) for citation in answer.citations]


def citation_json(citation: Citation, passages: Sequence[Passage]) -> Json:
    """A sentence of the answer and what supports it; `passage` is null, and `places` empty, when nothing does."""
    places = passages[citation.passage - 1].places if citation.passage is not None else ()
    return {
        "start": citation.start,
        "end": citation.end,
        "passage": citation.passage,
        "uri": places[0].uri if places else None,
        "places": [place_json(place) for place in places],
        "quote": citation.quote,
        "quote_start": citation.quote_start,
        "quote_end": citation.quote_end,
        "support": number(citation.support),
        "verdict": citation.verdict,
        "marked": citation.marked,
        "reasons": [{"kind": reason.kind, "text": reason.text} for reason in citation.reasons],
    }


def scores_json(scores: Iterable[Score]) -> dict[str, float | None]:
    """Each metric's value, null where it does not apply; of several judgements by one name the last."""
    return {score.name: number(score.value) for score in scores}


def usage_json(usage: Usage | None) -> Json:
    return {
        "prompt_tokens": None if usage is None else usage.prompt_tokens,
        "completion_tokens": None if usage is None else usage.completion_tokens,
    }
