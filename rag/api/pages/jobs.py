"""The pages of background jobs: the list, one with how far it is and what became of its files."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from rag.api.house import House
from rag.api.models import MAX_ID
from rag.api.pages.rendering import PageRoute, page, query, see
from rag.api.requests import Asker, TheHouse
from rag.api.routes.jobs import only
from rag.store import jobs as job_store
from rag.store.jobs import ENDED, STATES, Job, State
from rag.types import FileState, Principal

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LISTED = 50
ITEMS = 200

Id = Annotated[int, Path(ge=1, le=MAX_ID)]
Cursor = Annotated[int | None, Query(ge=1, le=MAX_ID)]


@router.get("/documents/jobs")
def listing(
    request: Request, house: TheHouse, principal: Asker, state: State | None = None, before: Cursor = None
) -> Response:
    """Background jobs, the newest first."""
    with house.app.database.read() as connection:
        rows = job_store.listing(
            connection, principal.tenant_id, limit=LISTED + 1, before=before, state=state, user=only(principal)
        )
    more = rows[LISTED - 1].id if len(rows) > LISTED else None
    address = "/documents/jobs"
    return page(
        request,
        "jobs.html",
        rows=rows[:LISTED],
        state=state,
        states=STATES,
        first=address + query({"state": state}) if before else None,
        next=address + query({"state": state, "before": more}) if more else None,
    )


@router.get("/documents/jobs/{job_id:int}")
def one(
    job_id: Id,
    request: Request,
    house: TheHouse,
    principal: Asker,
    state: FileState | None = None,
    after: Cursor = None,
) -> Response:
    """One job. While it runs, the part with its progress asks for itself again every second."""
    job = _job(house, principal, job_id)
    with house.app.database.read() as connection:
        rows = job_store.items(connection, job.id, limit=ITEMS + 1, after=after or 0, state=state)
    more = rows[ITEMS - 1].id if len(rows) > ITEMS else None
    address = f"/documents/jobs/{job_id}"
    return page(
        request,
        "job.html",
        job=job,
        ended=job.state in ENDED,
        rows=rows[:ITEMS],
        state=state,
        first=address + query({"state": state}) if after else None,
        next=address + query({"state": state, "after": more}) if more else None,
    )


@router.get("/documents/jobs/{job_id:int}/progress")
def progress(job_id: Id, request: Request, house: TheHouse, principal: Asker) -> Response:
    """How far a job is, as a part of its page; when it has ended, the page is asked for anew."""
    job = _job(house, principal, job_id)
    if job.state in ENDED and request.headers.get("hx-request") == "true":
        return Response(status_code=204, headers={"hx-redirect": f"/documents/jobs/{job_id}"})
    return page(request, "_progress.html", job=job, ended=job.state in ENDED)


@router.post("/documents/jobs/{job_id:int}/cancel")
def cancel(job_id: Id, request: Request, house: TheHouse, principal: Asker) -> Response:
    with house.app.database.write() as connection:
        job_store.ask_cancel(connection, principal.tenant_id, job_id, actor=principal.user, user=only(principal))
    return see(request, f"/documents/jobs/{job_id}", "It ends after the batch at hand; what it stored stays.")


@router.post("/documents/jobs/{job_id:int}/retry")
def retry(job_id: Id, request: Request, house: TheHouse, principal: Asker) -> Response:
    with house.app.database.write() as connection:
        job_store.retry(connection, principal.tenant_id, job_id, actor=principal.user, user=only(principal))
    return see(request, f"/documents/jobs/{job_id}", "Queued once more; what went in already is not done twice.")


def _job(house: House, principal: Principal, job_id: int) -> Job:
    with house.app.database.read() as connection:
        return job_store.get(connection, principal.tenant_id, job_id, user=only(principal))
