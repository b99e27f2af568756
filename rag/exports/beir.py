"""An evaluation set as BEIR lays it out: corpus.jsonl, queries.jsonl, qrels, and answers.jsonl beside them.

The test split is qrels/test.tsv, training qrels/train.tsv, validation qrels/dev.tsv, as in BEIR; the right answers
stand in the metadata of the queries, those of the test split in answers.jsonl too, where `rag eval --answers` reads
them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.errors import WrongUsage
from rag.exports.records import Record
from rag.exports.rows import Row, Written, write_jsonl
from rag.exports.splits import normal
from rag.store.datasets import Split

QRELS: dict[Split, str] = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
BLANK = str.maketrans({"\t": "%09", "\n": "%0A", "\r": "%0D", "\x00": "%00"})


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a corpus."""

    id: str
    title: str
    text: str


def shown(records: Sequence[Record]) -> list[Document]:
    """The corpus of only those texts that records hold, for a collection that is gone: each document is what was shown
    of it. Metrics over so small a corpus are too good to be compared with others."""
    texts: dict[str, dict[str, None]] = {}
    titles: dict[str, str] = {}
    for record in records:
        for passage in record.passages:
            titles.setdefault(passage.document, passage.title)
            texts.setdefault(passage.document, {})[passage.text] = None
    return [Document(key, titles[key], "\n\n".join(texts[key])) for key in sorted(texts)]


def write(folder: Path, records: Sequence[Record], corpus: Iterable[Document]) -> Written:
    """One query a question: of several records of one question the first with a judgement counts. Judgements of
    documents that the corpus lacks are left out, and counted."""
    held: set[str] = set()

    def lines() -> Iterable[Row]:
        for document in corpus:
            key = document.id.translate(BLANK)
            if key in held:
                raise WrongUsage(f"two documents of the corpus are called {document.id!r}")
            held.add(key)
            yield {"_id": key, "title": document.title, "text": document.text}

    counts = {"corpus.jsonl": write_jsonl(folder / "corpus.jsonl", lines())}
    skipped: dict[str, int] = {}
    kept: dict[str, Record] = {}
    for record in records:
        relevant = any(grade > 0 for grade in _grades(record).values())
        if not relevant and not record.gold and record.answerable is not False:
            _count(skipped, "neither a right answer nor a relevant document is known")
        elif normal(record.question) in kept:
            _count(skipped, "asks the same as another record")
        else:
            kept[normal(record.question)] = record
    chosen = list(kept.values())
    if not chosen:
        return Written({}, skipped)
    counts["queries.jsonl"] = write_jsonl(folder / "queries.jsonl", map(_query, chosen))
    (folder / "qrels").mkdir()
    for split, name in QRELS.items():
        of_split = [record for record in chosen if record.split == split]
        if of_split or split == "test":
            counts[f"qrels/{name}"] = _qrels(folder / "qrels" / name, of_split, held, skipped)
    answers = [
        {"_id": record.key, "answers": list(record.gold)}
        for record in chosen
        if record.split == "test" and (record.gold or record.answerable is False)
    ]
    counts["answers.jsonl"] = write_jsonl(folder / "answers.jsonl", answers)
    return Written(counts, skipped)


def _query(record: Record) -> Row:
    metadata = {
        "answers": list(record.gold),
        "answerable": record.answerable,
        "origin": record.origin,
        "split": record.split,
        "interaction_id": record.interaction_id,
    }
    return {"_id": record.key, "text": record.question, "metadata": metadata}


def _grades(record: Record) -> dict[str, int]:
    return {document.translate(BLANK): grade for document, grade in record.relevant.items()}


def _qrels(path: Path, records: Sequence[Record], held: set[str], skipped: dict[str, int]) -> int:
    rows = ["query-id\tcorpus-id\tscore"]
    for record in records:
        grades = _grades(record)
        there = {document: grade for document, grade in grades.items() if document in held}
        if len(there) < len(grades):
            _count(skipped, "judges a document that is no longer there", len(grades) - len(there))
        if any(grade > 0 for grade in there.values()):
            rows += [f"{record.key}\t{document}\t{grade}" for document, grade in there.items()]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")
    return len(rows) - 1


def _count(counts: dict[str, int], reason: str, by: int = 1) -> None:
    counts[reason] = counts.get(reason, 0) + by
