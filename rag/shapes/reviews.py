"""Reviews: queues, their items, what people said, how far they agree."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rag.shapes import Json, number

if TYPE_CHECKING:
    from rag.reviews.agreement import Agreement, Measure
    from rag.reviews.filling import Filled
    from rag.store.reviews.claims import Lock
    from rag.store.reviews.items import Counts, Item
    from rag.store.reviews.queues import Queue
    from rag.store.reviews.reviews import Review


def queue_json(queue: "Queue", counts: "Counts") -> Json:
    return {
        "name": queue.name,
        "rule": dict(queue.rule),
        "score": queue.score,
        "labels": [{"name": label.name, "value": number(label.value)} for label in queue.labels],
        "reviewers": queue.reviewers,
        "guidelines": queue.guidelines,
        "guidelines_id": queue.guidelines_id,
        "user": queue.user,
        "created_at": queue.created_at.isoformat(timespec="milliseconds"),
        "filled_at": None if queue.filled_at is None else queue.filled_at.isoformat(timespec="milliseconds"),
        "counts": asdict(counts),
    }


def filled_json(filled: "Filled") -> Json:
    return {
        "looked_at": filled.looked_at,
        "added": filled.added,
        "by": dict(filled.by),
        "full": filled.full,
        "notes": list(filled.notes),
    }


def item_json(item: "Item") -> Json:
    return {
        "item_id": item.id,
        "queue": item.queue,
        "interaction_id": item.interaction_id,
        "reasons": list(item.reasons),
        "priority": item.priority,
        "state": item.state,
        "reviewer": item.reviewer,
        "until": None if item.until is None else item.until.isoformat(timespec="milliseconds"),
        "reviews": item.reviews,
        "created_at": item.created_at.isoformat(timespec="milliseconds"),
    }


def lock_json(lock: "Lock") -> Json:
    return {
        "item_id": lock.item_id,
        "owner": lock.owner,
        "until": lock.until.isoformat(timespec="milliseconds"),
    }


def review_json(review: "Review") -> Json:
    return {
        "review_id": review.id,
        "item_id": review.item_id,
        "queue": review.queue,
        "interaction_id": review.interaction_id,
        "guidelines_id": review.guidelines_id,
        "reviewer": review.reviewer,
        "label": review.label,
        "value": number(review.value),
        "corrected_answer": review.corrected_answer,
        "passages": [asdict(grade) for grade in review.passages],
        "tags": list(review.tags),
        "note": review.note,
        "created_at": review.created_at.isoformat(timespec="milliseconds"),
        "replaced_at": None if review.replaced_at is None else review.replaced_at.isoformat(timespec="milliseconds"),
    }


def reviews_json(reviews: Sequence["Review"], following: int | None = None) -> Json:
    return {"reviews": [review_json(review) for review in reviews], "next": following}


def agreement_json(agreement: "Agreement") -> Json:
    return {
        "alpha": measure_json(agreement.alpha),
        "ordinal": None if agreement.ordinal is None else measure_json(agreement.ordinal),
        "agreement": measure_json(agreement.agreement),
        "pairs": [
            {
                "reviewers": [pair.one, pair.other],
                "kappa": measure_json(pair.kappa),
                "agreement": measure_json(pair.agreement),
            }
            for pair in agreement.pairs
        ],
    }


def measure_json(measure: "Measure") -> Json:
    return {
        "value": number(measure.value),
        "low": number(measure.low),
        "high": number(measure.high),
        "items": measure.items,
        "labels": measure.labels,
    }
