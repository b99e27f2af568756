"""Syncs: places that a collection follows, and what a run changed or would change."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from rag.api.models import Shape
from rag.api.models.documents import Failure


class SyncLocation(Shape):
    kind: Literal["path", "page", "sitemap"]
    place: Annotated[str, Field(description="an absolute path on the server, or a URL")]


class SyncResult(Shape):
    added: int
    updated: int
    moved: int
    removed: int
    unchanged: int
    skipped: int
    failed: int
    embedded: int
    seconds: float
    failures: Annotated[list[Failure], Field(description="the first of them")]


class Sync(Shape):
    name: str
    collection: str
    locations: list[SyncLocation]
    owner: str
    metadata: dict[str, JsonValue]
    labels: list[str]
    hosts: list[str]
    sources: Annotated[int, Field(description="files and pages that it looks after")]
    result: Annotated[SyncResult | None, Field(description="of the last run that ended")]
    created_at: datetime
    ran_at: datetime | None


class Syncs(Shape):
    syncs: list[Sync]


class SyncMove(Shape):
    uri: str
    moved_from: str


class SyncDifference(Shape):
    sync: str
    collection: str
    dry_run: bool
    added: list[str]
    updated: list[str]
    moved: list[SyncMove]
    removed: list[str]
    unchanged: int
    skipped: int
    failed: int
    failures: list[Failure]
    documents: int
    chunks: int
    embedded: int
    seconds: float
