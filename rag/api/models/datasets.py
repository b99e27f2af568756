"""Datasets: versions that never change, their records, and two versions compared."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from rag.api.models import CollectionName, Given, Shape

Split = Literal["train", "validation", "test"]
Origin = Literal["human", "synthetic", "generated"]
Share = Annotated[float, Field(ge=0, le=1)]


def _people() -> list[Origin]:
    return ["human"]


class SharesRequest(Given):
    """How much of the groups of questions each split gets; they add up to 1."""

    train: Share = 0.8
    validation: Share = 0.1
    test: Share = 0.1


class DatasetRequest(Given):
    """What a version is made of."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    which: Annotated[
        Literal["reviewed", "judged", "all"],
        Field(description="judged: with a review, feedback or a blind preference; all: also those without"),
    ] = "judged"
    origins: list[Origin] = Field(default_factory=_people, min_length=1, max_length=3)
    shares: SharesRequest = SharesRequest()
    scrub: Annotated[
        str | None, Field(max_length=200, description="personal data to replace: all, structured, or kinds with commas")
    ] = None
    query: dict[str, JsonValue] = Field(
        default_factory=dict, description="filters of the log, as a saved view has them"
    )


class SynthesisRequest(Given):
    """Questions to be made from documents."""

    questions: Annotated[int, Field(ge=1, le=10_000, description="at most")] = 100
    by: Annotated[
        Literal["auto", "templates", "generator"],
        Field(description="a language model, or templates; auto: the model where one is installed"),
    ] = "auto"
    collection: CollectionName | None = None
    shares: SharesRequest = SharesRequest(train=0.0, validation=0.0, test=1.0)


class Dataset(Shape):
    version_id: int
    name: str
    version: Annotated[int, Field(description="1, 2, …; NAME@VERSION means it for ever")]
    kind: Literal["log", "questions"]
    digest: Annotated[str, Field(description="of all its records, in whatever order")]
    collection: str
    items: int
    query: Annotated[dict[str, JsonValue], Field(description="what it was made from")]
    card: Annotated[
        dict[str, JsonValue], Field(description="counts, time range, origins, guidelines, what was dropped")
    ]
    user: str
    created_at: datetime


class DatasetMade(Dataset):
    new: Annotated[bool, Field(description="false: the newest version held the same already")]


class Datasets(Shape):
    datasets: Annotated[list[Dataset], Field(description="each with its newest version")]
    next: Annotated[int | None, Field(description="the `cursor` of the next page")]


class RecordPassage(Shape):
    document: Annotated[str, Field(description="external id, or else the address")]
    title: str
    text: str
    grade: Annotated[int | None, Field(description="0 irrelevant … 3; null: not judged")]
    shown: Annotated[bool, Field(description="false: a reviewer named it, the prompt did not hold it")]
    by: Annotated[Literal["reviewer", "citation", "origin"] | None, Field(description="who says so")]


class DatasetRecord(Shape):
    key: str
    split: Split
    origin: Origin
    question: str
    asked: Annotated[str | None, Field(description="as it was typed, where that is a follow-up")]
    references: list[str]
    answer: str | None
    verdict: Literal["good", "bad"] | None
    labels: list[str]
    answerable: bool | None
    relevant: Annotated[dict[str, int], Field(description="document → grade")]
    passages: list[RecordPassage]
    interaction_id: str | None
    conversation_id: str | None
    created_at: datetime | None


class DatasetVersion(Dataset):
    records: list[DatasetRecord]
    next: Annotated[int | None, Field(description="the `cursor` of the next page of records")]


class RecordBrief(Shape):
    key: str
    split: Split
    origin: Origin
    question: str


class RecordChange(Shape):
    key: str
    question: str
    fields: Annotated[list[str], Field(description="that differ")]


class DatasetComparison(Shape):
    first: Dataset
    second: Dataset
    same: int
    moved: Annotated[int, Field(description="changed ones that are in another split")]
    added: list[RecordBrief]
    removed: list[RecordBrief]
    changed: list[RecordChange]
