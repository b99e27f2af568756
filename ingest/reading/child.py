"""A process that reads sources for another one: tasks come in by a pipe, documents go out by a second one.

Every message is a frame: its kind (1 byte), its length (8 bytes), a pickle. It ends when the pipe does, or its parent.
"""

import ctypes
import faulthandler
import os
import pickle
import resource
import signal
import struct
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from ingest.errors import Damaged, IngestError
from ingest.reading.limits import Limits, forget_peak, lower_wall, over_memory, peak_bytes, raise_wall
from ingest.reading.prepare import Begun, Item, Prepared, Sign, Task, Tools, Work, Working
from ingest.types import Chunk, CountTokens, Document

HEAD = struct.Struct("!cQ")
READY, UNABLE, BEGUN, WORKING, ITEM, ENDED = b"R", b"U", b"B", b"W", b"I", b"E"
ALMOST_ALL = 0.75  # of the memory: what fails with so much in use failed for want of more, whatever a library says
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Setup:
    """What a child is told first. The callables are pickled by name: they must stand in modules."""

    make_counter: Callable[[], CountTokens]
    sign: Sign | None
    work: Work
    limits: Limits


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task came to its end."""

    error: IngestError | None
    out_of_memory: bool
    peak_bytes: int  # of the process, while it did this


@dataclass(frozen=True, slots=True)
class _Folded:
    """Prepared without what can be taken from its document again."""

    document: Document
    cuts: tuple[tuple[int, int, tuple[str, ...], int | None], ...]
    signature: bytes | None


def fold(item: Item) -> bytes:
    if not isinstance(item, Prepared):
        return pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
    cuts = tuple((one.start, one.end, one.headings, one.page) for one in item.chunks)
    return pickle.dumps(_Folded(item.document, cuts, item.signature), pickle.HIGHEST_PROTOCOL)


def unfold(frame: bytes) -> Item:
    item: Item | _Folded = pickle.loads(frame)
    if not isinstance(item, _Folded):
        return item
    text = item.document.text
    chunks = tuple(
        Chunk(ordinal, start, end, text[start:end], headings, page)
        for ordinal, (start, end, headings, page) in enumerate(item.cuts)
    )
    return Prepared(item.document, chunks, item.signature)


def main(parent: int) -> None:
    """Serve the process `parent` by what are standard input and output now, until it goes away."""
    inbox, outbox = _pipes()
    _die_with(parent)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    try:
        setup: Setup = pickle.loads(_received(inbox))
        tools = Tools(setup.make_counter(), setup.limits, setup.sign)
    except Exception as error:
        _send(outbox, UNABLE, _pickled(error))
        return
    _send(outbox, READY, b"")
    while True:
        task: Task = pickle.loads(_received(inbox))
        ended = _serve(task, setup.work, tools, inbox, outbox)
        _send(outbox, ENDED, pickle.dumps(ended))


def _pipes() -> tuple[int, int]:
    """The two pipes under numbers of their own: a library that prints must not print into them."""
    inbox, outbox = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return inbox, outbox


def _die_with(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent; it ends the pipe when it has to
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # of a crash, its name is enough
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be watched
        os._exit(0)


def _serve(task: Task, work: Work, tools: Tools, inbox: int, outbox: int) -> Ended:
    error: IngestError | None = None
    out_of_memory = False
    forget_peak()
    raise_wall(tools.limits.memory_mb)
    try:
        _stream(task, work, tools, inbox, outbox)
    except RecursionError:
        error = Damaged(f"{task.uri}: it is nested too deeply to be read; save it again in a simpler form")
    except (IngestError, MemoryError) as raised:
        out_of_memory = _out_of_memory(raised)
        error = raised.with_traceback(None) if isinstance(raised, IngestError) else None
    except Exception as raised:
        error = IngestError(
            f"{task.uri}: preparing it failed ({type(raised).__name__}: {raised}); the program is at fault, not the "
            "file: please report it, and leave the file out until then"
        )
        out_of_memory = _out_of_memory(raised)
    lower_wall()
    peak = peak_bytes()
    if out_of_memory or (isinstance(error, Damaged) and peak > ALMOST_ALL * (tools.limits.memory_mb << 20)):
        error = over_memory(task.uri, tools.limits)
    return Ended(error and type(error)(str(error)), out_of_memory, peak)


def _stream(task: Task, work: Work, tools: Tools, inbox: int, outbox: int) -> None:
    for step in work(task, tools):
        if isinstance(step, Begun):
            _send(outbox, BEGUN, pickle.dumps(step))
            if not pickle.loads(_received(inbox)):  # the parent has this already
                return
        elif isinstance(step, Working):
            _send(outbox, WORKING, pickle.dumps(step))
        else:
            _send(outbox, ITEM, fold(step))


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether an allocation failed somewhere: libraries, and we, raise their own errors from a MemoryError."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _pickled(error: Exception) -> bytes:
    try:
        frame = pickle.dumps(error)
        pickle.loads(frame)
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return frame


def _send(outbox: int, kind: bytes, frame: bytes) -> None:
    try:
        for part in (HEAD.pack(kind, len(frame)), frame):
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(outbox, rest) :]
    except BrokenPipeError:  # nobody listens any more
        os._exit(0)


def _received(inbox: int) -> bytes:
    """The next message of the parent, which sends lengths and pickles only; ends the process where there is none."""
    (size,) = struct.unpack("!Q", _exactly(inbox, 8))
    return _exactly(inbox, size)


def _exactly(inbox: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(inbox, min(size, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
