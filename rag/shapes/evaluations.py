"""Runs over judged queries, alone and compared."""

from typing import TYPE_CHECKING

from rag.shapes import Json

if TYPE_CHECKING:
    from rag.evaluation.runs import Comparison
    from rag.store.evaluations import Evaluation, JudgedQuery


def evaluation_json(evaluation: "Evaluation") -> Json:
    """A run over judged queries. `collection`, `position`, `generation` and `latency_ms` are null where it came from a
    run file."""
    run = evaluation.run
    return {
        "run_id": evaluation.id,
        "name": run.name,
        "folder": run.folder,
        "folder_digest": run.digest.hex(),
        "collection": run.collection,
        "mode": run.mode,
        "queries": evaluation.queries,
        "metrics": {name: found["value"] for name, found in run.metrics.items()},
        "intervals": {name: {"low": found["low"], "high": found["high"]} for name, found in run.metrics.items()},
        "latency_ms": None if run.latency_ms is None else dict(run.latency_ms),
        "settings": dict(run.settings),
        "position": run.position,
        "generation": run.generation,
        "version": run.version,
        "user": run.user,
        "created_at": evaluation.created_at.isoformat(timespec="milliseconds"),
    }


def judged_query_json(query: "JudgedQuery") -> Json:
    """One judged query of a run: where its relevant documents were ranked (null: nowhere), and what came first (its
    grade is null where it was not judged)."""
    ranks = {document: rank for rank, document in enumerate(query.ranking, 1)}
    relevant = [(document, grade) for document, grade in query.relevant.items() if grade >= 1]
    return {
        "query_id": query.id,
        "question": query.question,
        "metrics": dict(query.metrics),
        "latency_ms": query.latency_ms,
        "relevant": [
            {"external_id": document, "grade": grade, "rank": ranks.get(document)}
            for document, grade in sorted(relevant, key=lambda pair: (ranks.get(pair[0], len(ranks) + 1), pair[0]))
        ],
        "found": [
            {"external_id": document, "grade": query.relevant.get(document), "score": score}
            for document, score in list(query.ranking.items())[:5]
        ],
    }


def comparison_json(first: "Evaluation", second: "Evaluation", comparison: "Comparison", shown: int = 10) -> Json:
    """Two runs over the queries that both have, judged alike. `difference` is second minus first, with its 95 %
    bootstrap interval and the p of a two-sided paired randomisation test; `p_holm`, corrected for the number of
    metrics, is null where there is one. `losses` are the queries that lost most by the first metric."""
    return {
        "first": {"run_id": first.id, "name": first.name, "mode": first.run.mode},
        "second": {"run_id": second.id, "name": second.name, "mode": second.run.mode},
        "queries": comparison.queries,
        "only_first": comparison.only_first,
        "only_second": comparison.only_second,
        "judged_otherwise": comparison.judged_otherwise,
        "metrics": [
            {
                "metric": one.metric,
                "first": one.first,
                "second": one.second,
                "difference": one.difference.mean.value,
                "low": one.difference.mean.low,
                "high": one.difference.mean.high,
                "p": one.difference.p,
                "p_holm": one.p_holm,
                "wins": one.difference.wins,
                "losses": one.difference.losses,
                "ties": comparison.queries - one.difference.wins - one.difference.losses,
            }
            for one in comparison.metrics
        ],
        "losses": [
            {
                "query_id": change.query.id,
                "question": change.query.question,
                "first": change.first,
                "second": change.second,
            }
            for change in comparison.changes
            if change.second < change.first
        ][:shown],
    }
