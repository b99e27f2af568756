"""Evaluations: runs over judged queries, and two runs compared."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue

from rag.api.models import Shape


class Interval(Shape):
    low: float
    high: float


class Latency(Shape):
    p50: float
    p95: float
    mean: float


class Evaluation(Shape):
    run_id: int
    name: str
    folder: str
    folder_digest: Annotated[str, Field(description="of the judged queries and their judgements")]
    collection: Annotated[str | None, Field(description="null: the run came from a run file")]
    mode: str
    queries: int
    metrics: Annotated[dict[str, float], Field(description="trec_eval's name → mean over every judged query")]
    intervals: Annotated[dict[str, Interval], Field(description="95 %, by bootstrap over queries")]
    latency_ms: Annotated[
        Latency | None,
        Field(
            description="of a search for 10 passages, embedding its question left out; null: the run came from a run "
            "file"
        ),
    ]
    settings: dict[str, JsonValue]
    position: int | None
    generation: int | None
    version: str
    user: str
    created_at: datetime


class Evaluations(Shape):
    runs: list[Evaluation]
    next: Annotated[int | None, Field(description="the `cursor` of the next page")]


class RankedRelevant(Shape):
    external_id: str
    grade: int
    rank: Annotated[int | None, Field(description="null: not found")]


class RankedFirst(Shape):
    external_id: str
    grade: Annotated[int | None, Field(description="null: not judged")]
    score: float


class JudgedQuery(Shape):
    query_id: str
    question: str
    metrics: dict[str, float]
    latency_ms: float | None
    relevant: list[RankedRelevant]
    found: Annotated[list[RankedFirst], Field(description="the first five")]


class EvaluationRun(Evaluation):
    worst: list[JudgedQuery]


class ComparedRun(Shape):
    run_id: int
    name: str
    mode: str


class ComparedMetric(Shape):
    metric: str
    first: float
    second: float
    difference: Annotated[float, Field(description="second minus first")]
    low: Annotated[float, Field(description="of the difference's 95 % interval, by bootstrap over queries")]
    high: float
    p: Annotated[float, Field(description="two-sided paired randomisation test")]
    p_holm: Annotated[float | None, Field(description="corrected for the number of metrics; null where there is one")]
    wins: int
    losses: int
    ties: int


class ComparedQuery(Shape):
    query_id: str
    question: str
    first: float
    second: float


class EvaluationComparison(Shape):
    first: ComparedRun
    second: ComparedRun
    queries: Annotated[int, Field(description="that both have, judged alike")]
    only_first: int
    only_second: int
    judged_otherwise: int
    metrics: list[ComparedMetric]
    losses: Annotated[list[ComparedQuery], Field(description="those that lost most, by the first metric")]
