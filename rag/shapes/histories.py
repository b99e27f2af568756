"""What surrounds a document: versions, places of its text, duplicates, the answers that were shown it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rag.shapes import Json
from rag.shapes.documents import document_json
from rag.shapes.duplicates import decision_json

if TYPE_CHECKING:
    from rag.store.documents import StoredDocument
    from rag.store.duplicates.decisions import StoredDecision
    from rag.store.histories import Citing


def history_json(
    document_id: int,
    collection: str,
    versions: Iterable["StoredDocument"],
    places: Iterable["StoredDocument"],
    decisions: Iterable["StoredDecision"],
) -> Json:
    """What stood and stands at a document's address, where else its text stands, and what it was found alike."""
    return {
        "document_id": document_id,
        "versions": [document_json(each, collection) for each in versions],
        "places": [document_json(each, collection) for each in places],
        "duplicates": [decision_json(each) for each in decisions],
    }


def citing_json(rows: Iterable["Citing"], following: str | None) -> Json:
    """The answers that were shown a document's text, the newest first."""
    return {
        "interactions": [
            {
                "interaction_id": row.interaction_id,
                "question": row.question,
                "user": row.user,
                "cited": row.cited,
                "passages": row.passages,
                "created_at": row.created_at.isoformat(timespec="milliseconds"),
            }
            for row in rows
        ],
        "next": following,
    }
