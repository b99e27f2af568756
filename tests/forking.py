"""A process that has read libraries once and forks a child for every command: reading them takes seconds, a fork none.

The child does what `python -c CODE …` or `python -m MODULE …` would, with an environment, an exit code and outputs of
its own. For tests that need many processes; that a new interpreter does the same, others show.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_SERVER = """
import atexit, json, os, runpy, sys, threading, traceback
exec(sys.argv[1])

def live(order):
    os.environ.clear()
    os.environ.update(order["environment"])
    for number, name in enumerate((os.devnull, order["out"], order["err"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
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

for line in sys.stdin:
    child = os.fork()
    if not child:
        code = ended(json.loads(line))
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forking:
    """Commands one after the other. `imports`: Python that reads what they need; no thread may be left by it."""

    def __init__(self, imports: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _SERVER, imports],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, command: Sequence[str | Path], *, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Wait for `-c CODE …` or `-m MODULE …`. The exit code of what was killed is minus the signal's number."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            order = {
                "command": [str(part) for part in command],
                "environment": dict(env),
                "out": str(out),
                "err": str(err),
            }
            self._server.stdin.write(json.dumps(order) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            return subprocess.CompletedProcess([], code, out.read_text(), err.read_text())

    def close(self) -> None:
        self._server.communicate()
