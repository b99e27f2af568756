"""Log, Evaluation and Dashboard as somebody walks them who looks for what went wrong."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from rag.app import opening
from rag.evaluation.runs import METRICS, averaged, figures, judged
from rag.store import evaluations as evaluation_store
from rag.types import Example
from tests.browser.conftest import AXE_ALL, WHOLE, WIDTHS, Site, Window, looked_at, settled

PAGES = {
    "log-entry": "/log/{interaction}",
    "log-filtered": "/log?outcome=refused&model=extractive",
    "evaluation-run": "/evaluation/browsed-first",
    "evaluation-compare": "/evaluation/compare?first=browsed-first&second=browsed-second",
}


@pytest.fixture(scope="module")
def evaluated(site: Site) -> Iterator[Site]:
    """The site with two runs over the same made-up judgements, which go again."""
    with opening(site.settings) as app:
        tenant = app.tenant_id
        for name, worth in (("browsed-first", 0.2), ("browsed-second", 0.9)):
            examples = [Example(f"q{at}", f"question {at}?", (), {"d1": 1}) for at in range(20)]
            rankings = {f"q{at}": {"d1": worth * at, "d2": 9.0 * (at % 2)} for at in range(20)}
            found = judged(examples, rankings, METRICS, {f"q{at}": 1.0 + at for at in range(20)})
            run = evaluation_store.NewEvaluation(
                name=name,
                folder="browsed",
                digest=b"1",
                mode="hybrid",
                settings={"k": 10},
                version="0",
                metrics=figures(averaged(found, METRICS)),
                latency_ms={"p50": 2.0 * (1 + worth), "p95": 3.0, "mean": 2.0},
            )
            with app.database.write() as connection:
                evaluation_store.add(connection, tenant, run, found)
        yield site
        with app.database.write() as connection:
            for name in ("browsed-first", "browsed-second"):
                evaluation_store.remove(connection, tenant, name)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page(window: Window, evaluated: Site, screenshots: Path, name: str, width: int) -> None:
    address = PAGES[name].format(interaction=evaluated.interaction)
    with window.at(evaluated.url, width) as (page, _):
        page.goto(address)
        settled(page)
        looked_at(page, screenshots, name, width, AXE_ALL, WHOLE)


def test_from_a_bar_of_the_dashboard_to_a_pair_that_is_tagged_and_run_again(window: Window, site: Site) -> None:
    with httpx.Client(base_url=site.url, timeout=60) as http:
        http.post("/api/ask", json={"question": "How is a folder followed?"}).raise_for_status()
    with window.at(site.url) as (page, _):
        page.goto("/dashboard?days=1")
        bar = page.locator("section:has(#questions-title) svg a", has=page.locator("rect.mark")).last
        expect(bar).to_be_visible()
        bar.click()
        page.wait_for_url("**/log?*outcome=*")
        expect(page.locator("tr[data-row]").first).to_be_visible()
        page.goto("/log")
        page.keyboard.press("/")
        page.keyboard.type("folder followed")
        page.keyboard.press("Enter")
        page.wait_for_url("**/log?text=*")
        settled(page)
        expect(page.locator("tr[data-row]")).to_have_count(1)
        expect(page.get_by_text("1 interaction", exact=True)).to_be_visible()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/log/0*")
        page.get_by_label("Add, with commas").fill("browsed")
        page.get_by_role("button", name="Add").click()
        expect(page.get_by_role("link", name="browsed")).to_be_visible()
        page.get_by_role("button", name="Run again").click()
        page.wait_for_url("**/difference")
        expect(page.get_by_text("same passages")).to_be_visible()
        expect(page.get_by_text("same answer")).to_be_visible()


def test_two_runs_are_compared_from_the_list(window: Window, evaluated: Site) -> None:
    with window.at(evaluated.url, 390) as (page, _):
        page.goto("/evaluation?folder=browsed")
        page.get_by_role("button", name="Compare the two").click()
        page.wait_for_url("**/evaluation/compare?*")
        expect(page.get_by_text("Differences over 20 questions")).to_be_visible()
        expect(page.locator("h1")).to_contain_text("browsed-second")
