"""Working on a job: claims that never take one twice, leases, what became of each file, and how a job ends.

Everything a worker writes for a job happens in a transaction that first finds its lease still its own and holds the
job's row until it commits (`held`). So a worker that was thought dead can never write beside the one that took over.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, func, insert, not_, or_, select, update

from rag.store.jobs import Advance, Job, advance_json, advance_of, clock, end, get
from rag.store.tables import job_inputs, job_items, jobs
from rag.types import FileState, Metadata, Outcome

MAX_ATTEMPTS = 5  # beginnings of a job, since it last got any further, before it is given up
MANY = 500  # values in one IN (…)


class LeaseLost(Exception):
    """Another worker may have the job by now: nothing more may be written for it."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job. `owner` is new at each claim: of two claims by one process only the later is held."""

    job_id: int
    owner: str
    seconds: float


def waiting(connection: Connection, kinds: Sequence[str]) -> bool:
    """Whether a claim might find something; a read, for workers that look often."""
    return bool(connection.scalar(select(exists().where(_free(kinds, clock(connection))))))


def claim(
    connection: Connection,
    kinds: Sequence[str],
    *,
    worker: str,
    lease_s: float,
    busy: Sequence[tuple[int, str]] = (),
) -> tuple[Job, Lease] | None:
    """Take the oldest job that is free: queued, or running under a lease that has ended. None when there is none.

    `busy` are collections, by tenant and name, whose jobs are left to others. Two claims never take one job: on SQLite
    writers take turns, on PostgreSQL a row that another claim holds is passed over.
    """
    at = clock(connection)
    others = [not_(and_(jobs.c.tenant_id == t, func.coalesce(jobs.c.collection, "") == name)) for t, name in busy]
    query = select(jobs).where(_free(kinds, at), *others).order_by(jobs.c.id).limit(1)
    while True:
        row = connection.execute(query.with_for_update(skip_locked=True)).one_or_none()
        if row is None:
            return None
        if row.cancel_asked_at is not None:
            end(connection, row.id, "cancelled", at, error=None)
        elif row.attempts >= MAX_ATTEMPTS:
            end(connection, row.id, "failed", at, error=_given_up(row))
        else:
            break
    owner = f"{worker}:{secrets.token_hex(6)}"
    connection.execute(
        update(jobs)
        .where(jobs.c.id == row.id)
        .values(
            state="running",
            attempts=row.attempts + 1,
            lease_owner=owner,
            lease_until=at + timedelta(seconds=lease_s),
            started_at=row.started_at or at,
        )
    )
    return get(connection, row.tenant_id, row.id), Lease(row.id, owner, lease_s)


def _free(kinds: Sequence[str], at: datetime) -> ColumnElement[bool]:
    # A queued job has a lease_until when an attempt failed: not before then is it tried again.
    ended = or_(jobs.c.lease_until.is_(None), jobs.c.lease_until < at)
    return and_(jobs.c.state.in_(("queued", "running")), jobs.c.kind.in_(list(kinds)), ended)


def _given_up(row: Row[Any]) -> str:
    if row.error:
        return f"given up after {row.attempts} attempts without getting any further; the last one: {row.error}"
    return (
        f"given up: {row.attempts} workers in a row ended without a word and without getting any further "
        "(killed, or out of memory); its items say which files were done"
    )


def held(connection: Connection, lease: Lease) -> Row[Any]:
    """The job's row, locked until this transaction ends. Raises LeaseLost unless the lease is still this one: after
    that nobody can take the job over before the commit."""
    row = connection.execute(
        select(jobs)
        .where(jobs.c.id == lease.job_id, jobs.c.lease_owner == lease.owner, jobs.c.state == "running")
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise LeaseLost(f"the lease on job {lease.job_id} has ended and somebody else may have taken it over")
    return row


def renew(connection: Connection, lease: Lease, advance: Advance | None = None) -> bool:
    """Hold the lease for its whole length again, and say how far the job is (counts are left to `record`); whether
    its end was asked for. Raises LeaseLost."""
    row = held(connection, lease)
    values: dict[str, object] = {"lease_until": clock(connection) + timedelta(seconds=lease.seconds)}
    if advance is not None:
        values["progress"] = advance_json(_forward(advance_of(row), advance))
    connection.execute(update(jobs).where(jobs.c.id == lease.job_id).values(values))
    return row.cancel_asked_at is not None


def record(connection: Connection, lease: Lease, outcomes: Sequence[Outcome]) -> None:
    """Write what became of files, in the transaction that makes it so. Raises LeaseLost.

    The first outcome of a file stays: the attempt after a crash finds "unchanged" what the one before it added. Only
    what failed or was skipped may turn out better.
    """
    row = held(connection, lease)
    states = _states_of(connection, lease.job_id, [outcome.uri for outcome in outcomes])
    counts = dict(advance_of(row).counts)
    fresh: dict[str, Outcome] = {}
    better: dict[str, Outcome] = {}
    for outcome in outcomes:
        before = fresh[outcome.uri].state if outcome.uri in fresh else states.get(outcome.uri)
        if before is None:
            fresh[outcome.uri] = outcome
        elif before in ("failed", "skipped") and before != outcome.state:
            counts[before] = counts.get(before, 0) - 1
            (fresh if outcome.uri in fresh else better)[outcome.uri] = outcome
            states[outcome.uri] = outcome.state
        else:
            continue
        counts[outcome.state] = counts.get(outcome.state, 0) + 1
    at = clock(connection)
    if fresh:
        values = [{"job_id": lease.job_id, "created_at": at} | _item(outcome) for outcome in fresh.values()]
        connection.execute(insert(job_items), values)
    for outcome in better.values():
        mine = and_(job_items.c.job_id == lease.job_id, job_items.c.uri == outcome.uri)
        connection.execute(update(job_items).where(mine).values(_item(outcome)))
    further = {"attempts": 1} if fresh or better else {}  # it got further: earlier beginnings no longer count
    progress = advance_json(replace(advance_of(row), counts={state: n for state, n in counts.items() if n}))
    connection.execute(update(jobs).where(jobs.c.id == lease.job_id).values(progress=progress, **further))


def _states_of(connection: Connection, job_id: int, uris: Sequence[str]) -> dict[str, FileState]:
    found: dict[str, FileState] = {}
    for start in range(0, len(uris), MANY):
        query = select(job_items.c.uri, job_items.c.state).where(
            job_items.c.job_id == job_id, job_items.c.uri.in_(uris[start : start + MANY])
        )
        found |= {row[0]: row[1] for row in connection.execute(query)}
    return found


def _item(outcome: Outcome) -> dict[str, object]:
    return {
        "uri": outcome.uri,
        "state": outcome.state,
        "reason": outcome.reason,
        "documents": outcome.documents,
    }


def finish(connection: Connection, lease: Lease, result: Metadata) -> None:
    """The job is done; what was uploaded for it goes. Raises LeaseLost."""
    held(connection, lease)
    end(connection, lease.job_id, "done", clock(connection), error=None, result=dict(result))
    connection.execute(delete(job_inputs).where(job_inputs.c.job_id == lease.job_id))


def fail(connection: Connection, lease: Lease, reason: str) -> None:
    """The job cannot be done, and trying again would not help. Raises LeaseLost."""
    held(connection, lease)
    end(connection, lease.job_id, "failed", clock(connection), error=reason)


def cancel(connection: Connection, lease: Lease) -> None:
    """The job ends because somebody asked for that. Raises LeaseLost."""
    held(connection, lease)
    end(connection, lease.job_id, "cancelled", clock(connection), error=None)


def give_back(connection: Connection, lease: Lease) -> None:
    """A worker that is told to stop lets another go on at once; this beginning does not count. Raises LeaseLost."""
    row = held(connection, lease)
    values = {"state": "queued", "lease_owner": None, "lease_until": None, "error": None}
    attempts = max(0, row.attempts - 1)
    connection.execute(update(jobs).where(jobs.c.id == lease.job_id).values(attempts=attempts, **values))


def put_off(connection: Connection, lease: Lease, reason: str) -> None:
    """The attempt failed for a reason that may pass: the job is tried again when the length of a lease has gone by.
    Raises LeaseLost."""
    held(connection, lease)
    until = clock(connection) + timedelta(seconds=lease.seconds)
    values = {"state": "queued", "lease_owner": None, "lease_until": until, "error": reason}
    connection.execute(update(jobs).where(jobs.c.id == lease.job_id).values(values))


def _forward(before: Advance, told: Advance) -> Advance:
    """What is told now, never less than before: an attempt after a crash begins with what is there already."""
    return replace(
        told,
        done=max(before.done, told.done),
        documents=max(before.documents, told.documents),
        counts=before.counts,
    )
