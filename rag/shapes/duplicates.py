"""What was decided on duplicates."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rag.shapes import Json

if TYPE_CHECKING:
    from rag.store.duplicates.decisions import StoredDecision, Tally


def duplicates_json(
    collection: str, counts: Iterable["Tally"], rows: Iterable["StoredDecision"], following: int | None
) -> Json:
    """What was decided on duplicates: how many of each kind, and a page of them."""
    return {
        "collection": collection,
        "counts": [
            {"scope": each.scope, "level": each.level, "policy": each.policy, "decisions": each.decisions}
            for each in counts
        ],
        "duplicates": [decision_json(row) for row in rows],
        "next": None if following is None else str(following),
    }


def decision_json(row: "StoredDecision") -> Json:
    """One duplicate; `document_id` is null where the document is held back."""
    return {
        "decision_id": row.id,
        "scope": row.scope,
        "level": row.level,
        "policy": row.policy,
        "similarity": row.similarity,
        "uri": row.uri,
        "document_id": row.document_id,
        "against_uri": row.against_uri,
        "against_id": row.against_id,
        "actor": row.actor,
        "created_at": row.created_at.isoformat(timespec="milliseconds"),
    }
