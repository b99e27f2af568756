"""Every page at two widths, in light and dark: nothing goes wrong, axe finds nothing serious, nothing is cut off."""

from pathlib import Path

import pytest

from rag.api.application import EVERYTHING
from rag.api.pages.rendering import NAV
from tests.browser.conftest import AXE, WIDTHS, Site, Window, looked_at, settled

SERVED = {route.path for resource in EVERYTHING for route in resource.router.routes}
PAGES = {
    **{href.strip("/"): href for _, href in NAV if href in SERVED},
    "conversation": "/ask/{conversation}",
    "refusal": "/ask/{refusal}",
    "branch": "/ask/{conversation}?upto={interaction}",
    "document": "/documents/1",
    "quote": "/documents/1?at=200-320#at",
    "jobs": "/documents/jobs",
    "citing": "/documents/1/citing",
    "removed": "/documents?removed=true",
    "missing": "/documents/99999",
}
EXPECTED = {"missing": [r"404", r"status of 404"]}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page(window: Window, site: Site, screenshots: Path, name: str, width: int) -> None:
    address = PAGES[name].format(conversation=site.conversation, refusal=site.refusal, interaction=site.interaction)
    with window.at(site.url, width) as (page, watch):
        watch.allowed += EXPECTED.get(name, [])
        page.goto(address)
        settled(page)
        looked_at(page, screenshots, name, width, AXE)


def test_the_keyboard_reaches_everything(window: Window, site: Site) -> None:
    """The first Tab is the way past the navigation; `?` lists the shortcuts; / writes; Escape leaves."""
    with window.at(site.url) as (page, _):
        page.goto(f"/ask/{site.conversation}")
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("() => document.activeElement.id") == "main"
        page.keyboard.press("?")
        assert "Write a question" in page.locator("#keys").inner_text()
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        assert page.evaluate("() => document.activeElement.id") == "question"
        page.keyboard.press("Escape")
        assert page.evaluate("() => document.activeElement.id") != "question"


def test_moments_are_said_in_the_readers_zone(window: Window, site: Site) -> None:
    with window.at(site.url) as (page, _):
        page.goto("/documents")
        moment = page.locator("tbody time").first
        assert moment.get_attribute("title", timeout=5000).endswith(" UTC")  # type: ignore[union-attr]
        assert "UTC" not in moment.inner_text()
