"""Conversations: GET /api/conversations[/{id}], each its user's own."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from rag.api.answers import Json, documented
from rag.api.models.conversations import Conversations, ConversationWhole
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.shapes.conversations import conversation_json, tree_json
from rag.store.log import conversations as conversation_store

router = APIRouter(tags=["conversations"], route_class=StrictRoute)

Id = Annotated[str, Path(min_length=1, max_length=100, description="a conversation's id")]


@router.get("/api/conversations", response_model=Conversations, responses=documented(404, 422))
def listing(
    house: TheHouse,
    principal: Asker,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(min_length=1, max_length=100, description="`next` of the page before")] = None,
) -> Json:
    """The asker's conversations, the newest first."""
    with house.app.database.read() as connection:
        found = conversation_store.listing(connection, principal, limit=limit + 1, before=cursor)
    page = found[:limit]
    return Json(
        {
            "conversations": [conversation_json(each) for each in page],
            "next": page[-1].id if len(found) > limit else None,
        }
    )


@router.get("/api/conversations/{conversation_id}", response_model=ConversationWhole, responses=documented(404, 422))
def one(conversation_id: Id, house: TheHouse, principal: Asker) -> Json:
    """One conversation as a tree of its turns. Another user's is not found."""
    with house.app.database.read() as connection:
        turns = conversation_store.turns_of(connection, principal, conversation_id)
    return Json(tree_json(conversation_id, turns))
