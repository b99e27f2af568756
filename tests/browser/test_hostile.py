"""Payloads as document, title, file name, metadata, label, question, answer, comment and tag: pages show them as text.

No script runs, no request leaves the origin, no dialog opens, nothing of them becomes an element.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page

from ingest import sources
from rag.app import App, opening
from rag.corpus import Arrival, Origin
from rag.store import documents as document_store
from rag.store import interactions as interaction_store
from rag.store.collections import Collection
from rag.store.permitted import Predicate
from rag.types import Answer, Citation, Hit, Interaction, Part, Passage, Place, Reason, Refusal, Score, Usage
from tests.api import server, small
from tests.browser.conftest import require_chromium, settled, watched
from tests.browser.payloads import payloads

PAYLOADS = list(payloads())
GROUP = 10  # payloads a document and a conversation
GOAL = 1500  # payloads × places, seen on pages
PLAIN = "Somebody sent these words, of which nobody knows what they are for; what follows stands in them as it came:"
CANARY = "window.canary = () => { window.canaries = (window.canaries || 0) + 1; };"
INJECTED = """() => [...document.querySelectorAll(
  'script:not([src^="/static/"]), img, iframe, object, embed, base, style, math, template:not([id]), meta[http-equiv],'
  + 'link:not([href^="/static/"]), [style], a[href^="javascript" i], a[href^="data" i], form[action*="//"],'
  + '[onload], [onerror], [onfocus], [ontoggle], [onbegin], [hx-trigger="load"][hx-get="/ask"], [data-beacon^="//"]'
)].map(element => element.outerHTML.slice(0, 200))"""


@dataclass(frozen=True, slots=True)
class Hostile:
    url: str
    documents: list[int]
    interactions: list[str]
    conversations: list[str]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    require_chromium()
    settings = small(tmp_path_factory.mktemp("hostile"))
    with opening(settings, create=True) as app:
        documents = write_documents(app)
        found = write_log(app, documents)
    with server(settings) as url:
        yield Hostile(url, documents, *found)


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


def write_log(app: App, documents: list[int]) -> tuple[list[str], list[str]]:
    """One interaction a payload, in conversations of GROUP turns, the last of which is a refusal; with a comment."""
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
        for payload in group:
            document = stored[documents[number]]
            chunk = chunks[document.id]
            key = f"01J{number:023d}"
            hit = Hit(chunk.id, 0.5, {"dense": Part(1, 0.5)})
            place = Place(document.id, document.uri, payload, payload, {payload: payload})
            passage = Passage(
                hit, payload, payload, (payload, payload), (place,), None, chunk.start, chunk.end, document.content_id
            )
            entry = interaction(app, collection, key, payload, passage, parent, f"c{number // GROUP}")
            with app.database.write() as connection:
                interaction_store.record(connection, app.database, entry, collection.id)
                interaction_store.add_feedback(
                    connection, app.tenant_id, key, user="local", rating=-1, label=None, comment=payload
                )
            keys.append(key)
            parent, number = key, number + 1
        conversations.append(f"c{(number - 1) // GROUP}")
    return keys, conversations


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


def test_payloads_are_shown_and_do_nothing(browser: Browser, hostile: Hostile) -> None:
    seen: set[tuple[str, str]] = set()
    with watched(browser, hostile.url) as (page, _):
        page.context.add_init_script(CANARY)
        for address, held in visits(hostile):
            page.goto(address)
            settled(page)
            check(page, address)
            text = squeezed(page.evaluate("() => document.body.textContent"))
            for payload, places in held.items():
                shown = text.count(squeezed(payload))
                assert shown >= len(places), f"{address} shows {payload!r} {shown} times, not as {places}"
                seen |= {(place, payload) for place in places}
        follow_a_link(page)
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
        yield f"/log{before}", {payload: ("line of the log",) for _, payload in logged[at : at + 50]}
    for number in range(5, len(PAYLOADS), 50):
        yield f"/log/{hostile.interactions[number]}", {PAYLOADS[number]: ("entry of the log",)}


def check(page: Page, address: str) -> None:
    assert page.evaluate("() => window.canaries || 0") == 0, f"a script ran on {address}"
    assert page.evaluate(INJECTED) == [], f"an element came of a payload on {address}"


def follow_a_link(page: Page) -> None:
    """Neither does what is fetched behind a page do anything."""
    page.goto(f"/ask/{'c0'}")
    page.get_by_role("button", name="Bad answer").first.click()
    settled(page)
    check(page, "the feedback")


def squeezed(text: str) -> str:
    """Without blanks and what has no shape: pages fold the ones, cleaning takes the other out of documents."""
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf"))


PLANTED = """<!doctype html><title>planted</title><h1>planted</h1><script>canary()</script>
<img src="//evil.example/i.png"><script>alert(1)</script>"""


def test_the_watch_would_have_seen_it(browser: Browser, hostile: Hostile) -> None:
    """A page without escaping and policy: the canary sings, the elements are found, request and dialog are told."""
    with watched(browser, hostile.url) as (page, watch):
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
