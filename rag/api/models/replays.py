"""Replays: what a logged question is asked again with, and what is different then."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, JsonValue

from rag.api.models import Shape
from rag.api.models.searching import Generating


class ReplayRequest(Generating):
    """What is asked otherwise; what is left out is as it was logged."""

    k: Annotated[int | None, Field(ge=1, le=100, description="passages")] = None
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    temperature: Annotated[FiniteFloat | None, Field(ge=0, le=2)] = None
    at_original_index: Annotated[
        bool,
        Field(description="search the collection as it stood then, by permissions of now; no erased text comes back"),
    ] = False


class Side(Shape):
    interaction_id: str
    created_at: datetime
    question: str
    answer: str | None
    error: str | None
    model: str
    template: str
    collection: str
    position: int
    generation: int


class KeptPassage(Shape):
    before: Annotated[int, Field(description="its number in the first prompt, from 1")]
    after: int
    same_text: Annotated[bool, Field(description="false: it is widened or shortened otherwise")]


class MovedPassage(Shape):
    chunk_id: int
    title: str
    uris: list[str]
    text: str
    told: Annotated[str, Field(description="the reason in words")]
    rank: Annotated[int | None, Field(description="among the other's passages and candidates; null: not among them")]


class GonePassage(MovedPassage):
    before: int
    reason: Literal[
        "erased",
        "another collection",
        "removed",
        "replaced",
        "recut",
        "not permitted",
        "no room",
        "pushed out",
        "re-ranked",
        "not found",
    ]


class NewPassage(MovedPassage):
    after: int
    reason: Literal["another collection", "added", "had no room", "re-ranked", "found"]


class WordsOf(Shape):
    kind: Literal["same", "gone", "new"]
    text: str


class BothNumbers(Shape):
    first: float | None
    second: float | None


class BothValues(Shape):
    first: JsonValue
    second: JsonValue


class Replay(Shape):
    first: Side
    second: Side
    same_passages: bool
    same_answer: bool
    kept: list[KeptPassage]
    gone: list[GonePassage]
    new: list[NewPassage]
    words: Annotated[list[WordsOf], Field(description="the answers as one text")]
    scores: dict[str, BothNumbers]
    settings: Annotated[dict[str, BothValues], Field(description="those that differ")]
    total_ms: BothNumbers
    tokens: BothNumbers
