"""The log: interactions in lines and whole, and the feedback on them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from rag.api.models import Given, Shape
from rag.api.models.answers import Citation, Kind, Parent, Regenerates, Turn, Usage
from rag.api.models.searching import Hit, Part


class FeedbackRequest(Given):
    rating: Annotated[Literal[-1, 0, 1] | None, Field(description="-1 bad, 0 neither, 1 good")] = None
    label: Annotated[str | None, Field(max_length=200)] = None
    comment: Annotated[str | None, Field(max_length=20000)] = None


class FeedbackResult(Shape):
    feedback_id: int


class InteractionLine(Shape):
    interaction_id: str
    created_at: datetime
    collection: str
    user: str
    conversation_id: str | None
    turn: Turn
    kind: Kind
    parent_id: Parent
    regenerates_id: Regenerates
    origin: str
    question: str
    answer: str | None
    abstained: bool | None
    confidence: Annotated[float | None, Field(description="how likely the passages answer, 0 to 1; null: not asked")]
    finish_reason: str | None
    error: str | None
    generator: str
    model: str
    revision: str
    scores: dict[str, float | None]
    usage: Usage
    timings_ms: dict[str, float]
    replays_id: Annotated[str | None, Field(description="the interaction that this one runs again")]
    template: Annotated[str, Field(description="name@digest of the prompt template")]
    tags: list[str]
    review_state: Annotated[str | None, Field(description="queued, reviewed; null: neither")]
    erased_at: Annotated[datetime | None, Field(description="when its words were erased; null: they stand")]


class Links(Shape):
    continued_by: list[str]
    regenerated_by: list[str]
    replayed_by: list[str]


class Message(Shape):
    role: str
    content: str


class Cut(Shape):
    rank: Annotated[int, Field(description="of the passage among those that were found, from 1")]
    chunk_id: int
    start: Annotated[int, Field(description="of what was left out, in the document's text")]
    end: int
    tokens: Annotated[int, Field(description="of what was left out, as the generator counts them")]


class LeftOut(Shape):
    budget: Annotated[int, Field(description="tokens that the prompt could take")]
    turns: Annotated[int, Field(description="of the conversation, the oldest")]
    passages: Annotated[list[Cut], Field(description="those that did not fit, and the end of a shortened one")]


class Prompt(Shape):
    messages: list[Message]
    template: Annotated[str, Field(description="name@digest; `GET /api/prompts/{name}` shows its text")]
    tokens: int
    left_out: Annotated[LeftOut | None, Field(description="null in prompts that were logged before it was kept")]


class Candidate(Shape):
    chunk_id: int
    score: float | None
    parts: dict[str, Part]


class Judgement(Shape):
    name: str
    value: float | None
    label: str | None
    explanation: str | None
    annotator_kind: Literal["HUMAN", "LLM", "CODE"]
    identifier: str


class Feedback(Shape):
    feedback_id: int
    user: str
    rating: int | None
    label: str | None
    comment: str | None
    created_at: datetime


class InteractionWhole(InteractionLine):
    search_query: str
    links: Annotated[Links, Field(description="interactions that name this one")]
    settings: dict[str, JsonValue]
    position: int
    generation: int
    prompt: Prompt | None
    citations: list[Citation]
    passages: list[Hit]
    candidates: list[Candidate]
    judgements: list[Judgement]
    feedback: list[Feedback]


class Interactions(Shape):
    interactions: list[InteractionLine]
    next: Annotated[str | None, Field(description="cursor of the next page; null on the last")]
    previous: Annotated[str | None, Field(description="pass it as `after` for the page before; null on the first")]


class Counted(Shape):
    count: Annotated[int, Field(description="how many there are; with `more`, at least so many: a lower bound")]
    more: Annotated[bool, Field(description="whether there are more than were counted")]


class Tagged(Shape):
    interaction_id: str
    tags: list[str]


class TagCount(Shape):
    tag: str
    interactions: int


class Tags(Shape):
    tags: list[TagCount]


class ViewRequest(Given):
    filters: Annotated[
        dict[str, JsonValue],
        Field(description="text, model, template, user, scores …, as `GET /api/views` shows them"),
    ]


class View(Shape):
    name: str
    filters: dict[str, JsonValue]
    created_at: Annotated[datetime, Field(description="when it was saved last")]


class Views(Shape):
    views: list[View]


class ProofPart(Shape):
    name: str
    checked: int
    unproved: Annotated[int, Field(description="without a digest, or with words that are gone")]
    wrong: Annotated[list[str], Field(description="the first of those that are not what they were")]


class Proof(Shape):
    sound: bool
    parts: list[ProofPart]
