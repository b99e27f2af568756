"""The vocabulary of ingestion: a source is read, parsed into blocks, assembled into a document, cut into chunks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ingest.formats.allowance import Allowance

BlockKind = Literal["heading", "paragraph", "list", "table", "code"]
MetadataValue = str | int | float | bool | None | list["MetadataValue"] | dict[str, "MetadataValue"]
Metadata = Mapping[str, MetadataValue]
"""JSON values only; keys are non-empty strings."""


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes as they were found at one address."""

    uri: str  # file:///… or https://… or upload:…; unique within a collection
    media_type: str  # found by content first, by suffix second; "text/plain", "application/pdf", …
    content: bytes
    passwords: tuple[str, ...] = ()  # to try on what is encrypted, in this order
    depth: int = 0  # how many containers (archives, messages) it lies in
    charset: str | None = None  # what whoever sent a text says of its encoding; None when nobody does
    allowance: Allowance | None = field(default=None, compare=False, repr=False)  # what containers may unpack to


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a parsed source that must not be torn without need: a paragraph, a heading, a table row group."""

    kind: BlockKind
    text: str
    level: int = 0  # 1…6 for headings, 0 otherwise
    page: int | None = None  # 1-based, where the format has pages


@dataclass(frozen=True, slots=True)
class Parsed:
    """One logical document as a parser found it, before its text is normalised."""

    blocks: Sequence[Block]
    title: str = ""  # the text's own title; "" when it has none
    external_id: str | None = None  # the id its own collection gave it (BEIR `_id`)
    metadata: Metadata = field(default_factory=dict)
    fragment: str = ""  # appended to the source's uri as #fragment when one source holds several documents
    name: str = ""  # its own file name, where it lies in a container; "" for the source's
    media_type: str = ""  # likewise


@dataclass(frozen=True, slots=True)
class Failed:
    """One logical document of a source that could not be parsed; the others of the source are not affected."""

    uri: str  # the source's, with a fragment that says where: "…#line=17"
    reason: str  # names the thing and the remedy


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that holds from an offset of a document's text on: a heading (until one of its level or above), a page,
    or the beginning of a block."""

    offset: int  # in code points
    kind: Literal["heading", "page", "paragraph", "list", "table", "code"]
    value: str = ""  # a heading's text; a page's number
    level: int = 0  # 1…6 for headings


@dataclass(frozen=True, slots=True)
class Document:
    """A normalised text and what is known of it. Offsets into `text` are exact from here on."""

    uri: str
    external_id: str | None
    title: str  # the text's own title, part of the content's identity; "" when it has none
    name: str  # what to call the place when the text has no title: the file name
    text: str  # Unicode NFC, "\n" line ends, no NUL, no lone surrogate
    outline: Sequence[Mark]  # ordered by offset
    metadata: Metadata
    media_type: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document: `text == document.text[start:end]`, always."""

    ordinal: int
    start: int
    end: int
    text: str
    headings: tuple[str, ...]  # the path of headings it stands under, outermost first
    page: int | None  # the page it begins on, 1-based


CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text as the embedder's own tokenizer counts them, special tokens included."""


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """How documents of one collection are cut."""

    max_tokens: int = 256  # of the whole embedded string (title, headings, text), special tokens included
    overlap_tokens: int = 0  # at most this many tokens of whole sentences are repeated from the chunk before
