"""What surrounds a document: GET its versions, places and duplicates; GET the answers that were shown it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from rag.api.answers import Json, documented
from rag.api.models import ULID, DocumentId
from rag.api.models.histories import CitingAnswers, DocumentHistory
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.api.routes.documents import collection_of
from rag.shapes.histories import citing_json, history_json
from rag.store import histories
from rag.store.duplicates import decisions as decision_store
from rag.store.permitted import Predicate

router = APIRouter(tags=["documents"], route_class=StrictRoute)

Id = Annotated[DocumentId, Path(description="a document's id")]


@router.get("/api/documents/{document_id}/history", response_model=DocumentHistory, responses=documented(404, 422))
def history(document_id: Id, house: TheHouse, principal: Asker) -> Json:
    """What stood and stands at a document's address, where else its text stands, and what it was found alike. One that
    was removed, or followed by a newer version, has a history too."""
    collection = collection_of(house, principal, document_id)
    predicate = Predicate(collection.id, principal.labels)
    with house.app.database.read() as connection:
        document = histories.one(connection, collection, principal, document_id)
        versions = histories.versions(connection, collection, principal, document)
        places = histories.places(connection, predicate, collection.position, document)
        decisions = decision_store.of_document(connection, predicate, collection.position, document_id)
    return Json(history_json(document_id, collection.name, versions, places, decisions))


@router.get("/api/documents/{document_id}/citing", response_model=CitingAnswers, responses=documented(404, 422))
def citing(
    document_id: Id,
    house: TheHouse,
    principal: Asker,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(pattern=ULID, description="`next` of the page before")] = None,
) -> Json:
    """The answers whose generator was shown this document's text, the newest first. A token that is bound to labels
    sees its own only."""
    collection = collection_of(house, principal, document_id)
    with house.app.database.read() as connection:
        document = histories.one(connection, collection, principal, document_id)
        rows = histories.citing(
            connection,
            principal,
            document.content_id,
            limit=limit + 1,
            before=None if cursor is None else cursor.upper(),
        )
    page = rows[:limit]
    return Json(citing_json(page, page[-1].interaction_id if len(rows) > limit else None))
