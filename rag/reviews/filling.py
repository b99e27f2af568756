"""Queues of reviews kept filled by their rules. Filling is idempotent: an interaction comes into a queue once, however
often the rule is applied."""

import logging
import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from rag.errors import NotFound, RagError
from rag.reviews import agreement
from rag.reviews.agreement import Agreement
from rag.reviews.rules import RECENT, Clause, Disagreement, LowScore, Plain, Rule, Share, parse
from rag.store.database import Connection, Database
from rag.store.jobs import clock
from rag.store.reviews import choice, claims
from rag.store.reviews import items as item_store
from rag.store.reviews import queues as queue_store
from rag.store.reviews import reviews as review_store
from rag.store.reviews.choice import Asked, Facts, Marks
from rag.store.reviews.claims import LEASE_S, Lock
from rag.store.reviews.items import Item, NewItem
from rag.store.reviews.queues import Queue
from rag.types import CancelToken, Principal

log = logging.getLogger(__name__)

PAGE = 500  # interactions looked at in one transaction
FEWEST = 20  # interactions with both scores, or their ranks are not known
FRESH_S = 30.0  # a queue that was filled so long ago looks for new interactions, by a worker or before it gives an item

Ranked = Mapping[tuple[str, str], tuple[Sequence[float], Sequence[float]]]
"""Of two scores the values of recent interactions, each in ascending order."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What came of filling a queue."""

    looked_at: int  # interactions
    added: int
    by: Mapping[str, int]  # clause → interactions it has put in now
    full: bool  # ended because the queue, or every quota, was full
    notes: tuple[str, ...] = ()  # clauses that could not choose, and why


def fill(
    database: Database,
    tenant_id: int,
    name: str,
    *,
    new_only: bool = False,
    cancel: CancelToken | None = None,
    progress: Callable[[int], None] = lambda looked_at: None,
) -> Filled:
    """Put what its rule chooses into a queue, the newest first, until all was looked at or no quota is left.

    new_only: look at what came, was scored or was judged since the queue was filled last; all where it never was. A
    set `cancel` ends it after a page; what came in stays. Where the rule is changed meanwhile, the new one is applied
    from the beginning. Raises NotFound, and WrongUsage for a rule that is none.
    """
    cancel = cancel or threading.Event()
    with database.read() as connection:
        queue = queue_store.get(connection, tenant_id, name)
        rule = parse(queue.rule)
        now = choice.marks(connection)
        ranked, notes = _ranked(connection, tenant_id, rule)
        full = rule.waiting is not None and item_store.waiting(connection, queue.id) >= rule.waiting
    since = _since(queue) if new_only else None
    asked, before = _asked(rule), None
    looked_at, by = 0, Counter[str]()
    while not full and not cancel.is_set():
        with database.read() as connection:
            page = choice.page(connection, tenant_id, rule.where, asked, limit=PAGE, before=before, since=since)
        found = [(facts, reasons) for facts in page if (reasons := _reasons(rule, facts, ranked))]
        with database.write() as connection:
            now_is = queue_store.get(connection, tenant_id, name, lock=True)
            same = (now_is.id, now_is.rule) == (queue.id, queue.rule)  # else it wants others than were found
            added, full = _put(connection, queue, rule, found) if same else ({}, False)
            if same and len(page) < PAGE and not full:
                told = {"filled_at": now.at, "filled_score": now.score, "filled_feedback": now.feedback}
                item_store.looked_at(connection, queue.id, told)
        if not same:
            return fill(database, tenant_id, name, new_only=new_only, cancel=cancel, progress=progress)
        by.update(added)
        looked_at += len(page)
        progress(looked_at)
        if len(page) < PAGE:
            break
        before = page[-1].id
    return Filled(looked_at, sum(by.values()), dict(by), full, tuple(notes))


def keep_filled(database: Database, *, cancel: CancelToken | None = None) -> int:
    """Let what came, was scored or was judged since into every queue of every tenant that has not looked for FRESH_S;
    how many came in. Any number may do this at once. A queue that cannot be filled is logged, and holds up no other."""
    cancel, added = cancel or threading.Event(), 0
    with database.read() as connection:
        at = clock(connection)
        stale = [queue for queue in queue_store.everywhere(connection) if _is_stale(queue, at)]
    for queue in stale:
        if cancel.is_set():
            break
        try:
            added += fill(database, queue.tenant_id, queue.name, new_only=True, cancel=cancel).added
        except NotFound:  # it was removed a moment ago
            continue
        except RagError as error:
            log.warning("the review queue %r could not be filled: %s", queue.name, error)
    return added


def _is_stale(queue: Queue, at: datetime) -> bool:
    return queue.filled_at is None or at - queue.filled_at > timedelta(seconds=FRESH_S)


def next_item(
    database: Database, asker: Principal, name: str, *, lease_s: float = LEASE_S, skipped: bool = False
) -> tuple[Item, Lock] | None:
    """Lock the next item of a queue for a reviewer, after new interactions were let in; None when there is none for
    them. Raises NotFound."""
    with database.read() as connection:
        queue = queue_store.get(connection, asker.tenant_id, name)
        stale = _is_stale(queue, clock(connection))
    if stale:
        fill(database, asker.tenant_id, name, new_only=True)
    with database.write() as connection:
        return claims.claim(connection, asker, queue.id, lease_s=lease_s, skipped=skipped)


def _since(queue: Queue) -> Marks | None:
    if queue.filled_at is None or queue.filled_score is None or queue.filled_feedback is None:
        return None
    return Marks(queue.filled_at, queue.filled_score, queue.filled_feedback)


def agreement_in(connection: Connection, queue: Queue) -> Agreement:
    """How far the reviewers of a queue agree; labels are in order where at least two of them have a value."""
    items: dict[int, dict[str, str]] = {}
    for rating in review_store.ratings(connection, queue.id):
        items.setdefault(rating.item_id, {})[rating.reviewer] = rating.label
    valued = [(label.value, label.name) for label in queue.labels if label.value is not None]
    order = [name for _, name in sorted(valued, key=lambda each: each[0])]
    return agreement.of({str(key): each for key, each in items.items()}, order if len(order) > 1 else None)


# ── choosing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def in_share(interaction_id: str, share: float, seed: str = "") -> bool:
    """Whether a random share of all holds this interaction: its id and a seed, hashed (BLAKE2b) to 0…1, lie below it.
    A larger share of the same seed holds a smaller one."""
    hashed = blake2b(f"{seed}\x00{interaction_id}".encode(), digest_size=8).digest()
    return int.from_bytes(hashed, "big") / 2**64 < share


def mid_rank(value: float, ascending: Sequence[float]) -> float:
    """The rank of a value among others, 0…1: the share of these that are lower, plus half of those that are equal."""
    low, high = bisect_left(ascending, value), bisect_right(ascending, value)
    return (low + high) / 2 / len(ascending)


def _ranked(connection: Connection, tenant_id: int, rule: Rule) -> tuple[Ranked, list[str]]:
    ranked: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    notes: list[str] = []
    for clause in rule.clauses:
        if isinstance(clause.choice, Disagreement):
            pairs = choice.recent(connection, tenant_id, clause.choice.scores, RECENT)
            if len(pairs) < FEWEST:
                one, other = clause.choice.scores
                notes.append(f"{one} and {other}: {len(pairs)} recent interactions have both; ranks need {FEWEST}")
            else:
                ranked[clause.choice.scores] = (sorted(one for one, _ in pairs), sorted(other for _, other in pairs))
    return ranked, notes


def _asked(rule: Rule) -> Asked:
    choices = [clause.choice for clause in rule.clauses]
    kinds = {each.kind for each in choices}
    low = [each for each in choices if isinstance(each, LowScore)]
    apart = [each for each in choices if isinstance(each, Disagreement)]
    names = [each.score for each in low] + [name for each in apart for name in each.scores]
    return Asked(
        scores=tuple(dict.fromkeys(names)),
        every=bool(kinds & {"every", "share"}),
        below=tuple((each.score, each.below) for each in low),
        both=tuple(each.scores for each in apart),
        disliked="thumbs_down" in kinds,
        refused="refused" in kinds,
        failed="failed" in kinds,
    )


def _reasons(rule: Rule, facts: Facts, ranked: Ranked) -> list[tuple[Clause, str]]:
    """The clauses that choose an interaction, each with why, in words."""
    told = [(clause, _reason(clause, facts, ranked)) for clause in rule.clauses]
    return [(clause, why) for clause, why in told if why is not None]


def _reason(clause: Clause, facts: Facts, ranked: Ranked) -> str | None:
    chosen = clause.choice
    if isinstance(chosen, LowScore):
        value = facts.scores.get(chosen.score)
        return None if value is None or value >= chosen.below else f"{chosen.score} {value:.2f}, below {chosen.below:g}"
    if isinstance(chosen, Share):
        return f"random {chosen.share:.3g} of all" if in_share(facts.id, chosen.share, chosen.seed) else None
    if isinstance(chosen, Disagreement):
        return _apart(chosen, facts, ranked)
    return _plain(chosen, facts)


def _plain(chosen: Plain, facts: Facts) -> str | None:
    said = {
        "thumbs_down": (facts.disliked, "thumbs down"),
        "refused": (facts.refused, "refused"),
        "failed": (facts.failed, "failed"),
        "every": (True, "matches the queue's conditions"),
    }
    holds, why = said[chosen.kind]
    return why if holds else None


def _apart(chosen: Disagreement, facts: Facts, ranked: Ranked) -> str | None:
    values = [facts.scores.get(name) for name in chosen.scores]
    among = ranked.get(chosen.scores)
    if among is None or values[0] is None or values[1] is None:
        return None
    one, other = mid_rank(values[0], among[0]), mid_rank(values[1], among[1])
    if abs(one - other) < chosen.distance:
        return None
    high, low = chosen.scores if one > other else chosen.scores[::-1]
    return f"{high} ranks high ({max(one, other):.0%}), {low} low ({min(one, other):.0%})"


def _put(
    connection: Connection, queue: Queue, rule: Rule, found: Sequence[tuple[Facts, list[tuple[Clause, str]]]]
) -> tuple[dict[str, int], bool]:
    """Put into a locked queue what has room in its quotas: how many by each clause, and whether none is left."""
    by = Counter(item_store.chosen(connection, queue.id))
    here = _strata(connection, queue, rule)
    room = None if rule.waiting is None else rule.waiting - item_store.waiting(connection, queue.id)
    known = item_store.among(connection, queue.id, [facts.id for facts, _ in found])
    new: list[NewItem] = []
    for facts, reasons in found:
        if room is not None and len(new) >= room:
            break
        open_to = [clause for clause, _ in reasons if clause.quota is None or by[clause.name] < clause.quota]
        places = [(of, _stratum(of, facts)) for of, _ in rule.each]
        full = any(here[place] >= number for place, (_, number) in zip(places, rule.each, strict=True))
        if facts.id in known or full or not open_to:
            continue
        clause = open_to[0]
        by[clause.name] += 1
        here.update(places)
        priority = max(each.priority for each, _ in reasons)
        new.append(NewItem(facts.id, tuple(why for _, why in reasons), clause.name, priority))
    item_store.put(connection, queue.tenant_id, queue.id, new)
    over = room is not None and len(new) >= room
    over = over or all(clause.quota is not None and by[clause.name] >= clause.quota for clause in rule.clauses)
    return dict(Counter(item.chosen_by for item in new)), over


def _strata(connection: Connection, queue: Queue, rule: Rule) -> Counter[tuple[str, str]]:
    """How many interactions of each template, model, collection and day are in a queue, if its rule asks."""
    if not rule.each:
        return Counter()
    counted: Counter[tuple[str, str]] = Counter()
    for template, model, collection, at in choice.strata(connection, queue.id):
        told = {"template": template, "model": model, "collection": collection, "day": at.date().isoformat()}
        counted.update((of, told[of]) for of, _ in rule.each)
    return counted


def _stratum(of: str, facts: Facts) -> str:
    return facts.created_at.date().isoformat() if of == "day" else str(getattr(facts, of))
