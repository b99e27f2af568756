"""Programs of others against a real server: OpenAI's client, LangChain and LlamaIndex, as their users write them.

LangChain and LlamaIndex are the extra `interop`, in an environment of its own; where they are absent their tests are
skipped by name.
"""

import asyncio
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from rag.app import App, opening
from rag.client import Client
from tests.api import OTTERS, TIDES, make_token, server, small, until
from tests.faults.test_api_hangup import WAIT_S, Slow, served

ASKED = "What do sea otters do while they sleep?"
KIND = "You are a kind assistant."


@dataclass(frozen=True)
class Place:
    """A server of ours as its users see it."""

    base_url: str
    key: str
    ours: Client


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    settings = small(tmp_path_factory.mktemp("interop"))
    with opening(settings, create=True) as app:
        token = make_token(app)
    with server(settings) as address, Client(address, token=token) as ours:
        ours.add_text(OTTERS, title="Otters", uri="note:otters")
        ours.add_text(TIDES, title="Tides", uri="note:tides", collection="sea")
        yield Place(f"{address}/v1", token, ours)


def optional(name: str) -> ModuleType:
    """A library of the extra `interop`, or a skip that names it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        return pytest.importorskip(name, reason=f"{name} absent: pip install '.[interop]'", exc_type=ImportError)


# ── OpenAI's own client ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def client(place: Place) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=place.base_url, api_key=place.key, max_retries=0) as opened:
        yield opened


def test_openai_lists_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["rag", "rag:default", "rag:sea", "hashing:256"]
    assert client.models.retrieve("rag:sea").owned_by == "rag"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("rag:nowhere")
    assert (error.value.code, error.value.param) == ("model_not_found", "model")


def test_openai_chats(place: Place, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="rag",
        messages=[{"role": "system", "content": KIND}, {"role": "user", "content": ASKED}],
        temperature=0,
        extra_body={"rag": {"k": 3}},
    )
    message = answer.choices[0].message
    assert message.content is not None
    assert message.annotations
    cited = message.annotations[0].url_citation
    assert (cited.title, cited.url) == ("Otters", "note:otters")
    assert "hold hands" in message.content[cited.start_index : cited.end_index]
    logged = place.ours.interaction(answer.id)
    assert (logged.answer, logged.settings["k"]) == (message.content, 3)
    assert answer._request_id == answer.id
    evidence = (answer.model_extra or {})["rag"]
    assert evidence["citations"][0]["quote"] == logged.citations[0].quote


def read(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_openai_streams(place: Place, client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="rag:default",
            messages=[{"role": "user", "content": ASKED}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    logged = place.ours.interaction(chunks[0].id)
    assert read(chunks) == logged.answer
    *_, last, usage = chunks
    assert last.choices[0].finish_reason == "stop"
    annotations = (last.choices[0].delta.model_extra or {})["annotations"]
    assert annotations[0]["url_citation"]["url"] == "note:otters"
    assert usage.usage is not None
    assert usage.usage.completion_tokens > 0


def test_openais_helper_for_streams_understands_ours(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="rag", messages=[{"role": "user", "content": ASKED}]) as stream:
        kinds = [event.type for event in stream]
        whole = stream.get_final_completion()
    assert "content.delta" in kinds
    assert "hold hands" in str(whole.choices[0].message.content)


def test_openai_completes_and_embeds(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="rag", prompt=ASKED).choices[0].text
    assert "hold hands" in whole
    parts = client.completions.create(model="rag", prompt=ASKED, stream=True)
    assert "".join(part.choices[0].text for part in parts) == whole
    floats = client.embeddings.create(model="hashing:256", input=["otters", "tides"], encoding_format="float")
    packed = client.embeddings.create(model="hashing:256", input=["otters", "tides"])
    assert [row.embedding for row in floats.data] == [row.embedding for row in packed.data]
    assert len(packed.data[0].embedding) == 256


def test_openais_errors_are_its_own_classes(place: Place, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="rag", messages=[{"role": "user", "content": ASKED}], n=2)
    assert refused.value.param == "n"
    stranger = openai.OpenAI(base_url=place.base_url, api_key="sk-unknown", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_openai_asynchronously(place: Place) -> None:
    async def ask() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=place.base_url, api_key=place.key) as client:
            answer = await client.chat.completions.create(model="rag", messages=[{"role": "user", "content": ASKED}])
            stream = await client.chat.completions.create(
                model="rag", messages=[{"role": "user", "content": ASKED}], stream=True
            )
            return answer.choices[0].message.content, read([chunk async for chunk in stream])

    whole, streamed = asyncio.run(ask())
    assert whole == streamed


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opening(small(tmp_path, generator="slow"), create=True) as opened:
        yield opened


def test_whoever_closes_a_stream_ends_the_answer(app: App) -> None:
    slow = Slow(heeds_cancel=True)
    app.engines.generators["slow"] = slow
    with served(app) as address, Client(address) as ours:
        ours.add_text(OTTERS)
        with openai.OpenAI(base_url=f"{address}/v1", api_key="none") as client:
            stream = client.chat.completions.create(
                model="rag", messages=[{"role": "user", "content": ASKED}], stream=True
            )
            assert slow.speaking.acquire(timeout=WAIT_S)
            stream.close()
            assert slow.closed.acquire(timeout=WAIT_S), "the generator was left running"
        for _ in until("the interaction is logged"):
            logged = list(ours.interactions())
            if logged:
                break
        assert [(line.finish_reason, line.answer) for line in logged] == [("cancelled", "Sea otters ")]


# ── LangChain ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.filterwarnings("ignore")
def test_langchain_chats_streams_and_embeds(place: Place) -> None:
    langchain = optional("langchain_openai")
    said = [("system", KIND), ("user", ASKED)]
    model = langchain.ChatOpenAI(model="rag", base_url=place.base_url, api_key=place.key, temperature=0)
    answer = model.invoke(said)
    logged = place.ours.interaction(answer.response_metadata["id"])
    assert answer.content == logged.answer
    assert logged.citations[0].verdict == "supported"
    assert answer.usage_metadata["output_tokens"] > 0
    assert "".join(chunk.content for chunk in model.stream(said)) == answer.content
    embeddings = langchain.OpenAIEmbeddings(
        model="hashing:256", base_url=place.base_url, api_key=place.key, check_embedding_ctx_length=False
    )
    assert embeddings.embed_documents(["otters", "tides"])[0] == embeddings.embed_query("otters")


# ── LlamaIndex ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.filterwarnings("ignore")
def test_llama_index_chats_completes_streams_and_embeds(place: Place) -> None:
    models = optional("llama_index.llms.openai_like")
    embedders = optional("llama_index.embeddings.openai_like")
    message = optional("llama_index.core.llms").ChatMessage
    where = {"api_base": place.base_url, "api_key": place.key}
    model = models.OpenAILike(model="rag", is_chat_model=True, **where)
    said = [message(role="system", content=KIND), message(role="user", content=ASKED)]
    answer = model.chat(said)
    assert answer.raw.choices[0].message.annotations[0].url_citation.url == "note:otters"
    assert answer.message.content == place.ours.interaction(answer.raw.id).answer
    assert "".join(part.delta for part in model.stream_chat(said)) == answer.message.content
    older = models.OpenAILike(model="rag", is_chat_model=False, **where)
    assert older.complete(ASKED).text == answer.message.content
    assert "".join(part.delta for part in older.stream_complete(ASKED)) == answer.message.content
    embedder = embedders.OpenAILikeEmbedding(model_name="hashing:256", **where)
    assert embedder.get_text_embedding_batch(["otters", "tides"])[0] == embedder.get_query_embedding("otters")
