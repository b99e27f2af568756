"""Two halves of one question's work at the same time, while the process has a processor to spare for the second."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Beside:
    """Threads for second halves; they start when first needed. Safe to share between threads."""

    def __init__(self, threads: int) -> None:
        """threads: how many a process keeps busy at most, its callers' own included; with 1 nothing is handed over."""
        self._threads = threads
        self._busy = 0
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def both(self, here: Callable[[], A], there: Callable[[], B]) -> tuple[A, B]:
        """What both give. `there` is handed to another thread while there are fewer callers than threads; if none got
        to it while `here` was done, the caller does it behind that."""
        with self._lock:
            self._busy += 1
            spare = 2 * self._busy <= self._threads
            if spare and self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads // 2, thread_name_prefix="beside")
        try:
            if not spare or self._pool is None:
                return here(), there()
            handed = self._pool.submit(there)
            try:
                first = here()
            except BaseException:
                handed.cancel()
                raise
            return first, there() if handed.cancel() else handed.result()
        finally:
            with self._lock:
                self._busy -= 1

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


ALONE = Beside(1)
