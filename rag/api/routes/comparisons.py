"""Blind comparisons: two answers as A and B, what people prefer, and who wins how often."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query

from rag.api.answers import Json, documented
from rag.api.house import House
from rag.api.models import MAX_ID, ULID
from rag.api.models.experiments import (
    BlindPair,
    CompareRequest,
    NextPair,
    Preference,
    PreferenceRates,
    PreferenceRequest,
    Preferences,
)
from rag.api.refining import check_reranker
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.api.routes.ask import check_generator
from rag.api.routes.experiments import check
from rag.api.routes.interactions import check_seen
from rag.errors import NotPermitted
from rag.experiments.blind import following, judge, shown, side_by_side
from rag.experiments.plans import SETTINGS
from rag.experiments.preferences import Shown, rates, strengths
from rag.shapes.preferences import pair_json, preference_json, rates_json
from rag.store import experiments as experiment_store
from rag.store import interactions as interaction_store
from rag.store.reviews import preferences as preference_store
from rag.types import Principal

router = APIRouter(tags=["evaluations"], route_class=StrictRoute)

REQUESTED = frozenset(SETTINGS) - {"fallback", "rerank_depth", "grounded_decoding", "max_answer_tokens", "top_p"}
Id = Annotated[str, Query(pattern=ULID, description="an interaction")]
Experiment = Annotated[str | None, Query(min_length=1, max_length=120, description="an experiment's name or id")]


@router.post(
    "/api/comparisons", status_code=201, response_model=BlindPair, responses=documented(400, 403, 404, 413, 422, 502)
)
async def ask(asked: CompareRequest, house: TheHouse, principal: Asker) -> Json:
    """Put a question to two configurations; both answers are logged and given as A and B, in an order as good as
    random."""
    found = await to_thread.run_sync(lambda: asked_twice(house, principal, asked), limiter=house.answers)
    return Json(pair_json(found), status_code=201)


@router.get("/api/comparisons", response_model=BlindPair, responses=documented(400, 404, 409, 422))
def pair(first: Id, second: Id, house: TheHouse, principal: Asker) -> Json:
    """Two logged answers to one question as A and B."""
    check_both(house, principal, first, second)
    return Json(pair_json(shown(house.app, principal, first, second)))


@router.get("/api/comparisons/next", response_model=NextPair, responses=documented(403, 404, 422))
def following_pair(
    experiment: Annotated[str, Query(min_length=1, max_length=120, description="an experiment's name or id")],
    house: TheHouse,
    principal: Asker,
) -> Json:
    """The next pair of an experiment's answers that you have not judged; pairs that say the same are passed over. Not
    for tokens bound to labels."""
    check(principal)
    with house.app.database.read() as connection:
        kept = experiment_store.get(connection, principal.tenant_id, experiment)
    found = following(house.app, principal, kept)
    return Json({"pair": None if found is None else pair_json(found)})


@router.post(
    "/api/preferences", status_code=201, response_model=Preference, responses=documented(400, 403, 404, 409, 413, 422)
)
def prefer(said: PreferenceRequest, house: TheHouse, principal: Asker) -> Json:
    """Say which answer of a pair is better; an earlier judgement of yours on it goes. The answer tells who was who."""
    check_both(house, principal, said.first_id, said.second_id)
    kept = judge(house.app, principal, said.first_id, said.second_id, said.choice, said.comment)
    return Json(preference_json(kept), status_code=201)


@router.get("/api/preferences", response_model=Preferences, responses=documented(404, 422))
def listing(
    house: TheHouse,
    principal: Asker,
    experiment: Experiment = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[int | None, Query(ge=1, le=MAX_ID, description="`next` of the page before")] = None,
) -> Json:
    """Judgements, the newest first. A token that is bound to labels sees its own only."""
    with house.app.database.read() as connection:
        found = preference_store.listing(
            connection,
            principal.tenant_id,
            limit=limit + 1,
            before=cursor,
            experiment_id=_experiment(house, principal, experiment),
            user=own(principal),
        )
    page = found[:limit]
    return Json(
        {
            "preferences": [preference_json(each) for each in page],
            "next": page[-1].id if len(found) > limit else None,
        }
    )


@router.get("/api/preferences/rates", response_model=PreferenceRates, responses=documented(404, 422))
def winning(house: TheHouse, principal: Asker, experiment: Experiment = None) -> Json:
    """How often each configuration wins. A token that is bound to labels sees its own judgements only."""
    with house.app.database.read() as connection:
        tally = preference_store.tally(
            connection,
            principal.tenant_id,
            experiment_id=_experiment(house, principal, experiment),
            user=own(principal),
        )
    return Json(rates_json(rates(tally), strengths(tally)))


def _experiment(house: House, principal: Principal, named: str | None) -> int | None:
    if named is None:
        return None
    check(principal)
    with house.app.database.read() as connection:
        return experiment_store.get(connection, principal.tenant_id, named).id


def own(principal: Principal) -> str | None:
    """Whose judgements the asker may see; None: everybody's."""
    return None if principal.labels is None else principal.user


def check_both(house: House, principal: Principal, *interaction_ids: str) -> None:
    """Raise NotFound for an interaction that the asker may not see."""
    with house.app.database.read() as connection:
        for each in interaction_ids:
            check_seen(interaction_store.get(connection, principal.tenant_id, each), principal)


def asked_twice(house: House, principal: Principal, asked: CompareRequest) -> Shown:
    """Both sides answered. Raises NotPermitted for a name that can hold a path or an address and was not chosen by
    whoever runs the server."""
    house.check_question(asked.question)
    for side in (asked.first, asked.second):
        if others := sorted(side.keys() - REQUESTED):
            raise NotPermitted(f"a request may not set {', '.join(others)}; it may set {', '.join(sorted(REQUESTED))}")
        check_generator(None if (named := side.get("generator")) is None else str(named), house)
        check_reranker(None if (ranked := side.get("reranker")) is None else str(ranked) or "off", house)
    return side_by_side(house.app, principal, asked.question, asked.first, asked.second)
