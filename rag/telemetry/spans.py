"""An interaction becomes the spans of its trace; pure, and free of any library of OpenTelemetry.

The log knows how long each stage took, not when it began: stages are laid end to end, in the order in which they run.
Without `content` nothing that anybody wrote leaves the house: no question, answer, prompt, passage, title, address or
error message; ids, counts, scores, settings and times do.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

from rag.types import Interaction, Message, Passage

Value = str | int | float | bool | Sequence[str]
Attributes = Mapping[str, Value]

STAGES = ("rewrite", "search", "prompt", "weigh", "generate", "cite", "score")  # in the order in which they run
KINDS = {  # OpenInference's kind of span
    "rewrite": "CHAIN",
    "search": "RETRIEVER",
    "weigh": "EVALUATOR",
    "prompt": "PROMPT",
    "generate": "LLM",
    "cite": "EVALUATOR",
    "score": "EVALUATOR",
}
NAMES = {
    "search": "retrieval",
    "generate": "chat",
    "cite": "check citations",
}  # of spans, where another than the stage's
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of a span."""

    name: str
    time_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    """One span, times in nanoseconds since 1970."""

    name: str
    trace_id: int  # 128 bits
    span_id: int  # 64 bits
    parent_id: int | None
    start_ns: int
    end_ns: int
    attributes: Attributes
    failed: bool = False
    failure: str | None = None  # in words; None where content is kept in the house
    calls_out: bool = False  # it waits for another's answer: a span of the kind CLIENT
    happenings: tuple[Happening, ...] = ()
    links: tuple[tuple[int, int], ...] = field(default=())  # (trace, span) of what it follows from


def trace_id(interaction_id: str) -> int:
    """The trace of an interaction: the 128 bits of its ULID."""
    value = 0
    for character in interaction_id.upper():
        value = value * 32 + _CROCKFORD.index(character)
    return value


def span_id(interaction_id: str, stage: str) -> int:
    """The span of a stage; "" is the whole."""
    return int.from_bytes(blake2b(f"{interaction_id}/{stage}".encode(), digest_size=8).digest()) or 1


def spans(entry: Interaction, *, content: bool) -> list[Span]:
    """The trace of an interaction, its root first."""
    trace, root = trace_id(entry.id), span_id(entry.id, "")
    began = round(datetime.fromisoformat(entry.created_at).timestamp() * 1000) * 1_000_000
    found, at = [], began
    for stage in STAGES:
        taken_ms = entry.timings_ms.get(stage)
        if taken_ms is None:
            continue
        end = at + round(taken_ms * 1_000_000)
        name = NAMES.get(stage, stage)
        if stage == "search":
            name = f"{name} {entry.collection}"
        elif stage == "generate":
            name = f"{name} {entry.model}"
        found.append(
            Span(
                name,
                trace,
                span_id(entry.id, stage),
                root,
                at,
                end,
                {"openinference.span.kind": KINDS[stage]} | _ATTRIBUTES[stage](entry, content),
                failed=entry.error is not None and stage == "generate",
                calls_out=stage == "generate" and provider(entry.model) != "rag",
            )
        )
        at = end
    whole = Span(
        "ask",
        trace,
        root,
        None,
        began,
        max(at, began + round(entry.timings_ms.get("total", 0.0) * 1_000_000)),
        {"openinference.span.kind": "CHAIN"} | _whole(entry, content),
        failed=entry.error is not None,
        failure=entry.error if content else None,
        happenings=tuple(_evaluations(entry, at)),
        links=tuple(
            (trace_id(other), span_id(other, "")) for other in (entry.replays_id, entry.parent_id) if other is not None
        ),
    )
    return [whole, *found]


def provider(model: str) -> str:
    """Who runs a model, by the conventions' names; `rag` where this program does."""
    return "openai" if model.startswith("openai:") else "rag"


# ── attributes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _whole(entry: Interaction, content: bool) -> dict[str, Value]:
    told: dict[str, Value] = {
        "user.id": entry.user,
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "rag",
        "metadata": _json(
            {
                "interaction_id": entry.id,
                "collection": entry.collection,
                "origin": entry.origin,
                "position": entry.position,
                "generation": entry.generation,
                "template": entry.template,
                "finish_reason": None if entry.answer is None else entry.answer.finish_reason,
                "abstained": None if entry.answer is None else entry.answer.abstained,
                "confidence": None if entry.answer is None else entry.answer.confidence,
                "replays_id": entry.replays_id,
                **{name: entry.settings.get(name) for name in ("mode", "k", "fusion", "alpha", "reranker")},
            }
        ),
    }
    if entry.conversation_id is not None:
        told |= {"session.id": entry.conversation_id, "gen_ai.conversation.id": entry.conversation_id}
    if entry.error is not None:
        told["error.type"] = "failed"
    if content:
        told |= {"input.value": entry.question, "input.mime_type": "text/plain"}
        if entry.answer is not None:
            told |= {"output.value": entry.answer.text, "output.mime_type": "text/plain"}
    return told


def _rewrite(entry: Interaction, content: bool) -> dict[str, Value]:
    if not content:
        return {}
    return {"input.value": entry.question, "output.value": entry.search_query}


def _search(entry: Interaction, content: bool) -> dict[str, Value]:
    told: dict[str, Value] = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": entry.collection}
    if content:
        told |= {"input.value": entry.search_query, "gen_ai.retrieval.query.text": entry.search_query}
    for number, passage in enumerate(entry.passages):
        told |= _document(f"retrieval.documents.{number}.document", passage, content)
    return told


def _document(name: str, passage: Passage, content: bool) -> dict[str, Value]:
    place = passage.places[0] if passage.places else None
    about: dict[str, object] = {
        "document_id": None if place is None else place.document_id,
        "start": passage.start,
        "end": passage.end,
        "stages": {stage: [part.rank, part.score] for stage, part in passage.hit.parts.items()},
    }
    told: dict[str, Value] = {f"{name}.id": str(passage.hit.chunk_id), f"{name}.score": float(passage.hit.score)}
    if content:
        about |= {"title": passage.title, "uri": None if place is None else place.uri}
        told[f"{name}.content"] = passage.text
    return told | {f"{name}.metadata": _json(about)}


def _weigh(entry: Interaction, content: bool) -> dict[str, Value]:
    confidence = None if entry.answer is None else entry.answer.confidence
    return {} if confidence is None else {"rag.confidence": confidence}


def _prompt(entry: Interaction, content: bool) -> dict[str, Value]:
    told: dict[str, Value] = {
        "llm.prompt_template.version": entry.template,
        "gen_ai.prompt.name": entry.template.partition("@")[0],
    }
    if entry.prompt is not None:
        told["rag.prompt.tokens"] = entry.prompt.tokens
        told["rag.prompt.passages"] = len(entry.prompt.passages)
    return told


def _generate(entry: Interaction, content: bool) -> dict[str, Value]:
    settings, asked = entry.settings, entry.settings.get("fallback_from") or entry.model
    parameters = {name: settings.get(name) for name in ("max_tokens", "temperature", "top_p", "seed", "stop")}
    told: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider(entry.model),
        "gen_ai.request.model": str(asked),
        "gen_ai.response.model": entry.model,
        "llm.model_name": entry.model,
        "llm.provider": provider(entry.model),
        "llm.invocation_parameters": _json(parameters),
    }
    for name in ("max_tokens", "temperature", "top_p", "seed"):
        value = settings.get(name)
        if isinstance(value, int | float):
            told[f"gen_ai.request.{name}"] = value
    if entry.answer is not None:
        told["gen_ai.response.finish_reasons"] = (entry.answer.finish_reason,)
        used = entry.answer.usage
        for count, ours, theirs in (
            (used.prompt_tokens, "gen_ai.usage.input_tokens", "llm.token_count.prompt"),
            (used.completion_tokens, "gen_ai.usage.output_tokens", "llm.token_count.completion"),
        ):
            if count is not None:
                told |= {ours: count, theirs: count}
        if used.prompt_tokens is not None and used.completion_tokens is not None:
            told["llm.token_count.total"] = used.prompt_tokens + used.completion_tokens
    if content:
        told |= _said(entry)
    return told


def _said(entry: Interaction) -> dict[str, Value]:
    told: dict[str, Value] = {}
    messages = () if entry.prompt is None else entry.prompt.messages
    for number, message in enumerate(messages):
        told[f"llm.input_messages.{number}.message.role"] = message.role
        told[f"llm.input_messages.{number}.message.content"] = message.content
    told["gen_ai.input.messages"] = _messages(messages)
    if entry.answer is not None:
        told["llm.output_messages.0.message.role"] = "assistant"
        told["llm.output_messages.0.message.content"] = entry.answer.text
        told["gen_ai.output.messages"] = _messages((Message("assistant", entry.answer.text),))
    return told


def _messages(messages: Sequence[Message]) -> str:
    """As the conventions write messages: roles with parts."""
    parts = [{"role": one.role, "parts": [{"type": "text", "content": one.content}]} for one in messages]
    return json.dumps(parts, ensure_ascii=False)


def _cite(entry: Interaction, content: bool) -> dict[str, Value]:
    verdicts = [] if entry.answer is None else [citation.verdict for citation in entry.answer.citations]
    kinds = ("supported", "partly", "contradicted", "unsupported")
    return {f"rag.sentences.{kind}": sum(verdict == kind for verdict in verdicts) for kind in kinds}


def _score(entry: Interaction, content: bool) -> dict[str, Value]:
    return {f"rag.score.{score.name}": float(score.value) for score in entry.scores if score.value is not None}


_ATTRIBUTES = {
    "rewrite": _rewrite,
    "search": _search,
    "weigh": _weigh,
    "prompt": _prompt,
    "generate": _generate,
    "cite": _cite,
    "score": _score,
}


def _evaluations(entry: Interaction, at: int) -> list[Happening]:
    """The scores that apply, as events of the conventions."""
    found = []
    for score in entry.scores:
        if score.value is not None:
            told: dict[str, Value] = {
                "gen_ai.evaluation.name": score.name,
                "gen_ai.evaluation.score.value": float(score.value),
            }
            if score.label is not None:
                told["gen_ai.evaluation.score.label"] = score.label
            found.append(Happening("gen_ai.evaluation.result", at, told))
    return found


def _json(value: Mapping[str, object]) -> str:
    return json.dumps({name: each for name, each in value.items() if each is not None}, ensure_ascii=False)
