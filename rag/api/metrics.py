"""What Prometheus reads: requests and questions counted here, the state of the collections read from SQL at a scrape.

With several workers, `rag.api.serve` names a folder in PROMETHEUS_MULTIPROC_DIR before they start; the counters of all
of them are then kept there and any worker answers with their sum. Gauges say what SQL says, so every worker says the
same, but for `rag_index_*`, which tell of the worker that answered.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from rag.outgoing.outbox import Outcome
from rag.types import Interaction

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS_SCORE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


@dataclass(frozen=True, slots=True)
class CollectionState:
    """One collection as a scrape shows it."""

    name: str
    documents: int
    chunks: int
    position: int
    generation: int  # of the index this worker reads; 0 before the first
    lag: int  # changes this worker's index generation does not hold yet; they are searched beside it


@dataclass(frozen=True, slots=True)
class States:
    """What SQL says at a scrape."""

    collections: Sequence[CollectionState]
    jobs: Mapping[str, int]  # state → how many, of those that have not ended


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rag_http_requests", "HTTP requests", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "rag_http_request_seconds",
            "time from a request to the last byte of its response",
            ["method", "route"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._asks = Counter(
            "rag_asks",
            "questions, by who answered and how it ended: answered, abstained, cancelled, failed",
            ["generator", "outcome"],
            registry=self._registry,
        )

        self._scores = Histogram(
            "rag_scores",
            "values of the scores of answers, where they apply",
            ["score"],
            buckets=BUCKETS_SCORE,
            registry=self._registry,
        )
        self._refusals = Counter(
            "rag_refusals",
            "answers that say that the documents do not answer, by who said so: house, generator",
            ["by"],
            registry=self._registry,
        )
        self._outgoing = Counter(
            "rag_outgoing",
            "what left for a collector or a webhook: spans or calls sent; interactions that failed or were dropped",
            ["to", "outcome"],
            registry=self._registry,
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; `route` is the path's template. Status 0 is one whose asker went away first."""
        method = method if method in ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS") else "other"
        self._requests.labels(method, route, str(status or 499)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def asked(self, generator: str, outcome: str) -> None:
        self._asks.labels(generator, outcome).inc()

    def heard(self, entry: Interaction) -> None:
        """Count the scores of an interaction that was logged, and whether it refused."""
        for score in entry.scores:
            if score.value is not None:
                self._scores.labels(score.name).observe(score.value)
        if entry.answer is not None and entry.answer.abstained:
            self._refusals.labels("generator" if entry.answer.refusal is None else "house").inc()

    def counted(self, to: str, outcome: Outcome, n: int) -> None:
        """Count what left the house, or did not."""
        self._outgoing.labels(to, outcome).inc(n)

    def exposition(self, states: States) -> bytes:
        """Everything in Prometheus' text format."""
        registry = self._registry
        if os.environ.get(FOLDER):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        now = CollectorRegistry()
        now.register(_States(states))
        return generate_latest(registry) + generate_latest(now)


class _States(Collector):
    def __init__(self, states: States) -> None:
        self._states = states.collections
        self._jobs = states.jobs

    def collect(self) -> Iterable[GaugeMetricFamily]:
        worker = GaugeMetricFamily("rag_worker", "the process that answered this scrape", labels=["pid"])
        worker.add_metric([str(os.getpid())], 1)
        yield worker
        jobs = GaugeMetricFamily("rag_jobs", "background jobs that have not ended", labels=["state"])
        for name, number in self._jobs.items():
            jobs.add_metric([name], number)
        yield jobs
        for name, meaning, values in (
            ("rag_documents", "documents alive", [state.documents for state in self._states]),
            ("rag_chunks", "chunks alive", [state.chunks for state in self._states]),
            ("rag_position", "number of the last committed change", [state.position for state in self._states]),
            ("rag_index_generation", "index generation this worker reads", [s.generation for s in self._states]),
            ("rag_index_lag_changes", "changes behind that generation", [state.lag for state in self._states]),
        ):
            family = GaugeMetricFamily(name, meaning, labels=["collection"])
            for state, value in zip(self._states, values, strict=True):
                family.add_metric([state.name], value)
            yield family
