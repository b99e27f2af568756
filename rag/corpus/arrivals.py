"""What comes in: sources by their paths or bytes, what looking at one tells, and how far an ingest is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest import sources
from ingest.errors import IngestError
from ingest.types import Source


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest has come."""

    sources_done: int
    sources: int | None  # None: not known yet
    documents: int
    chunks: int
    uri: str  # the source that was finished last; "" before the first


@dataclass(frozen=True, slots=True)
class Arrival:
    """A source: a file by its path, bytes that are there, or why there are none. One that was named is an error when no
    parser is there for it; one that only lies in a folder is passed over."""

    uri: str
    source: Source | Path | IngestError
    named: bool = True
    title: str = ""  # said by whoever sent it; goes before the text's own
    external_id: str | None = None  # likewise
    passwords: tuple[str, ...] = ()
    etag: str | None = None  # as its server tells its revisions apart
    modified: str | None = None
    sync_id: int | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """What reading the bytes of a source tells of it."""

    arrival: Arrival
    digest: bytes | None  # None where the bytes could not be read
    held: int | None  # how many documents it holds, if taking it in would change nothing
    error: IngestError | None


Relocated = Callable[[str, bytes], str | None]
"""The address at which a source stood before, given its address and digest; None where it is not one that moved."""


def file_arrivals(
    paths: Sequence[Path], *, passwords: tuple[str, ...] = (), sync_id: int | None = None
) -> list[Arrival]:
    """Every file that some paths mean, in order."""
    paths = [path.resolve() for path in paths]  # one file, one address, whichever way it was named
    named = {path.absolute() for path in paths}
    return [
        Arrival(sources.uri_of(path), path, path.absolute() in named, passwords=passwords, sync_id=sync_id)
        for path in sources.find(paths)
    ]
