"""What surrounds a document."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from rag.api.models import Shape
from rag.api.models.documents import DocumentLine
from rag.api.models.duplicates import Duplicate


class DocumentHistory(Shape):
    document_id: int
    versions: Annotated[
        list[DocumentLine], Field(description="what stands at its address, and stood there before; the newest first")
    ]
    places: Annotated[list[DocumentLine], Field(description="other documents that hold the same text")]
    duplicates: Annotated[list[Duplicate], Field(description="decisions that hold on it and on what it is like")]


class CitingAnswer(Shape):
    interaction_id: str
    question: str
    user: str
    cited: Annotated[bool, Field(description="whether the answer cites it; else it was only shown to the generator")]
    passages: Annotated[int, Field(description="of its text, in the prompt")]
    created_at: datetime


class CitingAnswers(Shape):
    interactions: list[CitingAnswer]
    next: Annotated[str | None, Field(description="cursor of the next page; null on the last")]
