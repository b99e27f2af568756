"""Prompt templates and their versions."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rag.shapes import Json

if TYPE_CHECKING:
    from rag.store.templates import Version


def templates_json(versions: Iterable["Version"], default: str) -> Json:
    """Every version, and the name or version that is used where a question names none."""
    return {"default": default, "templates": [version_json(version) for version in versions]}


def template_json(version: "Version", versions: Iterable["Version"]) -> Json:
    """One version with its text, and all that its name has."""
    return version_json(version) | {
        "text": version.template.text,
        "versions": [version_json(each) for each in versions],
    }


def added_json(version: "Version", *, new: bool, remarks: Iterable[str]) -> Json:
    """What became of a text that was added, and what it lacks without being wrong."""
    return version_json(version) | {"added": new, "remarks": list(remarks)}


def version_json(version: "Version") -> Json:
    return {
        "name": version.template.name,
        "version": version.template.version,
        "digest": version.template.digest,
        "current": version.current,
        "built_in": version.built_in,
        "user": version.user,
        "created_at": version.created_at and version.created_at.isoformat(timespec="milliseconds"),
    }
