"""The pages of review without a browser: what they show, to whom, and what comes of their forms."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from rag.api.application import create
from rag.api.pages.review import markdown
from rag.app import App, opening
from tests.api import OTTERS, TIDES, client, make_token, small

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with opening(small(tmp_path_factory.mktemp("pages")), create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def ada(app: App) -> TestClient:
    api = client(create(app), token=make_token(app, "ada"))
    for text, title in ((f"{OTTERS} {EVIL}", f"Otters {EVIL}"), (TIDES, "Tides")):
        api.post("/api/documents", json={"text": text, "title": title, "uri": f"note:{title}"})
    for question in ("What do sea otters hold?", f"How often does the tide rise? {EVIL}"):
        assert api.post("/api/ask", json={"question": question}).status_code == 200
    return api


def made(ada: TestClient, name: str, **fields: str) -> str:
    """A queue made by the form; where its page is."""
    response = ada.post("/review", data={"name": name, "waiting": "50", **fields})
    assert response.status_code == 303, response.text
    return str(response.headers["location"])


def test_forms_make_a_queue_and_keep_a_review(ada: TestClient) -> None:
    place = made(ada, f"a {EVIL[:8]}", guidelines=f"# Look\n{EVIL}", reviewers="1")
    for path in ("/review", place):
        shown = ada.get(path)
        assert shown.status_code == 200
        assert EVIL not in shown.text
    given = ada.post(f"{place}/next", data={}).headers["location"]
    assert given.startswith("/review/items/")
    page = ada.get(given)
    assert EVIL not in page.text
    assert "&lt;script&gt;" in page.text
    item = given.partition("?")[0]
    assert ada.post(item, data={"note": "no label"}).status_code == 400
    answer = {
        "label": "wrong",
        "grade-1": "2",
        "corrected_answer": "Hands.\r\nYes.",
        "tags": "one, two ,",
        "note": EVIL,
    }
    following = ada.post(item, data=answer).headers["location"]
    assert following.partition("?")[0] != item
    review = ada.get("/api/reviews").json()["reviews"][0]
    assert (review["reviewer"], review["label"], review["tags"]) == ("ada", "wrong", ["one", "two"])
    assert review["corrected_answer"] == "Hands.\nYes."
    assert [(each["number"], each["grade"]) for each in review["passages"]] == [(1, 2)]
    assert EVIL not in ada.get(place).text
    found = ada.post(f"{item}/better", data={"q": "tide"}, headers={"hx-request": "true"})
    assert found.status_code == 200
    assert EVIL not in found.text
    assert ada.get(item, params={"q": "moon"}).status_code == 200, "the same without scripts"
    ada.post(f"{following.partition('?')[0]}/skip", data={})
    assert "Review the 1 you skipped" in ada.get(place).text
    assert "was=" in ada.post(f"{place}/undo").headers["location"]
    assert ada.post(f"{place}/guidelines", data={"guidelines": "New.", "reviewers": "2"}).status_code == 303
    assert "New." in ada.get(place).text
    assert ada.post(f"{place}/fill").status_code == 303
    assert ada.post(f"{place}/remove").headers["location"] == "/review"
    assert ada.get(place).status_code == 404


def test_who_is_bound_to_labels_keeps_no_queues_and_sees_no_answer_of_others(app: App, ada: TestClient) -> None:
    place = made(ada, "theirs")
    item = ada.post(f"{place}/next", data={}).headers["location"]
    eve = client(create(app), token=make_token(app, "eve", ["secret"]))
    assert "New queue" not in eve.get("/review").text
    assert "Agreement" not in eve.get(place).text
    assert eve.get(item).status_code == 404
    for path in (item, f"{item.partition('?')[0]}/better", f"{item.partition('?')[0]}/skip"):
        assert eve.post(path, data={"label": "correct", "q": "x"}).status_code == 404
    for path in ("/review", f"{place}/fill", f"{place}/remove", f"{place}/guidelines"):
        assert eve.post(path, data={"name": "mine"}).status_code == 403
    assert "Nothing+more" in eve.post(f"{place}/next", data={}).headers["set-cookie"].replace("%20", "+")


def test_guidelines_are_markdown_without_html_images_or_scripts() -> None:
    told = markdown(
        f"# Head\n\n*em* {EVIL} ![x](https://evil.example/x.png) [go](javascript:alert(1)) [ok](https://a.example)"
    )
    assert "<h3>Head</h3>" in told
    assert "<em>em</em>" in told
    assert '<a href="https://a.example">ok</a>' in told
    assert all(bad not in told for bad in ("<script", "<img", 'href="javascript'))
