"""One collection, open for writing: sources come in, texts are cut anew, duplicates judged, documents removed."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ingest import parsers
from ingest.chunk import chunk
from ingest.errors import Empty, IngestError, Unsupported
from ingest.headings import embedded_text
from ingest.media_types import OLE
from ingest.reading.prepare import Begun, Task
from ingest.types import ChunkSettings, Failed, Source
from rag.corpus.arrivals import Arrival, Looked, Progress, Relocated, file_arrivals
from rag.corpus.batches import Batch, Origin, Report, Tally, Told, cut, embed
from rag.store import collections as collection_store
from rag.store import contents as content_store
from rag.store import documents as document_store
from rag.store import writing
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.duplicates import alike
from rag.store.duplicates import second_looks as review
from rag.store.duplicates.policies import Policies
from rag.store.writing import NewContent, Record, SourceRead, Written
from rag.types import Embedder, Outcome

if TYPE_CHECKING:
    from ingest.reading.pool import Pool, Result

FORMAT = "2"  # part of every source's digest: raised when parsing changes what comes out
CUTTING = "2"  # likewise of every text's chunks: raised when cutting changes what comes out
RECUT_CONTENTS = 64  # texts cut anew in one transaction
REVIEWED_DOCUMENTS = 64  # documents judged in one transaction


@dataclass(frozen=True, slots=True)
class Corpus:
    """One collection, open for writing. Work on it from one thread at a time; other processes may write beside it."""

    database: Database
    collection: Collection
    embedder: Embedder
    pool: "Pool"

    @property
    def chunk_settings(self) -> ChunkSettings:
        settings = self.collection.settings
        return ChunkSettings(
            max_tokens=int(str(settings["chunk_tokens"])), overlap_tokens=int(str(settings["overlap_tokens"]))
        )

    @property
    def policies(self) -> Policies:
        return Policies.of(self.collection.settings)

    @property
    def cutting(self) -> bytes:
        """Digest of all that decides where a text is cut."""
        settings = self.chunk_settings
        return self.database.digest(json.dumps([CUTTING, settings.max_tokens, settings.overlap_tokens]))

    # ── adding ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_paths(
        self,
        paths: Sequence[Path],
        origin: Origin,
        *,
        max_bytes: int,
        passwords: tuple[str, ...] = (),
        progress: Callable[[Progress], None] = lambda _: None,
        record: Record | None = None,
        told: Told = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Report:
        """Take in files and folders. One that cannot be read becomes a failure in the report; the others go in.

        What was stored when this is interrupted stays; running it again gives the result of one whole run.
        """
        arrivals = file_arrivals(paths, passwords=passwords)
        return self.add_sources(
            arrivals,
            origin,
            total=len(arrivals),
            max_bytes=max_bytes,
            progress=progress,
            record=record,
            told=told,
            stopping=stopping,
        )

    def add_sources(
        self,
        arrivals: Iterable[Arrival],
        origin: Origin,
        *,
        total: int | None,
        max_bytes: int = 0,
        progress: Callable[[Progress], None] = lambda _: None,
        record: Record | None = None,
        told: Told = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
        relocated: Relocated = lambda _uri, _digest: None,
    ) -> Report:
        """Take in sources, one transaction per batch of whole documents; outcomes come in the order of the sources.

        `max_bytes` bounds what is read of a path. `record` is called in each transaction with what it makes true,
        `told` behind it. When `stopping` says so, the batch is finished and the report says `stopped`.
        """
        started, report = time.monotonic(), Report()
        done, uri = 0, ""

        def tell() -> None:
            progress(Progress(done, total, batch.documents, batch.chunks, uri))

        batch = Batch(
            self.database,
            self.collection,
            self.embedder,
            origin,
            report,
            cutting=self.cutting,
            record=record,
            told=told,
            written=tell,  # one file may hold thousands of documents
        )

        def wanted(arrival: Arrival, begun: Begun) -> bool:
            if batch.gathers(arrival.uri):  # it comes twice, and what the store says is not the last word on it
                return True
            return self._held(arrival, begun.content_hash, begun.media_type, origin) is None

        for arrival, result in self._read(arrivals, max_bytes, wanted):
            self._take(arrival, result, origin, report, batch, relocated)
            done, uri = done + 1, arrival.uri
            tell()
            if stopping():
                report.stopped = True
                break
        batch.flush()
        with self.database.read() as connection:
            counts = collection_store.counts(connection, self.collection.id)
        report.documents, report.chunks = counts.documents, counts.chunks
        report.seconds = round(time.monotonic() - started, 3)
        return report

    def look(self, arrivals: Iterable[Arrival], origin: Origin, *, max_bytes: int = 0) -> Iterator[Looked]:
        """What taking sources in would begin with: their bytes are read, nothing is parsed, embedded or written."""
        for arrival, result in self._read(arrivals, max_bytes, lambda _arrival, _begun: False):
            if isinstance(result, IngestError):
                yield Looked(arrival, None, None, result)
                continue
            deque(result.items, maxlen=0)  # whether it could be read is known behind its last item
            if result.content_hash is None:
                yield Looked(arrival, None, None, result.error)
                continue
            held = self._held(arrival, result.content_hash, result.media_type, origin)
            kind = result.media_type
            taken = held is not None or parsers.reads(kind) or kind == OLE  # an Office file with a password is one
            unfit = None if taken else parsers.unsupported(arrival.uri, kind)
            digest = self._source_digest(arrival, result.content_hash, result.media_type, origin)
            yield Looked(arrival, digest, held, unfit)

    def _read(
        self, arrivals: Iterable[Arrival], max_bytes: int, wants: Callable[[Arrival, Begun], bool]
    ) -> "Iterator[tuple[Arrival, Result | IngestError]]":
        """Every arrival in order, with what was read of it; only its bytes where `wants` says that it is not wanted."""
        drawn: deque[Arrival] = deque()  # taken from `arrivals`, not given out yet
        by_uri: dict[str, list[Arrival]] = {}

        def tasks() -> Iterator[Task]:
            for arrival in arrivals:
                drawn.append(arrival)
                if isinstance(arrival.source, IngestError):
                    continue
                by_uri.setdefault(arrival.uri, []).append(arrival)
                yield self._task(arrival, max_bytes)

        def wanted(task: Task, begun: Begun) -> bool:
            same = list(by_uri[task.uri])
            one = next(each for each in same if each.source is (task.source if task.path is None else task.path))
            return len(same) > 1 or wants(one, begun)

        for result in self.pool.run(tasks(), wanted):
            while isinstance(drawn[0].source, IngestError):
                failed = drawn.popleft()
                yield failed, failed.source  # type: ignore[misc]  # told apart a line above
            arrival = drawn.popleft()
            yield arrival, result
            by_uri[arrival.uri].pop(0)
            if not by_uri[arrival.uri]:
                del by_uri[arrival.uri]
        for arrival in drawn:
            assert isinstance(arrival.source, IngestError)
            yield arrival, arrival.source

    def _task(self, arrival: Arrival, max_bytes: int) -> Task:
        path = arrival.source if isinstance(arrival.source, Path) else None
        source = arrival.source if isinstance(arrival.source, Source) else None
        return Task(
            arrival.uri,
            path=path,
            source=source,
            max_bytes=max_bytes,
            title=arrival.title,
            external_id=arrival.external_id,
            passwords=arrival.passwords,
            chunking=self.chunk_settings,
        )

    def _take(
        self,
        arrival: Arrival,
        result: "Result | IngestError",
        origin: Origin,
        report: Report,
        batch: Batch,
        relocated: Relocated,
    ) -> None:
        """Gather the documents of one source. It is marked as taken in only when every one of them could be read."""
        tally = Tally(arrival.uri)
        if isinstance(result, IngestError):
            self._fail(arrival, result, tally, report, batch)
            return
        if not result.wanted:
            assert result.content_hash is not None
            held = self._held(arrival, result.content_hash, result.media_type, origin) or 0
            report.unchanged += held
            batch.end(Outcome(arrival.uri, "unchanged", documents=held))
            return
        uris: set[str] = set()
        digest = former = None
        if result.content_hash is not None:
            digest = self._source_digest(arrival, result.content_hash, result.media_type, origin)
            former = relocated(arrival.uri, digest)
        for item in result.items:
            if isinstance(item, Failed):
                report.fail(item.uri, item.reason)
                tally.failed += 1
                if item.uri != arrival.uri:
                    batch.end(Outcome(item.uri, "failed", item.reason))
                continue
            batch.add(tally, item, former)
            uris.add(item.document.uri)
        if result.error is not None:
            self._fail(arrival, result.error, tally, report, batch, result.media_type)
        elif tally.failed:
            batch.end(tally)
        else:
            assert digest is not None
            read = SourceRead(digest, frozenset(uris), arrival.sync_id, arrival.etag, arrival.modified, former)
            batch.complete(tally, read)

    def _fail(
        self,
        arrival: Arrival,
        error: IngestError,
        tally: Tally,
        report: Report,
        batch: Batch,
        media_type: str = "",
    ) -> None:
        nothing = isinstance(error, Unsupported) or (isinstance(error, Empty) and media_type.startswith("image/"))
        if nothing and not arrival.named:  # a folder holds logos and binaries that nobody meant
            report.skipped += 1
            tally.ended = ("skipped", str(error))
        else:
            report.fail(arrival.uri, str(error))
            tally.ended = ("failed", str(error))
        batch.end(tally)

    def _held(self, arrival: Arrival, content_hash: bytes, media_type: str, origin: Origin) -> int | None:
        """How many documents a source holds, if taking it in again would change nothing; else None."""
        digest = self._source_digest(arrival, content_hash, media_type, origin)
        with self.database.read() as connection:
            return document_store.source_documents(connection, self.collection.id, arrival.uri, digest)

    def _source_digest(self, arrival: Arrival, content_hash: bytes, media_type: str, origin: Origin) -> bytes:
        """Equal exactly when taking the source in again would give the same documents."""
        about = json.dumps(
            [
                FORMAT,
                media_type,
                arrival.title,
                arrival.external_id,
                arrival.source.charset if isinstance(arrival.source, Source) else None,
                origin.owner,
                dict(origin.metadata),
                sorted(origin.labels),
            ],
            sort_keys=True,
        )
        return self.database.digest(about.encode() + b"\x00" + content_hash)

    # ── cutting anew ────────────────────────────────────────────────────────────────────────────────────────────────

    def recut(self, *, progress: Callable[[int], None] = lambda _: None, actor: str = "local") -> int:
        """Cut every text by the collection's present settings that was cut by others; only new strings are embedded.

        Returns how many texts. Search goes on with the old chunks of each text until its new ones are there.
        """
        done = after = 0
        while True:
            with self.database.read() as connection:
                stale = content_store.cut_otherwise(
                    connection, self.collection.id, self.cutting, after=after, limit=RECUT_CONTENTS
                )
            if not stale:
                with self.database.write() as connection:
                    now = writing.locked(connection, self.collection)
                    if writing.cut_by_others(self.collection, now):
                        return done  # whoever changed them cuts the rest
                    some = content_store.cut_otherwise(connection, now.id, self.cutting, after=0, limit=1)
                    if not some:  # else another writer brought one meanwhile
                        collection_store.change_settings(connection, now.id, {"recut": None})
                        return done
                after = 0
                continue
            prepared: dict[int, NewContent] = {}
            strings: dict[bytes, str] = {}
            for content_id, content in stale:
                pieces = chunk(
                    content.text,
                    content.marks,
                    content.title,
                    self.chunk_settings,
                    self.embedder.count_tokens,
                    content.new.language,
                )
                found = cut(self.database, pieces, [embedded_text(content.title, p.headings, p.text) for p in pieces])
                strings |= found.strings
                prepared[content_id] = replace(content.new, chunks=found.chunks, cutting=self.cutting)
            vectors = embed(self.database, self.collection, self.embedder, strings)
            with self.database.write() as connection:
                writing.recut(connection, self.collection, prepared, vectors, actor=actor)
            after = stale[-1][0]
            done += len(stale)
            progress(done)

    # ── duplicates ──────────────────────────────────────────────────────────────────────────────────────────────────

    def review_duplicates(self, *, progress: Callable[[int], None] = lambda _: None, actor: str = "local") -> int:
        """Judge every document by the collection's present policies, the oldest first; how many duplicates were found.

        Documents that were held back by other policies ask for their places again.
        """
        found = after = done = 0
        while True:
            with self.database.write() as connection:
                step = review.review_documents(
                    connection, self.collection, after=after, limit=REVIEWED_DOCUMENTS, actor=actor
                )
            if not step.documents:
                break
            found, after, done = found + step.duplicates, step.after, done + step.documents
            progress(done)
        some = 1
        while some:
            with self.database.write() as connection:
                some = review.release_held(connection, self.collection, limit=REVIEWED_DOCUMENTS, actor=actor)
        after, some = 0, 1
        while some:
            with self.database.write() as connection:
                some, after = alike.review(
                    connection, self.collection, after=after, limit=REVIEWED_DOCUMENTS, actor=actor
                )
        with self.database.write() as connection:
            now = collection_store.by_id(connection, self.collection.id)
            if Policies.of(now.settings) == self.policies:  # else another judges by what was changed meanwhile
                collection_store.change_settings(connection, self.collection.id, {"review": None})
        return found

    # ── removing ────────────────────────────────────────────────────────────────────────────────────────────────────

    def remove(self, document_ids: Sequence[int], *, actor: str) -> int:
        """Take documents out of search and answers from the next request on; the log keeps its evidence."""
        with self.database.write() as connection:
            return writing.remove_documents(connection, self.collection, document_ids, actor=actor)

    def restore(self, document_id: int, *, actor: str) -> Written:
        """Put a removed document back. Raises NotFound, and Conflict when it lives or its address is taken."""
        with self.database.write() as connection:
            written = review.restore_document(connection, self.collection, document_id, actor=actor)
        self.recut(actor=actor)
        return written
