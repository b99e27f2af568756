"""Syncs: GET the list; POST runs one as a background job, or shows what a run would do."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from rag.api.answers import Json, documented
from rag.api.models import CollectionName
from rag.api.models.jobs import Job
from rag.api.models.syncs import SyncDifference, Syncs
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.corpus import Corpus
from rag.corpus import sync as syncing
from rag.errors import NotPermitted
from rag.jobs import ask_sync
from rag.shapes.jobs import job_json
from rag.shapes.syncs import difference_json, sync_json
from rag.store import syncs as sync_store
from rag.types import Principal

router = APIRouter(tags=["syncs"], route_class=StrictRoute)


@router.get("/api/syncs", response_model=Syncs, responses=documented(422))
def listing(house: TheHouse, principal: Asker, collection: Annotated[CollectionName | None, Query()] = None) -> Json:
    """The places that collections follow, and how each was run last. Not for tokens bound to labels."""
    check(principal)
    with house.app.database.read() as connection:
        found = sync_store.listing(connection, principal.tenant_id, collection)
    return Json({"syncs": [sync_json(each) for each in found]})


@router.post(
    "/api/syncs/{name}/run",
    response_model=SyncDifference,
    responses=documented(404, 422)
    | {202: {"model": Job, "description": "without `dry_run`: the job that does it, at `Location`"}},
)
def run(
    name: Annotated[str, Path(min_length=1, max_length=100, description="a sync's name")],
    house: TheHouse,
    principal: Asker,
    collection: Annotated[CollectionName | None, Query()] = None,
    dry_run: Annotated[bool, Query(description="say what a run would do, and change nothing")] = False,
) -> Response:
    """Run a sync: the answer is a job (202). With `dry_run` it is what a run would do. Not for tokens bound to
    labels."""
    check(principal)
    app = house.app
    found = house.collection(principal, collection)
    with app.database.read() as connection:
        stored = sync_store.get(connection, principal.tenant_id, name, found.name)
    if dry_run:
        corpus = Corpus(app.database, found, app.embedder(), app.pool())
        options = syncing.Options(app.settings.max_file_mb * 2**20)
        return Json(difference_json(syncing.preview(corpus, stored, options)))
    with app.database.write() as connection:
        job = ask_sync(connection, principal, stored)
    return Json(job_json(job), status_code=202, headers={"location": f"/api/jobs/{job.id}"})


def check(principal: Principal) -> None:
    """Raise NotPermitted for a token that is bound to labels: what is followed bears others too."""
    if principal.labels is not None:
        raise NotPermitted("this token is bound to labels; syncs are seen and run by one that is not")
