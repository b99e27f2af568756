"""Documents, collections, and what an ingest did."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rag.shapes import Json
from rag.types import Outcome

if TYPE_CHECKING:
    from rag.corpus import Report
    from rag.store.collections import Collection, CollectionCounts
    from rag.store.documents import StoredChunk, StoredDocument
    from rag.store.writing import Written


def document_json(document: "StoredDocument", collection: str) -> Json:
    """A document as it is listed."""
    return {
        "document_id": document.id,
        "collection": collection,
        "uri": document.uri,
        "external_id": document.external_id,
        "title": document.title,
        "media_type": document.media_type,
        "metadata": dict(document.metadata),
        "owner": document.owner,
        "labels": list(document.labels),
        "characters": document.characters,
        "created_at": document.created_at.isoformat(timespec="milliseconds"),
        "removed_at": document.removed_at and document.removed_at.isoformat(timespec="milliseconds"),
    }


def document_whole_json(
    document: "StoredDocument", collection: str, text: str, chunks: Iterable["StoredChunk"]
) -> Json:
    """A document with its text and how it was cut."""
    return document_json(document, collection) | {
        "text": text,
        "chunks": [
            {
                "chunk_id": chunk.id,
                "ordinal": chunk.ordinal,
                "start": chunk.start,
                "end": chunk.end,
                "headings": list(chunk.headings),
                "page": chunk.page,
            }
            for chunk in chunks
        ],
    }


def restored_json(document_id: int, written: "Written") -> Json:
    """What became of a removed document that was put back: its new id, null where a policy on duplicates holds it."""
    return {
        "removed_id": document_id,
        "document_id": written.document_id,
        "uri": written.uri,
        "state": written.kind,
        "reason": written.reason,
    }


def collection_json(collection: "Collection", counts: "CollectionCounts") -> Json:
    return {
        "name": collection.name,
        "documents": counts.documents,
        "chunks": counts.chunks,
        "embedder": collection.embedder,
        "dim": collection.dim,
        "settings": dict(collection.settings),
        "position": collection.position,
        "created_at": collection.created_at.isoformat(timespec="milliseconds"),
    }


def report_json(report: "Report") -> Json:
    """What an ingest did."""
    return {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "duplicate": report.duplicate,
        "skipped": report.skipped,
        "failed": report.failed,
        "documents": report.documents,
        "chunks": report.chunks,
        "embedded": report.embedded,
        "seconds": report.seconds,
        "failures": [{"uri": failure.uri, "reason": failure.reason} for failure in report.failures],
    }


def outcome_json(outcome: Outcome) -> Json:
    """What became of one source of an ingest."""
    return {
        "uri": outcome.uri,
        "state": outcome.state,
        "reason": outcome.reason,
        "documents": outcome.documents,
    }
