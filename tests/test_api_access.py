"""Who is let in: every route with no token, a wrong, a right and a revoked one; hosts, origins, addresses."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from rag.api.application import create
from rag.api.guard import is_loopback
from rag.api.serve import announcement, check_exposure, environment, listen
from rag.app import App, opening
from rag.config import Settings, load
from rag.errors import WrongUsage
from rag.store import collections as collection_store
from rag.store import tokens
from tests.api import OTTERS, client, make_token, revoke, small


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opening(small(tmp_path), create=True) as opened:
        yield opened


def routes(api: FastAPI) -> list[tuple[str, str]]:
    """Every route of the OpenAPI document but health, and some that are not in it."""
    places = {"document_id": 1, "job_id": 1, "decision_id": 1, "name": "x", "run": "x", "interaction_id": "0" * 26}
    places["model"] = "rag"
    places |= {"item_id": 1, "review_id": 1, "tag": "x"}
    places |= {"experiment": "x"}
    places["conversation_id"] = "x"
    found = [
        (method.upper(), path.format(**places))
        for path, methods in api.openapi()["paths"].items()
        for method in methods
        if path != "/api/health"
    ]
    assert len(found) >= 12
    return [
        *found,
        ("GET", "/api/unknown"),
        ("PUT", "/api/search"),
        ("POST", "/api/health"),
        ("GET", "/metrics/"),
        ("POST", "/mcp"),
    ]


def test_the_access_matrix(app: App) -> None:
    """Every route × token. Refused is 401 and nothing else; let in is anything but 401 and 403."""
    api = create(app)
    right, gone = make_token(app, "right"), make_token(app, "gone")
    revoke(app, "gone")
    for method, path in routes(api):
        for name, token in (("no", None), ("wrong", "rag_wrong"), ("revoked", gone)):
            response = client(api, token=token).request(method, path, json={})
            assert response.status_code == 401, f"{method} {path} with {name} token: {response.status_code}"
            assert response.headers["www-authenticate"].startswith("Bearer")
            said = response.json()
            if path.startswith("/v1/"):
                assert said["error"]["type"] == "authentication_error"
            else:
                assert said["type"] == "urn:problem-type:rag:not-authenticated"
        response = client(api, token=right, peer="203.0.113.9").request(method, path, json={})
        assert response.status_code not in (401, 403), f"{method} {path} with the right token: {response.text}"


def test_health_needs_no_token_from_anywhere(app: App) -> None:
    make_token(app)
    assert client(create(app), peer="203.0.113.9").get("/api/health").json() == {"status": "ok"}


def test_the_documentation_is_open_on_loopback_only(app: App) -> None:
    token = make_token(app)
    api = create(app)
    for path in ("/", "/docs", "/openapi.json"):
        assert client(api).get(path).status_code in (200, 307)
        assert client(api, peer="203.0.113.9").get(path).status_code == 401
        assert client(api, token=token, peer="203.0.113.9").get(path).status_code in (200, 307)


def test_without_a_token_only_this_machine_is_answered(app: App) -> None:
    api = create(app)
    for peer, status in (("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("192.168.1.7", 403)):
        assert client(api, peer=peer).get("/api/collections").status_code == status, peer


def test_a_server_that_listens_to_others_never_opens_without_a_token(app: App) -> None:
    app.settings = small(app.settings.data.parent, host="0.0.0.0")
    token = make_token(app)
    api = create(app)
    assert client(api, token=token).get("/api/collections").status_code == 200
    revoke(app, "ada")
    assert client(api).get("/api/collections").status_code == 403
    assert client(api, token=token).get("/api/collections").status_code == 401


def test_a_revoked_token_is_refused_from_the_next_request_on(app: App) -> None:
    api, token = create(app), make_token(app)
    make_token(app, "other")
    opened = client(api, token=token)
    assert opened.get("/api/collections").status_code == 200
    revoke(app, "ada")
    assert opened.get("/api/collections").status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Bearer \u00e9"])
def test_an_authorization_header_of_another_form_is_refused(app: App, header: str) -> None:
    make_token(app)
    response = client(create(app)).get("/api/collections", headers={"authorization": header.encode("latin-1")})  # type: ignore[dict-item]
    assert response.status_code == 401


def test_the_logged_user_and_owner_are_the_tokens(app: App) -> None:
    api = client(create(app), token=make_token(app, "grace"))
    api.post("/api/documents", json={"text": OTTERS, "uri": "note:1"})
    assert api.get("/api/documents").json()["documents"][0]["owner"] == "grace"
    key = api.post("/api/ask", json={"question": "Who sleeps?"}).json()["interaction_id"]
    assert api.get(f"/api/interactions/{key}").json()["user"] == "grace"


def test_another_tenants_things_are_not_there(app: App) -> None:
    """A token of a second tenant finds nothing of the first, and writes its own."""
    with app.database.write() as connection:
        second = collection_store.ensure_tenant(connection, "second")
        token = tokens.create(connection, app.database, second, "eve")
    api = create(app)
    first = client(api, token=make_token(app))
    document = first.post("/api/documents", json={"text": OTTERS, "uri": "note:1"}).json()["document_ids"][0]
    interaction = first.post("/api/ask", json={"question": "Who sleeps?"}).json()["interaction_id"]
    eve = client(api, token=token)
    assert eve.get("/api/collections").json() == {"collections": []}
    assert eve.post("/api/search", json={"query": "otters"}).status_code == 404
    assert eve.get(f"/api/documents/{document}").status_code == 404
    assert eve.delete(f"/api/documents/{document}").status_code == 404
    assert eve.get(f"/api/interactions/{interaction}").status_code == 404
    assert eve.get("/api/interactions").json()["interactions"] == []
    assert "default" not in eve.get("/metrics").text
    eve.post("/api/documents", json={"text": "Nothing but rain.", "uri": "note:1"})
    assert [hit["text"] for hit in eve.post("/api/search", json={"query": "otters rain"}).json()["hits"]] == [
        "Nothing but rain."
    ]
    assert first.get(f"/api/documents/{document}").status_code == 200


# ── hosts and origins ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("127.9.9.9", 200),
        ("localhost", 200),
        ("LOCALHOST.:80", 200),
        ("[::1]:8000", 200),
        ("rag.example.org:8000", 200),
        ("Rag.Example.Org", 200),
        ("evil.example.org", 421),
        ("localhost.evil.example.org", 421),
        ("evil.example.org:8000@127.0.0.1", 400),
        ("127.0.0.1:port", 400),
        ("", 400),
    ],
)
def test_the_host_must_be_ours(tmp_path: Path, host: str, status: int) -> None:
    settings = small(tmp_path, allowed_hosts=("rag.example.org",))
    with opening(settings, create=True) as app:
        response = client(create(app)).get("/api/collections", headers={"host": host})
        assert response.status_code == status, response.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"origin": "http://127.0.0.1:8000"}, 404),
        ({"sec-fetch-site": "same-origin"}, 404),
        ({"sec-fetch-site": "none"}, 404),
        ({"origin": "http://evil.example.org"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8000"}, 403),
    ],
)
def test_another_site_cannot_change_anything(app: App, headers: dict[str, str], status: int) -> None:
    api = client(create(app))
    assert api.delete("/api/documents/1", headers=headers).status_code == status
    assert api.get("/api/collections", headers=headers).status_code == 200


def test_there_is_no_cors(app: App) -> None:
    headers = {"origin": "http://evil.example.org", "access-control-request-method": "POST"}
    response = client(create(app)).options("/api/search", headers=headers)
    assert response.status_code == 405
    assert not any(name.startswith("access-control") for name in response.headers)


# ── where a server may listen ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_which_addresses_are_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    settings = Settings(host=host)
    check_exposure(settings, guarded=True)
    if loopback:
        check_exposure(settings, guarded=False)
    else:
        with pytest.raises(WrongUsage, match="rag token create"):
            check_exposure(settings, guarded=False)


def test_the_server_says_when_it_is_open(tmp_path: Path) -> None:
    settings = small(tmp_path, workers=2)
    assert list(announcement(settings, 8123, guarded=True)) == [
        "listening on http://127.0.0.1:8123 with 2 workers (web pages: /, documentation: /docs); Ctrl-C ends it"
    ]
    assert "open to this machine only" in list(announcement(settings, 8123, guarded=False))[1]


def test_workers_get_exactly_these_settings(tmp_path: Path) -> None:
    """Also where a file says otherwise: what flags decided must not be decided again in a worker."""
    settings = small(tmp_path, allowed_hosts=("a.example", "b.example"), alpha=0.25, workers=3, openai_timeout_s=1.5)
    (tmp_path / "rag.toml").write_text('generator = "auto"\nk = 3\n'.replace("k = 3\n", "passages = 3\n"))
    assert load(environment=environment(settings), folder=tmp_path).settings == settings


def test_a_listening_socket_names_its_protocol() -> None:
    """Otherwise asyncio leaves Nagle's algorithm on, and every response waits 40 ms for an acknowledgement."""
    with listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP


def test_an_address_that_cannot_be_had_is_wrong_usage() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WrongUsage, match=str(port)):
            listen("127.0.0.1", port)
    with pytest.raises(WrongUsage, match="no address"):
        listen("no such host", 0)
