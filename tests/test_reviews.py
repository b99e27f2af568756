"""Reviews on both databases: no item is given to two at once, no label is lost, history stays, scores follow."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from rag.errors import Conflict, NotFound, WrongUsage
from rag.store import interactions as interaction_store
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.log import forgetting
from rag.store.reviews import claims
from rag.store.reviews import items as item_store
from rag.store.reviews import queues as queue_store
from rag.store.reviews import reviews as store
from rag.store.reviews.claims import Lock, LockLost
from rag.store.reviews.items import Item, NewItem
from rag.store.reviews.queues import Label, Queue
from rag.store.reviews.reviews import Review, Said
from rag.store.reviews.texts import Judged, texts_of
from rag.store.tables import interactions
from rag.types import Principal, Score
from tests.test_interactions import collection, interaction, record

__all__ = ["collection"]

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def who(collection: Collection, name: str = "ann", labels: Sequence[str] | None = None) -> Principal:
    return Principal(collection.tenant_id, name, None if labels is None else frozenset(labels))


def queued(database: Database, collection: Collection, items: int, reviewers: int = 1, name: str = "q") -> Queue:
    """A queue that holds so many interactions, whose ids are counted from 1."""
    entries = [interaction(collection, number) for number in range(1, items + 1)]
    record(database, collection, *entries)
    with database.write() as connection:
        queue = queue_store.add(
            connection, collection.tenant_id, name, {"any": [{"kind": "every"}]}, user="boss", reviewers=reviewers
        )
        item_store.put(connection, collection.tenant_id, queue.id, [NewItem(e.id, ("by hand",)) for e in entries])
    return queue


def claim(database: Database, asker: Principal, queue: Queue, at: datetime | None = None) -> tuple[Item, Lock] | None:
    with database.write() as connection:
        return claims.claim(connection, asker, queue.id, at=at)


def taken(database: Database, asker: Principal, queue: Queue, at: datetime | None = None) -> tuple[Item, Lock]:
    found = claim(database, asker, queue, at)
    assert found is not None
    return found


def save(database: Database, asker: Principal, item: Item, said: Said) -> Review:
    with database.write() as connection:
        return store.save(connection, asker, item.id, said)


def state(database: Database, interaction_id: str) -> str | None:
    with database.read() as connection:
        found = connection.scalar(select(interactions.c.review_state).where(interactions.c.id == interaction_id))
    return None if found is None else str(found)


def scored(database: Database, collection: Collection, interaction_id: str) -> list[Score]:
    with database.read() as connection:
        entry = interaction_store.get(connection, collection.tenant_id, interaction_id)
    return [score for score in entry.scores if score.annotator_kind == "HUMAN"]


# ── claims ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_eight_reviewers_at_once_are_never_given_one_item_and_no_label_is_lost(
    database: Database, collection: Collection
) -> None:
    """Two reviews an item: each item goes to two different people, to one after the other."""
    queue = queued(database, collection, 12, reviewers=2)
    together, lock = threading.Barrier(8), threading.Lock()
    held: Counter[int] = Counter()

    def reviewing(number: int) -> list[int]:
        asker, mine = who(collection, f"r{number}"), []
        together.wait()
        while (found := claim(database, asker, queue)) is not None:
            item, _ = found
            with lock:
                held[item.id] += 1
                assert held[item.id] == 1, "two people hold one item"
            with lock:
                held[item.id] -= 1  # before the save: its commit is what lets another have the item
            save(database, asker, item, Said("correct"))
            mine.append(item.id)
        return mine

    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(reviewing, range(8)))
    for mine in given:
        assert len(set(mine)) == len(mine), "nobody judges one item twice"
    with database.read() as connection:
        labels = store.ratings(connection, queue.id)
        counts = item_store.counts(connection, who(collection), queue.id)
    # One that holds the last items may be all that another could have been given: they end before it is free again.
    assert Counter(each.item_id for each in labels) == Counter(item for mine in given for item in mine)
    assert counts.done + counts.waiting == 12
    assert counts.done == sum(times >= 2 for times in Counter(each.item_id for each in labels).values())


def test_an_item_that_is_held_goes_to_nobody_else_until_its_lease_ends(
    database: Database, collection: Collection
) -> None:
    queue = queued(database, collection, 1)
    ann, bob = who(collection), who(collection, "bob")
    item, lock = taken(database, ann, queue, AT)
    assert (item.reviewer, lock.until) == ("ann", AT + timedelta(seconds=claims.LEASE_S))
    assert claim(database, bob, queue, AT) is None
    assert claim(database, ann, queue, AT) is None, "two windows of one person are two"
    assert claim(database, bob, queue, lock.until) is None
    with database.write() as connection, pytest.raises(LockLost, match="ann works on item"):
        claims.take(connection, bob, item.id, at=AT)
    again, _ = taken(database, bob, queue, lock.until + timedelta(seconds=1))
    assert again.id == item.id
    with database.write() as connection, pytest.raises(LockLost, match="bob works on item"):
        claims.take(connection, ann, item.id, owner=lock.owner, at=lock.until + timedelta(seconds=2))
    with database.write() as connection:
        assert claims.free(connection, ann, item.id, lock.owner) is False, "it is not hers any more"


def test_a_page_that_is_open_keeps_its_lock_and_one_that_closes_frees_it(
    database: Database, collection: Collection
) -> None:
    queue = queued(database, collection, 1)
    ann, bob = who(collection), who(collection, "bob")
    item, lock = taken(database, ann, queue, AT)
    for minutes in range(5, 60, 5):
        with database.write() as connection:
            lock = claims.take(connection, ann, item.id, owner=lock.owner, at=AT + timedelta(minutes=minutes))[1]
    assert claim(database, bob, queue, AT + timedelta(minutes=59)) is None
    with database.write() as connection:
        assert claims.free(connection, ann, item.id, lock.owner) is True
    with database.write() as connection:
        assert claims.take(connection, ann, item.id, owner=lock.owner)[1].owner == lock.owner, "a page that is reloaded"
        assert claims.free(connection, ann, item.id, lock.owner) is True
    item, old = taken(database, bob, queue)
    with database.write() as connection:
        new = claims.take(connection, bob, item.id, owner=old.owner, at=old.until)[1]
        assert claims.free(connection, bob, item.id, old.owner, until=old.until) is False, "it was loaded anew since"
        assert claims.free(connection, bob, item.id, old.owner, until=new.until) is True


def test_a_lease_that_ended_unnoticed_is_still_its_holders(database: Database, collection: Collection) -> None:
    queue = queued(database, collection, 1)
    item, lock = taken(database, who(collection), queue, AT)
    late = lock.until + timedelta(hours=1)
    with database.write() as connection:
        held = claims.take(connection, who(collection), item.id, owner=lock.owner, at=late)[1]
    assert (held.owner, held.until > late) == (lock.owner, True)


def test_the_highest_priority_goes_first_then_what_came_in_first(database: Database, collection: Collection) -> None:
    queue = queued(database, collection, 2)
    record(database, collection, interaction(collection, 9))
    with database.write() as connection:
        new = [NewItem(interaction(collection, 9).id, ("urgent",), priority=5)]
        item_store.put(connection, collection.tenant_id, queue.id, new)
    given = [taken(database, who(collection), queue)[0] for _ in range(3)]
    assert [int(item.interaction_id[3:]) for item in given] == [9, 1, 2]
    assert given[0].reasons == ("urgent",)


def test_what_was_skipped_is_given_again_only_when_asked_for(database: Database, collection: Collection) -> None:
    queue = queued(database, collection, 1)
    ann = who(collection)
    item, lock = taken(database, ann, queue)
    with database.write() as connection:
        claims.skip(connection, ann, item.id, lock.owner)
        claims.skip(connection, ann, item.id)
    assert claim(database, ann, queue) is None
    with database.read() as connection:
        counts = item_store.counts(connection, ann, queue.id)
    assert (counts.waiting, counts.locked, counts.open, counts.skipped) == (1, 0, 0, 1)
    with database.write() as connection:
        assert claims.claim(connection, ann, queue.id, skipped=True) is not None
    with database.write() as connection:
        claims.release(connection, item.id)
    assert taken(database, ann, queue)[0].id == item.id, "who took it again has not skipped it"


def test_what_was_erased_is_given_to_nobody(database: Database, collection: Collection) -> None:
    queue = queued(database, collection, 2)
    gone = interaction(collection, 1).id
    forgetting.erase(database, collection.tenant_id, [gone], actor="boss", asked=interaction_store.Query())
    assert taken(database, who(collection), queue)[0].interaction_id == interaction(collection, 2).id
    assert claim(database, who(collection), queue) is None
    assert state(database, gone) == "reviewed"


def test_who_is_bound_to_labels_reviews_their_own_only(database: Database, collection: Collection) -> None:
    queue = queued(database, collection, 2)
    record(database, collection, interaction(collection, 3, user="eve"))
    with database.write() as connection:
        new = [NewItem(interaction(collection, 3).id, ("by hand",))]
        item_store.put(connection, collection.tenant_id, queue.id, new)
    eve = who(collection, "eve", ["secret"])
    item, _ = taken(database, eve, queue)
    assert int(item.interaction_id[3:]) == 3
    assert claim(database, eve, queue) is None
    other = taken(database, who(collection), queue)[0]
    stranger = Principal(collection.tenant_id + 1, "eve")
    saved = save(database, who(collection), other, Said("wrong"))
    for asker in (eve, stranger):
        with database.write() as connection:
            with pytest.raises(NotFound):
                store.save(connection, asker, other.id, Said("correct"))
            with pytest.raises(NotFound):
                claims.take(connection, asker, other.id)
            with pytest.raises(NotFound):
                store.get(connection, asker, saved.id)
            assert store.listing(connection, asker, limit=10) == []
            assert item_store.of_interaction(connection, asker, other.interaction_id) == []
    with database.read() as connection:
        assert item_store.counts(connection, eve, queue.id).waiting == 1


# ── reviews ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_review_is_kept_whole_and_is_a_score_of_the_interaction(database: Database, collection: Collection) -> None:
    queue = queued(database, collection, 1)
    ann = who(collection)
    item, _ = taken(database, ann, queue)
    assert state(database, item.interaction_id) == "queued"
    said = Said("partly", "Anna did.", (Judged(3, number=1), Judged(2, chunk_id=1)), ("names", "names"), "too short")
    with pytest.raises(WrongUsage, match="two different grades"):
        save(database, ann, item, replace(said, passages=(*said.passages, Judged(0, number=1))))
    review = save(database, ann, item, said)
    assert (review.label, review.value, review.corrected_answer) == ("partly", 0.5, "Anna did.")
    assert (review.tags, review.note, review.queue, review.replaced_at) == (("names",), "too short", "q", None)
    assert [(p.content_id, p.start, p.end, p.grade, p.number) for p in review.passages] == [
        (1, 0, 14, 3, 1),
        (1, 0, 25, 2, None),
    ]
    with database.read() as connection:
        assert texts_of(connection, review.passages) == [
            ("", "Anna wrote it."),  # a title taken from a file's name is the document's
            ("", "Anna wrote it. It rained."),
        ]
        found = item_store.get(connection, ann, item.id)
    assert (found.state, found.reviewer, found.reviews) == ("done", None, 1)
    assert state(database, item.interaction_id) == "reviewed"
    assert scored(database, collection, item.interaction_id) == [
        Score("correctness", 0.5, "partly", "too short", "HUMAN", "ann")
    ]


def test_a_later_review_takes_the_place_of_the_earlier_one_and_history_stays(
    database: Database, collection: Collection
) -> None:
    queue = queued(database, collection, 1)
    ann = who(collection)
    item, _ = taken(database, ann, queue)
    first = save(database, ann, item, Said("wrong"))
    second = save(database, ann, item, Said("cannot judge"))
    other = save(database, who(collection, "bob"), item, Said("correct"))
    with database.read() as connection:
        assert [r.id for r in store.listing(connection, ann, limit=9)] == [other.id, second.id]
        history = store.listing(connection, ann, store.Query(reviewer="ann", history=True), limit=9)
        assert [(r.id, r.replaced_at is None) for r in history] == [(second.id, True), (first.id, False)]
        assert [r.label for r in store.ratings(connection, queue.id)] == ["cannot judge", "correct"]
    assert [(s.value, s.label, s.identifier) for s in scored(database, collection, item.interaction_id)] == [
        (None, "cannot judge", "ann"),
        (1.0, "correct", "bob"),
    ]


def test_a_review_that_is_saved_late_is_kept_beside_that_of_whoever_took_over(
    database: Database, collection: Collection
) -> None:
    queue = queued(database, collection, 1)
    ann, bob = who(collection), who(collection, "bob")
    item, lock = taken(database, ann, queue, AT)
    taken(database, bob, queue, lock.until + timedelta(seconds=1))
    save(database, ann, item, Said("wrong"))
    with database.read() as connection:
        assert item_store.get(connection, ann, item.id).state == "done"
    save(database, bob, item, Said("correct"))
    with database.read() as connection:
        assert {r.reviewer: r.label for r in store.ratings(connection, queue.id)} == {"ann": "wrong", "bob": "correct"}


def test_a_review_that_is_taken_back_no_longer_counts_and_its_item_waits_again(
    database: Database, collection: Collection
) -> None:
    queue = queued(database, collection, 1)
    ann, bob = who(collection), who(collection, "bob")
    item, _ = taken(database, ann, queue)
    review = save(database, ann, item, Said("wrong"))
    with database.write() as connection, pytest.raises(NotFound):
        store.withdraw(connection, bob, review.id)
    with database.write() as connection:
        assert store.withdraw(connection, ann, review.id).replaced_at is not None
    with database.write() as connection, pytest.raises(NotFound):
        store.withdraw(connection, ann, review.id)
    assert state(database, item.interaction_id) == "queued"
    assert scored(database, collection, item.interaction_id) == []
    assert taken(database, ann, queue)[0].id == item.id


def test_a_score_of_two_queues_stays_that_of_the_one_whose_review_holds(
    database: Database, collection: Collection
) -> None:
    ann = who(collection)
    item, _ = taken(database, ann, queued(database, collection, 1))
    save(database, ann, item, Said("wrong", tags=("late", "odd")))
    with database.write() as connection:
        second = queue_store.add(connection, collection.tenant_id, "r", {"any": [{"kind": "every"}]}, user="boss")
        item_store.put(connection, collection.tenant_id, second.id, [NewItem(item.interaction_id, ("by hand",))])
    other = save(database, ann, taken(database, ann, second)[0], Said("correct"))
    assert [score.label for score in scored(database, collection, other.interaction_id)] == ["correct"]
    with database.write() as connection:
        store.withdraw(connection, ann, other.id)
    assert [score.label for score in scored(database, collection, other.interaction_id)] == ["wrong"]
    with database.read() as connection:
        for tag, found in (("odd", ["wrong"]), ("od", []), ("late", ["wrong"])):
            assert [r.label for r in store.listing(connection, ann, store.Query(tag=tag), limit=9)] == found


def test_what_was_erased_meanwhile_takes_no_review(database: Database, collection: Collection) -> None:
    queue = queued(database, collection, 1)
    item, _ = taken(database, who(collection), queue)
    forgetting.erase(
        database, collection.tenant_id, [item.interaction_id], actor="boss", asked=interaction_store.Query()
    )
    with pytest.raises(Conflict, match="were erased"):
        save(database, who(collection), item, Said("wrong", "She lives in the same street."))


def test_what_cannot_be_said_is_refused_and_nothing_is_written(database: Database, collection: Collection) -> None:
    queue = queued(database, collection, 1)
    item, _ = taken(database, who(collection), queue)
    for said, names in (
        (Said("splendid"), "correct, partly, wrong, cannot judge"),
        (Said("correct", passages=(Judged(4, number=1),)), "not 4"),
        (Said("correct", passages=(Judged(1, number=2),)), "no passage 2"),
        (Said("correct", passages=(Judged(1, chunk_id=99),)), "no chunk 99"),
        (Said("correct", passages=(Judged(1),)), "by its chunk"),
    ):
        with pytest.raises(WrongUsage, match=names):
            save(database, who(collection), item, said)
    with database.read() as connection:
        assert store.listing(connection, who(collection), store.Query(history=True), limit=9) == []
        assert item_store.get(connection, who(collection), item.id).reviewer == "ann", "the lock stays"


# ── queues ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_interaction_is_once_in_a_queue_and_the_log_says_how_it_stands(
    database: Database, collection: Collection
) -> None:
    queue = queued(database, collection, 2)
    key = interaction(collection, 1).id
    with database.write() as connection:
        new = [NewItem(key, ("again",)), NewItem("0" * 26, ("is gone",))]
        assert item_store.put(connection, collection.tenant_id, queue.id, new) == []
        other = queue_store.add(connection, collection.tenant_id, "other", {}, user="boss")
        assert item_store.put(connection, collection.tenant_id, other.id, new) == [key]
        assert [item.queue for item in item_store.of_interaction(connection, who(collection), key)] == ["other", "q"]
    item, _ = taken(database, who(collection), queue)
    assert item.interaction_id == key
    save(database, who(collection), item, Said("correct"))
    assert state(database, key) == "queued", "it waits in the other one"
    with database.write() as connection:
        queue_store.remove(connection, collection.tenant_id, "other", user="boss")
    assert state(database, key) == "reviewed"


def test_a_removed_queue_keeps_its_reviews_and_what_is_being_judged(database: Database, collection: Collection) -> None:
    queue = queued(database, collection, 3)
    ann, bob = who(collection), who(collection, "bob")
    first, _ = taken(database, ann, queue)
    save(database, ann, first, Said("wrong"))
    second, _ = taken(database, bob, queue)
    with database.write() as connection:
        assert queue_store.remove(connection, collection.tenant_id, "q", user="boss") == 1
        with pytest.raises(NotFound, match="rag reviews queues list"):
            queue_store.get(connection, collection.tenant_id, "q")
        again = queue_store.add(connection, collection.tenant_id, "q", {}, user="boss")
    assert again.id != queue.id
    save(database, bob, second, Said("correct"))
    with database.read() as connection:
        assert [(r.reviewer, r.label) for r in store.listing(connection, ann, limit=9)] == [
            ("bob", "correct"),
            ("ann", "wrong"),
        ]
    assert [state(database, interaction(collection, n).id) for n in (1, 2, 3)] == ["reviewed", "reviewed", None]


def test_guidelines_that_change_leave_reviews_with_those_they_were_made_under(
    database: Database, collection: Collection
) -> None:
    queue = queued(database, collection, 2)
    ann = who(collection)
    before = save(database, ann, taken(database, ann, queue)[0], Said("correct"))
    with database.write() as connection:
        changed = queue_store.change(connection, collection.tenant_id, "q", user="boss", guidelines="# Be strict")
    after = save(database, ann, taken(database, ann, queue)[0], Said("correct"))
    assert changed.guidelines == "# Be strict"
    assert (before.guidelines_id, after.guidelines_id) == (queue.guidelines_id, changed.guidelines_id)


def test_items_are_done_anew_when_the_number_of_reviewers_changes(database: Database, collection: Collection) -> None:
    queue = queued(database, collection, 2)
    ann = who(collection)
    item, _ = taken(database, ann, queue)
    save(database, ann, item, Said("correct"))
    for reviewers, expected in ((2, "queued"), (1, "reviewed")):
        with database.write() as connection:
            queue_store.change(connection, collection.tenant_id, "q", user="boss", reviewers=reviewers)
        assert state(database, item.interaction_id) == expected
    with database.read() as connection:
        assert item_store.counts(connection, ann, queue.id).done == 1


def test_a_queue_that_cannot_be_is_refused(database: Database, collection: Collection) -> None:
    wrong: list[dict[str, object]] = [
        {"name": " "},
        {"name": "a\nb"},
        {"score": "two words"},
        {"labels": (Label("only"),)},
        {"labels": (Label("a"), Label("a"))},
        {"labels": (Label("a", 2.0), Label("b"))},
        {"reviewers": 0},
    ]
    queued(database, collection, 1)
    with database.write() as connection:
        for changes in wrong:
            values: dict[str, object] = {"name": "other", "user": "boss", "rule": {}} | changes
            with pytest.raises(WrongUsage):
                queue_store.add(connection, collection.tenant_id, **values)  # type: ignore[arg-type]
        with pytest.raises(Conflict, match="'q'"):
            queue_store.add(connection, collection.tenant_id, "q", {}, user="boss")
