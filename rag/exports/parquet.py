"""Every field of every record as Parquet, one file a split; needs pyarrow (the extra `parquet`)."""

from collections.abc import Sequence
from pathlib import Path

from rag.errors import NotReady
from rag.exports.records import Record, item_of
from rag.exports.rows import Written
from rag.store.datasets import SPLITS


def write(folder: Path, records: Sequence[Record]) -> Written:
    """Raises NotReady without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise NotReady(
            'Parquet is written with pyarrow: pip install "rag[parquet]"; --format csv needs nothing'
        ) from error
    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    message = pyarrow.struct([("role", text), ("content", text)])
    passage = pyarrow.struct(
        [
            ("document", text),
            ("title", text),
            ("text", text),
            ("grade", pyarrow.int8()),
            ("shown", pyarrow.bool_()),
            ("by", text),
        ]
    )
    schema = pyarrow.schema(
        [
            ("key", text),
            ("origin", text),
            ("interaction_id", text),
            ("question", text),
            ("asked", text),
            ("references", texts),
            ("passages", pyarrow.list_(passage)),
            ("answerable", pyarrow.bool_()),
            ("answer", text),
            ("abstained", pyarrow.bool_()),
            ("value", pyarrow.float64()),
            ("rating", pyarrow.float64()),
            ("labels", texts),
            ("worse", texts),
            ("messages", pyarrow.list_(message)),
            ("conversation_id", text),
            ("created_at", text),
            ("model", text),
            ("template", text),
        ]
    )
    counts = {}
    for split in SPLITS:
        rows = [
            {"key": item.key, "origin": item.origin, "interaction_id": item.interaction_id, **item.content}
            for item in map(item_of, records)
            if item.split == split
        ]
        if rows:
            table = pyarrow.Table.from_pylist(rows, schema=schema)
            pyarrow.parquet.write_table(table, folder / f"{split}.parquet")
            counts[f"{split}.parquet"] = len(rows)
    return Written(counts)
