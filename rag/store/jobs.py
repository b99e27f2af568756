"""The queue of background jobs: who asked for what, how far it is, and what became of every file of it.

A worker that claims a job (rag.store.leases) holds a lease on it and renews it while it lives; when the lease ends,
whoever comes first takes the job over.

Times are the database's: several machines may work on one PostgreSQL and their clocks differ; a SQLite file has one
machine, whose clock is the database's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, func, insert, select, update

from rag.errors import Conflict, NotFound
from rag.store.audit import record as record_audit
from rag.store.database import now
from rag.store.tables import job_inputs, job_items, jobs
from rag.types import FileState, Metadata

State = Literal["queued", "running", "done", "failed", "cancelled"]
STATES: tuple[State, ...] = ("queued", "running", "done", "failed", "cancelled")
ENDED = frozenset({"done", "failed", "cancelled"})
KEPT_DAYS = 7  # uploads of a job that failed or was cancelled are kept so long for another try


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a job has come."""

    done: int = 0  # sources
    total: int | None = None  # None: not known yet
    documents: int = 0  # written since it was begun for the last time
    uri: str = ""  # the source that was finished last
    counts: Mapping[str, int] = field(default_factory=dict)  # FileState → items


@dataclass(frozen=True, slots=True)
class Job:
    id: int
    tenant_id: int
    kind: str
    state: State
    user: str  # who asked for it, and owns what comes of it
    collection: str | None
    payload: Metadata  # what to do, as its kind understands it; may hold secrets, so it is never shown
    progress: Advance
    result: Metadata | None
    error: str | None  # why it failed; of one that waits or runs: why the attempt before did not end well
    attempts: int  # beginnings since it last got any further
    worker: str | None  # who holds the lease
    cancel_asked_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one file of a job."""

    id: int
    uri: str
    state: FileState
    reason: str
    documents: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes that came with the request for a job."""

    uri: str
    media_type: str
    content: bytes
    title: str = ""
    external_id: str | None = None


def clock(connection: Connection) -> datetime:
    """The database's time, of this very moment (not of the transaction's beginning: it may have waited for a lock)."""
    if connection.dialect.name != "postgresql":
        return now()
    found = connection.scalar(select(func.clock_timestamp()))
    assert isinstance(found, datetime)
    return found


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def enqueue(
    connection: Connection,
    tenant_id: int,
    kind: str,
    payload: Metadata,
    *,
    user: str,
    collection: str | None,
    uploads: Sequence[Upload] = (),
) -> Job:
    """Ask for a job; what was uploaded for it is kept until it is done."""
    key = connection.execute(
        insert(jobs).values(
            tenant_id=tenant_id,
            kind=kind,
            state="queued",
            payload=dict(payload),
            progress=advance_json(Advance()),
            user=user,
            collection=collection,
            created_at=clock(connection),
        )
    ).inserted_primary_key
    assert key is not None
    for upload in uploads:  # one by one: a statement with all of their bytes would hold them twice
        connection.execute(
            insert(job_inputs).values(
                job_id=int(key[0]),
                uri=upload.uri,
                media_type=upload.media_type,
                title=upload.title,
                external_id=upload.external_id,
                content=upload.content,
            )
        )
    return get(connection, tenant_id, int(key[0]))


def ask_cancel(connection: Connection, tenant_id: int, job_id: int, *, actor: str, user: str | None = None) -> Job:
    """Cancel a job: at once when nobody works on it, else its worker ends it after the batch it is at.

    What was stored stays. With `user` only a job of theirs. Raises NotFound, or Conflict when it has ended.
    """
    row = _locked(connection, tenant_id, job_id, user)
    if row.state in ENDED:
        raise Conflict(f"job {job_id} is {row.state} already; there is nothing to cancel")
    at = clock(connection)
    alive = row.state == "running" and row.lease_until is not None and row.lease_until >= at
    if not alive:
        end(connection, job_id, "cancelled", at, error=None)
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(cancel_asked_at=row.cancel_asked_at or at))
    record_audit(connection, tenant_id, actor=actor, action="job cancel", subject=str(job_id), detail={})
    return get(connection, tenant_id, job_id)


def retry(connection: Connection, tenant_id: int, job_id: int, *, actor: str, user: str | None = None) -> Job:
    """Queue a job that failed or was cancelled once more. Files that went in stay accounted for as they are; those that
    failed or were skipped are judged anew.

    Raises NotFound, or Conflict when it has not failed, or when what was uploaded for it is gone.
    """
    row = _locked(connection, tenant_id, job_id, user)
    if row.state not in ("failed", "cancelled"):
        raise Conflict(f"job {job_id} is {row.state}; only one that failed or was cancelled can be tried again")
    if row.payload.get("uploads") and not connection.scalar(select(exists().where(job_inputs.c.job_id == job_id))):
        raise Conflict(f"the files of job {job_id} were removed {KEPT_DAYS} days after it ended; upload them again")
    connection.execute(
        delete(job_items).where(job_items.c.job_id == job_id, job_items.c.state.in_(("failed", "skipped")))
    )
    counts = {state: number for state, number in advance_of(row).counts.items() if state not in ("failed", "skipped")}
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            state="queued",
            progress=advance_json(Advance(counts=counts)),
            result=None,
            error=None,
            attempts=0,
            cancel_asked_at=None,
            started_at=None,
            finished_at=None,
        )
    )
    record_audit(connection, tenant_id, actor=actor, action="job retry", subject=str(job_id), detail={})
    return get(connection, tenant_id, job_id)


def _locked(connection: Connection, tenant_id: int, job_id: int, user: str | None) -> Row[Any]:
    row = connection.execute(
        select(jobs).where(jobs.c.id == job_id, *_seen(tenant_id, user)).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound(f"no job {job_id}; `rag jobs list` shows them")
    return row


def end(
    connection: Connection,
    job_id: int,
    state: State,
    at: datetime,
    *,
    error: str | None,
    result: Metadata | None = None,
) -> None:
    values = {"state": state, "error": error, "result": result, "finished_at": at}
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(lease_owner=None, lease_until=None, **values))


def forget_uploads(connection: Connection) -> int:
    """Drop what was uploaded for jobs that failed or were cancelled KEPT_DAYS ago; how many files that were."""
    before = clock(connection) - timedelta(days=KEPT_DAYS)
    old = select(jobs.c.id).where(jobs.c.state.in_(("failed", "cancelled")), jobs.c.finished_at < before)
    return connection.execute(delete(job_inputs).where(job_inputs.c.job_id.in_(old))).rowcount


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def get(connection: Connection, tenant_id: int, job_id: int, *, user: str | None = None) -> Job:
    """One job; with `user` only if it is theirs. Raises NotFound."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id, *_seen(tenant_id, user))).one_or_none()
    if row is None:
        raise NotFound(f"no job {job_id}; `rag jobs list` shows them")
    return _job(row)


def listing(
    connection: Connection,
    tenant_id: int,
    *,
    limit: int,
    before: int | None = None,
    state: State | None = None,
    user: str | None = None,
) -> list[Job]:
    """Jobs, the newest first, from behind the id `before` on."""
    where = _seen(tenant_id, user)
    if before is not None:
        where.append(jobs.c.id < before)
    if state is not None:
        where.append(jobs.c.state == state)
    return [_job(row) for row in connection.execute(select(jobs).where(*where).order_by(jobs.c.id.desc()).limit(limit))]


def items(
    connection: Connection, job_id: int, *, limit: int, after: int = 0, state: FileState | None = None
) -> list[Item]:
    """What became of the files of a job, in the order in which that became known, from behind the id `after` on."""
    columns = job_items.c
    where = [columns.job_id == job_id, columns.id > after]
    if state is not None:
        where.append(columns.state == state)
    query = select(columns.id, columns.uri, columns.state, columns.reason, columns.documents, columns.created_at)
    return [Item(*row) for row in connection.execute(query.where(*where).order_by(columns.id).limit(limit))]


def upload_ids(connection: Connection, job_id: int) -> list[int]:
    """Of what was uploaded for a job, in the order in which it came."""
    return list(
        connection.scalars(select(job_inputs.c.id).where(job_inputs.c.job_id == job_id).order_by(job_inputs.c.id))
    )


def upload(connection: Connection, upload_id: int) -> Upload:
    """One uploaded file. Raises NotFound when its job has ended meanwhile."""
    columns = job_inputs.c
    query = select(columns.uri, columns.media_type, columns.content, columns.title, columns.external_id)
    row = connection.execute(query.where(columns.id == upload_id)).one_or_none()
    if row is None:
        raise NotFound(f"no upload {upload_id}: its job has ended")
    return Upload(*row)


def unfinished(connection: Connection, tenant_id: int) -> dict[str, int]:
    """How many jobs wait, and how many run."""
    query = select(jobs.c.state, func.count()).where(jobs.c.state.in_(("queued", "running")), *_seen(tenant_id, None))
    found = {row[0]: int(row[1]) for row in connection.execute(query.group_by(jobs.c.state))}
    return {state: found.get(state, 0) for state in ("queued", "running")}


def _seen(tenant_id: int, user: str | None) -> list[ColumnElement[bool]]:
    found = [jobs.c.tenant_id == tenant_id]
    return found if user is None else [*found, jobs.c.user == user]


def _job(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        tenant_id=row.tenant_id,
        kind=row.kind,
        state=row.state,
        user=row.user,
        collection=row.collection,
        payload=row.payload,
        progress=advance_of(row),
        result=row.result,
        error=row.error,
        attempts=row.attempts,
        worker=row.lease_owner,
        cancel_asked_at=row.cancel_asked_at,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


# ── progress as JSON ────────────────────────────────────────────────────────────────────────────────────────────────


def advance_of(row: Row[Any]) -> Advance:
    return Advance(**row.progress)


def advance_json(advance: Advance) -> dict[str, object]:
    return {
        "done": advance.done,
        "total": advance.total,
        "documents": advance.documents,
        "uri": advance.uri,
        "counts": dict(advance.counts),
    }
