"""The log in figures: totals, over time, by collection, model and template; drift; what to write next."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from rag.api.models import Shape

Counted = Annotated[
    Literal["human", "synthetic", "generated", "all"],
    Field(description="whose questions count: of this origin, without replays; all: whatever is in the log"),
]
Others = Annotated[int, Field(description="that do not count, of the same period and choice")]


class Share(Shape):
    count: int
    n: int
    share: float
    low: Annotated[float, Field(description="of the 95 % interval (Wilson)")]
    high: float


class Average(Shape):
    n: int
    mean: float
    low: Annotated[float | None, Field(description="of the 95 % interval; null for a single value")]
    high: float | None


class StageLatency(Shape):
    n: Annotated[int, Field(description="interactions that went through this stage")]
    p50: Annotated[float, Field(description="milliseconds, within 1 %")]
    p95: float


class Figures(Shape):
    questions: int
    users: int
    refused: Annotated[Share | None, Field(description="of the questions that did not fail; null: there are none")]
    failed: Annotated[Share | None, Field(description="of all questions; null: there are none")]
    prompt_tokens: int
    completion_tokens: int
    latency_ms: Annotated[dict[str, StageLatency], Field(description="by stage, the longest first")]
    scores: Annotated[dict[str, Average], Field(description="by name, where they apply")]
    good: Annotated[int, Field(description="answers that somebody rated good")]
    bad: int


class FiguresInTime(Figures):
    since: datetime
    until: Annotated[datetime, Field(description="not part of it")]


class FiguresOf(Figures):
    name: str


class Dashboard(Shape):
    since: datetime
    until: Annotated[datetime, Field(description="not part of it")]
    step: Literal["hour", "day", "week", "month"]
    origin: Counted
    others: Others
    total: Figures
    over_time: Annotated[list[FiguresInTime], Field(description="without gaps; the first and last may be cut")]
    by_collection: list[FiguresOf]
    by_model: list[FiguresOf]
    by_template: list[FiguresOf]


class Change(Shape):
    value: Annotated[float, Field(description="the share of now minus that before")]
    low: Annotated[float, Field(description="of the 95 % interval, by bootstrap over both periods")]
    high: float


class DriftPoint(Shape):
    since: datetime
    until: datetime
    out: Share | None
    median: Annotated[float | None, Field(description="cosine between a question and its nearest passage")]


class Farthest(Shape):
    interaction_id: str
    question: str
    cosine: float


class Drift(Shape):
    limit: Annotated[float, Field(description="a question whose nearest passage has a lower cosine is out")]
    before: Annotated[Share, Field(description="out in the reference period")]
    now: Share
    change: Change
    step: Literal["hour", "day", "week", "month"]
    over_time: list[DriftPoint]
    farthest: list[Farthest]


class DriftFound(Shape):
    origin: Counted
    questions: Annotated[int, Field(description="of the period")]
    others: Others
    read: Annotated[int, Field(description="of these, an even sample")]
    measured: Annotated[int, Field(description="of these, searched by meaning")]
    read_before: int
    measured_before: int
    drift: Annotated[Drift | None, Field(description="null: too few questions to tell")]


class TopicExample(Shape):
    interaction_id: str
    question: str


class Closest(Shape):
    document_id: int
    title: str
    uri: str
    chunk_id: int
    cosine: float


class Topic(Shape):
    label: Annotated[list[str], Field(description="the most telling words")]
    size: Annotated[int, Field(description="questions")]
    refused: int
    bad: Annotated[int, Field(description="rated so")]
    low: Annotated[int, Field(description="faithfulness below 0.5")]
    first: datetime
    last: datetime
    examples: Annotated[list[TopicExample], Field(description="the most typical first")]
    closest: Annotated[Closest | None, Field(description="what the collection has nearest to the first example")]


class Topics(Shape):
    origin: Counted
    questions: Annotated[int, Field(description="that there are")]
    others: Others
    read: Annotated[int, Field(description="of these, brought together")]
    alone: Annotated[int, Field(description="of these, in no topic of three or more")]
    topics: Annotated[list[Topic], Field(description="the largest first")]


class NewTopics(Topics):
    older: Annotated[int, Field(description="questions that they were held against")]
    limit: Annotated[float | None, Field(description="cosine below which a question is new; null: too few older ones")]
