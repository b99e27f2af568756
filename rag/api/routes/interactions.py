"""The log: GET /api/interactions[/{id}], and what people say of an answer."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import FiniteFloat

from rag.api.answers import Json, documented
from rag.api.models import ULID
from rag.api.models.interactions import FeedbackRequest, FeedbackResult, Interactions, InteractionWhole
from rag.api.requests import Asker, StrictRoute, TheHouse, utc
from rag.errors import NotFound
from rag.shapes.interactions import interaction_json
from rag.store import interactions as interaction_store
from rag.types import Interaction, Principal

router = APIRouter(tags=["interactions"], route_class=StrictRoute)

Id = Annotated[str, Path(pattern=ULID, description="an interaction's id, a ULID")]
Words = Annotated[str | None, Query(max_length=1000)]


@router.get("/api/interactions", response_model=Interactions, responses=documented(404, 422))
def listing(
    house: TheHouse,
    principal: Asker,
    text: Annotated[str | None, Query(max_length=1000, description="found in question or answer")] = None,
    model: Words = None,
    user: Words = None,
    conversation: Words = None,
    collection: Words = None,
    since: Annotated[datetime | None, Query(description="from this moment on; UTC where no zone is given")] = None,
    until: Annotated[datetime | None, Query(description="before this moment")] = None,
    score: Annotated[str | None, Query(max_length=1000, description="the name of a score that has a value")] = None,
    score_min: Annotated[FiniteFloat | None, Query(description="… which is at least this")] = None,
    score_max: Annotated[FiniteFloat | None, Query(description="… and at most this")] = None,
    abstained: bool | None = None,
    failed: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(pattern=ULID, description="`next` of the page before")] = None,
) -> Json:
    """Questions and answers, the newest first. A token that is bound to labels sees its own only."""
    if principal.labels is not None:
        if user not in (None, principal.user):
            return Json({"interactions": [], "next": None})
        user = principal.user
    query = interaction_store.Query(
        text=text,
        model=model,
        user=user,
        conversation_id=conversation,
        collection=collection,
        since=utc(since),
        until=utc(until),
        score=score,
        score_min=score_min,
        score_max=score_max,
        abstained=abstained,
        failed=failed,
    )
    with house.app.database.read() as connection:
        found = interaction_store.listing(
            connection, principal.tenant_id, query, limit=limit + 1, before=None if cursor is None else cursor.upper()
        )
    page = found[:limit]
    return Json(
        {
            "interactions": [interaction_json(interaction, whole=False) for interaction in page],
            "next": page[-1].id if len(found) > limit else None,
        }
    )


@router.get("/api/interactions/{interaction_id}", response_model=InteractionWhole, responses=documented(404, 422))
def one(interaction_id: Id, house: TheHouse, principal: Asker) -> Json:
    """One question with everything that led to its answer: prompt, passages, candidates, settings, scores, feedback."""
    with house.app.database.read() as connection:
        found = interaction_store.get(connection, principal.tenant_id, interaction_id)
        check_seen(found, principal)
        feedback = interaction_store.feedback_of(connection, found.id)
    return Json(interaction_json(found, feedback, whole=True))


@router.post(
    "/api/interactions/{interaction_id}/feedback",
    status_code=201,
    response_model=FeedbackResult,
    responses=documented(404, 413, 422),
)
def say(interaction_id: Id, said: FeedbackRequest, house: TheHouse, principal: Asker) -> Json:
    """Say what an answer is worth: a rating, a label, a comment, or several of them."""
    database = house.app.database
    with database.read() as connection:
        found = interaction_store.get(connection, principal.tenant_id, interaction_id)
    check_seen(found, principal)
    with database.write() as connection:
        feedback_id = interaction_store.add_feedback(
            connection,
            principal.tenant_id,
            found.id,
            user=principal.user,
            rating=said.rating,
            label=said.label,
            comment=said.comment,
        )
    return Json({"feedback_id": feedback_id}, status_code=201)


def check_seen(interaction: Interaction, principal: Principal) -> None:
    """Raise NotFound for another's interaction when the asker is bound to labels: its passages may bear others."""
    if principal.labels is not None and interaction.user != principal.user:
        raise NotFound(f"no interaction {interaction.id!r}")
