"""Groundedness: faithfulness that asks the embedding model too how near each sentence is to what supports it."""

from rag.scorers.faithfulness import Faithfulness
from rag.types import Models, Scorer


def load(models: Models) -> Scorer:
    """The scorer over this embedder. It tells claims that a text says nothing of better than faithfulness does, but
    embeds every sentence that does not stand there word for word, and what supports it: a few tenths of a second for an
    answer in its own words."""
    return Faithfulness(models.embedder, name="groundedness", version="1")
