"""Waits for something to change in files and folders: by the system's notices where it gives them, else by looking."""

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event

from ingest import sources

TICK_MS = 500  # between two looks at files that are watched by themselves, and at whether to stop
DEBOUNCE_MS = 1_600  # changes this near to each other are one

_Seen = tuple[tuple[int, int, int] | None, ...]


def turns(
    places: Sequence[Path],
    stop: Event,
    *,
    every_s: float,
    left_out: Sequence[Path] = (),
    said: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """One turn at once, another whenever something changed below `places`, and `every_s` after the last one; until
    `stop` is set. What changes during a turn gives the next one.

    Not watched is what an ingest leaves out, and what lies below `left_out`; folders behind links below `places`, and
    folders that the system cannot watch, are looked at `every_s` only. `said` is told of the latter.
    """
    while not stop.is_set():
        folders = [place for place in places if place.is_dir()]
        files = [place for place in places if place not in folders]
        with closing(_ticks(folders, stop, left_out, said)) as ticks:
            next(ticks, False)  # from here on it watches
            seen, due = _seen(files), 0.0
            for changed in ticks:
                now = _seen(files)
                if not (changed or now != seen or time.monotonic() >= due):
                    continue
                seen = now
                yield
                due = time.monotonic() + every_s
                if folders != [place for place in places if place.is_dir()]:
                    break  # one came or went: watch anew, and look, for nobody watched meanwhile


def _ticks(
    folders: Sequence[Path], stop: Event, left_out: Sequence[Path], said: Callable[[str], None]
) -> Generator[bool]:
    """Whether something changed since the last tick, again and again."""
    from watchfiles import watch

    if folders:
        try:
            for changes in watch(
                *folders,
                watch_filter=lambda _, path: _counts(Path(path), folders, left_out),
                stop_event=stop,
                debounce=DEBOUNCE_MS,
                rust_timeout=TICK_MS,
                yield_on_timeout=True,
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                yield bool(changes)
            return
        except OSError as error:
            said(f"changes in {', '.join(map(str, folders))} cannot be watched ({error}); they are looked at regularly")
    while not stop.wait(TICK_MS / 1000):
        yield False


def _counts(path: Path, folders: Sequence[Path], left_out: Sequence[Path]) -> bool:
    """Whether a change matters to what is taken in."""
    if any(path == folder or folder in path.parents for folder in left_out):
        return False
    if path.name == sources.IGNORE_FILE:
        return True
    inside = [path.relative_to(folder).parts for folder in folders if folder in path.parents]
    return any(not any(map(sources.left_out, parts)) for parts in inside) or path in folders


def _seen(files: Sequence[Path]) -> _Seen:
    found: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            status = os.stat(file)  # noqa: PTH116 (as quick as it can be: twice a second)
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)
