"""Rows as files: one a split, in JSON lines."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rag.exports.records import Record
from rag.store.datasets import SPLITS

Row = Mapping[str, object]
Made = Sequence[Row] | str
"""The rows of a record, or why it has none."""


@dataclass(frozen=True, slots=True)
class Written:
    """What an export holds."""

    rows: Mapping[str, int]  # file → rows
    skipped: Mapping[str, int] = field(default_factory=dict)  # why records gave no row → how many


def write_lines(folder: Path, records: Sequence[Record], rows_of: Callable[[Record], Made]) -> Written:
    """TRAIN.jsonl, VALIDATION.jsonl, TEST.jsonl, those that have a row."""
    rows, skipped = sorted_rows(records, rows_of)
    counts = {}
    for split in SPLITS:
        if rows[split]:
            counts[f"{split}.jsonl"] = write_jsonl(folder / f"{split}.jsonl", rows[split])
    return Written(counts, skipped)


def sorted_rows(
    records: Sequence[Record], rows_of: Callable[[Record], Made]
) -> tuple[dict[str, list[Row]], dict[str, int]]:
    """The rows of each split, and why records gave none."""
    rows: dict[str, list[Row]] = {split: [] for split in SPLITS}
    skipped: Counter[str] = Counter()
    for record in records:
        made = rows_of(record)
        if isinstance(made, str):
            skipped[made] += 1
        else:
            rows[record.split] += made
    return rows, dict(skipped)


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """One JSON object a line, letters as they are; a lone surrogate is escaped. The number of lines."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(line(row) + "\n")
            count += 1
    return count


def line(row: Row) -> str:
    written = json.dumps(row, ensure_ascii=False, allow_nan=False)
    try:
        written.encode()
    except UnicodeEncodeError:
        return json.dumps(row, allow_nan=False)
    return written
