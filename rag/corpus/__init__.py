"""The write route: sources are read by child processes, deduplicated, embedded once, stored; documents are removed."""

from rag.corpus.arrivals import Arrival, Looked, Progress, file_arrivals
from rag.corpus.batches import Origin, Report
from rag.corpus.corpus import FORMAT, Corpus
from rag.corpus.opening import changed, make_pool, open_corpus

__all__ = [
    "FORMAT",
    "Arrival",
    "Corpus",
    "Looked",
    "Origin",
    "Progress",
    "Report",
    "changed",
    "file_arrivals",
    "make_pool",
    "open_corpus",
]
