"""What a search found, hit by hit, and why a document is not among it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rag.shapes import Json, number, timings_json
from rag.types import Part, Passage, Place

if TYPE_CHECKING:
    from rag.rankings.stages import Stage
    from rag.search import Found
    from rag.why import Why


def search_json(found: "Found", query: str, mode: str, k: int) -> Json:
    """What a search found, best first."""
    return {
        "query": query,
        "mode": mode,
        "k": k,
        "hits": [hit_json(passage, rank) for rank, passage in enumerate(found.passages, 1)],
        "position": found.position,
        "generation": found.generation,
        "timings_ms": timings_json(found.timings_ms),
        "stages": [stage_json(stage) for stage in found.stages],
        "collapsed": [
            {"chunk_id": shown, "duplicates": list(others)} for shown, others in sorted(found.collapsed.items())
        ],
        "corrected": [{"word": word, "taken_for": list(others)} for word, others in found.corrected.items()],
    }


def stage_json(stage: "Stage") -> Json:
    """What one stage of a search was given, kept, and took."""
    return {
        "stage": stage.name,
        "given": stage.given,
        "kept": stage.kept,
        "dropped": stage.given - stage.kept,
        "ms": round(stage.ms, 3),
    }


def why_json(answer: "Why", query: str, mode: str, k: int) -> Json:
    """What became of a document in a search; `stage` is the one that lost it, or found."""
    other = answer.stands_for_it
    return {
        "query": query,
        "mode": mode,
        "k": k,
        "document": {
            "document_id": answer.document_id,
            "uri": answer.uri,
            "external_id": answer.external_id,
            "title": answer.title,
        },
        "stage": answer.stage,
        "explanation": answer.explanation,
        "rank": answer.rank,
        "chunk_id": answer.chunk_id,
        "start": answer.start,
        "end": answer.end,
        "stands_for_it": None
        if other is None
        else {
            "document_id": other.document_id,
            "uri": other.uri,
            "level": other.level,
            "policy": other.policy,
            "similarity": other.similarity,
        },
        "conditions": [json.loads(each.canonical) for each in answer.conditions],
        "arms": [
            {
                "stage": arm.arm,
                "rank": arm.rank,
                "score": number(arm.score),
                "among": arm.among,
                "depth": arm.depth,
            }
            for arm in answer.arms
        ],
        "parts": parts_json(answer.parts),
        "stages": [stage_json(stage) for stage in answer.stages],
    }


def hit_json(passage: Passage, rank: int) -> Json:
    """One hit: the text, where it stands in its first place's document, and every place that holds it."""
    first = passage.places[0]
    return {
        "rank": rank,
        "chunk_id": passage.hit.chunk_id,
        "document_id": first.document_id,
        "external_id": first.external_id,
        "uri": first.uri,
        "title": passage.title,
        "text": passage.text,
        "start": passage.start,
        "end": passage.end,
        "score": number(passage.hit.score),
        "parts": parts_json(passage.hit.parts),
        "headings": list(passage.headings),
        "page": passage.page,
        "places": [place_json(place) for place in passage.places],
    }


def place_json(place: Place) -> Json:
    return {
        "document_id": place.document_id,
        "uri": place.uri,
        "external_id": place.external_id,
        "title": place.title,
        "metadata": dict(place.metadata),
    }


def parts_json(parts: Mapping[str, Part]) -> dict[str, Json]:
    """Rank (from 1) and score in every stage that placed the hit, in the order of the stages."""
    return {name: {"rank": part.rank, "score": number(part.score)} for name, part in parts.items()}
