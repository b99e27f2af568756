"""Jobs: their progress, what came of them, and what became of each file."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from rag.api.models import Shape
from rag.types import FileState


class JobProgress(Shape):
    done: Annotated[int, Field(description="files")]
    total: Annotated[int | None, Field(description="files; null until it is known")]
    documents: Annotated[int, Field(description="written since it was begun for the last time")]
    uri: Annotated[str, Field(description="the file that was finished last")]


class JobCounts(Shape):
    added: int
    updated: int
    unchanged: int
    duplicate: int
    skipped: int
    failed: int


class Job(Shape):
    job_id: int
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    collection: str | None
    user: str
    paths: list[str]
    progress: JobProgress
    counts: Annotated[JobCounts, Field(description="what became of its files, each counted once")]
    result: Annotated[dict[str, JsonValue] | None, Field(description="null until it is done")]
    error: Annotated[str | None, Field(description="why it failed; while it waits or runs: why the last try ended")]
    attempts: Annotated[int, Field(description="beginnings since it last got any further")]
    cancel_asked: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Jobs(Shape):
    jobs: list[Job]
    next: Annotated[str | None, Field(description="cursor of the next page; null on the last")]


class JobItem(Shape):
    uri: str
    state: FileState
    reason: str
    documents: int
    created_at: datetime


class JobItems(Shape):
    items: list[JobItem]
    next: Annotated[str | None, Field(description="cursor of the next page; null on the last")]
