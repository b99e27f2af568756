"""Experiments: configurations over the same questions, and how each differs from the first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag.shapes import Json, number

if TYPE_CHECKING:
    from rag.experiments.plans import Row
    from rag.store.experiments import Answered, Experiment


def experiment_json(kept: "Experiment") -> Json:
    """An experiment in a line."""
    return {
        "experiment_id": kept.id,
        "name": kept.name,
        "created_at": kept.created_at.isoformat(timespec="milliseconds"),
        "questions": kept.questions,
        "asked": kept.asked,
        "digest": kept.digest,
        "configurations": [{"name": each.name, "settings": dict(each.overrides)} for each in kept.configurations],
        "version": kept.version,
        "user": kept.user,
    }


def row_json(row: "Row") -> Json:
    """One configuration: its means, and how it differs from the first on the same questions."""
    return {
        "name": row.configured.name,
        "asked": row.asked,
        "failed": row.failed,
        "abstained": row.abstained,
        "metrics": {
            name: {
                "mean": None if cell.mean is None else number(cell.mean.value),
                "low": None if cell.mean is None else number(cell.mean.low),
                "high": None if cell.mean is None else number(cell.mean.high),
                "n": cell.n,
                "against_first": None
                if cell.against is None
                else {
                    "difference": number(cell.against.mean.value),
                    "low": number(cell.against.mean.low),
                    "high": number(cell.against.mean.high),
                    "p": number(cell.against.p),
                    "p_holm": number(cell.p_holm),
                    "better": cell.against.wins,
                    "worse": cell.against.losses,
                },
            }
            for name, cell in row.cells.items()
        },
    }


def table_json(kept: "Experiment", rows: "Sequence[Row]") -> Json:
    """An experiment with its table."""
    return experiment_json(kept) | {"table": [row_json(row) for row in rows]}


def answered_json(answered: "Answered", kept: "Experiment") -> Json:
    """What one configuration made of one question."""
    return {
        "configuration": kept.configurations[answered.configuration - 1].name,
        "number": answered.number,
        "question_id": answered.question_id,
        "question": answered.question,
        "interaction_id": answered.interaction_id,
        "values": {name: number(value) for name, value in answered.values.items()},
        "total_ms": round(answered.total_ms, 3),
        "error": answered.error,
    }
