"""Compare in a browser: a question asked both ways, judged by a key without knowing whose the answers are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from rag.app import opening
from rag.store import experiments as store
from rag.store.experiments import Answered, Configured
from tests.browser.conftest import (
    ANSWERED,
    COLOURS,
    RULES,
    SCHEMES,
    WHOLE,
    WIDTHS,
    Site,
    Window,
    asked,
    looked_at,
    settled,
)

AXE = {(width, scheme): RULES if scheme == "light" else COLOURS for width in WIDTHS for scheme in SCHEMES}


@dataclass(frozen=True, slots=True)
class Tried:
    """The site with an experiment of two configurations and two questions."""

    site: Site
    experiment: int
    pair: tuple[str, str]


@pytest.fixture(scope="module")
def tried(site: Site) -> Iterator[Tried]:
    questions = (ANSWERED, "How is an index repaired?")
    with httpx.Client(base_url=site.url, timeout=60) as http:
        ids = [
            [str(asked(http, question=text, mode=mode)["interaction_id"]) for text in questions]
            for mode in ("hybrid", "keyword")
        ]
    with opening(site.settings) as app:
        tenant = app.tenant_id
        with app.database.write() as connection:
            kept = store.add(
                connection, tenant, "browsed", questions="two", digest="1", version="0", user="local",
                configurations=[Configured("now", {}), Configured("words", {"mode": "keyword"})],
            )  # fmt: skip
            answers = [
                Answered(place, number, str(number), text, ids[place - 1][number - 1], {"faithfulness": place / 4}, 9.5)
                for place in (1, 2)
                for number, text in enumerate(questions, 1)
            ]
            store.add_answers(connection, kept.id, answers)
        yield Tried(site, kept.id, (ids[0][0], ids[1][0]))
        with app.database.write() as connection:
            store.remove(connection, tenant, "browsed")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_pages(window: Window, tried: Tried, screenshots: Path, width: int) -> None:
    first, second = tried.pair
    pages = {
        "compare": "/compare",
        "compare-pair": f"/compare/pair?first={first}&second={second}",
        "compare-experiment": f"/compare/experiments/{tried.experiment}",
        "compare-told": f"/compare/pair?first={first}&second={second}&told=true",
    }
    with window.at(tried.site.url, width) as (page, _):
        for name, address in pages.items():
            page.goto(address)
            settled(page)
            looked_at(page, screenshots, name, width, AXE, WHOLE)


def test_a_question_is_asked_both_ways_and_judged_by_a_key(window: Window, tried: Tried) -> None:
    with window.at(tried.site.url) as (page, _):
        page.goto("/compare?q=How are duplicates found?")
        page.fill("#b_passages", "2")
        page.get_by_role("button", name="Ask both").click()
        page.wait_for_url("**/compare/pair?**")
        settled(page)
        assert "keyword" not in page.locator("main").inner_text().lower()
        with page.expect_navigation():
            page.keyboard.press("b")
        said = page.locator("#messages").inner_text()
        assert "Kept. A was mode" in said
        assert "B was mode" in said
        assert "mode keyword" in page.locator("main").inner_text()
        assert "you found it better" in page.locator("section", has=page.locator("#side-B")).inner_text()
        page.get_by_role("link", name="Compare", exact=True).first.click()
        page.wait_for_url("**/compare")
        assert "mode keyword" in page.locator("main").inner_text()


def test_the_pairs_of_an_experiment_come_one_after_the_other(window: Window, tried: Tried) -> None:
    with window.at(tried.site.url, 390) as (page, _):
        page.goto(f"/compare/experiments/{tried.experiment}")
        page.get_by_role("link", name="Judge blind").click()
        for _ in range(3):
            page.wait_for_load_state("load")
            if not page.get_by_role("button", name="Both are good").count():
                break
            with page.expect_navigation():
                page.keyboard.press("t")
        assert page.url.endswith(f"/compare/experiments/{tried.experiment}")
        assert "every pair" in page.locator("#messages").inner_text()
