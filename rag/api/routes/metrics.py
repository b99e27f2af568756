"""GET /metrics for Prometheus."""

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from rag.api.answers import documented
from rag.api.house import House
from rag.api.metrics import CollectionState, States
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.store import collections as collection_store
from rag.store import jobs as job_store
from rag.types import Principal

router = APIRouter(tags=["health"], route_class=StrictRoute)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **documented()},
)
def metrics(house: TheHouse, principal: Asker) -> Response:
    """Requests and questions of all workers; documents, positions and indexes of the asker's collections, and jobs."""
    return Response(house.metrics.exposition(states(house, principal)), media_type=CONTENT_TYPE_LATEST)


def states(house: House, principal: Principal) -> States:
    """How each collection of the asker's tenant stands now, and how many of its jobs have not ended."""
    found = []
    with house.app.database.read() as connection:
        for collection in collection_store.listing(connection, principal.tenant_id):
            counts = collection_store.counts(connection, collection.id)
            found.append((collection, counts))
        jobs = job_store.unfinished(connection, principal.tenant_id)
    result = []
    for collection, counts in found:
        view = house.app.indexes(collection).view()
        result.append(
            CollectionState(
                collection.name,
                counts.documents,
                counts.chunks,
                collection.position,
                view.generation,
                view.position - view.since,
            )
        )
    return States(result, jobs)
