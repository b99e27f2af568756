"""Duplicates: what was decided about documents that say the same."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from rag.api.models import Shape

DuplicateLevel = Literal["exact", "near", "semantic"]
DuplicateScope = Literal["document", "chunk"]


class DuplicateCount(Shape):
    scope: DuplicateScope
    level: DuplicateLevel
    policy: Literal["keep", "alias", "skip", "newest"]
    decisions: int


class Duplicate(Shape):
    decision_id: int
    scope: DuplicateScope
    level: DuplicateLevel
    policy: Literal["keep", "alias", "skip", "newest"]
    similarity: Annotated[float, Field(description="exact: 1; near: Jaccard of 5-word shingles; semantic: cosine")]
    uri: Annotated[str, Field(description="which document")]
    document_id: Annotated[int | None, Field(description="null where the policy holds it back")]
    against_uri: Annotated[str, Field(description="the one that stands")]
    against_id: int | None
    actor: str
    created_at: datetime


class Duplicates(Shape):
    collection: str
    counts: list[DuplicateCount]
    duplicates: list[Duplicate]
    next: Annotated[str | None, Field(description="the `cursor` of the next page")]


class Undone(Shape):
    decision_id: int
    document_id: Annotated[int | None, Field(description="of the document that stands for itself now")]
