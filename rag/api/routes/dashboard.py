"""The dashboard: GET the log in figures, drift of the questions, new topics, and what was not answered."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from rag.api.answers import Json, documented
from rag.api.models.dashboard import Dashboard, DriftFound, NewTopics, Topics
from rag.api.requests import Asker, StrictRoute, TheHouse, utc
from rag.errors import NotPermitted
from rag.insight import topics
from rag.insight.figures import Chosen, of_log, period
from rag.shapes.dashboard import dashboard_json, drift_json, new_topics_json, topics_json
from rag.store.dashboard import Counted
from rag.types import Principal

router = APIRouter(tags=["dashboard"], route_class=StrictRoute)

Since = Annotated[datetime | None, Query(description="from this moment on; else 30 days; UTC where no zone is given")]
Until = Annotated[datetime | None, Query(description="before this moment; else the end of today")]
Before = Annotated[datetime | None, Query(description="begin of the reference period, which ends at `since`")]
Name = Annotated[str | None, Query(max_length=1000)]
Origin = Annotated[
    Counted, Query(description="whose questions count: of this origin, without replays; all: whatever is in the log")
]


@router.get("/api/dashboard", response_model=Dashboard, responses=documented(400, 403, 422))
def figures(
    house: TheHouse,
    principal: Asker,
    since: Since = None,
    until: Until = None,
    collection: Name = None,
    model: Name = None,
    template: Name = None,
    origin: Origin = "human",
) -> Json:
    """Questions, users, refusals, failures, tokens, latency by stage, scores and ratings: as a whole, over time, by
    collection, model and template. Not for tokens bound to labels."""
    check(principal)
    begin, end = period(utc(since), utc(until))
    found = of_log(house.app.spans(), principal.tenant_id, begin, end, Chosen(collection, model, template, origin))
    return Json(dashboard_json(found))


@router.get("/api/dashboard/drift", response_model=DriftFound, responses=documented(400, 403, 404, 422))
def drift(
    house: TheHouse,
    principal: Asker,
    since: Since = None,
    until: Until = None,
    before: Before = None,
    collection: Name = None,
    origin: Origin = "human",
) -> Json:
    """The share of questions whose nearest passage is farther than those of the reference period that were answered,
    in both periods and over time. Not for tokens bound to labels."""
    check(principal)
    begin, end = period(utc(since), utc(until))
    name = collection or house.app.settings.collection
    earlier = topics.reference(begin, end, utc(before))
    found = topics.drifted(house.app.database, principal.tenant_id, name, earlier, begin, end, origin)
    return Json(drift_json(found))


@router.get("/api/dashboard/topics", response_model=NewTopics, responses=documented(400, 403, 404, 422, 503))
def new_topics(
    house: TheHouse,
    principal: Asker,
    since: Since = None,
    until: Until = None,
    before: Before = None,
    collection: Name = None,
    origin: Origin = "human",
) -> Json:
    """Topics of questions that are far from every question of the reference period. Not for tokens bound to labels."""
    check(principal)
    begin, end = period(utc(since), utc(until))
    earlier = topics.reference(begin, end, utc(before))
    opened = house.app.opened(collection, principal.tenant_id)
    found = topics.new_topics(opened, house.app.question_vectors(), principal, earlier, begin, end, origin)
    return Json(new_topics_json(found))


@router.get("/api/dashboard/unanswered", response_model=Topics, responses=documented(400, 403, 404, 422, 503))
def unanswered(
    house: TheHouse,
    principal: Asker,
    since: Since = None,
    until: Until = None,
    collection: Name = None,
    origin: Origin = "human",
) -> Json:
    """What to write next: the questions that were refused, rated bad, or whose faithfulness is below 0.5, by topic. Not
    for tokens bound to labels."""
    check(principal)
    begin, end = period(utc(since), utc(until))
    opened = house.app.opened(collection, principal.tenant_id)
    found = topics.unanswered(opened, house.app.question_vectors(), principal, begin, end, origin)
    return Json(topics_json(found))


def check(principal: Principal) -> None:
    """Raise NotPermitted for a token that is bound to labels: the figures are of everybody's questions."""
    if principal.labels is not None:
        raise NotPermitted("this token is bound to labels; the dashboard is seen by one that is not")
