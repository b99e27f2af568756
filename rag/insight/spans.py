"""The figures of the log by day, kept in memory for as long as they hold.

A year of a million interactions is read once a process; from then on only what changed is read again. A span of time is
taken as it was read while it has as many interactions as then and none of them was judged since: the log is only added
to, but for what is removed whole.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

import numpy as np
from numpy.typing import NDArray

from rag.insight.sketches import Sketch, sketch
from rag.store import dashboard as store
from rag.store.dashboard import Group, Marks, Sum, Tally
from rag.store.database import Connection, Database

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
KEPT = 3000  # spans of a tenant, about eight years of days
OVERLAP = 500  # ids below the last one that are looked at again: PostgreSQL may commit them later than higher ones
FOLLOWED = 20_000  # judgements that are followed one by one; after more of them all is read anew


@dataclass(frozen=True, slots=True)
class Held:
    """A tally in its small form."""

    questions: int
    refused: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    users: NDArray[np.int64]  # (u,)
    stages: Mapping[str, Sketch]  # of milliseconds
    scores: Mapping[str, Sum]
    good: int
    bad: int


@dataclass(frozen=True, slots=True)
class Span:
    """The figures of a span of time, by group."""

    since: datetime
    until: datetime  # not part of it
    questions: int
    groups: Mapping[Group, Held]


@dataclass(slots=True)
class _Tenant:
    """What is held of one tenant's log."""

    marks: Marks
    seen: frozenset[int] = frozenset()  # ids of judgements at most OVERLAP below the marks; ratings as negative ones
    spans: dict[tuple[datetime, datetime], Span] = field(default_factory=dict)


class Spans:
    """The spans of a database that were read. Safe to share between threads; make one a process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tenants: dict[int, _Tenant] = {}
        self._lock = threading.Lock()

    def of(self, tenant_id: int, since: datetime, until: datetime, now: datetime) -> list[Span]:
        """The spans from `since` to `until`: whole days in UTC, and hours on the day of `now`; the ends are cut."""
        with self._lock, self._database.read() as connection:
            held = self._followed(connection, tenant_id)
            found = []
            for begin, end in cut(since, until, now):
                span = held.spans.get((begin, end))
                if span is None or span.questions != store.count(connection, tenant_id, begin, end):
                    span = _read(connection, tenant_id, begin, end)
                    held.spans[begin, end] = span
                found.append(span)
            for old in list(held.spans)[:-KEPT]:
                del held.spans[old]
        return found

    def _followed(self, connection: Connection, tenant_id: int) -> _Tenant:
        """What is held of a tenant, less the spans in which something was judged since."""
        held = self._tenants.get(tenant_id)
        if held is None:
            held = self._tenants[tenant_id] = _Tenant(store.marks(connection))
        else:
            held.marks, before = store.marks(connection), held.marks
            new = store.judged_after(connection, _below(before), FOLLOWED)
            if max(map(len, new)) >= FOLLOWED:
                held.spans.clear()
            else:
                _forget(held, store.logged_at(connection, tenant_id, _fresh(new, held.seen)))
        held.seen = _ids(store.judged_after(connection, _below(held.marks), FOLLOWED))
        return held


def cut(since: datetime, until: datetime, now: datetime) -> list[tuple[datetime, datetime]]:
    """The time from `since` to `until` in days of UTC, the day of `now` and later in hours."""
    found = []
    begin = since
    while begin < until:
        step = DAY if begin.date() < now.date() else HOUR
        floor = datetime.combine(begin.date(), time(begin.hour if step is HOUR else 0), UTC)
        end = min(until, floor + step)
        found.append((begin, end))
        begin = end
    return found


def _read(connection: Connection, tenant_id: int, since: datetime, until: datetime) -> Span:
    groups = {group: _held(tally) for group, tally in store.tallies(connection, tenant_id, since, until).items()}
    return Span(since, until, sum(one.questions for one in groups.values()), groups)


def _held(tally: Tally) -> Held:
    return Held(
        tally.questions,
        tally.refused,
        tally.failed,
        tally.prompt_tokens,
        tally.completion_tokens,
        tally.users,
        {stage: sketch(one.values, one.each) for stage, one in tally.taken.items()},
        tally.scores,
        tally.good,
        tally.bad,
    )


def _fresh(judged: Sequence[Sequence[store.Judged]], seen: frozenset[int]) -> list[str]:
    """The interactions of judgements that were not seen before."""
    new = [one.interaction_id for sign, rows in _signed(judged) for one in rows if sign * one.id not in seen]
    return sorted(set(new))


def _forget(held: _Tenant, moments: Sequence[datetime]) -> None:
    """Drop the spans in which these moments lie."""
    if moments:
        held.spans = {
            (begin, end): span
            for (begin, end), span in held.spans.items()
            if not any(begin <= moment < end for moment in moments)
        }


def _below(marks: Marks) -> Marks:
    return Marks(max(0, marks.score - OVERLAP), max(0, marks.feedback - OVERLAP))


def _ids(judged: Sequence[Sequence[store.Judged]]) -> frozenset[int]:
    return frozenset(sign * one.id for sign, rows in _signed(judged) for one in rows)


def _signed(judged: Sequence[Sequence[store.Judged]]) -> list[tuple[int, Sequence[store.Judged]]]:
    """Scores, then ratings, whose ids are told apart by their signs."""
    return list(zip((1, -1), judged, strict=True))
