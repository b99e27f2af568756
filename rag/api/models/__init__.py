"""What requests must look like, and what responses do look like: the schemas of the OpenAPI document.

Requests are checked against these. Responses are made by rag.shapes; a test holds them to these schemas and finds no
field that is not written down here. Whoever reads responses must expect further fields: they may be added later.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_ID = 2**63 - 1
MAX_K = 1000  # rag.search's own, not imported: a client reads this file and needs no search
ULID = r"^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"
CollectionName = Annotated[str, Field(min_length=1, max_length=100, description="collection; else the settings' own")]
DocumentId = Annotated[int, Field(ge=1, le=MAX_ID)]


class Given(BaseModel):
    """Part of a request: strict types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Shape(BaseModel):
    """Part of a response; a reader passes over fields that it does not know."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
