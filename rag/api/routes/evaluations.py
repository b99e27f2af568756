"""Evaluations: GET the list, one with its worst queries, and two held against each other. `rag eval` makes them."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from rag.api.answers import Json, documented
from rag.api.models import MAX_ID
from rag.api.models.evaluations import EvaluationComparison, EvaluationRun, Evaluations
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.errors import NotPermitted
from rag.evaluation.runs import averaged, compare, figures, rescored, with_figures, worst
from rag.shapes.evaluations import comparison_json, evaluation_json, judged_query_json
from rag.store import evaluations as evaluation_store
from rag.types import Principal

router = APIRouter(tags=["evaluations"], route_class=StrictRoute)

Run = Annotated[str, Path(min_length=1, max_length=120, description="a run's name or id")]
Metrics = Annotated[
    list[str] | None, Query(alias="metric", max_length=20, description="trec_eval's name; may be repeated")
]
Shown = Annotated[int, Query(ge=0, le=1000)]


@router.get("/api/evaluations", response_model=Evaluations, responses=documented(403, 422))
def listing(
    house: TheHouse,
    principal: Asker,
    folder: Annotated[str | None, Query(max_length=1000, description="only runs over a folder of this name")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[int | None, Query(ge=1, le=MAX_ID, description="`next` of the page before")] = None,
) -> Json:
    """The runs over judged queries that are kept, the newest first. Not for tokens bound to labels."""
    check(principal)
    with house.app.database.read() as connection:
        rows = evaluation_store.listing(connection, principal.tenant_id, limit=limit + 1, before=cursor, folder=folder)
    page = rows[:limit]
    return Json({"runs": [evaluation_json(run) for run in page], "next": page[-1].id if len(rows) > limit else None})


@router.get("/api/evaluations/{run}", response_model=EvaluationRun, responses=documented(400, 403, 404, 422))
def one(run: Run, house: TheHouse, principal: Asker, metric: Metrics = None, lowest: Shown = 10) -> Json:
    """A run with its worst queries, by the first metric. With `metric` it is scored by these, also by ones that were
    not measured then. Not for tokens bound to labels."""
    check(principal)
    with house.app.database.read() as connection:
        kept = evaluation_store.get(connection, principal.tenant_id, run)
        queries = evaluation_store.queries(connection, kept.id)
    names = tuple(dict.fromkeys(metric or kept.run.metrics))
    queries = rescored(queries, names)
    if metric:
        kept = with_figures(kept, figures(averaged(queries, names)))
    shown = [judged_query_json(query) for query in worst(queries, names[0], lowest)]
    return Json(evaluation_json(kept) | {"worst": shown})


@router.get(
    "/api/evaluations/{run}/comparison", response_model=EvaluationComparison, responses=documented(400, 403, 404, 422)
)
def comparison(
    run: Run,
    against: Annotated[str, Query(min_length=1, max_length=120, description="the earlier run's name or id")],
    house: TheHouse,
    principal: Asker,
    metric: Metrics = None,
    losses: Shown = 10,
) -> Json:
    """A run held against an earlier one over the queries that both have: differences with 95 % intervals and p-values.
    Without `metric` all that both measured are compared. Not for tokens bound to labels."""
    check(principal)
    with house.app.database.read() as connection:
        first = evaluation_store.get(connection, principal.tenant_id, against)
        second = evaluation_store.get(connection, principal.tenant_id, run)
        ones, others = (evaluation_store.queries(connection, each.id) for each in (first, second))
    both = [name for name in first.run.metrics if name in second.run.metrics] or list(first.run.metrics)
    found = compare(ones, others, tuple(dict.fromkeys(metric or both)))
    return Json(comparison_json(first, second, found, losses))


def check(principal: Principal) -> None:
    """Raise NotPermitted for a token that is bound to labels: a run names documents whatever their labels."""
    if principal.labels is not None:
        raise NotPermitted("this token is bound to labels; evaluations are seen by one that is not")
