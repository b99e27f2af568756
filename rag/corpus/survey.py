"""What stands at the locations of a sync now, and what of that which stood there can be said to be gone.

Not to be reached is not to be gone: nothing is let go of a folder that is missing, cannot be read, or is empty all at
once, nor of a site that does not answer or whose list of pages is not whole.
"""

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from ingest import sources
from ingest.errors import Gone, IngestError
from ingest.types import Failed
from ingest.wording import counted
from rag.corpus import Arrival
from rag.corpus.batches import Failure
from rag.store.syncs import Known, Location

if TYPE_CHECKING:
    from ingest.web.fetcher import Fetcher

KEPT = "nothing that came from it was removed"


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Files:
    """The files of some locations."""

    paths: tuple[Path, ...]  # in the order of an ingest
    named: frozenset[Path]  # locations that are files themselves
    failed: tuple[Failure, ...]  # locations
    roots: Mapping[Path, bool]  # of every location, and whether it could be reached

    def arrivals(self, passwords: tuple[str, ...], sync_id: int, leave: Collection[str]) -> Iterator[Arrival]:
        """The files to take in, without those of the addresses in `leave`."""
        for path in self.paths:
            uri = sources.uri_of(path)
            if uri not in leave:
                yield Arrival(uri, path, named=path in self.named, passwords=passwords, sync_id=sync_id)

    def gone(self, uris: Iterable[str]) -> tuple[list[str], list[Failure]]:
        """Of files that were taken in and are not among these: those that are gone, and why others cannot be."""
        walked = {str(path) for path in self.paths}
        gone: list[str] = []
        failed: dict[str, Failure] = {}

        @cache
        def barred(path: Path) -> str | None:
            """Why nothing can be said of what lies at or below a path."""
            if str(path) in walked and not _is_file(path):
                return ""  # a folder that cannot be listed; reading it says why
            if _is_link(path) and _status(path) is None:
                return f"{path}: this link leads to nothing; {KEPT}. Remove the link, or put back what it leads to"
            return None

        for uri in uris:
            path = path_of(uri)
            if not self._reached(path):
                continue
            said = next((why for one in (path, *path.parents) if (why := barred(one)) is not None), None)
            if said is None:
                gone.append(uri)
            elif said:
                failed[said] = Failure(uri, said)
        return gone, list(failed.values())

    def _reached(self, path: Path) -> bool:
        """Whether the location of a path could be looked at; where it has none any more, whether all could."""
        found = [reached for root, reached in self.roots.items() if path == root or root in path.parents]
        return all(found) if found else all(self.roots.values())


def files(places: Sequence[str], known: Collection[str], *, allow_empty: bool) -> Files:
    """Walk files and folders. `known` are the addresses that a sync has; a folder of which there were some, and that
    holds none now, fails unless `allow_empty`."""
    roots = [_resolved(Path(place)) for place in places]  # as an ingest does: one file, one address
    there = [root for root in roots if _status(root) is not None]
    paths = tuple(sources.find(there))
    reached = {root: root in there for root in roots}
    failed = [
        Failure(
            sources.uri_of(root),
            f"{root}: there is no such file or folder, or it cannot be reached; {KEPT}. Put it back, or register the "
            "sync anew without it",
        )
        for root in roots
        if root not in there
    ]
    for root in there:
        if allow_empty or _is_file(root) or _any_below(root, paths):
            continue
        lost = sum(1 for uri in known if uri.startswith("file:") and root in path_of(uri).parents)
        if lost and next(sources.find([root]), None) is None:
            reached[root] = False
            reason = f"{root}: it is empty, but {counted(lost, 'file')} came from it; {KEPT}. If it is meant to be "
            failed.append(Failure(sources.uri_of(root), f"{reason}empty, run it with --allow-empty"))
    return Files(paths, frozenset(root for root in there if _is_file(root)), tuple(failed), reached)


def path_of(uri: str) -> Path:
    """The path of a file:// address."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))


def _any_below(root: Path, paths: Sequence[Path]) -> bool:
    prefix = os.path.join(root, "")  # noqa: PTH118 (a Path drops the separator at its end)
    return any(str(path).startswith(prefix) for path in paths) or root in paths


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        return path.absolute()


def _is_file(path: Path) -> bool:
    status = _status(path)
    return status is not None and stat.S_ISREG(status.st_mode)


def _is_link(path: Path) -> bool:
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except OSError:
        return False


def _status(path: Path) -> os.stat_result | None:
    """What a path leads to; None where nothing can be said of it, whatever the reason."""
    try:
        return path.stat()
    except OSError:
        return None


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Pages:
    """The pages of some locations. They are asked for as they are drawn; what that told is known afterwards."""

    urls: dict[str, bool] = field(default_factory=dict)  # address → whether it was named itself
    failed: list[Failure] = field(default_factory=list)  # locations
    whole: bool = True  # whether a page that is not among them is gone
    gone: list[str] = field(default_factory=list)  # of those drawn: the server says so
    unmodified: list[str] = field(default_factory=list)  # of those drawn: the server says so

    def arrivals(
        self, fetcher: "Fetcher", known: Mapping[str, Known], sync_id: int, *, conditional: bool
    ) -> Iterator[Arrival]:
        """The pages to take in; when `conditional`, of `known` ones only those that changed."""
        from ingest.web.fetcher import NotModified

        for url, named in self.urls.items():
            had = known.get(url)
            had = had if conditional and had is not None and had.digest is not None else None
            try:
                page = fetcher.fetch(url, *((had.etag, had.modified) if had else ()))
                if isinstance(page, NotModified) and page.final_url != url:  # the way there may have changed
                    page = fetcher.fetch(url)
            except IngestError as error:
                if isinstance(error, Gone) and url in known:
                    self.gone.append(url)
                else:
                    yield Arrival(url, error, sync_id=sync_id)
                continue
            if isinstance(page, NotModified):
                self.unmodified.append(url)
                continue
            yield Arrival(url, page.source, named=named, etag=page.etag, modified=page.modified, sync_id=sync_id)


def pages(
    fetcher: "Fetcher",
    locations: Sequence[Location],
    hosts: Collection[str],
    known: Collection[str],
    *,
    allow_empty: bool,
) -> Pages:
    """Find the pages that pages and sitemaps mean."""
    from ingest.web.fetcher import normalised

    found = Pages()
    for location in locations:
        if location.kind == "page":
            try:
                found.urls[normalised(location.place)] = True
            except IngestError as error:
                found.failed.append(Failure(location.place, str(error)))
                found.whole = False
            continue
        listed = 0
        try:
            for entry in fetcher.sitemap(location.place):
                if isinstance(entry, Failed):
                    found.failed.append(Failure(entry.uri, entry.reason))
                    # A list of another host was never asked for. One that was, and fails now, may hide pages.
                    found.whole &= (urlsplit(entry.uri).hostname or "") not in hosts
                else:
                    listed += 1
                    found.urls.setdefault(entry.url, False)
        except IngestError as error:
            found.failed.append(Failure(location.place, f"{error}; {KEPT}"))
            found.whole = False
        if not listed and not allow_empty and found.whole and any(not uri.startswith("file:") for uri in known):
            reason = f"{location.place}: it lists no page any more; {KEPT}. If that is meant, run it with --allow-empty"
            found.failed.append(Failure(location.place, reason))
            found.whole = False
    return found
