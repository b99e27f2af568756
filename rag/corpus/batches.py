"""Whole documents gathered for one transaction, and what became of every source they came from."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from ingest.dedup import identity
from ingest.languages.detection import primary
from ingest.reading.prepare import Prepared
from ingest.types import Chunk, Mark, Metadata
from ingest.wording import counted
from rag.store import documents as document_store
from rag.store import writing
from rag.store.checks import stored_text
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.vectors import known, pack
from rag.store.writing import NewChunk, NewContent, NewDocument, Record, SourceRead, Written
from rag.types import Embedder, FileState, MetadataValue, Outcome

BATCH_CHUNKS = 128  # a transaction takes in whole documents until they hold this many new chunks
BATCH_DOCUMENTS = 256
BATCH_OUTCOMES = 1024
SHOWN_REASONS = 3

Told = Callable[[Outcome], None]
"""Called for every outcome, behind the transaction that made it true."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What holds for every document of one ingest."""

    owner: str
    metadata: Metadata = field(default_factory=dict)
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Failure:
    uri: str
    reason: str


@dataclass(slots=True)
class Report:
    """What an ingest did. Documents are counted once each; skipped and failed count sources (or parts of one)."""

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
    stopped: bool = False  # somebody asked to stop: what was not reached is missing here
    failures: list[Failure] = field(default_factory=list)
    document_ids: list[int] = field(default_factory=list)

    def fail(self, uri: str, reason: str) -> None:
        self.failed += 1
        self.failures.append(Failure(uri, reason))


@dataclass(slots=True)
class Tally:
    """What became of one source so far."""

    uri: str
    documents: Counter[str] = field(default_factory=Counter)  # by kind
    reasons: list[str] = field(default_factory=list)
    failed: int = 0  # documents of it that could not be used
    ended: tuple[FileState, str] | None = None  # said of the source as a whole, where that is more than its documents

    def count(self, written: Written) -> None:
        self.documents[written.kind] += 1
        if written.reason and len(self.reasons) < SHOWN_REASONS:
            self.reasons.append(written.reason)

    def outcome(self) -> Outcome:
        """The state of the source: of its documents, the one that says most."""
        total = self.documents.total()
        if self.ended is not None:
            return Outcome(self.uri, *self.ended, documents=total)
        if not total:
            if self.failed:
                reason = f"{self.uri}: of the {counted(self.failed, 'document')} in it none could be read"
                return Outcome(self.uri, "failed", reason)
            return Outcome(self.uri, "skipped", f"{self.uri}: it holds nothing that can be read")
        for state in ("updated", "added", "duplicate", "unchanged"):
            if self.documents[state]:
                return Outcome(self.uri, _state(state), "; ".join(self.reasons), total)
        raise AssertionError(self.documents)


def _state(name: str) -> FileState:
    return next(state for state in get_args(FileState) if state == name)


class Batch:
    """Documents and outcomes on their way into the store; what is new of them is embedded before the transaction."""

    def __init__(
        self,
        database: Database,
        collection: Collection,
        embedder: Embedder,
        origin: Origin,
        report: Report,
        *,
        cutting: bytes,
        record: Record | None = None,
        told: Told = lambda _: None,
        written: Callable[[], None] = lambda: None,
    ) -> None:
        self._database, self._collection, self._embedder = database, collection, embedder
        self._origin, self._report, self._cutting = origin, report, cutting
        self._record, self._told, self._written = record, told, written
        self._documents: list[tuple[Tally, NewDocument]] = []
        self._contents: dict[bytes, NewContent] = {}
        self._strings: dict[bytes, str] = {}  # digest → string to embed
        self._complete: dict[str, SourceRead] = {}
        self._ended: list[Tally | Outcome] = []
        self._gathered: set[str] = set()  # sources of which anything was gathered
        self.documents = 0
        self.chunks = 0

    def add(self, tally: Tally, prepared: Prepared, moved_from: str | None = None) -> None:
        """Gather one document of a source, which stood at `moved_from` before; writes what was gathered before when
        that is enough."""
        document = prepared.document
        full = len(self._strings) >= BATCH_CHUNKS or len(self._documents) >= BATCH_DOCUMENTS
        if full or any(gathered.uri == document.uri for _, gathered in self._documents):  # a place twice is an update
            self.flush()
        self._gathered.add(tally.uri)
        digest = self._database.digest(identity(document))
        if digest not in self._contents and not self._known(digest):
            self._contents[digest] = self._content(digest, prepared)
        new = NewDocument(
            content_digest=digest,
            content=None,
            source_uri=tally.uri,
            uri=document.uri,
            external_id=document.external_id,
            name=document.name,
            media_type=document.media_type,
            metadata={**document.metadata, **self._origin.metadata},
            owner=self._origin.owner,
            labels=self._origin.labels,
            signature=prepared.signature,
            moved_from=None if moved_from is None else moved_from + document.uri.removeprefix(tally.uri),
        )
        self._documents.append((tally, new))

    def complete(self, tally: Tally, read: SourceRead) -> None:
        """Say that the last document of a source was gathered, and that every one could be used."""
        self._complete[tally.uri] = read
        self._gathered.add(tally.uri)
        self.end(tally)

    def gathers(self, uri: str) -> bool:
        """Whether anything of a source is on its way, not in the store yet. May be asked from any thread."""
        return uri in self._gathered

    def end(self, ended: Tally | Outcome) -> None:
        """Say that there is no more to come of a source."""
        self._ended.append(ended)
        if len(self._ended) >= BATCH_OUTCOMES:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered, if anything."""
        if self._documents or self._complete or (self._ended and self._record is not None):
            self._write()
        else:
            self._tell([_outcome(each) for each in self._ended])
            self._ended = []

    def _known(self, digest: bytes) -> bool:
        """Whether the store has the text, cut as it would be cut now."""
        with self._database.read() as connection:
            return document_store.cut_as(connection, self._collection.id, digest, self._cutting)

    def _content(self, digest: bytes, prepared: Prepared) -> NewContent:
        document = prepared.document
        found = cut(self._database, prepared.chunks, prepared.embedded)
        self._strings |= found.strings
        return NewContent(
            digest=digest,
            title=document.title,
            text=document.text,
            text_digest=self._database.digest(stored_text(document.title, document.text)),
            outline=[outline_json(mark) for mark in document.outline],
            chunks=found.chunks,
            cutting=self._cutting,
            language=primary(document.metadata.get("language")),
        )

    def _write(self) -> None:
        report = self._report
        batch = [
            replace(document, content=self._contents.get(document.content_digest)) for _, document in self._documents
        ]
        vectors = embed(self._database, self._collection, self._embedder, self._strings)
        report.embedded += len(vectors)
        with self._database.write() as connection:
            written = writing.write_documents(
                connection,
                self._collection,
                batch,
                vectors,
                actor=self._origin.owner,
                complete=self._complete,
            )
            for (tally, _), result in zip(self._documents, written, strict=True):
                tally.count(result)
            outcomes = [_outcome(each) for each in self._ended]
            if self._record is not None:  # with nothing too: it may know that nothing may be written any more
                self._record(connection, outcomes)
        for result in written:
            setattr(report, result.kind, getattr(report, result.kind) + 1)
            if result.document_id is not None:
                report.document_ids.append(result.document_id)
        self.documents += len(written)
        self.chunks += sum(len(content.chunks) for content in self._contents.values())
        self._documents, self._contents, self._strings, self._complete, self._ended = [], {}, {}, {}, []
        self._gathered = set()
        self._tell(outcomes)
        self._written()

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._told(outcome)


def _outcome(ended: Tally | Outcome) -> Outcome:
    return ended.outcome() if isinstance(ended, Tally) else ended


@dataclass(frozen=True, slots=True)
class Cut:
    """The chunks of a text as they are stored, and the strings their vectors are made of, by digest."""

    chunks: tuple[NewChunk, ...]
    strings: Mapping[bytes, str]


def cut(database: Database, chunks: Sequence[Chunk], embedded: Sequence[str]) -> Cut:
    """Chunks, each with the string that is embedded for it, ready to be stored."""
    strings = {database.digest(string): string for string in embedded}
    digests = [database.digest(string) for string in embedded]
    new = tuple(
        NewChunk(piece.ordinal, piece.start, piece.end, piece.headings, piece.page, digest)
        for piece, digest in zip(chunks, digests, strict=True)
    )
    return Cut(new, strings)


def embed(
    database: Database, collection: Collection, embedder: Embedder, strings: Mapping[bytes, str]
) -> dict[bytes, bytes]:
    """The vectors of those strings that were never embedded before, by digest, as they are stored."""
    with database.read() as connection:
        there = known(connection, collection, sorted(strings))
    missing = {key: string for key, string in strings.items() if key not in there}
    if not missing:
        return {}
    rows = embedder.embed_passages(list(missing.values()))
    return {key: pack(row) for key, row in zip(missing, rows, strict=True)}


def outline_json(mark: Mark) -> list[MetadataValue]:
    return [mark.offset, mark.kind, mark.value, mark.level]
