"""What the tests of /v1 share: a furnished house, requests, and how answers and errors are read."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.api import OTTERS, TIDES, client

ASKED = "What do sea otters do while they sleep?"
CHAT = "/v1/chat/completions"


def furnished(whole: FastAPI) -> TestClient:
    """Otters in the settings' own collection, and tides in another."""
    opened = client(whole)
    for text, title, collection in ((OTTERS, "Otters", "default"), (TIDES, "Tides", "sea")):
        body = {"text": text, "title": title, "uri": f"note:{title.lower()}", "collection": collection}
        assert opened.post("/api/documents", json=body).status_code == 201
    return opened


def chat(question: str = ASKED, **fields: object) -> dict[str, object]:
    return {"model": "rag", "messages": [{"role": "user", "content": question}], **fields}


def told(api: TestClient, path: str, body: object) -> dict[str, Any]:
    response = api.post(path, json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


def chunks(api: TestClient, path: str, body: Mapping[str, object]) -> list[dict[str, Any]]:
    """What a stream says, its [DONE] left out."""
    response = api.post(path, json={**body, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    said = [json.loads(event.removeprefix("data: ")) for event in events]
    assert response.headers["x-request-id"] == said[0]["id"]
    return said


def log(api: TestClient) -> list[dict[str, Any]]:
    return list(api.get("/api/interactions").json()["interactions"])


def refused(response: Any, status: int, **expected: str | None) -> str:
    """The words of an error, which has OpenAI's shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == str(len(response.content))
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    kinds = {401: "authentication_error", 403: "permission_error"}
    assert body["error"]["type"] == kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    assert expected.items() <= body["error"].items(), body
    return str(body["error"]["message"])
