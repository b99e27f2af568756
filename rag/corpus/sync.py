"""A collection follows places: what is new there comes in, what changed is replaced, what was moved moves, what is gone
goes. One run, and what it did or would do."""

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from ingest import sources
from ingest.errors import Unsupported
from rag.corpus import FORMAT, Arrival, Corpus, Looked, Origin, Progress, survey
from rag.corpus.batches import Failure, Told
from rag.corpus.survey import Pages
from rag.store import collections as collection_store
from rag.store import syncs as store
from rag.store import writing
from rag.store.collections import Collection as StoredCollection
from rag.store.database import Database
from rag.store.syncs import Follows, Known, StoredSync
from rag.store.writing import Record
from rag.types import MetadataValue, Outcome

if TYPE_CHECKING:
    from ingest.web.fetcher import Fetcher

RETIRED_SOURCES = 256  # let go in one transaction
KEPT_FAILURES = 20  # of a run, in its row


@dataclass(frozen=True, slots=True)
class Moved:
    """A source that stands at another address than before."""

    uri: str
    moved_from: str


@dataclass(slots=True)
class Difference:
    """What a run did, or would do: sources by their addresses, each under one heading."""

    sync: str
    collection: str
    dry_run: bool
    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    skipped: int = 0
    failures: list[Failure] = field(default_factory=list)
    documents: int = 0  # alive in the collection afterwards
    chunks: int = 0
    embedded: int = 0  # strings that went through the model
    seconds: float = 0.0
    stopped: bool = False  # somebody asked to stop: nothing was let go

    @property
    def changed(self) -> bool:
        return bool(self.added or self.updated or self.moved or self.removed)

    def result(self) -> dict[str, MetadataValue]:
        """As it is kept with the sync."""
        shown: list[MetadataValue] = [[each.uri, each.reason] for each in self.failures[:KEPT_FAILURES]]
        return {
            "added": len(self.added),
            "updated": len(self.updated),
            "moved": len(self.moved),
            "removed": len(self.removed),
            "unchanged": self.unchanged,
            "skipped": self.skipped,
            "failed": len(self.failures),
            "embedded": self.embedded,
            "seconds": self.seconds,
            "failures": shown,
        }


def fetcher(hosts: Sequence[str], max_bytes: int) -> "Fetcher":
    """What fetches pages. Raises Refused for what is no host."""
    from ingest.web.fetcher import Fetcher

    return Fetcher(hosts, max_bytes=max_bytes)


@dataclass(frozen=True, slots=True)
class Options:
    """How a sync is run."""

    max_bytes: int  # of a file or page
    allow_empty: bool = False
    passwords: tuple[str, ...] = ()
    fetcher: Callable[[Sequence[str], int], "Fetcher"] = fetcher


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def run(
    corpus: Corpus,
    sync: StoredSync,
    options: Options,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    record: Record | None = None,
    told: Told = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Difference:
    """Make the collection what stands at the locations now. Killed anywhere and run again it ends as one whole run.

    `record`, `told` and `stopping` are those of Corpus.add_sources. Raises Conflict while another run of this sync
    lasts, Refused for a host that cannot be one.
    """
    started = time.monotonic()
    with store.running(corpus.database, sync), ExitStack() as stack:
        work = _Work(corpus, sync, options, stack, dry_run=False)
        work.claim()

        def hear(outcome: Outcome) -> None:
            work.take(outcome)
            told(outcome)

        report = corpus.add_sources(
            work.arrivals(),
            work.origin,
            total=work.total,
            max_bytes=options.max_bytes,
            progress=progress,
            record=record,
            told=hear,
            stopping=stopping,
            relocated=work.moves.match,
        )
        difference = work.difference
        difference.embedded, difference.stopped = report.embedded, report.stopped
        if not report.stopped:
            retire(corpus.database, corpus.collection, work.finish(), actor=work.origin.owner, record=record)
            for outcome in work.untold:
                told(outcome)
        _measure(difference, corpus, started)
        if not report.stopped:
            with corpus.database.write() as connection:
                if record is not None:
                    record(connection, work.untold)
                store.ended(connection, sync.id, difference.result() | {"read_as": work.read_as})
    return difference


def preview(corpus: Corpus, sync: StoredSync, options: Options) -> Difference:
    """What a run would do, as far as bytes tell: nothing is parsed, embedded or written. A file whose bytes changed but
    not its text counts as updated here, and one that is new as added, whatever is in it."""
    started = time.monotonic()
    with ExitStack() as stack:
        work = _Work(corpus, sync, options, stack, dry_run=True)
        for looked in corpus.look(work.arrivals(), work.origin, max_bytes=options.max_bytes):
            work.take(_foreseen(looked, work.moves))
        work.finish()
    _measure(work.difference, corpus, started)
    return work.difference


def first_preview(name: str, collection: str, follows: Follows) -> Difference:
    """What the first run of a sync would do where there is no collection yet: all its files are new. Pages are not
    asked for."""
    places = [each.place for each in follows.locations if each.kind == "path"]
    found = survey.files(places, (), allow_empty=True)
    return Difference(
        name,
        collection,
        dry_run=True,
        added=[sources.uri_of(path) for path in found.paths],
        failures=list(found.failed),
    )


def remove(
    database: Database, collection: StoredCollection, sync: StoredSync, *, keep_documents: bool, actor: str
) -> int:
    """Follow a sync's places no longer; how many documents went with it. Where it is killed, call it again."""
    with store.running(database, sync):
        removed = 0
        if not keep_documents:
            with database.read() as connection:
                uris = sorted(store.known(connection, sync.id))
            removed = retire(database, collection, uris, actor=actor)
        with database.write() as connection:
            store.forget(connection, collection, sync, actor=actor)
    return removed


def retire(
    database: Database,
    collection: StoredCollection,
    uris: Sequence[str],
    *,
    actor: str,
    record: Record | None = None,
) -> int:
    """Let sources go, some in each transaction; how many documents went with them."""
    removed = 0
    for start in range(0, len(uris), RETIRED_SOURCES):
        with database.write() as connection:
            if record is not None:  # with nothing: it may know that nothing may be written any more
                record(connection, [])
            some = uris[start : start + RETIRED_SOURCES]
            removed += writing.retire_sources(connection, collection, some, actor=actor)
    return removed


def _measure(difference: Difference, corpus: Corpus, started: float) -> None:
    with corpus.database.read() as connection:
        counts = collection_store.counts(connection, corpus.collection.id)
    difference.documents, difference.chunks = counts.documents, counts.chunks
    difference.seconds = round(time.monotonic() - started, 3)


def _foreseen(looked: Looked, moves: "Moves") -> Outcome:
    uri, error = looked.arrival.uri, looked.error
    if error is not None and isinstance(error, Unsupported) and not looked.arrival.named:
        return Outcome(uri, "skipped", str(error))
    if error is not None or looked.digest is None:
        return Outcome(uri, "failed", str(error))
    if looked.held is not None:
        return Outcome(uri, "unchanged", documents=looked.held)
    moves.match(uri, looked.digest)
    return Outcome(uri, "added")  # or updated: take() knows


# ── one run's knowledge ─────────────────────────────────────────────────────────────────────────────────────────────


class Moves:
    """Sources that are gone, waiting to be found at other addresses."""

    def __init__(self, gone: Iterable[Known], standing: Collection[str]) -> None:
        self._standing = standing
        self._gone: dict[bytes, list[str]] = {}
        self.taken: dict[str, str] = {}  # by the new address
        for known in gone:
            if known.digest is not None:
                self._gone.setdefault(known.digest, []).append(known.uri)

    def match(self, uri: str, digest: bytes) -> str | None:
        """The former address of a source that is new at its own: of several alike one that bore the same name."""
        candidates = self._gone.get(digest)
        if not candidates or uri in self._standing:
            return None
        name = uri.rpartition("/")[2]
        found = next((each for each in candidates if each.rpartition("/")[2] == name), candidates[0])
        candidates.remove(found)
        self.taken[uri] = found
        return found


class _Work:
    """What one run finds, and what becomes of it."""

    def __init__(self, corpus: Corpus, sync: StoredSync, options: Options, stack: ExitStack, *, dry_run: bool) -> None:
        self._corpus, self._sync, self._options = corpus, sync, options
        follows = sync.follows
        self.origin = Origin(follows.owner, follows.metadata, follows.labels)
        about = [FORMAT, follows.owner, dict(follows.metadata), sorted(follows.labels)]
        self.read_as = corpus.database.digest(json.dumps(about, sort_keys=True)).hex()
        self.difference = Difference(sync.name, corpus.collection.name, dry_run)
        self.untold: list[Outcome] = []  # of what add_sources never saw
        self._unfit: list[str] = []  # taken in before, and nothing that is taken in any more
        self._kept: set[str] = set()  # gone, but what they became could not be read
        self._survey(stack)

    def _survey(self, stack: ExitStack) -> None:
        corpus, sync, options = self._corpus, self._sync, self._options
        with corpus.database.read() as connection:
            mine = store.known(connection, sync.id)
        places = [each.place for each in sync.follows.locations if each.kind == "path"]
        self._files = survey.files(places, mine, allow_empty=options.allow_empty)
        self._fetcher: Fetcher | None = None
        self._pages = Pages()
        web = [each for each in sync.follows.locations if each.kind != "path"]
        if web:
            hosts = sync.follows.hosts
            self._fetcher = stack.enter_context(options.fetcher(hosts, options.max_bytes))
            self._pages = survey.pages(self._fetcher, web, hosts, mine, allow_empty=options.allow_empty)
        standing = dict.fromkeys(chain(map(sources.uri_of, self._files.paths), self._pages.urls))
        self.total = len(standing)
        with corpus.database.read() as connection:
            unowned = store.unowned(connection, corpus.collection.id, sync.id, list(standing))
        self._others, self._free = unowned.others, unowned.free
        self._known = {**mine, **unowned.free}
        missing = [uri for uri in mine if uri not in standing]
        self._gone, self._unsure = self._files.gone(uri for uri in missing if uri.startswith("file:"))
        if self._pages.whole:
            self._gone += [uri for uri in missing if not uri.startswith("file:")]
        self.moves = Moves((mine[uri] for uri in self._gone), {uri for uri in self._known if self._held(uri)})

    def _held(self, uri: str) -> bool:
        """Whether a source was taken in whole."""
        return uri in self._known and self._known[uri].documents > 0

    def _holds(self, uri: str) -> bool:
        """Whether there is anything of a source that could go."""
        return self._held(uri) or (uri in self._known and self._known[uri].live)

    def claim(self) -> None:
        """Look after the sources that stand here and that nobody looks after."""
        if self._free:
            with self._corpus.database.write() as connection:
                store.claim(connection, self._corpus.collection, self._sync.id, self._free)

    def arrivals(self) -> Iterator[Arrival]:
        """What is to be taken in."""
        yield from self._files.arrivals(self._options.passwords, self._sync.id, self._others)
        if self._fetcher is not None:
            for uri in self._others:
                self._pages.urls.pop(uri, None)
            trusted = (self._sync.result or {}).get("read_as") == self.read_as
            yield from self._pages.arrivals(self._fetcher, self._known, self._sync.id, conditional=trusted)

    def take(self, outcome: Outcome) -> None:
        """Hear what became of a source."""
        uri, difference = outcome.uri, self.difference
        if outcome.state == "failed":
            difference.failures.append(Failure(uri, outcome.reason))
            former = self.moves.taken.pop(uri, None)
            if former is not None:
                self._kept.add(former)
        elif outcome.state == "skipped":
            difference.skipped += 1
            if self._holds(uri):
                self._unfit.append(uri)
        elif uri in self.moves.taken:
            difference.moved.append(Moved(uri, self.moves.taken[uri]))
        elif outcome.state == "unchanged":
            difference.unchanged += 1
        elif self._holds(uri):
            difference.updated.append(uri)
        else:
            difference.added.append(uri)

    def finish(self) -> list[str]:
        """Complete the difference; returns the addresses of all that goes."""
        difference, pages = self.difference, self._pages
        going = [*(uri for uri in self._gone if uri not in self._kept), *self._unfit, *pages.gone]
        moved = set(self.moves.taken.values())
        difference.removed = [uri for uri in going if uri not in moved and self._holds(uri)]
        difference.unchanged += len(pages.unmodified)
        difference.skipped += len(self._others)
        failed = [*self._files.failed, *pages.failed, *self._unsure]
        difference.failures += failed
        self.untold = [
            *(Outcome(each.uri, "failed", each.reason) for each in failed),
            *(Outcome(uri, "unchanged", documents=self._known[uri].documents) for uri in pages.unmodified),
            *(Outcome(uri, "skipped", f"it belongs to the sync {name!r}") for uri, name in self._others.items()),
        ]
        return going
