"""A guarded installation: the way in by a token, and out again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from rag.app import opening
from tests.api import make_token, server, small
from tests.browser.conftest import AXE, WIDTHS, Window, looked_at, require_chromium


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a server with a live token, and the token."""
    require_chromium()
    settings = small(tmp_path_factory.mktemp("guarded"))
    with opening(settings, create=True) as app:
        token = make_token(app, "ada")
    with server(settings) as url:
        yield url, token


def test_in_and_out(window: Window, guarded: tuple[str, str]) -> None:
    url, token = guarded
    with window.at(url) as (page, watch):
        watch.allowed += ["401"]
        page.goto("/documents?q=tides")
        page.get_by_label("Token").fill("rag_wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("unknown")
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{url}/documents?q=tides")
        expect(page.locator(".user")).to_have_text("ada")
        assert page.evaluate("() => document.cookie") == "", "no script reads the token"
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        page.goto("/ask")
        expect(page.get_by_label("Token")).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_itself(window: Window, guarded: tuple[str, str], screenshots: Path, width: int) -> None:
    with window.at(guarded[0], width) as (page, _):
        page.goto("/login")
        looked_at(page, screenshots, "login", width, AXE)
