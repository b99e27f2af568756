"""Many requests on one model: a thread decodes them together, token by token, and a bounded queue waits.

A request joins at the next token step, its prompt read in pieces between the others' steps, and leaves as soon as it
is done or nobody listens any more: no pass is made for it after that. The thread ends when there is nothing to do.
Orca (Yu et al. 2022) calls this iteration-level scheduling.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch

from rag.errors import Busy, GeneratorFailed
from rag.generators._local.slots import Slots
from rag.generators._local.speech import Speech
from rag.generators._local.steps import Steps

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PIECE = 256  # tokens of a prompt that are read between two token steps of the others
TOKENS = 48  # fed in one pass at most, proposals included: beyond it a processor's time grows with every token
MEMORY_SHARE = 0.5  # of the memory that is free when a second request joins: what the cache may take
RETRY_AFTER_S = 5.0


class Runner(Protocol):
    """Decodes some requests at once."""

    def join(self, speech: Speech) -> bool:
        """Take a request in, if there is room."""
        ...

    def advance(self) -> bool:
        """Drop who has gone or is done, then go on by one step; False when nobody is left."""
        ...

    def fail(self, error: Exception) -> None:
        """End all requests by an error."""
        ...


class Together:
    """Requests whose tokens share their passes, in one padded cache."""

    def __init__(self, model: "PreTrainedModel", most: int, proposals: bool) -> None:
        self._model, self._most, self._proposals = model, most, proposals
        self._slots = Slots(model)
        self._speaking: list[Speech] = []  # row by row
        self._reading: Speech | None = None  # the last row, while its prompt is read

    def join(self, speech: Speech) -> bool:
        rows = [*self._speaking, speech]
        if self._reading is not None or len(rows) > self._most or not self._fits(rows):
            return False
        self._slots.reserve(len(rows), max(len(one.prompt) + min(one.room, PIECE) for one in rows))
        self._slots.lengths.append(0)
        self._reading = speech
        return True

    def _fits(self, rows: list[Speech]) -> bool:
        """Whether the cache of all may be held; the first is always let in."""
        columns = max(len(one.prompt) + one.room for one in rows)
        return len(rows) == 1 or self._slots.bytes_for(len(rows), columns) <= MEMORY_SHARE * _free(self._model.device)

    def advance(self) -> bool:
        self._let_go()
        if self._reading is not None:
            self._try_to_read(self._reading)
        if self._speaking:
            self._speak()
        self._let_go()
        return bool(self._speaking or self._reading)

    def fail(self, error: Exception) -> None:
        for speech in (*self._speaking, *([self._reading] if self._reading else [])):
            speech.fail(error)
        self._speaking, self._reading = [], None
        self._slots = Slots(self._model)

    def _try_to_read(self, speech: Speech) -> None:
        """Read on; a prompt that the model fails at is the failure of that request alone."""
        try:
            self._read(speech)
        except Exception as error:
            speech.fail(error)

    def _read(self, speech: Speech) -> None:
        """Read a piece of the prompt of the last row; behind its end stands the first token."""
        row = len(self._speaking)
        done = self._slots.lengths[row]
        piece = speech.prompt[done : done + PIECE]
        logits = self._slots.feed(row, [piece], last_only=True)
        self._slots.lengths[row] += len(piece)
        if done + len(piece) == len(speech.prompt):
            speech.hear(piece[-1:], logits[0])
            self._speaking.append(speech)
            self._reading = None

    def _speak(self) -> None:
        """One token for each, or several where what was proposed comes true."""
        speaking = [speech for speech in self._speaking if not speech.finished]
        if len(speaking) < len(self._speaking):  # one ended at its first token
            return
        most = max(1, TOKENS // len(speaking)) if self._proposals else 1
        fed = [speech.next(most) for speech in speaking]
        logits = self._slots.feed(0, fed)
        for row, (speech, tokens) in enumerate(zip(speaking, fed, strict=True)):
            self._slots.lengths[row] += speech.hear(tokens, logits[row, : len(tokens)])

    def _let_go(self) -> None:
        """Drop those who are done or gone; the last speaking row takes a gap, then the one that is read."""
        if self._reading is not None and _over(self._reading):
            self._slots.lengths.pop()
            self._reading = None
        for row in reversed(range(len(self._speaking))):
            if _over(self._speaking[row]):
                self._drop(row)

    def _drop(self, row: int) -> None:
        last = len(self._speaking) - 1
        self._slots.move(last, row)
        self._speaking[row] = self._speaking[last]
        self._speaking.pop()
        if self._reading is not None:
            self._slots.move(last + 1, last)
        self._slots.lengths.pop()


class Apart:
    """Requests that each have a cache of their own and take turns, a token each; for any model."""

    def __init__(self, model: "PreTrainedModel", most: int) -> None:
        self._model, self._most = model, most
        self._speaking: list[tuple[Speech, Steps]] = []

    def join(self, speech: Speech) -> bool:
        if len(self._speaking) >= self._most:
            return False
        self._speaking.append((speech, Steps(self._model, speech.prompt)))
        return True

    def advance(self) -> bool:
        for speech, steps in self._speaking:
            if not _over(speech):
                _take_turn(speech, steps)
        self._speaking = [(speech, steps) for speech, steps in self._speaking if not _over(speech)]
        return bool(self._speaking)

    def fail(self, error: Exception) -> None:
        for speech, _ in self._speaking:
            speech.fail(error)
        self._speaking = []


def _take_turn(speech: Speech, steps: Steps) -> None:
    """One token; what fails is the failure of that request alone."""
    try:
        fed = speech.next(1) if steps.begun else [speech.prompt[-1]]
        speech.hear(fed, steps.after(fed[0])[None])
    except Exception as error:
        speech.fail(error)


class Scheduler:
    """The queue and the thread of one model. Safe to use from several threads."""

    def __init__(self, name: str, runner: Callable[[], Runner], most: int) -> None:
        """runner: makes what decodes, when there is something to do. most: requests that are answered or wait."""
        self._name, self._runner, self._most = name, runner, most
        self._queue: deque[Speech] = deque()
        self._alive: list[Speech] = []
        self._lock = threading.Lock()
        self._running = False

    def submit(self, speech: Speech) -> None:
        """Put a request in the queue; its events tell the rest. Raises Busy when the queue is full."""
        with self._lock:
            self._alive = [one for one in self._alive if not (one.finished or one.gone)]
            if len(self._alive) >= self._most:
                raise Busy(
                    f"{self._name} has {len(self._alive)} questions to answer already; ask again in a moment, "
                    "or raise generator_queue",
                    RETRY_AFTER_S,
                )
            self._alive.append(speech)
            self._queue.append(speech)
            if not self._running:
                self._running = True
                # No daemon: torch brings a process down whose threads are cut off at its end.
                threading.Thread(target=self._run, name="generator").start()

    def _run(self) -> None:
        runner: Runner | None = None
        with torch.inference_mode():
            while threading.main_thread().is_alive():
                try:
                    runner = runner or self._runner()
                    self._admit(runner)
                    working = runner.advance()
                except Exception as error:  # whatever it is, those who wait must be told
                    working = False
                    self._fail(runner, error)
                with self._lock:
                    if not working and not self._queue:
                        self._running = False
                        return
        self._end(runner)

    def _end(self, runner: Runner | None) -> None:
        """The process is about to end: nobody is answered any more."""
        ending = GeneratorFailed(f"{self._name}: the program ends")
        if runner is not None:
            runner.fail(ending)
        self._fail(None, ending)

    def _admit(self, runner: Runner) -> None:
        """Let in who waits, in their order, while there is room; who has gone waits no longer."""
        with self._lock:
            waiting = [speech for speech in self._queue if not _over(speech)]
            while waiting and runner.join(waiting[0]):
                del waiting[0]
            self._queue = deque(waiting)

    def _fail(self, runner: Runner | None, error: Exception) -> None:
        """End all that were being decoded; those that wait are tried, unless there is nothing to try them with."""
        if runner is not None:
            return runner.fail(error)
        with self._lock:
            waiting, self._queue = self._queue, deque()
        for speech in waiting:
            speech.fail(error)
        return None


def _over(speech: Speech) -> bool:
    """Whether a request needs nothing any more; one whose asker has gone is ended."""
    if speech.gone:
        speech.finish("cancelled")
    return speech.finished


def _free(device: torch.device) -> int:
    """Memory that is free where the model stands, bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)
