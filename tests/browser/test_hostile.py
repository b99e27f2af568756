"""Payloads as document, title, file name, metadata, label, question, answer, comment and tag, as what reviewers write
and as names of queues, views, experiments and runs: pages show them as text.

No script runs, no request leaves the origin, no dialog opens, nothing of them becomes an element; nothing of them
steers a terminal, and no export holds a live formula.
"""

import csv
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from ingest import sources
from rag.app import App, opening
from rag.cli.output import _CONTROL
from rag.corpus import Arrival, Origin
from rag.exports import FORMS
from rag.exports.csv import FORMULA
from rag.store import documents as document_store
from rag.store import interactions as interaction_store
from rag.store.collections import Collection
from rag.store.permitted import Predicate
from rag.types import Answer, Citation, Hit, Interaction, Part, Passage, Place, Reason, Refusal, Score, Usage
from tests.api import SERVE, server, small
from tests.browser.conftest import require_chromium, settled, watched
from tests.browser.hostile_reviews import DATASET, FEW, bare, name_of, write
from tests.browser.payloads import payloads
from tests.cli_house import House

PAYLOADS = list(payloads())
GROUP = 10  # payloads a document and a conversation
GOAL = 3500  # payloads × places, seen on pages
COUNTED = 100  # interactions, unless all are asked for
SERVED = f"""from functools import partial; from rag.store import interactions
interactions.counted = partial(interactions.counted, most={COUNTED})
{SERVE}"""
PLAIN = "Somebody sent these words, of which nobody knows what they are for; what follows stands in them as it came:"
CANARY = "window.canary = () => { window.canaries = (window.canaries || 0) + 1; };"
INJECTED = """() => [...document.querySelectorAll(
  'script:not([src^="/static/"]), img, iframe, object, embed, base, style, math, template:not([id]), meta[http-equiv],'
  + 'link:not([href^="/static/"]), [style], a[href^="javascript" i], a[href^="data" i], form[action*="//"],'
  + '[onload], [onerror], [onfocus], [ontoggle], [onbegin], [hx-trigger="load"][hx-get="/ask"], [data-beacon^="//"]'
)].map(element => element.outerHTML.slice(0, 200))"""


@dataclass(frozen=True, slots=True)
class Hostile:
    folder: Path
    documents: list[int]
    interactions: list[str]
    conversations: list[str]
    items: list[int]  # of reviews, the first of each queue


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    folder = tmp_path_factory.mktemp("hostile")
    with opening(small(folder), create=True) as app:
        documents = write_documents(app)
        interactions, conversations, chunks = write_log(app, documents)
        items = write(app, groups(), interactions, chunks)
    return Hostile(folder, documents, interactions, conversations, items)


@pytest.fixture(scope="module")
def url(hostile: Hostile) -> Iterator[str]:
    require_chromium()
    with server(small(hostile.folder), SERVED) as found:
        yield found


def groups() -> list[list[str]]:
    return [PAYLOADS[at : at + GROUP] for at in range(0, len(PAYLOADS), GROUP)]


def write_documents(app: App) -> list[int]:
    """One document a payload, with it as title, file name, external id and text; those of a group share ten entries of
    metadata and ten labels."""
    corpus, ids = app.corpus(), []
    for group in groups():
        arrivals = []
        for payload in group:
            uri = f"upload:local/{quote(payload, safe='')}"
            source = sources.from_text(f"{PLAIN} {payload}\n", uri=uri, media_type="text/plain")
            arrivals.append(Arrival(uri, source, title=payload, external_id=payload))
        origin = Origin("local", dict(zip(group, group, strict=True)), frozenset(group))
        ids += sorted(corpus.add_sources(arrivals, origin, total=len(arrivals)).document_ids)
    return ids


def write_log(app: App, documents: list[int]) -> tuple[list[str], list[str], list[int]]:
    """One interaction a payload, in conversations of GROUP turns, the last of which is a refusal; with a comment. Their
    ids, those of the conversations, and the chunks that they show."""
    collection = app.collection()
    keys: list[str] = []
    conversations = []
    with app.database.read() as connection:
        predicate = Predicate(collection.id, None)
        stored = {
            document: document_store.get(connection, predicate, collection.position, document) for document in documents
        }
        chunks = {one.id: document_store.chunks_of(connection, one.content_id)[0] for one in stored.values()}
    number = 0
    for group in groups():
        parent = None
        with app.database.write() as connection:
            for payload in group:
                document = stored[documents[number]]
                chunk = chunks[document.id]
                key = f"01J{number:023d}"
                hit = Hit(chunk.id, 0.5, {"dense": Part(1, 0.5)})
                place = Place(document.id, document.uri, payload, payload, {payload: payload})
                at = (None, chunk.start, chunk.end, document.content_id)
                passage = Passage(hit, payload, payload, (payload, payload), (place,), *at)
                entry = interaction(app, collection, key, payload, passage, parent, f"c{number // GROUP}")
                interaction_store.record(connection, app.database, entry, collection.id)
                interaction_store.add_feedback(
                    connection, app.tenant_id, key, user="local", rating=-1, label=None, comment=payload
                )
                keys.append(key)
                parent, number = key, number + 1
        conversations.append(f"c{(number - 1) // GROUP}")
    return keys, conversations, [chunks[document].id for document in documents]


def interaction(
    app: App, collection: Collection, key: str, payload: str, passage: Passage, parent: str | None, conversation: str
) -> Interaction:
    reason = Reason("words", payload)
    citation = Citation(0, len(payload), 1, passage.start, passage.end, payload, 0.2, "partly", True, (reason,))
    refusal = Refusal((payload,), (payload,), 1) if int(key[3:]) % 10 == 9 else None
    return Interaction(
        id=key,
        created_at="2026-01-01T00:00:00.000+00:00",
        tenant_id=app.tenant_id,
        collection=collection.name,
        user="local",
        conversation_id=conversation,
        origin="human",
        question=payload,
        search_query=f"searched {payload}",
        prompt=None,
        answer=Answer(
            f"{payload} [1]", (citation,), False, payload, "stop", Usage(None, None), 0.5, refusal, (payload,)
        ),
        error=None,
        passages=(passage,),
        candidates=(),
        model=payload,
        revision=payload,
        template=payload,
        settings={"mode": payload, "fallback_from": payload, "fallback_reason": payload},
        position=1,
        generation=0,
        timings_ms={"total": 1.0},
        scores=(Score("faithfulness", 0.5, explanation=payload),),
        parent_id=parent,
    )


LISTED = ("title", "file name", "label")
TOLD = (
    "question",
    "answer",
    "reason",
    "sentence left out",
    "passage's title",
    "heading",
    "comment",
    "model",
    "fallback",
)
REFUSED = ("question", "word looked for", "closest passage")
ENTRY = ("entry of the log", "note", "corrected answer", "label of a review")
ITEM = ("reason", "note of one's own", "guidelines", "question judged")
WRITTEN = """() => document.body.textContent + [...document.querySelectorAll('input:not([type="hidden"])')]
  .map(field => field.value).join(" ")"""  # what stands in fields is no text of the page


def test_payloads_are_shown_and_do_nothing(browser: Browser, url: str, hostile: Hostile) -> None:
    seen: set[tuple[str, str]] = set()
    with watched(browser, url) as (page, _):
        page.context.add_init_script(CANARY)
        for address, held in visits(hostile):
            page.goto(address)
            settled(page)
            check(page, address)
            text = squeezed(page.evaluate(WRITTEN))
            for payload, places in held.items():
                shown = text.count(squeezed(payload))
                assert shown >= len(places), f"{address} shows {payload!r} {shown} times, not as {places}"
                seen |= {(place, payload) for place in places}
        follow_a_link(page)
        count_all(page, len(hostile.interactions) + len(groups()))
    assert len(seen) >= GOAL, len(seen)


def visits(hostile: Hostile) -> Iterator[tuple[str, dict[str, tuple[str, ...]]]]:
    """Which pages are opened, and as what each shows which payloads."""
    newest = list(reversed(list(zip(hostile.documents, PAYLOADS, strict=True))))
    for at in range(0, len(newest), 50):
        before = f"?before={newest[at - 1][0]}" if at else ""
        yield f"/documents{before}", {payload: LISTED for _, payload in newest[at : at + 50]}
    for at, group in enumerate(groups()):
        if at % 2 == 0:
            yield f"/documents/{hostile.documents[at * GROUP]}", dict.fromkeys(group, ("metadata", "name of metadata"))
        if at % 4 == 0:
            yield f"/ask?q={quote(group[0])}", {group[0]: ("query",)}
    for conversation, group in zip(hostile.conversations, groups(), strict=True):
        yield f"/ask/{conversation}", dict.fromkeys(group[:-1], TOLD) | {group[-1]: REFUSED}
    logged = list(reversed(list(zip(hostile.interactions, PAYLOADS, strict=True))))
    for at in range(0, len(logged), 50):
        before = f"?before={logged[at - 1][0]}" if at else ""
        lines = {payload: ("line of the log",) for _, payload in logged[at : at + 50]}
        views = {name_of(payload): ("saved view", "view to remove") for payload in PAYLOADS}
        yield f"/log{before}", {key: lines.get(key, ()) + views.get(key, ()) for key in lines | views}
    for number in range(5, len(PAYLOADS), 50):
        yield f"/log/{hostile.interactions[number]}", {PAYLOADS[number]: ENTRY}
    yield from judged(hostile)


def judged(hostile: Hostile) -> Iterator[tuple[str, dict[str, tuple[str, ...]]]]:
    """The pages of review, comparison and evaluation."""
    firsts = [group[0] for group in groups()]
    yield "/review", {name_of(payload): ("queue",) for payload in firsts}
    for at, (item, group) in enumerate(zip(hostile.items, groups(), strict=True)):
        reviewed = dict.fromkeys(group, ("guidelines", "note or correction"))
        named = {name_of(payload, 60): ("label", "label of a review") for payload in group[:9]}
        address = f"/review/queues/{quote(name_of(group[0]), safe='')}"
        yield address, {key: reviewed.get(key, ()) + named.get(key, ()) for key in reviewed | named}
        if at % 5 == 0:
            better: dict[str, tuple[str, ...]] = {group[1]: ("better passage", "its title")}
            yield f"/review/items/{item}", {group[0]: ITEM} | better
            yield (
                f"/compare/experiments/{at + 1}",
                {name_of(group[1], 60): ("configuration", "answers", "who wins")},
            )
            yield f"/evaluation/{at + 1}", dict.fromkeys(group, ("worst question", "its document"))
    names = {name_of(payload): ("experiment",) for payload in firsts}
    yield "/compare", names | {name_of(payload, 60): ("configuration", "who wins", "judgement") for payload in firsts}
    yield "/evaluation", {group[1]: ("questions of a run",) for group in groups()}


def check(page: Page, address: str) -> None:
    assert page.evaluate("() => window.canaries || 0") == 0, f"a script ran on {address}"
    assert page.evaluate(INJECTED) == [], f"an element came of a payload on {address}"


def follow_a_link(page: Page) -> None:
    """Neither does what is fetched behind a page do anything."""
    page.goto(f"/ask/{'c0'}")
    page.get_by_role("button", name="Bad answer").first.click()
    settled(page)
    check(page, "the feedback")


def count_all(page: Page, every: int) -> None:
    page.goto("/log")
    expect(page.locator(".heading [aria-live]")).to_contain_text(f"{COUNTED}+ interactions")
    page.get_by_role("button", name="Count all").click()
    expect(page.locator(".heading [aria-live]")).to_have_text(f"{every} interactions")
    check(page, "the count")


def squeezed(text: str) -> str:
    """Without blanks and what has no shape: pages fold the ones, cleaning takes the other out of documents."""
    void = [c for c in set(text) if c.isspace() or unicodedata.category(c) in ("Cc", "Cf")]
    return text.translate(dict.fromkeys(map(ord, void)))


PLANTED = """<!doctype html><title>planted</title><h1>planted</h1><script>canary()</script>
<img src="//evil.example/i.png"><script>alert(1)</script>"""


@pytest.mark.parametrize("form", FORMS)
def test_no_export_holds_a_live_formula_or_breaks(hostile: Hostile, form: str, tmp_path: Path) -> None:
    house = House(hostile.folder, hostile.folder / "models")
    done = house("datasets", "export", DATASET, str(tmp_path / "out"), "--format", form)
    assert done.code == 0, done.err
    assert not _CONTROL.search(done.out + done.err)
    files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    for path in files:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                cells = [cell for row in csv.reader(file) for cell in row]
            assert len(cells) > GROUP * len(groups())
            assert not [cell for cell in cells if cell.lstrip().startswith(FORMULA)]
            assert f"'{bare(PAYLOADS[165])}" in cells, "a correction that would have been one"
        elif path.suffix == ".jsonl":
            assert all(json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line)
        elif path.suffix == ".md":
            card = path.read_text(encoding="utf-8")
            assert not _CONTROL.search(card), "a card that is printed steers no terminal"
            fenced = [part for part in card.split("\n~~~~") if "<script>" in part]
            assert fenced, "what reviewers were told is in it"
    assert len(files) >= 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("reviews", "queues", "list"),
        ("reviews", "queues", "show", name_of(PAYLOADS[170])),
        ("reviews", "list", "-n", "200"),
        ("reviews", "show", "176"),
        ("reviews", "agreement", name_of(PAYLOADS[170])),
        ("logs", "views"),
        ("datasets", "list"),
        ("datasets", "show", FEW, "-n", "200"),
        ("experiment", "list"),
        ("experiment", "show", name_of(PAYLOADS[170]), "--answers"),
        ("compare", "list"),
        ("compare", "results", name_of(PAYLOADS[170])),
        ("eval", "list"),
        ("eval", "show", name_of(PAYLOADS[171])),
        ("gate", FEW, "--min", "success_5=1", "--mode", "keyword"),
    ],
)  # fmt: skip
def test_nothing_steers_a_terminal(hostile: Hostile, arguments: tuple[str, ...]) -> None:
    house = House(hostile.folder, hostile.folder / "models")
    for form in ((), ("--json",)) if arguments[:2] != ("reviews", "show") else ((),):
        done = house(*arguments, *form)
        assert done.code in (0, 1), done.err
        assert len(done.out) > 20
        assert not _CONTROL.search(done.out + done.err), arguments


def test_the_watch_would_have_seen_it(browser: Browser, url: str) -> None:
    """A page without escaping and policy: the canary sings, the elements are found, request and dialog are told."""
    with watched(browser, url) as (page, watch):
        page.context.add_init_script(CANARY)
        page.route("**/planted", lambda route: route.fulfill(body=PLANTED, content_type="text/html"))
        page.goto("/planted")
        with pytest.raises(AssertionError, match="a script ran"):
            check(page, "planted")
        assert len(page.evaluate(INJECTED)) == 3
        told = " ".join(watch.wrong)
        assert "request to http://evil.example/i.png" in told
        assert "dialog: 1" in told
        with pytest.raises(AssertionError, match="evil"):
            watch.check()
        watch.wrong.clear()
