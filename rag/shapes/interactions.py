"""The log: interactions in lines and whole."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rag.shapes import Json, number, timings_json
from rag.shapes.answers import citations_json, passages_json, scores_json, turn_json, usage_json
from rag.shapes.searching import parts_json
from rag.types import Hit, Interaction, LeftOut, Prompt, Score

if TYPE_CHECKING:
    from rag.store.interactions import Feedback, Links, Marks
    from rag.store.log.proofs import Proof
    from rag.store.log.views import View


def interaction_json(
    interaction: Interaction,
    feedback: Iterable["Feedback"] = (),
    *,
    whole: bool,
    marks: "Marks | None" = None,
    links: "Links | None" = None,
) -> Json:
    """An interaction as the log shows it: a line of the list, or `whole` with everything that led to its answer."""
    answer = interaction.answer
    line: Json = {
        "interaction_id": interaction.id,
        "created_at": interaction.created_at,
        "collection": interaction.collection,
        "user": interaction.user,
        **turn_json(interaction),
        "origin": interaction.origin,
        "question": interaction.question,
        "answer": None if answer is None else answer.text,
        "abstained": None if answer is None else answer.abstained,
        "confidence": None if answer is None else number(answer.confidence),
        "finish_reason": None if answer is None else answer.finish_reason,
        "error": interaction.error,
        "generator": interaction.model if answer is None else answer.generator,
        "model": interaction.model,
        "revision": interaction.revision,
        "scores": scores_json(interaction.scores),
        "usage": usage_json(None if answer is None else answer.usage),
        "timings_ms": timings_json(interaction.timings_ms),
        "replays_id": interaction.replays_id,
        "template": interaction.template,
        **marks_json(marks),
    }
    if not whole:
        return line
    return line | {
        "search_query": interaction.search_query,
        "links": links_json(links),
        "settings": dict(interaction.settings),
        "position": interaction.position,
        "generation": interaction.generation,
        "prompt": None if interaction.prompt is None else prompt_json(interaction.prompt),
        "citations": citations_json(interaction),
        "passages": passages_json(interaction.passages),
        "candidates": [candidate_json(hit) for hit in interaction.candidates],
        "judgements": [judgement_json(score) for score in interaction.scores],
        "feedback": [feedback_json(said) for said in feedback],
    }


def marks_json(marks: "Marks | None") -> Json:
    """What people did with an interaction."""
    erased = None if marks is None or marks.erased_at is None else marks.erased_at.isoformat(timespec="milliseconds")
    return {
        "tags": [] if marks is None else list(marks.tags),
        "review_state": None if marks is None else marks.review_state,
        "erased_at": erased,
    }


def links_json(links: "Links | None") -> Json:
    """The interactions that name this one."""
    return {
        "continued_by": [] if links is None else list(links.continued_by),
        "regenerated_by": [] if links is None else list(links.regenerated_by),
        "replayed_by": [] if links is None else list(links.replayed_by),
    }


def view_json(view: "View") -> Json:
    """A saved view."""
    from rag.store.interactions import query_json

    made = view.created_at.isoformat(timespec="milliseconds")
    return {"name": view.name, "filters": query_json(view.query), "created_at": made}


def proof_json(proof: "Proof") -> Json:
    """What deriving the digests anew found."""
    return {
        "sound": proof.sound,
        "parts": [
            {"name": part.name, "checked": part.checked, "unproved": part.unproved, "wrong": list(part.wrong)}
            for part in proof.parts
        ],
    }


def prompt_json(prompt: Prompt) -> Json:
    return {
        "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
        "template": prompt.template,
        "tokens": prompt.tokens,
        "left_out": None if prompt.left_out is None else left_out_json(prompt.left_out),
    }


def left_out_json(left_out: LeftOut) -> Json:
    """What a prompt had no room for."""
    return {
        "budget": left_out.budget,
        "turns": left_out.turns,
        "passages": [
            {
                "rank": cut.rank,
                "chunk_id": cut.chunk_id,
                "start": cut.start,
                "end": cut.end,
                "tokens": cut.tokens,
            }
            for cut in left_out.passages
        ],
    }


def candidate_json(hit: Hit) -> Json:
    return {"chunk_id": hit.chunk_id, "score": number(hit.score), "parts": parts_json(hit.parts)}


def judgement_json(score: Score) -> Json:
    return {
        "name": score.name,
        "value": number(score.value),
        "label": score.label,
        "explanation": score.explanation,
        "annotator_kind": score.annotator_kind,
        "identifier": score.identifier,
    }


def feedback_json(said: "Feedback") -> Json:
    return {
        "feedback_id": said.id,
        "user": said.user,
        "rating": said.rating,
        "label": said.label,
        "comment": said.comment,
        "created_at": said.created_at.isoformat(timespec="milliseconds"),
    }
