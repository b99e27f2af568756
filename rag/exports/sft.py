"""Supervised fine-tuning: `messages`, the prompt and the best answer there is (TRL's conversational language modelling
format). A corrected answer goes before one that was judged good; without either there is nothing to learn."""

from collections.abc import Sequence
from pathlib import Path

from rag.exports.records import Record, messages_json
from rag.exports.rows import Made, Written, write_lines


def write(folder: Path, records: Sequence[Record]) -> Written:
    return write_lines(folder, records, rows)


def rows(record: Record) -> Made:
    if not record.best or not record.best.strip():
        return "no answer that is known to be good"
    return [{"messages": [*messages_json(record.prompt), {"role": "assistant", "content": record.best}]}]
