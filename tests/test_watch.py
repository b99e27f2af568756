"""Waiting for changes: one turn at once, one for whatever changed, during a turn too; nothing of what is left out."""

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from rag.corpus import watch

LONG_S = 3600.0
PATIENCE_S = 60.0


class Turns:
    """Turns that another thread waits for."""

    def __init__(self, places: list[Path], left_out: list[Path]) -> None:
        self.stop = threading.Event()
        self.taken: Queue[None] = Queue()
        self.go_on = threading.Semaphore(0)
        self.said: list[str] = []
        self._thread = threading.Thread(target=self._run, args=(places, left_out), daemon=True)
        self._thread.start()

    def _run(self, places: list[Path], left_out: list[Path]) -> None:
        turns = watch.turns(places, self.stop, every_s=LONG_S, left_out=left_out, said=self.said.append)
        for _ in turns:
            self.taken.put(None)
            self.go_on.acquire()

    def begin(self) -> None:
        """Return when a turn has begun; it lasts until `end`."""
        self.taken.get(timeout=PATIENCE_S)

    def end(self) -> None:
        self.go_on.release()

    def close(self) -> None:
        self.stop.set()
        self.go_on.release()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    (root / "sub").mkdir(parents=True)
    return root


@pytest.fixture
def turns(root: Path, tmp_path: Path) -> Iterator[Turns]:
    (tmp_path / "one.txt").write_text("Alone.")
    found = Turns([root, tmp_path / "one.txt", tmp_path / "later"], [root / "data"])
    yield found
    found.close()


def test_what_changes_during_a_turn_gives_another(turns: Turns, root: Path, tmp_path: Path) -> None:
    changes = (
        lambda: (root / "sub" / "a.txt").write_text("In a folder."),
        lambda: (tmp_path / "one.txt").write_text("A file that is watched by itself."),
        lambda: (root / "sub" / "a.txt").rename(root / "b.txt"),
        lambda: (root / ".ragignore").write_text("sub/\n"),
        lambda: (tmp_path / "later").mkdir(),
        lambda: (tmp_path / "later" / "c.txt").write_text("In the folder that was not there at first."),
        lambda: (root / "b.txt").unlink(),
    )
    turns.begin()
    for change in changes:
        change()
        turns.end()
        turns.begin()
    assert turns.said == []


def test_what_is_left_out_calls_for_no_turn(root: Path) -> None:
    data = root / "data"
    for path, counts in (
        (data / "rag.db-wal", False),
        (root / ".git" / "index", False),
        (root / "node_modules" / "x.js", False),
        (root / "letter.docx~", False),
        (root / "sub" / "a.txt", True),
        (root / "sub" / ".ragignore", True),
        (root, True),
    ):
        assert watch._counts(path, [root], [data]) is counts, path
    hidden = root / ".notes"
    assert watch._counts(hidden / "a.txt", [hidden], [])


def test_time_alone_calls_for_a_turn_too(root: Path) -> None:
    stop = threading.Event()
    turns = watch.turns([root], stop, every_s=0.0)
    for _ in range(3):
        next(turns)
    stop.set()
    assert list(turns) == []


def test_a_folder_that_cannot_be_watched_is_said_and_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import watchfiles

    def refuse(*_paths: object, **_options: object) -> None:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(watchfiles, "watch", refuse)
    said: list[str] = []
    stop = threading.Event()
    turns = watch.turns([root], stop, every_s=0.0, said=said.append)
    next(turns)
    next(turns)
    stop.set()
    assert list(turns) == []
    assert len(said) == 1
    assert "watch limit" in said[0]
