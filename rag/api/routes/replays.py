"""Replays: POST /api/interactions/{id}/replays runs a logged pair again, GET …/difference compares two answers."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query

from rag.api.answers import Json, documented
from rag.api.house import House
from rag.api.models import ULID
from rag.api.models.replays import Replay, ReplayRequest
from rag.api.refining import check_reranker
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.api.routes.ask import OPEN_GENERATORS, check_generator
from rag.api.routes.interactions import Id, check_seen
from rag.errors import NotPermitted, WrongUsage
from rag.experiments.differences import Difference, difference
from rag.experiments.replay import Otherwise, replay
from rag.shapes.replays import difference_json
from rag.store import interactions as interaction_store
from rag.types import Interaction, Principal

router = APIRouter(tags=["interactions"], route_class=StrictRoute)


@router.post(
    "/api/interactions/{interaction_id}/replays",
    status_code=201,
    response_model=Replay,
    responses=documented(404, 409, 413, 422, 502),
)
async def again(interaction_id: Id, asked: ReplayRequest, house: TheHouse, principal: Asker) -> Json:
    """Run a logged question again, retrieval included, by what the asker may see now; log it, and say what differs."""
    check_generator(asked.generator, house)
    check_reranker(asked.rerank, house)

    def run() -> Difference:
        entry = read(house, principal, interaction_id)
        check_logged(entry, asked, house)
        return replay(house.app, entry, principal, to_otherwise(asked))[1]

    return Json(difference_json(await to_thread.run_sync(run, limiter=house.answers)), status_code=201)


@router.get("/api/interactions/{interaction_id}/difference", response_model=Replay, responses=documented(400, 404, 422))
def compared(
    interaction_id: Id,
    house: TheHouse,
    principal: Asker,
    against: Annotated[
        str | None, Query(pattern=ULID, description="the earlier interaction; else the one that this one replays")
    ] = None,
) -> Json:
    """How an answer differs from an earlier one to the same question: passages and why, words, scores, time."""
    second = read(house, principal, interaction_id)
    earlier = against or second.replays_id
    if earlier is None:
        raise WrongUsage(f"interaction {second.id} replays none: name the one to compare it with (against=ID)")
    first = read(house, principal, earlier)
    return Json(difference_json(difference(house.app.database, house.app.access, first, second, principal)))


def read(house: House, principal: Principal, interaction_id: str) -> Interaction:
    """An interaction whole. Raises NotFound for one that the asker may not see."""
    with house.app.database.read() as connection:
        found = interaction_store.get(connection, principal.tenant_id, interaction_id)
    check_seen(found, principal)
    return found


def check_logged(entry: Interaction, asked: ReplayRequest, house: House) -> None:
    """Raise NotPermitted where a logged name is no longer what whoever runs the server has chosen."""
    settings = house.app.settings
    wanted = entry.settings.get("fallback_from") or entry.model
    known = wanted in OPEN_GENERATORS | {settings.generator, ""}
    if asked.generator is None and not known and wanted != house.app.generator().name:
        raise NotPermitted(f"it was answered by {wanted!r}, which is not chosen any more: name a `generator`")
    ranked_by = entry.settings.get("reranker")
    if asked.rerank is None and ranked_by:
        chosen = house.app.reranker()
        if chosen is None or chosen.name != ranked_by:
            raise NotPermitted(f'it was reranked by {ranked_by!r}, which is not chosen any more: `rerank`: "off"')


def to_otherwise(asked: ReplayRequest) -> Otherwise:
    return Otherwise(
        model=asked.generator,
        template=asked.template,
        collection=asked.collection,
        mode=asked.mode,
        passages=asked.k,
        reranker=asked.rerank,
        fusion=asked.fusion,
        alpha=asked.alpha,
        rrf_k=asked.rrf_k,
        depth=asked.depth,
        diversify=asked.diversify,
        per_document=asked.per_document,
        neighbours=asked.neighbours,
        seed=asked.seed,
        temperature=asked.temperature,
        at_original_index=asked.at_original_index,
    )
