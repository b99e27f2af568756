"""/v1: what programs that speak OpenAI's language ask. A collection is a model: `rag:NAME`; `rag` is the settings' own.

Errors have OpenAI's shape here (rag.api.openai_errors); each question is one interaction, like any other.
"""

import base64
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import Response

from rag.api.answers import Json as JsonResponse
from rag.api.house import House
from rag.api.openai_answers import Reply
from rag.api.openai_asked import (
    DEFAULT_MODEL,
    Conversation,
    ask_request,
    check_supported,
    collection_named,
    ignored,
    no_model,
    prompt_of,
    question_of,
    sampled,
)
from rag.api.openai_errors import Refused
from rag.api.openai_models import (
    ChatCompletion,
    ChatCompletionRequest,
    Completion,
    CompletionRequest,
    EmbeddingRequest,
    Embeddings,
    ModelCard,
    ModelList,
    OpenAIError,
)
from rag.api.refining import check_reranker
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.api.routes.ask import check_generator, open_answering, to_question
from rag.api.streams import EventStream, Whole
from rag.ask import Answering, Question, Step, stream
from rag.errors import NotFound
from rag.shapes import Json
from rag.store import collections as collection_store
from rag.store.collections import Collection
from rag.types import CancelToken, Embedder, Principal

router = APIRouter(tags=["v1"], route_class=StrictRoute)

Responses = dict[int | str, dict[str, Any]]  # as FastAPI types it
ERRORS: Responses = {
    "4XX": {"model": OpenAIError, "description": "the request cannot be met; what does not fit is 400"},
    "5XX": {"model": OpenAIError, "description": "the installation is not ready (503), or the generator failed (502)"},
}
CHUNKS: dict[str, Any] = {
    "description": "the answer; with `stream` its chunks as server-sent events, the last `data: [DONE]`",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.post("/v1/chat/completions", response_model=ChatCompletion, responses={200: CHUNKS, **ERRORS})
async def chat(asked: ChatCompletionRequest, house: TheHouse, principal: Asker) -> Response:
    """Answer the last user's message from the documents of the collection that `model` names.

    The sources stand in the message's `annotations`, quotes and verdicts under `rag`; when streamed, both in the last
    chunk but for the usage. `tools`, images, `n` above 1, `logprobs` and other forms of an answer are refused (400);
    fields that change nothing are named in `rag.ignored`.
    """
    said = question_of(asked.messages)
    return await answered(asked, said, ignored(asked, said), house, principal)


@router.post("/v1/completions", response_model=Completion, responses={200: CHUNKS, **ERRORS})
async def complete(asked: CompletionRequest, house: TheHouse, principal: Asker) -> Response:
    """Answer the prompt as a question, in the older form of completions; the sources stand under `rag`."""
    said = Conversation(prompt_of(asked), (), ())
    return await answered(asked, said, ignored(asked, None), house, principal)


async def answered(
    asked: ChatCompletionRequest | CompletionRequest,
    said: Conversation,
    passed_over: list[str],
    house: House,
    principal: Principal,
) -> Response:
    """The answer on its way, whole or streamed."""
    answering, question = await to_thread.run_sync(opened, asked, said, house, principal, limiter=house.answers)

    def steps(cancel: CancelToken) -> Generator[Step, None, None]:
        return stream(answering, question, principal, cancel)

    def told(outcome: str) -> None:
        house.metrics.asked(answering.generator.name, outcome)

    reply = Reply(asked, passed_over, answering.generator.count_tokens)
    kind = EventStream if asked.stream else Whole
    return kind(steps, house.answers, told, reply)


def opened(
    asked: ChatCompletionRequest | CompletionRequest, said: Conversation, house: House, principal: Principal
) -> tuple[Answering, Question]:
    """Who answers, and what. Raises Refused for a model that is not there, and what ours raise."""
    with house.refusal(principal, said.question, asked.model):
        check_supported(asked)
        house.check_question(said.question)
        collection = served(house, principal, asked.model)
        ours = ask_request(asked, said.question, collection.name)
        check_generator(ours.generator, house)
        check_reranker(ours.rerank, house)
        question = to_question(ours, house, principal)
        question = replace(question, generation=sampled(asked, question.generation), history=said.earlier)
        return open_answering(house, ours, principal), question


def served(house: House, principal: Principal, model: str) -> Collection:
    """The collection that a model's name means. Raises Refused (404)."""
    try:
        return house.collection(principal, collection_named(model))
    except NotFound as error:
        raise no_model(model, str(error)) from error


# ── models ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/models", response_model=ModelList, responses=ERRORS)
def models(house: TheHouse, principal: Asker) -> JsonResponse:
    """Every collection of the asker's tenant as a model, `rag` for the settings' own before them, and the embedder."""
    with house.app.database.read() as connection:
        found = collection_store.listing(connection, principal.tenant_id)
    own = [_card(DEFAULT_MODEL, each) for each in found if each.name == house.app.settings.collection]
    named = [_card(f"{DEFAULT_MODEL}:{each.name}", each) for each in found]
    return JsonResponse({"object": "list", "data": [*own, *named, _card(house.app.settings.embedder)]})


@router.get("/v1/models/{model:path}", response_model=ModelCard, responses=ERRORS)
def model(model: str, house: TheHouse, principal: Asker) -> JsonResponse:
    """One model, by its name."""
    if model == house.app.settings.embedder:
        return JsonResponse(_card(model))
    return JsonResponse(_card(model, served(house, principal, model)))


def _card(name: str, collection: Collection | None = None) -> Json:
    created = 0 if collection is None else int(collection.created_at.timestamp())
    return {"id": name, "object": "model", "created": created, "owned_by": "rag"}


# ── embeddings ──────────────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/v1/embeddings", response_model=Embeddings, responses=ERRORS)
async def embed(asked: EmbeddingRequest, house: TheHouse, principal: Asker) -> JsonResponse:
    """Unit vectors of texts, by the settings' embedder. A text that it could not read to its end is refused."""
    return await to_thread.run_sync(embedded, asked, house, limiter=house.answers)


def embedded(asked: EmbeddingRequest, house: House) -> JsonResponse:
    known = house.app.settings.embedder
    if asked.model not in (known, known.partition(":")[2]):
        raise no_model(asked.model, f"the embedder is {known}")
    embedder = house.app.embedder()
    if asked.dimensions not in (None, embedder.dim):
        raise Refused(f"{known} gives {embedder.dim} dimensions and no others", "dimensions", "invalid_value")
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    tokens = counted(embedder, texts)
    vectors = embedder.embed_queries(texts) if asked.input_type == "query" else embedder.embed_passages(texts)
    data = [
        {
            "object": "embedding",
            "index": i,
            "embedding": base64_of(row) if asked.encoding_format == "base64" else row.tolist(),
        }
        for i, row in enumerate(vectors)
    ]
    usage = {"prompt_tokens": sum(tokens), "total_tokens": sum(tokens)}
    return JsonResponse({"object": "list", "data": data, "model": asked.model, "usage": usage})


def counted(embedder: Embedder, texts: list[str]) -> list[int]:
    """Tokens of each text. Raises Refused for one that is empty, or longer than the embedder reads."""
    tokens = embedder.count_tokens(texts)
    for i, (text, count) in enumerate(zip(texts, tokens, strict=True)):
        if not text.strip():
            raise Refused("an empty text has no meaning to embed", f"input[{i}]", "invalid_value")
        if count > embedder.max_tokens:
            raise Refused(
                f"the text has {count} tokens, and the embedder reads {embedder.max_tokens}: cut it",
                f"input[{i}]",
                "context_length_exceeded",
            )
    return tokens


def base64_of(row: np.ndarray) -> str:
    """The vector's float32 numbers, little-endian, as OpenAI's clients read them."""
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
