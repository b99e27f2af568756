"""A real server over real text, a real Chromium, and a watch that lets no page go wrong unnoticed."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

pytest.importorskip("playwright", reason="playwright absent: pip install '.[test]'")

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from ingest import sources
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
TEXTS = ("ingesting.md", "operating.md", "extending.md", "how-it-works.md")
ANSWERED = "How are duplicates of a document found?"
FOLLOW_UP = "What happens when one of the copies is removed?"
REFUSED = "What does a llama cost in Peru?"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"], "resultTypes": ["violations"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
FIRST_BYTE = """() => {
  const shown = performance.getEntriesByType("navigation")[0];
  return shown.responseStart - shown.requestStart;
}"""
SETTLED = """() => document.readyState === "complete" && !document.querySelector(".htmx-request")"""
AXE = {
    (1440, "light"): RULES,
    (390, "dark"): COLOURS,
}  # what is looked for where: all rules once, colours in the dark too
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One a module: Playwright's loop must not be there for what runs in between."""
    require_chromium()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


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
def watched(browser: Browser, origin: str, width: int = 1440, scheme: str = "light") -> Iterator[tuple[Page, Watch]]:
    """A page in a context of its own; leaving it fails when anything went wrong."""
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme, base_url=origin
    )  # type: ignore[call-overload]
    watch = Watch(origin)
    context.on("page", watch.follow)
    try:
        yield context.new_page(), watch
        watch.check()
    finally:
        context.close()


# ── what is measured and kept ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots and first bytes are kept: RAG_SCREENSHOTS, else pytest's own folder of this run."""
    chosen = os.environ.get("RAG_SCREENSHOTS", "")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def axe(page: Page, rules: Mapping[str, object]) -> list[str]:
    """What axe finds on a page that is serious or critical, in words."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_FILE_PATH.read_text())
    result = page.evaluate("rules => axe.run(document, rules)", rules)
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:200]} {node['failureSummary'][:300]}"
        for violation in result["violations"]
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]


def settled(page: Page) -> None:
    """Wait until a page has all that it fetches behind itself."""
    page.wait_for_load_state("load")
    page.wait_for_function(SETTLED)


def first_byte_ms(page: Page) -> float:
    """How long the page that is shown waited for its first byte, as the browser measured."""
    return float(page.evaluate(FIRST_BYTE))


def keep_screenshot(page: Page, folder: Path, name: str) -> None:
    """The page from its top, TALL pixels at most."""
    width, height = page.evaluate("() => [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, TALL)}
    page.screenshot(path=folder / f"{name}.png", full_page=True, clip=clip)  # type: ignore[arg-type]


def keep_first_byte(folder: Path, name: str, ms: float) -> None:
    """Add a line to first-bytes.jsonl."""
    with (folder / "first-bytes.jsonl").open("a") as file:
        file.write(json.dumps({"page": name, "ms": round(ms, 1)}) + "\n")
