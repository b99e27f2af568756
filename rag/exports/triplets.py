"""Triplets for training a retriever: `query`, `positive`, `negative`, each a text; the columns in the order that
sentence-transformers reads. Negatives are hard: they were found and shown for the question, and a person judged them
irrelevant."""

from collections.abc import Sequence
from pathlib import Path

from rag.exports.records import Record
from rag.exports.rows import Made, Written, write_lines


def write(folder: Path, records: Sequence[Record]) -> Written:
    return write_lines(folder, records, rows)


def rows(record: Record) -> Made:
    positive = [passage for passage in record.passages if passage.grade is not None and passage.grade > 0]
    negative = [passage for passage in record.passages if passage.grade == 0 and passage.shown]
    if not positive:
        return "no passage that is known to be relevant"
    texts = {passage.text for passage in positive}
    pairs = [(one.text, other.text) for one in positive for other in negative if other.text not in texts]
    if not pairs:
        return "no passage that was shown and judged irrelevant"
    return [{"query": record.question, "positive": one, "negative": other} for one, other in dict.fromkeys(pairs)]
