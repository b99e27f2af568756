"""A log of made-up interactions, marked as synthetic unless told otherwise, written in bulk: many questions in little
time."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert
from ulid import ULID

from rag.store.database import Database
from rag.store.tables import feedback, interactions, scores

MODELS = ("extractive", "transformers:small", "openai:large")
TEMPLATES = ("answer@1a2b3c4d", "answer@5e6f7a8b", "short@00c0ffee")
STAGES = {"embed": 4.0, "permitted": 1.0, "retrieve": 6.0, "passages": 2.0, "generate": 300.0, "citations": 12.0}
TOPICS = ("printer", "invoice", "holiday", "password", "contract", "visa", "laptop", "pension")
SCORES = ("faithfulness", "answer_relevancy", "citation_precision")
AT_ONCE = 2000
WORDING = "How do I get a new {topic} for case {number}?"


def fill(
    database: Database,
    tenant_id: int,
    count: int,
    *,
    since: datetime = datetime(2026, 1, 1, tzinfo=UTC),
    days: float = 30,
    seed: int = 1,
    collection: str = "default",
    collection_id: int | None = None,
    candidates: int = 3,
    wording: str = WORDING,
    origin: str = "synthetic",
    replays: str | None = None,
) -> list[str]:
    """Write `count` interactions, evenly spread over the days, with scores and feedback; their ids, in order."""
    draw = random.Random(seed)
    ids = []
    for begin in range(0, count, AT_ONCE):
        rows, judged, said = [], [], []
        for number in range(begin, min(count, begin + AT_ONCE)):
            at = since + timedelta(days=days * number / count, milliseconds=draw.randrange(1000))
            one = row(draw, tenant_id, at, collection, collection_id, candidates, wording)
            one |= {"origin": origin, "replays_id": replays}
            rows.append(one)
            ids.append(str(one["id"]))
            judged += _scores(draw, one)
            said += _feedback(draw, one)
        with database.write() as connection:
            connection.execute(insert(interactions), rows)
            connection.execute(insert(scores), judged)
            if said:
                connection.execute(insert(feedback), said)
    return ids


def row(
    draw: random.Random,
    tenant_id: int,
    at: datetime,
    collection: str,
    collection_id: int | None,
    candidates: int,
    wording: str,
) -> dict[str, object]:
    failed = draw.random() < 0.02
    refused = not failed and draw.random() < 0.15
    taken = {stage: round(mean * draw.lognormvariate(0, 0.5), 3) for stage, mean in STAGES.items()}
    taken["total"] = round(sum(taken.values()), 3)
    topic = draw.choice(TOPICS)
    question = wording.format(topic=topic, number=draw.randrange(10_000))
    return {
        "id": str(ULID.from_bytes(int(at.timestamp() * 1000).to_bytes(6, "big") + draw.randbytes(10))),
        "tenant_id": tenant_id,
        "collection_id": collection_id,
        "collection": collection,
        "user": f"user{draw.randrange(40)}",
        "question": question,
        "search_query": question,
        "answer": None if failed else "Nothing here says so." if refused else f"Ask the {topic} desk. [1]",
        "abstained": None if failed else refused,
        "finish_reason": None if failed else "stop",
        "error": "the generator did not answer" if failed else None,
        "citations": [],
        "candidates": [
            [number, round(draw.random(), 6), {"dense": [number, round(0.9 - number / 100 - draw.random() / 5, 6)]}]
            for number in range(1, candidates + 1)
        ],
        "model": draw.choice(MODELS),
        "revision": "1",
        "template": draw.choice(TEMPLATES),
        "settings": {"k": 8, "mode": "hybrid"},
        "position": 1,
        "generation": 0,
        "prompt_tokens": None if failed else draw.randrange(200, 2000),
        "completion_tokens": None if failed else draw.randrange(5, 200),
        "timings_ms": taken,
        "total_ms": taken["total"],
        "created_at": at,
    }


def _scores(draw: random.Random, of: dict[str, object]) -> Iterator[dict[str, object]]:
    for name in SCORES:
        applies = of["error"] is None and draw.random() < 0.95
        yield {
            "interaction_id": of["id"],
            "name": name,
            "value": round(draw.betavariate(5, 1), 4) if applies else None,
            "annotator_kind": "CODE",
            "identifier": f"{name}@1",
            "created_at": of["created_at"],
        }


def _feedback(draw: random.Random, of: dict[str, object]) -> Iterator[dict[str, object]]:
    if draw.random() < 0.05:
        yield {
            "interaction_id": of["id"],
            "user": of["user"],
            "rating": draw.choice((-1, 1, 1, None)),
            "label": None,
            "comment": "so it is",
            "created_at": of["created_at"],
        }
