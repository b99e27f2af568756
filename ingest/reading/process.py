"""A child process that reads sources, as its parent sees it: started, spoken to, watched, ended.

It is started as a new interpreter, not forked: the parent may hold threads of numerical libraries, and may be a server,
a script or a console, of which nothing is run again in the child. That takes about 40 ms, and as much for a tokenizer;
fork servers start a child in 4 ms, but are started the same way first, and run the parent's main script again.
"""

import os
import pickle
import selectors
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from ingest.reading.child import ALMOST_ALL, HEAD, READY, UNABLE
from ingest.reading.limits import PATIENCE, Limits

WATCH_S = 0.02  # how often the memory of a child that works is looked at
START_S = 60.0
_OUT_OF_MEMORY = ("memory allocation of", "bad_alloc", "MemoryError", "ut of memory", "Cannot allocate")  # Rust, C++, …
_ALARM = 15 / 16  # of its memory: a child that gets there is ended before it has all
_TAIL = 4096  # bytes of what it said last on standard error
_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from ingest.reading.child import main; main(int(sys.argv[1]))"
_INHERITED = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TESSDATA_PREFIX", "SYSTEMROOT")
_INHERITED_PREFIXES = ("LC_", "LD_LIBRARY", "DYLD_")
_SINGLE = {  # there are several children; what threads reserve counts as memory
    "OMP_NUM_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "MALLOC_ARENA_MAX": "1",
    "HF_HUB_OFFLINE": "1",
}


class Died(Exception):
    """The child is no more. `cause`: "memory" or "patience" when it was ended for that, "stopped" when it was not
    needed any longer, "time" when its processor time was used up, "crash" when it ended by itself."""

    def __init__(self, cause: str, status: int = 0, tail: str = "") -> None:
        super().__init__(cause, status, tail)
        self.cause, self.status, self.tail = cause, status, tail

    def __str__(self) -> str:
        if self.status < 0:
            with suppress(ValueError):
                return f"it was ended by {signal.Signals(-self.status).name}"
        last = self.tail.strip().rpartition("\n")[2]
        return f"it ended with status {self.status}" + (f", saying: {last}" if last else "")


def environment() -> dict[str, str]:
    """Our variables that a child needs, and no secrets."""
    kept = {k: v for k, v in os.environ.items() if k in _INHERITED or k.startswith(_INHERITED_PREFIXES)}
    return {**kept, **_SINGLE}


class Process:
    """One child. All of it is used by one thread, which must live as long as the child: its death is the child's."""

    def __init__(self, setup: bytes, limits: Limits, stop: Callable[[], bool]) -> None:
        """Start it and wait until it is ready. Raises what its `make_counter` raises, RuntimeError when it cannot
        start, and Died when `stop` is true before that."""
        import psutil

        self.served = 0
        self.peak_bytes = 0
        self._limits, self._stop = limits, stop
        self._tail = b""
        self._looked = 0.0
        self._patience_s = START_S
        # A process group of its own: Ctrl-C is not for it, and whatever it starts ends with it.
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-c", _BOOT, str(os.getpid()), *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environment(),
                process_group=0,
            )
        except OSError as error:
            raise RuntimeError(f"a process to read documents could not be started: {error}") from error
        self._inbox, self._out, self._err = (pipe.fileno() for pipe in self._pipes())
        os.set_blocking(self._err, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self._selector.register(self._err, selectors.EVENT_READ)
        self._watched = psutil.Process(self._popen.pid)
        try:
            self._begin(setup)
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int:
        return self._popen.pid

    def send(self, message: object) -> None:
        """Raises Died."""
        self._write(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def watch(self, stop: Callable[[], bool]) -> None:
        """Begin a new source: the time it makes us wait counts from here. It dies as "stopped" once `stop` is true."""
        self._stop = stop
        self._tail = b""
        self.peak_bytes = 0
        self.wait_for(self._limits.seconds)

    def wait_for(self, seconds: float) -> None:
        """Have patience with a step that may take so much processor time."""
        self._patience_s = PATIENCE * seconds

    def head(self) -> tuple[bytes, int]:
        """Kind and length of the next message; what follows is not read yet. Raises Died."""
        kind, size = HEAD.unpack(self._exactly(HEAD.size))
        if size > self._limits.memory_mb << 20:  # it could not even hold it
            raise self.crashed()
        return kind, size

    def body(self, size: int) -> bytes:
        """Raises Died."""
        return self._exactly(size)

    def crashed(self) -> Died:
        """To be raised when what it says makes no sense."""
        return self._died("crash")

    def resident_bytes(self) -> int:
        """Of its memory now; 0 when it is no more."""
        import psutil

        try:
            resident: int = self._watched.memory_info().rss
        except psutil.Error:
            return 0
        self.peak_bytes = max(self.peak_bytes, resident)
        return resident

    def end(self) -> None:
        """End it, at once, with all that it started."""
        self._kill()
        self._selector.close()
        for pipe in self._pipes():
            pipe.close()

    def _kill(self) -> int:
        """End it if it has not ended, and say how it did. 0 where the kernel does not let go of it."""
        if self._popen.returncode is None:  # else its number may be another's by now
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)  # changes nothing for one that is ending by itself
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout=START_S)
        return self._popen.returncode or 0

    def _pipes(self) -> tuple[IO[bytes], ...]:
        pipes = (self._popen.stdin, self._popen.stdout, self._popen.stderr)
        return tuple(pipe for pipe in pipes if pipe is not None)

    def _begin(self, setup: bytes) -> None:
        try:
            self._write(setup)
            kind, size = self.head()
            answer = self.body(size)
        except Died as died:
            if died.cause == "stopped":
                raise
            raise RuntimeError(f"a process to read documents could not be started: {died}") from died
        if kind == UNABLE:
            error: Exception = pickle.loads(answer)
            raise error
        assert kind == READY
        self.ready_bytes = self.resident_bytes()

    def _write(self, frame: bytes) -> None:
        try:
            for part in (struct.pack("!Q", len(frame)), frame):
                rest = memoryview(part)
                while rest:
                    rest = rest[os.write(self._inbox, rest) :]
        except BrokenPipeError:
            raise self._died("crash") from None

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._some(size)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _some(self, size: int) -> bytes:
        """What there is to read, waiting for it and watching the child meanwhile."""
        while True:
            before = time.monotonic()
            ready = {key.fd for key, _ in self._selector.select(WATCH_S)}
            now = time.monotonic()
            self._patience_s -= now - before
            if now - self._looked >= WATCH_S:
                self._looked = now
                if self.resident_bytes() > (self._limits.memory_mb << 20) * _ALARM:
                    raise self._died("memory")
            if self._stop():
                raise self._died("stopped")
            if self._err in ready:
                self._listen()
            if self._out in ready:
                part = os.read(self._out, min(size, 1 << 20))
                if not part:
                    raise self._died("crash")
                return part
            if self._patience_s < 0:
                raise self._died("patience")

    def _listen(self) -> None:
        with suppress(BlockingIOError):
            said = os.read(self._err, 1 << 16)
            if not said:
                self._selector.unregister(self._err)
            self._tail = (self._tail + said)[-_TAIL:]

    def _died(self, cause: str) -> Died:
        """End it, and say why it ended as well as can be known."""
        status = self._kill()
        while self._err in self._selector.get_map():
            before = self._tail
            self._listen()
            if self._tail == before:
                break
        tail = self._tail.decode("utf-8", "replace")
        if cause == "crash" and status == -signal.SIGPROF:
            cause = "time"
        elif cause == "crash" and status != -signal.SIGKILL and self._out_of_memory(tail):
            cause = "memory"
        return Died(cause, status, tail)

    def _out_of_memory(self, tail: str) -> bool:
        much = self.peak_bytes > ALMOST_ALL * (self._limits.memory_mb << 20)
        return much or any(sign in tail for sign in _OUT_OF_MEMORY)
