"""What leaves the house behind an answer's back: a queue of bounded length and a thread that empties it.

Nobody who answers ever waits for it or fails with it: what finds the queue full is dropped and counted, and what
cannot be delivered is counted and logged.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, Literal, TypeVar

T = TypeVar("T")  # what is delivered: interactions, or what is told of them

log = logging.getLogger(__name__)

LENGTH = 512  # interactions that wait at most
BATCH = 64  # that are delivered together at most
CLOSING_S = 3.0  # what waits at the end has so long

Outcome = Literal["sent", "failed", "dropped"]
Counted = Callable[[str, Outcome, int], None]  # (which outbox, what happened, to how many)


class Outbox(Generic[T]):
    """Delivers interactions in the background. `deliver` is given some at a time and says how many things it sent
    (spans, calls); what it raises makes the batch a failed one."""

    def __init__(
        self,
        name: str,
        deliver: Callable[[Sequence[T]], int],
        counted: Counted,
        *,
        length: int = LENGTH,
        batch: int = BATCH,
    ) -> None:
        self.name = name
        self._deliver, self._counted, self._batch = deliver, counted, batch
        self._waiting: queue.Queue[T | None] = queue.Queue(length)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def put(self, entry: T, *, wait_s: float = 0.0) -> None:
        """Leave an interaction to be delivered; never raises. It waits for room so long at most: not at all where it
        would keep somebody from an answer."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=f"outbox {self.name}", daemon=True)
                    self._thread.start()
        try:
            self._waiting.put(entry, block=wait_s > 0, timeout=wait_s)
        except queue.Full:
            self._counted(self.name, "dropped", 1)

    def close(self, timeout_s: float = CLOSING_S) -> None:
        """Deliver what waits, for so long at most; what is left then is dropped."""
        if self._thread is None or self._closed:
            return
        self._closed = True
        with suppress(queue.Full):
            self._waiting.put(None, timeout=timeout_s)
        self._thread.join(timeout_s)
        if left := self._waiting.qsize():
            self._counted(self.name, "dropped", left)
            log.warning("%s: interactions not sent before the end: %d", self.name, left)

    def _run(self) -> None:
        while True:
            first = self._waiting.get()
            if first is None:
                return
            batch, over = [first], False
            while len(batch) < self._batch and not over:
                try:
                    entry = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if entry is None:
                    over = True
                else:
                    batch.append(entry)
            self._send(batch)
            if over:
                return

    def _send(self, batch: Sequence[T]) -> None:
        try:
            sent = self._deliver(batch)
        except Exception as error:  # whatever is wrong with the other side is no reason to stop
            self._counted(self.name, "failed", len(batch))
            log.warning("%s: interactions not sent: %d (%s)", self.name, len(batch), error)
        else:
            if sent:
                self._counted(self.name, "sent", sent)
