"""Background jobs and what became of each file."""

from typing import TYPE_CHECKING, get_args

from rag.shapes import Json
from rag.types import FileState

if TYPE_CHECKING:
    from rag.store.jobs import Item, Job


def job_json(job: "Job") -> Json:
    """A background job and how far it is. What it was given is not shown but for its paths: it may hold secrets."""
    paths = job.payload.get("paths")
    return {
        "job_id": job.id,
        "kind": job.kind,
        "state": job.state,
        "collection": job.collection,
        "user": job.user,
        "paths": list(paths) if isinstance(paths, list) else [],
        "progress": {
            "done": job.progress.done,
            "total": job.progress.total,
            "documents": job.progress.documents,
            "uri": job.progress.uri,
        },
        "counts": {state: job.progress.counts.get(state, 0) for state in get_args(FileState)},
        "result": None if job.result is None else dict(job.result),
        "error": job.error,
        "attempts": job.attempts,
        "cancel_asked": job.cancel_asked_at is not None,
        "created_at": job.created_at.isoformat(timespec="milliseconds"),
        "started_at": job.started_at and job.started_at.isoformat(timespec="milliseconds"),
        "finished_at": job.finished_at and job.finished_at.isoformat(timespec="milliseconds"),
    }


def job_item_json(item: "Item") -> Json:
    """What became of one file of a job."""
    return {
        "uri": item.uri,
        "state": item.state,
        "reason": item.reason,
        "documents": item.documents,
        "created_at": item.created_at.isoformat(timespec="milliseconds"),
    }
