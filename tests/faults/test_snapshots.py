"""Publishing is killed at every step, files are flipped, cut and deleted: an index is whole, or known not to be."""

import json
import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from rag.indexes.generations import Generation
from rag.indexes.snapshots import Indexes
from rag.vectors import faiss
from rag.vectors.rows import StoredRows
from tests.conftest import ROOT
from tests.feeds import allowed, nearest
from tests.test_snapshots import VECTORS, assert_right, filled, indexes, plain

KILLED = 99

CHILD = f"""
import os, sys, resource, signal
from pathlib import Path
from tests.test_snapshots import filled, indexes, unit

fault, folder = sys.argv[1], Path(sys.argv[2])
feed = filled(60)
feed.commit([(1000 + i, unit([1, 2, 0, -1]), "river bank") for i in range(30)], removed=[4])
ours = indexes(folder, feed)
if fault == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    try:
        ours.publish()
    except OSError as error:
        os._exit({KILLED})
elif fault == "hold":
    with ours._generations.lock() as held:
        print("held", flush=True) if held else print("not held", flush=True)
        sys.stdin.read()
else:
    left = [int(sys.argv[3])]
    def dying(real):
        def step(*arguments, **named):
            if left[0] == 0:
                os._exit({KILLED})
            left[0] -= 1
            return real(*arguments, **named)
        return step
    for name in ("fsync", "rename", "replace", "link", "mkdir", "unlink", "rmdir"):
        setattr(os, name, dying(getattr(os, name)))
    begun = left[0]
    ours.publish()
    print(begun - left[0])
"""


def child(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Publish in a process of its own, with a fault."""
    command = [sys.executable, "-c", CHILD, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, KILLED), done.stderr
    return done


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many steps the child takes to publish when nothing stops it."""
    done = child("kill", fresh(tmp_path_factory.mktemp("count")), 10**9)
    assert done.returncode == 0
    return int(done.stdout)


def published(folder: Path) -> Indexes:
    """A folder with one generation, at the position where the child's additions begin."""
    ours = indexes(folder, filled(60))
    assert ours.publish() == 1
    return ours


def assert_healthy(folder: Path) -> int:
    """Whoever comes next finds a whole index, gives right answers, and can publish. Returns the generation found."""
    feed = filled(60)
    feed.commit([(1000 + i, np.array([1, 2, 0, -1]) / np.sqrt(6), "river bank") for i in range(30)], removed=[4])
    ours = indexes(folder, feed)
    assert ours.check() == []
    found = ours.view().generation
    assert_right(ours.view(), feed)
    feed.commit(removed=[1000])
    assert ours.publish() is not None
    assert ours.check() == []
    assert_right(ours.view(), feed)
    assert ours.damage == ()
    assert list(folder.glob("*/new-*")) == []
    return found


def test_a_kill_at_any_step_leaves_the_old_index(tmp_path: Path, steps: int) -> None:
    assert steps > 30
    for step in range(0, steps - 7, steps // 6):
        folder = fresh(tmp_path / str(step))
        assert child("kill", folder, step).returncode == KILLED
        assert assert_healthy(folder) == 1


def test_a_kill_around_the_last_rename_leaves_the_old_or_the_new(tmp_path: Path, steps: int) -> None:
    """The steps at the end one by one: the generation appears at once, and only there."""
    found = []
    for step in range(steps - 6, steps):
        folder = fresh(tmp_path / str(step))
        assert child("kill", folder, step).returncode == KILLED
        found.append(assert_healthy(folder))
    assert found == sorted(found)
    assert set(found) == {1, 2}


def fresh(folder: Path) -> Path:
    published(folder)
    return folder


@pytest.mark.parametrize("room", [0, 1_000])
def test_a_full_disk_leaves_the_old_index(tmp_path: Path, room: int) -> None:
    published(tmp_path)
    assert child("full", tmp_path, room).returncode == KILLED
    assert assert_healthy(tmp_path) == 1


def test_the_harness_sees_damage_that_goes_unnoticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With checksums ignored, a flipped vector is answered from: what the tests below look for is there to be seen."""
    ours = published(tmp_path)
    feed = filled(60)
    right = ours.view().vectors.search(VECTORS, 60, allowed(feed.rows))
    [path] = tmp_path.glob("*/*/vectors/rows.f32")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)
    monkeypatch.setattr(Generation, "verify", lambda self, part, unread: None)
    monkeypatch.setattr(StoredRows, "_compare", lambda self, places, rows: None)
    careless = indexes(tmp_path, feed)
    assert careless.view().vectors.search(VECTORS, 60, allowed(feed.rows)) != right
    assert careless.damage == ()


def test_every_flipped_bit_is_found_and_healed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    random = np.random.default_rng(7)
    feed = filled(60)
    published(tmp_path)
    [generation] = tmp_path.glob("*/0000000001")
    files = sorted(path for path in [*generation.rglob("*"), generation.parent / "CURRENT"] if path.is_file())
    flips = 0
    for path in files:
        sound = path.read_bytes()
        for offset in random.integers(0, len(sound), 6).tolist() if sound else []:
            broken = bytearray(sound)
            broken[offset] ^= 1 << int(random.integers(0, 8))
            path.write_bytes(broken)
            ours = indexes(tmp_path, feed)
            assert ours.check() != [], (path, offset)
            caplog.clear()
            assert_right(ours.view(), feed)
            assert ours.damage, (path, offset)
            assert ours.damage[0] in caplog.text
            assert ours.view().generation == 0
            assert ours.due(ours.view())
            flips += 1
        path.write_bytes(sound)
    assert flips >= 60
    assert indexes(tmp_path, feed).check() == []


def test_a_bit_that_flips_where_a_search_is_the_first_to_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening does not read the rows; the question that does is answered from the database, and so is what follows."""
    monkeypatch.setattr(faiss, "FEW", 10)
    monkeypatch.setattr(faiss, "LISTS_FROM", 40)
    feed = filled(200)
    assert indexes(tmp_path, feed).publish() == 1
    [path] = tmp_path.glob("*/0000000001/vectors/rows.f32")
    assert json.loads((path.parent / "tuning.json").read_text())["form"] == "lists"
    content = bytearray(path.read_bytes())
    alive = feed.live_ids(feed.now).tolist()
    row, chunk = 50, alive[50]
    content[row * 16 + 3] ^= 0x10
    path.write_bytes(content)
    ours = indexes(tmp_path, feed)
    view = ours.view()
    elsewhere = [each for each in alive if each != chunk][:9]
    rows = {each: feed.rows[each].vector for each in alive}
    for may in (elsewhere, [*elsewhere, chunk]):
        assert ours.damage == ()  # the row was not read yet
        assert (view.generation, ours.view().generation) == (1, 1)
        found = plain(view.vectors.search(VECTORS, 5, allowed(may)))
        assert found == [nearest(query, rows, 5, frozenset(may)) for query in VECTORS]
    assert f"row {row}" in ours.damage[0]
    assert ours.damage[0] in caplog.text
    assert_right(view, feed)  # the same view goes on, without the snapshot
    assert np.array_equal(view.vectors.rows([chunk]), feed.rows[chunk].vector[None, :])
    assert_right(ours.view(), feed)
    assert ours.view().generation == 0
    feed.commit([(9_999, VECTORS[0], "river")])
    assert_right(ours.view(), feed)
    assert ours.check() != []
    assert ours.due(ours.view())
    assert ours.publish() == 2
    assert (ours.check(), ours.view().generation, ours.damage) == ([], 2, ())
    assert_right(ours.view(), feed)


@pytest.mark.parametrize("what", ["flip", "cut", "empty", "gone"])
def test_publishing_over_damage_writes_everything_anew(tmp_path: Path, what: str) -> None:
    feed = filled(60)
    published(tmp_path)
    path = next(iter(tmp_path.glob("*/0000000001/keywords/rows.npy")))
    content = path.read_bytes()
    if what == "gone":
        path.unlink()
    else:
        changed = {"flip": bytes([content[0] ^ 1]) + content[1:], "cut": content[:-1], "empty": b""}[what]
        path.write_bytes(changed)
    ours = indexes(tmp_path, feed)
    feed.commit(removed=[int(feed.live_ids(feed.now)[0])])
    assert ours.publish() == 2
    assert ours.check() == []
    view = ours.view()
    assert (view.generation, ours.damage) == (2, ())
    assert_right(view, feed)


@pytest.mark.parametrize("what", ["the folder", "CURRENT", "the manifest", "the generation"])
def test_what_is_deleted_is_healed(tmp_path: Path, what: str) -> None:
    feed = filled(60)
    ours = published(tmp_path)
    ours = indexes(tmp_path, feed)
    assert_right(ours.view(), feed)
    [home] = tmp_path.iterdir()
    gone = {
        "the folder": home,
        "CURRENT": home / "CURRENT",
        "the manifest": home / "0000000001" / "manifest.json",
        "the generation": home / "0000000001",
    }[what]
    for path in sorted(gone.rglob("*"), reverse=True) if gone.is_dir() else []:
        path.unlink() if path.is_file() else path.rmdir()
    gone.unlink() if gone.is_file() else gone.rmdir()
    for each in (ours, indexes(tmp_path, feed)):
        assert_right(each.view(), feed)
        feed.commit(removed=[int(feed.live_ids(feed.now)[0])])
        assert_right(each.view(), feed)
    assert ours.publish() is not None
    assert ours.check() == []
    assert_right(ours.view(), feed)
    assert ours.damage == ()


@pytest.mark.parametrize("what", ["a folder as CURRENT", "no kind", "a list", "no files"])
def test_an_index_of_another_form_is_told_and_answered_without(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    feed = filled(60)
    published(tmp_path)
    [home] = tmp_path.iterdir()
    manifest = home / "0000000001" / "manifest.json"
    told = json.loads(manifest.read_bytes())
    if what == "a folder as CURRENT":
        (home / "CURRENT").unlink()
        (home / "CURRENT").mkdir()
    else:
        left = {name: value for name, value in told.items() if name != what.removeprefix("no ")}
        content = json.dumps([told] if what == "a list" else left).encode()
        manifest.write_bytes(content)
        (home / "CURRENT").write_text(f"1 {blake2b(content, digest_size=16).hexdigest()}\n")
    ours = indexes(tmp_path, feed)
    assert_right(ours.view(), feed)
    assert len(ours.damage) == len(ours.check()) == 1
    assert "index damaged" in caplog.text


def test_one_process_at_a_time_publishes(tmp_path: Path) -> None:
    ours = published(tmp_path)
    command = [sys.executable, "-c", CHILD, "hold", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert ours.publish(rebuild=True) is None
        assert ours.view().generation == 1  # readers do not wait
        other.kill()
    assert ours.publish(rebuild=True) == 2


def test_one_thread_at_a_time_publishes(tmp_path: Path) -> None:
    ours = published(tmp_path)
    with ours._generations.lock() as held:
        assert held
        assert ours.publish(rebuild=True) is None
        assert indexes(tmp_path, filled(60)).publish(rebuild=True) is None
    assert ours.publish(rebuild=True) == 2


def test_a_failed_publication_frees_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = published(tmp_path)

    def failing(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(OSError, match="No space left"):
            ours.publish(rebuild=True)
    assert list(tmp_path.glob("*/new-*")) == []
    assert ours.view().generation == 1
    assert ours.publish(rebuild=True) == 2
