"""What the pages of the log ask, and how long each takes: lists, filters, searches, counts."""

import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
from log_made import BEGAN, MODELS, SPAN, sentences

from rag.store import interactions as log
from rag.store.database import Connection, Database
from rag.store.interactions import Query, ScoreRange
from rag.store.log import tags as tag_store

PAGE = 50
Times = tuple[float, float]  # milliseconds by the clock, and of processor time
T = TypeVar("T")


def queries(draw: random.Random, said: Sequence[str]) -> dict[str, Query]:
    """What the pages ask, with values of this round."""
    words = [word.lower() for word in re.findall(r"[a-z]{4,}", " ".join(draw.choices(said, k=40)))]
    two = re.findall(r"[a-z]{3,} [a-z]{3,}", draw.choice(said)) or ["the log"]
    user, model = f"user{draw.randrange(300):03d}", draw.choice(MODELS)
    since = BEGAN + SPAN * draw.random()
    low, high = ScoreRange("faithfulness", None, draw.uniform(0.2, 0.5)), ScoreRange("answer_relevancy", 0.8, None)
    common, word, rare = (
        draw.choice(("about", "which", "that", "what")),
        draw.choice(words),
        f"ref{draw.randrange(200_000)}",
    )
    return {
        "everything": Query(),
        "word, common": Query(text=common),
        "word": Query(text=word),
        "word, rare": Query(text=rare),
        "word, of no row": Query(text="xyzzy"),
        "beginning of a word": Query(text=word[:4] + "*"),
        "beginning, common": Query(text="the*"),
        "phrase": Query(text=f'"{draw.choice(two)}"'),
        "three words": Query(text=" ".join(draw.choices(words, k=3))),
        "user": Query(user=user),
        "model": Query(model=model),
        "model, rare": Query(model="openai:small"),
        "template": Query(template="answer"),
        "template version": Query(template="answer@00000003"),
        "collection": Query(collection="law"),
        "since": Query(since=since),
        "until": Query(until=since),
        "a day": Query(since=since, until=since + timedelta(days=1)),
        "score below": Query(scores=(low,)),
        "score far below": Query(scores=(ScoreRange("faithfulness", None, 0.05),)),
        "two scores": Query(scores=(low, high)),
        "two scores, rare": Query(scores=(replace(low, most=0.2), ScoreRange("completeness", None, 0.2))),
        "confidence": Query(confidence_max=0.2),
        "abstained": Query(abstained=True),
        "failed": Query(failed=True),
        "thumbs down": Query(feedback="bad"),
        "any feedback": Query(feedback="any"),
        "no feedback": Query(feedback="none"),
        "queued": Query(review_state="queued"),
        "not reviewed": Query(review_state="none"),
        "tag": Query(tags=("billing",)),
        "tag, rare": Query(tags=("legal",)),
        "two tags": Query(tags=("billing", "wrong source")),
        "word, user": Query(text=word, user=user),
        "common word, user": Query(text=common, user=user),
        "common word, thumbs down": Query(text=common, feedback="bad"),
        "word, thumbs down": Query(text=word, feedback="bad"),
        "word, low score": Query(text=word, scores=(low,)),
        "common word, tag, rare": Query(text=common, tags=("legal",)),
        "common word, failed": Query(text=common, failed=True),
        "word, until": Query(text=word, until=since),
        "user, model, thumbs down": Query(user=user, model=model, feedback="bad"),
        "model, low score, until": Query(model=model, scores=(low,), until=since),
        "queued, thumbs down, tag": Query(review_state="queued", feedback="bad", tags=("billing",)),
        "nothing fits": Query(abstained=True, scores=(ScoreRange("faithfulness", 0.0),)),
        "nothing fits, with a word": Query(text=common, abstained=True, scores=(ScoreRange("faithfulness", 0.0),)),
    }


def ask(database: Database, tenant_id: int, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """For each query its first page, a page behind it, the page before that one, and its count: p50 and p95, ms."""
    said = sentences()
    taken: dict[str, dict[str, list[Times]]] = {}
    for round_number in range(rounds + 1):
        for name, query in queries(random.Random(round_number), said).items():
            told = taken.setdefault(name, {"first": [], "next": [], "back": [], "count": []})
            with database.read() as connection:
                timed = Clock(connection).timed
                page, ms = timed(lambda: log.listing(connection, tenant_id, query, limit=PAGE))  # noqa: B023
                times = {"first": ms}
                if page:
                    last = page[-1].id
                    behind, times["next"] = timed(
                        lambda: log.listing(connection, tenant_id, query, limit=PAGE, before=last)  # noqa: B023
                    )
                    start = behind[-1].id if behind else last
                    _, times["back"] = timed(
                        lambda: log.listing(connection, tenant_id, query, limit=PAGE, after=start)  # noqa: B023
                    )
                _, times["count"] = timed(lambda: log.counted(connection, tenant_id, query))  # noqa: B023
            if round_number:  # the first one warms the caches
                for what, value in times.items():
                    told[what].append(value)
    return {name: {what: _figures(values) for what, values in told.items() if values} for name, told in taken.items()}


def others(database: Database, tenant_id: int, rounds: int) -> dict[str, dict[str, float]]:
    """What is beside the lists: one interaction whole, the tags in use."""
    keys = []
    with database.read() as connection:
        for _ in range(rounds):
            at = BEGAN + SPAN * random.Random(len(keys)).random()
            keys += log.page(connection, tenant_id, Query(until=at), limit=1)
    calls: dict[str, Callable[[int], object]] = {}
    with database.read() as connection:
        calls = {
            "one whole": lambda n: log.get(connection, tenant_id, keys[n % len(keys)]),
            "tags in use": lambda _: tag_store.listing(connection, tenant_id),
        }
        timed = Clock(connection).timed
        return {name: _figures([timed(lambda: call(n))[1] for n in range(rounds)]) for name, call in calls.items()}  # noqa: B023


class Clock:
    """Times of calls over a connection: what they take, and how much processor time of this process and, of PostgreSQL
    on this machine, of the one that serves the connection (without those that may help it)."""

    def __init__(self, connection: Connection) -> None:
        self._server: Path | None = None
        if connection.dialect.name == "postgresql":
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            self._server = Path(f"/proc/{pid}/schedstat")  # its first figure: nanoseconds on a processor

    def timed(self, call: Callable[[], T]) -> tuple[T, Times]:
        began, worked = time.perf_counter(), self._worked()
        value = call()
        return value, (1000 * (time.perf_counter() - began), 1000 * (self._worked() - worked))

    def _worked(self) -> float:
        own = time.process_time()
        if self._server is None or not self._server.exists():
            return own
        return own + int(self._server.read_text().split()[0]) / 1e9


def _figures(values: Sequence[Times]) -> dict[str, float]:
    wall, own = ([each[n] for each in values] for n in (0, 1))
    return {
        "p50": round(float(np.percentile(wall, 50)), 2),
        "p95": round(float(np.percentile(wall, 95)), 2),
        "processor p95": round(float(np.percentile(own, 95)), 2),
    }
