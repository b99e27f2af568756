"""The pages of review: queues and how they stand, an answer to be judged, how far reviewers agree."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from markdown_it import MarkdownIt
from markupsafe import Markup

from rag.api.house import House
from rag.api.models import MAX_ID
from rag.api.models.searching import SearchRequest
from rag.api.pages import shown
from rag.api.pages.forms import Form, Given
from rag.api.pages.rendering import PageRoute, page, see
from rag.api.requests import Asker, TheHouse, utc
from rag.api.routes.reviews import check_unbound
from rag.api.routes.search import searched
from rag.errors import NotFound, WrongUsage
from rag.reviews import filling as reviewing
from rag.reviews.rules import Disagreement, LowScore, Plain, Share, parse, rule_json
from rag.store import interactions as interaction_store
from rag.store.database import Connection
from rag.store.reviews import claims
from rag.store.reviews import items as item_store
from rag.store.reviews import queues as queue_store
from rag.store.reviews import reviews as review_store
from rag.store.reviews import texts as text_store
from rag.store.reviews.claims import LockLost
from rag.store.reviews.items import Item
from rag.store.reviews.reviews import Review, Said
from rag.store.reviews.texts import Judged, Named
from rag.types import Interaction, Metadata, Principal

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LEASE_S = 300.0  # a page renews its lock every minute; a browser that is gone without a word is not waited for longer
FOUND = 5  # passages that a search for better ones shows
LISTED = 50  # reviews on a queue's page
GRADES = ((0, "Not relevant"), (1, "Relevant"), (2, "Answers in part"), (3, "Answers"))

Name = Annotated[str, Path(min_length=1, max_length=100)]
ItemId = Annotated[int, Path(ge=1, le=MAX_ID)]
Owner = Annotated[str | None, Query(min_length=1, max_length=64)]


# ── queues ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/review")
def overview(request: Request, house: TheHouse, principal: Asker) -> Response:
    """The queues and how they stand."""
    with house.app.database.read() as connection:
        found = queue_store.listing(connection, principal.tenant_id)
        rows = [(queue, item_store.counts(connection, principal, queue.id)) for queue in found]
    return page(request, "review.html", rows=rows, keeps=principal.labels is None)


@router.post("/review")
def add(request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Make a queue by the rules of the form, and fill it."""
    check_unbound(principal)
    name = given.required("name", "the name")
    with house.app.database.write() as connection:
        queue_store.add(
            connection,
            principal.tenant_id,
            name,
            _rule(given),
            user=principal.user,
            guidelines=given.text("guidelines"),
            reviewers=given.whole("reviewers") or 1,
        )
    filled = reviewing.fill(house.app.database, principal.tenant_id, name)
    return see(request, _address(name), f"Made, with {filled.added} answers.")


@router.get("/review/queues/{name}")
def queue(name: Name, request: Request, house: TheHouse, principal: Asker) -> Response:
    """One queue: its rule and guidelines, what was said in it, how far its reviewers agree."""
    with house.app.database.read() as connection:
        found = queue_store.get(connection, principal.tenant_id, name)
        counts = item_store.counts(connection, principal, found.id)
        query = review_store.Query(queue=name)
        reviews = review_store.listing(connection, principal, query, limit=LISTED)
        agreed = reviewing.agreement_in(connection, found) if principal.labels is None else None
    guidelines = markdown(found.guidelines)
    values = {"queue": found, "counts": counts, "reviews": reviews, "agreed": agreed, "guidelines": guidelines}
    return page(request, "review_queue.html", **values, clauses=_told(found.rule), keeps=principal.labels is None)


@router.get("/review/queues/{name}/agreement")
def agreement(name: Name, request: Request, house: TheHouse, principal: Asker) -> Response:
    """How far a queue's reviewers agree, as a part of the list of queues: measuring is not to hold up the list."""
    check_unbound(principal)
    with house.app.database.read() as connection:
        found = reviewing.agreement_in(connection, queue_store.get(connection, principal.tenant_id, name))
    return page(request, "_review_agreement.html", alpha=found.alpha, here=_address(name), any=bool(found.pairs))


@router.post("/review/queues/{name}/guidelines")
def guide(name: Name, request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Change what reviewers are told, and how many an answer needs."""
    check_unbound(principal)
    with house.app.database.write() as connection:
        queue_store.change(
            connection,
            principal.tenant_id,
            name,
            user=principal.user,
            guidelines=given.text("guidelines"),
            reviewers=given.whole("reviewers"),
        )
    return see(request, _address(name), "Changed; reviews keep the guidelines under which they were made.")


@router.post("/review/queues/{name}/fill")
def fill(name: Name, request: Request, house: TheHouse, principal: Asker) -> Response:
    """Apply the rule to the whole log."""
    check_unbound(principal)
    filled = reviewing.fill(house.app.database, principal.tenant_id, name)
    notes = "".join(f" {note}." for note in filled.notes)
    return see(request, _address(name), f"{filled.added} answers came in, of {filled.looked_at} looked at.{notes}")


@router.post("/review/queues/{name}/remove")
def remove(name: Name, request: Request, house: TheHouse, principal: Asker) -> Response:
    """Take a queue away; its reviews stay."""
    check_unbound(principal)
    with house.app.database.write() as connection:
        kept = queue_store.remove(connection, principal.tenant_id, name, user=principal.user)
    return see(request, "/review", f"Removed; {kept} reviews of it stay in the log.")


@router.post("/review/queues/{name}/next")
def following(name: Name, request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Lock the next answer and show it."""
    return _next(request, house, principal, name, skipped=given.text("skipped") == "on")


@router.post("/review/queues/{name}/undo")
def undo(name: Name, request: Request, house: TheHouse, principal: Asker) -> Response:
    """Take back what the asker said last in a queue, and show it again to be said otherwise."""
    query = review_store.Query(queue=name, reviewer=principal.user)
    with house.app.database.write() as connection:
        queue_store.get(connection, principal.tenant_id, name)
        last = review_store.listing(connection, principal, query, limit=1)
        if not last:
            return see(request, _address(name), "You have said nothing in this queue that could be taken back.")
        review_store.withdraw(connection, principal, last[0].id)
        try:
            _, lock = claims.take(connection, principal, last[0].item_id, lease_s=LEASE_S)
        except LockLost:  # somebody else judges it, too: what was said of it is taken back all the same
            return see(request, f"/review/items/{last[0].item_id}?was={last[0].id}", "Taken back.")
    return see(request, f"/review/items/{lock.item_id}?lock={lock.owner}&was={last[0].id}", "Taken back; say it anew.")


def _next(
    request: Request, house: House, principal: Principal, name: str, *, skipped: bool = False, said: str = ""
) -> Response:
    found = reviewing.next_item(house.app.database, principal, name, lease_s=LEASE_S, skipped=skipped)
    if found is None:
        return see(request, _address(name), f"{said} Nothing more waits for you here.".strip())
    return see(request, f"/review/items/{found[0].id}?lock={found[1].owner}", said)


# ── one answer ──────────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/review/items/{item_id}")
def item(
    item_id: ItemId,
    request: Request,
    house: TheHouse,
    principal: Asker,
    lock: Owner = None,
    was: Annotated[int | None, Query(ge=1, le=MAX_ID, description="a review that was taken back")] = None,
    q: Annotated[str, Query(max_length=20000)] = "",
) -> Response:
    """An answer to be judged. With `lock` the lock of this window goes on."""
    lost, until = _held(house, principal, item_id, lock)
    with house.app.database.read() as connection:
        found = item_store.get(connection, principal, item_id)
        of = queue_store.by_id(connection, found.queue_id)
        counts = item_store.counts(connection, principal, of.id)
        entry = interaction_store.get(connection, principal.tenant_id, found.interaction_id)
        before = _before(connection, principal, found, was)
        named: list[Named] = []
        if before is not None:
            grades = text_store.chunks_of(connection, before.passages)
            named = text_store.named(connection, principal, entry.id, grades)
    segments = shown.segments(entry)
    return page(
        request,
        "review_item.html",
        item=found,
        queue=of,
        counts=counts,
        entry=entry,
        segments=segments,
        sentences=shown.sentences(segments),
        before=before,
        given={} if before is None else {each.number: each.grade for each in before.passages},
        better=_better(house, principal, entry, q, named),
        q=q,
        grades=GRADES,
        guidelines=markdown(of.guidelines),
        lock=lock,
        lost=lost,
        until=until,
        every_s=round(LEASE_S / 5),
    )


@router.post("/review/items/{item_id}")
def save(item_id: ItemId, request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Keep what was said, and go on to the next answer."""
    said = Said(
        given.required("label", "a label"),
        given.given("corrected_answer"),
        _judged(given),
        tuple(tag.strip() for tag in given.text("tags").split(",") if tag.strip()),
        given.given("note"),
    )
    with house.app.database.write() as connection:
        review = review_store.save(connection, principal, item_id, said)
        open_queue = queue_store.by_id(connection, review.queue_id).removed_at is None
    told = f"Saved: {review.label}."
    if not open_queue:
        return see(request, "/review", f"{told} Its queue was removed meanwhile; the review is kept.")
    return _next(request, house, principal, review.queue, said=told)


@router.post("/review/items/{item_id}/lock")
def lock_item(item_id: ItemId, request: Request, house: TheHouse, principal: Asker) -> Response:
    """Lock an answer that is shown without a lock."""
    with house.app.database.write() as connection:
        _, lock = claims.take(connection, principal, item_id, lease_s=LEASE_S)
    return see(request, f"/review/items/{item_id}?lock={lock.owner}")


@router.post("/review/items/{item_id}/held")
def held(item_id: ItemId, request: Request, house: TheHouse, principal: Asker, lock: Owner = None) -> Response:
    """Renew the lock of a window that is open, as a part of its page."""
    lost, until = _held(house, principal, item_id, lock)
    return page(request, "_review_lock.html", lost=lost, until=until, lock=lock, here=f"/review/items/{item_id}")


@router.post("/review/items/{item_id}/free")
def free(
    item_id: ItemId, house: TheHouse, principal: Asker, lock: Owner = None, until: datetime | None = None
) -> Response:
    """Give back the lock of a window that is closed, as it knew it."""
    if lock is not None:
        with house.app.database.write() as connection:
            claims.free(connection, principal, item_id, lock, until=utc(until))
    return Response(status_code=204)


@router.post("/review/items/{item_id}/skip")
def skip(item_id: ItemId, request: Request, house: TheHouse, principal: Asker, lock: Owner = None) -> Response:
    """Pass over an answer and go on to the next."""
    with house.app.database.write() as connection:
        found = item_store.get(connection, principal, item_id)
        claims.skip(connection, principal, item_id, lock)
    return _next(request, house, principal, found.queue, said="Skipped.")


@router.post("/review/items/{item_id}/better")
def better(item_id: ItemId, request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Passages that may be better than those shown, as a part of the page; those that were chosen stay."""
    with house.app.database.read() as connection:
        found = item_store.get(connection, principal, item_id)
        entry = interaction_store.get(connection, principal.tenant_id, found.interaction_id)
        chosen = text_store.named(connection, principal, entry.id, _grades(given, "better-"))
    rows = _better(house, principal, entry, given.text("q"), chosen)
    return page(request, "_review_better.html", better=rows, grades=GRADES)


def _held(house: House, principal: Principal, item_id: int, lock: str | None) -> tuple[str | None, datetime | None]:
    """Why this window does not hold the item, in words, and until when it does."""
    if lock is None:
        return None, None
    try:
        with house.app.database.write() as connection:
            _, renewed = claims.take(connection, principal, item_id, owner=lock, lease_s=LEASE_S)
    except LockLost as error:
        return str(error), None
    return None, renewed.until


def _before(connection: Connection, principal: Principal, item: Item, was: int | None) -> Review | None:
    """What the asker has said of an item, or has taken back a moment ago."""
    if was is not None:
        review = review_store.get(connection, principal, was)
        return review if (review.item_id, review.reviewer) == (item.id, principal.user) else None
    found = review_store.of_interaction(connection, principal, item.interaction_id)
    return next((each for each in found if (each.item_id, each.reviewer) == (item.id, principal.user)), None)


def _better(house: House, principal: Principal, entry: Interaction, words: str, chosen: list[Named]) -> list[Named]:
    """Those that were chosen already, then what a search finds besides them and what was shown."""
    if not words.strip():
        return chosen
    known = {each.chunk_id for each in chosen} | {passage.hit.chunk_id for passage in entry.passages}
    asked = SearchRequest(query=words, k=FOUND + len(known), collection=entry.collection)
    try:
        found = searched(asked, house, principal)
    except NotFound as error:
        raise WrongUsage(f"the collection {entry.collection!r} is gone; nothing can be searched in it") from error
    hits = found["hits"]
    assert isinstance(hits, list)
    new = [Named(hit["chunk_id"], hit["title"], hit["text"], -1) for hit in hits if hit["chunk_id"] not in known]
    return chosen + new[:FOUND]


# ── forms ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _judged(given: Form) -> tuple[Judged, ...]:
    shown_ones = [Judged(grade, number=number) for number, grade in _grades(given, "grade-").items()]
    return (*shown_ones, *(Judged(grade, chunk_id=key) for key, grade in _grades(given, "better-").items()))


def _grades(given: Form, prefix: str) -> dict[int, int]:
    """The grades of a form by what stands behind the prefix; those left open are not among them."""
    found: dict[int, int] = {}
    for name, _ in given.fields:
        key = name.removeprefix(prefix)
        if name.startswith(prefix) and key.isascii() and key.isdecimal() and len(key) < 19:
            grade = given.whole(name)
            if grade is not None:
                found[int(key)] = grade
    return found


def _rule(given: Form) -> Metadata:
    """The rule that the form describes."""
    clauses: list[dict[str, object]] = [
        {"kind": kind} for kind in ("thumbs_down", "refused", "failed") if given.given(kind)
    ]
    if (score := given.given("score")) is not None:
        below = given.real("below")
        clauses.append({"kind": "low_score", "score": score, "below": 0.5 if below is None else below})
    if (share := given.real("share")) is not None:
        clauses.append({"kind": "share", "share": share / 100})
    if given.given("disagreement"):
        clauses.append({"kind": "disagreement", "scores": ["faithfulness", "answer_relevancy"], "distance": 0.5})
    where = {name: value for name in ("model", "template", "collection") if (value := given.given(name)) is not None}
    if not clauses:
        clauses.append({"kind": "every"})
    return rule_json(parse({"any": clauses, "where": where, "waiting": given.whole("waiting") or 200}))


@dataclass(frozen=True, slots=True)
class Told:
    """A clause of a rule in words."""

    words: str
    quota: int | None


def _told(rule: Metadata) -> list[Told]:
    return [Told(_words(clause.choice), clause.quota) for clause in parse(rule).clauses]


def _words(choice: object) -> str:
    if isinstance(choice, LowScore):
        return f"{choice.score.replace('_', ' ')} below {choice.below:g}"
    if isinstance(choice, Disagreement):
        one, other = (name.replace("_", " ") for name in choice.scores)
        return f"{one} and {other} rank it at least {choice.distance:.0%} apart"
    if isinstance(choice, Share):
        return f"a random {choice.share:.3g} of all"
    assert isinstance(choice, Plain)
    plain = {"thumbs_down": "thumbs down", "refused": "refused", "failed": "failed", "every": "all that pass"}
    return plain[choice.kind]


def _address(name: str) -> str:
    return f"/review/queues/{quote(name, safe='')}"


def markdown(text: str) -> Markup:
    """Markdown as HTML that holds nothing but text, lists and links: no HTML of its own, no images (they would be
    fetched from elsewhere), headings below those of the page."""
    reader = MarkdownIt("commonmark", {"html": False}).disable("image")
    tokens = reader.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return Markup(reader.renderer.render(tokens, reader.options, {}))
