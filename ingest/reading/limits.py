"""How much memory, time and output the reading of one source may take, and how a process holds itself to that.

Memory is a wall in the kernel: an allocation beyond it fails, in Python as MemoryError. Processor time is a timer that
ends the process, so that it also ends a loop in C that never comes back to Python. Whoever started the process watches
both from outside as well (ingest.reading.pool), for platforms and for ways round that these two do not cover.
"""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import TooLarge

PATIENCE = 10  # a source may keep us waiting without a word (for a disk, a busy machine, OCR) so many times `seconds`
CUT_RATE = 50_000  # characters that are cut in a second; prose reaches a hundred times that, lines of one word twice
_MARGIN = 24 << 20  # of memory, for libraries that are loaded after the wall stands, and for the stack
_LEAST = 16 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one source may take; one that would take more fails with TooLarge, naming the limit."""

    memory_mb: int = 512  # resident, in MiB: of the whole process that reads it, Python and libraries included
    seconds: float = 30.0  # of processor time to parse it; cutting a document has as much, and more for a long one
    characters: int = 50_000_000  # of all its documents together
    documents: int = 200_000  # in it; those that failed count too

    def cutting_s(self, characters: int) -> float:
        """Seconds of processor time that cutting a document of so many characters may take."""
        return self.seconds + characters / CUT_RATE


def over_memory(uri: str, limits: Limits) -> TooLarge:
    return TooLarge(
        f"{uri}: more than {limits.memory_mb:,} MB of memory are needed to read it; split it, or raise parse_memory_mb"
    )


def over_time(uri: str, limits: Limits) -> TooLarge:
    return TooLarge(
        f"{uri}: reading it took more than {limits.seconds:g} s of processor time; split it, or raise parse_seconds"
    )


def over_patience(uri: str, limits: Limits) -> TooLarge:
    return TooLarge(
        f"{uri}: reading it stood still for {PATIENCE * limits.seconds:g} s ({PATIENCE} times parse_seconds); "
        "check the disk it lies on, split it, or raise parse_seconds"
    )


def over_characters(uri: str, limits: Limits) -> TooLarge:
    return TooLarge(f"{uri}: it gives more than {limits.characters:,} characters; split it, or raise parse_characters")


def over_documents(uri: str, limits: Limits) -> TooLarge:
    return TooLarge(f"{uri}: it holds more than {limits.documents:,} documents; split it, or raise parse_documents")


class Clock:
    """Processor time of this process, all its threads together, which ends it (SIGPROF) when it is used up."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Count what happens inside. Not to be entered while another clock counts."""
        signal.setitimer(signal.ITIMER_PROF, self._left)
        try:
            yield
        finally:
            self._left = max(signal.setitimer(signal.ITIMER_PROF, 0)[0], 0.001)  # 0 would mean: for ever


def raise_wall(memory_mb: int) -> None:
    """Let allocations fail that would take this process over its memory. On Linux only; elsewhere it is watched.

    The kernel counts private memory only, so what the process has mapped from files comes off. Call it before each
    source: libraries that were loaded meanwhile are taken into account.
    """
    if sys.platform != "linux":
        return
    shared = int(Path("/proc/self/statm").read_text().split()[2]) * os.sysconf("SC_PAGE_SIZE")
    private = max((memory_mb << 20) - shared - _MARGIN, _LEAST)
    resource.setrlimit(resource.RLIMIT_DATA, (private, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def lower_wall() -> None:
    """Take the wall away, to be able to say that it was hit."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def forget_peak() -> None:
    """Let `peak_bytes` count from here, where that is possible: on Linux."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # not everywhere
            Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """The most memory that this process had resident."""
    if sys.platform == "linux":  # not getrusage: there a process inherits the peak of the one that started it
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
