"""Gates: what judged questions are held to, and what came of it."""

from typing import Annotated

from pydantic import Field, FiniteFloat, JsonValue

from rag.api.models import CollectionName, Shape
from rag.api.models.datasets import Split
from rag.api.models.searching import Generating

MAX_DROP, WORST = 0.02, 10  # as in rag.evaluation.gate, not imported: a client reads this file and measures nothing

Metric = Annotated[str, Field(min_length=1, max_length=100)]


class GateRequest(Generating):
    """What a dataset is held to; how it is searched and answered is as the settings say where nothing is said."""

    set: Annotated[str, Field(min_length=1, max_length=120, description="a dataset, NAME or NAME@NUMBER")]
    min: dict[Metric, FiniteFloat] = Field(
        default_factory=dict, max_length=50, description="metric → what its mean must reach"
    )
    max: dict[Metric, FiniteFloat] = Field(
        default_factory=dict, max_length=50, description="metric → what its mean may not pass"
    )
    against: Annotated[str | None, Field(min_length=1, max_length=120, description="an earlier run, by name or id")] = (
        None
    )
    max_drop: Annotated[FiniteFloat, Field(ge=0, le=1, description="with against: a mean may be lower by so much")] = (
        MAX_DROP
    )
    metrics: list[Metric] = Field(
        default_factory=list, max_length=50, description="held against the earlier run besides those of the bounds"
    )
    answers: Annotated[bool, Field(description="ask the questions even if no bound needs answers")] = False
    splits: list[Split] = Field(default_factory=list, max_length=3, description="of the dataset; else test")
    collection: Annotated[
        CollectionName | None, Field(description="measure on this collection; else on the dataset's")
    ] = None
    name: Annotated[str | None, Field(min_length=1, max_length=120, description="keep the run under this name")] = None
    worst: Annotated[int, Field(ge=0, le=1000, description="questions that are shown")] = WORST


class GateBound(Shape):
    metric: str
    value: Annotated[float | None, Field(description="the mean; null: the metric applied to no question")]
    low: Annotated[float | None, Field(description="of its 95 % interval")]
    high: float | None
    min: float | None
    max: float | None
    questions: int
    sure: Annotated[bool, Field(description="whether the bound lies outside of the interval")]
    passed: bool


class GateDrop(Shape):
    metric: str
    before: float
    now: float
    difference: Annotated[float, Field(description="now minus before")]
    low: Annotated[float, Field(description="of the difference's 95 % interval")]
    high: float
    p: Annotated[float, Field(description="two-sided paired randomisation test")]
    p_holm: Annotated[float, Field(description="corrected for the number of metrics")]
    max_drop: float
    questions: Annotated[int, Field(description="that both have")]
    passed: bool


class GateOther(Shape):
    metric: str
    value: float | None
    low: float | None
    high: float | None
    drop: GateDrop | None


class GateWorst(Shape):
    id: str
    question: str
    value: float
    before: Annotated[float | None, Field(description="in the earlier run")]


class GateResult(Shape):
    passed: bool
    set: str
    collection: str
    questions: int
    bounds: list[GateBound]
    against: str | None
    drops: list[GateDrop]
    not_compared: Annotated[list[str], Field(description="metrics that the earlier run lacks: they have not passed")]
    others: Annotated[list[GateOther], Field(description="what was measured besides")]
    worst_by: str | None
    worst: list[GateWorst]
    settings: dict[str, JsonValue]
    report: Annotated[str, Field(description="the same in Markdown")]
