"""Questions that are answered, and answers with their citations."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from rag.api.models import ULID, Shape
from rag.api.models.searching import Generating, Hit, Place, Searching
from rag.types import ReasonKind, TurnKind, Verdict


class AskRequest(Searching, Generating):
    question: Annotated[
        str | None,
        Field(
            min_length=1,
            examples=["How are path parameters declared?"],
            description="what is asked; left out where `regenerate` asks again",
        ),
    ] = None
    k: Annotated[int | None, Field(ge=1, le=100, description="passages; else the settings' own")] = None
    conversation: Annotated[
        Literal["new"] | None, Field(description="new: begin a conversation, whose id the answer holds")
    ] = None
    conversation_id: Annotated[
        str | None,
        Field(min_length=1, max_length=100, description="the conversation to go on with; one of your own id begins"),
    ] = None
    parent: Annotated[
        str | None,
        Field(
            pattern=f"{ULID}|^root$",
            description="the interaction that this one continues; root: none; else the conversation's last",
        ),
    ] = None
    regenerate: Annotated[
        str | None, Field(pattern=ULID, description="the interaction whose question is asked again")
    ] = None
    strict: Annotated[
        bool | None,
        Field(description="leave out sentences that no passage bears out; text comes when the answer is whole"),
    ] = None
    abstain: Annotated[
        Literal["auto", "never"] | None,
        Field(description="auto: refuse what the passages hardly answer; else as the settings say"),
    ] = None
    abstain_threshold: Annotated[
        FiniteFloat | None, Field(ge=0, le=1, description="confidence to refuse below; else the collection's own")
    ] = None
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1, description="of sampled answers")] = None
    temperature: Annotated[FiniteFloat | None, Field(ge=0, le=2, description="0 is greedy")] = None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.question is None) == (self.regenerate is None):
            raise ValueError("give either `question`, or `regenerate` to ask an earlier one again")
        if self.conversation is not None and (self.conversation_id or self.parent or self.regenerate):
            raise ValueError("`conversation: new` begins one: leave `conversation_id`, `parent` and `regenerate` out")
        return self


Turn = Annotated[int | None, Field(description="its number in the conversation, from 1; null: in none")]
Kind = Annotated[TurnKind | None, Field(description="what it is in its conversation; null: asked by itself")]
Parent = Annotated[str | None, Field(description="the interaction that it continues")]
Regenerates = Annotated[str | None, Field(description="the interaction whose question it asks again")]


class Reason(Shape):
    kind: Annotated[ReasonKind, Field(description="what differs")]
    text: Annotated[str, Field(description="in words, for people")]


class Citation(Shape):
    start: Annotated[int, Field(description="of the sentence, in the answer")]
    end: int
    passage: Annotated[int | None, Field(description="its number in `passages`, from 1")]
    uri: str | None
    places: list[Place]
    quote: str
    quote_start: Annotated[int | None, Field(description="quote == document text[quote_start:quote_end]")]
    quote_end: int | None
    support: Annotated[float | None, Field(description="0 to 1")]
    verdict: Verdict
    marked: Annotated[bool, Field(description="whether the answer itself points to this passage with [n]")]
    reasons: Annotated[list[Reason], Field(description="why it is not supported; empty when it is")]


class Usage(Shape):
    prompt_tokens: int | None
    completion_tokens: int | None


class Fallback(Shape):
    instead_of: Annotated[str, Field(description="the generator that should have answered")]
    reason: Annotated[str, Field(description="why it did not")]


class Closest(Shape):
    passage: Annotated[int, Field(description="its number in `passages`, from 1")]
    document_id: int
    uri: str
    title: str
    headings: list[str]
    page: int | None
    start: Annotated[int, Field(description="in the document's text")]
    end: int


class Refusal(Shape):
    looked_for: Annotated[list[str], Field(description="the words of the question, as written")]
    missing: Annotated[list[str], Field(description="of these, those that stand in no document that could be searched")]
    closest: Annotated[Closest | None, Field(description="null: nothing was found at all")]


class AskResult(Shape):
    interaction_id: str
    question: str
    answer: str | None
    abstained: Annotated[bool | None, Field(description="the passages do not answer, and the answer says so")]
    confidence: Annotated[float | None, Field(description="how likely the passages answer, 0 to 1; null: not asked")]
    refusal: Annotated[Refusal | None, Field(description="what was looked for, where the documents do not answer")]
    removed: Annotated[list[str], Field(description="sentences that a strict answer leaves out")]
    generator: Annotated[str, Field(description="who answered")]
    fallback: Annotated[Fallback | None, Field(description="set where another should have answered and could not")]
    citations: list[Citation]
    passages: list[Hit]
    scores: Annotated[dict[str, float | None], Field(description="null: the metric does not apply")]
    model: str
    revision: str
    usage: Usage
    finish_reason: str | None
    timings_ms: dict[str, float]
    collection: str
    conversation_id: str | None
    turn: Turn
    kind: Kind
    parent_id: Parent
    regenerates_id: Regenerates
    search_query: Annotated[str, Field(description="what was searched for: a follow-up as a question of its own")]
    created_at: datetime
