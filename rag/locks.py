"""Locks between processes, held in files: the system frees them when whoever holds one dies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(file: Path, *, wait_s: float = 0) -> Iterator[bool]:
    """Whether this process has the file's lock while the block runs; it waits for so long at most."""
    from filelock import FileLock, Timeout

    lock = FileLock(file, timeout=wait_s)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
