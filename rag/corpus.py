"""The write route: sources are parsed, cleaned, deduplicated, cut, embedded once and stored; documents are removed."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ingest import parsers, sources
from ingest.chunk import chunk, embedded_text
from ingest.clean import assemble
from ingest.dedup import identity
from ingest.errors import Damaged, Empty, IngestError, Unsupported
from ingest.types import ChunkSettings, Document, Mark, Metadata, Source
from rag.errors import WrongUsage
from rag.store import collections as collection_store
from rag.store import documents as document_store
from rag.store import writing
from rag.store.checks import stored_text
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.vectors import known, pack
from rag.types import Embedder, MetadataValue

BATCH_CHUNKS = 128  # a transaction takes in whole documents until they hold this many new chunks
BATCH_DOCUMENTS = 256
FORMAT = "1"  # part of every source's digest: raised when parsing or chunking changes what comes out

FileState = Literal["added", "updated", "unchanged", "duplicate", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Failure:
    uri: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest has come."""

    sources_done: int
    sources: int
    documents: int
    chunks: int
    uri: str  # the source that was finished last; "" before the first


@dataclass(slots=True)
class Report:
    """What an ingest did. Documents are counted once each; skipped and failed count sources (or lines of one)."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicate: int = 0
    skipped: int = 0
    failed: int = 0
    documents: int = 0  # alive in the collection afterwards
    chunks: int = 0
    embedded: int = 0  # strings that went through the model
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    document_ids: list[int] = field(default_factory=list)

    def fail(self, uri: str, reason: str) -> None:
        self.failed += 1
        self.failures.append(Failure(uri, reason))


@dataclass(frozen=True, slots=True)
class Origin:
    """What holds for every document of one ingest."""

    owner: str
    metadata: Metadata = field(default_factory=dict)
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A source, or why it could not be read. One that was named is an error when no parser is there for it; one that
    only lies in a folder is passed over."""

    uri: str
    source: Source | IngestError
    named: bool = True
    title: str = ""  # said by whoever sent it; goes before the text's own
    external_id: str | None = None  # likewise


@dataclass(frozen=True, slots=True)
class Corpus:
    """One collection, open for writing. Work on it from one thread at a time; other processes may write beside it."""

    database: Database
    collection: Collection
    embedder: Embedder

    @property
    def chunk_settings(self) -> ChunkSettings:
        settings = self.collection.settings
        return ChunkSettings(
            max_tokens=int(str(settings["chunk_tokens"])), overlap_tokens=int(str(settings["overlap_tokens"]))
        )

    # ── adding ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_paths(
        self,
        paths: Sequence[Path],
        origin: Origin,
        *,
        max_bytes: int,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> Report:
        """Take in files and folders. One that cannot be read becomes a failure in the report; the others go in.

        What was stored when this is interrupted stays; running it again gives the result of one whole run.
        """
        paths = [path.resolve() for path in paths]  # one file, one address, whichever way it was named
        found = list(sources.find(paths))
        named = {path.absolute() for path in paths}

        def read() -> Iterator[Arrival]:
            for path in found:
                uri = path.absolute().as_uri()
                try:
                    source: Source | IngestError = sources.read(path, max_bytes=max_bytes)
                except IngestError as error:
                    source = error
                yield Arrival(uri, source, named=path.absolute() in named)

        return self.add_sources(read(), origin, total=len(found), progress=progress)

    def add_sources(
        self,
        arrivals: Iterable[Arrival],
        origin: Origin,
        *,
        total: int,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> Report:
        """Take in sources, one transaction per batch of whole documents."""
        started, report = time.monotonic(), Report()
        done, uri = 0, ""

        def tell() -> None:
            progress(Progress(done, total, batch.documents, batch.chunks, uri))

        batch = Batch(self, origin, report, written=tell)  # one file may hold thousands of documents
        for arrival in arrivals:
            try:
                if isinstance(arrival.source, IngestError):
                    raise arrival.source
                self._add_source(arrival, arrival.source, origin, report, batch)
            except IngestError as error:
                if isinstance(error, Unsupported) and not arrival.named:
                    report.skipped += 1
                else:
                    report.fail(arrival.uri, str(error))
            done, uri = done + 1, arrival.uri
            tell()
        batch.flush()
        with self.database.read() as connection:
            counts = collection_store.counts(connection, self.collection.id)
        report.documents, report.chunks = counts.documents, counts.chunks
        report.seconds = round(time.monotonic() - started, 3)
        return report

    def _add_source(self, arrival: Arrival, source: Source, origin: Origin, report: Report, batch: "Batch") -> None:
        """Gather the documents of one source. It is marked as taken in only when every one of them could be read."""
        digest = self._source_digest(arrival, source, origin)
        with self.database.read() as connection:
            held = document_store.source_documents(connection, self.collection.id, source.uri, digest)
        if held is not None:
            report.unchanged += held
            return
        seen: set[str] = set()
        whole = True
        for item in parsers.parse(source):
            if isinstance(item, parsers.Failed):
                report.fail(item.uri, item.reason)
                whole = False
                continue
            title, external_id = arrival.title or item.title, arrival.external_id or item.external_id
            document = assemble(source, replace(item, title=title, external_id=external_id))
            try:
                if document.uri in seen:
                    raise Damaged(f"{document.uri}: this id occurs twice in the file; the first one is kept")
                batch.add(source.uri, document)
                seen.add(document.uri)
            except IngestError as error:
                report.fail(document.uri, str(error))
                whole = False
        if whole:
            batch.complete(source.uri, writing.SourceRead(digest, frozenset(seen)))

    def _source_digest(self, arrival: Arrival, source: Source, origin: Origin) -> bytes:
        """Equal exactly when taking the source in again would give the same documents."""
        about = json.dumps(
            [
                FORMAT,
                source.media_type,
                arrival.title,
                arrival.external_id,
                origin.owner,
                dict(origin.metadata),
                sorted(origin.labels),
                self.chunk_settings.max_tokens,
                self.chunk_settings.overlap_tokens,
            ],
            sort_keys=True,
        )
        return self.database.digest(about.encode() + b"\x00" + source.content)

    # ── removing ────────────────────────────────────────────────────────────────────────────────────────────────────

    def remove(self, document_ids: Sequence[int], *, actor: str) -> int:
        """Take documents out of search and answers from the next request on; the log keeps its evidence."""
        with self.database.write() as connection:
            return writing.remove_documents(connection, self.collection, document_ids, actor=actor)


class Batch:
    """Whole documents gathered for one transaction; what is new of them is cut and embedded before it begins."""

    def __init__(
        self, corpus: Corpus, origin: Origin, report: Report, written: Callable[[], None] = lambda: None
    ) -> None:
        self._corpus, self._origin, self._report, self._written = corpus, origin, report, written
        self._documents: list[writing.NewDocument] = []
        self._contents: dict[bytes, writing.NewContent] = {}
        self._strings: dict[bytes, str] = {}  # digest → string to embed
        self._complete: dict[str, writing.SourceRead] = {}
        self.documents = 0
        self.chunks = 0

    def add(self, source_uri: str, document: Document) -> None:
        """Gather one document; writes what was gathered before when that is enough. Raises Empty, gathering nothing."""
        if not document.text.strip():
            raise Empty(f"{document.uri}: there is no text in it")
        full = len(self._strings) >= BATCH_CHUNKS or len(self._documents) >= BATCH_DOCUMENTS
        if full or any(gathered.uri == document.uri for gathered in self._documents):  # a place twice is an update
            self.flush()
        digest = self._corpus.database.digest(identity(document))
        if digest not in self._contents and not self._known(digest):
            self._contents[digest] = self._cut(digest, document)
        self._documents.append(
            writing.NewDocument(
                content_digest=digest,
                content=None,
                source_uri=source_uri,
                uri=document.uri,
                external_id=document.external_id,
                name=document.name,
                media_type=document.media_type,
                metadata={**document.metadata, **self._origin.metadata},
                owner=self._origin.owner,
                labels=self._origin.labels,
            )
        )

    def complete(self, source_uri: str, read: writing.SourceRead) -> None:
        """Say that the last document of a source was gathered."""
        self._complete[source_uri] = read

    def flush(self) -> None:
        """Write what was gathered, if anything."""
        if self._documents or self._complete:
            self._write()

    def _known(self, digest: bytes) -> bool:
        corpus = self._corpus
        with corpus.database.read() as connection:
            return bool(document_store.known_contents(connection, corpus.collection.id, [digest]))

    def _cut(self, digest: bytes, document: Document) -> writing.NewContent:
        corpus = self._corpus
        cut = chunk(
            document.text, document.outline, document.title, corpus.chunk_settings, corpus.embedder.count_tokens
        )
        if not cut:
            raise Empty(f"{document.uri}: nothing in it can be searched")
        new = []
        for piece in cut:
            string = embedded_text(document.title, piece.headings, piece.text)
            key = corpus.database.digest(string)
            self._strings[key] = string
            new.append(writing.NewChunk(piece.ordinal, piece.start, piece.end, piece.headings, piece.page, key))
        return writing.NewContent(
            digest=digest,
            title=document.title,
            text=document.text,
            text_digest=corpus.database.digest(stored_text(document.title, document.text)),
            outline=[outline_json(mark) for mark in document.outline],
            chunks=tuple(new),
        )

    def _embed(self) -> Mapping[bytes, bytes]:
        """The vectors of the strings that were never embedded before."""
        corpus = self._corpus
        with corpus.database.read() as connection:
            there = known(connection, corpus.collection, sorted(self._strings))
        missing = {key: string for key, string in self._strings.items() if key not in there}
        if not missing:
            return {}
        rows = corpus.embedder.embed_passages(list(missing.values()))
        self._report.embedded += len(missing)
        return {key: pack(row) for key, row in zip(missing, rows, strict=True)}

    def _write(self) -> None:
        corpus, report = self._corpus, self._report
        batch = [replace(document, content=self._contents.get(document.content_digest)) for document in self._documents]
        vectors = self._embed()
        with corpus.database.write() as connection:
            written = writing.write_documents(
                connection,
                corpus.collection,
                batch,
                vectors,
                actor=self._origin.owner,
                complete=self._complete,
            )
        for result in written:
            setattr(report, result.kind, getattr(report, result.kind) + 1)
            report.document_ids.append(result.document_id)
        self.documents += len(written)
        self.chunks += sum(len(content.chunks) for content in self._contents.values())
        self._documents, self._contents, self._strings, self._complete = [], {}, {}, {}
        self._written()


def outline_json(mark: Mark) -> list[MetadataValue]:
    return [mark.offset, mark.kind, mark.value, mark.level]


def open_corpus(
    database: Database, tenant: str, name: str, embedder: Embedder, *, chunk_tokens: int, overlap_tokens: int
) -> Corpus:
    """Open a collection for writing; it is made when it is not there.

    Raises WrongUsage if it was embedded by another embedder than this one: its vectors could not be compared.
    """
    if chunk_tokens > embedder.max_tokens:
        raise WrongUsage(
            f"chunk_tokens is {chunk_tokens}, but {embedder.name} embeds at most {embedder.max_tokens} tokens; "
            "the rest of every long chunk could not be found"
        )
    if overlap_tokens > chunk_tokens // 2:
        raise WrongUsage(f"chunk_overlap_tokens is {overlap_tokens}: at most half of chunk_tokens, {chunk_tokens // 2}")
    with database.read() as connection:
        tenant_id = collection_store.tenant(connection, tenant)
        found = None if tenant_id is None else collection_store.find(connection, tenant_id, name)
    if found is None:
        settings: Metadata = {"chunk_tokens": chunk_tokens, "overlap_tokens": overlap_tokens}
        with database.write() as connection:
            tenant_id = collection_store.ensure_tenant(connection, tenant)
            found = collection_store.find(connection, tenant_id, name) or collection_store.create(
                connection, tenant_id, name, embedder, settings
            )
    collection_store.require_embedder(found, embedder)
    return Corpus(database, found, embedder)
