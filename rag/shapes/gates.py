"""What a gate found."""

from typing import TYPE_CHECKING

from rag.shapes import Json, number

if TYPE_CHECKING:
    from rag.evaluation.gate import Dropped, Gate
    from rag.evaluation.significance import Mean


def gate_json(gate: "Gate") -> Json:
    """A gate: every bound, every drop, the worst questions. `value` is null where a metric applied to no question."""
    return {
        "passed": gate.passed,
        "set": gate.name,
        "collection": gate.collection,
        "questions": gate.questions,
        "bounds": [
            {
                "metric": one.bound.metric,
                **_mean(one.mean),
                "min": one.bound.least,
                "max": one.bound.most,
                "questions": one.questions,
                "sure": one.sure,
                "passed": one.passed,
            }
            for one in gate.held
        ],
        "against": gate.against,
        "drops": [_drop(one) for one in gate.drops],
        "not_compared": list(gate.uncompared),
        "others": [
            {"metric": one.metric, **_mean(one.mean), "drop": None if one.dropped is None else _drop(one.dropped)}
            for one in gate.others
        ],
        "worst_by": gate.worst_by,
        "worst": [
            {"id": one.id, "question": one.question, "value": number(one.value), "before": number(one.before)}
            for one in gate.worst
        ],
        "settings": dict(gate.settings),
    }


def _mean(one: "Mean | None") -> Json:
    if one is None:
        return {"value": None, "low": None, "high": None}
    return {"value": number(one.value), "low": number(one.low), "high": number(one.high)}


def _drop(one: "Dropped") -> Json:
    return {
        "metric": one.metric,
        "before": number(one.before),
        "now": number(one.now),
        "difference": number(one.difference.mean.value),
        "low": number(one.difference.mean.low),
        "high": number(one.difference.mean.high),
        "p": number(one.difference.p),
        "p_holm": number(one.p_holm),
        "max_drop": one.most,
        "questions": one.questions,
        "passed": one.passed,
    }
