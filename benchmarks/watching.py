"""A process and all that it starts, watched from outside: seconds, processor time, peak memory, disturbances."""

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY_S = 0.05  # between two looks at the memory
CHILDREN_EVERY_S = 0.25  # between two looks for new children, which cost more
MIB = 1 << 20


@dataclass(frozen=True)
class Watched:
    """One run of a program."""

    seconds: float  # from before it was started until it had ended
    code: int
    cpu_s: float  # processor time of it and its children
    parent_peak_mb: float  # most memory the process itself had resident
    parent_anonymous_peak_mb: float  # of that, what is no page of a file, which the kernel can take back; sampled
    tree_peak_mb: float  # resident with its children, sampled; pages that several share count for each
    children: int  # most at a time
    load_before: float  # load average over a minute when it was started
    others_cores: float  # processor cores that other programs kept busy meanwhile
    output: str
    errors: str  # the end of what it said on standard error

    @property
    def figures(self) -> dict[str, float]:
        """What a result keeps."""
        return {
            "seconds": round(self.seconds, 2),
            "cpu_s": round(self.cpu_s, 1),
            "cores_busy": round(self.cpu_s / self.seconds, 2),
            "parent_peak_mb": round(self.parent_peak_mb, 1),
            "parent_anonymous_peak_mb": round(self.parent_anonymous_peak_mb, 1),
            "tree_peak_mb": round(self.tree_peak_mb, 1),
            "children": self.children,
            "load_before": round(self.load_before, 2),
            "others_cores": round(self.others_cores, 2),
        }


def watch(command: Sequence[str], environment: dict[str, str]) -> Watched:
    """Run a program to its end and measure it. Its environment is ours with these changes."""
    load, busy, began = os.getloadavg()[0], _busy_s(), time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            command, stdout=output, stderr=errors, stdin=subprocess.DEVNULL, env={**os.environ, **environment}
        )
        memory = _Memory(child.pid)
        while (ended := os.wait4(child.pid, os.WNOHANG))[0] == 0:
            memory.look()
            time.sleep(EVERY_S)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(ended[1])
        cpu = ended[2].ru_utime + ended[2].ru_stime
        output.seek(0)
        errors.seek(0)
        said, complained = output.read(), errors.read()[-4000:]
    return Watched(
        seconds=seconds,
        code=child.returncode,
        cpu_s=cpu,
        parent_peak_mb=memory.parent_mb,
        parent_anonymous_peak_mb=memory.anonymous_mb,
        tree_peak_mb=max(memory.parent_mb, memory.tree_mb),
        children=memory.children,
        load_before=load,
        others_cores=max(0.0, (_busy_s() - busy - cpu) / seconds),
        output=said,
        errors=complained,
    )


def wait_quiet(at_most_s: float, cores: float = 0.3, over_s: float = 10.0) -> None:
    """Wait until other programs keep less than so many cores busy, but not for longer than `at_most_s`."""
    until = time.monotonic() + at_most_s
    while time.monotonic() < until:
        before = _busy_s()
        time.sleep(over_s)
        if (_busy_s() - before) / over_s < cores:
            return


class _Memory:
    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._family: list[psutil.Process] = []
        self._looked = 0.0
        self.parent_mb = self.anonymous_mb = self.tree_mb = 0.0
        self.children = 0

    def look(self) -> None:
        now = time.monotonic()
        if now - self._looked > CHILDREN_EVERY_S:
            self._looked = now
            with suppress(psutil.Error):
                self._family = self._root.children(recursive=True)
            self.children = max(self.children, len(self._family))
        resident = sum(_resident(process) for process in (self._root, *self._family)) / MIB
        self.tree_mb = max(self.tree_mb, resident)
        high_water, anonymous = _status(self._root.pid)
        self.parent_mb = max(self.parent_mb, high_water / MIB)
        self.anonymous_mb = max(self.anonymous_mb, anonymous / MIB)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended
        return 0


def _status(pid: int) -> tuple[int, int]:
    """The most memory a process ever had resident, and what it has now that is no page of a file, in bytes as the
    kernel counts them; zeros when it has ended."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        found = {
            name: int(rest.split()[0]) << 10
            for name, _, rest in (line.partition(":") for line in lines)
            if "kB" in rest
        }
        return found.get("VmHWM", 0), found.get("RssAnon", 0)
    return 0, 0


def _busy_s() -> float:
    """Seconds that the machine's cores were not idle, all together, since it was started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
