"""Reviewers in processes of their own, one of them killed while it holds an item: nobody gets that item while the lease
lasts, somebody gets it afterwards, every item is labelled once, and half a review is none.

The check that no item is held twice is shown red first: on claims that take no notice of locks."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TextIO

import pytest

from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.reviews import items as item_store
from rag.store.reviews import reviews as store
from rag.store.reviews.queues import Queue
from tests.forking import Forked, Forking
from tests.test_interactions import collection
from tests.test_reviews import claim, queued, taken, who

__all__ = ["collection"]

ITEMS = 12
READ = "import psycopg, sqlite3, sqlalchemy.dialects.sqlite, rag.store.reviews.claims, rag.store.reviews.reviews"

# Reviews what it is given until there is nothing left. "hold": claims one item, says so and waits to be killed. "save":
# the same, with the review written but not committed. "broken": claims without looking at locks.
REVIEWER = """
import sys
url, tenant, name, queue, act = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
from sqlalchemy import true
from rag.store import database
from rag.store.reviews import claims as review_claims
from rag.store.reviews import reviews
from rag.types import Principal
if act == "broken":
    review_claims._free = lambda at: true()
base, me = database.connect(url), Principal(tenant, name)
print("ready", flush=True)
sys.stdin.readline()
while True:
    with base.write() as connection:
        found = review_claims.claim(connection, me, queue)
    if found is None:
        break
    print(found[0].id, flush=True)
    if act in ("hold", "broken"):
        sys.stdin.readline()
        break
    with base.write() as connection:
        reviews.save(connection, me, found[0].id, reviews.Said("correct"))
        if act == "save":
            print("written", flush=True)
            sys.stdin.readline()
base.close()
"""


@pytest.fixture(scope="module")
def forking() -> Iterator[Forking]:
    """A process that has read the store: reviewers are forked from it."""
    opened = Forking(READ)
    yield opened
    opened.close()


@dataclass(frozen=True)
class Reviewer:
    """A process, what is written to it and what it says."""

    process: Forked
    orders: TextIO
    words: TextIO

    def go(self) -> None:
        self.orders.write("\n")
        self.orders.flush()

    def said(self) -> str:
        return self.words.readline().strip()

    def rest(self) -> list[str]:
        """All that it says until it ends."""
        self.orders.close()
        return self.words.read().split()

    def killed(self) -> None:
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL


def started(forking: Forking, *arguments: str) -> Reviewer:
    (read, orders), (words, write) = os.pipe(), os.pipe()
    process = forking.start(["-c", REVIEWER, *arguments], env=os.environ, stdin=read, stdout=write)
    os.close(read)
    os.close(write)
    return Reviewer(process, os.fdopen(orders, "w"), os.fdopen(words))


@contextmanager
def reviewers(
    forking: Forking, database: Database, collection: Collection, queue: Queue, **acts: str
) -> Iterator[list[Reviewer]]:
    """Processes that are ready to begin, each by name and what it does; killed in the end."""
    url = database.url.render_as_string(hide_password=False)
    at_work = [started(forking, url, str(collection.tenant_id), name, str(queue.id), act) for name, act in acts.items()]
    try:
        for reviewer in at_work:
            assert reviewer.said() == "ready"
        yield at_work
    finally:
        for reviewer in at_work:
            reviewer.process.kill()
            reviewer.process.wait()
            reviewer.orders.close()
            reviewer.words.close()


def labels(database: Database, queue: Queue) -> Counter[int]:
    with database.read() as connection:
        return Counter(rating.item_id for rating in store.ratings(connection, queue.id))


def test_a_queue_without_locks_gives_one_item_twice(
    forking: Forking, database: Database, collection: Collection
) -> None:
    queue = queued(database, collection, ITEMS)
    with reviewers(forking, database, collection, queue, ann="broken", bob="broken") as processes:
        given = []
        for process in processes:  # one after the other: at once PostgreSQL would pass over the row that is being taken
            process.go()
            given.append(process.said())
        assert len(set(given)) == 1


def test_the_item_of_a_killed_reviewer_is_nobodys_until_its_lease_ends_and_every_item_is_labelled_once(
    forking: Forking, database: Database, collection: Collection
) -> None:
    queue = queued(database, collection, ITEMS)
    with reviewers(forking, database, collection, queue, dead="hold", ann="all", bob="all") as (victim, *others):
        victim.go()
        lost = int(victim.said())
        for process in others:
            process.go()
        given = [int(line) for process in others for line in process.rest()]
        victim.killed()
    assert sorted([*given, lost]) == sorted({*given, lost}), "no item was given twice"
    assert len(given) == ITEMS - 1
    assert labels(database, queue) == Counter(given)
    eve = who(collection, "eve")
    assert claim(database, eve, queue) is None
    with database.read() as connection:
        held = item_store.get(connection, eve, lost)
    assert held.reviewer == "dead"
    assert held.until is not None
    assert taken(database, eve, queue, held.until + timedelta(seconds=1))[0].id == lost


def test_a_review_that_was_not_committed_when_its_process_was_killed_is_none(
    forking: Forking, database: Database, collection: Collection
) -> None:
    queue = queued(database, collection, 1)
    with reviewers(forking, database, collection, queue, dead="save") as (victim,):
        victim.go()
        item = int(victim.said())
        assert victim.said() == "written"
        victim.killed()
    assert labels(database, queue) == Counter()
    with database.write() as connection:
        review = store.save(connection, who(collection, "dead"), item, store.Said("wrong"))
    assert review.label == "wrong"
    assert labels(database, queue) == Counter({item: 1})
