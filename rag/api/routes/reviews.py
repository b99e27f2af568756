"""Reviews: queues under /api/review-queues, items, locks and what people say under /api/reviews."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from rag.api.answers import Json, documented
from rag.api.models import MAX_ID, ULID
from rag.api.models.reviews import (
    FreeRequest,
    ItemsAdded,
    ItemsRequest,
    LockRequest,
    NextItem,
    NextRequest,
    QueueChange,
    QueueFilled,
    QueueRequest,
    Review,
    ReviewAgreement,
    ReviewItems,
    ReviewItemWhole,
    ReviewLock,
    ReviewQueue,
    ReviewQueues,
    ReviewRequest,
    Reviews,
    SkipRequest,
)
from rag.api.requests import Asker, StrictRoute, TheHouse, utc
from rag.errors import NotPermitted
from rag.reviews import filling as reviewing
from rag.reviews.rules import parse, rule_json
from rag.shapes import Json as Shape
from rag.shapes.interactions import interaction_json
from rag.shapes.reviews import (
    agreement_json,
    filled_json,
    item_json,
    lock_json,
    queue_json,
    review_json,
    reviews_json,
)
from rag.store import interactions as interaction_store
from rag.store.database import Connection
from rag.store.reviews import claims
from rag.store.reviews import items as item_store
from rag.store.reviews import queues as queue_store
from rag.store.reviews import reviews as review_store
from rag.store.reviews.items import ItemState, NewItem
from rag.store.reviews.queues import LABELS, Label, Queue
from rag.store.reviews.reviews import Said
from rag.store.reviews.texts import Judged
from rag.types import Principal

router = APIRouter(tags=["reviews"], route_class=StrictRoute)

Name = Annotated[str, Path(min_length=1, max_length=100, description="a queue's name")]
Item = Annotated[int, Path(ge=1, le=MAX_ID, description="an item of a queue")]
ReviewId = Annotated[int, Path(ge=1, le=MAX_ID)]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[int | None, Query(ge=1, le=MAX_ID, description="`next` of the page before")]
Word = Annotated[str | None, Query(max_length=1000)]


# ── queues ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/api/review-queues", response_model=ReviewQueues, responses=documented())
def queues(house: TheHouse, principal: Asker) -> Json:
    """The queues by name, with how they stand. A token that is bound to labels counts its own questions only."""
    with house.app.database.read() as connection:
        found = queue_store.listing(connection, principal.tenant_id)
        return Json({"queues": [_queue_json(connection, principal, queue) for queue in found]})


@router.post(
    "/api/review-queues", status_code=201, response_model=ReviewQueue, responses=documented(400, 403, 409, 413, 422)
)
def add_queue(given: QueueRequest, house: TheHouse, principal: Asker) -> Json:
    """Make a queue; filling it is another request. Not for tokens bound to labels."""
    check_unbound(principal)
    labels = LABELS if given.labels is None else tuple(Label(label.name, label.value) for label in given.labels)
    with house.app.database.write() as connection:
        queue = queue_store.add(
            connection,
            principal.tenant_id,
            given.name,
            rule_json(parse(given.rule)),
            user=principal.user,
            guidelines=given.guidelines,
            labels=labels,
            reviewers=given.reviewers,
            score=given.score,
        )
        return Json(_queue_json(connection, principal, queue), status_code=201)


@router.get("/api/review-queues/{name}", response_model=ReviewQueue, responses=documented(404, 422))
def one_queue(name: Name, house: TheHouse, principal: Asker) -> Json:
    """A queue: its rule, labels and guidelines, and how it stands."""
    with house.app.database.read() as connection:
        return Json(_queue_json(connection, principal, queue_store.get(connection, principal.tenant_id, name)))


@router.patch("/api/review-queues/{name}", response_model=ReviewQueue, responses=documented(400, 403, 404, 413, 422))
def change_queue(name: Name, given: QueueChange, house: TheHouse, principal: Asker) -> Json:
    """Change what a queue takes in, tells or asks for; items and reviews stay. Not for tokens bound to labels."""
    check_unbound(principal)
    with house.app.database.write() as connection:
        queue = queue_store.change(
            connection,
            principal.tenant_id,
            name,
            user=principal.user,
            rule=None if given.rule is None else rule_json(parse(given.rule)),
            guidelines=given.guidelines,
            reviewers=given.reviewers,
        )
        return Json(_queue_json(connection, principal, queue))


@router.delete("/api/review-queues/{name}", status_code=204, responses=documented(403, 404, 422))
def remove_queue(name: Name, house: TheHouse, principal: Asker) -> Response:
    """Take a queue away; reviews that were made in it stay. Not for tokens bound to labels."""
    check_unbound(principal)
    with house.app.database.write() as connection:
        queue_store.remove(connection, principal.tenant_id, name, user=principal.user)
    return Response(status_code=204)


@router.post("/api/review-queues/{name}/fill", response_model=QueueFilled, responses=documented(400, 403, 404, 422))
def fill(name: Name, house: TheHouse, principal: Asker) -> Json:
    """Apply the rule of a queue to the whole log, the newest first; what is in stays. Not for tokens bound to
    labels."""
    check_unbound(principal)
    return Json(filled_json(reviewing.fill(house.app.database, principal.tenant_id, name)))


@router.get("/api/review-queues/{name}/items", response_model=ReviewItems, responses=documented(404, 422))
def items(
    name: Name,
    house: TheHouse,
    principal: Asker,
    state: ItemState | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Json:
    """What is in a queue, in the order in which it came in."""
    with house.app.database.read() as connection:
        queue = queue_store.get(connection, principal.tenant_id, name)
        found = item_store.listing(connection, principal, queue.id, limit=limit + 1, after=cursor or 0, state=state)
    page = found[:limit]
    return Json({"items": [item_json(item) for item in page], "next": page[-1].id if len(found) > limit else None})


@router.post(
    "/api/review-queues/{name}/items",
    status_code=201,
    response_model=ItemsAdded,
    responses=documented(403, 404, 413, 422),
)
def add_items(name: Name, given: ItemsRequest, house: TheHouse, principal: Asker) -> Json:
    """Put interactions into a queue by hand; those that are in it already stay as they are. Not for tokens bound to
    labels."""
    check_unbound(principal)
    new = [NewItem(key.upper(), (given.reason,)) for key in given.interaction_ids]
    with house.app.database.write() as connection:
        queue = queue_store.get(connection, principal.tenant_id, name)
        added = item_store.put(connection, principal.tenant_id, queue.id, new)
    return Json({"added": added}, status_code=201)


@router.post("/api/review-queues/{name}/next", response_model=NextItem, responses=documented(400, 404, 422))
def next_item(name: Name, given: NextRequest, house: TheHouse, principal: Asker) -> Json:
    """Lock the next item for the asker. It is given to nobody else until it is reviewed, skipped or freed, or until
    its lock ends; a token that is bound to labels is given its own questions only."""
    database = house.app.database
    found = reviewing.next_item(database, principal, name, lease_s=given.lease_s, skipped=given.skipped)
    if found is None:
        return Json({"item": None, "lock": None, "interaction": None})
    item, lock = found
    with database.read() as connection:
        interaction = _interaction_json(connection, principal, item.interaction_id)
    return Json({"item": item_json(item), "lock": lock_json(lock), "interaction": interaction})


@router.get("/api/review-queues/{name}/agreement", response_model=ReviewAgreement, responses=documented(403, 404, 422))
def agreement(name: Name, house: TheHouse, principal: Asker) -> Json:
    """How far the reviewers of a queue agree, with 95 % intervals. Not for tokens bound to labels."""
    check_unbound(principal)
    with house.app.database.read() as connection:
        queue = queue_store.get(connection, principal.tenant_id, name)
        return Json(agreement_json(reviewing.agreement_in(connection, queue)))


# ── items ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/api/reviews/items/{item_id}", response_model=ReviewItemWhole, responses=documented(404, 422))
def one_item(item_id: Item, house: TheHouse, principal: Asker) -> Json:
    """An item with its interaction whole, its queue, and what the asker has said of it."""
    with house.app.database.read() as connection:
        item = item_store.get(connection, principal, item_id)
        own = [
            review
            for review in review_store.of_interaction(connection, principal, item.interaction_id)
            if (review.item_id, review.reviewer) == (item_id, principal.user)
        ]
        return Json(
            {
                "item": item_json(item),
                "queue": _queue_json(connection, principal, queue_store.by_id(connection, item.queue_id)),
                "interaction": _interaction_json(connection, principal, item.interaction_id),
                "review": review_json(own[0]) if own else None,
            }
        )


@router.post("/api/reviews/items/{item_id}/lock", response_model=ReviewLock, responses=documented(404, 409, 422))
def lock_item(item_id: Item, given: LockRequest, house: TheHouse, principal: Asker) -> Json:
    """Lock an item, or renew a lock; 409 while somebody else works on it."""
    with house.app.database.write() as connection:
        _, lock = claims.take(connection, principal, item_id, owner=given.owner, lease_s=given.lease_s)
    return Json(lock_json(lock))


@router.post("/api/reviews/items/{item_id}/free", status_code=204, responses=documented(404, 422))
def free_item(item_id: Item, given: FreeRequest, house: TheHouse, principal: Asker) -> Response:
    """Give a lock back; one that was lost already stays with whoever has it."""
    with house.app.database.write() as connection:
        claims.free(connection, principal, item_id, given.owner)
    return Response(status_code=204)


@router.post("/api/reviews/items/{item_id}/skip", status_code=204, responses=documented(404, 422))
def skip_item(item_id: Item, given: SkipRequest, house: TheHouse, principal: Asker) -> Response:
    """Pass over an item: the asker is not given it again unless they ask for what they skipped."""
    with house.app.database.write() as connection:
        claims.skip(connection, principal, item_id, given.owner)
    return Response(status_code=204)


# ── reviews ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/api/reviews", status_code=201, response_model=Review, responses=documented(400, 404, 409, 413, 422))
def save(given: ReviewRequest, house: TheHouse, principal: Asker) -> Json:
    """Keep what the asker says of an item, in place of what they said of it before. The label is also a score of the
    interaction. Needs no lock: what a person has judged is kept, however late."""
    said = Said(
        given.label,
        given.corrected_answer,
        tuple(Judged(each.grade, each.number, each.chunk_id) for each in given.passages),
        tuple(given.tags),
        given.note,
    )
    with house.app.database.write() as connection:
        review = review_store.save(connection, principal, given.item_id, said)
    return Json(review_json(review), status_code=201)


@router.get("/api/reviews", response_model=Reviews, responses=documented(422))
def listing(
    house: TheHouse,
    principal: Asker,
    queue: Word = None,
    reviewer: Word = None,
    interaction: Annotated[str | None, Query(pattern=ULID)] = None,
    label: Word = None,
    corrected: Annotated[bool | None, Query(description="with a corrected answer, or without")] = None,
    since: Annotated[datetime | None, Query(description="from this moment on; UTC where no zone is given")] = None,
    until: Annotated[datetime | None, Query(description="before this moment")] = None,
    tag: Word = None,
    history: Annotated[bool, Query(description="also those that were replaced or taken back")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Json:
    """Reviews that hold, the newest first. A token that is bound to labels sees those of its own questions only."""
    query = review_store.Query(
        queue=queue,
        reviewer=reviewer,
        interaction_id=None if interaction is None else interaction.upper(),
        label=label,
        corrected=corrected,
        since=utc(since),
        until=utc(until),
        history=history,
        tag=tag,
    )
    with house.app.database.read() as connection:
        found = review_store.listing(connection, principal, query, limit=limit + 1, before=cursor)
    page = found[:limit]
    return Json(reviews_json(page, page[-1].id if len(found) > limit else None))


@router.get("/api/reviews/{review_id}", response_model=Review, responses=documented(404, 422))
def one(review_id: ReviewId, house: TheHouse, principal: Asker) -> Json:
    """One review, also one that was replaced."""
    with house.app.database.read() as connection:
        return Json(review_json(review_store.get(connection, principal, review_id)))


@router.delete("/api/reviews/{review_id}", status_code=204, responses=documented(404, 422))
def withdraw(review_id: ReviewId, house: TheHouse, principal: Asker) -> Response:
    """Take back one's own review: it stays in the history, and its item waits again."""
    with house.app.database.write() as connection:
        review_store.withdraw(connection, principal, review_id)
    return Response(status_code=204)


def check_unbound(principal: Principal) -> None:
    """Raise NotPermitted for a token that is bound to labels: a queue holds what others were answered."""
    if principal.labels is not None:
        raise NotPermitted("this token is bound to labels; review queues are kept by one that is not")


def _queue_json(connection: Connection, principal: Principal, queue: Queue) -> Shape:
    return queue_json(queue, item_store.counts(connection, principal, queue.id))


def _interaction_json(connection: Connection, principal: Principal, interaction_id: str) -> Shape:
    found = interaction_store.get(connection, principal.tenant_id, interaction_id)
    return interaction_json(found, interaction_store.feedback_of(connection, found.id), whole=True)
