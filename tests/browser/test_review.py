"""Reviewing in a browser: by keyboard alone, in two windows at once, on a phone; a closed window frees its lock."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.api import until
from tests.browser.conftest import AXE_ALL, WHOLE, WIDTHS, Site, Window, looked_at, settled, watched

GUIDELINES = "# Look closely\n\n- every *sentence*\n\n<script>alert(1)</script> ![x](https://evil.example/x.png)"


@pytest.fixture
def queue(site: Site, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a queue that holds every question of the site, gone with the test."""
    name = f"q{abs(hash(request.node.name)) % 10**8}"
    with httpx.Client(base_url=site.url, timeout=60) as http:
        rule = {"any": [{"kind": "every"}]}
        body = {"name": name, "rule": rule, "guidelines": GUIDELINES}
        http.post("/api/review-queues", json=body).raise_for_status()
        assert http.post(f"/api/review-queues/{name}/fill").json()["added"] >= 3
        yield name
        http.delete(f"/api/review-queues/{name}").raise_for_status()


def begin(page: Page, queue: str) -> str:
    """Take the next answer of a queue; the number of its item."""
    page.goto(f"/review/queues/{queue}")
    page.keyboard.press("n")
    page.wait_for_url("**/review/items/**")
    settled(page)
    return item(page)


def item(page: Page) -> str:
    return page.url.partition("/review/items/")[2].partition("?")[0]


def counts(site: Site, queue: str) -> dict[str, int]:
    return dict(httpx.get(f"{site.url}/api/review-queues/{queue}").json()["counts"])


def test_an_answer_is_reviewed_by_keyboard_alone(window: Window, site: Site, queue: str) -> None:
    with window.at(site.url) as (page, _):
        first = begin(page, queue)
        while not page.locator(".judged").count():
            page.keyboard.press("s")
            page.wait_for_function("before => !location.pathname.endsWith(`/${before}`)", arg=first)
            first = item(page)
        assert "Look closely" in page.locator(".markdown").inner_text()
        assert page.locator(".markdown img, .markdown script").count() == 0
        for key in ("j", "r", "r", "j", "x", "2"):
            page.keyboard.press(key)
        page.keyboard.press("/")
        page.keyboard.type("copies of a document")
        page.keyboard.press("Enter")
        page.wait_for_selector("#better .judged")
        page.locator("#better .judged").first.locator("input").nth(3).check()
        page.locator("#corrected_answer").fill("By their digests.")
        page.keyboard.press("Control+Enter")
        page.wait_for_function("before => !location.pathname.endsWith(`/${before}`)", arg=first)
        assert "Saved: partly." in page.locator("#messages").inner_text()
        page.keyboard.press("u")
        page.wait_for_url(f"**/review/items/{first}?**")
        assert page.locator("#corrected_answer").input_value() == "By their digests."
        chosen = page.locator("input:checked")
        found = {one.get_attribute("name"): one.get_attribute("value") for one in chosen.all()}
        assert {name: found[name] for name in ("label", "grade-1", "grade-2")} == {
            "label": "partly",
            "grade-1": "2",
            "grade-2": "0",
        }
        assert [value for name, value in found.items() if name and name.startswith("better-")] == ["3"]
        page.keyboard.press("1")
        page.locator("#note").press("Control+Enter")
        page.wait_for_function("before => !location.pathname.endsWith(`/${before}`)", arg=first)
    said = httpx.get(f"{site.url}/api/reviews", params={"queue": queue, "history": "true"}).json()["reviews"]
    assert [(each["label"], each["replaced_at"] is None) for each in said] == [("correct", True), ("partly", False)]
    assert said[0]["passages"][-1]["number"] is None, "the better passage"


def test_two_windows_are_never_given_one_item_and_a_closed_one_frees_its_lock(
    browser: Browser, window: Window, site: Site, queue: str
) -> None:
    with watched(browser, site.url) as (one, _), window.at(site.url) as (other, _):
        mine, theirs = begin(one, queue), begin(other, queue)
        assert mine != theirs
        assert counts(site, queue)["locked"] == 2
        one.reload()
        settled(one)
        assert "Yours until" in one.locator("#lock").inner_text()
        assert counts(site, queue)["locked"] == 2, "a page that is loaded anew keeps its lock"
        one.close(run_before_unload=True)
        for _ in until("the closed window's lock is freed"):
            if counts(site, queue)["locked"] == 1:
                break
            other.wait_for_timeout(50)
        other.locator("label[for=label-1]").click()
        other.keyboard.press("Control+Enter")
        other.wait_for_url(f"**/review/items/{mine}?**")


def test_a_lock_that_somebody_else_has_is_told_and_what_is_said_is_kept(window: Window, site: Site, queue: str) -> None:
    with window.at(site.url) as (page, watch):
        watch.allowed += ["409"]
        mine = begin(page, queue)
        with httpx.Client(base_url=site.url) as http:
            owner = page.url.partition("lock=")[2]
            http.post(f"/api/reviews/items/{mine}/free", json={"owner": owner}).raise_for_status()
            http.post(f"/api/reviews/items/{mine}/lock", json={}).raise_for_status()
        page.reload()
        settled(page)
        assert "works on item" in page.locator("#lock").inner_text()
        page.keyboard.press("3")
        page.keyboard.press("Control+Enter")
        page.wait_for_function("before => !location.pathname.endsWith(`/${before}`)", arg=mine)
    assert counts(site, queue)["done"] == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_the_pages_fit_and_axe_finds_nothing_serious(
    window: Window, site: Site, screenshots: Path, queue: str, width: int
) -> None:
    with window.at(site.url, width) as (page, _):
        begin(page, queue)
        shown = {"review-item": page.url, "review-queue": f"/review/queues/{queue}"}
        for name, address in shown.items():
            page.goto(address)
            settled(page)
            looked_at(page, screenshots, name, width, AXE_ALL, WHOLE)


def test_a_queue_is_made_on_the_page(window: Window, site: Site) -> None:
    with window.at(site.url) as (page, _):
        page.goto("/review")
        if not page.locator("#name").is_visible():
            page.locator("summary", has_text="New queue").click()
        page.locator("#name").fill("made <b>here")
        page.locator("#refused").check()
        page.locator("#guidelines").fill("Read it.")
        page.get_by_role("button", name="Make it and fill it").click()
        page.wait_for_url("**/review/queues/**")
        assert page.locator("h1").inner_text() == "made <b>here"
        assert "Made, with" in page.locator("#messages").inner_text()
        page.locator("summary", has_text="Remove").click()
        page.get_by_role("button", name="Remove it").click()
        page.wait_for_url("**/review")
        assert "Removed" in page.locator("#messages").inner_text()
