"""Ctrl-C that lets work come to a good end: the first one asks, the second one stops at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

CODE = 130  # exit code of an interrupted command, as shells have it: 128 + SIGINT


@contextmanager
def first_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """While the block runs, the first Ctrl-C calls `act` and the second raises KeyboardInterrupt."""
    asked = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        act()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
