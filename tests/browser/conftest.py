"""A real server over real text, a real Chromium, and a watch that lets no page go wrong unnoticed."""

import asyncio
import base64
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx
import pytest

pytest.importorskip("playwright", reason="playwright absent: pip install '.[test]'")

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from ingest import sources
from rag.api.pages import static
from rag.app import opening
from rag.config import Settings
from rag.corpus import Arrival, Origin
from tests.api import server

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {1440: 900, 390: 844}
SCHEMES = ("light", "dark")
TALL = 2400  # pixels of a page that its screenshot shows at most
WHOLE = 100_000
TEXTS = ("ingesting.md", "operating.md", "extending.md", "how-it-works.md")
ANSWERED = "How are duplicates of a document found?"
FOLLOW_UP = "What happens when one of the copies is removed?"
REFUSED = "What does a llama cost in Peru?"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"], "resultTypes": ["violations"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
SHOWN = """() => {
  const shown = performance.getEntriesByType("navigation")[0], root = document.documentElement;
  return [shown.responseStart - shown.requestStart, document.querySelectorAll("h1").length, root.scrollWidth];
}"""
SETTLED = """() => document.readyState === "complete" && !document.querySelector(".htmx-request")"""
FORGET = """() => {
  localStorage.clear();
  sessionStorage.clear();
  return document.querySelector("[data-beacon], [hx-trigger*='every']") !== null;
}"""  # whether the page does something of its own accord, or when it is left
AXE = {(1440, "light"): RULES, (390, "dark"): COLOURS}  # what is looked for where: all once, colours in the dark too
AXE_ALL = {(width, scheme): COLOURS for width in WIDTHS for scheme in SCHEMES} | {(1440, "light"): RULES}
SERIOUS = ("serious", "critical")


@dataclass(frozen=True, slots=True)
class Site:
    """A running installation: some documents, a conversation of two turns, a refusal."""

    url: str
    settings: Settings
    conversation: str
    refusal: str
    interaction: str  # the first turn of the conversation


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Site]:
    """`rag serve` as anyone runs it, with the real embedding model."""
    require_chromium()
    data = tmp_path_factory.mktemp("site") / "data"
    shutil.copytree(_filled(models_dir), data)
    settings = Settings(data=data, models=models_dir, generator="extractive")
    with server(settings) as url, httpx.Client(base_url=url, timeout=60) as http:
        first = asked(http, question=ANSWERED, conversation="new")
        asked(http, question=FOLLOW_UP, conversation_id=first["conversation_id"])
        refused = asked(http, question=REFUSED, conversation="new")
        yield Site(
            url,
            settings,
            str(first["conversation_id"]),
            str(refused["conversation_id"]),
            str(first["interaction_id"]),
        )


def _filled(models_dir: Path) -> Path:
    """A data folder with the texts in it, made once for all workers of a run."""
    folder = models_dir.parent / "filled-site"
    with (models_dir.parent / "filled-site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = folder.with_suffix(".part")
            settings = Settings(data=part, models=models_dir, generator="extractive")
            with opening(settings, create=True) as app:
                arrivals = [_read(ROOT / "docs" / name) for name in TEXTS]
                app.corpus().add_sources(arrivals, Origin("local", {"kind": "guide"}), total=len(arrivals))
                app.let_go_of_models()
            part.rename(folder)
    return folder


def _read(path: Path) -> Arrival:
    source = sources.from_text(path.read_text(), uri=path.as_uri(), media_type="text/markdown")
    return Arrival(path.as_uri(), source)


def asked(http: httpx.Client, **question: str) -> dict[str, object]:
    """What the API answers to a question."""
    answer: dict[str, object] = http.post("/api/ask", json=question).raise_for_status().json()
    return answer


def require_chromium() -> None:
    if not CHROMIUM:
        pytest.skip("Chromium absent: apt-get install chromium")


@pytest.fixture(scope="session")
def started() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """Chromium and the loop of Playwright, once a test process: starting both costs two seconds of processor time."""
    require_chromium()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield launched, loop
        asyncio._set_running_loop(loop)
        launched.close()


@pytest.fixture(scope="module")
def browser(started: tuple[Browser, asyncio.AbstractEventLoop]) -> Iterator[Browser]:
    """Playwright keeps its loop marked as running between its calls: what runs between modules must not find it so."""
    launched, loop = started
    asyncio._set_running_loop(loop)
    yield launched
    asyncio._set_running_loop(None)


# ── what must not happen on any page ────────────────────────────────────────────────────────────────────────────────


@dataclass
class Watch:
    """What went wrong on the pages of one context: console errors, exceptions, requests elsewhere or that failed,
    answers of 400 and more, dialogs of the browser."""

    origin: str
    wrong: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)  # patterns of what is meant to happen

    def follow(self, page: Page) -> None:
        page.on(
            "console", lambda said: self._note(f"console {said.type}: {said.text}", said.type in ("error", "warning"))
        )
        page.on("pageerror", lambda error: self._note(f"exception: {error}"))
        page.on("request", lambda request: self._note(f"request to {request.url}", self._foreign(request.url)))
        page.on(
            "requestfailed",
            lambda request: self._note(f"{request.url}: {request.failure}", self._broken(request.failure)),
        )
        page.on("response", lambda answer: self._note(f"{answer.status} {answer.url}", answer.status >= 400))
        page.on("dialog", lambda dialog: (self._note(f"dialog: {dialog.message}"), dialog.dismiss()))

    def check(self) -> None:
        left = [each for each in self.wrong if not any(re.search(pattern, each) for pattern in self.allowed)]
        assert not left, "\n".join(left)

    def _note(self, what: str, matters: bool = True) -> None:
        if matters:
            self.wrong.append(what)

    def _foreign(self, url: str) -> bool:
        return not url.startswith((f"{self.origin}/", "data:"))

    @staticmethod
    def _broken(failure: str | None) -> bool:
        return failure != "net::ERR_ABORTED"  # what a page that is left had still asked for


@contextmanager
def watched(browser: Browser, origin: str, width: int = 1440) -> Iterator[tuple[Page, Watch]]:
    """A page in a context of its own; leaving it fails when anything went wrong."""
    page, watch = _opened(browser, origin, width)
    try:
        yield page, watch
        watch.check()
    finally:
        page.context.close()


def _opened(browser: Browser, origin: str, width: int) -> tuple[Page, Watch]:
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]}, color_scheme="light", base_url=origin
    )
    watch = Watch(origin)
    context.on("page", watch.follow)
    return context.new_page(), watch


@dataclass(frozen=True, slots=True)
class Window:
    """A page for each origin, which stays open from one test to the next: a new one costs more than what most tests do
    on it. One on which something went wrong is closed, and the next test has a new one."""

    browser: Browser
    open: dict[str, tuple[Page, Watch]] = field(default_factory=dict)

    @contextmanager
    def at(self, origin: str, width: int = 1440) -> Iterator[tuple[Page, Watch]]:
        """As `watched`: without cookies and storage, of this width, in the light. A page that does something of its own
        accord, or when it is left, is left in the end, so that it does it in its own test."""
        page, watch = self.open.pop(origin, None) or _opened(self.browser, origin, width)
        try:
            page.context.clear_cookies()
            page.set_viewport_size({"width": width, "height": WIDTHS[width]})
            page.emulate_media(color_scheme="light")
            yield page, watch
            page.unroute_all()
            if page.evaluate(FORGET):
                page.goto(static.address("icon.svg"))
            watch.check()
        except BaseException:
            page.context.close()
            raise
        watch.wrong.clear()
        watch.allowed.clear()
        self.open[origin] = page, watch


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Window]:
    """Closed with the module: even the cursor that blinks in a field of an open page costs processor time."""
    kept = Window(browser)
    yield kept
    for page, _ in kept.open.values():
        page.context.close()


# ── what is measured and kept ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots and first bytes are kept: RAG_SCREENSHOTS, else pytest's own folder of this run."""
    chosen = os.environ.get("RAG_SCREENSHOTS", "")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def axe(page: Page, rules: object) -> list[str]:
    """What axe finds on a page that is serious or critical, in words."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_axe_script())
    violations = page.evaluate("async rules => (await axe.run(document, rules)).violations", rules)
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:200]} {node['failureSummary'][:300]}"
        for violation in violations
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]


@cache
def _axe_script() -> str:
    return AXE_FILE_PATH.read_text()


def settled(page: Page) -> None:
    """Wait until a page has all that it fetches behind itself."""
    page.wait_for_load_state("load")
    if not page.evaluate(SETTLED):  # asking costs a tenth of beginning to wait
        page.wait_for_function(SETTLED)


def looked_at(
    page: Page, folder: Path, name: str, width: int, rules: Mapping[tuple[int, str], object], tallest: int = TALL
) -> None:
    """The page that is shown has a heading and fits its width; light and dark it is kept as a picture, with what axe
    finds by the rules that `rules` has for it."""
    first_byte_ms, headings, wide = page.evaluate(SHOWN)
    with (folder / "first-bytes.jsonl").open("a") as file:
        file.write(json.dumps({"page": f"{name}-{width}", "ms": round(first_byte_ms, 1)}) + "\n")
    assert headings == 1, "a page has one heading of the first rank"
    assert wide <= width, "it does not fit its width"
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        _keep_screenshot(page, folder / f"{name}-{width}-{scheme}.png", tallest)
        if looked_for := rules.get((width, scheme)):
            assert axe(page, looked_for) == [], (name, scheme)


def _keep_screenshot(page: Page, file: Path, tallest: int) -> None:
    """The page from its top. Chromium is asked itself, to be quick rather than to make a small file; Playwright asks
    for the smallest, which takes longer than drawing it."""
    width, height = page.evaluate("() => [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, tallest), "scale": 1}
    wanted = {"format": "png", "optimizeForSpeed": True, "captureBeyondViewport": True, "clip": clip}
    session = page.context.new_cdp_session(page)
    file.write_bytes(base64.b64decode(session.send("Page.captureScreenshot", wanted)["data"]))
    session.detach()
