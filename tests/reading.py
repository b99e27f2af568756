"""The child processes that read sources, kept from one test to the next: starting one costs 0.16 s of processor time.

Children know nothing of tests: they are given paths and settings, and by all that they are started with the pools are
told apart here. tests/test_pool.py and tests/faults/test_hostile.py have pools of their own.
"""

import pickle
import sys
from collections.abc import Generator, Iterable
from threading import Lock

from ingest.minhash import text_signature
from ingest.reading import process
from ingest.reading.limits import Limits
from ingest.reading.pool import Pool, Result, Wanted
from ingest.reading.prepare import Begun, Task
from rag.types import Embedder


class Pools:
    """Those that nobody uses at the moment; `make_pool` stands in for that of rag.corpus."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.free: dict[object, list[Pool]] = {}

    def make_pool(self, embedder: Embedder, *, processes: int, limits: Limits | None = None) -> "Kept":
        return Kept(self, embedder, processes, limits or Limits())

    def close(self) -> None:
        for pool in [pool for pools in self.free.values() for pool in pools]:
            pool.close()


class Kept:
    """A pool as its user sees it: each of its runs has one of the pools to itself. Closed while it reads, it ends the
    children; those that are done wait for the next test."""

    def __init__(self, pools: Pools, embedder: Embedder, processes: int, limits: Limits) -> None:
        self._pools, self._processes, self._limits = pools, processes, limits
        self._counter = embedder.counter()
        self._running: list[Pool] = []
        self._closed = False

    def run(self, tasks: Iterable[Task], wanted: Wanted | None = None) -> Generator[Result, None, None]:
        outside = (*sorted(process.environment().items()), *sys.path)
        key = (pickle.dumps(self._counter), self._processes, self._limits, outside)
        with self._pools.lock:
            if self._closed:
                raise RuntimeError("this pool is closed")
            free = self._pools.free.setdefault(key, [])
            pool = free.pop() if free else self._made()
            self._running.append(pool)
        asked = [wanted] if wanted else []

        def ask(task: Task, begun: Begun) -> bool:
            return any(each(task, begun) for each in asked)

        try:
            yield from pool.run(tasks, ask if wanted else None)
        finally:
            asked.clear()  # a waiting pool remembers its last run, which must not keep the corpus and its models
            with self._pools.lock:
                self._running.remove(pool)
                if not self._closed:
                    free.append(pool)

    def close(self) -> None:
        with self._pools.lock:
            self._closed, reading = True, list(self._running)
        for pool in reading:
            pool.close()

    def _made(self) -> Pool:
        return Pool(self._counter, processes=self._processes, limits=self._limits, sign=text_signature)
