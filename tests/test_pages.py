"""The web pages without a browser: headers, assets, forms, who may see what, errors in the API's words."""

import base64
import re
from collections.abc import Iterator
from hashlib import sha256
from html import unescape
from pathlib import Path

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from rag.api.application import EVERYTHING, create
from rag.api.guard import COOKIE
from rag.api.pages import cut, rendering, shown, static
from rag.api.pages import documents as documents_page
from rag.api.pages import log as log_page
from rag.api.pages.ask import branch
from rag.app import App, opening
from rag.errors import NotFound
from rag.store.database import now
from rag.store.documents import StoredChunk
from rag.store.log.conversations import ROOT, Node
from tests.api import HERE, OTTERS, TIDES, client, make_token, revoke, small
from tests.contracts.test_scorers import interaction, passage
from tests.test_interactions import interaction as logged

ORIGIN = {"origin": HERE}
HTML = {"accept": "text/html"}
CHOSEN_BY = "multipart/form-data; boundary=x"
UNCHOSEN = (
    b'--x\r\ncontent-disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--x--\r\n'  # as a browser sends it
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, FastAPI]]:
    """Two documents, a conversation of one turn; nothing here changes them."""
    with opening(small(tmp_path_factory.mktemp("pages")), create=True) as app:
        api = create(app)
        http = client(api)
        http.post(
            "/api/documents", json={"text": OTTERS, "uri": "note:1", "title": "Otters", "metadata": {"sea": True}}
        )
        http.post("/api/documents", json={"text": TIDES, "uri": "note:2", "title": "Tides"})
        http.post("/api/ask", json={"question": "How do otters sleep?", "conversation": "new"})
        yield app, api


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    with opening(small(tmp_path_factory.mktemp("empty")), create=True) as app:
        yield create(app)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opening(small(tmp_path), create=True) as opened:
        yield opened


NAMING = ("/login", "/compare/pair", "/evaluation/compare", "/evaluation/compare/figures")  # nothing without a query


def addresses() -> list[str]:
    """Every page that is asked for by GET and names nothing, in its path or behind it."""
    found = {
        route.path
        for resource in EVERYTHING
        if resource.__name__.startswith("rag.api.pages.")
        for route in resource.router.routes
        if "GET" in route.methods and "{" not in route.path and route.path not in NAMING
    }
    assert {"/ask", "/documents", "/documents/jobs"} <= found
    return sorted(found)


@pytest.mark.parametrize("address", addresses())
def test_every_page_stands_under_the_policy(filled: tuple[App, FastAPI], address: str) -> None:
    response = client(filled[1]).get(address, headers=HTML)
    assert response.status_code == 200, response.text
    assert response.headers["content-security-policy"] == rendering.POLICY
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "same-origin"
    assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)|\sstyle=|\son[a-z]+=|hx-on|javascript:", response.text)
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", response.text), "nothing is loaded from elsewhere"


def test_every_page_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    with opening(small(tmp_path, database=postgres_url), create=True) as app:
        http = client(create(app))
        http.post("/api/documents", json={"text": OTTERS, "uri": "note:1"})
        asked = http.post("/api/ask", json={"question": "How do otters sleep?", "conversation": "new"}).json()
        known = ["/documents/1", "/documents/1/citing", "/documents?q=note", "/documents?removed=true"]
        known += [f"/ask/{asked['conversation_id']}", f"/log/{asked['interaction_id']}"]
        for address in [*addresses(), *known]:
            assert http.get(address, headers=HTML).status_code == 200, address


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    rules = dict(rule.split(" ", 1) for rule in rendering.POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == rules["form-action"] == "'self'"
    assert rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in rendering.POLICY


def test_the_way_in_is_the_page_ask(filled: tuple[App, FastAPI]) -> None:
    assert client(filled[1]).get("/").headers["location"] == "/ask"
    assert client(filled[1]).get("/docs").status_code == 200


# ── what pages load ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_assets_have_their_digest_in_the_address_and_are_kept(filled: tuple[App, FastAPI]) -> None:
    http = client(filled[1])
    for name in ("app.css", "app.js", "ask.js", "htmx.min.js", "icon.svg"):
        response = http.get(static.address(name))
        assert response.status_code == 200
        assert response.headers["cache-control"] == static.FOR_EVER
        assert response.content == (static.FOLDER / name).read_bytes()
    for other in ("/static/0000000000000000/app.css", "/static/x/htmx.LICENSE", "/static/x/..%2Frendering.py"):
        assert http.get(other).status_code == 404


def test_what_is_not_ours_says_its_licence() -> None:
    assert "htmx 2." in (static.FOLDER / "htmx.VERSION").read_text()
    assert (static.FOLDER / "htmx.LICENSE").read_text().startswith("Zero-Clause BSD")


def test_scripts_build_no_html_from_text() -> None:
    for script in static.FOLDER.glob("*.js"):
        if script.name != "htmx.min.js":
            assert not re.search(
                r"innerHTML|outerHTML\s*=|insertAdjacentHTML|document\.write|eval\(", script.read_text()
            )


def test_templates_never_mark_text_as_safe() -> None:
    for template in (Path(rendering.__file__).parent / "templates").glob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape false|<script(?![^>]*src=)|\sstyle=", template.read_text()), (
            template
        )


# ── who asks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_browser_logs_in_with_a_token_and_out_again(app: App) -> None:
    token = make_token(app)
    http = client(create(app))
    sent = http.get("/documents?q=a", headers=HTML)
    assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=%2Fdocuments%3Fq%3Da")
    assert http.get(sent.headers["location"]).status_code == 200
    refused = http.post("/login", data={"token": "rag_wrong"}, headers=ORIGIN)
    assert refused.status_code == 401
    assert "unknown" in refused.text
    assert "set-cookie" not in refused.headers
    entered = http.post("/login", data={"token": token, "next": "/documents?q=a"}, headers=ORIGIN)
    assert (entered.status_code, entered.headers["location"]) == (303, "/documents?q=a")
    kept = entered.headers["set-cookie"].lower()
    assert "httponly" in kept
    assert "samesite=strict" in kept
    assert "secure" not in kept
    assert http.get("/documents", headers=HTML).status_code == 200
    assert http.get("/api/collections").status_code == 200, "what pages fetch is let in as well"
    assert "ada" in http.get("/documents").text
    left = http.post("/logout", headers=ORIGIN)
    assert left.headers["location"] == "/login"
    assert http.get("/documents", headers=HTML).status_code == 303


def test_the_cookie_is_for_https_only_where_there_is_https(app: App) -> None:
    token = make_token(app)
    http = client(create(app), url="https://127.0.0.1:8000")
    entered = http.post("/login", data={"token": token}, headers={"origin": "https://127.0.0.1:8000"})
    assert "secure" in entered.headers["set-cookie"].lower()


def test_a_revoked_token_is_shown_to_the_door(app: App) -> None:
    token = make_token(app)
    make_token(app, "other")
    http = client(create(app))
    http.cookies.set(COOKIE, token)
    assert http.get("/documents", headers=HTML).status_code == 200
    revoke(app, "ada")
    assert http.get("/documents", headers=HTML).status_code == 303
    part = http.get("/ask/conversations", headers={"hx-request": "true", "hx-current-url": f"{HERE}/ask?q=x"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login?next=%2Fask%3Fq%3Dx")
    assert http.get("/api/collections").status_code == 401


def test_a_cookie_changes_nothing_for_another_site(app: App) -> None:
    """SameSite keeps the cookie at home; the guard refuses besides what another origin, or none, asks for with it."""
    token = make_token(app)
    http = client(create(app))
    http.cookies.set(COOKIE, token)
    body = {"text": OTTERS, "uri": "note:1"}
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}, {}):
        assert http.post("/api/documents", json=body, headers=headers).status_code == 403, headers
        assert http.post("/logout", headers=headers or {"origin": "null"}).status_code == 403
    assert http.post("/api/documents", json=body, headers=ORIGIN).status_code == 201
    assert http.post("/api/documents", json=body, headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_nobody_is_led_elsewhere_by_a_login(app: App) -> None:
    token = make_token(app)
    http = client(create(app))
    for onward in (
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "javascript:x",
        "/login?next=/x",
        "/a\nb",
    ):
        entered = http.post("/login", data={"token": token, "next": onward}, headers=ORIGIN)
        assert entered.headers["location"] == "/ask", onward


def test_where_there_are_no_tokens_nobody_logs_in(app: App) -> None:
    http = client(create(app))
    assert http.get("/login").headers["location"] == "/ask"
    http.cookies.set(COOKIE, "rag_of_yesterday")
    assert http.get("/documents").status_code == 200


def test_a_token_with_labels_sees_its_own_on_pages_too(app: App) -> None:
    all_seeing, bound = make_token(app, "all"), make_token(app, "bound", labels=["sea"])
    api = create(app)
    whole = client(api, token=all_seeing)
    whole.post("/api/documents", json={"text": OTTERS, "uri": "note:1", "labels": ["sea"]})
    secret = whole.post("/api/documents", json={"text": TIDES, "uri": "note:2", "labels": ["moon"]}).json()
    key = whole.post("/api/ask", json={"question": "When do tides rise?", "conversation": "new"}).json()
    http = client(api)
    http.cookies.set(COOKIE, bound)
    listed = http.get("/documents").text
    assert "note:1" in listed
    assert "note:2" not in listed
    document = secret["document_ids"][0]
    for address in (
        f"/documents/{document}",
        f"/documents/{document}/citing",
        f"/ask/{key['conversation_id']}",
        f"/ask/turns/{key['interaction_id']}",
    ):
        assert http.get(address).status_code == 404, address
    whole.delete(f"/api/documents/{document}")
    assert http.get(f"/documents/{document}").status_code == 404
    assert client(api, token=all_seeing).get(f"/documents/{document}").status_code == 200


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/documents/9999", 404, "no document 9999"),
        ("/documents?collection=none", 404, "none"),
        ("/documents?filter=%7B%22a%22%3A%7B%22%24x%22%3A1%7D%7D", 422, "$x"),
        ("/documents?before=x", 422, "query.before"),
        ("/ask/none", 404, "none"),
        ("/documents/jobs/77", 404, "no job 77"),
    ],
)
def test_a_problem_is_a_page_in_the_same_words(
    filled: tuple[App, FastAPI], address: str, status: int, words: str
) -> None:
    http = client(filled[1])
    page, part = http.get(address, headers=HTML), http.get(address, headers={"hx-request": "true"})
    for response in (page, part):
        assert response.status_code == status
        assert words in response.text
    assert "<html" in page.text
    assert "<html" not in part.text


def test_what_is_not_there_is_a_page_for_browsers_alone(filled: tuple[App, FastAPI]) -> None:
    http = client(filled[1])
    assert "there is no /nothing" in http.get("/nothing", headers=HTML).text
    assert http.get("/nothing", headers=HTML).headers["content-type"].startswith("text/html")
    assert http.get("/nothing").json()["status"] == 404
    wrong = http.delete("/ask", headers=HTML | ORIGIN)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")


def test_what_is_refused_before_any_route_is_a_page_for_browsers_alone(filled: tuple[App, FastAPI]) -> None:
    """Under a name that is not ours nothing can be loaded: that page brings its style, which its policy names."""
    other = client(filled[1], url="http://evil.example.org")
    alone = other.get("/documents", headers=HTML)
    assert (alone.status_code, alone.headers["content-type"]) == (421, "text/html; charset=utf-8")
    assert "this server is not evil.example.org" in alone.text
    assert not re.search(r"src=|href=", alone.text)
    (style,) = re.findall("<style>(.*)</style>", alone.text)
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in alone.headers["content-security-policy"]
    assert other.get("/documents").json()["status"] == 421
    http, much = client(filled[1]), b"x" * 2**21
    came = HTML | ORIGIN | {"referer": f"{HERE}/documents?q=a"}
    page = http.post("/ask", headers=came, content=much)
    assert (page.status_code, page.headers["content-security-policy"]) == (413, rendering.POLICY)
    assert 'href="/documents?q=a"' in page.text
    part = http.post("/ask", headers=ORIGIN | {"hx-request": "true"}, content=much)
    assert (part.status_code, "<html" in part.text, "larger than" in part.text) == (413, False, True)
    assert http.post("/api/ask", headers=ORIGIN, content=much).json()["title"] == "Too much"
    elsewhere = http.post("/ask", headers=HTML | ORIGIN | {"referer": "http://evil.example.org/x"}, content=much)
    assert "evil" not in elsewhere.text


@pytest.mark.parametrize("address", addresses())
def test_an_installation_without_anything_has_its_pages(empty: FastAPI, address: str) -> None:
    response = client(empty).get(address, headers=HTML)
    assert response.status_code == 200, response.text


def test_a_fault_of_ours_is_told_by_its_number_only(
    filled: tuple[App, FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("rag.store.finding.found", broken)
    response = client(filled[1]).get("/documents")
    assert response.status_code == 500
    assert "the server's log has it under" in response.text.replace("&#39;", "'")
    assert "secret" not in response.text


def test_forms_take_no_nul(filled: tuple[App, FastAPI]) -> None:
    response = client(filled[1]).post("/ask", data={"question": "a\x00b"}, headers=ORIGIN)
    assert response.status_code == 400
    assert "NUL" in response.text


# ── the pages themselves ────────────────────────────────────────────────────────────────────────────────────────────


def test_asking_without_scripts(app: App) -> None:
    http = client(create(app))
    http.post("/api/documents", json={"text": OTTERS, "uri": "note:1"})
    sent = http.post("/ask", data={"question": "How do sea otters sleep?"}, headers=ORIGIN)
    assert sent.status_code == 303
    shown_page = http.get(sent.headers["location"].partition("#")[0])
    assert "hold hands" in shown_page.text
    assert re.search(r'class="cite" href="/documents/1\?at=\d+-\d+#at"', shown_page.text)
    key = sent.headers["location"].rpartition("-")[2]
    http.post(f"/ask/turns/{key}/feedback", data={"rating": "-1", "comment": "wet"}, headers=ORIGIN)
    feedback = http.get(f"/api/interactions/{key}").json()["feedback"]
    assert [(said["rating"], said["comment"]) for said in feedback] == [(-1, "wet")]
    assert "Thank you" in http.get("/documents").text, "what was said after a form is shown once, wherever one goes"
    assert "Thank you" not in http.get("/documents").text


def test_uploads_removals_and_restorations(app: App) -> None:
    http = client(create(app))
    files = [("file", ("a.txt", OTTERS)), ("file", ("b.txt", TIDES))]
    form = {"label": "sea, moon", "metadata": '{"year": 2024}', "collection": ""}
    sent = http.post("/documents/upload", files=files, data=form, headers=ORIGIN)
    assert sent.headers["location"] == "/documents/jobs/1"
    assert "queued" in http.get("/documents/jobs/1").text
    nothing = http.post("/documents/upload", content=UNCHOSEN, headers=ORIGIN | {"content-type": CHOSEN_BY})
    assert nothing.status_code == 400
    assert "no file" in nothing.text
    http.post("/api/documents", json={"text": OTTERS, "uri": "note:1"})
    assert "Remove it" in http.get("/documents/1").text
    http.post("/documents/1/remove", headers=ORIGIN)
    gone = http.get("/documents/1").text
    assert "Restore it" in gone
    assert "hold hands" in gone
    back = http.post("/documents/1/restore", headers=ORIGIN)
    assert back.headers["location"] == "/documents/2"
    assert http.post("/documents/1/restore", headers=ORIGIN).status_code == 409


def test_earlier_versions_are_reached_and_say_so(app: App) -> None:
    http = client(create(app))
    for text in (OTTERS, TIDES, f"{TIDES} Twice."):
        http.post("/api/documents", json={"text": text, "uri": "note:1"})
    first = http.get("/documents/1").text
    assert "earlier version" in first
    assert "hold hands" in first
    history = http.get("/api/documents/1/history").json()
    assert [each["document_id"] for each in history["versions"]] == [3, 2, 1]
    assert [each["removed_at"] is None for each in history["versions"]] == [True, False, False]


def test_what_cites_a_document_is_told(filled: tuple[App, FastAPI]) -> None:
    http = client(filled[1])
    told = http.get("/api/documents/1/citing").json()
    assert [(row["question"], row["cited"]) for row in told["interactions"]] == [("How do otters sleep?", True)]
    assert "How do otters sleep?" in http.get("/documents/1/citing").text


def test_documents_are_found_by_words_and_label_in_both_orders(app: App) -> None:
    http = client(create(app))
    for number, title in enumerate(("Sea otters", "Otter_100%", "Tides"), 1):
        body = {
            "text": f"{TIDES} {number}",
            "uri": f"note:{number}",
            "title": title,
            "labels": ["sea"] if number == 1 else [],
        }
        http.post("/api/documents", json=body)

    def found(**asked: object) -> list[int]:
        return [each["document_id"] for each in http.get("/api/documents", params=asked).json()["documents"]]  # type: ignore[arg-type]

    assert found() == [1, 2, 3]
    assert found(order="newest") == [3, 2, 1]
    assert found(order="newest", cursor=3) == [2, 1]
    assert found(text="OTTER") == [1, 2]
    assert found(text="sea otter") == [1]
    assert found(text="100%") == found(text="_") == [2], "what LIKE reads as a wildcard is a character"
    assert found(text="note:3") == [3]
    assert found(label="sea") == [1]
    assert 'value="100%"' in http.get("/documents?q=100%25").text


def test_lists_are_walked_forward_and_back_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (documents_page, log_page):
        monkeypatch.setattr(module, "LISTED", 2)
    http = client(create(app))
    for number in range(5):
        http.post("/api/documents", json={"text": f"{TIDES} {number}", "uri": f"note:{number}"})
        http.post("/api/ask", json={"question": f"How often do tides rise? {number}"})

    def leads(text: str) -> dict[str, str]:
        return {rel: unescape(href) for href, rel in re.findall(r'href="([^"]*)" rel="(first|prev|next)"', text)}

    for begin, row in (("/documents", r"/documents/(\d+)\""), ("/log", r'class="question" href="/log/(\w+)"')):
        address: str | None = begin
        walked = []
        while address is not None:
            text = http.get(address).text
            walked.append((re.findall(rf"data-row.*?{row}", text, re.DOTALL), address))
            address = leads(text).get("next")
        assert [len(rows) for rows, _ in walked] == [2, 2, 1], begin
        assert leads(http.get(begin).text).keys() == {"next"}
        back = leads(http.get(walked[2][1]).text)
        assert back["first"] == begin
        middle = http.get(back["prev"]).text
        assert re.findall(rf"data-row.*?{row}", middle, re.DOTALL) == walked[1][0]
        assert leads(middle)["next"] == walked[2][1]
        assert http.get(leads(middle)["prev"]).headers["location"] == begin, "the newest page is the first"


# ── pure parts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def node(key: str, parent: str | None, turn: int, regenerates: str | None = None) -> Node:
    return Node(key, turn, "first", parent, regenerates, now(), "c", key, key, key, False, "stop", None, "m")


def test_a_branch_goes_through_a_turn_and_on_to_the_newest() -> None:
    nodes = [node("A", None, 1), node("B", "A", 2), node("C", "B", 3), node("D", "A", 4), node("E", "B", 5, "C")]

    def ids(*asked: str | None) -> str:
        return "".join(each.id for each in branch(nodes, *asked))

    assert ids() == "ABE"
    assert ids("D") == "AD"
    assert ids("C") == "ABC"
    assert ids("B") == "ABE"
    assert ids(None, "B") == "AB"
    assert ids(None, ROOT) == ""
    with pytest.raises(NotFound):
        branch(nodes, "X")


TEXT = st.text(alphabet="ab \n", max_size=300)


@given(TEXT, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=12), st.integers(0, 300), st.data())
def test_a_view_shows_the_text_whole_whatever_the_chunks(
    text: str, spans: list[tuple[int, int]], start: int, data: st.DataObject
) -> None:
    """Stretches put together are the text from `start` to `end`; the marked ones are what was marked."""
    inside = sorted({(min(a, b), max(a, b)) for a, b in spans if max(a, b) <= len(text) and a != b})
    chunks = [StoredChunk(i, i, a, b, (), None) for i, (a, b) in enumerate(inside)]
    mark = None
    if len(text) > 1 and data.draw(st.booleans()):
        low = data.draw(st.integers(0, len(text) - 1))
        mark = (low, data.draw(st.integers(low + 1, len(text))))
    seen = cut.view(text, chunks, start, mark)
    assert "".join(stretch.text for stretch in seen.stretches) == text[seen.start : seen.end]
    if mark:
        assert "".join(stretch.text for stretch in seen.stretches if stretch.marked) == text[slice(*mark)]
    assert seen.behind is None or seen.behind == seen.end > seen.start


def test_a_long_text_comes_in_parts_that_lead_to_each_other() -> None:
    text = "word " * 20_000
    chunks = [StoredChunk(i, i, i * 500, (i + 1) * 500, (), None) for i in range(200)]
    start, parts, rounds = 0, "", 0
    while True:
        seen = cut.view(text, chunks, start)
        parts += "".join(stretch.text for stretch in seen.stretches)
        rounds += 1
        if seen.behind is None:
            break
        assert seen.before is None or seen.before < seen.start
        start = seen.behind
    assert parts == text
    assert rounds > 3
    marked = cut.view(text, chunks, 0, (60_000, 60_010))
    assert marked.start < 60_000 < 60_010 <= marked.end
    assert marked.end - marked.start < 2 * cut.WINDOW


def test_an_answer_is_cut_into_its_sentences_without_losing_a_letter() -> None:
    from rag.types import Answer, Citation, Usage

    one = logged_entry()
    text = "Anna wrote it [1]. It rained [1][7]; so she left."
    citations = (
        Citation(0, 18, 1, 0, 14, "Anna wrote it.", 1.0, "supported", True),
        Citation(19, 49, 1, None, None, "", 0.1, "unsupported", True),
        Citation(19, 49, 1, 0, 4, "Anna", 0.4, "partly", False),
    )
    entry = one(answer=Answer(text, citations, False, "extractive", "stop", Usage(None, None)))
    found = shown.segments(entry)
    checked = shown.sentences(found)
    assert [sentence.verdict for sentence in checked] == ["supported", "partly"]
    assert shown.tally(checked) == {"supported": 1, "partly": 1}
    links = [part.href for segment in found for part in segment.parts if part.href]
    assert links == ["/documents/1?at=0-14#at", "/documents/1?at=0-4#at"]
    words = "".join(part.text for segment in found for part in segment.parts if not part.href)
    assert words == "Anna wrote it. It rained[7]; so she left."


def logged_entry() -> "object":
    from rag.store.collections import Collection

    collection = Collection(1, 1, "default", 1, "hashing", "f", 8, {}, 1, now())
    return lambda **changes: logged(collection, **changes)


@pytest.mark.parametrize(
    ("uri", "href"),
    [
        ("https://example.org/a", "https://example.org/a"),
        ("http://example.org", "http://example.org"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("file:///etc/passwd", None),
        ("https:", None),
        ("http://[", None),
        ("note:1", None),
    ],
)
def test_only_web_addresses_are_followed(uri: str, href: str | None) -> None:
    assert rendering.web(uri) == href


def test_numbers_are_said_as_people_say_them() -> None:
    assert rendering.number(1234567) == "1\u202f234\u202f567"
    assert [rendering.duration(ms) for ms in (8.44, 850, 1234, 200_000, None)] == [
        "8.4\u202fms",
        "850\u202fms",
        "1.2\u202fs",
        "3\u202fmin 20\u202fs",
        "–",
    ]
    assert [rendering.size(count) for count in (12, 3400, 2_500_000)] == ["12\u202fB", "3.4\u202fkB", "2.5\u202fMB"]
    assert rendering.score(None) == "–", "what does not apply is not zero"
    assert rendering.percent(0.424) == "42\u202f%"
    assert rendering.query({"a": "b c", "d": None, "e": "", "f": ["1", "2"]}) == "?a=b+c&f=1&f=2"
    assert rendering.time("2026-01-02T03:04:05Z") == (
        '<time datetime="2026-01-02T03:04:05.000+00:00">2026-01-02 03:04 UTC</time>'
    )


def test_a_number_that_a_document_has_of_its_own_is_no_link() -> None:
    paper = passage("Transformers beat recurrent networks on translation [2]. They need memory.", 1, external_id="a")
    other = passage("Onions are fried in butter.", 2, external_id="b")
    answer = interaction("Transformers beat recurrent networks on translation [2] [1].", paper, other)
    parts = [part for segment in shown.segments(answer) for part in segment.parts]
    assert [(part.text, part.href is not None) for part in parts] == [
        ("Transformers beat recurrent networks on translation [2]", False),
        ("1", True),
        (".", False),
    ]
