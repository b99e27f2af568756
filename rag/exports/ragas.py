"""Samples as Ragas names their fields: `user_input`, `response`, `reference`, `retrieved_contexts`,
`reference_contexts` (its SingleTurnSample). What is not known is null."""

from collections.abc import Sequence
from pathlib import Path

from rag.exports.records import Record
from rag.exports.rows import Made, Written, write_lines


def write(folder: Path, records: Sequence[Record]) -> Written:
    return write_lines(folder, records, rows)


def rows(record: Record) -> Made:
    relevant = [passage.text for passage in record.passages if passage.grade is not None and passage.grade > 0]
    shown = [passage.text for passage in record.passages if passage.shown]
    return [
        {
            "user_input": record.question,
            "response": record.answer,
            "reference": record.gold[0] if record.gold else record.best,
            "retrieved_contexts": shown if record.answer is not None else None,
            "reference_contexts": relevant or None,
        }
    ]
