"""The queue and the worker: no job is done twice, none is lost, and who lost a lease writes nothing any more."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import func, select, update

from ingest import sources
from ingest.errors import Unreadable
from rag.app import App, opening
from rag.cli import jobs as jobs_cli
from rag.corpus import Arrival, Progress
from rag.errors import Conflict, NotFound, StoreNotReady, WrongUsage
from rag.jobs import Task, Unfinished, ask_arrivals, ask_paths, ingest
from rag.store import collections as collection_store
from rag.store import jobs as store
from rag.store import leases
from rag.store.database import Connection, Database
from rag.store.jobs import Advance, Job, Upload
from rag.store.leases import Lease, LeaseLost
from rag.store.tables import audit, documents, job_inputs, job_items, jobs, tenants
from rag.types import FileState, Metadata, Outcome, Principal
from rag.workers import Crew, Worker
from tests.api import OTTERS, TIDES, small

LEASE_S = 3600.0  # longer than any test: a lease ends when a test says so


@pytest.fixture
def tenant(database: Database) -> int:
    with database.write() as connection:
        return collection_store.ensure_tenant(connection)


@pytest.fixture
def app(tmp_path: Path, database_url: str) -> Iterator[App]:
    settings = small(tmp_path, database=database_url, job_lease_s=LEASE_S)
    with opening(settings, create=True) as opened:
        yield opened


def ask(database: Database, tenant: int, kind: str = "ingest", collection: str | None = "default") -> Job:
    with database.write() as connection:
        return store.enqueue(connection, tenant, kind, {}, user="ada", collection=collection)


def take(database: Database, *kinds: str, busy: tuple[tuple[int, str], ...] = ()) -> tuple[Job, Lease]:
    found = maybe(database, *kinds, busy=busy)
    assert found is not None
    return found


def maybe(database: Database, *kinds: str, busy: tuple[tuple[int, str], ...] = ()) -> tuple[Job, Lease] | None:
    with database.write() as connection:
        return leases.claim(connection, kinds or ("ingest",), worker="here:1", lease_s=LEASE_S, busy=busy)


def lapse(database: Database) -> None:
    """As if the leases of all running jobs had ended."""
    with database.write() as connection:
        long_ago = store.clock(connection) - timedelta(seconds=1)
        connection.execute(update(jobs).where(jobs.c.lease_until.is_not(None)).values(lease_until=long_ago))


def look(database: Database, job: Job) -> Job:
    with database.read() as connection:
        return store.get(connection, job.tenant_id, job.id)


def write(database: Database, lease: Lease, *outcomes: Outcome) -> None:
    with database.write() as connection:
        leases.record(connection, lease, outcomes)


def written(database: Database, job: Job) -> dict[str, str]:
    with database.read() as connection:
        return {item.uri: item.state for item in store.items(connection, job.id, limit=1000)}


# ── claims ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_eight_threads_never_claim_one_job_twice(database: Database, tenant: int) -> None:
    asked = [ask(database, tenant).id for _ in range(60)]
    together = threading.Barrier(8)

    def claiming(_: int) -> list[int]:
        together.wait()
        mine = []
        while (found := maybe(database)) is not None:
            mine.append(found[0].id)
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(claiming, range(8)))
    assert sorted(key for mine in claimed for key in mine) == asked
    for mine in claimed:
        assert mine == sorted(mine), "the oldest goes first"


def test_the_oldest_job_of_a_known_kind_goes_first(database: Database, tenant: int) -> None:
    other, first, second = ask(database, tenant, "other"), ask(database, tenant), ask(database, tenant)
    assert [take(database)[0].id, take(database)[0].id] == [first.id, second.id]
    assert maybe(database) is None
    assert take(database, "ingest", "other")[0].id == other.id


def test_the_jobs_of_a_busy_collection_are_left_to_others(database: Database, tenant: int) -> None:
    ask(database, tenant, collection="a")
    second, third = ask(database, tenant, collection="b"), ask(database, tenant, collection=None)
    busy = ((tenant, "a"),)
    assert [take(database, busy=busy)[0].id for _ in range(2)] == [second.id, third.id]
    assert maybe(database, busy=busy) is None
    assert maybe(database, busy=((tenant + 1, "a"),)) is not None


def test_a_claim_says_who_when_and_for_how_long(database: Database, tenant: int) -> None:
    asked = ask(database, tenant)
    assert (asked.state, asked.attempts, asked.started_at, asked.worker) == ("queued", 0, None, None)
    job, lease = take(database)
    assert (job.state, job.attempts, job.worker, job.user) == ("running", 1, lease.owner, "ada")
    assert lease.owner.startswith("here:1:")
    assert job.started_at is not None
    assert job.created_at <= job.started_at


# ── leases ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_whose_worker_is_gone_is_taken_over_and_the_old_worker_writes_nothing(
    database: Database, tenant: int
) -> None:
    ask(database, tenant)
    job, old = take(database)
    assert maybe(database) is None, "its lease holds"
    lapse(database)
    again, new = take(database)
    assert (again.id, again.attempts) == (job.id, 2)
    acts: list[Callable[[], object]] = [
        lambda: write(database, old, Outcome("file:///a", "added")),
        *(lambda act=act: _within(database, act, old) for act in (leases.renew, leases.give_back, leases.cancel)),
        lambda: _within(database, lambda c, lease: leases.finish(c, lease, {}), old),
        lambda: _within(database, lambda c, lease: leases.fail(c, lease, "x"), old),
        lambda: _within(database, lambda c, lease: leases.put_off(c, lease, "x"), old),
    ]
    for act in acts:
        with pytest.raises(LeaseLost, match=str(job.id)):
            act()
    assert written(database, job) == {}
    assert look(database, job) == again
    write(database, new, Outcome("file:///a", "added"))
    assert written(database, job) == {"file:///a": "added"}


def _within(database: Database, act: Callable[..., object], lease: Lease) -> None:
    with database.write() as connection:
        act(connection, lease)


def test_what_was_written_with_a_lost_lease_is_rolled_back(database: Database, tenant: int) -> None:
    """The fence stands inside the transaction that writes: everything of it goes, not only the items."""
    ask(database, tenant)
    _, old = take(database)
    lapse(database)
    take(database)

    def late(connection: Connection, lease: Lease) -> None:
        collection_store.ensure_tenant(connection, "written by the dead")
        leases.record(connection, lease, [Outcome("file:///a", "added")])

    with pytest.raises(LeaseLost):
        _within(database, late, old)
    with database.read() as connection:
        assert connection.scalars(select(tenants.c.name)).all() == ["default"]


def test_a_lease_that_ended_unnoticed_is_still_its_holders_until_somebody_takes_it(
    database: Database, tenant: int
) -> None:
    job = ask(database, tenant)
    _, lease = take(database)
    lapse(database)
    write(database, lease, Outcome("file:///a", "added"))
    with database.write() as connection:
        assert leases.renew(connection, lease) is False
    assert maybe(database) is None, "it was renewed"
    assert look(database, job).progress.counts == {"added": 1}


def test_a_takeover_waits_for_the_transaction_that_writes(database: Database, tenant: int) -> None:
    """Between the check of the lease and the commit nobody takes the job over: on PostgreSQL a claim passes it by, on
    SQLite it waits its turn."""
    job = ask(database, tenant)
    _, lease = take(database)
    lapse(database)
    with ThreadPoolExecutor(1) as pool:
        with database.write() as connection:
            leases.record(connection, lease, [Outcome("file:///a", "added")])
            taking = pool.submit(maybe, database)
            if not database.is_sqlite:
                assert taking.result() is None
        found = taking.result()
    assert (found is None) == (not database.is_sqlite)
    assert written(database, job) == {"file:///a": "added"}


def test_a_job_that_gets_no_further_is_given_up_and_says_so(database: Database, tenant: int) -> None:
    job = ask(database, tenant)
    for attempt in range(1, leases.MAX_ATTEMPTS + 1):
        assert take(database)[0].attempts == attempt
        lapse(database)
    assert maybe(database) is None
    found = look(database, job)
    assert found.state == "failed"
    assert found.error is not None
    assert "5 workers in a row" in found.error


def test_a_job_that_gets_further_each_time_is_never_given_up(database: Database, tenant: int) -> None:
    ask(database, tenant)
    for number in range(2 * leases.MAX_ATTEMPTS):
        job, lease = take(database)
        assert job.attempts <= 2
        write(database, lease, Outcome(f"file:///{number}", "added"))
        lapse(database)
    assert len(written(database, job)) == 2 * leases.MAX_ATTEMPTS


def test_an_attempt_that_failed_is_repeated_later_and_the_last_reason_is_told(database: Database, tenant: int) -> None:
    job = ask(database, tenant)
    for _ in range(leases.MAX_ATTEMPTS):
        _, lease = take(database)
        _within(database, lambda c, lease: leases.put_off(c, lease, "the disk is full"), lease)
        assert (look(database, job).state, look(database, job).error) == ("queued", "the disk is full")
        assert maybe(database) is None, "not at once"
        lapse(database)
    assert maybe(database) is None
    found = look(database, job)
    assert found.state == "failed"
    assert found.error is not None
    assert found.error.endswith("the disk is full")


def test_a_job_that_is_given_back_goes_on_at_once_and_the_attempt_does_not_count(
    database: Database, tenant: int
) -> None:
    ask(database, tenant)
    for _ in range(2 * leases.MAX_ATTEMPTS):
        job, lease = take(database)
        assert job.attempts == 1
        _within(database, leases.give_back, lease)


# ── what became of every file ───────────────────────────────────────────────────────────────────────────────────────


def test_the_first_outcome_of_a_file_stays_but_a_failure_may_turn_out_better(database: Database, tenant: int) -> None:
    job = ask(database, tenant)
    _, lease = take(database)
    write(
        database,
        lease,
        Outcome("file:///a", "added", documents=1),
        Outcome("file:///b", "failed", "locked"),
        Outcome("file:///c", "skipped", "no parser"),
        Outcome("file:///c", "failed", "torn"),  # one file, told of twice in one batch
        Outcome("file:///d", "duplicate", "of a"),
    )
    assert look(database, job).progress.counts == {"added": 1, "failed": 2, "duplicate": 1}
    lapse(database)
    _, lease = take(database)
    again = ("file:///a", "file:///b", "file:///c", "file:///d")
    write(database, lease, *(Outcome(uri, "unchanged") for uri in again))
    assert written(database, job) == {
        "file:///a": "added",
        "file:///b": "unchanged",
        "file:///c": "unchanged",
        "file:///d": "duplicate",
    }
    assert look(database, job).progress.counts == {"added": 1, "unchanged": 2, "duplicate": 1}
    write(database, lease, Outcome("file:///a", "failed", "gone meanwhile"))
    with database.read() as connection:
        first = store.items(connection, job.id, limit=1)[0]
    assert (first.state, first.reason, first.documents) == ("added", "", 1)


def test_items_come_in_pages_and_by_state(database: Database, tenant: int) -> None:
    job = ask(database, tenant)
    _, lease = take(database)
    write(database, lease, *(Outcome(f"file:///{n}", "failed" if n % 3 == 0 else "added") for n in range(10)))
    with database.read() as connection:
        first = store.items(connection, job.id, limit=6)
        rest = store.items(connection, job.id, limit=6, after=first[-1].id)
        failed = store.items(connection, job.id, limit=100, state="failed")
    assert [item.uri for item in first + rest] == [f"file:///{n}" for n in range(10)]
    assert [item.uri for item in failed] == ["file:///0", "file:///3", "file:///6", "file:///9"]


def test_progress_never_goes_back(database: Database, tenant: int) -> None:
    job = ask(database, tenant)
    _, lease = take(database)
    with database.write() as connection:
        leases.renew(connection, lease, Advance(7, 10, 20, "file:///7"))
    lapse(database)
    _, lease = take(database)
    with database.write() as connection:
        leases.renew(connection, lease, Advance(1, 11, 2, "file:///1"))
    assert look(database, job).progress == Advance(7, 11, 20, "file:///1")


def test_the_states_of_the_command_line_are_those_of_the_store() -> None:
    assert jobs_cli.STATES == store.STATES == get_args(store.State)
    assert get_args(FileState) == jobs_cli.FILE_STATES


# ── cancel and retry ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_asked(database: Database, tenant: int) -> None:
    waiting, running = ask(database, tenant), ask(database, tenant)
    with database.write() as connection:
        assert store.ask_cancel(connection, tenant, waiting.id, actor="ada").state == "cancelled"
    _, lease = take(database)
    with database.write() as connection:
        asked = store.ask_cancel(connection, tenant, running.id, actor="ada")
    assert (asked.state, asked.cancel_asked_at is not None) == ("running", True)
    with database.write() as connection:
        assert leases.renew(connection, lease) is True
        leases.cancel(connection, lease)
    assert look(database, running).state == "cancelled"
    with pytest.raises(Conflict, match="cancelled already"), database.write() as connection:
        store.ask_cancel(connection, tenant, running.id, actor="ada")
    with database.read() as connection:
        told = connection.execute(select(audit.c.actor, audit.c.action, audit.c.subject)).all()
    assert {tuple(row) for row in told} == {("ada", "job cancel", str(job.id)) for job in (waiting, running)}


def test_a_job_whose_worker_is_gone_is_cancelled_by_whoever_comes(database: Database, tenant: int) -> None:
    """Asked before the lease ended: the next claim ends it. Asked after: at once."""
    first, second = ask(database, tenant), ask(database, tenant)
    take(database)
    with database.write() as connection:
        assert store.ask_cancel(connection, tenant, first.id, actor="ada").state == "running"
    lapse(database)
    assert take(database)[0].id == second.id
    assert look(database, first).state == "cancelled"
    lapse(database)
    with database.write() as connection:
        assert store.ask_cancel(connection, tenant, second.id, actor="ada").state == "cancelled"


def test_retry_queues_what_failed_and_judges_only_failures_anew(database: Database, tenant: int) -> None:
    job = ask(database, tenant)
    _, lease = take(database)
    outcomes = (Outcome("file:///a", "added"), Outcome("file:///b", "failed", "x"), Outcome("file:///c", "skipped"))
    write(database, lease, *outcomes)
    with pytest.raises(Conflict, match="is running"), database.write() as connection:
        store.retry(connection, tenant, job.id, actor="ada")
    _within(database, lambda c, lease: leases.fail(c, lease, "nothing works"), lease)
    assert look(database, job).error == "nothing works"
    with database.write() as connection:
        again = store.retry(connection, tenant, job.id, actor="ada")
    assert (again.state, again.error, again.attempts, again.finished_at) == ("queued", None, 0, None)
    assert again.progress == Advance(counts={"added": 1})
    assert written(database, job) == {"file:///a": "added"}
    assert take(database)[0].id == job.id


def test_what_was_uploaded_stays_for_a_retry_and_goes_after_a_week(database: Database, tenant: int) -> None:
    upload = Upload("upload:a.txt", "text/plain", b"words", "A", "a1")
    with database.write() as connection:
        job = store.enqueue(
            connection, tenant, "ingest", {"uploads": 1}, user="ada", collection="default", uploads=[upload]
        )
        store.ask_cancel(connection, tenant, job.id, actor="ada")
        assert store.forget_uploads(connection) == 0
        assert [store.upload(connection, key) for key in store.upload_ids(connection, job.id)] == [upload]
        store.retry(connection, tenant, job.id, actor="ada")
        store.ask_cancel(connection, tenant, job.id, actor="ada")
        old = store.clock(connection) - timedelta(days=store.KEPT_DAYS, seconds=1)
        connection.execute(update(jobs).values(finished_at=old))
        assert store.forget_uploads(connection) == 1
    with pytest.raises(Conflict, match="upload them again"), database.write() as connection:
        store.retry(connection, tenant, job.id, actor="ada")


def test_a_job_is_seen_by_its_tenant_and_when_asked_for_by_its_user_only(database: Database, tenant: int) -> None:
    job = ask(database, tenant)
    with database.write() as connection:
        other = collection_store.ensure_tenant(connection, "other")
        for seen in ({"tenant": other, "user": None}, {"tenant": tenant, "user": "bob"}):
            of, user = int(str(seen["tenant"])), seen["user"]
            who = None if user is None else str(user)
            with pytest.raises(NotFound):
                store.get(connection, of, job.id, user=who)
            with pytest.raises(NotFound):
                store.ask_cancel(connection, of, job.id, actor="bob", user=who)
            with pytest.raises(NotFound):
                store.retry(connection, of, job.id, actor="bob", user=who)
            assert store.listing(connection, of, limit=10, user=who) == []
        assert store.get(connection, tenant, job.id, user="ada") == job
        assert store.unfinished(connection, tenant) == {"queued": 1, "running": 0}
        assert store.unfinished(connection, other) == {"queued": 0, "running": 0}


def test_jobs_are_listed_newest_first_in_pages(database: Database, tenant: int) -> None:
    asked = [ask(database, tenant).id for _ in range(5)]
    with database.write() as connection:
        store.ask_cancel(connection, tenant, asked[1], actor="ada")
        first = store.listing(connection, tenant, limit=3)
        rest = store.listing(connection, tenant, limit=3, before=first[-1].id)
        cancelled = store.listing(connection, tenant, limit=3, state="cancelled")
    assert [job.id for job in first + rest] == asked[::-1]
    assert [job.id for job in cancelled] == [asked[1]]


# ── the worker ──────────────────────────────────────────────────────────────────────────────────────────────────────


def folder_of(folder: Path, texts: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def ask_folder(app: App, folder: Path, collection: str = "default") -> Job:
    principal = app.local()
    with app.database.write() as connection:
        return ask_paths(connection, principal, collection, [folder], metadata={"year": 2024}, labels=["staff"])


def test_a_folder_is_taken_in_and_every_file_accounted_for(app: App, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "docs", {"a.txt": OTTERS, "b.txt": TIDES, "copy.txt": OTTERS, "bad.pdf": "%PDF-1.7"})
    job = ask_folder(app, folder)
    done = Worker(app).run_one()
    assert done is not None
    assert (done.id, done.state, done.error, done.attempts) == (job.id, "done", None, 1)
    assert written(app.database, job) == {
        (folder / "a.txt").as_uri(): "added",
        (folder / "b.txt").as_uri(): "added",
        (folder / "copy.txt").as_uri(): "duplicate",
        (folder / "bad.pdf").as_uri(): "failed",
    }
    assert done.progress.counts == {"added": 2, "duplicate": 1, "failed": 1}
    assert (done.progress.done, done.progress.total) == (4, 4)
    assert done.result == {"documents": 3, "chunks": 2}
    assert done.finished_at is not None
    with app.database.read() as connection:
        rows = connection.execute(select(documents.c.metadata, documents.c.owner)).all()
    assert [(row[0]["year"], row[1]) for row in rows] == [(2024, "local")] * 3
    assert Worker(app).run_one() is None


def test_uploads_are_taken_in_and_removed_when_that_is_done(app: App) -> None:
    principal = app.local()
    arrivals = [
        Arrival("upload:local/a.txt", sources.from_upload("a.txt", OTTERS.encode()), title="Otters", external_id="o1"),
        Arrival("upload:local/b.txt", Unreadable("b.txt: this name occurs twice")),
        Arrival("upload:local/c.txt", sources.from_upload("c.txt", b"")),
    ]
    with app.database.write() as connection:
        job = ask_arrivals(connection, principal, "default", arrivals, metadata={})
        assert connection.scalar(select(func.count()).select_from(job_inputs)) == 2
    done = Worker(app).run_one()
    assert done is not None
    assert (done.state, done.progress.counts) == ("done", {"added": 1, "failed": 2})
    with app.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(job_inputs)) == 0
        reasons = {item.uri: item.reason for item in store.items(connection, job.id, limit=9, state="failed")}
        assert connection.scalars(select(documents.c.external_id)).all() == ["o1"]
    assert "occurs twice" in reasons["upload:local/b.txt"]
    assert reasons["upload:local/c.txt"]


def test_one_bound_to_labels_replaces_nobody_elses_document(app: App) -> None:
    everyone, bound = Principal(app.tenant_id, "ada"), Principal(app.tenant_id, "bob", frozenset({"public"}))
    for principal, text in ((everyone, OTTERS), (bound, TIDES)):
        source = sources.from_text(text, uri="note:1", media_type="text/plain")
        with app.database.write() as connection:
            job = ask_arrivals(connection, principal, "default", [Arrival("note:1", source)], metadata={})
        done = Worker(app).run_one()
        assert done is not None
    assert written(app.database, job) == {"note:1": "failed"}
    with app.database.read() as connection:
        assert connection.scalars(select(documents.c.owner)).all() == ["ada"]


def test_a_job_that_cannot_be_done_fails_with_the_reason(app: App, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "docs", {"a.txt": OTTERS})
    with pytest.raises(WrongUsage, match="cannot name"):
        ask_folder(app, folder, "a/b")
    ask_folder(app, folder)
    Worker(app).run_one()
    job = ask_folder(app, folder)
    with opening(small(tmp_path, database=app.settings.database, embedder="hashing:64")) as other:
        failed = Worker(other).run_one()
    assert failed is not None
    assert (failed.id, failed.state) == (job.id, "failed")
    assert failed.error is not None
    assert "hashing" in failed.error


def _ask(app: App, kind: str) -> Job:
    return ask(app.database, app.tenant_id, kind)


def test_what_may_pass_is_tried_again_and_faults_too(app: App, caplog: pytest.LogCaptureFixture) -> None:
    def busy(_: Task) -> Metadata:
        raise StoreNotReady("the database stayed locked")

    def wrong(_: Task) -> Metadata:
        raise ZeroDivisionError

    for kind, does, said in (("busy", busy, "the database stayed locked"), ("wrong", wrong, "ZeroDivisionError")):
        _ask(app, kind)
        job = Worker(app, {kind: does}).run_one()
        assert job is not None
        assert (job.state, job.error, job.attempts) == ("queued", said, 1)
    assert "a fault of the program" in caplog.text
    assert "locked" not in caplog.text


def writing(
    number: int, cancelled_at: int | None = None, stop: threading.Event | None = None
) -> Callable[[Task], Metadata]:
    """A kind that writes so many items, a transaction each; at one of them somebody cancels it, or the worker is told
    to stop."""

    def work(task: Task) -> Metadata:
        for n in range(number):
            with task.app.database.write() as connection:
                task.record(connection, [Outcome(f"item:{n}", "added")])
                if n == cancelled_at and stop is None:
                    store.ask_cancel(connection, task.job.tenant_id, task.job.id, actor="ada")
            if n == cancelled_at and stop is not None:
                stop.set()
            task.progress(Progress(n + 1, n + 1, 0, 0, f"item:{n}"))
            if task.stopping():
                raise Unfinished
        return {"written": number}

    return work


def test_a_running_job_is_cancelled_after_the_batch_at_hand(app: App) -> None:
    _ask(app, "writing")
    job = Worker(app, {"writing": writing(5, cancelled_at=2)}).run_one()
    assert job is not None
    assert (job.state, job.result, job.error) == ("cancelled", None, None)
    assert written(app.database, job) == {f"item:{n}": "added" for n in range(3)}, "what was stored stays"
    with app.database.write() as connection:
        store.retry(connection, job.tenant_id, job.id, actor="ada")
    again = Worker(app, {"writing": writing(5)}).run_one()
    assert again is not None
    assert (again.state, again.result, len(written(app.database, job))) == ("done", {"written": 5}, 5)


def test_a_worker_that_is_told_to_stop_gives_its_job_back_at_once(app: App) -> None:
    _ask(app, "writing")
    stop = threading.Event()
    worker = Worker(app, {"writing": writing(5, cancelled_at=2, stop=stop)})
    worker.run_forever(stop)
    (item,) = (look(app.database, job) for job in _all(app))
    assert (item.state, item.attempts, item.worker) == ("queued", 0, None)
    done = Worker(app, {"writing": writing(5)}).run_one()
    assert done is not None
    assert (done.state, done.attempts, len(written(app.database, done))) == ("done", 1, 5)


def _all(app: App) -> list[Job]:
    tenant = app.tenant_id
    with app.database.read() as connection:
        return store.listing(connection, tenant, limit=100)


def test_who_lost_the_lease_ends_the_work_and_changes_nothing(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """The harness behind tests/faults/test_jobs_kill.py in small: a second worker takes over while the first works."""

    def overtaken(task: Task) -> Metadata:
        lapse(task.app.database)
        other = Worker(task.app, {"writing": writing(3)}).run_one()
        assert other is not None
        assert other.state == "done"
        return writing(3)(task)

    _ask(app, "writing")
    job = Worker(app, {"writing": overtaken}).run_one()
    assert job is not None
    assert (job.state, job.result, job.attempts) == ("done", {"written": 3}, 1)
    assert "nothing of the unfinished batch was kept" in caplog.text


def test_a_lease_is_renewed_while_one_file_takes_long(app: App) -> None:
    def long(task: Task) -> Metadata:
        def lease_end() -> object:
            with task.app.database.read() as connection:
                return connection.scalar(select(jobs.c.lease_until))

        first, ticks = lease_end(), threading.Event()
        for _ in range(200):
            if lease_end() != first:
                return {"renewed": True}
            ticks.wait(0.05)
        return {"renewed": False}

    _ask(app, "long")
    job = Worker(app, {"long": long}, lease_s=0.5).run_one()
    assert job is not None
    assert job.result == {"renewed": True}


def test_a_crew_does_all_jobs_once_and_one_collection_at_a_time(app: App) -> None:
    running: dict[str, int] = {}
    lock = threading.Lock()

    def work(task: Task) -> Metadata:
        name = task.job.collection or ""
        with lock:
            running[name] = running.get(name, 0) + 1
            assert running[name] == 1
        result = writing(3)(task)
        with lock:
            running[name] -= 1
        return result

    tenant = app.tenant_id
    asked = [ask(app.database, tenant, "work", collection=f"c{n % 3}").id for n in range(12)]
    told: list[int] = []
    crew = Crew(Worker(app, {"work": work}, told=lambda job: told.append(job.id)), 4, until_empty=True)
    crew.start()
    crew.join()
    assert sorted(told) == asked
    assert {(job.state, job.attempts) for job in _all(app)} == {("done", 1)}
    with app.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(job_items)) == 36


def lines_of(folder: Path, number: int) -> Path:
    """One file of so many documents, which take several transactions."""
    folder.mkdir()
    lines = [f'{{"_id": "{n}", "text": "Number {n} speaks of topic {n * 7}."}}\n' for n in range(number)]
    (folder / "many.jsonl").write_text("".join(lines))
    return folder


def test_the_index_is_published_when_a_job_is_done(app: App, tmp_path: Path) -> None:
    ask_folder(app, lines_of(tmp_path / "docs", 250))
    done = Worker(app).run_one()
    assert done is not None
    assert done.result == {"documents": 250, "chunks": 250}
    assert done.progress.documents == 250
    assert app.indexes(app.collection()).view().generation > 0


def test_one_that_was_thought_dead_writes_no_batch_of_a_file_that_takes_many(app: App, tmp_path: Path) -> None:
    """Not even one that ends no file, and so has no item to write."""
    stored: list[int] = []

    def count() -> int:
        with app.database.read() as connection:
            return int(connection.scalar(select(func.count()).select_from(documents)) or 0)

    def overtaken(task: Task) -> Metadata:
        def progress(_: Progress) -> None:
            if not stored:  # the first batch is in
                stored.append(count())
                lapse(app.database)
                take(app.database)

        return ingest(replace(task, progress=progress))

    job = ask_folder(app, lines_of(tmp_path / "docs", 500))
    Worker(app, {"ingest": overtaken}).run_one()
    assert 0 < stored[0] < 500
    assert count() == stored[0]
    assert written(app.database, job) == {}
