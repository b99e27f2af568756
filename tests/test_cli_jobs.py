"""Background jobs on the command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from rag.app import opening
from rag.config import load
from rag.store import jobs as store
from rag.store import leases
from rag.types import Outcome
from tests.api import until
from tests.cli_house import House, build


def job(house: House, key: int = 1) -> dict[str, object]:
    return house("jobs", "show", str(key), "--json").json


def test_an_ingest_in_the_background_ends_as_one_in_the_foreground(tmp_path: Path) -> None:
    house, other = build(tmp_path / "a"), build(tmp_path / "b")
    for each in (house, other):
        (each.docs / "broken.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    queued = house("ingest", str(house.docs), "--background", "--metadata", "year=2024", "--label", "staff")
    assert queued.code == 0
    assert queued.out == "job 1 is queued; `rag worker` does it, `rag jobs show 1` says how far it is\n"
    assert house("worker", "--once").err == "rag: job 1 (ingest into default): done: 3 added, 1 failed\n"
    other("ingest", str(other.docs), "--metadata", "year=2024", "--label", "staff")
    assert listed(house) == listed(other)
    assert house("worker", "--once").err == ""
    again = house("ingest", str(house.docs), "--json", "--metadata", "year=2024", "--label", "staff").json
    assert (again["unchanged"], again["added"], again["updated"], again["failed"]) == (3, 0, 0, 1)


def listed(house: House) -> list[tuple[object, ...]]:
    found = house("documents", "list", "--json").json["documents"]
    assert isinstance(found, list)
    return [(d["title"], d["metadata"], d["labels"], d["owner"], d["characters"]) for d in found]


def test_every_file_of_a_job_is_shown_with_its_reason(tmp_path: Path) -> None:
    house = build(tmp_path)
    (house.docs / "broken.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    house("ingest", str(house.docs), "--background")
    house("worker", "--once")
    shown = house("jobs", "show", "1", "--items").out
    assert "state       done\n" in shown
    assert "files       4 of 4\n" in shown
    assert "ended       3 added, 1 failed\n" in shown
    for name in ("bridges.md", "tea.html", "volcanoes.txt"):
        assert f"added      {house.docs / name}" in shown
    failed = house("jobs", "show", "1", "--state", "failed", "--json").json["items"]
    assert isinstance(failed, list)
    assert [(item["uri"], bool(item["reason"])) for item in failed] == [((house.docs / "broken.pdf").as_uri(), True)]
    assert "items" not in job(house)


def test_jobs_are_listed_newest_first(tmp_path: Path) -> None:
    house = build(tmp_path)
    assert house("jobs", "list").code == 1, "there is no installation yet"
    assert house("db", "upgrade").code == 0
    assert house("jobs", "list").out == "no such jobs; `rag ingest --background` makes one\n"
    for name in ("bridges.md", "tea.html", "volcanoes.txt"):
        house("ingest", str(house.docs / name), "--background", "--collection", name.partition(".")[0])
    assert house("jobs", "cancel", "2").out == "job 2 is cancelled; what it stored stays\n"
    lines = house("jobs", "list", "-n", "2").out.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [["3", "ingest", "queued"], ["2", "ingest", "cancelled"]]
    page = house("jobs", "list", "-n", "2", "--json").json
    assert page["next"] == 2
    (last,) = house("jobs", "list", "--before", "2", "--json").json["jobs"]  # type: ignore[misc]
    assert (last["job_id"], last["collection"]) == (1, "bridges")
    assert "no such jobs" in house("jobs", "list", "--state", "failed").out


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    house = build(tmp_path)
    house("ingest", str(house.docs), "--background")
    assert house("jobs", "show", "9").err == "rag: no job 9; `rag jobs list` shows them\n"
    assert house("jobs", "retry", "1").err == (
        "rag: job 1 is queued; only one that failed or was cancelled can be tried again\n"
    )
    house("jobs", "cancel", "1")
    again = house("jobs", "cancel", "1")
    assert (again.code, again.err) == (1, "rag: job 1 is cancelled already; there is nothing to cancel\n")
    assert house("worker", "--once").err == "", "nobody does a cancelled job"
    assert house("jobs", "retry", "1").out == "job 1 is queued; `rag worker` or a running `rag serve` does it\n"
    assert house("ingest", str(tmp_path / "nothing"), "--background").code == 2


def test_a_job_that_failed_says_why(tmp_path: Path) -> None:
    house = build(tmp_path)
    house("ingest", str(house.docs))
    house("ingest", str(house.docs), "--background")
    told = house("worker", "--once", RAG_EMBEDDER="hashing:64").err
    assert told.startswith("rag: job 1 (ingest into default): failed: the collection 'default' was embedded by")
    assert "was embedded by" in house("jobs", "show", "1").out
    assert house("jobs", "retry", "1").code == 0
    assert house("worker", "--once").code == 0
    assert (job(house)["state"], job(house)["error"]) == ("done", None)


def test_a_worker_that_is_told_to_end_gives_its_job_back(tmp_path: Path) -> None:
    """A real process: one signal ends it after the batch at hand, and another worker goes on at once."""
    house = build(tmp_path, {f"{n:03d}.txt": " ".join(f"Part {i} of text {n}." for i in range(60)) for n in range(150)})
    small = {"RAG_CHUNK_TOKENS": "32"}  # so that there are many batches
    house("ingest", str(house.docs), "--background")
    worker = subprocess.Popen(
        [sys.executable, "-m", "rag", "worker"],
        env={**{k: v for k, v in os.environ.items() if not k.startswith("RAG_")}, **house.variables, **small},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in until("a batch is in", 60):
            if done(house):
                break
        worker.send_signal(signal.SIGTERM)
        _, told = worker.communicate(timeout=60)
    finally:
        worker.kill()
    assert worker.returncode == 0, told
    assert told.splitlines()[-1] == "rag: job 1 (ingest into default): given back"
    assert (job(house)["state"], job(house)["attempts"]) == ("queued", 0)
    before = done(house)
    assert 0 < before < 150
    assert house("worker", "--once", "--jobs", "2", **small).code == 0
    assert (job(house)["state"], done(house)) == ("done", 150)
    assert json.loads(house("doctor", "--json").out)["ok"]


def done(house: House) -> int:
    counts = job(house)["counts"]
    assert isinstance(counts, dict)
    return int(counts["added"])


def test_what_a_running_job_is_at_is_shown(tmp_path: Path) -> None:
    house = build(tmp_path)
    house("ingest", str(house.docs), "--background")
    with opening(load({"data": house.data}, {}).settings) as app, app.database.write() as connection:
        claimed = leases.claim(connection, ["ingest"], worker="there:1", lease_s=600)
        assert claimed is not None
        lease = claimed[1]
        leases.renew(connection, lease, store.Advance(2, 3, 2, "file:///b"))
        leases.record(connection, lease, [Outcome("file:///a", "added"), Outcome("file:///b", "skipped", "why not")])
    assert house("jobs", "list").out.splitlines()[1].split()[:6] == ["1", "ingest", "running", "2", "of", "3"]
    assert house("jobs", "cancel", "1").out == "job 1 ends after the batch at hand; what it stored stays\n"
    assert "ending" in house("jobs", "list").out
    assert "skipped    /b: why not" in house("jobs", "show", "1", "--items").out
