"""The routes in-process: their shapes, their one error shape, pages, filters and streams."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from starlette.testclient import TestClient

from rag.api.application import create
from rag.api.models import MAX_K
from rag.api.streams import wants_events
from rag.app import App, opening
from rag.search import MAX_K as SEARCH_MAX_K
from rag.types import Principal
from tests.api import OTTERS, TIDES, client, make_token, small

GOLDEN = Path(__file__).parent / "golden"

HIT = {"rank", "chunk_id", "document_id", "external_id", "uri", "title", "text", "start", "end", "score", "parts"}
SEARCH = {"query", "mode", "hits", "timings_ms"}
ASK = {
    "interaction_id",
    "question",
    "answer",
    "abstained",
    "generator",
    "citations",
    "passages",
    "scores",
    "model",
    "usage",
    "timings_ms",
}
CITATION = {"start", "end", "passage", "uri", "places", "quote", "quote_start", "quote_end", "support", "verdict"}
REPORT = {
    "added",
    "updated",
    "unchanged",
    "duplicate",
    "skipped",
    "failed",
    "documents",
    "chunks",
    "embedded",
    "seconds",
    "failures",
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opening(small(tmp_path), create=True) as opened:
        yield opened


@pytest.fixture
def api(app: App) -> Iterator[TestClient]:
    with client(create(app)) as opened:
        yield opened


def add(api: TestClient, text: str, **fields: object) -> dict[str, Any]:
    response = api.post("/api/documents", json={"text": text, **fields})
    assert response.status_code in (200, 201), response.text
    return dict(response.json())


@pytest.fixture
def filled(api: TestClient) -> TestClient:
    add(api, OTTERS, title="Otters", uri="note:otters", external_id="o1", metadata={"year": 2020, "kind": "animal"})
    add(api, TIDES, title="Tides", uri="note:tides", metadata={"year": 2024, "kind": "sea"})
    return api


def conforms(api: TestClient, name: str, value: object) -> None:
    """The value is what the OpenAPI document says, and holds no field that it does not name."""
    document = api.get("/openapi.json").json()
    schema = {"$ref": f"#/components/schemas/{name}", "components": closed(document["components"])}
    jsonschema_rs.validate(schema, value)


def closed(value: Any) -> Any:
    """The schemas with every object shut to fields that it does not name."""
    if isinstance(value, dict):
        shut = {key: closed(part) for key, part in value.items()}
        if "properties" in shut and shut.get("type") == "object":
            shut["additionalProperties"] = False
        return shut
    return [closed(part) for part in value] if isinstance(value, list) else value


# ── documents ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_text_can_be_found_when_its_post_is_answered(api: TestClient) -> None:
    response = api.post("/api/documents", json={"text": OTTERS, "title": "Otters", "uri": "note:otters"})
    assert response.status_code == 201
    report = response.json()
    conforms(api, "IngestResult", report)
    assert set(report) >= REPORT
    assert (report["added"], report["documents"], report["failures"]) == (1, 1, [])
    hit = api.post("/api/search", json={"query": "otters in kelp"}).json()["hits"][0]
    assert (hit["uri"], hit["title"], hit["document_id"]) == ("note:otters", "Otters", report["document_ids"][0])
    assert "kelp" in hit["text"]


def test_the_same_text_again_is_unchanged_and_embeds_nothing(api: TestClient) -> None:
    add(api, OTTERS, uri="note:otters")
    response = api.post("/api/documents", json={"text": OTTERS, "uri": "note:otters"})
    assert response.status_code == 200
    assert (response.json()["unchanged"], response.json()["embedded"]) == (1, 0)


def test_a_text_under_a_known_uri_replaces_it(api: TestClient) -> None:
    add(api, OTTERS, uri="note:1")
    assert add(api, TIDES, uri="note:1")["updated"] == 1
    found = api.post("/api/search", json={"query": "otters moon", "mode": "keyword"}).json()["hits"]
    assert {hit["text"] for hit in found} == {TIDES}


def test_files_are_uploaded_together_and_a_broken_one_is_reported(api: TestClient) -> None:
    response = api.post(
        "/api/documents",
        files=[
            ("file", ("otters.txt", OTTERS.encode(), "text/plain")),
            ("file", ("tides.md", b"# Tides\n\n" + TIDES.encode(), "text/markdown")),
            ("file", ("broken.pdf", b"%PDF-1.7 nothing more", "application/pdf")),
        ],
        data={"metadata": '{"batch": 7}'},
    )
    assert response.status_code == 201
    report = response.json()
    conforms(api, "IngestResult", report)
    assert (report["added"], report["failed"], len(report["document_ids"])) == (2, 1, 2)
    assert "broken.pdf" in report["failures"][0]["uri"]
    listed = api.get("/api/documents").json()["documents"]
    assert [document["metadata"]["batch"] for document in listed] == [7, 7]
    assert {document["title"] for document in listed} == {"otters.txt", "Tides"}


def test_an_upload_of_which_nothing_could_be_read_is_a_problem_with_its_report(api: TestClient) -> None:
    response = api.post("/api/documents", files=[("file", ("empty.txt", b"", "text/plain"))])
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["report"]["failed"] == 1


@pytest.mark.parametrize(
    ("files", "data", "status"),
    [
        (None, {"metadata": "{}"}, 415),  # a plain form
        ([("file", ("a.txt", b"text", "text/plain"))], {"metadata": "[1]"}, 400),
        ([("file", ("a.txt", b"text", "text/plain"))], {"metadata": '{"x": NaN}'}, 400),
        ([("file", ("a.txt", b"text", "text/plain"))], {"colection": "typo"}, 400),
        ([("other", ("a.txt", b"text", "text/plain"))], {}, 400),
    ],
)
def test_a_form_that_does_not_fit_is_refused(api: TestClient, files: Any, data: Any, status: int) -> None:
    response = api.post("/api/documents", files=files, data=data)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_documents_come_in_pages_and_pass_a_filter(filled: TestClient) -> None:
    for number in range(3):
        add(filled, f"Page number {number} of a longer list.", uri=f"page:{number}")
    seen, cursor = [], None
    while True:
        page = filled.get("/api/documents", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        conforms(filled, "Documents", page)
        seen += [document["uri"] for document in page["documents"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ["note:otters", "note:tides", "page:0", "page:1", "page:2"]
    found = filled.get("/api/documents", params={"filter": json.dumps({"year": {"$gte": 2024}})}).json()
    assert [document["uri"] for document in found["documents"]] == ["note:tides"]


def test_one_document_has_its_text_and_chunks(filled: TestClient) -> None:
    key = filled.get("/api/documents").json()["documents"][0]["document_id"]
    document = filled.get(f"/api/documents/{key}").json()
    conforms(filled, "DocumentWhole", document)
    assert document["external_id"] == "o1"
    assert document["metadata"] == {"year": 2020, "kind": "animal", "language": "en"}
    assert "kelp" in document["text"]
    covered = {document["text"][chunk["start"] : chunk["end"]] for chunk in document["chunks"]}
    assert any("kelp" in text for text in covered)


def test_a_deleted_document_is_gone_from_the_next_request_on(filled: TestClient) -> None:
    key = filled.get("/api/documents").json()["documents"][0]["document_id"]
    assert filled.delete(f"/api/documents/{key}").status_code == 204
    assert filled.get(f"/api/documents/{key}").status_code == 404
    assert filled.delete(f"/api/documents/{key}").status_code == 404
    hits = filled.post("/api/search", json={"query": "otters kelp sleep"}).json()["hits"]
    assert all("kelp" not in hit["text"] for hit in hits)


# ── search and ask ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword"])
def test_search_gives_the_documented_fields(filled: TestClient, mode: str) -> None:
    found = filled.post("/api/search", json={"query": "otters sleep", "k": 1, "mode": mode}).json()
    conforms(filled, "SearchResult", found)
    assert set(found) >= SEARCH
    assert set(found["hits"][0]) >= HIT
    assert [hit["rank"] for hit in found["hits"]] == [1]
    assert found["hits"][0]["external_id"] == "o1"


def test_a_filter_narrows_a_search(filled: TestClient) -> None:
    found = filled.post("/api/search", json={"query": "otters", "filter": {"kind": "sea"}}).json()["hits"]
    assert [hit["uri"] for hit in found] == ["note:tides"]


def test_an_answer_is_cited_scored_and_logged(filled: TestClient) -> None:
    response = filled.post("/api/ask", json={"question": "What do sea otters do while they sleep?"})
    assert response.status_code == 200
    answer = response.json()
    conforms(filled, "AskResult", answer)
    assert set(answer) >= ASK
    assert "hold hands" in answer["answer"]
    assert answer["abstained"] is False
    assert answer["generator"].startswith("extractive")
    cited = answer["citations"][0]
    assert set(cited) >= CITATION
    assert cited["uri"] == "note:otters"
    key = answer["passages"][cited["passage"] - 1]["document_id"]
    text = filled.get(f"/api/documents/{key}").json()["text"]
    assert text[cited["quote_start"] : cited["quote_end"]] == cited["quote"] != ""
    logged = filled.get(f"/api/interactions/{answer['interaction_id']}").json()
    conforms(filled, "InteractionWhole", logged)
    for field in ("answer", "citations", "passages", "scores", "model", "usage"):
        assert logged[field] == answer[field], field
    assert logged["user"] == "local"
    assert "What do sea otters do" in logged["prompt"]["messages"][-1]["content"]


def test_the_answer_comes_as_events_when_they_are_asked_for(filled: TestClient) -> None:
    response = filled.post(
        "/api/ask", json={"question": "What do sea otters hold?"}, headers={"accept": "text/event-stream"}
    )
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    told = sse(response.text)
    names = [name for name, _ in told]
    assert names[0] == "started"
    assert names[-1] == "done"
    assert set(names[1:-1]) == {"text"}
    done = told[-1][1]
    conforms(filled, "AskResult", done)
    assert "".join(data["text"] for name, data in told if name == "text") == done["answer"]
    assert told[0][1]["interaction_id"] == done["interaction_id"]
    assert told[0][1]["passages"] == done["passages"]


def sse(text: str) -> list[tuple[str, Any]]:
    events = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        events.append((fields["event"], json.loads(fields["data"])))
    return events


def test_what_fails_before_the_first_event_is_a_problem_with_its_own_status(filled: TestClient) -> None:
    response = filled.post(
        "/api/ask",
        json={"question": "What?", "collection": "nowhere"},
        headers={"accept": "text/event-stream"},
    )
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("accept", "events"),
    [
        ("text/event-stream", True),
        ("*/*", False),
        ("", False),
        ("application/json", False),
        ("text/event-stream;q=0", False),
        ("application/json, text/event-stream;q=0.5", False),
        ("Text/Event-Stream , application/json;q=0.9", True),
        ("text/event-stream;q=much", False),
    ],
)
def test_accept_chooses_between_events_and_json(accept: str, events: bool) -> None:
    assert wants_events(accept) is events


def test_a_request_cannot_choose_a_model_by_path_or_url(filled: TestClient) -> None:
    for name in ("transformers:/etc", "openai:http://127.0.0.1:1#x"):
        response = filled.post("/api/ask", json={"question": "Who?", "generator": name})
        assert response.status_code == 403, response.text


def test_an_empty_installation_is_ready_and_answers_404(api: TestClient) -> None:
    assert api.get("/api/ready").json()["ready"] is True
    assert api.get("/api/collections").json() == {"collections": []}
    assert api.post("/api/search", json={"query": "anything"}).status_code == 404


def test_ready_answers_a_query(filled: TestClient) -> None:
    ready = filled.get("/api/ready")
    assert ready.status_code == 200
    conforms(filled, "Readiness", ready.json())
    assert [check["ok"] for check in ready.json()["checks"]] == [True, True]


def test_collections_are_counted(filled: TestClient) -> None:
    found = filled.get("/api/collections").json()
    conforms(filled, "Collections", found)
    assert [(c["name"], c["documents"], c["embedder"]) for c in found["collections"]] == [("default", 2, "hashing:256")]


# ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_log_is_filtered_and_comes_in_pages(filled: TestClient) -> None:
    ids = [
        filled.post("/api/ask", json={"question": question, "conversation_id": "c1"}).json()["interaction_id"]
        for question in ("Who holds hands?", "What pulls the water?", "Do sea otters sleep?")
    ]
    whole = filled.get("/api/interactions").json()
    conforms(filled, "Interactions", whole)
    assert [line["interaction_id"] for line in whole["interactions"]] == ids[::-1]
    seen, cursor = [], None
    while True:
        page = filled.get("/api/interactions", params={"limit": 1} | ({"cursor": cursor} if cursor else {})).json()
        seen += [line["interaction_id"] for line in page["interactions"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ids[::-1]

    def found(**conditions: object) -> list[str]:
        response = filled.get("/api/interactions", params=conditions)  # type: ignore[arg-type]
        assert response.status_code == 200, response.text
        return [line["interaction_id"] for line in response.json()["interactions"]]

    assert found(text="PULLS") == [ids[1]]
    assert found(conversation="c1", user="local", model=whole["interactions"][0]["model"]) == ids[::-1]
    assert found(conversation="c2") == []
    assert found(until="2020-01-01T00:00:00") == []
    assert found(since="2020-01-01T00:00:00+02:00") == ids[::-1]
    assert found(failed=True) == []
    name = next(name for name, value in whole["interactions"][0]["scores"].items() if value is not None)
    assert ids[2] in found(score=name, score_min=0)
    assert found(score=name, score_min=1e9) == []


def test_feedback_is_kept_with_the_interaction(filled: TestClient) -> None:
    key = filled.post("/api/ask", json={"question": "Who holds hands?"}).json()["interaction_id"]
    said = filled.post(f"/api/interactions/{key}/feedback", json={"rating": 1, "comment": "good"})
    assert said.status_code == 201
    kept = filled.get(f"/api/interactions/{key}").json()["feedback"]
    assert [(f["feedback_id"], f["user"], f["rating"], f["comment"]) for f in kept] == [
        (said.json()["feedback_id"], "local", 1, "good")
    ]
    assert filled.post(f"/api/interactions/{key}/feedback", json={}).status_code == 400
    assert filled.post(f"/api/interactions/{key}/feedback", json={"rating": 2}).status_code == 422
    missing = "0" * 26
    assert filled.post(f"/api/interactions/{missing}/feedback", json={"rating": 1}).status_code == 404


def test_a_failed_answer_is_a_problem_and_is_in_the_log(app: App, filled: TestClient) -> None:
    class Broken:
        name, revision, context_tokens = "broken", "", 4096

        def count_tokens(self, messages: object) -> int:
            return 1

        def generate(self, *_: object) -> Iterator[object]:
            from rag.errors import GeneratorFailed

            raise GeneratorFailed("the model server is down")
            yield

    app.engines.generators["extractive"] = Broken()  # type: ignore[assignment]
    response = filled.post("/api/ask", json={"question": "Who holds hands?"})
    assert response.status_code == 502
    assert response.json()["detail"] == "the model server is down"
    stream = {"accept": "text/event-stream"}
    told = sse(filled.post("/api/ask", json={"question": "Who holds hands?"}, headers=stream).text)
    assert [name for name, _ in told] == ["started", "error"]
    assert told[1][1]["status"] == 502
    logged = filled.get("/api/interactions", params={"failed": True}).json()["interactions"]
    assert [line["error"] for line in logged] == ["the model server is down"] * 2


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


BAD_BODIES = {
    "no JSON": b'{"query": ',
    "NaN": b'{"query": "x", "filter": {"a": NaN}}',
    "Infinity": b'{"query": "x", "k": Infinity}',
    "an infinite float": b'{"query": "x", "filter": {"a": 1e999}}',
    "a lone surrogate": rb'{"query": "\ud800"}',
    "a name that stands twice": rb'{"query": "x", "filter": {"year": {"$gte": 2020}, "year": {"$lt": 2022}}}',
    "a lone surrogate in a key": rb'{"query": "x", "filter": {"\udfff": 1}}',
    "NUL": rb'{"query": "a\u0000b"}',
    "bytes that are no UTF-8": b'{"query": "\xff"}',
    "deep nesting": b"[" * 100_000,
    "an endless number": b'{"query": "x", "k": 1' + b"0" * 5000 + b"}",
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_malformed_json_is_refused(filled: TestClient, name: str) -> None:
    for path in ("/api/search", "/api/ask", "/api/documents"):
        response = filled.post(path, content=BAD_BODIES[name], headers={"content-type": "application/json"})
        assert response.status_code == 400, (path, response.text)
        assert response.headers["content-type"] == "application/problem+json"


def test_an_escaped_backslash_before_u0000_is_no_nul(filled: TestClient) -> None:
    body = rb'{"query": "otters \\u0000"}'
    assert filled.post("/api/search", content=body, headers={"content-type": "application/json"}).status_code == 200


@pytest.mark.parametrize("address", ["/api/interactions?text=%00", "/api/documents/1%00", "/api/%00"])
def test_a_nul_in_the_address_is_refused(filled: TestClient, address: str) -> None:
    assert filled.get(address).status_code == 400


def test_the_error_shape(filled: TestClient) -> None:
    """Golden: what a program sees when it does something wrong. GOLDEN=write writes it anew."""
    json_headers = {"content-type": "application/json"}
    asked = {
        "unknown route": filled.get("/api/nothing"),
        "wrong method": filled.put("/api/search"),
        "unknown document": filled.get("/api/documents/999"),
        "id that is no number": filled.get("/api/documents/one"),
        "unknown interaction": filled.get(f"/api/interactions/{'0' * 26}"),
        "unknown collection": filled.post("/api/search", json={"query": "x", "collection": "nowhere"}),
        "missing field": filled.post("/api/search", json={}),
        "unknown field": filled.post("/api/search", json={"query": "x", "top_k": 3}),
        "blank query": filled.post("/api/search", json={"query": " "}),
        "k out of bounds": filled.post("/api/search", json={"query": "x", "k": MAX_K + 1}),
        "wrong filter": filled.post("/api/search", json={"query": "x", "filter": {"a": {"$near": 1}}}),
        "long question": filled.post("/api/ask", json={"question": "why " * 3000}),
        "no JSON": filled.post("/api/ask", content=b"why", headers=json_headers),
        "wrong media type": filled.post("/api/documents", content=b"why", headers={"content-type": "text/plain"}),
        "cursor that is none": filled.get("/api/interactions", params={"cursor": "two"}),
    }
    for name, response in asked.items():
        assert response.headers["content-type"] == "application/problem+json", name
        assert response.json()["status"] == response.status_code, name
    golden("problem.json", {name: response.json() for name, response in asked.items()})


def golden(name: str, value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    file = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), (
        f"{name} changed; if it should have: GOLDEN=write pytest {__file__}"
    )


def test_the_openapi_document(api: TestClient) -> None:
    """Golden: fields may be added, never changed or removed. GOLDEN=write writes it anew."""
    golden("openapi.json", api.get("/openapi.json").json())


def test_an_unexpected_error_tells_nothing_but_an_id(
    app: App, api: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> Principal:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(App, "opened", fails)
    response = api.post("/api/search", json={"query": "x"})
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "hunter2" not in response.text
    reference = response.json()["instance"].rsplit(":", 1)[1]
    assert reference in caplog.text
    assert "hunter2" in caplog.text


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_body_over_the_limit_is_refused_while_it_streams_in(app: App, api: TestClient) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'{"query": "'
        while sent < 64 * 2**20:
            sent += 2**16
            yield b"x" * 2**16

    response = api.post("/api/search", content=endless(), headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert response.json()["type"] == "urn:problem-type:rag:too-much"
    large = str(app.settings.max_upload_mb * 2**20 + 1)
    response = api.post("/api/documents", content=b"", headers={"content-length": large})
    assert response.status_code == 413


def test_a_body_whose_length_is_no_number_is_refused(api: TestClient) -> None:
    assert api.post("/api/search", content=b"", headers={"content-length": "-5"}).status_code == 400


def test_the_largest_k_of_requests_is_the_searchs_own() -> None:
    assert MAX_K == SEARCH_MAX_K


def test_metrics_count_requests_and_questions(filled: TestClient) -> None:
    filled.post("/api/ask", json={"question": "Who holds hands?"})
    filled.get("/api/documents/1")
    filled.get("/nothing/here")
    response = filled.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    lines = set(response.text.splitlines())
    assert 'rag_http_requests_total{method="GET",route="/api/documents/{document_id}",status="200"} 1.0' in lines
    assert 'rag_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in lines
    assert any(line.startswith('rag_asks_total{generator="extractive') and line.endswith(" 1.0") for line in lines)
    assert 'rag_documents{collection="default"} 2.0' in lines
    assert any(line.startswith('rag_http_request_seconds_bucket{le="0.005",method="POST"') for line in lines)


def test_every_response_bears_the_security_headers(filled: TestClient) -> None:
    for response in (filled.get("/docs"), filled.get("/api/health"), filled.get("/nothing"), filled.get("/")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "access-control-allow-origin" not in response.headers


def test_the_reference_is_a_page_that_loads_nothing(api: TestClient) -> None:
    page = api.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "POST /api/ask" in page.text
    assert "src=" not in page.text
    assert api.get("/").headers["location"] == "/ask"


def test_docs_api_md_is_the_reference_of_this_api(api: TestClient) -> None:
    from rag.api.reference import markdown

    file = Path(__file__).parents[1] / "docs" / "api.md"
    text = markdown(api.get("/openapi.json").json())
    if os.environ.get("GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text, f"docs/api.md is out of date: GOLDEN=write pytest {__file__}"


def test_a_token_bound_to_labels_sees_only_its_own_interactions(app: App, filled: TestClient) -> None:
    everyone, bound = make_token(app, "all"), make_token(app, "bound", ["public"])
    api = create(app)
    theirs = client(api, token=everyone).post("/api/ask", json={"question": "Who holds hands?"}).json()
    own = client(api, token=bound).post("/api/ask", json={"question": "Who sleeps?"}).json()
    seen = client(api, token=bound).get("/api/interactions").json()["interactions"]
    assert [line["interaction_id"] for line in seen] == [own["interaction_id"]]
    assert client(api, token=bound).get("/api/interactions?user=all").json()["interactions"] == []
    assert client(api, token=bound).get(f"/api/interactions/{theirs['interaction_id']}").status_code == 404
    path = f"/api/interactions/{theirs['interaction_id']}/feedback"
    assert client(api, token=bound).post(path, json={"rating": 1}).status_code == 404
    assert client(api, token=everyone).get(f"/api/interactions/{own['interaction_id']}").json()["user"] == "bound"


def test_one_name_twice_in_an_upload_is_reported(api: TestClient) -> None:
    files = [("file", ("a.txt", text.encode(), "text/plain")) for text in (OTTERS, TIDES)]
    report = api.post("/api/documents", files=files).json()
    assert (report["added"], report["failed"], report["documents"]) == (1, 1, 1)
    assert "twice" in report["failures"][0]["reason"]


def test_nobody_replaces_anothers_upload_of_the_same_name(app: App) -> None:
    ada, bob = make_token(app, "ada"), make_token(app, "bob")
    api = create(app)
    for token, text in ((ada, OTTERS), (bob, TIDES)):
        files = [("file", ("notes.txt", text.encode(), "text/plain"))]
        assert client(api, token=token).post("/api/documents", files=files).json()["added"] == 1
    listed = client(api, token=ada).get("/api/documents").json()["documents"]
    assert [(d["uri"], d["title"]) for d in listed] == [
        ("upload:ada/notes.txt", "notes.txt"),
        ("upload:bob/notes.txt", "notes.txt"),
    ]


def test_a_text_without_a_uri_stands_under_its_id_or_its_words(api: TestClient) -> None:
    assert add(api, OTTERS)["added"] == 1
    assert add(api, OTTERS)["unchanged"] == 1
    assert add(api, TIDES, external_id="t/1")["added"] == 1
    assert add(api, TIDES + " Always.", external_id="t/1")["updated"] == 1
    assert add(api, TIDES + " Always.", external_id="t/1", title="Tides")["updated"] == 1
    last = api.get("/api/documents").json()["documents"][-1]
    assert (last["uri"], last["external_id"], last["title"]) == ("text:local/t%2F1", "t/1", "Tides")


def test_markdown_is_understood_when_it_is_said_to_be_that(api: TestClient) -> None:
    add(api, "# Sea\n\n## Otters\n\n" + OTTERS, uri="note:1", media_type="text/markdown")
    hit = api.post("/api/search", json={"query": "kelp"}).json()["hits"][0]
    assert (hit["title"], hit["headings"][-1:]) == ("Sea", ["Otters"])


def test_a_token_bound_to_labels_cannot_replace_anothers_document(app: App) -> None:
    everyone, bound = make_token(app, "all"), make_token(app, "bound", ["public"])
    api = create(app)
    add(client(api, token=everyone), OTTERS, uri="note:1")
    refused = client(api, token=bound).post("/api/documents", json={"text": TIDES, "uri": "note:1"})
    assert refused.status_code == 403
    add(client(api, token=bound), TIDES, uri="note:2")
    assert add(client(api, token=bound), TIDES + " Yes.", uri="note:2")["updated"] == 1
    assert add(client(api, token=everyone), TIDES, uri="note:2")["updated"] == 1
