"""GET /api/collections: which bodies of text there are."""

from fastapi import APIRouter

from rag.api.answers import Json, documented
from rag.api.models.documents import Collections
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.shapes.documents import collection_json
from rag.store import collections as collection_store

router = APIRouter(tags=["collections"], route_class=StrictRoute)


@router.get("/api/collections", response_model=Collections, responses=documented())
def listing(house: TheHouse, principal: Asker) -> Json:
    """Every collection with how much is in it, by name. Counts are of the whole collection."""
    with house.app.database.read() as connection:
        found = [
            collection_json(collection, collection_store.counts(connection, collection.id))
            for collection in collection_store.listing(connection, principal.tenant_id)
        ]
    return Json({"collections": found})
