"""Responses of the routes: JSON of ours, and which problems a route documents."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import Response

from rag.api import problems

TOLD = {
    400: "the request is malformed",
    401: "no valid token",
    403: "not allowed",
    404: "no such thing",
    409: "it changed meanwhile, or does not stand so",
    413: "too much",
    415: "a body of a kind that is not taken here",
    421: "another host's name",
    422: "a field, or the filter, does not fit",
    502: "the generator failed",
    503: "the installation is not ready",
}


class Json(Response):
    """A JSON object: strict, in UTF-8."""

    media_type = "application/json"

    def render(self, content: Mapping[str, object]) -> bytes:
        return problems.to_bytes(content)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:  # as FastAPI types it
    """The problems of a route for OpenAPI; those that any request can meet are always among them."""
    return {
        status: {
            "description": TOLD[status],
            "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({400, 401, 403, 421, 503, *statuses})
    }
