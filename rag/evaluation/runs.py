"""A run over judged questions in figures: means with intervals, latency, the worst queries, two runs compared; pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rag.errors import WrongUsage
from rag.evaluation.metrics import by_query, ranked
from rag.evaluation.significance import Difference, Mean, holm, means, paired_each
from rag.store.evaluations import Evaluation, JudgedQuery
from rag.types import Example

METRICS = ("ndcg_cut_10", "recall_10", "recall_100", "recip_rank", "map", "P_10", "success_1", "success_5")
"""What is measured when nothing else is asked for, the one that runs are judged by first."""


def digest_of(examples: Iterable[Example]) -> str:
    """A text that is the same for the same judged questions and judgements, in whatever order."""
    rows = sorted((one.id, one.question, sorted(one.relevant.items())) for one in examples)
    return json.dumps(rows, separators=(",", ":"))


# ── one run ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def judged(
    examples: Sequence[Example],
    rankings: Mapping[str, Mapping[str, float]],
    names: Sequence[str],
    latency_ms: Mapping[str, float] | None = None,
) -> list[JudgedQuery]:
    """Every judged example with its metrics; one that the run does not know scores zero."""
    qrels = {one.id: one.relevant for one in examples}
    values = {name: by_query(name, qrels, rankings) for name in names}
    return [
        JudgedQuery(
            one.id,
            one.question,
            one.relevant,
            {name: values[name][one.id] for name in names},
            None if latency_ms is None else latency_ms[one.id],
            _in_order(rankings.get(one.id, {})),
        )
        for one in examples
    ]


def _in_order(scored: Mapping[str, float]) -> dict[str, float]:
    return {document: scored[document] for document in ranked(scored)}


def rescored(queries: Sequence[JudgedQuery], names: Sequence[str]) -> list[JudgedQuery]:
    """The queries with exactly these metrics, computed from the rankings where they are not there yet.

    Raises WrongUsage for a metric that there is not.
    """
    qrels = {query.id: query.relevant for query in queries}
    rankings = {query.id: query.ranking for query in queries}
    new = {
        name: by_query(name, qrels, rankings) for name in names if not all(name in query.metrics for query in queries)
    }
    return [
        replace(query, metrics={name: new[name][query.id] if name in new else query.metrics[name] for name in names})
        for query in queries
    ]


def averaged(queries: Sequence[JudgedQuery], names: Sequence[str]) -> dict[str, Mean]:
    """Each metric's mean over all queries with its interval; none without queries. The queries have the metrics."""
    table = np.array([[query.metrics[name] for name in names] for query in queries]).reshape(-1, len(names))  # (n, m)
    return {name: found for name, found in zip(names, means(table), strict=True) if found is not None}


def figures(means: Mapping[str, Mean]) -> dict[str, dict[str, float]]:
    """The means as they are kept."""
    return {name: {"value": one.value, "low": one.low, "high": one.high} for name, one in means.items()}


def with_figures(run: Evaluation, found: Mapping[str, Mapping[str, float]]) -> Evaluation:
    """The run as if it had been measured like this."""
    return replace(run, run=replace(run.run, metrics=found))


def latency(queries: Sequence[JudgedQuery]) -> dict[str, float] | None:
    """Percentiles and mean of the time that retrieval took, in milliseconds; None where none was taken."""
    taken = [query.latency_ms for query in queries if query.latency_ms is not None]
    if not taken:
        return None
    p50, p95 = np.percentile(taken, [50, 95])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "mean": round(float(np.mean(taken)), 3)}


def worst(queries: Sequence[JudgedQuery], name: str, n: int) -> list[JudgedQuery]:
    """The n queries with the lowest values of a metric; of equal ones that whose relevant document stands lowest."""

    def key(numbered: tuple[int, JudgedQuery]) -> tuple[float, float, int]:
        place, query = numbered
        return query.metrics[name], -(first_relevant(query) or float("inf")), place

    return [query for _, query in sorted(enumerate(queries), key=key)[:n]]


def first_relevant(query: JudgedQuery) -> int | None:
    """The rank of the first relevant document, from 1; None where none was found."""
    found = enumerate(query.ranking, 1)  # best first
    return next((rank for rank, document in found if query.relevant.get(document, 0) >= 1), None)


# ── two runs ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Compared:
    """Two runs in one metric, over the queries that both were judged by."""

    metric: str
    first: float
    second: float
    difference: Difference  # second minus first
    p_holm: float | None  # corrected for the number of metrics; None where there is one


@dataclass(frozen=True, slots=True)
class Change:
    """One query in two runs, by the first metric compared."""

    query: JudgedQuery  # of the second run
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, held against each other over the queries that both have and that are judged alike."""

    queries: int
    only_first: int  # queries that only the first run has
    only_second: int
    judged_otherwise: int  # queries that both have, with other words or other judgements
    metrics: tuple[Compared, ...]
    changes: tuple[Change, ...]  # those that differ, the greatest loss first


def compare(first: Sequence[JudgedQuery], second: Sequence[JudgedQuery], names: Sequence[str]) -> Comparison:
    """How the second run differs from the first. Raises WrongUsage when they share no query that is judged alike."""
    earlier = {query.id: query for query in first}
    both = [(earlier[query.id], query) for query in second if query.id in earlier]
    alike = [
        (one, other)
        for one, other in both
        if dict(one.relevant) == dict(other.relevant) and one.question == other.question
    ]
    if not alike:
        raise WrongUsage(
            f"the two runs share no query that is judged alike ({len(first)} and {len(second)} queries, "
            f"{len(both)} of them with the same id); compare runs over the same folder"
        )
    ones = rescored([one for one, _ in alike], names)
    others = rescored([other for _, other in alike], names)
    table = [[[query.metrics[name] for name in names] for query in side] for side in (ones, others)]  # (2, n, m)
    found = [difference for difference in paired_each(table[0], table[1]) if difference is not None]
    corrected = holm([difference.p for difference in found])
    start, end = averaged(ones, names), averaged(others, names)
    changes = [
        Change(other, one.metrics[names[0]], other.metrics[names[0]])
        for one, other in zip(ones, others, strict=True)
        if one.metrics[names[0]] != other.metrics[names[0]]
    ]
    return Comparison(
        queries=len(alike),
        only_first=len(first) - len(both),
        only_second=len(second) - len(both),
        judged_otherwise=len(both) - len(alike),
        metrics=tuple(
            Compared(name, start[name].value, end[name].value, difference, p if len(names) > 1 else None)
            for name, difference, p in zip(names, found, corrected, strict=True)
        ),
        changes=tuple(sorted(changes, key=lambda change: change.second - change.first)),
    )
