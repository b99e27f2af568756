"""Conversations over HTTP: begun, gone on with, branched, asked again, listed, and nobody else's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from rag.api.application import create
from rag.app import App, opening
from rag.client import Client
from rag.errors import NotFound
from rag.store import collections as collection_store
from rag.store import tokens
from tests.api import OTTERS, TIDES, client, make_token, small
from tests.test_api import conforms
from tests.test_client import InProcess


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opening(small(tmp_path), create=True) as opened:
        yield opened


@pytest.fixture
def ada(app: App) -> TestClient:
    api = client(create(app), token=make_token(app, "ada"))
    for text, title in ((OTTERS, "Otters"), (TIDES, "Tides")):
        assert (
            api.post("/api/documents", json={"text": text, "title": title, "uri": f"note:{title}"}).status_code == 201
        )
    return api


def ask(api: TestClient, question: str | None = None, **fields: object) -> dict[str, Any]:
    body = fields if question is None else {"question": question, **fields}
    response = api.post("/api/ask", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_a_conversation_is_a_tree(ada: TestClient) -> None:
    first = ask(ada, "What do sea otters hold while they sleep?", conversation="new")
    name = first["conversation_id"]
    assert (first["turn"], first["kind"], first["parent_id"]) == (1, "first", None)
    second = ask(ada, "Why do they wrap themselves in kelp?", conversation_id=name)
    branch = ask(ada, "And the tide?", conversation_id=name, parent=first["interaction_id"])
    again = ask(ada, regenerate=second["interaction_id"], seed=5)
    root = ask(ada, "How often does the tide rise?", conversation_id=name, parent="root")
    conforms(ada, "AskResult", again)
    assert (again["question"], again["kind"]) == (second["question"], "regeneration")
    assert again["regenerates_id"] == second["interaction_id"]
    whole = ada.get(f"/api/conversations/{name}").json()
    conforms(ada, "ConversationWhole", whole)
    told = [(t["turn"], t["kind"], t["children"]) for t in whole["turns"]]
    below = [each["interaction_id"] for each in (second, branch, again)]
    assert told == [
        (1, "first", below),
        (2, "continuation", []),
        (3, "branch", []),
        (4, "regeneration", []),
        (5, "branch", []),
    ]
    assert whole["roots"] == [first["interaction_id"], root["interaction_id"]]
    line = ada.get(f"/api/interactions/{branch['interaction_id']}").json()
    conforms(ada, "InteractionWhole", line)
    assert line["search_query"] == branch["search_query"] != "And the tide?"
    assert line["settings"]["rewritten_by"] == "rules"
    assert [line["conversation_id"], line["parent_id"]] == [name, first["interaction_id"]]


def test_lists_are_paged(ada: TestClient) -> None:
    names = [ask(ada, "How often does the tide rise?", conversation="new")["conversation_id"] for _ in range(3)]
    page = ada.get("/api/conversations?limit=2").json()
    conforms(ada, "Conversations", page)
    rest = ada.get(f"/api/conversations?limit=2&cursor={page['next']}").json()
    assert rest["next"] is None
    found = [each["conversation_id"] for each in (*page["conversations"], *rest["conversations"])]
    assert sorted(found) == sorted(names)
    assert page["conversations"][0]["turns"] == 1
    assert ada.get("/api/conversations?cursor=unknown").status_code == 404


def test_nobody_elses_conversation_is_found(app: App, ada: TestClient) -> None:
    entry = ask(ada, "How often does the tide rise?", conversation_id="tides")
    with app.database.write() as connection:
        second = collection_store.ensure_tenant(connection, "second")
        foreign = tokens.create(connection, app.database, second, "ada")
    for token in (make_token(app, "bob"), foreign):
        other = client(create(app), token=token)
        assert other.post("/api/documents", json={"text": OTTERS, "uri": "note:o"}).status_code in (200, 201)
        assert other.get("/api/conversations").json() == {"conversations": [], "next": None}
        assert other.get("/api/conversations/tides").status_code == 404
        for body in (
            {"question": "Why?", "conversation_id": "tides"},
            {"question": "Why?", "parent": entry["interaction_id"]},
            {"regenerate": entry["interaction_id"]},
        ):
            for accept in ("application/json", "text/event-stream"):
                response = other.post("/api/ask", json=body, headers={"accept": accept})
                assert response.status_code == 404, response.text
                assert "tide rise" not in response.text
    assert len(ada.get("/api/conversations/tides").json()["turns"]) == 1


def test_what_cannot_be_meant_is_refused(ada: TestClient) -> None:
    some = "0" * 26
    for body in (
        {},
        {"question": "Why?", "regenerate": some},
        {"question": "Why?", "conversation": "old"},
        {"question": "Why?", "conversation": "new", "conversation_id": "mine"},
        {"question": "Why?", "conversation": "new", "parent": some},
        {"question": "Why?", "parent": "x"},
        {"question": "Why?", "parent": "root"},
        {"regenerate": "x"},
    ):
        response = ada.post("/api/ask", json=body)
        assert response.status_code in (400, 422), response.text
        assert response.json()["type"].startswith("urn:problem-type:rag:")


def test_messages_of_openais_clients_are_history(ada: TestClient) -> None:
    said = [
        {"role": "user", "content": "What do sea otters hold while they sleep?"},
        {"role": "assistant", "content": "Hands."},
        {"role": "user", "content": "Why?"},
    ]

    def completed(**fields: object) -> dict[str, Any]:
        response = ada.post("/v1/chat/completions", json={"model": "rag", **fields})
        assert response.status_code == 200, response.text
        entry = ada.get(f"/api/interactions/{response.json()['rag']['interaction_id']}").json()
        assert response.json()["rag"]["ignored"] == []
        return dict(entry)

    alone = completed(messages=said)
    assert alone["search_query"] == "Why? (sea otters hold sleep)"
    assert alone["conversation_id"] is None
    assert "Hands." in alone["prompt"]["messages"][-1]["content"]
    first = completed(messages=said[:1], metadata={"conversation_id": "chat-7"})
    second = completed(messages=said[2:], metadata={"conversation_id": "chat-7"})
    assert (second["parent_id"], second["search_query"]) == (first["interaction_id"], "Why? (sea otters hold sleep)")


def test_the_client_converses(app: App, ada: TestClient) -> None:
    with Client("http://127.0.0.1:8000", token=make_token(app, "cleo"), transport=InProcess(app)) as rag:
        first = rag.ask("What do sea otters hold while they sleep?", conversation="new")
        assert first.conversation_id is not None
        second = rag.ask("And the tide?", conversation_id=first.conversation_id, parent=first.interaction_id)
        again = rag.regenerate(second.interaction_id, seed=3)
        assert again.regenerates_id == second.interaction_id
        assert [each.conversation_id for each in rag.conversations(page=1)] == [first.conversation_id]
        assert [turn.kind for turn in rag.conversation(first.conversation_id).turns] == [
            "first",
            "continuation",
            "regeneration",
        ]
        with pytest.raises(NotFound):
            rag.conversation("nobody's")
