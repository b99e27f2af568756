"""Documents: texts and files that are sent, documents in lines and whole, and the collections they are in."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, JsonValue

from rag.api.models import CollectionName, Given, Shape


class TextRequest(Given):
    text: Annotated[str, Field(min_length=1, description="the document's text")]
    media_type: Annotated[
        Literal["text/plain", "text/markdown", "text/html"], Field(description="what the text is written in")
    ] = "text/plain"
    title: Annotated[str, Field(max_length=1000)] = ""
    uri: Annotated[
        str | None,
        Field(min_length=1, max_length=2000, description="names the document: sending it again updates it"),
    ] = None
    external_id: Annotated[str | None, Field(min_length=1, max_length=1000, description="your own id of it")] = None
    metadata: Annotated[dict[str, JsonValue], Field(description="yours, for filters")] = Field(default_factory=dict)
    labels: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]],
        Field(max_length=50, description="only holders of one of them may see it; none: all of the tenant"),
    ] = Field(default_factory=list)
    collection: CollectionName | None = None


File = Annotated[str, Field(json_schema_extra={"format": "binary"})]


class UploadRequest(BaseModel):
    """A multipart form."""

    file: Annotated[list[File], Field(min_length=1, description="one or several files")]
    metadata: Annotated[str | None, Field(description="a JSON object, for all of the files")] = None
    label: Annotated[list[str], Field(description="only holders of one of them may see the files; repeated")] = Field(
        default_factory=list
    )
    collection: CollectionName | None = None


class DocumentLine(Shape):
    document_id: int
    collection: str
    uri: str
    external_id: str | None
    title: str
    media_type: str
    metadata: dict[str, JsonValue]
    owner: str
    labels: list[str]
    characters: int
    created_at: datetime
    removed_at: Annotated[datetime | None, Field(description="null while it stands")]


class Restored(Shape):
    removed_id: Annotated[int, Field(description="the document that was removed")]
    document_id: Annotated[int | None, Field(description="as which it stands again; null: a policy holds it back")]
    uri: str
    state: Literal["added", "updated", "unchanged", "duplicate"]
    reason: Annotated[str, Field(description="what it duplicates, if anything")]


class Chunk(Shape):
    chunk_id: int
    ordinal: int
    start: int
    end: int
    headings: list[str]
    page: int | None


class DocumentWhole(DocumentLine):
    text: str
    chunks: list[Chunk]


class Documents(Shape):
    documents: list[DocumentLine]
    next: Annotated[str | None, Field(description="cursor of the next page; null on the last")]


class Failure(Shape):
    uri: str
    reason: str


class IngestResult(Shape):
    added: Annotated[int, Field(description="documents with a text that is new")]
    updated: Annotated[int, Field(description="documents whose text or metadata changed")]
    unchanged: int
    duplicate: Annotated[int, Field(description="documents with a text that was there already")]
    skipped: int
    failed: Annotated[int, Field(description="files, or documents in them, that could not be read")]
    documents: Annotated[int, Field(description="alive in the collection afterwards")]
    chunks: int
    embedded: Annotated[int, Field(description="texts that went through the embedding model")]
    seconds: float
    failures: list[Failure]
    document_ids: Annotated[list[int], Field(description="of what was written; empty where nothing had changed")]


class Collection(Shape):
    name: str
    documents: int
    chunks: int
    embedder: str
    dim: int
    settings: dict[str, JsonValue]
    position: int
    created_at: datetime


class Collections(Shape):
    collections: list[Collection]
