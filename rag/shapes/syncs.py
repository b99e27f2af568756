"""Syncs, and what a run changed or would change."""

from typing import TYPE_CHECKING

from rag.shapes import Json

if TYPE_CHECKING:
    from rag.corpus.sync import Difference
    from rag.store.syncs import StoredSync


def difference_json(difference: "Difference") -> Json:
    """What a run of a sync did, or would do: sources by their addresses."""
    return {
        "sync": difference.sync,
        "collection": difference.collection,
        "dry_run": difference.dry_run,
        "added": list(difference.added),
        "updated": list(difference.updated),
        "moved": [{"uri": each.uri, "moved_from": each.moved_from} for each in difference.moved],
        "removed": list(difference.removed),
        "unchanged": difference.unchanged,
        "skipped": difference.skipped,
        "failed": len(difference.failures),
        "failures": [{"uri": failure.uri, "reason": failure.reason} for failure in difference.failures],
        "documents": difference.documents,
        "chunks": difference.chunks,
        "embedded": difference.embedded,
        "seconds": difference.seconds,
    }


def sync_json(sync: "StoredSync") -> Json:
    """A sync as it is listed, with how its last run went."""
    result = sync.result or {}
    counts = ("added", "updated", "moved", "removed", "unchanged", "skipped", "failed", "embedded", "seconds")
    failures = result.get("failures")
    return {
        "name": sync.name,
        "collection": sync.collection,
        "locations": [{"kind": each.kind, "place": each.place} for each in sync.follows.locations],
        "owner": sync.follows.owner,
        "metadata": dict(sync.follows.metadata),
        "labels": sorted(sync.follows.labels),
        "hosts": list(sync.follows.hosts),
        "sources": sync.sources,
        "result": None
        if sync.result is None
        else {name: result.get(name, 0) for name in counts}
        | {"failures": [{"uri": pair[0], "reason": pair[1]} for pair in _pairs(failures)]},
        "created_at": sync.created_at.isoformat(timespec="milliseconds"),
        "ran_at": sync.ran_at and sync.ran_at.isoformat(timespec="milliseconds"),
    }


def _pairs(value: object) -> list[list[object]]:
    return [pair for pair in value if isinstance(pair, list)] if isinstance(value, list) else []
