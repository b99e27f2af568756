"""Where a passage supports a sentence best, found once for all scorers that ask."""

from functools import lru_cache

from rag.support import Span, best_span


@lru_cache(maxsize=512)  # the sentences of an answer or two with the passages they mark
def marked_span(sentence: str, text: str) -> Span | None:
    """As `best_span`."""
    return best_span(sentence, text)
