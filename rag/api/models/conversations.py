"""Conversations: in lines, and whole as trees."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from rag.api.models import Shape
from rag.api.models.answers import Parent, Regenerates
from rag.types import TurnKind


class ConversationLine(Shape):
    conversation_id: str
    created_at: datetime
    question: Annotated[str, Field(description="of its first turn")]
    turns: int
    last_at: Annotated[datetime, Field(description="when its newest turn was asked")]


class Conversations(Shape):
    conversations: list[ConversationLine]
    next: Annotated[str | None, Field(description="cursor of the next page; null on the last")]


class ConversationTurn(Shape):
    interaction_id: str
    turn: Annotated[int, Field(description="its number in the conversation, from 1")]
    kind: TurnKind
    parent_id: Parent
    regenerates_id: Regenerates
    children: Annotated[list[str], Field(description="the interactions that continue it, in the order of their turns")]
    created_at: datetime
    collection: str
    question: str
    search_query: Annotated[str, Field(description="what was searched for: a follow-up as a question of its own")]
    answer: str | None
    abstained: bool | None
    finish_reason: str | None
    error: str | None
    model: str


class ConversationWhole(Shape):
    conversation_id: str
    roots: Annotated[list[str], Field(description="the interactions that continue nothing")]
    turns: Annotated[list[ConversationTurn], Field(description="in their order: a parent stands before its children")]
