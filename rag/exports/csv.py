"""A table that a spreadsheet opens: one row a record, one file a split.

No cell can be a formula: one that begins with = + - @, a tab or a carriage return, also behind blanks, gets an
apostrophe before it (OWASP, CSV injection), and every cell is quoted.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from rag.exports.records import Record
from rag.exports.rows import Made, Written, line, sorted_rows
from rag.store.datasets import SPLITS

COLUMNS = (
    "key", "split", "origin", "question", "answer", "reference", "verdict", "value", "labels", "answerable",
    "relevant", "irrelevant", "conversation_id", "created_at", "model", "template",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def write(folder: Path, records: Sequence[Record]) -> Written:
    rows_of, skipped = sorted_rows(records, rows)
    counts = {}
    for split in SPLITS:
        if not rows_of[split]:
            continue
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="", errors="backslashreplace") as file:
            writer = csv.DictWriter(file, COLUMNS, quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows_of[split])
        counts[f"{split}.csv"] = len(rows_of[split])
    return Written(counts, skipped)


def rows(record: Record) -> Made:
    relevant = record.relevant
    cells = {
        "key": record.key,
        "split": record.split,
        "origin": record.origin,
        "question": record.question,
        "answer": record.answer or "",
        "reference": record.best or "",
        "verdict": record.verdict or "",
        "value": "" if record.value is None else f"{record.value:g}",
        "labels": ", ".join(record.labels),
        "answerable": {True: "yes", False: "no", None: ""}[record.answerable],
        "relevant": line({document: grade for document, grade in relevant.items() if grade > 0}),
        "irrelevant": line({"documents": [document for document, grade in relevant.items() if grade == 0]}),
        "conversation_id": record.conversation_id or "",
        "created_at": record.created_at,
        "model": record.model,
        "template": record.template,
    }
    return [{name: defused(cell) for name, cell in cells.items()}]


def defused(cell: str) -> str:
    """The text as no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) or cell.lstrip().startswith(FORMULA) else cell
