"""/v1 in-process: OpenAI's shapes, checked by OpenAI's own types; collections as models; what is refused, and how."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from starlette.testclient import TestClient

from rag.answers.claims import ABSTENTION
from rag.api.application import create
from rag.app import App, opening
from rag.store import collections as collection_store
from rag.store import tokens
from tests.api import Inventive, client, make_token, small
from tests.openai_house import ASKED, CHAT, chat, chunks, furnished, log, refused, told
from tests.test_api import conforms


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opening(small(tmp_path), create=True) as opened:
        yield opened


@pytest.fixture
def whole(app: App) -> FastAPI:
    return create(app)


@pytest.fixture
def api(whole: FastAPI) -> TestClient:
    """A house of the test's own."""
    return furnished(whole)


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One house for all tests that leave it as it was, but for its log."""
    with opening(small(tmp_path_factory.mktemp("steady")), create=True) as opened:
        yield furnished(create(opened))


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_chat_is_answered_with_its_sources(steady: TestClient) -> None:
    body = told(steady, CHAT, chat())
    conforms(steady, "ChatCompletion", body)
    answer = ChatCompletion.model_validate(body)
    message = answer.choices[0].message
    assert message.content is not None
    assert "hold hands" in message.content
    assert message.annotations
    cited = message.annotations[0].url_citation
    assert (cited.url, cited.title) == ("note:otters", "Otters")
    assert message.content[cited.start_index : cited.end_index].startswith("Sea otters hold hands")
    quote = body["rag"]["citations"][0]
    document = steady.get(f"/api/documents/{quote['places'][0]['document_id']}").json()
    assert document["text"][quote["quote_start"] : quote["quote_end"]] == quote["quote"]
    assert (quote["verdict"], body["rag"]["abstained"], body["rag"]["ignored"]) == ("supported", False, [])
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 20


def test_what_is_not_supported_is_no_source(app: App, api: TestClient) -> None:
    app.engines.generators["extractive"] = Inventive()  # type: ignore[assignment]
    body = told(api, CHAT, chat())
    said = body["choices"][0]["message"]
    spans = [(c["url_citation"]["start_index"], c["url_citation"]["end_index"]) for c in said["annotations"]]
    assert [said["content"][start:end] for start, end in spans] == ["Sea otters hold hands while they sleep [1]."]
    assert [c["verdict"] for c in body["rag"]["citations"]] == ["supported", "unsupported"]
    assert body["rag"]["removed"] == []
    strict = told(api, CHAT, chat(rag={"strict": True}))
    assert strict["choices"][0]["message"]["content"] == "Sea otters hold hands while they sleep [1]."
    assert strict["rag"]["removed"] == ["Penguins invented the steam engine."]
    conforms(api, "ChatCompletion", strict)


def test_a_stream_says_the_same_in_chunks(steady: TestClient) -> None:
    at_once = told(steady, CHAT, chat())
    said = chunks(steady, CHAT, chat())
    for chunk in said:
        ChatCompletionChunk.model_validate(chunk)
        assert (chunk["id"], chunk["model"], len(chunk["choices"])) == (said[0]["id"], "rag", 1)
        assert "usage" not in chunk
    deltas = [chunk["choices"][0]["delta"] for chunk in said]
    message = at_once["choices"][0]["message"]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == message["content"]
    assert deltas[-1] == {"annotations": message["annotations"]}
    assert [chunk["choices"][0]["finish_reason"] for chunk in said] == [None] * (len(said) - 1) + ["stop"]
    differs = {"interaction_id": said[0]["id"]}
    assert said[-1]["rag"] == at_once["rag"] | differs
    assert [line["interaction_id"] for line in log(steady)][:2] == [said[0]["id"], at_once["id"]]


def test_the_usage_of_a_stream_is_told_on_request(steady: TestClient) -> None:
    at_once = told(steady, CHAT, chat())
    said = chunks(steady, CHAT, chat(stream_options={"include_usage": True}))
    assert [chunk["usage"] for chunk in said[:-1]] == [None] * (len(said) - 1)
    assert (said[-1]["choices"], said[-1]["usage"]) == ([], at_once["usage"])
    ChatCompletionChunk.model_validate(said[-1])


def test_a_completion_answers_its_prompt(steady: TestClient) -> None:
    for prompt in (ASKED, [ASKED]):
        body = told(steady, "/v1/completions", {"model": "rag", "prompt": prompt})
        conforms(steady, "Completion", body)
        assert "hold hands" in Completion.model_validate(body).choices[0].text
        assert body["rag"]["citations"][0]["verdict"] == "supported"
    said = chunks(
        steady, "/v1/completions", {"model": "rag", "prompt": ASKED, "stream_options": {"include_usage": True}}
    )
    for chunk in said:
        Completion.model_validate({"usage": None, **chunk} | {"choices": []})
    spoken = [choice for chunk in said for choice in chunk["choices"]]
    assert "".join(choice["text"] for choice in spoken) == body["choices"][0]["text"]
    assert spoken[-1]["finish_reason"] == "stop"
    assert said[-1]["usage"] == body["usage"]


def test_what_the_documents_do_not_answer_is_said(steady: TestClient) -> None:
    body = told(steady, CHAT, chat("Who won the football match in Lisbon yesterday?"))
    choice = body["choices"][0]
    looked_for = "won, football, match, Lisbon, yesterday"
    assert choice["message"]["content"].startswith(f"{ABSTENTION}\n\nLooked for: {looked_for}.")
    assert choice["message"]["annotations"] == []
    assert (choice["finish_reason"], body["rag"]["abstained"]) == ("stop", True)
    assert body["rag"]["refusal"]["looked_for"] == looked_for.split(", ")
    assert body["rag"]["refusal"]["closest"]["uri"] == "note:otters"
    assert (body["rag"]["confidence"], body["rag"]["fallback"]) == (None, None)
    conforms(steady, "ChatCompletion", body)


def test_a_question_is_one_entry_of_the_log_with_its_settings(api: TestClient) -> None:
    response = api.post(
        CHAT,
        json=chat(
            temperature=1,
            top_p=0.5,
            seed=7,
            max_tokens=9,
            max_completion_tokens=3,
            stop=["kelp"],
            metadata={"conversation_id": "c1"},
            rag={"k": 2, "mode": "keyword"},
        ),
    )
    body = response.json()
    assert response.headers["x-request-id"] == body["id"] == body["rag"]["interaction_id"]
    assert body["choices"][0]["finish_reason"] == "length"
    (line,) = log(api)
    entry = api.get(f"/api/interactions/{line['interaction_id']}").json()
    assert (entry["interaction_id"], entry["question"], entry["conversation_id"]) == (body["id"], ASKED, "c1")
    wanted = {"temperature": 1, "top_p": 0.5, "seed": 7, "max_tokens": 3, "stop": ["kelp"], "k": 2, "mode": "keyword"}
    assert wanted.items() <= entry["settings"].items()


def test_an_answer_is_no_longer_than_the_house_allows(app: App, api: TestClient) -> None:
    body = told(api, CHAT, chat(max_tokens=2**30, stop="while"))
    entry = api.get(f"/api/interactions/{body['id']}").json()
    assert entry["settings"]["max_tokens"] == app.settings.max_answer_tokens
    assert body["choices"][0]["message"]["content"].endswith("hands ")


@pytest.mark.parametrize("stop", ["Sea", ["S", "kelp"]])
def test_a_stop_string_at_the_very_first_word_leaves_an_empty_answer(steady: TestClient, stop: object) -> None:
    body = told(steady, CHAT, chat(stop=stop, metadata={"conversation_id": "cut short"}))
    conforms(steady, "ChatCompletion", body)
    choice = body["choices"][0]
    assert (choice["message"]["content"], choice["message"]["annotations"], choice["finish_reason"]) == ("", [], "stop")
    assert (body["rag"]["abstained"], body["rag"]["citations"]) == (False, [])
    assert body["usage"]["completion_tokens"] == 0
    entry = steady.get(f"/api/interactions/{body['id']}").json()
    assert (entry["answer"], entry["error"], entry["finish_reason"]) == ("", None, "stop")
    assert "(empty)" in steady.get(f"/log/{body['id']}").text
    assert "(empty)" in steady.get("/log?conversation=cut+short").text
    assert "Empty: a stop string came first" in steady.get("/ask/cut short").text
    spoken = [chunk["choices"][0] for chunk in chunks(steady, CHAT, chat(stop=stop))]
    assert [choice["finish_reason"] for choice in spoken] == [None, "stop"]
    completed = told(steady, "/v1/completions", {"model": "rag", "prompt": ASKED, "stop": stop})
    assert (completed["choices"][0]["text"], completed["choices"][0]["finish_reason"]) == ("", "stop")


# ── models ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_collection_is_a_model(steady: TestClient) -> None:
    body = steady.get("/v1/models").json()
    conforms(steady, "ModelList", body)
    names = [Model.model_validate(card).id for card in body["data"]]
    assert names == ["rag", "rag:default", "rag:sea", "hashing:256"]
    for name, card in zip(names, body["data"], strict=True):
        assert steady.get(f"/v1/models/{name}").json() == card
    for model, question, text in (
        ("rag:default", ASKED, "Sea otters"),
        ("rag:sea", "How often a day does the tide rise?", "The tide"),
    ):
        answer = told(steady, CHAT, chat(question, model=model))
        assert answer["choices"][0]["message"]["content"].startswith(text)
        assert f"rag:{answer['rag']['collection']}" == answer["model"] == model


@pytest.mark.parametrize("model", ["gpt-4o", "rag:", "rag:nowhere", "ragged", "sea", "hashing:256", "rag:a/b"])
def test_a_model_that_is_not_there(steady: TestClient, model: str) -> None:
    response = steady.post(CHAT, json=chat(model=model))
    refused(response, 404, param="model", code="model_not_found")
    if model != "hashing:256":
        refused(steady.get(f"/v1/models/{model}"), 404, param="model", code="model_not_found")


def test_another_tenants_collections_are_no_models(app: App, whole: FastAPI, api: TestClient) -> None:
    with app.database.write() as connection:
        second = collection_store.ensure_tenant(connection, "second")
        token = tokens.create(connection, app.database, second, "eve")
    eve = client(whole, token=token)
    assert [card["id"] for card in eve.get("/v1/models").json()["data"]] == ["hashing:256"]
    response = eve.post(CHAT, json=chat(model="rag:sea"))
    assert "default" not in refused(response, 404, param="model", code="model_not_found")


def test_labels_hold_here_as_well(app: App, whole: FastAPI, api: TestClient) -> None:
    api.post("/api/documents", json={"text": "The secret word is xylophone.", "labels": ["board"]})
    member, stranger = (client(whole, token=make_token(app, name, [name])) for name in ("board", "press"))
    question = chat("What is the secret word?")
    assert "xylophone" in told(member, CHAT, question)["choices"][0]["message"]["content"]
    assert "xylophone" not in json.dumps(told(stranger, CHAT, question))


# ── embeddings ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_embeddings_are_the_embedders_own(app: App, api: TestClient) -> None:
    texts = ["sea otters", "the tide"]
    expected = app.embedder().embed_passages(texts)
    for model in ("hashing:256", "256"):
        body = told(api, "/v1/embeddings", {"model": model, "input": texts, "dimensions": 256})
        conforms(api, "Embeddings", body)
        read = CreateEmbeddingResponse.model_validate(body)
        assert np.array_equal(np.array([row.embedding for row in read.data], dtype=np.float32), expected)
        assert [row.index for row in read.data] == [0, 1]
        assert read.usage.prompt_tokens == sum(app.embedder().count_tokens(texts))
    packed = told(api, "/v1/embeddings", {"model": "256", "input": texts[0], "encoding_format": "base64"})
    conforms(api, "Embeddings", packed)
    raw = base64.b64decode(packed["data"][0]["embedding"])
    assert np.array_equal(np.frombuffer(raw, dtype="<f4"), expected[0])


@pytest.mark.parametrize(
    ("fields", "status", "param", "code"),
    [
        ({"model": "text-embedding-3-small"}, 404, "model", "model_not_found"),
        ({"model": "rag"}, 404, "model", "model_not_found"),
        ({"dimensions": 3}, 400, "dimensions", "invalid_value"),
        ({"input": ["fine", " "]}, 400, "input[1]", "invalid_value"),
        ({"input": ["word " * 300]}, 400, "input[0]", "context_length_exceeded"),
        ({"input": []}, 400, "input", "invalid_request"),
        ({"input": [[1, 2, 3]]}, 400, "input", "invalid_request"),
        ({"input": ["x"] * 2049}, 400, "input", "invalid_request"),
        ({"encoding_format": "hex"}, 400, "encoding_format", "invalid_request"),
    ],
)
def test_what_cannot_be_embedded(
    steady: TestClient, fields: Mapping[str, object], status: int, param: str, code: str
) -> None:
    refused(
        steady.post("/v1/embeddings", json={"model": "256", "input": "x", **fields}), status, param=param, code=code
    )
