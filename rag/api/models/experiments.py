"""Experiments, pairs of answers to be judged blind, and what the judgements say."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from rag.api.models import ULID, Given, Shape
from rag.api.models.answers import Citation
from rag.api.models.searching import Hit

SettingValue = str | int | float


class ConfigurationOf(Shape):
    name: str
    settings: Annotated[dict[str, JsonValue], Field(description="in which it differs from the installation's")]


class Experiment(Shape):
    experiment_id: int
    name: str
    created_at: datetime
    questions: Annotated[str, Field(description="where they came from")]
    asked: int
    digest: str
    configurations: Annotated[
        list[ConfigurationOf], Field(description="the first is what the others are compared with")
    ]
    version: str
    user: str


class AgainstFirst(Shape):
    difference: Annotated[float | None, Field(description="this one's minus the first's, on the same questions")]
    low: Annotated[float | None, Field(description="95 %, by bootstrap over questions")]
    high: float | None
    p: Annotated[float | None, Field(description="of a two-sided paired randomisation test")]
    p_holm: Annotated[float | None, Field(description="corrected for the number of configurations; null: there is one")]
    better: int
    worse: int


class MetricOf(Shape):
    mean: float | None
    low: float | None
    high: float | None
    n: Annotated[int, Field(description="questions that the metric applies to")]
    against_first: AgainstFirst | None


class ExperimentRow(Shape):
    name: str
    asked: int
    failed: int
    abstained: int
    metrics: dict[str, MetricOf]


class ExperimentAnswer(Shape):
    configuration: str
    number: int
    question_id: str
    question: str
    interaction_id: Annotated[str | None, Field(description="null: it is no longer in the log")]
    values: dict[str, float | None]
    total_ms: float
    error: str | None


class ExperimentWhole(Experiment):
    table: list[ExperimentRow]
    answers: list[ExperimentAnswer]


class Experiments(Shape):
    experiments: list[Experiment]
    next: Annotated[int | None, Field(description="cursor of the next page; null on the last")]


class CompareRequest(Given):
    question: Annotated[str, Field(min_length=1)]
    first: Annotated[dict[str, SettingValue], Field(max_length=30, description="settings, as in rag.toml")]
    second: Annotated[dict[str, SettingValue], Field(max_length=30)]


class BlindAnswer(Shape):
    answer: str | None
    abstained: bool | None
    citations: list[Citation]
    passages: list[Hit]


class BlindPair(Shape):
    question: str
    first_id: Annotated[str, Field(description="with `second_id` names the pair, not who is A")]
    second_id: str
    experiment_id: int | None
    a: BlindAnswer
    b: BlindAnswer


class NextPair(Shape):
    pair: Annotated[BlindPair | None, Field(description="null: you have judged them all")]


class PreferenceRequest(Given):
    first_id: Annotated[str, Field(pattern=ULID)]
    second_id: Annotated[str, Field(pattern=ULID)]
    choice: Annotated[Literal["a", "b", "tie", "neither"], Field(description="of A and B as they were shown")]
    comment: Annotated[str | None, Field(max_length=20000)] = None


class Preference(Shape):
    preference_id: int
    created_at: datetime
    question: str
    first_id: str
    second_id: str
    first: Annotated[str, Field(description="the configuration of the first")]
    second: str
    a: Annotated[Literal["first", "second"], Field(description="which of the two was shown as A")]
    choice: Literal["first", "second", "tie", "neither"]
    comment: str | None
    user: str
    experiment_id: int | None


class Preferences(Shape):
    preferences: list[Preference]
    next: Annotated[int | None, Field(description="cursor of the next page; null on the last")]


class PairRate(Shape):
    first: str
    second: str
    wins: Annotated[int, Field(description="of the first")]
    losses: int
    ties: int
    neither: int
    share: Annotated[float | None, Field(description="won by the first of the judgements with a winner")]
    low: Annotated[float | None, Field(description="95 %, Wilson's interval")]
    high: float | None


class Standing(Shape):
    name: str
    share: Annotated[float | None, Field(description="chance to win against another of them (Bradley and Terry)")]
    low: Annotated[float | None, Field(description="95 %, by bootstrap over judgements")]
    high: float | None
    judged: int


class PreferenceRates(Shape):
    pairs: list[PairRate]
    configurations: list[Standing]
