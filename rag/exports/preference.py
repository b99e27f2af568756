"""Preferences: `prompt`, `chosen`, `rejected` (TRL's conversational preference format, explicit prompt).

A corrected answer is chosen against the one that was given; an answer that somebody liked better, not knowing whose it
was, against the other one.
"""

from collections.abc import Sequence
from pathlib import Path

from rag.exports.records import Record, messages_json
from rag.exports.rows import Made, Written, write_lines


def write(folder: Path, records: Sequence[Record]) -> Written:
    return write_lines(folder, records, rows)


def rows(record: Record) -> Made:
    if record.answer is None:
        return "nothing was answered"
    pairs = [(reference, record.answer) for reference in record.references]
    pairs += [(record.answer, other) for other in record.worse if not record.references]
    pairs = [(chosen, rejected) for chosen, rejected in pairs if chosen.strip() and chosen.strip() != rejected.strip()]
    if not pairs:
        return "no other answer to prefer"
    return [
        {
            "prompt": messages_json(record.prompt),
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
        }
        for chosen, rejected in pairs
    ]
