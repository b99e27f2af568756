"""The pages as people use them: one takes documents in, one asks, one reviews; and one who has no scripts."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ANSWERED, FOLLOW_UP, Site, Window, settled

FACT = "The lighthouse at Cape Orrin was lit for the first time in 1874, by its keeper Maud Ellery."
QUESTION = "When was the lighthouse at Cape Orrin lit for the first time?"


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("notes") / "cape orrin.md"
    file.write_text(
        f"# Cape Orrin\n\nA headland of granite. {FACT}\n\n## The keepers\n\nMaud Ellery kept it for 30 years.\n"
    )
    return file


def test_one_takes_documents_in_one_asks_one_reviews(window: Window, site: Site, notes: Path) -> None:
    with window.at(site.url) as (page, _):
        take_in(page, notes)
        ask(page)
        open_the_passage(page)
        judge(page)
        review(page)
        remove_and_restore(page)


def take_in(page: Page, notes: Path) -> None:
    page.goto("/documents")
    page.get_by_text("Add documents").click()
    page.get_by_label("Files").set_input_files(notes)
    page.locator(".upload").get_by_label("Metadata").fill('{"place": "Cape Orrin"}')
    page.get_by_role("button", name="Upload").click()
    expect(page).to_have_url(re.compile(r"/documents/jobs/\d+$"))
    expect(page.locator("#progress")).to_contain_text("done", timeout=60_000)
    expect(page.locator("tbody")).to_contain_text("added")
    page.get_by_role("link", name="cape orrin.md").click()
    page.get_by_role("link", name="Cape Orrin", exact=True).click()
    expect(page.locator("h1")).to_have_text("Cape Orrin")
    expect(page.locator(".paper")).to_contain_text(FACT)
    expect(page.get_by_title("Documents with the same").filter(has_text="Cape Orrin")).to_be_visible()


def ask(page: Page) -> None:
    """The answer comes as a stream; then the server's own rendering takes its place, and the address is the
    conversation's."""
    page.goto("/ask")
    page.get_by_label("Your question").fill(QUESTION)
    with page.expect_response(lambda answer: answer.url.endswith("/api/ask")) as streamed:
        page.keyboard.press("Enter")
    assert streamed.value.headers["content-type"].startswith("text/event-stream")
    turn = page.locator("article.turn[id]")
    expect(turn.locator(".text")).to_contain_text("1874", timeout=60_000)
    expect(turn.locator(".sentence.supported").first).to_be_visible()
    expect(turn.locator("a.verdict").first).to_contain_text("Supported")
    expect(page).to_have_url(re.compile("/ask/[0-9A-Z]{26}$"))
    expect(page.locator("#conversations")).to_contain_text(QUESTION)


def open_the_passage(page: Page) -> None:
    at = page.url
    page.locator("a.cite").first.click()
    expect(page.locator("mark#at")).to_contain_text("1874")
    expect(page.locator("mark#at")).to_be_in_viewport()
    expect(page.get_by_text(QUESTION)).to_be_visible()  # among the answers that were shown it
    page.goto(at)


def judge(page: Page) -> None:
    turn = page.locator("article.turn[id]").last
    turn.get_by_role("button", name="Bad answer").click()
    expect(turn.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    turn.get_by_text("Comment").click()
    turn.get_by_label("What is good or bad about it?").fill("It leaves the keeper out.")
    turn.get_by_role("button", name="Send").click()
    expect(turn).to_contain_text("It leaves the keeper out.")
    page.reload()
    expect(page.locator("article.turn[id]").last).to_contain_text("It leaves the keeper out.")


def review(page: Page) -> None:
    """What was judged bad waits in a queue; the reviewer says what is right, and it is kept with the answer."""
    page.goto("/review")
    if not page.get_by_label("Name").is_visible():
        page.get_by_text("New queue").click()
    page.get_by_label("Name").fill("bad answers")
    page.get_by_label("Thumbs down").check()
    page.get_by_role("button", name="Make it and fill it").click()
    page.goto("/review")
    page.get_by_role("button", name="Review bad answers").click()
    expect(page.locator("h1")).to_have_text(QUESTION)
    page.keyboard.press("2")
    page.locator("#corrected_answer").fill("In 1874, by Maud Ellery.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#messages")).to_contain_text("Saved")
    page.goto("/log")
    page.get_by_role("link", name=QUESTION).click()
    expect(page.locator("main")).to_contain_text("In 1874, by Maud Ellery.")


def remove_and_restore(page: Page) -> None:
    page.goto("/documents?q=cape%20orrin")
    page.locator("tbody a").first.click()
    page.locator("summary", has_text="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.locator("#messages")).to_contain_text("Removed")
    page.locator("summary", has_text="Restore").click()
    page.get_by_role("button", name="Restore it").click()
    expect(page.locator("#messages")).to_contain_text("Restored")
    expect(page.locator("details.confirm")).to_contain_text("Remove")


def test_a_conversation_goes_on_branches_and_is_asked_again(window: Window, site: Site) -> None:
    with window.at(site.url) as (page, _):
        page.goto(f"/ask/{site.conversation}")
        turns = page.locator("article.turn[id]")
        expect(turns).to_have_count(2)
        page.get_by_label("Ask a follow-up").fill("And which policies are there?")
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(turns).to_have_count(3, timeout=60_000)
        turns.nth(2).get_by_role("button", name="Regenerate").click()
        expect(page.locator(".siblings")).to_contain_text("2 of 2", timeout=60_000)
        turns.first.get_by_role("link", name="Branch from here").click()
        expect(turns).to_have_count(1)
        page.get_by_label("Ask a follow-up").fill(FOLLOW_UP)
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(turns).to_have_count(2, timeout=60_000)
        expect(turns.nth(1).locator(".siblings")).to_contain_text("2 of 2")
        page.get_by_role("link", name="Version before").click()
        expect(turns).to_have_count(3)


def test_what_fails_is_said_in_words(window: Window, site: Site) -> None:
    """A question that the server does not take: its problem stands where the answer would, and the question stays."""
    with window.at(site.url) as (page, watch):
        watch.allowed += [r"413"]
        page.goto("/ask")
        page.evaluate("() => document.getElementById('question').removeAttribute('maxlength')")
        page.locator("#question").fill("x" * (site.settings.max_question_chars + 1))
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("at most")
        assert page.locator("#question").input_value() != ""


def test_an_answer_can_be_stopped(window: Window, site: Site) -> None:
    """The stream is cut by the browser; the page says so, and goes on."""
    with window.at(site.url) as (page, _):
        page.route("**/api/ask", lambda route: None)  # never answered
        page.goto("/ask")
        page.locator("#question").fill(ANSWERED)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("alert")).to_contain_text("Stopped")


def test_all_of_it_works_without_scripts(browser: Browser, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=site.url)
    page = context.new_page()
    page.goto("/ask")
    page.get_by_label("Your question").fill(ANSWERED)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("article.turn .sentence").first).to_be_visible()
    page.get_by_role("button", name="Good answer").click()
    expect(page.locator("#messages")).to_contain_text("Thank you")
    expect(page.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Regenerate").click()
    expect(page.locator(".siblings")).to_contain_text("2 of 2")
    page.locator("a.cite").first.click()
    expect(page.locator("mark#at")).to_be_visible()
    page.get_by_role("link", name="Show them").click()
    expect(page.locator("main")).to_contain_text(ANSWERED)
    context.close()


def test_the_help_is_of_the_page_that_is_open(window: Window, site: Site) -> None:
    with window.at(site.url, 390) as (page, _):
        page.goto("/documents")
        settled(page)
        page.get_by_role("button", name="Keyboard shortcuts").click()
        expect(page.locator("#keys")).to_contain_text("Search documents")
