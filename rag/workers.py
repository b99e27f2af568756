"""Workers claim jobs from the queue, keep their leases alive, and end well when they are told to stop. Between two jobs
they let new interactions into the review queues, and tidy up.

Several threads, processes and machines may work on one queue: SQL gives each job to one of them (rag.store.leases).
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rag.app import App
from rag.corpus import Progress
from rag.errors import NotReady, RagError
from rag.jobs import KINDS, Kind, Task, Unfinished
from rag.reviews import filling as reviewing
from rag.store import jobs as job_store
from rag.store import leases
from rag.store.jobs import Advance, Job
from rag.store.leases import Lease, LeaseLost
from rag.store.log import forgetting

log = logging.getLogger(__name__)

PACE_S = 1.0  # between two looks at an empty queue
TOLD_S = 0.5  # between two words on how far a job is
TIDY_S = 3600.0  # between two removals of uploads that nobody needs any more, and of what the log need not keep
FORGOTTEN = 2000  # interactions that are deleted between two looks at the queue


# ── one job at a time ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Pulse:
    """What the thread that renews a lease and the thread that works tell each other."""

    over: threading.Event = field(default_factory=threading.Event)
    lost: bool = False
    cancelled: bool = False


class Worker:
    """Does one job at a time. Share one between threads to do several: no two of them then work on one collection,
    which would only wait for each other."""

    def __init__(
        self,
        app: App,
        kinds: Mapping[str, Kind] = KINDS,
        *,
        lease_s: float | None = None,
        told: Callable[[Job], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._kinds = kinds
        self._told = told  # given every job that it has done, or not done
        self._lease_s = app.settings.job_lease_s if lease_s is None else lease_s
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._claiming = threading.Lock()
        self._busy: set[tuple[int, str]] = set()  # collections, by tenant and name
        self._tidied = -TIDY_S
        self._filling = threading.Lock()
        self._filled = -reviewing.FRESH_S

    def run_one(self, stop: threading.Event | None = None) -> Job | None:
        """Do the oldest job that is free and return how it stands then; None when there was none.

        When `stop` is set, the batch at hand is finished and the job given back.
        """
        claimed = self._claim()
        if claimed is None:
            return None
        job, lease = claimed
        try:
            self._do(job, lease, stop or threading.Event())
        finally:
            with self._claiming:
                self._busy.discard(_place(job))
        with self._app.database.read() as connection:
            job = job_store.get(connection, job.tenant_id, job.id)
        self._told(job)
        return job

    def run_forever(self, stop: threading.Event, *, until_empty: bool = False) -> None:
        """Do jobs, and keep review queues filled, until `stop` is set (with `until_empty`, also until no job is free).
        What fails here (the database is away, say) is logged and tried again after a while."""
        while not stop.is_set():
            try:
                self._fill_queues(stop)
                if self.run_one(stop) is not None:
                    continue
                self._tidy()
            except Exception:
                if until_empty:
                    raise
                log.exception("the queue could not be read; the next look is in %.0f s", PACE_S)
            if until_empty:
                return
            stop.wait(PACE_S)

    def _claim(self) -> tuple[Job, Lease] | None:
        database, kinds = self._app.database, sorted(self._kinds)
        with database.read() as connection:
            if not leases.waiting(connection, kinds):
                return None
        with self._claiming:
            with database.write() as connection:
                found = leases.claim(
                    connection, kinds, worker=self._name, lease_s=self._lease_s, busy=sorted(self._busy)
                )
            if found is not None:
                self._busy.add(_place(found[0]))
        return found

    def _do(self, job: Job, lease: Lease, stop: threading.Event) -> None:
        pulse = _Pulse()
        task = Task(
            self._app,
            job,
            progress=self._step(lease, pulse),
            record=lambda connection, outcomes: leases.record(connection, lease, outcomes),
            stopping=lambda: pulse.lost or pulse.cancelled or stop.is_set(),
        )
        try:
            with self._renewed(lease, pulse):
                result = self._kinds[job.kind](task)
            with self._app.database.write() as connection:
                leases.finish(connection, lease, result)
        except LeaseLost as error:
            log.warning("%s; nothing of the unfinished batch was kept", error)
        except Exception as error:
            self._not_done(lease, error, cancelled=pulse.cancelled)

    def _not_done(self, lease: Lease, error: Exception, *, cancelled: bool) -> None:
        """Write down why a job was not done. When not even that can be written, its lease runs out."""
        try:
            with self._app.database.write() as connection:
                if isinstance(error, Unfinished):
                    (leases.cancel if cancelled else leases.give_back)(connection, lease)
                elif isinstance(error, RagError) and not isinstance(error, NotReady):
                    leases.fail(connection, lease, str(error))
                else:
                    leases.put_off(connection, lease, str(error) or type(error).__name__)
        except LeaseLost as lost:
            log.warning("%s", lost)
        if not isinstance(error, Unfinished | RagError):
            log.error("a fault of the program stopped job %d; it is tried again", lease.job_id, exc_info=error)

    def _step(self, lease: Lease, pulse: _Pulse) -> Callable[[Progress], None]:
        """Say how far the job is, every half second or so; hear whether its end was asked for."""
        told = 0.0

        def step(now: Progress) -> None:
            nonlocal told
            if pulse.lost:
                raise LeaseLost(f"the lease on job {lease.job_id} has ended")
            if now.sources_done != now.sources and time.monotonic() - told < TOLD_S:
                return
            advance = Advance(now.sources_done, now.sources, now.documents, now.uri)
            with self._app.database.write() as connection:
                pulse.cancelled |= leases.renew(connection, lease, advance)
            told = time.monotonic()

        return step

    @contextmanager
    def _renewed(self, lease: Lease, pulse: _Pulse) -> Iterator[None]:
        """Keep a lease alive while the block runs, however long one file takes."""

        def beat() -> None:
            while not pulse.over.wait(lease.seconds / 3):
                try:
                    with self._app.database.write() as connection:
                        pulse.cancelled |= leases.renew(connection, lease)
                except LeaseLost:
                    pulse.lost = True
                    return
                except Exception:
                    log.exception("the lease on job %d could not be renewed; trying again", lease.job_id)

        thread = threading.Thread(target=beat, name=f"lease of job {lease.job_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            pulse.over.set()
            thread.join()

    def _fill_queues(self, stop: threading.Event) -> None:
        """Let new interactions into the review queues, every half minute; one thread does it, the others go on."""
        if time.monotonic() - self._filled < reviewing.FRESH_S or not self._filling.acquire(blocking=False):
            return
        try:
            reviewing.keep_filled(self._app.database, cancel=stop)
            self._filled = time.monotonic()
        finally:
            self._filling.release()

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied >= TIDY_S:
            with self._app.database.write() as connection:
                job_store.forget_uploads(connection)
            if self._forget() < FORGOTTEN:  # else there are more: the next look goes on
                self._tidied = time.monotonic()

    def _forget(self) -> int:
        """Delete what the log need not keep any longer, some of it; how many interactions."""
        days = self._app.settings.log_retention_days
        return 0 if days == 0 else forgetting.prune_all(self._app.database, days, actor=self._name, at_most=FORGOTTEN)


def _place(job: Job) -> tuple[int, str]:
    return job.tenant_id, job.collection or ""


# ── several at once ─────────────────────────────────────────────────────────────────────────────────────────────────


class Crew:
    """Threads that share a worker."""

    def __init__(self, worker: Worker, size: int, *, until_empty: bool = False) -> None:
        self._stop = threading.Event()
        self._failure: Exception | None = None

        def run() -> None:
            try:
                worker.run_forever(self._stop, until_empty=until_empty)
            except Exception as error:
                self._failure = error
                self._stop.set()

        self._threads = [threading.Thread(target=run, name=f"jobs {n}", daemon=True) for n in range(size)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def ask_stop(self) -> None:
        """Tell the threads to finish the batch they are at and give their jobs back."""
        self._stop.set()

    def join(self) -> None:
        """Return when all threads have ended; raises what one of them failed with."""
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        self.ask_stop()
        self.join()
