"""Sources are read by child processes: in order, several at once, within limits, whatever the sources do to them.

Each child has a thread here that gives it tasks, watches it and gathers what it sends. What was gathered and is not
taken yet is bounded: beyond BUFFER_BYTES the children wait. A child that dies takes nothing but its source with it.
"""

import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from signal import SIGKILL
from threading import Condition, Thread

from ingest.errors import Damaged, IngestError, Unreadable
from ingest.reading.child import BEGUN, ENDED, ITEM, WORKING, Ended, Setup, unfold
from ingest.reading.limits import Limits, over_memory, over_patience, over_time
from ingest.reading.prepare import Begun, Item, Sign, Task, Work, prepare
from ingest.reading.process import Died, Process
from ingest.types import CountTokens

__all__ = ["BUFFER_BYTES", "Pool", "Result"]

BUFFER_BYTES = 32 << 20  # of documents that wait to be taken, in one run; a single larger one is held alone
AHEAD = 256  # tasks that are taken in before their turn: as many documents as go into one transaction
ITEM_BYTES = 1024  # what an item takes here besides its bytes
IDLE_S = 60.0  # a child without work ends after this

Wanted = Callable[[Task, Begun], bool]
"""Whether a source is to be prepared, now that its bytes are known. Called from threads of the pool."""


@dataclass(slots=True, eq=False)
class _Job:
    """A task on its way. All fields are guarded by the pool's condition."""

    task: Task
    run: "_Run"
    begun: Begun | None = None
    wanted: bool = True
    frames: deque[bytes] = field(default_factory=deque)
    received: int = 0  # items, over all attempts; a second attempt gives those first ones again
    ended: bool = False
    error: IngestError | None = None
    fault: BaseException | None = None  # no fault of the source: to be raised to whoever runs the pool
    passed: bool = False


@dataclass(slots=True, eq=False)
class _Run:
    wanted: Wanted | None
    jobs: deque[_Job] = field(default_factory=deque)  # in the order of tasks; the first is being taken
    held_bytes: int = 0
    cancelled: bool = False


class Result:
    """What became of one task."""

    def __init__(self, pool: "Pool", job: _Job) -> None:
        self._pool, self._job = pool, job
        self.task = job.task

    @property
    def content_hash(self) -> bytes | None:
        """BLAKE2b of the bytes as they were read, 32 bytes, without a key; None where they could not be read."""
        return self._job.begun.content_hash if self._job.begun else None

    @property
    def media_type(self) -> str:
        return self._job.begun.media_type if self._job.begun else ""

    @property
    def wanted(self) -> bool:
        """False where the source was left alone because `wanted` said so; it then has no items."""
        return self._job.wanted

    @property
    def items(self) -> Iterator[Item]:
        """Its documents in order, as they come; each is given once."""
        while (frame := self._pool._take(self._job)) is not None:
            yield unfold(frame)

    @property
    def error(self) -> IngestError | None:
        """Why the source could not be read, or not to its end; known behind its last item (RuntimeError before)."""
        if not self._job.ended or self._job.frames:
            raise RuntimeError(f"{self.task.uri}: take its items first; whether it is whole is known behind them")
        return self._job.error


class Pool:
    """Child processes that read sources. They start when there is work, and end with the pool or the process it is in.

    `make_counter`, `sign` and `work` are pickled by name: functions of modules, or functools.partial of such. Several
    threads may each have a run; they share the children.
    """

    def __init__(
        self,
        make_counter: Callable[[], CountTokens],
        *,
        processes: int,
        limits: Limits,
        recycle_after: int = 500,
        sign: Sign | None = None,
        work: Work = prepare,
    ) -> None:
        if processes < 1 or recycle_after < 1:
            raise ValueError("a pool needs at least one process, and each reads at least one source")
        self._setup = pickle.dumps(Setup(make_counter, sign, work, limits))
        if b"__main__" in self._setup:
            raise ValueError("what a pool is given must stand in a module that children can import, not in a script")
        self._processes, self._limits, self._recycle_after = processes, limits, recycle_after
        self._changed = Condition()
        self._queue: deque[_Job] = deque()
        self._readers: list[_Reader] = []
        self._idle = 0
        self._closed = False
        self.started = 0  # children, ever
        self.held_bytes = 0  # of documents that wait to be taken
        self.peak_bytes = 0  # the most memory that a child was seen to have

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children, at once; what they were reading is lost to nobody: it was not given out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for reader in self._readers:
            reader.join()

    def run(self, tasks: Iterable[Task], wanted: Wanted | None = None) -> Generator[Result, None, None]:
        """Do the tasks; results come in their order, and `tasks` is drawn from as there is room.

        Items that were not taken from a result are gone when the next one is asked for. Raises what `make_counter` and
        `wanted` raise, RuntimeError where no child can be started; what is wrong with a source is in its result.
        """
        run, source = _Run(wanted), iter(tasks)
        try:
            while self._fill(run, source):
                job = run.jobs[0]
                self._await_begun(job)
                yield Result(self, job)
                self._pass(job)
        finally:
            with self._changed:
                run.cancelled = True
                self.held_bytes -= run.held_bytes
                self._queue = deque(job for job in self._queue if job.run is not run)
                self._changed.notify_all()

    # ── the side that takes ─────────────────────────────────────────────────────────────────────────────────────────

    def _fill(self, run: _Run, source: Iterator[Task]) -> bool:
        """Take in tasks while there is room. False when none is left."""
        while len(run.jobs) < AHEAD and (task := next(source, None)) is not None:
            job = _Job(task, run)
            with self._changed:
                if self._closed:
                    raise RuntimeError("this pool is closed")
                run.jobs.append(job)
                self._queue.append(job)
                if self._idle < len(self._queue) and len(self._readers) < self._processes:
                    self._readers.append(_Reader(self, len(self._readers)))
                    self._readers[-1].start()
                self._changed.notify_all()
        return bool(run.jobs)

    def _await_begun(self, job: _Job) -> None:
        with self._changed:
            self._changed.wait_for(lambda: job.begun or job.ended or self._closed)
            self._check(job)

    def _take(self, job: _Job) -> bytes | None:
        with self._changed:
            if job.passed:
                raise RuntimeError(f"{job.task.uri}: its items were passed over; take them before the next result")
            self._changed.wait_for(lambda: job.frames or job.ended or self._closed)
            self._check(job)
            if not job.frames:
                return None
            frame = job.frames.popleft()
            job.run.held_bytes -= len(frame) + ITEM_BYTES
            self.held_bytes -= len(frame) + ITEM_BYTES
            self._changed.notify_all()
            return frame

    def _check(self, job: _Job) -> None:
        if job.fault is not None:
            raise job.fault
        if self._closed and not job.ended:
            raise RuntimeError("this pool was closed")

    def _pass(self, job: _Job) -> None:
        """Go on to the next job."""
        while self._take(job) is not None:
            pass
        with self._changed:
            job.passed = True
            job.run.jobs.popleft()
            self._changed.notify_all()

    # ── the side that gives ─────────────────────────────────────────────────────────────────────────────────────────

    def _next(self, timeout_s: float | None) -> _Job | None:
        """The next job to do; None when there is none within the timeout, or ever."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._queue or self._closed, timeout=timeout_s)
            self._idle -= 1
            return self._queue.popleft() if self._queue and not self._closed else None

    def _begin(self, job: _Job, begun: Begun) -> bool:
        """The bytes of a job are known. Returns whether it is to go on.

        Raises Unreadable when they are not those of the first attempt.
        """
        if job.begun is not None:
            if job.begun != begun:
                raise Unreadable(f"{job.task.uri}: it was changed while it was read; add it again")
            return True
        wanted = job.run.wanted is None or job.run.wanted(job.task, begun)
        with self._changed:
            job.begun, job.wanted = begun, wanted
            self._changed.notify_all()
        return wanted

    def _admit(self, job: _Job, size: int) -> bool:
        """Wait until there is room for an item. False when it is not wanted any longer."""
        run, size = job.run, size + ITEM_BYTES
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    run.held_bytes + size <= BUFFER_BYTES
                    or (run.jobs and run.jobs[0] is job and not job.frames)  # else it would wait for its own successors
                    or run.cancelled
                    or self._closed
                )
            )
            if run.cancelled or self._closed:
                return False
            run.held_bytes += size
            self.held_bytes += size
            return True

    def _give(self, job: _Job, frame: bytes) -> None:
        with self._changed:
            job.frames.append(frame)
            job.received += 1
            self._changed.notify_all()

    def _end(self, job: _Job, error: IngestError | None = None, fault: BaseException | None = None) -> None:
        with self._changed:
            job.error, job.fault, job.ended = error, fault, True
            self._changed.notify_all()


class _Reader(Thread):
    """The thread of one child, and of those that follow it."""

    def __init__(self, pool: Pool, number: int) -> None:
        super().__init__(name=f"read-{number}", daemon=True)
        self._pool = pool
        self._process: Process | None = None

    def run(self) -> None:
        pool = self._pool
        try:
            while not pool._closed:
                job = pool._next(IDLE_S if self._process else None)
                if job is None:
                    self._drop()
                    continue
                try:
                    self._read(job)
                except BaseException as error:  # whoever waits for the job has to hear of it
                    self._drop()
                    pool._end(job, fault=error)
        finally:
            self._drop()

    def _read(self, job: _Job) -> None:
        """Do a job; a second time, in a new child, where the first time need not have been the source's fault."""
        for attempt in (1, 2):
            blameless = self._process is None  # a new child has nothing left over from other sources
            try:
                process = self._child_for(job)
                ended = self._attempt(process, job)
            except Died as died:
                self._drop()
                if died.cause == "stopped":  # never an end without an error: what came so far is not the whole source
                    self._pool._end(job, fault=RuntimeError("this pool was closed, or its run was left"))
                    return
                again = died.cause == "crash" or (died.cause == "memory" and not blameless)
                error: IngestError | None = self._reason(job, died)
            except IngestError as raised:
                self._drop()
                again, error = False, raised
            else:
                again, error = ended.out_of_memory and not blameless, ended.error
                self._recycle(process, ended)
            if not again or attempt == 2:
                self._pool._end(job, error)
                return

    def _attempt(self, process: Process, job: _Job) -> Ended:
        """Raises Died, Unreadable, and what `wanted` raises."""
        process.send(job.task)
        number = 0
        while True:
            kind, size = process.head()
            process.wait_for(self._pool._limits.seconds)
            if kind == BEGUN:
                process.send(self._pool._begin(job, pickle.loads(process.body(size))))
            elif kind == WORKING:
                process.wait_for(pickle.loads(process.body(size)).seconds)
            elif kind == ITEM:
                number += 1
                known = number <= job.received
                if not known and not self._pool._admit(job, size):
                    raise Died("stopped")
                frame = process.body(size)
                if not known:
                    self._pool._give(job, frame)
            elif kind == ENDED:
                ended: Ended = pickle.loads(process.body(size))
                return ended
            else:
                raise process.crashed()

    def _child_for(self, job: _Job) -> Process:
        """The child to use for a job."""
        pool = self._pool

        def stop() -> bool:
            return pool._closed or job.run.cancelled

        if self._process is None:
            try:
                self._process = Process(pool._setup, pool._limits, stop)
            except RuntimeError:  # a moment without memory, perhaps
                self._process = Process(pool._setup, pool._limits, stop)
            pool.started += 1
        self._process.watch(stop)
        self._process.served += 1
        return self._process

    def _recycle(self, process: Process, ended: Ended) -> None:
        """End a child that read enough, or that has lost half of its room to what it keeps."""
        process.peak_bytes = max(process.peak_bytes, ended.peak_bytes)
        self._pool.peak_bytes = max(self._pool.peak_bytes, process.peak_bytes)
        room = (self._pool._limits.memory_mb << 20) - process.ready_bytes
        grown = process.resident_bytes() - process.ready_bytes > room // 2
        if grown or ended.out_of_memory or process.served >= self._pool._recycle_after:
            self._drop()

    def _drop(self) -> None:
        if self._process is not None:
            self._process.end()
            self._pool.peak_bytes = max(self._pool.peak_bytes, self._process.peak_bytes)
            self._process = None

    def _reason(self, job: _Job, died: Died) -> IngestError:
        uri, limits = job.task.uri, self._pool._limits
        if died.cause == "memory":
            return over_memory(uri, limits)
        if died.cause == "time":
            return over_time(uri, limits)
        if died.cause == "patience":
            return over_patience(uri, limits)
        if died.status == -SIGKILL:
            return Unreadable(
                f"{uri}: the process that read it was killed from outside, twice; this machine may be short of memory: "
                "see to that, then add it again"
            )
        return Damaged(
            f"{uri}: its parser crashes ({died}): the file is damaged, or needs more than {limits.memory_mb:,} MB of "
            "memory; open it in its own program and save it again, or raise parse_memory_mb"
        )
