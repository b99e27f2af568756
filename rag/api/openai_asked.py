"""From a request of /v1 to a question of ours: what is asked, of which collection, how sampled; what cannot be met is
refused, and what changes nothing is told."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fastapi.exceptions import RequestValidationError
from pydantic import JsonValue, ValidationError

from rag.api.models.answers import AskRequest
from rag.api.openai_errors import Refused
from rag.api.openai_models import ChatCompletionRequest, ChatMessage, CompletionRequest
from rag.types import GenerationSettings, Message

DEFAULT_MODEL = "rag"  # the settings' own collection; another's is rag:NAME
MOST_IGNORED = 50  # names told in one answer
HARMLESS: Mapping[str, tuple[JsonValue, ...]] = {  # values of what is refused otherwise; null always is one
    "n": (1,),
    "best_of": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "logit_bias": ({},),
    "web_search_options": (),
    "moderation": (),
    "echo": (False,),
    "suffix": ("",),
}
SAID_ELSEWHERE = {  # fields of an AskRequest that OpenAI's own fields say
    "question": "the last user's message",
    "collection": "model",
    "seed": "seed",
    "temperature": "temperature",
}


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said, oldest first, and what is asked now."""

    question: str
    earlier: tuple[Message, ...]  # the user's and the assistant's
    passed_over: tuple[str, ...]  # instructions, which have no say in our prompt: `messages[0] (system)`


def question_of(messages: Sequence[ChatMessage]) -> Conversation:
    """The last user's message as the question, and the turns before it. Raises Refused for what is no text."""
    asked = max((i for i, message in enumerate(messages) if message.role == "user"), default=None)
    if asked is None:
        raise Refused("there is no message of the role user, so nothing is asked", "messages", "invalid_value")
    turns: list[Message] = []
    passed_over: list[str] = []
    for i, message in enumerate(messages):
        text = _text(message, f"messages[{i}]")
        if message.role in ("system", "developer"):
            passed_over.append(f"messages[{i}] ({message.role})")
        elif message.role == "assistant" and i > asked:
            raise Refused("the last turn must be the user's: no answer is continued", f"messages[{i}]")
        elif i != asked and text.strip():
            turns.append(Message("user" if message.role == "user" else "assistant", text))
    return Conversation(_asked(_text(messages[asked], ""), f"messages[{asked}].content"), tuple(turns), (*passed_over,))


def _text(message: ChatMessage, where: str) -> str:
    if message.role in ("tool", "function") or (message.model_extra or {}).get("tool_calls"):
        raise Refused("tools are not supported: send texts of the user and the assistant", where)
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    for i, part in enumerate(message.content):
        if part.type != "text" or part.text is None:
            raise Refused(
                f"a content part of the type {part.type!r} is not supported, only text", f"{where}.content[{i}]"
            )
    return "\n".join(part.text or "" for part in message.content)


def prompt_of(asked: CompletionRequest) -> str:
    """The one prompt of a request for a completion."""
    if isinstance(asked.prompt, str):
        return _asked(asked.prompt, "prompt")
    if len(asked.prompt) != 1:
        raise Refused("one prompt is answered at a time", "prompt")
    return _asked(asked.prompt[0], "prompt")


def _asked(text: str, param: str) -> str:
    if not text.strip():
        raise Refused("the question is empty", param, "invalid_value")
    return text


def check_supported(asked: ChatCompletionRequest | CompletionRequest) -> None:
    """Raise Refused for a field that asks for what we cannot give."""
    given = {"n": asked.n} | (asked.model_extra or {})
    for name, harmless in HARMLESS.items():
        value = given.get(name)
        if value is not None and _canonical(value) not in map(_canonical, harmless):
            instead = "".join(f" or send {_canonical(each)}" for each in harmless)
            raise Refused(f"{name}: {_canonical(value)[:100]} is not supported; leave it out{instead}", name)


def _canonical(value: JsonValue) -> str:
    return json.dumps(value, sort_keys=True)


def ignored(asked: ChatCompletionRequest | CompletionRequest, said: Conversation | None) -> list[str]:
    """What of a request changes nothing: fields that are not known here, instructions."""
    extra = asked.model_extra or {}
    names = sorted(name[:100] for name, value in extra.items() if value is not None and name not in HARMLESS)
    names += sorted(f"metadata.{name[:100]}" for name in asked.metadata or {} if name != "conversation_id")
    if said is not None:
        names += said.passed_over
    return names[:MOST_IGNORED]


def collection_named(model: str) -> str | None:
    """The collection that a model's name means, None for the settings' own. Raises Refused (404) for other names."""
    if model == DEFAULT_MODEL:
        return None
    prefix, _, name = model.partition(":")
    if prefix != DEFAULT_MODEL or not name:
        raise no_model(model, "GET /v1/models lists them")
    return name


def no_model(model: str, why: str) -> Refused:
    return Refused(f"there is no model {model!r}: {why}", "model", "model_not_found", 404)


def ask_request(asked: ChatCompletionRequest | CompletionRequest, question: str, collection: str | None) -> AskRequest:
    """The same request in our own words. Raises RequestValidationError, Refused."""
    given = dict(asked.rag or {})
    for name, elsewhere in SAID_ELSEWHERE.items():
        if name in given:
            raise Refused(f"rag.{name} is said by {elsewhere}", f"rag.{name}", "invalid_value")
    conversation = (asked.metadata or {}).get("conversation_id")
    if conversation is not None:
        given.setdefault("conversation_id", conversation)
    given |= {
        "question": question,
        "collection": collection,
        "seed": asked.seed,
        "temperature": asked.temperature,
    }
    try:
        return AskRequest.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError(
            [{**item, "loc": ("body", "rag", *item["loc"])} for item in error.errors(include_url=False)]
        ) from error


def sampled(asked: ChatCompletionRequest | CompletionRequest, house: GenerationSettings) -> GenerationSettings:
    """The house's settings of generation with what a request says; its answer is no longer than the house's."""
    longest = asked.max_completion_tokens if isinstance(asked, ChatCompletionRequest) else None
    longest = longest or asked.max_tokens or house.max_tokens
    stop = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    return replace(
        house,
        max_tokens=min(longest, house.max_tokens),
        top_p=house.top_p if asked.top_p is None else asked.top_p,
        stop=stop or house.stop,
    )
