"""From an interaction to OpenAI's shapes: whole, or the chunks of a stream. What is ours stands under the key `rag`."""

import time
from collections.abc import Callable, Sequence

from rag.api import problems
from rag.api.openai_errors import translated
from rag.api.openai_models import ChatCompletionRequest, CompletionRequest
from rag.ask import Done, Started, Step
from rag.shapes import Json, number
from rag.shapes.answers import citations_json, fallback_json, refusal_json, scores_json
from rag.types import SUPPORTING, Answer, Interaction, Message

CountTokens = Callable[[Sequence[Message]], int]


def event(data: Json) -> bytes:
    return b"data: " + problems.to_bytes(data) + b"\n\n"


class Reply:
    """One answer on its way to a client of OpenAI's. Every chunk carries the interaction's id."""

    def __init__(
        self, asked: ChatCompletionRequest | CompletionRequest, ignored: Sequence[str], count_tokens: CountTokens
    ) -> None:
        options = asked.stream_options
        self._with_usage = bool(options and options.include_usage)
        self._chat = isinstance(asked, ChatCompletionRequest)
        self._model, self._ignored, self._count_tokens = asked.model, list(ignored), count_tokens
        self._created = int(time.time())
        self._id = ""  # until the first step

    def whole(self, entry: Interaction) -> Json:
        said = _answer(entry)
        self._id = entry.id
        return self._object(
            "chat.completion" if self._chat else "text_completion",
            choices=[self._choice(said, annotations_json(entry))],
            usage=self._usage(entry),
            rag=self._evidence(entry),
        )

    def step(self, step: Step) -> bytes:
        """The chunks that say it: none for what this form does not tell."""
        if isinstance(step, Started):
            self._id = step.interaction_id
            return event(self._chunk({"role": "assistant", "content": ""})) if self._chat else b""
        if not isinstance(step, Done):
            return event(self._chunk({"content": step.text}))
        entry = step.interaction
        last = self._chunk({"annotations": annotations_json(entry)}, _finish_reason(_answer(entry)))
        written = event(last | {"rag": self._evidence(entry)})
        if self._with_usage:
            written += event(self._object(self._chunks, choices=[], usage=self._usage(entry)))
        return written + b"data: [DONE]\n\n"

    def failed(self, problem: Json) -> bytes:
        """The end of a stream that broke off: an error, and no [DONE]."""
        return event(translated(problem)[1])

    @property
    def _chunks(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _object(self, kind: str, **fields: object) -> Json:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model, **fields}

    def _choice(self, said: Answer, annotations: list[Json]) -> Json:
        message = {"role": "assistant", "content": said.text, "refusal": None, "annotations": annotations}
        spoken: Json = {"message": message} if self._chat else {"text": said.text}
        return {"index": 0, **spoken, "logprobs": None, "finish_reason": _finish_reason(said)}

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        spoken: Json = {"delta": delta} if self._chat else {"text": delta.get("content", "")}
        choice = {"index": 0, **spoken, "logprobs": None, "finish_reason": finish_reason}
        usage: Json = {"usage": None} if self._with_usage else {}
        return self._object(self._chunks, choices=[choice], **usage)

    def _usage(self, entry: Interaction) -> Json:
        """As the generator told, else as it counts."""
        said = _answer(entry)
        prompt, completion = said.usage.prompt_tokens, said.usage.completion_tokens
        if prompt is None:
            prompt = entry.prompt.tokens if entry.prompt is not None else 0
        if completion is None:
            completion = self._count_tokens([Message("assistant", said.text)])
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def _evidence(self, entry: Interaction) -> Json:
        said = _answer(entry)
        return {
            "interaction_id": entry.id,
            "collection": entry.collection,
            "generator": entry.model,
            "revision": entry.revision,
            "fallback": fallback_json(entry),
            "abstained": said.abstained,
            "confidence": number(said.confidence),
            "refusal": refusal_json(said.refusal, entry.passages),
            "removed": list(said.removed),
            "citations": citations_json(entry),
            "scores": scores_json(entry.scores),
            "ignored": self._ignored,
        }


def annotations_json(entry: Interaction) -> list[Json]:
    """A url_citation, the one kind that OpenAI's chat completions know, for each sentence and passage that supports it,
    wholly or partly. What is contradicted or without support stands under `rag` only."""
    found: list[Json] = []
    for citation in _answer(entry).citations:
        if citation.passage is None or citation.verdict not in SUPPORTING:
            continue
        place = entry.passages[citation.passage - 1].places[0]
        source = {"start_index": citation.start, "end_index": citation.end, "title": place.title, "url": place.uri}
        found.append({"type": "url_citation", "url_citation": source})
    return found


def _answer(entry: Interaction) -> Answer:
    assert entry.answer is not None, "what is done has an answer, else it raised"
    return entry.answer


def _finish_reason(said: Answer) -> str:
    return "length" if said.finish_reason == "length" else "stop"
