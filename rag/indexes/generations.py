"""Numbered, checksummed folders of index files: written aside, synced, renamed, and named current last.

    <folder>/<fingerprint's slug>/
        lock                        held by the one process that writes
        CURRENT                     the number of the generation to read and the digest of its manifest
        0000000007/manifest.json    what it is, and the size and the digests of every file
        0000000007/vectors/…        one folder a part
        0000000007/keywords/…
        new-…/                      being written, or left by a crash; never read

A reader that finds anything missing or different raises IndexDamaged; nothing here is the truth, so all of it can be
deleted at any time.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

from rag import locks
from rag.errors import IndexDamaged

FORMAT = 2
BLOCK = 1 << 20  # bytes under one digest
DIGEST = 16  # bytes of a digest


@dataclass(frozen=True, slots=True)
class Contents:
    """The size of a file and the digest of each of its blocks."""

    size: int
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """What an index was made with; any difference makes it another index."""

    fingerprint: str  # of the embedder
    dim: int
    vectors: str  # backend
    keywords: str  # backend
    analysis: int  # version of the analysis of texts
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Generation:
    """One complete, published snapshot."""

    folder: Path
    number: int
    position: int
    chunks: int
    kind: Kind
    files: Mapping[str, Contents]  # by path relative to the folder, with "/"

    def verify(self, part: str, unread: frozenset[str] = frozenset()) -> None:
        """Read every file of a part and compare, but of those `unread` the size alone, because whoever reads them
        checks what is read. Raises IndexDamaged naming the first difference."""
        for name in sorted(name for name in self.files if name.startswith(f"{part}/")):
            if problem := self._missing(name) if name.removeprefix(f"{part}/") in unread else self._difference(name):
                raise IndexDamaged(f"{problem}; it is rebuilt from SQL by the next `rag rebuild` or ingest")

    def problems(self) -> list[str]:
        """Every difference between the files and the manifest, in words."""
        return [problem for name in sorted(self.files) if (problem := self._difference(name))]

    def _missing(self, name: str) -> str | None:
        path, expected = self.folder / name, self.files[name]
        try:
            size = path.stat().st_size
        except OSError as error:
            return f"{path} cannot be read: {error.strerror or error}"
        return f"{path} has {size} bytes, not {expected.size}" if size != expected.size else None

    def _difference(self, name: str) -> str | None:
        path, expected = self.folder / name, self.files[name]
        try:
            found = measure(path)
        except OSError as error:
            return f"{path} cannot be read: {error.strerror or error}"
        if found.size != expected.size:
            return f"{path} has {found.size} bytes, not {expected.size}"
        for number, (ours, theirs) in enumerate(zip(found.blocks, expected.blocks, strict=True)):
            if ours != theirs:
                return f"{path} differs from its checksum in the block at byte {number * BLOCK}"
        return None


def measure(path: Path) -> Contents:
    """The size and block digests of a file as it stands on disk."""
    blocks = []
    size = 0
    buffer = memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            while count < BLOCK and (more := file.readinto(buffer[count:])):
                count += more
            blocks.append(blake2b(buffer[:count], digest_size=DIGEST).hexdigest())
            size += count
    return Contents(size, tuple(blocks))


def slug(fingerprint: str) -> str:
    """A folder name for a fingerprint: legible at its beginning, unique by the digest at its end."""
    legible = re.sub(r"[^a-z0-9]+", "-", fingerprint.lower()).strip("-")[:40].strip("-")
    return f"{legible}-{blake2b(fingerprint.encode(), digest_size=8).hexdigest()}".lstrip("-")


class Generations:
    """The generations of one index under one embedder. Reading takes no lock."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.folder = folder / slug(kind.fingerprint)
        self.kind = kind

    def stamp(self) -> tuple[int, int] | None:
        """Changes whenever another generation becomes current; None when there is none. One system call."""
        try:
            found = (self.folder / "CURRENT").stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def current(self) -> Generation | None:
        """The generation to read, its files not yet verified; None when none was ever published.

        Raises IndexDamaged when there is one that cannot be used: damaged, or made for something else.
        """
        try:
            line = (self.folder / "CURRENT").read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IndexDamaged(f"{self.folder / 'CURRENT'} cannot be read: {error.strerror or error}") from error
        found = re.fullmatch(r"(\d{1,18}) ([0-9a-f]{32})\n", line)
        if not found:
            raise IndexDamaged(f"{self.folder / 'CURRENT'} is not readable; `rag rebuild` writes it anew")
        return self._read(int(found[1]), found[2])

    def _read(self, number: int, digest: str) -> Generation:
        folder = self._at(number)
        path = folder / "manifest.json"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise IndexDamaged(f"{path} cannot be read: {error.strerror or error}") from error
        if blake2b(content, digest_size=DIGEST).hexdigest() != digest:
            raise IndexDamaged(f"{path} differs from its checksum")
        try:
            told = json.loads(content)
            kind, position, chunks = dict(told["kind"]), int(told["position"]), int(told["chunks"])
            files = {name: Contents(size, tuple(blocks)) for name, (size, blocks) in told["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IndexDamaged(f"{path} is of another form; `rag rebuild` makes the index anew") from error
        if kind != asdict(self.kind):
            differs = [name for name, ours in asdict(self.kind).items() if kind.get(name) != ours]
            raise IndexDamaged(f"{folder} was made with another {', '.join(differs)}; `rag rebuild` makes it anew")
        return Generation(folder, number, position, chunks, self.kind, files)

    def _number(self) -> int:
        """What CURRENT names, sound or not; 0 when it names nothing."""
        with suppress(OSError, ValueError, IndexError):
            return int((self.folder / "CURRENT").read_text(encoding="ascii").split()[0])
        return 0

    def _at(self, number: int) -> Path:
        return self.folder / f"{number:010}"

    def numbers(self) -> list[int]:
        """Every generation that is on disk, current or not, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(entry.name) for entry in self.folder.iterdir() if re.fullmatch(r"\d{10,}", entry.name))

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """The applier's lock: whether this process has it. Never waits; the system frees it when a process dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with locks.held(self.folder / "lock") as mine:
            yield mine

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder to write a generation in; gone afterwards unless it was published. Needs the lock."""
        for left in self.folder.glob("new-*"):
            shutil.rmtree(left)
        folder = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, staging: Path, position: int, chunks: int) -> Generation:
        """Make what stands in `staging` the current generation, durably, and drop those no reader needs any more:
        all but the new one and the one that was current before. Needs the lock."""
        before = self._number()
        number = max([0, before, *self.numbers()]) + 1
        paths = sorted(path for path in staging.rglob("*") if path.is_file())
        files = {path.relative_to(staging).as_posix(): measure(path) for path in paths}
        told = {
            "number": number,
            "position": position,
            "chunks": chunks,
            "kind": asdict(self.kind),
            "files": {name: [contents.size, contents.blocks] for name, contents in files.items()},
        }
        content = json.dumps(told, indent=1).encode()
        (staging / "manifest.json").write_bytes(content)
        _sync([*paths, staging / "manifest.json", *(path for path in staging.rglob("*") if path.is_dir()), staging])
        staging.rename(self._at(number))
        _sync([self.folder])
        digest = blake2b(content, digest_size=DIGEST).hexdigest()
        new = self.folder / "CURRENT.new"
        new.write_text(f"{number} {digest}\n", encoding="ascii", newline="\n")
        _sync([new])
        new.replace(self.folder / "CURRENT")
        _sync([self.folder])
        for old in self.numbers():
            if old not in (number, before):
                with suppress(OSError):  # a leftover costs room only; the next publication tries again
                    shutil.rmtree(self._at(old))
        return Generation(self._at(number), number, position, chunks, self.kind, files)


def _sync(paths: Sequence[Path]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
