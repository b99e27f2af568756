"""Reviews, as the client reaches them: `Client(…).reviews`."""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from rag.api.models.reviews import (
    ItemsAdded,
    NextItem,
    QueueFilled,
    Review,
    ReviewAgreement,
    ReviewItem,
    ReviewItems,
    ReviewItemWhole,
    ReviewLock,
    ReviewQueue,
    ReviewQueues,
    Reviews,
)
from rag.client.wire import Wire, given
from rag.types import Metadata

Word = str | int | float | bool | None


class Reviewing:
    """What people judge of logged answers. Errors as those of the client."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    # ── queues ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def queues(self) -> list[ReviewQueue]:
        """The queues by name, with how they stand for the asker."""
        return self._wire.shaped(ReviewQueues, "GET", "/api/review-queues").queues

    def queue(self, name: str) -> ReviewQueue:
        return self._wire.shaped(ReviewQueue, "GET", _queue(name))

    def add_queue(
        self,
        name: str,
        rule: Metadata,
        *,
        guidelines: str = "",
        labels: Mapping[str, float | None] | None = None,
        reviewers: int = 1,
        score: str | None = None,
    ) -> ReviewQueue:
        """Make a queue; `labels` in their order, each with its value as a score or None. `fill` fills it."""
        told = None if labels is None else [{"name": label, "value": value} for label, value in labels.items()]
        body = given(name=name, rule=dict(rule), guidelines=guidelines, labels=told, reviewers=reviewers, score=score)
        return self._wire.shaped(ReviewQueue, "POST", "/api/review-queues", json=body)

    def change_queue(
        self, name: str, *, rule: Metadata | None = None, guidelines: str | None = None, reviewers: int | None = None
    ) -> ReviewQueue:
        """Change what a queue takes in, tells or asks for."""
        told = None if rule is None else dict(rule)
        body = given(rule=told, guidelines=guidelines, reviewers=reviewers)
        return self._wire.shaped(ReviewQueue, "PATCH", _queue(name), json=body)

    def remove_queue(self, name: str) -> None:
        """Take a queue away; its reviews stay."""
        self._wire.send("DELETE", _queue(name))

    def fill(self, name: str) -> QueueFilled:
        """Apply the rule of a queue to the whole log."""
        return self._wire.shaped(QueueFilled, "POST", f"{_queue(name)}/fill")

    def put(self, name: str, interaction_ids: Sequence[str], reason: str | None = None) -> list[str]:
        """Put interactions into a queue by hand; those that were not in it."""
        body = given(interaction_ids=list(interaction_ids), reason=reason)
        return self._wire.shaped(ItemsAdded, "POST", f"{_queue(name)}/items", json=body).added

    def items(self, name: str, *, state: str | None = None, page: int = 100) -> Iterator[ReviewItem]:
        """What is in a queue; fetched `page` at a time."""
        for found in self._wire.pages(ReviewItems, f"{_queue(name)}/items", given(state=state, limit=page)):
            yield from found.items

    def agreement(self, name: str) -> ReviewAgreement:
        """How far the reviewers of a queue agree."""
        return self._wire.shaped(ReviewAgreement, "GET", f"{_queue(name)}/agreement")

    # ── reviewing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def next(self, name: str, *, skipped: bool = False, lease_s: int | None = None) -> NextItem:
        """Lock the next item of a queue; its `item` is None when there is none for the asker."""
        body = given(skipped=skipped, lease_s=lease_s)
        return self._wire.shaped(NextItem, "POST", f"{_queue(name)}/next", json=body)

    def item(self, item_id: int) -> ReviewItemWhole:
        """An item with its interaction, its queue, and what the asker has said of it."""
        return self._wire.shaped(ReviewItemWhole, "GET", f"/api/reviews/items/{item_id}")

    def lock(self, item_id: int, *, owner: str | None = None, lease_s: int | None = None) -> ReviewLock:
        """Lock an item, or renew a lock by its owner. Raises Conflict while somebody else works on it."""
        body = given(owner=owner, lease_s=lease_s)
        return self._wire.shaped(ReviewLock, "POST", f"/api/reviews/items/{item_id}/lock", json=body)

    def free(self, item_id: int, owner: str) -> None:
        """Give a lock back."""
        self._wire.send("POST", f"/api/reviews/items/{item_id}/free", json={"owner": owner})

    def skip(self, item_id: int, owner: str | None = None) -> None:
        """Pass over an item."""
        self._wire.send("POST", f"/api/reviews/items/{item_id}/skip", json=given(owner=owner))

    def save(
        self,
        item_id: int,
        label: str,
        *,
        corrected_answer: str | None = None,
        passages: Mapping[int, int] | None = None,
        better: Mapping[int, int] | None = None,
        tags: Sequence[str] = (),
        note: str | None = None,
    ) -> Review:
        """Say what an answer is worth. `passages`: grades (0 to 3) by number; `better`: by chunk, as a search says."""
        graded = [{"number": number, "grade": grade} for number, grade in (passages or {}).items()]
        graded += [{"chunk_id": chunk_id, "grade": grade} for chunk_id, grade in (better or {}).items()]
        body = given(
            item_id=item_id,
            label=label,
            corrected_answer=corrected_answer,
            passages=graded,
            tags=list(tags),
            note=note,
        )
        return self._wire.shaped(Review, "POST", "/api/reviews", json=body)

    def saved(self, *, page: int = 100, **conditions: Word) -> Iterator[Review]:
        """Reviews that hold, newest first: conditions are queue, reviewer, interaction, label, tag, corrected, since,
        until, history."""
        words = given(limit=page, **conditions)
        for found in self._wire.pages(Reviews, "/api/reviews", words):
            yield from found.reviews

    def withdraw(self, review_id: int) -> None:
        """Take back one's own review."""
        self._wire.send("DELETE", f"/api/reviews/{review_id}")


def _queue(name: str) -> str:
    return f"/api/review-queues/{quote(name, safe='')}"
