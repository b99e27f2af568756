"""The pages Log: what was asked, with filters and saved views; one pair whole, with all that led to its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from rag.api.models import ULID
from rag.api.models.replays import ReplayRequest
from rag.api.pages import shown
from rag.api.pages.asked import OUTCOMES, Asked, Wanted, of_query
from rag.api.pages.forms import Given
from rag.api.pages.rendering import PageRoute, number, page, see
from rag.api.requests import Asker, TheHouse
from rag.api.routes.interactions import check_seen
from rag.api.routes.replays import check_logged
from rag.errors import NotPermitted, WrongUsage
from rag.experiments.differences import difference
from rag.experiments.replay import Otherwise, replay
from rag.store import dashboard as figures_store
from rag.store import interactions as store
from rag.store.database import Connection
from rag.store.log import standing, tags, views
from rag.store.reviews import items as item_store
from rag.store.reviews import queues as queue_store
from rag.store.reviews import reviews as review_store
from rag.store.reviews.items import NewItem
from rag.types import Cut, Hit, Interaction, Part, Principal

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LISTED = 50  # interactions of a page
FURTHER = 5  # candidates that are shown at once beside the passages
SHOWN = ("faithfulness", "answer_relevancy")  # scores of a line

Id = Annotated[str, Path(pattern=ULID)]
Cursor = Annotated[str, Query(pattern=f"^$|{ULID}")]


# ── the list ────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/log")
def listing(
    request: Request, house: TheHouse, principal: Asker, wanted: Wanted, before: Cursor = "", after: Cursor = ""
) -> Response:
    """The newest interactions that the filters mean; those before the one named by `before`, or else the last ones
    newer than `after`. A token that is bound to labels sees its own."""
    query = _own(wanted.query(), principal)
    back = bool(after and not before)
    with house.app.database.read() as connection:
        found = store.listing(
            connection,
            principal.tenant_id,
            query,
            limit=LISTED + 1,
            before=before.upper() or None,
            after=after.upper() or None,
        )
        if back and len(found) <= LISTED:
            return see(request, wanted.href())  # the newest, as many as a page has
        rows = found[-LISTED:] if back else found[:LISTED]
        ids = [entry.id for entry in rows]
        beside = standing.of(connection, principal.tenant_id, ids)
        tagged = tags.of(connection, principal.tenant_id, ids)
        names = figures_store.names(connection, principal.tenant_id)
        mine = views.listing(connection, principal.tenant_id, principal.user)
    return page(
        request,
        "log.html",
        asked=wanted,
        rows=rows,
        beside=beside,
        tagged=tagged,
        names=names if principal.labels is None else names | {"user": [principal.user]},
        outcomes=tuple(OUTCOMES),
        views=[(view.name, of_query(view.query).href()) for view in mine],
        scores=SHOWN,
        first=wanted.href() if before or back else None,
        previous=wanted.href(after=rows[0].id) if rows and (before or back) else None,
        next=wanted.href(before=rows[-1].id) if back or len(found) > LISTED else None,
    )


@router.get("/log/count")
def counted(
    request: Request,
    house: TheHouse,
    principal: Asker,
    wanted: Wanted,
    exact: Annotated[Literal["", "1"], Query()] = "",
) -> Response:
    """How many there are, as a part of the page: counting is not to hold up the list. It ends where it would take long,
    with a lower bound, unless all are asked for."""
    query = _own(wanted.query(), principal)
    with house.app.database.read() as connection:
        if exact:
            found = store.Count(store.count(connection, principal.tenant_id, query), more=False)
        else:
            found = store.counted(connection, principal.tenant_id, query)
    told = f"{number(found.number)}{'+' if found.more else ''}"
    every = wanted.given() | {"exact": "1"} if found.more else None
    return page(request, "_count.html", told=told, one=told == "1", every=every)


@router.post("/log/views")
def save_view(request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Keep what the filters say under a name."""
    wanted = Asked(**{name: given.text(name) for name in Asked.__slots__})
    with house.app.database.write() as connection:
        view = views.save(
            connection, principal.tenant_id, principal.user, given.required("name", "a name"), wanted.query()
        )
    return see(request, wanted.href(), f"The view “{view.name}” is saved.")


@router.post("/log/views/remove")
def remove_view(request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    name = given.required("name", "a name")
    with house.app.database.write() as connection:
        views.remove(connection, principal.tenant_id, principal.user, name)
    return see(request, "/log", f"The view “{name}” is gone.")


def _own(query: store.Query, principal: Principal) -> store.Query:
    """The query as far as the asker may see: of one who is bound to labels, only their own questions."""
    if principal.labels is None:
        return query
    if query.user not in (None, principal.user):
        raise NotPermitted("this token is bound to labels; it sees its own questions only")
    return store.query_value(store.query_json(query) | {"user": principal.user})


# ── one pair ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage of a waterfall: where it began and how long it took, as shares of the whole, 0 to 100."""

    name: str
    ms: float
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate: where each stage placed it, and what became of it."""

    chunk_id: int
    number: int | None  # in the prompt; None: not shown to the generator
    title: str
    href: str | None
    cited: bool
    cut: Cut | None  # what the prompt had no room for
    score: float
    parts: Mapping[str, Part]


@router.get("/log/{interaction_id}")
def one(interaction_id: Id, request: Request, house: TheHouse, principal: Asker) -> Response:
    """One question with everything that led to its answer, and what was said of it."""
    with house.app.database.read() as connection:
        entry = _seen(connection, interaction_id, principal)
        feedback = store.feedback_of(connection, entry.id)
        tagged = tags.of(connection, principal.tenant_id, [entry.id]).get(entry.id, ())
        beside = standing.of(connection, principal.tenant_id, [entry.id]).get(entry.id)
        own = None if principal.labels is None else principal.user
        linked = standing.linked(connection, entry, user=own)
        reviews = review_store.of_interaction(connection, principal, entry.id)
        queues = queue_store.listing(connection, principal.tenant_id) if principal.labels is None else []
    segments = shown.segments(entry)
    rows = candidates(entry)
    used, unused = settings_of(entry)
    return page(
        request,
        "log_entry.html",
        entry=entry,
        segments=segments,
        sentences=shown.sentences(segments),
        rows=rows,
        first=len(entry.passages) + FURTHER,
        stages=list(dict.fromkeys(name for row in rows for name in row.parts)),
        bars=waterfall(entry.timings_ms),
        feedback=feedback,
        tagged=tagged,
        standing=beside,
        linked=linked,
        reviews=reviews,
        queues=queues,
        used=used,
        unused=unused,
    )


@router.post("/log/{interaction_id}/tags")
def tag(interaction_id: Id, request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Put tags to it, separated by commas, or take one away."""
    gone = given.given("gone")
    new = [name.strip() for name in given.text("tags").split(",") if name.strip()]
    if gone is None and not new:
        raise WrongUsage("a tag is missing")
    with house.app.database.write() as connection:
        entry = _seen(connection, interaction_id, principal)
        if gone is not None:
            tags.remove(connection, principal.tenant_id, [entry.id], [gone])
        else:
            tags.add(connection, principal.tenant_id, [entry.id], new, user=principal.user)
    return see(request, f"/log/{entry.id}#tags", "Tags changed.")


@router.post("/log/{interaction_id}/feedback")
def say(interaction_id: Id, request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Say what the answer is worth."""
    with house.app.database.write() as connection:
        entry = _seen(connection, interaction_id, principal)
        store.add_feedback(
            connection,
            principal.tenant_id,
            entry.id,
            user=principal.user,
            rating=given.whole("rating"),
            label=given.given("label"),
            comment=given.given("comment"),
        )
    return see(request, f"/log/{entry.id}#feedback", "What you said is kept with the answer.")


@router.post("/log/{interaction_id}/queue")
def queue(interaction_id: Id, request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Put it into a queue of reviews."""
    if principal.labels is not None:
        raise NotPermitted("this token is bound to labels; queues are filled by one that is not")
    name = given.required("queue", "a queue")
    with house.app.database.write() as connection:
        entry = _seen(connection, interaction_id, principal)
        chosen = queue_store.get(connection, principal.tenant_id, name)
        added = item_store.put(connection, principal.tenant_id, chosen.id, [NewItem(entry.id, ("put in by hand",))])
    told = f"It waits for review in “{name}”." if added else f"It is in “{name}” already."
    return see(request, f"/log/{entry.id}", told)


@router.post("/log/{interaction_id}/replay")
async def run_again(interaction_id: Id, request: Request, house: TheHouse, principal: Asker) -> Response:
    """Run it again as it was, retrieval included, and show what differs."""

    def run() -> str:
        with house.app.database.read() as connection:
            entry = _seen(connection, interaction_id, principal)
        check_logged(entry, ReplayRequest(), house)
        return replay(house.app, entry, principal, Otherwise())[0].id

    new = await to_thread.run_sync(run, limiter=house.answers)
    return see(request, f"/log/{new}/difference")


@router.get("/log/{interaction_id}/difference")
def different(
    interaction_id: Id,
    request: Request,
    house: TheHouse,
    principal: Asker,
    against: Annotated[str, Query(pattern=f"^$|{ULID}")] = "",
) -> Response:
    """What differs between this answer and the one that it replays, or another."""
    with house.app.database.read() as connection:
        second = _seen(connection, interaction_id, principal)
        earlier = against or second.replays_id
        if earlier is None:
            raise WrongUsage("this interaction replays none; name the one to compare it with: ?against=ID")
        first = _seen(connection, earlier, principal)
    found = difference(house.app.database, house.app.access, first, second, principal)
    return page(request, "log_difference.html", found=found)


def _seen(connection: Connection, interaction_id: str, principal: Principal) -> Interaction:
    """The interaction whole. Raises NotFound for one that the asker may not see."""
    found = store.get(connection, principal.tenant_id, interaction_id)
    check_seen(found, principal)
    return found


def candidates(entry: Interaction) -> list[Row]:
    """Everything that was found: passages of the prompt in its order, then the others as they were ranked."""
    cuts = (
        {}
        if entry.prompt is None or entry.prompt.left_out is None
        else {cut.chunk_id: cut for cut in entry.prompt.left_out.passages}
    )
    cited = set() if entry.answer is None else {citation.passage for citation in entry.answer.citations}
    shown_ones = [
        Row(
            passage.hit.chunk_id,
            at,
            passage.title,
            shown.passage_href(passage),
            at in cited,
            cuts.get(passage.hit.chunk_id),
            passage.hit.score,
            passage.hit.parts,
        )
        for at, passage in enumerate(entry.passages, 1)
    ]
    return shown_ones + [_other(hit, cuts.get(hit.chunk_id)) for hit in entry.candidates]


def _other(hit: Hit, cut: Cut | None) -> Row:
    return Row(hit.chunk_id, None, "", None, False, cut, hit.score, hit.parts)


def waterfall(timings_ms: Mapping[str, float]) -> list[Bar]:
    """The stages one after another, in the order in which they ran; what lies between them and the total is "other"."""
    total = timings_ms.get("total", 0.0)
    stages = [(name, taken) for name, taken in timings_ms.items() if name != "total"]
    whole = max(total, sum(taken for _, taken in stages)) or 1.0
    found, at = list[Bar](), 0.0
    for name, taken in stages:
        found.append(Bar(name, taken, 100 * at / whole, 100 * taken / whole))
        at += taken
    if total - at > 0.01 * whole:
        found.append(Bar("other", total - at, 100 * at / whole, 100 * (total - at) / whole))
    return found


def settings_of(entry: Interaction) -> tuple[Sequence[tuple[str, str]], Sequence[str]]:
    """The settings of an interaction that have a value, in words, and the names of those that have none."""
    named = [(name.replace("_", " "), value) for name, value in sorted(entry.settings.items())]
    given = [(name, value) for name, value in named if value or isinstance(value, int | float)]
    return [(name, _said(value)) for name, value in given], sorted(
        {name for name, _ in named} - {name for name, _ in given}
    )


def _said(value: object) -> str:
    """A setting as people say it: yes and no, numbers short, what has parts by its parts."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_said(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_said(part) for part in value)
    return str(value)
