"""What child processes are given in tests of the pool: a counter of tokens, and work that goes wrong in chosen ways.

The title of a task says what is to happen; what it does by its text alone stands in the harness of hostile files.
"""

import ctypes
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from ingest.errors import Damaged
from ingest.reading.prepare import Begun, Item, Prepared, Task, Tools, prepare
from ingest.types import CountTokens, Document


def _count(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) + 2 for text in texts]


def words() -> CountTokens:
    """A counter that takes words for tokens."""
    return _count


def no_counter() -> CountTokens:
    raise LookupError("the tokenizer is not there")


def no_interpreter() -> CountTokens:
    sys.stderr.write("the last words of it\n")
    sys.stderr.flush()
    os._exit(3)


def first_word(text: str) -> bytes:
    return text.split()[0].encode()


def plain(uri: str, text: str, title: str = "") -> Prepared:
    return Prepared(Document(uri, None, title, "a.txt", text, (), {}, "text/plain"), ())


def misbehave(task: Task, tools: Tools) -> Iterator[Begun | Item]:
    """Do what the title of the task names, else the usual."""
    fault = _FAULTS.get(task.title)
    if fault is None:
        yield from prepare(task, tools)
        return
    assert task.source is not None
    yield Begun(blake2b(task.source.content, digest_size=32).digest(), "text/plain")
    yield plain(task.uri, "the first document")
    yield from fault(task, tools)


def _segfault(task: Task, tools: Tools) -> Iterator[Item]:
    ctypes.string_at(0)
    yield from ()


def _killed(task: Task, tools: Tools) -> Iterator[Item]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield from ()


def _killed_once(task: Task, tools: Tools) -> Iterator[Item]:
    """The source is the name of a file that remembers."""
    assert task.source is not None
    mark = Path(os.fsdecode(task.source.content))
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    yield plain(f"{task.uri}#2", "the second document")


def _exit(task: Task, tools: Tools) -> Iterator[Item]:
    sys.stderr.write("no more of this\n")
    sys.stderr.flush()
    os._exit(7)
    yield from ()


def _spin_in_c(task: Task, tools: Tools) -> Iterator[Item]:
    from ingest.reading.limits import Clock

    with Clock(tools.limits.seconds)():
        re.match(r"(a+)+$", "a" * 64 + "b")
    yield from ()


def _sleep(task: Task, tools: Tools) -> Iterator[Item]:
    time.sleep(3600)
    yield from ()


def _gorge(task: Task, tools: Tools) -> Iterator[Item]:
    hoard = []
    while True:
        hoard.append(bytes(1 << 20))
    yield from ()


def _gorge_beyond_the_wall(task: Task, tools: Tools) -> Iterator[Item]:
    """Memory that the wall in the kernel does not count: shared with nobody, but mapped as if."""
    import mmap

    hoard = []
    while True:
        piece = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        for at in range(0, len(piece), 4096):
            piece[at] = 1
        hoard.append(piece)
    yield from ()


def _fault(task: Task, tools: Tools) -> Iterator[Item]:
    yield from ()
    raise KeyError("our own mistake")


def _damaged(task: Task, tools: Tools) -> Iterator[Item]:
    yield plain(f"{task.uri}#2", "the second document")
    raise Damaged(f"{task.uri}: the rest is lost; get it again")


def _wordy(task: Task, tools: Tools) -> Iterator[Item]:
    """Two hundred documents of a million characters."""
    for number in range(200):
        yield plain(f"{task.uri}#{number}", f"{number:07} " * 125_000)


def _prints(task: Task, tools: Tools) -> Iterator[Item]:
    sys.stdout.write("a library that prints")
    sys.stdout.flush()
    os.write(1, b"x" * 300_000)
    os.write(2, b"y" * 300_000)
    yield plain(f"{task.uri}#2", f"read from standard input: {sys.stdin.read()!r}")


def _environment(task: Task, tools: Tools) -> Iterator[Item]:
    yield plain(f"{task.uri}#2", "\n".join(sorted(os.environ)))


def _process(task: Task, tools: Tools) -> Iterator[Item]:
    yield plain(f"{task.uri}#2", str(os.getpid()))


def _child_of_its_own(task: Task, tools: Tools) -> Iterator[Item]:
    import subprocess

    other = subprocess.Popen(["sleep", "3600"])
    yield plain(f"{task.uri}#2", str(other.pid))
    time.sleep(3600)


_FAULTS: dict[str, Callable[[Task, Tools], Iterator[Item]]] = {
    "segfault": _segfault,
    "killed": _killed,
    "killed once": _killed_once,
    "exit": _exit,
    "spin": _spin_in_c,
    "sleep": _sleep,
    "gorge": _gorge,
    "gorge beyond the wall": _gorge_beyond_the_wall,
    "fault": _fault,
    "damaged": _damaged,
    "wordy": _wordy,
    "prints": _prints,
    "environment": _environment,
    "process": _process,
    "child": _child_of_its_own,
}
