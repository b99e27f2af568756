"""GET /api/duplicates: what was found to be the same or nearly; POST /api/duplicates/{id}/undo reverses a decision."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from rag.api.answers import Json, documented
from rag.api.models import MAX_ID, CollectionName
from rag.api.models.duplicates import DuplicateLevel, Duplicates, DuplicateScope, Undone
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.errors import NotPermitted
from rag.shapes.duplicates import duplicates_json
from rag.store import collections as collection_store
from rag.store.duplicates import decisions as decision_store
from rag.store.duplicates.second_looks import undo_decision
from rag.store.permitted import Predicate

router = APIRouter(tags=["duplicates"], route_class=StrictRoute)


@router.get("/api/duplicates", response_model=Duplicates, responses=documented(404, 422))
def listing(
    house: TheHouse,
    principal: Asker,
    collection: Annotated[CollectionName | None, Query()] = None,
    scope: Annotated[DuplicateScope | None, Query()] = None,
    level: Annotated[DuplicateLevel | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[int | None, Query(ge=1, le=MAX_ID, description="`next` of the page before")] = None,
) -> Json:
    """The duplicates among the documents that the asker may see, what was done about each, and how many there are."""
    with house.app.database.read() as connection:
        found = house.collection(principal, collection)
        at = collection_store.position(connection, found.id)
        predicate = Predicate(found.id, principal.labels)
        counts = decision_store.tallies(connection, predicate, at)
        rows = decision_store.listing(
            connection, predicate, at, scope=scope, level=level, after=cursor or 0, limit=limit + 1
        )
    page = rows[:limit]
    return Json(duplicates_json(found.name, counts, page, page[-1].id if len(rows) > limit else None))


@router.post("/api/duplicates/{decision_id}/undo", response_model=Undone, responses=documented(403, 404, 409, 422))
def undo(
    decision_id: Annotated[int, Path(ge=1, le=MAX_ID)],
    house: TheHouse,
    principal: Asker,
    collection: Annotated[CollectionName | None, Query()] = None,
) -> Json:
    """Reverse one decision: its two documents stand beside each other from now on. Not for tokens bound to labels."""
    if principal.labels is not None:
        raise NotPermitted("this token is bound to labels; decisions on duplicates are reversed by one that is not")
    found = house.collection(principal, collection)
    with house.app.database.write() as connection:
        written = undo_decision(connection, found, decision_id, actor=principal.user)
    return Json({"decision_id": decision_id, "document_id": None if written is None else written.document_id})
