"""Background jobs: GET the list, one, what became of its files, its events; DELETE cancels one, POST retries it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from rag.api.answers import Json, documented
from rag.api.models import MAX_ID
from rag.api.models.jobs import Job, JobItems, Jobs
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.api.watching import JobEvents
from rag.shapes.jobs import job_item_json, job_json
from rag.store import jobs as job_store
from rag.store.jobs import Job as StoredJob
from rag.store.jobs import State
from rag.types import FileState, Principal

router = APIRouter(tags=["jobs"], route_class=StrictRoute)

Id = Annotated[int, Path(ge=1, le=MAX_ID, description="a job's id")]
Cursor = Annotated[int | None, Query(ge=1, le=MAX_ID, description="`next` of the page before")]
EVENTS = {
    "description": "the events `progress` (the job, whenever something of it changed), then `ended` (the job) "
    "or `error` (a problem)",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.get("/api/jobs", response_model=Jobs, responses=documented(422))
def listing(
    house: TheHouse,
    principal: Asker,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Cursor = None,
) -> Json:
    """Background jobs, the newest first. A token that is bound to labels sees its own only."""
    with house.app.database.read() as connection:
        found = job_store.listing(
            connection, principal.tenant_id, limit=limit + 1, before=cursor, state=state, user=only(principal)
        )
    page = found[:limit]
    return Json(
        {
            "jobs": [job_json(job) for job in page],
            "next": str(page[-1].id) if len(found) > limit else None,
        }
    )


@router.get("/api/jobs/{job_id}", response_model=Job, responses=documented(404, 422))
def one(job_id: Id, house: TheHouse, principal: Asker) -> Json:
    """One job: how far it is, and how many of its files ended how."""
    with house.app.database.read() as connection:
        return Json(job_json(job_store.get(connection, principal.tenant_id, job_id, user=only(principal))))


@router.get("/api/jobs/{job_id}/items", response_model=JobItems, responses=documented(404, 422))
def items(
    job_id: Id,
    house: TheHouse,
    principal: Asker,
    state: FileState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Cursor = None,
) -> Json:
    """What became of every file of a job, and why, in the order in which that became known."""
    with house.app.database.read() as connection:
        job = job_store.get(connection, principal.tenant_id, job_id, user=only(principal))
        found = job_store.items(connection, job.id, limit=limit + 1, after=cursor or 0, state=state)
    page = found[:limit]
    return Json(
        {
            "items": [job_item_json(item) for item in page],
            "next": str(page[-1].id) if len(found) > limit else None,
        }
    )


@router.get("/api/jobs/{job_id}/events", response_class=Response, responses={200: EVENTS, **documented(404, 422)})
def events(job_id: Id, house: TheHouse, principal: Asker) -> Response:
    """Watch a job until it ends."""

    def look() -> StoredJob:
        with house.app.database.read() as connection:
            return job_store.get(connection, principal.tenant_id, job_id, user=only(principal))

    look()  # one that is not there is a problem of its own, not an event
    return JobEvents(look, house.watchers)


@router.delete("/api/jobs/{job_id}", response_model=Job, responses=documented(404, 409, 422))
def cancel(job_id: Id, house: TheHouse, principal: Asker) -> Json:
    """End a job: at once when it waits, after the batch at hand when it runs. What it stored stays."""
    with house.app.database.write() as connection:
        job = job_store.ask_cancel(connection, principal.tenant_id, job_id, actor=principal.user, user=only(principal))
    return Json(job_json(job))


@router.post("/api/jobs/{job_id}/retry", response_model=Job, responses=documented(404, 409, 422))
def retry(job_id: Id, house: TheHouse, principal: Asker) -> Json:
    """Queue a job that failed or was cancelled once more; what went in already is not done twice."""
    with house.app.database.write() as connection:
        job = job_store.retry(connection, principal.tenant_id, job_id, actor=principal.user, user=only(principal))
    return Json(job_json(job))


def only(principal: Principal) -> str | None:
    """Whose jobs the asker may see: bound to labels, only their own, for another's may name files that bear others."""
    return None if principal.labels is None else principal.user
