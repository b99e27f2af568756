"""Datasets: versions, their rows, exports, and two versions compared."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag.shapes import Json

if TYPE_CHECKING:
    from rag.exports.making import Changed
    from rag.exports.records import Record
    from rag.exports.rows import Written
    from rag.store.datasets import Version


def version_json(version: "Version") -> Json:
    """A version of a dataset, without its rows."""
    return {
        "version_id": version.id,
        "name": version.name,
        "version": version.number,
        "kind": version.kind,
        "digest": version.digest,
        "collection": version.collection,
        "items": version.items,
        "query": dict(version.query),
        "card": dict(version.card),
        "user": version.user,
        "created_at": version.created_at.isoformat(timespec="milliseconds"),
    }


def record_json(record: "Record") -> Json:
    """One row; `verdict` is what people think of the answer that was given."""
    return {
        "key": record.key,
        "split": record.split,
        "origin": record.origin,
        "question": record.question,
        "asked": record.asked or None,
        "references": list(record.references),
        "answer": record.answer,
        "verdict": record.verdict,
        "labels": list(record.labels),
        "answerable": record.answerable,
        "relevant": record.relevant,
        "passages": [
            {
                "document": passage.document,
                "title": passage.title,
                "text": passage.text,
                "grade": passage.grade,
                "shown": passage.shown,
                "by": passage.by,
            }
            for passage in record.passages
        ],
        "interaction_id": record.interaction_id,
        "conversation_id": record.conversation_id,
        "created_at": record.created_at or None,
    }


def written_json(written: "Written") -> Json:
    """An export: the rows of each file, and why records gave none."""
    return {"rows": dict(written.rows), "skipped": dict(written.skipped)}


def change_json(first: "Version", second: "Version", changed: "Changed") -> Json:
    """Two versions. Of changed rows `before` and `after` name what differs."""
    return {
        "first": version_json(first),
        "second": version_json(second),
        "same": changed.same,
        "moved": changed.moved,
        "added": [_brief(record) for record in changed.added],
        "removed": [_brief(record) for record in changed.removed],
        "changed": [
            {"key": after.key, "question": after.question, "fields": differing(before, after)}
            for before, after in changed.changed
        ],
    }


def differing(before: "Record", after: "Record") -> list[str]:
    """The names of the fields that two records have otherwise."""
    names: Sequence[str] = before.__slots__
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def _brief(record: "Record") -> Json:
    return {"key": record.key, "split": record.split, "origin": record.origin, "question": record.question}
