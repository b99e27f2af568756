"""Gates: POST holds a dataset to bounds, as a background job; GET what came of it, as JSON or as a Markdown report."""

from fastapi import APIRouter
from fastapi.responses import Response

from rag.api.answers import Json, documented
from rag.api.house import House
from rag.api.models.gates import GateRequest, GateResult
from rag.api.models.jobs import Job
from rag.api.refining import check_reranker
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.api.routes.ask import check_generator
from rag.api.routes.evaluations import check
from rag.api.routes.jobs import Id
from rag.errors import Conflict, NotFound
from rag.evaluation.gate import Bound
from rag.evaluation.gating import Demand
from rag.jobs import ask_gate
from rag.shapes.jobs import job_json
from rag.store import jobs as job_store
from rag.types import Metadata, MetadataValue, Principal

router = APIRouter(tags=["evaluations"], route_class=StrictRoute)

MARKDOWN = {"content": {"text/markdown": {"schema": {"type": "string"}}}}


@router.post("/api/gates", status_code=202, response_model=Job, responses=documented(400, 403, 404, 409, 413, 422))
def hold(asked: GateRequest, house: TheHouse, principal: Asker) -> Json:
    """Put the questions of a dataset to the present settings and hold what comes of it to bounds and to an earlier run:
    a background job, at `Location`. Nothing is logged. Not for tokens bound to labels."""
    check(principal)
    check_generator(asked.generator, house)
    check_reranker(asked.rerank, house)
    bounds = tuple(Bound(name, asked.min.get(name), asked.max.get(name)) for name in {**asked.min, **asked.max})
    demand = Demand(bounds, tuple(asked.metrics), asked.against, asked.max_drop, asked.answers, asked.name, asked.worst)
    settings: dict[str, MetadataValue] = {
        "mode": asked.mode,
        "reranker": asked.rerank,
        "generator": asked.generator,
        "prompt_template": asked.template,
        "diversify": asked.diversify,
        "per_document": asked.per_document,
        "neighbours": asked.neighbours,
    }
    fusing: dict[str, MetadataValue] = {
        "fusion": asked.fusion, "alpha": asked.alpha, "rrf_k": asked.rrf_k, "depth": asked.depth
    }  # fmt: skip
    job = ask_gate(
        house.app,
        principal,
        asked.set,
        demand,
        splits=asked.splits,
        collection=asked.collection,
        settings=settings,
        fusing=fusing,
    )
    return Json(job_json(job), status_code=202, headers={"location": f"/api/jobs/{job.id}"})


@router.get("/api/gates/{job_id}", response_model=GateResult, responses=documented(403, 404, 409, 422))
def one(job_id: Id, house: TheHouse, principal: Asker) -> Json:
    """What a gate found; 409 until its job is done. Not for tokens bound to labels."""
    return Json(_found(house, principal, job_id))


@router.get(
    "/api/gates/{job_id}/report",
    response_class=Response,
    responses={200: MARKDOWN, **documented(403, 404, 409, 422)},
)
def report(job_id: Id, house: TheHouse, principal: Asker) -> Response:
    """The report of a gate in Markdown; 409 until its job is done. Not for tokens bound to labels."""
    return Response(str(_found(house, principal, job_id)["report"]), media_type="text/markdown")


def _found(house: House, principal: Principal, job_id: int) -> Metadata:
    """What the job of a gate found. Raises NotFound for a job that is none, Conflict for one that is not done."""
    check(principal)
    with house.app.database.read() as connection:
        job = job_store.get(connection, principal.tenant_id, job_id)
    if job.kind != "gate":
        raise NotFound(f"job {job_id} is no gate; POST /api/gates makes one")
    if job.result is None:
        why = f": {job.error}" if job.error else ""
        raise Conflict(f"the gate of job {job_id} is {job.state}{why}; /api/jobs/{job_id} says how far it is")
    return job.result
