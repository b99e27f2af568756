"""What requests and responses of /v1 look like: OpenAI's shapes, and what we add to them under the one key `rag`.

A field that changes neither what is answered nor its form is passed over, and `rag.ignored` of the answer names it;
one that would is refused (rag.api.openai_asked). So clients that send much can talk to us, and nothing is pretended.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue

from rag.api.models import Shape
from rag.api.models.answers import Citation, Fallback, Refusal

MAX_MESSAGES = 2000
MAX_TEXTS = 2048  # in one request for embeddings, as OpenAI's own limit
MAX_STOPS = 4  # as well


class Open(BaseModel):
    """Part of a request that may hold fields which are not written down here."""

    model_config = ConfigDict(extra="allow", strict=True)


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────────

Model = Annotated[
    str, Field(min_length=1, max_length=200, description="`rag`: the settings' own collection; `rag:NAME`: that one")
]
Stop = Annotated[str, Field(min_length=1, max_length=200)]


class ContentPart(Open):
    type: Annotated[str, Field(description="`text`; any other is refused")]
    text: str | None = None


class ChatMessage(Open):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None


class StreamOptions(Open):
    include_usage: Annotated[bool | None, Field(description="one more chunk, with the usage")] = None


class Sampling(Open):
    """What a request for an answer may say besides the question."""

    model: Model
    stream: Annotated[bool | None, Field(description="chunks as server-sent events; the last is `[DONE]`")] = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[FiniteFloat | None, Field(ge=0, le=2, description="0 is greedy")] = None
    top_p: Annotated[FiniteFloat | None, Field(gt=0, le=1)] = None
    max_tokens: Annotated[int | None, Field(ge=1, le=2**53, description="at most the setting max_answer_tokens")] = None
    stop: Annotated[
        Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None, Field(description="the answer ends before it")
    ] = None
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    n: Annotated[int | None, Field(ge=1, description="1 only")] = None
    metadata: Annotated[
        dict[str, JsonValue] | None,
        Field(description="its conversation_id is the conversation to go on with; nothing else is used"),
    ] = None
    rag: Annotated[
        dict[str, JsonValue] | None,
        Field(description="further fields of an AskRequest, such as k, mode, filter", examples=[{"k": 4}]),
    ] = None


class ChatCompletionRequest(Sampling):
    messages: Annotated[
        list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES, description="the last user's is the question")
    ]
    max_completion_tokens: Annotated[int | None, Field(ge=1, le=2**53, description="as max_tokens, and before it")] = (
        None
    )


class CompletionRequest(Sampling):
    prompt: Annotated[str | list[str], Field(description="the question: a text, or a list of one")]


class EmbeddingRequest(Open):
    model: Annotated[str, Field(min_length=1, max_length=500, description="the settings' embedder")]
    input: Annotated[
        str | Annotated[list[str], Field(min_length=1, max_length=MAX_TEXTS)],
        Field(description="a text or a list; lists of token ids are refused"),
    ]
    encoding_format: Annotated[
        Literal["float", "base64"] | None, Field(description="base64: of float32, little-endian")
    ] = None
    dimensions: Annotated[int | None, Field(ge=1, description="the embedder's own only")] = None
    input_type: Annotated[
        Literal["query", "passage"] | None,
        Field(description="what the texts are, for models that embed the two differently; else passage"),
    ] = None


# ── responses ───────────────────────────────────────────────────────────────────────────────────────────────────────


class ErrorBody(Shape):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(Shape):
    """What went wrong, as OpenAI's clients read it."""

    error: ErrorBody


class UrlCitation(Shape):
    start_index: Annotated[int, Field(description="content[start_index:end_index] is the sentence, in code points")]
    end_index: int
    title: str
    url: Annotated[str, Field(description="the document's uri")]


class Annotation(Shape):
    """A sentence of the answer that a document supports, wholly or partly."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class Evidence(Shape):
    """What stands behind an answer, besides OpenAI's fields."""

    interaction_id: Annotated[str, Field(description="of its entry in the log: /api/interactions/{interaction_id}")]
    collection: str
    generator: str
    revision: str
    fallback: Annotated[Fallback | None, Field(description="set where another should have answered and could not")]
    abstained: bool
    confidence: Annotated[float | None, Field(description="how likely the passages answer, 0 to 1; null: not asked")]
    refusal: Annotated[Refusal | None, Field(description="what was looked for, where the documents do not answer")]
    removed: Annotated[list[str], Field(description="sentences that a strict answer leaves out")]
    citations: Annotated[list[Citation], Field(description="every sentence's, whatever their verdict")]
    scores: Annotated[dict[str, float | None], Field(description="null: the metric does not apply")]
    ignored: Annotated[list[str], Field(description="fields and messages of the request that changed nothing")]


class TokenUsage(Shape):
    """As the generator counts; words, where it has no tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AssistantMessage(Shape):
    role: Literal["assistant"]
    content: str
    refusal: None
    annotations: list[Annotation]


class ChatChoice(Shape):
    index: int
    message: AssistantMessage
    logprobs: None
    finish_reason: Literal["stop", "length"]


class ChatCompletion(Shape):
    id: Annotated[str, Field(description="the interaction's")]
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage
    rag: Evidence


class CompletionChoice(Shape):
    index: int
    text: str
    logprobs: None
    finish_reason: Literal["stop", "length"]


class Completion(Shape):
    id: Annotated[str, Field(description="the interaction's")]
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: TokenUsage
    rag: Evidence


class Embedding(Shape):
    object: Literal["embedding"]
    index: int
    embedding: Annotated[list[float] | str, Field(description="a unit vector")]


class EmbeddingUsage(Shape):
    prompt_tokens: int
    total_tokens: int


class Embeddings(Shape):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class ModelCard(Shape):
    id: str
    object: Literal["model"]
    created: Annotated[int, Field(description="seconds since 1970; 0 for the embedder")]
    owned_by: Literal["rag"]


class ModelList(Shape):
    object: Literal["list"]
    data: list[ModelCard]
