"""A process that has read libraries once and forks a child for every command: reading them takes seconds, a fork none.

The child does what `python -c CODE …` or `python -m MODULE …` would, with an environment, an exit code and outputs of
its own; it can be killed as any other. For tests that need many processes; that a new interpreter does the same, others
show.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

WAIT_S = 60.0  # a command that takes longer hangs

_SERVER = """
import atexit, gc, json, os, runpy, socket, sys, threading, traceback
exec(sys.argv[2])

def live(order):
    os.environ.clear()
    os.environ.update(order["environment"])
    kind, what, *arguments = order["command"]
    sys.argv = [kind, *arguments]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<command>", "exec"), {"__name__": "__main__"})

def ended(order):
    try:
        live(order)
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0

tests = socket.socket(fileno=int(sys.argv[1]))
gc.freeze()  # else the first collection of every child would copy all of it
while True:
    line, files, _, _ = socket.recv_fds(tests, 1 << 20, 3)
    while line and not line.endswith(b"\\n"):
        line += tests.recv(1 << 20)
    if not line:
        break
    order = json.loads(line)
    if "wait" in order:
        _, status = os.waitpid(order["wait"], order["flags"])
        tests.sendall(b"%d %d\\n" % (order["wait"], status))
        continue
    child = os.fork()
    if not child:
        tests.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        code = ended(order)
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    for file in files:
        os.close(file)
    tests.sendall(b"%d 0\\n" % child)
"""


# For `-c`: the real command line, killed from inside, right after the n-th commit or just before it: a kill from
# outside would land wherever the machine's load puts it, and mostly miss. Its arguments: n, "before" or "after", the
# documents and removals of one transaction (0: as many as ever), and those of `rag`.
KILLER = """
import os, signal, sys
from contextlib import contextmanager
from rag.store.database import Database
left, before, size = int(sys.argv[1]), sys.argv[2] == "before", int(sys.argv[3])
write = Database.write
@contextmanager
def killing(self):
    global left
    with write(self) as connection:
        yield connection
        left -= 1
        if left == 0 and before:
            os.kill(os.getpid(), signal.SIGKILL)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
Database.write = killing
if size:
    import rag.corpus.batches, rag.corpus.sync
    rag.corpus.batches.BATCH_DOCUMENTS = rag.corpus.sync.RETIRED_SOURCES = size
from rag.cli import main
sys.argv = ["rag", *sys.argv[4:]]
main()
"""


class Forked:
    """A command at work. It stays a child of the server, so that its number is nobody else's until it is waited for."""

    def __init__(self, server: "Forking", pid: int) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None  # minus the signal's number for what was killed

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = WAIT_S) -> int:
        """Until it has ended; its exit code. TimeoutError when that takes longer, in seconds."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(self._server.status(self.pid, 0, timeout))
        return self.returncode

    def stands_still(self, timeout: float = WAIT_S) -> bool:
        """Wait until it was stopped, or has ended: True for the first."""
        status = self._server.status(self.pid, os.WUNTRACED, timeout)
        if not os.WIFSTOPPED(status):
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode is None


class Forking:
    """Commands, as many at once as are wanted. `imports`: Python that reads what they need; no thread may be left by
    it."""

    def __init__(self, imports: str) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", _SERVER, str(theirs.fileno()), imports],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def start(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
    ) -> Forked:
        """Begin `-c CODE …` or `-m MODULE …`; its files are descriptors, which remain the caller's to close."""
        order = {"command": [str(part) for part in command], "environment": dict(env)}
        nothing = os.open(os.devnull, os.O_RDWR)
        files = [nothing if each == subprocess.DEVNULL else each for each in (stdin, stdout, stderr)]
        frame = json.dumps(order).encode() + b"\n"
        sent = socket.send_fds(self._socket, [frame], files)
        self._socket.sendall(frame[sent:])
        os.close(nothing)
        return Forked(self, self._answer(WAIT_S)[0])

    def run(self, command: Sequence[str | Path], *, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Do a command to its end. The exit code of what was killed is minus the signal's number."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            code = self.start(command, env=env, stdout=out.fileno(), stderr=err.fileno()).wait(timeout=4 * WAIT_S)
            for file in (out, err):
                file.seek(0)
            return subprocess.CompletedProcess([], code, out.read(), err.read())

    def status(self, pid: int, flags: int, timeout: float) -> int:
        """What waitpid says of a command."""
        self._socket.sendall(json.dumps({"wait": pid, "flags": flags}).encode() + b"\n")
        answered = 0, 0
        while answered[0] != pid:  # an earlier wait that took too long may be answered only now
            answered = self._answer(timeout)
        return answered[1]

    def _answer(self, timeout: float) -> tuple[int, int]:
        ready, _, _ = select.select([self._socket], [], [], timeout)
        if not ready:
            raise TimeoutError(f"no answer within {timeout:g} s")
        line = b""
        while not line.endswith(b"\n"):
            byte = self._socket.recv(1)
            assert byte, "the process that forks has ended"
            line += byte
        number, status = line.split()
        return int(number), int(status)

    def close(self) -> None:
        self._socket.close()
        self._server.wait()
