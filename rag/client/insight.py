"""The log in figures, as the client reaches it: `Client(…).insight`."""

from datetime import datetime
from typing import TypedDict, Unpack

from rag.api.models.dashboard import Counted, Dashboard, DriftFound, NewTopics, Topics
from rag.client.wire import Wire, given


class Spanning(TypedDict, total=False):
    """Which questions are meant. What is left out, or None, is as the server has it: 30 days, what people asked."""

    since: datetime | None  # from this moment on
    until: datetime | None  # before this moment
    collection: str | None
    origin: Counted | None  # of this origin, without replays; all: whatever is in the log


class Insight:
    """What was asked and how it was answered. Errors as those of the client."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def figures(
        self, *, model: str | None = None, template: str | None = None, **spanning: Unpack[Spanning]
    ) -> Dashboard:
        """Questions, users, refusals, failures, tokens, latency, scores and ratings: as a whole, over time and by
        collection, model and template."""
        words = _words(spanning) | given(model=model, template=template)
        return self._wire.shaped(Dashboard, "GET", "/api/dashboard", params=words)

    def drift(self, *, before: datetime | None = None, **spanning: Unpack[Spanning]) -> DriftFound:
        """Whether questions drift away from the documents, held against the period that begins at `before`."""
        words = _words(spanning) | given(before=_told(before))
        return self._wire.shaped(DriftFound, "GET", "/api/dashboard/drift", params=words)

    def new_topics(self, *, before: datetime | None = None, **spanning: Unpack[Spanning]) -> NewTopics:
        """Topics of questions that are far from every question of the period before."""
        words = _words(spanning) | given(before=_told(before))
        return self._wire.shaped(NewTopics, "GET", "/api/dashboard/topics", params=words)

    def unanswered(self, **spanning: Unpack[Spanning]) -> Topics:
        """What to write next: questions that were not answered well, by topic."""
        return self._wire.shaped(Topics, "GET", "/api/dashboard/unanswered", params=_words(spanning))


def _words(spanning: Spanning) -> dict[str, object]:
    return given(
        since=_told(spanning.get("since")),
        until=_told(spanning.get("until")),
        collection=spanning.get("collection"),
        origin=spanning.get("origin"),
    )


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
