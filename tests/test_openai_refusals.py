"""/v1 in-process: what is understood and what is refused, and errors in OpenAI's shape, whoever raises them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from rag.api.application import CONVERSATION_MB, MEBIBYTE, create
from rag.api.openai_asked import HARMLESS, question_of
from rag.api.openai_errors import Refused
from rag.api.openai_models import ChatMessage
from rag.app import App, opening
from rag.errors import GeneratorFailed
from rag.types import Message, Text
from tests.api import client, make_token, small
from tests.openai_house import ASKED, CHAT, chat, furnished, log, refused, told


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


# ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────────


def messages(*said: tuple[str, object]) -> list[ChatMessage]:
    return [ChatMessage.model_validate({"role": role, "content": content}) for role, content in said]


def test_the_last_users_message_is_the_question() -> None:
    parts = [{"type": "text", "text": "And"}, {"type": "text", "text": "now?"}]
    asked = question_of(
        messages(("system", "Be kind."), ("user", "Hello"), ("assistant", "Hi"), ("user", parts), ("developer", "x"))
    )
    assert asked.question == "And\nnow?"
    assert asked.earlier == (Message("user", "Hello"), Message("assistant", "Hi"))
    assert asked.passed_over == ("messages[0] (system)", "messages[4] (developer)")


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ([("system", "x")], "messages"),
        ([("user", " ")], "messages[0].content"),
        ([("user", None)], "messages[0].content"),
        ([("user", "a"), ("assistant", "An answer that")], "messages[1]"),
        ([("user", "a"), ("tool", "42"), ("user", "b")], "messages[1]"),
        ([("user", [{"type": "image_url", "image_url": {"url": "x"}}])], "messages[0].content[0]"),
        ([("user", [{"type": "text"}])], "messages[0].content[0]"),
    ],
)
def test_a_conversation_without_a_question_is_refused(said: list[tuple[str, object]], param: str) -> None:
    with pytest.raises(Refused) as error:
        question_of(messages(*said))
    assert error.value.param == param


REFUSED: dict[str, object] = {
    "n": 2,
    "best_of": 3,
    "tools": [{"type": "function", "function": {"name": "x"}}],
    "tool_choice": "required",
    "functions": [{"name": "x"}],
    "function_call": {"name": "x"},
    "logprobs": True,
    "top_logprobs": 5,
    "response_format": {"type": "json_object"},
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "mp3"},
    "logit_bias": {"50256": -100},
    "web_search_options": {},
    "moderation": {"model": "x"},
    "echo": True,
    "suffix": "!",
}


def test_what_would_change_the_answers_form_is_refused(steady: TestClient) -> None:
    assert REFUSED.keys() == HARMLESS.keys()
    for name, value in REFUSED.items():
        refused(steady.post(CHAT, json=chat(**{name: value})), 400, param=name, code="unsupported_parameter")
        for harmless in (None, *HARMLESS[name]):
            assert told(steady, CHAT, chat(**{name: harmless}))["rag"]["ignored"] == []


def test_what_changes_nothing_is_told(steady: TestClient) -> None:
    body = chat(user="ada", frequency_penalty=0.5, store=None, min_p=0.1, metadata={"team": "x"})
    earlier = [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}]
    body["messages"] = [*earlier, {"role": "user", "content": ASKED}]
    assert told(steady, CHAT, body)["rag"]["ignored"] == [
        "frequency_penalty",
        "min_p",
        "user",
        "metadata.team",
        "messages[0] (system)",
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"model": 3}, "model"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"seed": -1}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"rag": {"k": 0}}, "rag.k"),
        ({"rag": {"colour": "red"}}, "rag.colour"),
        ({"rag": {"question": "x"}}, "rag.question"),
        ({"rag": {"filter": {"nothing": 1}}}, None),
        ({"metadata": {"conversation_id": 7}}, "rag.conversation_id"),
    ],
)
def test_what_does_not_fit_is_400_and_names_the_field(
    steady: TestClient, fields: Mapping[str, object], param: str | None
) -> None:
    refused(steady.post(CHAT, json=chat(**fields)), 400, param=param)


def test_only_the_houses_own_generator_may_be_named(steady: TestClient) -> None:
    refused(steady.post(CHAT, json=chat(rag={"generator": "transformers:/etc"})), 403)


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


LONE = b'{"model": "rag", "messages": [{"role": "user", "content": "\\ud800"}]}'
BROKEN = {
    "nothing": b"",
    "no JSON": b'{"model": ',
    "a list": b"[]",
    "not UTF-8": b'{"model": "\xff"}',
    "NaN": b'{"model": "rag", "messages": [], "temperature": NaN}',
    "infinity": b'{"model": "rag", "messages": [], "temperature": 1e999}',
    "a lone surrogate": LONE,
    "NUL": LONE.replace(b"ud800", b"u0000"),
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_bodies_are_400(steady: TestClient, path: str, name: str) -> None:
    refused(steady.post(path, content=BROKEN[name], headers={"content-type": "application/json"}), 400)


def test_errors_from_outside_of_the_routes_have_the_shape_too(app: App, whole: FastAPI, api: TestClient) -> None:
    refused(api.get("/v1/nothing"), 404)
    refused(api.get(CHAT), 405)
    refused(api.post(CHAT, json=chat(), headers={"host": "evil.example.org"}), 421)
    refused(api.post(CHAT, json=chat("x" * (app.settings.max_question_chars + 1))), 413)
    refused(api.post(CHAT, content=b" " * (CONVERSATION_MB * MEBIBYTE + 1)), 413)
    make_token(app)
    response = client(whole).post(CHAT, json=chat())
    refused(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.headers["x-content-type-options"] == "nosniff"


def test_elsewhere_errors_stay_problems(steady: TestClient) -> None:
    response = steady.post("/api/ask", json={"question": ""})
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")


def test_a_fault_of_ours_is_500_and_asked_once(
    whole: FastAPI, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.api.routes.v1.opened", lambda *_: 1 / 0)
    response = api.post(CHAT, json=chat())
    assert "unexpected" in refused(response, 500)
    assert response.headers["x-should-retry"] == "false"


class Broken:
    """Says so much, then fails."""

    name, revision, context_tokens = "broken", "", 4096

    def __init__(self, *said: str) -> None:
        self.said = said

    def count_tokens(self, _: object) -> int:
        return 1

    def generate(self, *_: object) -> Iterator[Text]:
        yield from map(Text, self.said)
        raise GeneratorFailed("the model server is down")


def test_a_generator_that_fails_is_502_or_ends_the_stream(app: App, api: TestClient) -> None:
    app.engines.generators["extractive"] = Broken("Sea otters")  # type: ignore[assignment]
    assert refused(api.post(CHAT, json=chat()), 502, code="generator_failed") == "the model server is down"
    said = api.post(CHAT, json=chat(stream=True)).text.strip().split("\n\n")
    assert json.loads(said[-2].removeprefix("data: "))["choices"][0]["delta"] == {"content": "Sea otters"}
    error = json.loads(said[-1].removeprefix("data: "))["error"]
    assert (error["message"], error["type"]) == ("the model server is down", "server_error")
    assert [line["error"] for line in log(api)] == ["the model server is down"] * 2


def test_a_key_that_is_no_token_says_nothing_until_there_is_a_token(app: App, whole: FastAPI, api: TestClient) -> None:
    """OpenAI's clients always send one. A word that could be a token of ours is looked up nevertheless."""
    assert client(whole, token="none").get("/v1/models").status_code == 200
    assert client(whole, token="none", peer="192.168.1.7").get("/v1/models").status_code == 403
    refused(client(whole, token="rag_unknown").get("/v1/models"), 401)
    make_token(app)
    refused(client(whole, token="none").get("/v1/models"), 401)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["model", "messages", "prompt", "input", "stream", "stop", "temperature", "max_tokens", "metadata", "rag", "n"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from([CHAT, "/v1/completions", "/v1/embeddings"]), body=st.data())
def test_no_request_is_answered_with_5xx_or_without_the_shape(
    steady: TestClient, path: str, body: st.DataObject
) -> None:
    """Requests that fit but for a few fields, which are anything."""
    fits: dict[str, object] = chat() | {"prompt": ASKED, "input": "x"}
    if path.endswith("embeddings"):
        fits["model"] = "256"
    changed = body.draw(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=2))
    sent = json.dumps(fits | changed).encode()
    response = steady.post(path, content=sent, headers={"content-type": "application/json"})
    if response.status_code != 200:
        assert 400 <= response.status_code < 500, response.text
        refused(response, response.status_code)
