"""Paths, uploads and texts become sources: which files are meant, and what their bytes are."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from ingest import media_types
from ingest.errors import TooLarge, Unreadable
from ingest.types import Source

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".ragignore"
"""Files and folders to leave out, in the syntax of .gitignore, at any level of a folder that is taken in."""

_JUNK_FOLDERS = frozenset(("node_modules", "__pycache__", "__MACOSX", "site-packages", "$RECYCLE.BIN"))
_JUNK_FILES = re.compile(
    r"Thumbs\.db|desktop\.ini|~\$.*|.*~|.*\.(?:pyc|pyo|swp|swo|tmp|bak|crdownload|part)", re.IGNORECASE
)
_SURROGATES = re.compile("[\ud800-\udfff]")

_Rules = tuple[tuple[Path, "GitIgnoreSpec"], ...]  # outermost folder first


def find(paths: Sequence[Path]) -> Iterator[Path]:
    """The files meant by some paths: a file is always taken, a folder with all below it, in the order of names.

    Left out of folders: hidden files and folders, junk (node_modules, __pycache__, backups, office locks), what a
    .ragignore names, devices, sockets and pipes. A file is given once, however many of the paths lead to it; links are
    followed, loops end. A path that does not exist is given as it is: reading it says so.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path.is_dir():
            yield from _walk(path, (), seen, frozenset())
        elif _first(path, seen):
            yield path


def _first(path: Path, seen: set[tuple[int, int]]) -> bool:
    try:
        status = path.stat()
    except OSError:
        return True
    key = (status.st_dev, status.st_ino)
    new = key not in seen
    seen.add(key)
    return new


def _walk(folder: Path, rules: _Rules, seen: set[tuple[int, int]], above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """The files of a folder. `above` are the folders that it lies in, by device and inode: a link back to one ends."""
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield folder  # reading it says what is wrong
        return
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    rules = _with_own(folder, rules)
    for entry in entries:
        path = folder / entry.name
        if left_out(entry.name):
            continue
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:  # a link to itself
            continue
        if not (is_folder or is_file) or _ignored(path, is_folder, rules):
            continue
        if is_folder:
            yield from _walk(path, rules, seen, above | {here})
        elif _first(path, seen):
            yield path


def left_out(name: str) -> bool:
    """Whether what has this name is hidden or junk, and so not taken from folders and archives."""
    return name.startswith(".") or name in _JUNK_FOLDERS or _JUNK_FILES.fullmatch(name) is not None


def _with_own(folder: Path, rules: _Rules) -> _Rules:
    ignore = folder / IGNORE_FILE
    if not ignore.is_file():
        return rules
    from pathspec import GitIgnoreSpec

    lines = ignore.read_text(encoding="utf-8", errors="replace").splitlines()
    return (*rules, (folder, GitIgnoreSpec.from_lines(lines)))


def _ignored(path: Path, is_folder: bool, rules: _Rules) -> bool:
    """As the innermost .ragignore that says anything of the path has it."""
    for folder, spec in reversed(rules):
        name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
        said = spec.check_file(name).include
        if said is not None:
            return said
    return False


def uri_of(path: Path) -> str:
    """The file:// address of a path; bytes of its name that are no text are kept in it."""
    return path.absolute().as_uri()


def read(path: Path, *, max_bytes: int) -> Source:
    """The bytes of a file, its absolute file:// address and its media type.

    Raises Unreadable for what is missing, not permitted or no regular file, TooLarge above `max_bytes`.
    """
    address = path.absolute()
    try:
        # Not blocking: opening a pipe would else wait for a writer for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise Unreadable(f"{address}: {error.strerror or error}; check the path and its permissions") from error
    try:
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable(f"{address}: this is not a regular file; name a file or a folder")
            if status.st_size > max_bytes:
                raise _too_large(str(address), status.st_size, max_bytes)
            content = file.read(status.st_size + 1)  # so much memory is asked for, whatever there is to read
            if len(content) > status.st_size:  # it grew, or its size is not told
                content += b"".join(_pieces(file, max_bytes - len(content)))
    except OSError as error:
        raise Unreadable(f"{address}: {error.strerror or error}; check the disk and the permissions") from error
    if len(content) > max_bytes:
        raise _too_large(str(address), len(content), max_bytes)
    return Source(uri_of(path), media_types.of(path.name, content), content)


def _pieces(file: BinaryIO, enough: int) -> Iterator[bytes]:
    """The rest of a file, or so much of it that it is more than enough."""
    while enough >= 0 and (piece := file.read(1 << 20)):
        enough -= len(piece)
        yield piece


def from_upload(name: str, content: bytes, media_type: str | None = None) -> Source:
    """A source from uploaded bytes; its address is `upload:` and the file's own name. What the sender says of the media
    type counts only where neither the bytes nor the name tell."""
    name = PurePosixPath(_SURROGATES.sub("\ufffd", name).replace("\\", "/")).name or "unnamed"
    found = media_types.of(name, content)
    said = (media_type or "").partition(";")[0].strip().lower()
    if said and said != media_types.BINARY and found == "text/plain" and media_types.of_name(name) is None:
        found = said
    return Source(f"upload:{quote(name)}", found, content)


def from_text(text: str, *, uri: str | None = None, media_type: str = "text/markdown") -> Source:
    """A source from a text that is already in memory. Without `uri` its address is `text:` and a digest of the text:
    the same text sent again is the same source."""
    content = _SURROGATES.sub("\ufffd", text).encode("utf-8")
    return Source(uri or f"text:{blake2b(content, digest_size=16).hexdigest()}", media_type, content)


def _too_large(name: str, size: int, limit: int) -> TooLarge:
    return TooLarge(f"{name}: {size:,} bytes, over the limit of {limit:,}; split it, or raise the limit (max_bytes)")
