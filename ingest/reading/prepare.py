"""One source becomes all that is stored of it, text and chunks, one document at a time and within limits.

This is what a child process of ingest.reading.pool does with each source; it works as well in any other process that
may end when a limit of time is passed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from ingest import parsers, sources
from ingest.chunk import chunk, embedded_text
from ingest.clean import assemble
from ingest.errors import Damaged, Empty, IngestError
from ingest.languages.detection import primary
from ingest.reading.limits import Clock, Limits, over_characters, over_documents
from ingest.types import Chunk, ChunkSettings, CountTokens, Document, Failed, Parsed, Source

LONG = 100_000  # characters of a document that takes its time

Sign = Callable[[str], bytes]
"""The signature of a text by which near-duplicates are found."""


@dataclass(frozen=True, slots=True)
class Task:
    """One source to read: a file by its path, or bytes that are in memory already. What was said by the sender goes
    before what the text says of itself."""

    uri: str
    path: Path | None = None  # read where the task is done, at most max_bytes of it
    source: Source | None = None
    max_bytes: int = 0
    title: str = ""
    external_id: str | None = None
    passwords: tuple[str, ...] = ()
    chunking: ChunkSettings = field(default_factory=ChunkSettings)

    def __post_init__(self) -> None:
        if (self.path is None) == (self.source is None):
            raise ValueError(f"{self.uri}: a task has either a path or a source")


@dataclass(frozen=True, slots=True)
class Begun:
    """The bytes were read. `content_hash` is their BLAKE2b, 32 bytes, without a key."""

    content_hash: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document, ready to be stored: its chunks, and what is embedded for each of them."""

    document: Document
    chunks: tuple[Chunk, ...]
    signature: bytes | None = None

    @property
    def embedded(self) -> tuple[str, ...]:
        """One string a chunk, in their order: what its vector is made of."""
        title = self.document.title
        return tuple(embedded_text(title, one.headings, one.text) for one in self.chunks)


@dataclass(frozen=True, slots=True)
class Working:
    """The next item is long and may take so much processor time: it is no sign of standing still."""

    seconds: float


Item = Prepared | Failed
Step = Begun | Working | Item


@dataclass(frozen=True, slots=True)
class Tools:
    """What preparing needs beside the source."""

    count_tokens: CountTokens
    limits: Limits
    sign: Sign | None = None


Work = Callable[[Task, Tools], Iterator[Step]]
"""First Begun, then the items; raises IngestError, at once or in between."""


def prepare(task: Task, tools: Tools) -> Iterator[Step]:
    """Read a source and give its documents in order; one among several that cannot be used is Failed instead.

    Raises IngestError when the rest of the source is lost. Where the processor time of `tools.limits` is used up, the
    process ends by SIGPROF.
    """
    limits = tools.limits
    parsing = Clock(limits.seconds)
    with parsing():
        source = _read(task)
        begun = Begun(blake2b(source.content, digest_size=32).digest(), source.media_type)
    yield begun
    found = parsers.parse(source)
    seen: set[str] = set()
    characters = count = 0
    while True:
        with parsing():
            item = next(found, None)
            if item is None:
                return
            count += 1
            if count > limits.documents:
                raise over_documents(task.uri, limits)
            if isinstance(item, Parsed):
                characters += _size(item)
                if characters > limits.characters:
                    raise over_characters(task.uri, limits)
                document = _assembled(task, source, item)
        if isinstance(item, Failed):
            yield item
        elif isinstance(document, Failed):
            yield document
        elif document.uri in seen:
            yield Failed(document.uri, f"{document.uri}: this id occurs twice in the file; the first one is kept")
        else:
            seen.add(document.uri)
            if len(document.text) > LONG:
                yield Working(limits.cutting_s(len(document.text)))
            yield _cut(document, task, tools)


def _read(task: Task) -> Source:
    if task.path is None:
        assert task.source is not None
        source = task.source
    else:
        source = replace(sources.read(task.path, max_bytes=task.max_bytes), uri=task.uri)
    return replace(source, passwords=task.passwords) if task.passwords else source


def _size(parsed: Parsed) -> int:
    """Characters of a document with all that is said of it."""
    blocks = sum(len(block.text) for block in parsed.blocks)
    return blocks + len(parsed.title) + len(parsed.fragment) + len(repr(parsed.metadata))


def _assembled(task: Task, source: Source, parsed: Parsed) -> Document | Failed:
    """The document; Failed when it is empty and only a part of the source. Raises Empty when it is all of it."""
    title, external_id = task.title or parsed.title, task.external_id or parsed.external_id
    try:
        return assemble(source, replace(parsed, title=title, external_id=external_id))
    except Empty as error:
        if not parsed.fragment:
            raise
        return Failed(str(error).rpartition(": there is no text")[0], str(error))


def _cut(document: Document, task: Task, tools: Tools) -> Item:
    limits = tools.limits
    try:
        with Clock(limits.cutting_s(len(document.text)))():
            language = primary(document.metadata.get("language"))
            cut = chunk(document.text, document.outline, document.title, task.chunking, tools.count_tokens, language)
            if not cut:
                raise Empty(f"{document.uri}: nothing in it can be searched; leave it out, or add text to it")
            prepared = Prepared(document, tuple(cut), tools.sign(document.text) if tools.sign else None)
            # A word of a million letters may count as one token: in a title, it would come back with every chunk.
            if sum(map(len, prepared.embedded)) > limits.characters + 4 * len(document.text):
                raise over_characters(document.uri, limits)
    except RecursionError as error:
        raise Damaged(f"{document.uri}: it is nested too deeply to be cut; save it again in a simpler form") from error
    except IngestError as error:
        return Failed(document.uri, str(error))
    return prepared
