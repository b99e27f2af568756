"""Keyword search with tantivy: BM25 over inverted files on disk, one writer a folder, readers beside it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from rag.keywords.bm25 import K1, TIE, Statistics, accept, idf, ranking, settle, weights
from rag.types import Bitmap, Ids, Permitted, Ranking

if TYPE_CHECKING:
    import tantivy

FEW = 1_000  # permitted chunks up to which the query names them
DEEP = 8_192  # hits past which naming the permitted chunks is cheaper than fetching deeper
SLACK = 16  # hits fetched beyond k, so that ties at the cut are seen
HEAP = 32 << 20  # bytes the writer may hold before it writes a segment
COPIED = ("meta.json", ".managed.json")  # rewritten by every commit; every other file is never changed
STATE = "state.json"
LENGTHS: Literal["exact", "byte"] = "byte"


class TantivyKeywords:
    """Terms joined by spaces in one field, the chunk id in another. `apply` writes into the folder; a search sees all
    of a change or none. Raises OSError when another writer holds the folder."""

    def __init__(self, folder: Path, index: tantivy.Index, position: int) -> None:
        self._folder = folder
        self._index = index
        self._index.config_reader("manual")  # the default watches the folder with a thread of its own
        self._position = position
        self._see()

    def _see(self) -> None:
        self._index.reload()
        self._searcher = self._index.searcher()
        self._statistics = self._measure()

    @property
    def position(self) -> int:
        return self._position

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def ids(self) -> Ids:
        import tantivy

        found = self._searcher.search(tantivy.Query.all_query(), max(len(self), 1), count=False).hits
        ids = self._searcher.fast_field_values("chunk", [address for _, address in found])
        return np.sort(np.array(ids, dtype=np.int64))

    def apply(self, ids: Ids, tokens: Sequence[Sequence[str]], removed: Ids, upto: int) -> None:
        import tantivy

        ids, removed = accept(ids, tokens, removed)
        gone = [chunk for chunk in np.concatenate([removed, ids]).tolist() if self._searcher.doc_freq("chunk", chunk)]
        if len(ids) or gone:
            try:
                writer = self._index.writer(HEAP, 1)  # one thread: the same input makes the same segments
            except ValueError as error:
                raise OSError(f"{self._folder}: tantivy's writer lock is held: {error}") from error
            if gone:  # by query: delete_documents_by_term takes the id for a signed number and finds nothing
                writer.delete_documents_by_query(tantivy.Query.term_set_query(self._index.schema, "chunk", gone))
            for chunk, terms in zip(ids.tolist(), tokens, strict=True):
                document = tantivy.Document()
                document.add_text("terms", " ".join(terms))
                document.add_unsigned("chunk", chunk)
                writer.add_document(document)
            writer.commit()
            writer.wait_merging_threads()
        self._position = upto
        (self._folder / STATE).write_text(json.dumps({"position": upto}), encoding="utf-8")
        self._see()

    def statistics(self) -> Statistics:
        """What tantivy itself weighs terms with: removed chunks count until their segment is merged."""
        return self._statistics

    def dead(self) -> float:
        everything = self._statistics.documents
        return 1 - len(self) / everything if everything else 0.0

    def _measure(self) -> Statistics:
        searcher = self._searcher
        meta = json.loads((self._folder / "meta.json").read_text(encoding="utf-8"))
        documents = sum(segment["max_doc"] for segment in meta["segments"])
        return Statistics(documents, self._average_length(), lambda term: searcher.doc_freq("terms", term), "byte")

    def _average_length(self) -> float:
        """Read off the explanation of a hit, the only place where tantivy tells it; 0 when nothing can be hit."""
        searcher, limit = self._searcher, 16
        while True:
            terms = searcher.terms_with_prefix("terms", "", limit=limit)
            for term, _ in terms:  # the terms of removed chunks are listed too, and hit nothing
                query = _term(self._index, term)
                if hits := searcher.search(query, 1, count=False).hits:
                    return _told(json.loads(query.explain(searcher, hits[0][1]).to_json()), "avgdl")
            if len(terms) < limit:
                return 0.0
            limit *= 16

    def search(
        self, queries: Sequence[Sequence[str]], k: int, permitted: Permitted, statistics: Statistics | None = None
    ) -> list[Ranking]:
        """With `statistics`, terms weigh what they say; lengths are compared with this index's own average always."""
        bitmap = permitted.bitmap()
        count = bitmap.count()
        if k < 1 or not count or not len(self):
            return [[] for _ in queries]
        return [self._search(query, k, bitmap, count, statistics or self._statistics) for query in queries]

    def _search(self, query: Sequence[str], k: int, bitmap: Bitmap, permitted: int, statistics: Statistics) -> Ranking:
        wanted = self._query(query, statistics)
        if wanted is None:
            return []
        if permitted <= FEW:
            return ranking(*self._among(wanted, bitmap), k)
        fetch = ceil((k + SLACK) * max(1.0, 1.2 * len(self) / permitted))
        while fetch < DEEP or permitted > len(self) // 2:
            ids, scores = self._fetch(wanted, fetch)
            inside = bitmap.mask(ids)
            best, settled = settle(ids[inside], scores[inside])
            if len(ids) < fetch or (len(best) > k and scores[-1] < settled[k - 1] * (1 - 2 * TIE)):
                return ranking(best, settled, k)
            fetch *= 4
        return ranking(*self._among(wanted, bitmap), k)

    def _query(self, query: Sequence[str], statistics: Statistics) -> tantivy.Query | None:
        """Any of the terms, each boosted so that tantivy's score becomes ours; None when no chunk holds one."""
        import tantivy

        own = self._statistics
        parts = []
        for term, weight in weights(query, statistics):
            if held := own.frequency(term):
                boost = weight / idf(own.documents, held) / (K1 + 1)  # tantivy multiplies by its own idf and by k1 + 1
                parts.append((tantivy.Occur.Should, tantivy.Query.boost_query(_term(self._index, term), boost)))
        return tantivy.Query.boolean_query(parts) if parts else None

    def _fetch(self, query: tantivy.Query, limit: int) -> tuple[Ids, NDArray[np.float64]]:
        """The best hits, permitted or not, as tantivy scores and orders them.  → (n,), (n,)"""
        hits = self._searcher.search(query, min(limit, max(len(self), 1)), count=False).hits
        ids = self._searcher.fast_field_values("chunk", [address for _, address in hits])
        return np.array(ids, dtype=np.int64), np.array([score for score, _ in hits], dtype=np.float64)

    def _among(self, query: tantivy.Query, bitmap: Bitmap) -> tuple[Ids, NDArray[np.float64]]:
        """Every hit among the permitted chunks."""
        import tantivy

        ids = bitmap.ids()
        named = tantivy.Query.term_set_query(self._index.schema, "chunk", ids.tolist())
        unscored = tantivy.Query.const_score_query(named, 0.0)
        both = tantivy.Query.boolean_query([(tantivy.Occur.Must, unscored), (tantivy.Occur.Must, query)])
        return self._fetch(both, len(ids))

    def save(self, folder: Path) -> None:
        """Files that are never changed are linked, not copied, where the file system can."""
        managed = json.loads((self._folder / ".managed.json").read_text(encoding="utf-8"))
        for name in sorted(managed):
            if (self._folder / name).exists() and name not in COPIED:
                _link(self._folder / name, folder / name)
        for name in COPIED:
            shutil.copyfile(self._folder / name, folder / name)
        (folder / STATE).write_text(json.dumps({"position": self._position}), encoding="utf-8")


def _term(index: tantivy.Index, term: str) -> tantivy.Query:
    import tantivy

    return tantivy.Query.term_query(index.schema, "terms", term, index_option="freq")


def _told(explanation: Mapping[str, object], name: str) -> float:
    """The value of the first detail whose description begins with a name."""
    todo = [explanation]
    for detail in todo:
        if str(detail["description"]).startswith(f"{name},"):
            return float(str(detail["value"]))
        todo += cast(list[Mapping[str, object]], detail.get("details") or [])
    raise ValueError(f"tantivy's explanation does not tell {name}")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def new(folder: Path) -> TantivyKeywords:
    """An empty index that works in this folder."""
    import tantivy

    schema = tantivy.SchemaBuilder()
    schema.add_text_field("terms", tokenizer_name="whitespace", index_option="freq")
    schema.add_unsigned_field("chunk", indexed=True, fast=True)
    return TantivyKeywords(folder, tantivy.Index(schema.build(), path=str(folder), reuse=False), 0)


def open(folder: Path) -> TantivyKeywords:
    """What `save` wrote. Raises ValueError or OSError when it is not such an index."""
    import tantivy

    position = json.loads((folder / STATE).read_text(encoding="utf-8"))["position"]
    return TantivyKeywords(folder, tantivy.Index.open(str(folder)), int(position))
