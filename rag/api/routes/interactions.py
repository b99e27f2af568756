"""The log: GET /api/interactions[/{id}], and what people say of an answer: feedback and tags."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from rag.api.answers import Json, documented
from rag.api.house import House
from rag.api.models import ULID
from rag.api.models.interactions import (
    Counted,
    FeedbackRequest,
    FeedbackResult,
    Interactions,
    InteractionWhole,
    Tagged,
    Tags,
)
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.api.routes.narrowing import Narrowed
from rag.errors import NotFound, WrongUsage
from rag.shapes.interactions import interaction_json
from rag.store import interactions as interaction_store
from rag.store.log import tags
from rag.types import Interaction, Principal

router = APIRouter(tags=["interactions"], route_class=StrictRoute)

Id = Annotated[str, Path(pattern=ULID, description="an interaction's id, a ULID")]
Tag = Annotated[str, Path(max_length=200, description="up to 64 letters, digits, spaces and . : / @ + - _")]


@router.get("/api/interactions", response_model=Interactions, responses=documented(404, 422))
def listing(
    house: TheHouse,
    principal: Asker,
    query: Narrowed,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(pattern=ULID, description="`next` of the page before")] = None,
    after: Annotated[
        str | None, Query(pattern=ULID, description="`previous` of the page behind: the interactions newer than this")
    ] = None,
) -> Json:
    """Questions and answers, the newest first. A token that is bound to labels sees its own only."""
    if cursor is not None and after is not None:
        raise WrongUsage("a page is behind `cursor` or before `after`, not both")
    tenant = principal.tenant_id
    before, since = (None if key is None else key.upper() for key in (cursor, after))
    with house.app.database.read() as connection:
        found = interaction_store.listing(
            connection, tenant, query, limit=limit + 1, before=before, after=None if before else since
        )
        more = len(found) > limit
        page = found[-limit:] if since is not None else found[:limit]
        marks = interaction_store.marks(connection, tenant, [entry.id for entry in page])
    behind = more if since is None else bool(page)  # whoever comes back from behind knows that there is something
    ahead = more if since is not None else before is not None and bool(page)
    return Json(
        {
            "interactions": [interaction_json(entry, whole=False, marks=marks.get(entry.id)) for entry in page],
            "next": page[-1].id if behind else None,
            "previous": page[0].id if ahead else None,
        }
    )


@router.get("/api/interactions/count", response_model=Counted, responses=documented(422))
def count(
    house: TheHouse,
    principal: Asker,
    query: Narrowed,
    exact: Annotated[bool, Query(description="count all, however many: slower, the longer the log is")] = False,
) -> Json:
    """How many interactions there are. Counting ends at 10,000, and where it would take long: then the count is a lower
    bound, as `more` says."""
    with house.app.database.read() as connection:
        if exact:
            found = interaction_store.Count(interaction_store.count(connection, principal.tenant_id, query), more=False)
        else:
            found = interaction_store.counted(connection, principal.tenant_id, query)
    return Json({"count": found.number, "more": found.more})


@router.get("/api/interactions/{interaction_id}", response_model=InteractionWhole, responses=documented(404, 422))
def one(interaction_id: Id, house: TheHouse, principal: Asker) -> Json:
    """One question with everything that led to its answer: prompt, passages, candidates, settings, scores, feedback."""
    mine = None if principal.labels is None else principal.user
    with house.app.database.read() as connection:
        found = interaction_store.get(connection, principal.tenant_id, interaction_id)
        check_seen(found, principal)
        feedback = interaction_store.feedback_of(connection, found.id)
        marks = interaction_store.marks(connection, principal.tenant_id, [found.id]).get(found.id)
        links = interaction_store.links(connection, principal.tenant_id, found.id, user=mine)
    return Json(interaction_json(found, feedback, whole=True, marks=marks, links=links))


@router.put("/api/interactions/{interaction_id}/tags/{tag}", response_model=Tagged, responses=documented(404, 422))
def put_tag(interaction_id: Id, tag: Tag, house: TheHouse, principal: Asker) -> Json:
    """Put a tag to an interaction; one that is there stays."""
    return _tags(house, principal, interaction_id, tag, add=True)


@router.delete("/api/interactions/{interaction_id}/tags/{tag}", response_model=Tagged, responses=documented(404, 422))
def take_tag(interaction_id: Id, tag: Tag, house: TheHouse, principal: Asker) -> Json:
    """Take a tag off an interaction."""
    return _tags(house, principal, interaction_id, tag, add=False)


@router.get("/api/tags", response_model=Tags, responses=documented(422))
def tags_in_use(house: TheHouse, principal: Asker) -> Json:
    """Every tag in use, the most frequent first. A token that is bound to labels counts its own questions only."""
    mine = None if principal.labels is None else principal.user
    with house.app.database.read() as connection:
        found = tags.listing(connection, principal.tenant_id, user=mine)
    return Json({"tags": [{"tag": name, "interactions": count} for name, count in found]})


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


def _tags(house: House, principal: Principal, interaction_id: str, tag: str, *, add: bool) -> Json:
    """Add or take off a tag; all tags of the interaction."""
    with house.app.database.write() as connection:
        found = interaction_store.get(connection, principal.tenant_id, interaction_id)
        check_seen(found, principal)
        if add:
            tags.add(connection, principal.tenant_id, [found.id], [tag], user=principal.user)
        else:
            tags.remove(connection, principal.tenant_id, [found.id], [tag])
        held = tags.of(connection, principal.tenant_id, [found.id]).get(found.id, ())
    return Json({"interaction_id": found.id, "tags": [each.name for each in held]})
