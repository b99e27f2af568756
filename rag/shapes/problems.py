"""Errors as problem documents (RFC 9457)."""

import re

from rag.errors import RagError
from rag.shapes import Json

PROBLEM = "urn:problem-type:rag:"  # and the error's name in kebab-case: urn:problem-type:rag:not-found


def problem_json(error: RagError) -> Json:
    """An error of ours as a problem document (RFC 9457); its `type` names the class."""
    return problem(type(error).__name__, error.status, str(error))


def problem(name: str, status: int, detail: str) -> Json:
    """A problem document (RFC 9457) of an error called `name`, in CamelCase."""
    return {
        "type": PROBLEM + kebab(name),
        "title": kebab(name).replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
    }


def kebab(name: str) -> str:
    """CamelCase as kebab-case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
