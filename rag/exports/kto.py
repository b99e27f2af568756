"""Answers that are good or bad by themselves: `prompt`, `completion`, `label` (TRL's conversational unpaired preference
format; KTO: Ethayarajh et al. 2024)."""

from collections.abc import Sequence
from pathlib import Path

from rag.exports.records import Record, messages_json
from rag.exports.rows import Made, Row, Written, write_lines


def write(folder: Path, records: Sequence[Record]) -> Written:
    return write_lines(folder, records, rows)


def rows(record: Record) -> Made:
    """The given answer as people judged it; a corrected one is good, and the one it corrects is bad."""
    verdict = record.verdict
    judged = [(reference, True) for reference in record.references if reference != record.answer]
    if record.answer is not None and record.answer.strip():
        if verdict is not None:
            judged.append((record.answer, verdict == "good"))
        elif judged:
            judged.append((record.answer, False))
    if not judged:
        return "nobody said whether the answer is good"
    return [_row(record, text, label) for text, label in judged]


def _row(record: Record, text: str, label: bool) -> Row:
    return {
        "prompt": messages_json(record.prompt),
        "completion": [{"role": "assistant", "content": text}],
        "label": label,
    }
