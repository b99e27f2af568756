"""The log in figures, as `rag dashboard` and GET /api/dashboard tell them."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from rag.shapes import Json, number

if TYPE_CHECKING:
    from rag.insight.figures import Dashboard, Figures
    from rag.insight.intervals import Average, Share
    from rag.insight.topics import Drifted, NewTopics, Topics
    from rag.types import Passage


def dashboard_json(found: "Dashboard") -> Json:
    """The log between two moments: as a whole, over time without gaps, and by collection, model and template, that with
    the most questions first."""
    return {
        "since": moment(found.since),
        "until": moment(found.until),
        "step": found.step,
        "origin": found.counted,
        "others": found.others,
        "total": figures_json(found.total),
        "over_time": [
            {"since": moment(point.since), "until": moment(point.until), **figures_json(point.figures)}
            for point in found.over_time
        ],
        "by_collection": _named(found.by_collection),
        "by_model": _named(found.by_model),
        "by_template": _named(found.by_template),
    }


def figures_json(found: "Figures") -> Json:
    """`refused` is of the questions that did not fail; a share of nothing and the mean of nothing are null."""
    return {
        "questions": found.questions,
        "users": found.users,
        "refused": share_json(found.refused),
        "failed": share_json(found.failed),
        "prompt_tokens": found.prompt_tokens,
        "completion_tokens": found.completion_tokens,
        "latency_ms": {
            stage: {"n": one.n, "p50": number(one.p50), "p95": number(one.p95)} for stage, one in found.stages.items()
        },
        "scores": {name: average_json(one) for name, one in found.scores.items()},
        "good": found.good,
        "bad": found.bad,
    }


def share_json(found: "Share | None") -> Json | None:
    """A share with its 95 % interval."""
    if found is None:
        return None
    return {
        "count": found.count,
        "n": found.n,
        "share": number(found.value),
        "low": number(found.low),
        "high": number(found.high),
    }


def average_json(found: "Average") -> Json:
    """A mean with its 95 % interval, whose ends are null for a single value."""
    return {"n": found.n, "mean": number(found.value), "low": number(found.low), "high": number(found.high)}


def moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _named(found: "Mapping[str, Figures]") -> list[Json]:
    return [{"name": name, **figures_json(one)} for name, one in found.items()]


# ── drift and topics ────────────────────────────────────────────────────────────────────────────────────────────────


def drift_json(found: "Drifted") -> Json:
    """Drift of the questions against the corpus; `drift` is null where there are too few questions to tell."""
    drift = found.drift
    return {
        "origin": found.counted,
        "questions": found.questions,
        "others": found.others,
        "read": found.read,
        "measured": found.measured,
        "read_before": found.read_before,
        "measured_before": found.measured_before,
        "drift": None
        if drift is None
        else {
            "limit": number(drift.limit),
            "before": share_json(drift.before),
            "now": share_json(drift.now),
            "change": {
                "value": number(drift.change.value),
                "low": number(drift.change.low),
                "high": number(drift.change.high),
            },
            "step": drift.step,
            "over_time": [
                {
                    "since": moment(point.since),
                    "until": moment(point.until),
                    "out": share_json(point.out),
                    "median": number(point.median),
                }
                for point in drift.points
            ],
            "farthest": [
                {"interaction_id": one.id, "question": one.text, "cosine": number(one.cosine)} for one in drift.farthest
            ],
        },
    }


def topics_json(found: "Topics") -> Json:
    """Questions by topic, the largest first."""
    return {
        "origin": found.counted,
        "questions": found.questions,
        "others": found.others,
        "read": found.read,
        "alone": found.alone,
        "topics": [
            {
                "label": list(topic.label),
                "size": topic.size,
                "refused": topic.reasons.refused,
                "bad": topic.reasons.bad,
                "low": topic.reasons.low,
                "first": moment(topic.first),
                "last": moment(topic.last),
                "examples": [{"interaction_id": one.id, "question": one.text} for one in topic.examples],
                "closest": None if topic.closest is None else _closest_json(topic.closest),
            }
            for topic in found.topics
        ],
    }


def new_topics_json(found: "NewTopics") -> Json:
    """Topics of questions that are far from every older one; `limit` is null where there are too few older ones."""
    return {"older": found.older, "limit": number(found.limit), **topics_json(found.topics)}


def _closest_json(passage: "Passage") -> Json:
    place = passage.places[0]
    return {
        "document_id": place.document_id,
        "title": passage.title,
        "uri": place.uri,
        "chunk_id": passage.hit.chunk_id,
        "cosine": number(passage.hit.score),
    }
