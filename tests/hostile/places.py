"""Places of a file system that are no files to be read, and names that few programs expect."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Hostile, of

GOOD = b"Tidal turbines harvest the moon.\n"


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


def line(path: Path) -> None:
    """A gigabyte in one line, of which only the ends take place on the disk."""
    with path.open("wb") as file:
        file.write(GOOD.strip())
        file.seek((1 << 30) - 1)
        file.write(b"x")


def loop(path: Path) -> None:
    other = path.with_name("other-link")
    path.symlink_to(other)
    other.symlink_to(path)


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def listening(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def missing(path: Path) -> None:
    """Nothing is made: it was removed between being found and being read."""


HOSTILE: list[Hostile] = [
    Hostile("line.txt", line, "refused", "max_bytes"),
    Hostile("zeros.txt", sparse, "refused", "max_bytes"),
    Hostile("zeros", sparse, "refused", "max_bytes"),
    Hostile("loop.txt", loop, "refused", "path"),
    Hostile("dangling.txt", link("nowhere"), "refused", "path"),
    Hostile("zero.txt", link("/dev/zero"), "refused", "regular file"),
    Hostile("tty.txt", link("/dev/tty"), "refused"),
    Hostile("memory.txt", link("/proc/self/mem"), "refused"),
    Hostile("page-map.txt", link("/proc/self/pagemap"), "refused", "max_bytes"),
    Hostile("pipe.txt", os.mkfifo, "refused", "regular file"),
    Hostile("socket.txt", listening, "refused"),
    Hostile("folder.pdf", Path.mkdir, "refused", "directory"),
    Hostile("missing.txt", missing, "refused", "path"),
    of("two\nlines\t.txt", lambda: GOOD, "read"),
    of(os.fsdecode(b"caf\xe9 \xff.txt"), lambda: GOOD, "read"),
    of("n" * 251 + ".txt", lambda: GOOD, "read"),
    of("%2e%2e%2f#a?b=c&;.txt", lambda: GOOD, "read"),
    of("-rf ~ $(x) `y`.txt", lambda: GOOD, "read"),
    of("\u202etxt.exe.md", lambda: GOOD, "read"),
    of(".txt", lambda: GOOD, "read"),
]
