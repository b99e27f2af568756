"""Interactions as rows, and rows as interactions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from rag.types import (
    Answer,
    Citation,
    Cut,
    Hit,
    Interaction,
    LeftOut,
    Message,
    Part,
    Passage,
    Place,
    Prompt,
    Reason,
    Refusal,
    Score,
    Usage,
)


def interaction(
    row: Row[Any],
    messages: tuple[Message, ...] | None,
    passages: tuple[Passage, ...],
    judged: tuple[Score, ...],
    candidates: tuple[Hit, ...],
) -> Interaction:
    """The interaction of a row; messages: of its prompt as rendered."""
    answer = None
    if row.answer is not None:
        answer = Answer(
            text=row.answer,
            citations=tuple(_citation(citation, passages) for citation in row.citations),
            abstained=row.abstained,
            generator=row.model,
            finish_reason=row.finish_reason,
            usage=Usage(row.prompt_tokens, row.completion_tokens),
            confidence=row.settings.get("confidence"),
            refusal=_refusal(row.settings.get("refusal")),
            removed=tuple(row.settings.get("removed", ())),
        )
    prompt = None
    if messages is not None:
        left_out = None if row.left_out is None else left_out_value(row.left_out)
        prompt = Prompt(row.search_query, messages, passages, row.template, row.prompt_tokens_packed or 0, left_out)
    return Interaction(
        id=row.id,
        created_at=row.created_at.isoformat(timespec="milliseconds"),
        tenant_id=row.tenant_id,
        collection=row.collection,
        user=row.user,
        conversation_id=row.conversation_id,
        origin=row.origin,
        question=row.question,
        search_query=row.search_query,
        prompt=prompt,
        answer=answer,
        error=row.error,
        passages=passages,
        candidates=candidates,
        model=row.model,
        revision=row.revision,
        template=row.template,
        settings={key: value for key, value in row.settings.items() if key not in OF_ANSWERS},
        position=row.position,
        generation=row.generation,
        timings_ms=row.timings_ms,
        scores=judged,
        parent_id=row.parent_id,
        regenerates_id=row.regenerates_id,
        turn=row.turn,
        kind=row.kind,
        replays_id=row.replays_id,
    )


# ── as JSON ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def parts_json(parts: Mapping[str, Part]) -> dict[str, list[float]]:
    return {name: [part.rank, part.score] for name, part in parts.items()}


def parts_value(parts: Mapping[str, Sequence[float]]) -> dict[str, Part]:
    return {name: Part(int(rank), score) for name, (rank, score) in parts.items()}


def left_out_json(left_out: LeftOut | None) -> dict[str, object] | None:
    if left_out is None:
        return None
    cuts = [[getattr(cut, name) for name in Cut.__slots__] for cut in left_out.passages]
    return {"budget": left_out.budget, "passages": cuts, "turns": left_out.turns}


def left_out_value(stored: Mapping[str, Any]) -> LeftOut:
    return LeftOut(stored["budget"], tuple(Cut(*cut) for cut in stored["passages"]), stored["turns"])


def shown_json(passage: Passage) -> str:
    """Where a passage stood: what many rows share."""
    told = {
        "headings": list(passage.headings),
        "page": passage.page,
        "places": [place_json(place) for place in passage.places],
    }
    return json.dumps(told, ensure_ascii=False, sort_keys=True)


def place_json(place: Place) -> dict[str, object]:
    return {
        "document_id": place.document_id,
        "uri": place.uri,
        "external_id": place.external_id,
        "title": place.title,
        "metadata": dict(place.metadata),
    }


def citation_json(citation: Citation, passages: Sequence[Passage]) -> dict[str, object]:
    """A citation without its quote where a passage has it, which most have."""
    told = {name: getattr(citation, name) for name in Citation.__slots__}
    told["reasons"] = [{"kind": reason.kind, "text": reason.text} for reason in citation.reasons]
    if citation.quote == _quoted(told, passages):
        del told["quote"]
    return told


def _citation(told: Mapping[str, Any], passages: Sequence[Passage]) -> Citation:
    """What `citation_json` wrote; rows from before there were reasons have none. Without the passages, the quote of
    which is theirs is empty."""
    reasons = tuple(Reason(each["kind"], each["text"]) for each in told.get("reasons", ()))
    return Citation(**{"quote": _quoted(told, passages), **told, "reasons": reasons})


def _quoted(told: Mapping[str, Any], passages: Sequence[Passage]) -> str:
    number, start, end = told["passage"], told["quote_start"], told["quote_end"]
    if number is None or start is None or end is None or not 0 < number <= len(passages):
        return ""
    passage = passages[number - 1]
    quote: str = passage.text[max(0, start - passage.start) : max(0, end - passage.start)]
    return quote


OF_ANSWERS = ("confidence", "refusal", "removed")  # kept among the settings, as few rows have them


def of_answer_json(answer: Answer | None) -> dict[str, object]:
    """What settings keep of an answer: its confidence, a refusal, what was left out; nothing where there is none."""
    told: dict[str, object] = {}
    if answer is not None and answer.confidence is not None:
        told["confidence"] = answer.confidence
    if answer is not None and answer.removed:
        told["removed"] = list(answer.removed)
    if answer is not None and answer.refusal is not None:
        refusal = answer.refusal
        told["refusal"] = {
            "looked_for": list(refusal.looked_for),
            "missing": list(refusal.missing),
            "closest": refusal.closest,
        }
    return told


def _refusal(told: Mapping[str, Any] | None) -> Refusal | None:
    return None if told is None else Refusal(tuple(told["looked_for"]), tuple(told["missing"]), told["closest"])


def said_json(question: str, search_query: str, answer: str | None, error: str | None) -> str:
    """What the digest of an interaction's words is of."""
    return json.dumps([question, search_query, answer, error], ensure_ascii=False)
