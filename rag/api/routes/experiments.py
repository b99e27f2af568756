"""Experiments: GET the list and one with its table. `rag experiment run` makes them."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from rag.api.answers import Json, documented
from rag.api.models import MAX_ID
from rag.api.models.experiments import Experiments, ExperimentWhole
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.errors import NotPermitted
from rag.experiments.plans import table
from rag.shapes.experiments import answered_json, experiment_json, table_json
from rag.store import experiments as experiment_store
from rag.types import Principal

router = APIRouter(tags=["evaluations"], route_class=StrictRoute)


@router.get("/api/experiments", response_model=Experiments, responses=documented(403, 422))
def listing(
    house: TheHouse,
    principal: Asker,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[int | None, Query(ge=1, le=MAX_ID, description="`next` of the page before")] = None,
) -> Json:
    """The experiments that are kept, the newest first. Not for tokens bound to labels."""
    check(principal)
    with house.app.database.read() as connection:
        found = experiment_store.listing(connection, principal.tenant_id, limit=limit + 1, before=cursor)
    page = found[:limit]
    return Json(
        {
            "experiments": [experiment_json(each) for each in page],
            "next": page[-1].id if len(found) > limit else None,
        }
    )


@router.get("/api/experiments/{experiment}", response_model=ExperimentWhole, responses=documented(403, 404, 422))
def one(
    experiment: Annotated[str, Path(min_length=1, max_length=120, description="an experiment's name or id")],
    house: TheHouse,
    principal: Asker,
) -> Json:
    """An experiment: each configuration's means, how it differs from the first, and every answer. Not for tokens bound
    to labels."""
    check(principal)
    with house.app.database.read() as connection:
        kept = experiment_store.get(connection, principal.tenant_id, experiment)
        answers = experiment_store.answers(connection, kept.id)
    shown = [answered_json(each, kept) for each in answers]
    return Json(table_json(kept, table(kept.configurations, answers)) | {"answers": shown})


def check(principal: Principal) -> None:
    """Raise NotPermitted for a token that is bound to labels: an experiment was asked by somebody who is not."""
    if principal.labels is not None:
        raise NotPermitted("this token is bound to labels; experiments are seen by one that is not")
