"""Ten jobs over three workers of which one after the other is killed: every file is done exactly once.

Victims hold a job that is half done, so every kill lands where it could hurt. The checks are shown red first: on a
queue whose fence was taken out, and on one that lets a second attempt overwrite what the first one told.
"""

import io
import json
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from rag.app import App, opening
from rag.cli import run
from rag.config import load
from rag.corpus import Origin
from rag.jobs import ask_paths
from rag.store import jobs as store
from rag.store.tables import chunks, collections, contents, documents, jobs
from tests.api import until
from tests.cli_house import environment
from tests.forking import Forked, Forking

JOBS = 10
WORKERS = 3
KILLS = 6
OWN_FILES = 12  # of each job
SHARED_FILES = 6  # of all the jobs of a collection
COLLECTIONS = ("red", "green", "blue")
LEASE_S = 2.0
TOGETHER_S = 150.0  # far more than it takes; what does not end by then hangs

READ = """
import alembic.command, filelock, pathspec, psutil, psycopg, sqlalchemy.dialects.sqlite, sqlite3
import rag.cli.worker, rag.embedders.hashing, rag.indexes.snapshots, rag.rankings.wrapped
import rag.vectors.faiss, rag.workers
"""

# A worker that does something to itself when it is about to write its n-th batch, and whose queue may be broken.
WORKER = """
import os, signal, sys
act, left, broken = getattr(signal, sys.argv[1]), int(sys.argv[2]), sys.argv[3]
from sqlalchemy import delete, select
from rag.embedders import hashing
from rag.store import leases
from rag.store.tables import job_items, jobs
kind = hashing.Hashing
embed, record = kind.embed_passages, leases.record
def about_to_write(self, texts):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), act)
    return embed(self, texts)
kind.embed_passages = about_to_write
def last_wins(connection, lease, outcomes):
    mine = job_items.c.uri.in_([outcome.uri for outcome in outcomes])
    connection.execute(delete(job_items).where(job_items.c.job_id == lease.job_id, mine))
    record(connection, lease, outcomes)
if broken == "fence":
    leases.held = lambda connection, lease: connection.execute(select(jobs).where(jobs.c.id == lease.job_id)).one()
if broken == "outcomes":
    leases.record = last_wins
from rag.cli import main
sys.argv = ["rag", "worker", *sys.argv[4:]]
main()
"""


@dataclass(frozen=True)
class Asked:
    """A job: which files into which collection."""

    id: int
    collection: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class House:
    """An installation on the database that is tested."""

    data: Path
    database: str
    forking: Forking

    @property
    def variables(self) -> dict[str, str]:
        """What the command line is told; short leases and small chunks, so that a job takes several transactions."""
        return {
            "RAG_DATA": str(self.data),
            "RAG_DATABASE": self.database,
            "RAG_EMBEDDER": "hashing:64",
            "RAG_CHUNK_TOKENS": "32",
            "RAG_JOB_LEASE_S": str(LEASE_S),
            "RAG_PARSE_PROCESSES": "1",
        }

    @property
    def environment(self) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
        return outside | self.variables | {"OMP_NUM_THREADS": "1"}

    @contextmanager
    def open(self) -> Iterator[App]:
        with opening(load({}, self.variables).settings, create=True) as app:
            yield app

    def worker(self, *arguments: str) -> Forked:
        return self.forking.start(["-m", "rag", "worker", *arguments], env=self.environment)

    def special(self, act: str, nth: int, broken: str) -> Forked:
        """A worker that stops or kills itself when it is about to write its n-th batch."""
        # A lease that needs no renewal: one that stands still while it renews would hold SQLite's write lock.
        environment = self.environment | {"RAG_JOB_LEASE_S": "3600"}
        return self.forking.start(["-c", WORKER, act, str(nth), broken, "--once"], env=environment)


@pytest.fixture(scope="module")
def forking() -> Iterator[Forking]:
    """A process that has read what workers need: each of them is forked from it."""
    opened = Forking(READ)
    yield opened
    opened.close()


def write_files(folder: Path, number: int, seed: int) -> tuple[Path, ...]:
    """Small texts of forty paragraphs of made-up words; every seventh says what the one before it says."""
    folder.mkdir(parents=True)
    files = []
    for n in range(number):
        told = n - 1 if n % 7 == 6 else n
        words = random.Random(seed * 1000 + told)
        paragraphs = [" ".join(f"w{words.randrange(10**5)}" for _ in range(12)) + "." for _ in range(40)]
        files.append(folder / f"{n:02d}.txt")
        files[-1].write_text("\n\n".join(paragraphs))
    return tuple(files)


def ask_all(house: House, folder: Path) -> list[Asked]:
    shared = {name: write_files(folder / name, SHARED_FILES, seed=100 + n) for n, name in enumerate(COLLECTIONS)}
    asked = []
    with house.open() as app:
        local = app.local()
        for n in range(JOBS):
            collection = COLLECTIONS[n % len(COLLECTIONS)]
            own = write_files(folder / f"job{n}", OWN_FILES, seed=n)
            with app.database.write() as connection:
                paths = [own[0].parent, folder / collection]
                job = ask_paths(connection, local, collection, paths, metadata={})
            asked.append(Asked(job.id, collection, own + shared[collection]))
    return asked


# ── what must hold afterwards ───────────────────────────────────────────────────────────────────────────────────────


def alive(app: App) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Documents and chunks of all collections, without ids or positions."""
    with app.database.read() as connection:
        places = connection.execute(
            select(collections.c.name, documents.c.uri, contents.c.text)
            .join(collections, collections.c.id == documents.c.collection_id)
            .join(contents, contents.c.id == documents.c.content_id)
            .where(documents.c.removed_position.is_(None))
        ).all()
        pieces = connection.execute(
            select(collections.c.name, contents.c.text, chunks.c.ordinal, chunks.c.start, chunks.c.end)
            .join(collections, collections.c.id == chunks.c.collection_id)
            .join(contents, contents.c.id == chunks.c.content_id)
            .where(chunks.c.removed_position.is_(None))
        ).all()
    return sorted(map(tuple, places)), sorted(map(tuple, pieces))


def undisturbed(house: House, tmp_path: Path, asked: Sequence[Asked]) -> tuple[object, object]:
    """What an ingest of the same files that nobody disturbed leaves."""
    house = replace(house, data=tmp_path / "undisturbed", database="")
    with house.open() as app:
        for job in asked:
            report = app.corpus(job.collection).add_paths(job.files, Origin("local"), max_bytes=2**20)
            assert report.failed == 0
        return alive(app)


def problems(house: House, asked: Sequence[Asked], expected: tuple[object, object]) -> list[str]:
    """What is wrong after all jobs have ended; nothing, if every file was done exactly once."""
    found: list[str] = []
    with house.open() as app:
        tenant = app.tenant_id
        wrote: Counter[tuple[str, str]] = Counter()
        for job in asked:
            with app.database.read() as connection:
                ended = store.get(connection, tenant, job.id)
                items = store.items(connection, job.id, limit=10**6)
            if ended.state != "done" or ended.error is not None:
                found.append(f"job {job.id} is {ended.state}: {ended.error}")
            if sorted(item.uri for item in items) != sorted(file.as_uri() for file in job.files):
                found.append(f"job {job.id} does not tell of each of its files once")
            if dict(ended.progress.counts) != Counter(item.state for item in items):
                found.append(f"job {job.id} counts its files wrongly")
            wrote.update((job.collection, item.uri) for item in items if item.state in ("added", "duplicate"))
        every = {(job.collection, file.as_uri()) for job in asked for file in job.files}
        found += [f"{place} was written {wrote[place]} times" for place in sorted(every) if wrote[place] != 1]
        with app.database.read() as connection:
            ever = connection.execute(
                select(collections.c.name, documents.c.uri).join(
                    collections, collections.c.id == documents.c.collection_id
                )
            ).all()
        if sorted(map(tuple, ever)) != sorted(every):
            found.append("some document was written twice, or never")
        if alive(app) != expected:
            found.append("the contents are not those of an undisturbed ingest")
    out = io.StringIO()
    with environment(house.variables), redirect_stdout(out):
        run(["doctor", "--json"])
    if not json.loads(out.getvalue())["ok"]:
        found.append(f"not healthy: {out.getvalue()}")
    return found


# ── ten jobs over three workers ─────────────────────────────────────────────────────────────────────────────────────


def standing(app: App) -> dict[str, int]:
    with app.database.read() as connection:
        return Counter(connection.scalars(select(jobs.c.state)))


def victim(app: App, workers: Mapping[int, object]) -> int | None:
    """The process of a worker whose job is half done."""
    with app.database.read() as connection:
        rows = connection.execute(
            select(jobs.c.lease_owner, jobs.c.progress).where(jobs.c.state == "running").order_by(jobs.c.id)
        ).all()
    for owner, progress in rows:
        pid = int(owner.split(":")[1])
        if pid in workers and 0 < sum(progress["counts"].values()) < OWN_FILES + SHARED_FILES:
            return pid
    return None


@pytest.mark.usefixtures("database")
def test_ten_jobs_over_three_workers_that_are_killed(tmp_path: Path, forking: Forking, database_url: str) -> None:
    house = House(tmp_path / "data", database_url, forking)
    asked = ask_all(house, tmp_path / "docs")
    expected = undisturbed(house, tmp_path, asked)
    workers = {worker.pid: worker for worker in (house.worker() for _ in range(WORKERS))}
    killed, pause = 0, threading.Event()
    try:
        with house.open() as app:
            for _ in until("all jobs have ended", TOGETHER_S):
                if not standing(app).keys() & {"queued", "running"}:
                    break
                pid = victim(app, workers) if killed < KILLS else None
                if pid is not None:
                    worker = workers.pop(pid)
                    worker.kill()
                    assert worker.wait() == -signal.SIGKILL, "it had ended by itself"
                    killed += 1
                    replacement = house.worker()
                    workers[replacement.pid] = replacement
                pause.wait(0.05)
        for worker in workers.values():
            worker.send_signal(signal.SIGTERM)
        assert {worker.wait(timeout=60) for worker in workers.values()} == {0}
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    assert killed >= WORKERS, "too few kills to prove anything"
    assert problems(house, asked, expected) == []


# ── the checks see what they are for ────────────────────────────────────────────────────────────────────────────────


def ask_one(house: House, folder: Path) -> list[Asked]:
    files = write_files(folder, OWN_FILES + SHARED_FILES, seed=1)
    with house.open() as app:
        local = app.local()
        with app.database.write() as connection:
            job = ask_paths(connection, local, "red", [folder], metadata={})
    return [Asked(job.id, "red", files)]


def lapse(house: House) -> None:
    """As if the time of the lease were over."""
    with house.open() as app, app.database.write() as connection:
        long_ago = store.clock(connection) - timedelta(seconds=1)
        assert connection.execute(update(jobs).values(lease_until=long_ago)).rowcount == 1


@pytest.mark.parametrize("broken", ["outcomes", "sound"])
def test_the_attempt_after_a_kill_overwrites_no_outcome(tmp_path: Path, forking: Forking, broken: str) -> None:
    house = House(tmp_path / "data", "", forking)
    asked = ask_one(house, tmp_path / "docs")
    assert house.special("SIGKILL", 2, broken).wait(timeout=60) == -signal.SIGKILL
    lapse(house)
    assert house.special("SIGKILL", 10**6, broken).wait(timeout=60) == 0
    found = problems(house, asked, undisturbed(house, tmp_path, asked))
    assert (found == []) == (broken == "sound"), found
    if broken == "outcomes":
        assert any("was written 0 times" in problem for problem in found)


@pytest.mark.parametrize("broken", ["fence", "sound"])
def test_a_worker_that_was_thought_dead_writes_nothing(tmp_path: Path, forking: Forking, broken: str) -> None:
    """It stands still when it is about to write its second batch; meanwhile a file of that batch changes and another
    worker does the job. What it then holds is old, and must not go over what is new."""
    house = House(tmp_path / "data", "", forking)
    asked = ask_one(house, tmp_path / "docs")
    slow = house.special("SIGSTOP", 2, broken)
    try:
        assert slow.stands_still()
        for file in asked[0].files:
            file.write_text(file.read_text() + "\n\nNow it says more.")
        lapse(house)
        assert house.worker("--once").wait(timeout=60) == 0
        slow.send_signal(signal.SIGCONT)
        assert slow.wait(timeout=60) == 0
    finally:
        slow.kill()
        slow.wait()
    with house.open() as app:
        now = alive(app)
    assert (now == undisturbed(house, tmp_path, asked)) == (broken == "sound")
