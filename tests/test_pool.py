"""Sources are read by child processes: order, bounded buffers, and every way in which a child can end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ingest import sources
from ingest.errors import Damaged, IngestError, TooLarge, Unreadable
from ingest.reading.limits import Limits
from ingest.reading.pool import BUFFER_BYTES, Pool, Result
from ingest.reading.prepare import Begun, Item, Prepared, Task, Tools, prepare
from ingest.types import Failed
from tests.conftest import ROOT
from tests.pool_work import first_word, misbehave, no_counter, no_interpreter, words

WAIT_S = 60  # a test that waits longer for something to happen has failed
LIMITS = Limits(memory_mb=200, seconds=0.4)


def task(title: str, content: str = "Tidal turbines harvest the moon.", name: str = "") -> Task:
    uri = f"text:{name or title}"
    return Task(uri, source=sources.from_text(content, uri=uri), title=title)


def tasks(*titles: str) -> list[Task]:
    return [task(title, name=f"{number}") for number, title in enumerate(titles)]


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(words, processes=2, limits=LIMITS, work=misbehave) as opened:
        yield opened


def texts(items: list[Item]) -> list[str]:
    return [item.document.text if isinstance(item, Prepared) else item.reason for item in items]


def outcome(result: Result) -> tuple[list[str], IngestError | None]:
    return texts(list(result.items)), result.error


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.002)


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


# ── what comes out ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_results_come_in_the_order_of_tasks_and_equal_those_of_this_process(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.md" for number in range(40)]
    for number, path in enumerate(paths):  # the first ones take longest
        body = f"Paragraph {number} of the tide.\n\n" * (400 - 10 * number)
        path.write_text(f"# Title {number}\n\n## Part\n\n{body}", encoding="utf-8")
    work = [Task(path.as_uri(), path=path, max_bytes=10**6) for path in paths]
    with Pool(words, processes=3, limits=Limits(), sign=first_word) as pool:
        found = [(result.content_hash, result.media_type, list(result.items)) for result in pool.run(iter(work))]
    tools = Tools(words(), Limits(), first_word)
    for one, (content_hash, media_type, items) in zip(work, found, strict=True):
        begun, *expected = prepare(one, tools)
        assert begun == Begun(content_hash or b"", media_type)
        assert items == expected
        (item,) = items
        assert isinstance(item, Prepared)
        assert item.signature == b"Title"
        assert all(chunk.text == item.document.text[chunk.start : chunk.end] for chunk in item.chunks)
        assert [string.endswith(chunk.text) for string, chunk in zip(item.embedded, item.chunks, strict=True)]
        assert item.embedded[0].startswith(item.document.title)


def test_what_the_sender_says_goes_first_and_one_of_many_may_fail(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    rows = ['{"_id": "a", "text": "One tide."}', "{", '{"_id": "a", "text": "Again."}', '{"_id": "b", "text": "Two."}']
    path.write_text("\n".join(rows), encoding="utf-8")
    with Pool(words, processes=1, limits=LIMITS) as pool:
        (result,) = pool.run([Task("file:///c.jsonl", path=path, max_bytes=999, title="Said", external_id="7")])
        with pytest.raises(RuntimeError, match="passed over"):
            list(result.items)
        items = next(list(result.items) for result in pool.run([Task("x:y", path=path, max_bytes=999, title="Said")]))
    assert result.error is None
    assert [type(item) for item in items] == [Prepared, Failed, Failed, Prepared]
    assert [item.document.title for item in items if isinstance(item, Prepared)] == ["Said", "Said"]
    assert "occurs twice" in texts(items)[2]


def test_a_source_that_is_not_wanted_is_not_parsed(pool: Pool) -> None:
    asked: list[tuple[str, bytes]] = []

    def wanted(task: Task, begun: Begun) -> bool:
        asked.append((task.uri, begun.content_hash))
        return task.uri != "text:1"

    found = [
        (result.wanted, *outcome(result), result.content_hash) for result in pool.run(tasks("a", "b", "c"), wanted)
    ]
    assert [each[0] for each in found] == [True, False, True]
    assert [len(each[1]) for each in found] == [1, 0, 1]
    assert sorted(asked) == [(f"text:{number}", each[3]) for number, each in enumerate(found)]


def test_what_is_missing_or_too_large_is_the_results_error(tmp_path: Path, pool: Pool) -> None:
    line = tmp_path / "line.txt"
    with line.open("wb") as file:
        file.truncate(1 << 30)  # of which nothing is read, else the wall of memory would be hit
    work = [
        Task("a:missing", path=tmp_path / "missing.txt", max_bytes=10),
        Task("a:line", path=line, max_bytes=100 << 20),
        Task("a:folder", path=tmp_path, max_bytes=10),
    ]
    missing, large, folder = map(outcome, pool.run(work))
    assert isinstance(missing[1], Unreadable)
    assert isinstance(folder[1], Unreadable)
    assert isinstance(large[1], TooLarge)
    assert "max_bytes" in str(large[1])
    assert pool.started <= 2  # nobody had to be replaced


def test_an_error_is_known_behind_the_items(pool: Pool) -> None:
    for result in pool.run(tasks("damaged")):
        with pytest.raises(RuntimeError, match="take its items first"):
            result.error  # noqa: B018
        assert texts(list(result.items)) == ["the first document", "the second document"]
        assert isinstance(result.error, Damaged)


# ── bounded buffers ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_children_wait_while_nobody_takes(pool: Pool) -> None:
    """Three sources of 200 MB each; at no time is more than the buffer and one item held."""
    item = 1_100_000
    numbers = []
    for place, result in enumerate(pool.run(tasks("wordy", "wordy", "wordy"))):
        until(lambda: pool.held_bytes > BUFFER_BYTES - item)  # it fills up …
        for taken in result.items:
            assert pool.held_bytes <= BUFFER_BYTES + item  # … and no further
            if isinstance(taken, Prepared) and "#" in taken.document.uri:
                numbers.append((place, int(taken.document.text[:7])))
        if place == 1:
            break
    assert numbers == [(place, number) for place in (0, 1) for number in range(200)]


def test_a_document_over_the_whole_buffer_passes(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.reading.pool.BUFFER_BYTES", 500_000)
    for result in pool.run(tasks("wordy", "wordy")):
        assert len(list(result.items)) == 201
        assert result.error is None


def test_tasks_are_drawn_as_there_is_room_and_their_errors_are_raised(pool: Pool) -> None:
    drawn = 0

    def endless() -> Iterator[Task]:
        nonlocal drawn
        while True:
            drawn += 1
            yield task("a", name=f"{drawn}")
            if drawn == 1000:
                raise LookupError("the list of files is lost")

    run = pool.run(endless())
    assert next(run).task.uri == "text:1"
    assert drawn < 500
    with pytest.raises(LookupError, match="list of files"):
        list(run)


# ── children that end ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("segfault", Damaged, "SIGSEGV"),
        ("killed", Unreadable, "killed from outside"),
        ("exit", Damaged, "status 7, saying: no more of this"),
        ("spin", TooLarge, "parse_seconds"),
        ("gorge", TooLarge, "parse_memory_mb"),
        ("gorge beyond the wall", TooLarge, "more than 200 MB"),
        ("fault", IngestError, "KeyError: 'our own mistake'"),
        ("damaged", Damaged, "the rest is lost"),
    ],
)
def test_one_source_fails_with_its_reason_and_the_others_are_read(
    pool: Pool, fault: str, kind: type[IngestError], said: str
) -> None:
    before, broken, after, last = map(outcome, pool.run(tasks("good", fault, "good", "good")))
    for good in (before, after, last):
        assert good == (["Tidal turbines harvest the moon."], None)
    assert broken[0][0] == "the first document"
    assert len(broken[0]) == (2 if fault == "damaged" else 1)
    assert type(broken[1]) is kind
    assert str(broken[1]).startswith("text:1: ")
    assert said in str(broken[1])
    if fault != "gorge beyond the wall":  # that one is only watched: it is ended a moment after it passed the limit
        assert pool.peak_bytes <= LIMITS.memory_mb << 20


def test_a_source_that_stands_still_is_given_up() -> None:
    with Pool(words, processes=1, limits=Limits(seconds=0.05), work=misbehave) as pool:
        (still, alive) = map(outcome, pool.run(tasks("sleep", "process")))
    assert isinstance(still[1], TooLarge)
    assert "stood still for 0.5 s" in str(still[1])
    assert alive[1] is None


def test_a_child_killed_once_costs_nothing(pool: Pool, tmp_path: Path) -> None:
    (result,) = map(outcome, pool.run([task("killed once", str(tmp_path / "mark"))]))
    assert result == (["the first document", "the second document"], None)
    assert pool.started == 2


def test_a_child_that_kept_too_much_is_replaced(tmp_path: Path) -> None:
    with Pool(words, processes=1, limits=LIMITS, work=misbehave, recycle_after=2) as pool:
        pids = [outcome(result)[0][1] for result in pool.run(tasks(*["process"] * 5))]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


def test_a_library_that_prints_disturbs_nobody(pool: Pool) -> None:
    ((found, error),) = map(outcome, pool.run(tasks("prints")))
    assert error is None
    assert found == ["the first document", "read from standard input: ''"]


def test_children_inherit_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAG_DATABASE_URL", "OPENAI_API_KEY", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "MY_TOKEN"):
        monkeypatch.setenv(name, "hush")
    with Pool(words, processes=1, limits=LIMITS, work=misbehave) as pool:
        ((found, error),) = map(outcome, pool.run(tasks("environment")))
    assert error is None
    assert "PATH" in found[1].split()
    assert not [n for n in found[1].split() if n.startswith(("RAG_", "OPENAI_", "PG", "AWS_", "MY_", "PYTHON"))]


# ── pools that end ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_leaving_a_run_early_ends_what_works_for_it_and_the_pool_goes_on(pool: Pool) -> None:
    run = pool.run(tasks("process", "sleep", "wordy"))
    taken = next(run)
    assert texts(list(taken.items))[0] == "the first document"
    run.close()
    assert pool.held_bytes == 0
    assert [outcome(result)[1] for result in pool.run(tasks("good", "good"))] == [None, None]


def test_closing_ends_all_children_with_all_that_they_started() -> None:
    others = {child.pid for child in psutil.Process().children()}  # a database server of other tests, perhaps
    with Pool(words, processes=2, limits=Limits(), work=misbehave) as pool:
        run = pool.run(tasks("child", "sleep", "good"))
        items = next(run).items
        next(items)
        item = next(items)
        assert isinstance(item, Prepared)
        grandchild = int(item.document.text)
        until(lambda: len({child.pid for child in psutil.Process().children()} - others) >= 2)
        children = [child.pid for child in psutil.Process().children() if child.pid not in others]
    until(lambda: all(map(gone, [grandchild, *children])))
    with pytest.raises(RuntimeError, match="closed"):
        next(items)
    with pytest.raises(RuntimeError, match="closed"):
        next(pool.run(tasks("good")))


def test_a_child_without_work_ends_and_another_follows(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.reading.pool.IDLE_S", 0.01)
    for _ in range(2):
        ((found, error),) = map(outcome, pool.run(tasks("process")))
        assert error is None
        until(lambda pid=found[1]: gone(int(pid)))  # type: ignore[misc]
    assert pool.started == 2


def test_two_threads_share_a_pool(pool: Pool) -> None:
    found: dict[int, list[str]] = {}

    def take(number: int) -> None:
        work = [task("a", f"Words of thread {number}.", name=f"{number}/{n}") for n in range(50)]
        found[number] = [text for result in pool.run(work) for text in outcome(result)[0]]

    threads = [threading.Thread(target=take, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert found == {number: [f"Words of thread {number}."] * 50 for number in range(2)}


def test_what_stops_every_child_is_raised_and_blames_no_source() -> None:
    with Pool(no_counter, processes=2, limits=LIMITS) as pool, pytest.raises(LookupError, match="tokenizer"):
        list(pool.run(tasks("a", "b")))
    with Pool(no_interpreter, processes=1, limits=LIMITS) as pool, pytest.raises(RuntimeError, match="last words"):
        list(pool.run(tasks("a")))
    with Pool(words, processes=1, limits=LIMITS) as pool, pytest.raises(ZeroDivisionError):
        list(pool.run(tasks("a"), wanted=lambda task, begun: bool(1 // 0)))


def test_what_only_a_script_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "counter_of_the_script", _counter_of_the_script, raising=False)
    _counter_of_the_script.__module__, _counter_of_the_script.__qualname__ = "__main__", "counter_of_the_script"
    with pytest.raises(ValueError, match="module"):
        Pool(_counter_of_the_script, processes=1, limits=LIMITS)  # type: ignore[arg-type]


def _counter_of_the_script() -> None: ...


SCRIPT = """
import sys
from ingest import sources
from ingest.reading.limits import Limits
from ingest.reading.pool import Pool
from ingest.reading.prepare import Task
from tests.pool_work import misbehave, words

print("main", flush=True)  # a second one would mean that a child ran this script
fault, pids = sys.argv[1], []
work = [Task(f"a:{n}", source=sources.from_text(t, uri=f"a:{n}"), title=t) for n, t in enumerate(["process", fault])]
pool = Pool(words, processes=2, limits=Limits(), work=misbehave)
for result in pool.run(work):
    for item in result.items:
        print(item.document.text, flush=True)
print("done", flush=True)
"""


@pytest.mark.parametrize("how", ["-c", "script"])
def test_a_script_without_a_guard_is_not_run_again(how: str, tmp_path: Path) -> None:
    """And a pool that nobody closes keeps no process from ending."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, *(("-c", SCRIPT) if how == "-c" else (str(script),)), "process"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=True, env=environment)
    main, first, pid, second, other, end = done.stdout.split("\n")[:6]
    assert (main, first, second, end) == ("main", "the first document", "the first document", "done")
    assert done.stderr == ""
    until(lambda: gone(int(pid)) and gone(int(other)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
def test_children_die_with_their_parent(number: signal.Signals, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "sleep"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert parent.stdout
    said = [parent.stdout.readline().strip() for _ in range(4)]
    assert said[:2] + said[3:] == ["main", "the first document", "the first document"]
    children = [child.pid for child in psutil.Process(parent.pid).children()]
    assert int(said[2]) in children
    assert len(children) == 2
    for pid in children:
        os.kill(pid, signal.SIGINT)  # as Ctrl-C does it to all of a terminal's group
    assert not any(map(gone, children))
    parent.send_signal(number)
    _, stderr = parent.communicate(timeout=WAIT_S)
    assert stderr.count("Traceback") == (1 if number == signal.SIGINT else 0)  # the script's own
    until(lambda: all(map(gone, children)))
