"""The vocabulary above ingest/types.py: values and protocols. Read this first.

One shape per role, batch first, and a wrapper keeps the shape. Shapes of arrays stand in comments:
n texts or chunks, q questions, d dimensions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from threading import Event as CancelToken
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ingest.types import CountTokens, Metadata, MetadataValue

__all__ = ["CancelToken", "Metadata", "MetadataValue"]

Vectors = NDArray[np.float32]  # (n, d), unit rows: inner product is the cosine
Ids = NDArray[np.int64]  # (n,), chunk ids
Mode = Literal["hybrid", "semantic", "keyword"]


# ── taking in ───────────────────────────────────────────────────────────────────────────────────────────────────────


FileState = Literal["added", "updated", "unchanged", "duplicate", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source of an ingest, or of one document of a source where only that failed."""

    uri: str
    state: FileState
    reason: str = ""  # why it was skipped or failed, what it duplicates
    documents: int = 0  # of its documents: how many were written


# ── who may see what ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    tenant_id: int
    user: str  # the token's name; "local" on the command line
    labels: frozenset[str] | None = None  # None sees every label; unlabelled documents are seen by all of the tenant


@dataclass(frozen=True, slots=True, eq=False)
class Bitmap:
    """A set of chunk ids as packed bits, least significant bit first: bit i of the array is chunk id i; not to be
    changed."""

    bits: NDArray[np.uint8]
    _counted: list[int] = field(default_factory=list, init=False, repr=False)  # the count, once it was asked for

    @classmethod
    def of(cls, ids: Sequence[int] | Ids) -> "Bitmap":
        """The bitmap with exactly these ids set."""
        array = np.asarray(ids, dtype=np.int64)
        flags = np.zeros(int(array.max()) + 1 if array.size else 0, dtype=bool)
        flags[array] = True
        return cls(np.packbits(flags, bitorder="little"))

    def mask(self, ids: Ids) -> NDArray[np.bool_]:
        """For each id, whether it is in the set.  ids (n,) → (n,)"""
        size = self.bits.size * 8
        if not size or not ids.size:
            return np.zeros(ids.shape, dtype=bool)
        low, high = int(ids.min()), int(ids.max())
        inside = None if low >= 0 and high < size else (ids >= 0) & (ids < size)
        safe = ids if inside is None else np.where(inside, ids, 0)
        if ids.size * 8 >= size:  # so many that the bits are better unpacked once
            found = np.unpackbits(self.bits, bitorder="little").view(np.bool_).take(safe, mode="clip")
        else:
            found = ((self.bits[safe >> 3] >> (safe & 7).astype(np.uint8)) & 1).view(np.bool_)
        return np.asarray(found if inside is None else found & inside)

    def ids(self) -> Ids:
        """The ids in the set, ascending."""
        return np.flatnonzero(np.unpackbits(self.bits, bitorder="little").view(np.bool_)).astype(np.int64, copy=False)

    def count(self) -> int:
        """How many ids are in the set."""
        if not self._counted:
            whole = self.bits.size // 8 * 8
            words = int(np.bitwise_count(self.bits[:whole].view(np.uint64)).sum(dtype=np.int64))
            self._counted.append(words + int(np.bitwise_count(self.bits[whole:]).sum(dtype=np.int64)))
        return self._counted[0]


class Permitted(Protocol):
    """The chunks that may be seen by one question, as the SQL database says at `position`."""

    @property
    def position(self) -> int: ...

    def bitmap(self) -> Bitmap:
        """The permitted chunk ids; computed on first use, the same object afterwards."""
        ...


# ── search ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Part(NamedTuple):  # as Hit, made by the hundred for every question: a tuple costs a quarter of a dataclass
    """Where one stage of retrieval placed a hit."""

    rank: int  # 1-based
    score: float


class Hit(NamedTuple):
    chunk_id: int
    score: float  # of the last stage; comparable within one ranking only
    parts: Mapping[str, Part]  # "dense", "bm25", "fused", "rerank", … in the order of the stages


Ranking = Sequence[Hit]
"""Best first, ordered by (-score, chunk_id); a function of position, generation and query, nothing else."""


class Embedder(Protocol):
    """Texts become unit vectors. The same text gives the same vector whatever stands beside it in the batch."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors could: model, revision, weights, tokenizer, pooling, prefixes, normalisation,
        dimension, maximum length, precision, runtime."""
        ...

    @property
    def dim(self) -> int: ...

    @property
    def max_tokens(self) -> int:
        """The longest text that is embedded whole, special tokens included."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens included; never capped."""
        ...

    def counter(self) -> Callable[[], CountTokens]:
        """Makes `count_tokens` in another process, without the model's weights; can be pickled."""
        ...

    def embed_queries(self, texts: Sequence[str]) -> Vectors: ...

    def embed_passages(self, texts: Sequence[str]) -> Vectors: ...


class VectorIndex(Protocol):
    """Nearest chunks by inner product among the permitted.

    A backend is a module in rag/vectors with `new(dim) -> VectorIndex` and `open(folder) -> VectorIndex`.
    """

    @property
    def position(self) -> int:
        """Every change up to this position is in; none after it."""
        ...

    def __len__(self) -> int: ...

    def ids(self) -> Ids:
        """The chunk ids held (n,), ascending."""
        ...

    def apply(self, ids: Ids, vectors: Vectors, removed: Ids, upto: int) -> None:
        """Take in added rows (ids (n,), vectors (n, d)), drop `removed`, and stand at position `upto`.

        Adding an id that is held replaces its row; removing one that is not held is no error.
        Raises ValueError on NaN, infinity or a wrong dimension, changing nothing.
        """
        ...

    def search(self, queries: Vectors, k: int, permitted: Permitted) -> list[Ranking]:
        """For each query (q, d) the k nearest permitted chunks, with part "dense"; fewer if fewer are permitted."""
        ...

    def save(self, folder: Path) -> None:
        """Write the index into an existing empty folder, `position` included."""
        ...


class KeywordIndex(Protocol):
    """BM25 among the permitted. A backend is a module in rag/keywords with `new(folder)` and `open(folder)`."""

    @property
    def position(self) -> int: ...

    def __len__(self) -> int: ...

    def ids(self) -> Ids: ...

    def apply(self, ids: Ids, tokens: Sequence[Sequence[str]], removed: Ids, upto: int) -> None: ...

    def search(self, queries: Sequence[Sequence[str]], k: int, permitted: Permitted) -> list[Ranking]:
        """For each query's analysed tokens the k best permitted chunks that hold at least one, with part "bm25"."""
        ...

    def save(self, folder: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Part of what happened to one collection's chunks between two positions, net: what came and went in between is
    in neither list."""

    ids: Ids  # (n,), added, ascending
    vectors: Vectors  # (n, d)
    texts: Sequence[str]  # n strings, exactly what was embedded
    removed: Ids  # (m,)
    languages: Sequence[str]  # n BCP 47 tags, of the contents; "" where it could not be told


class Feed(Protocol):
    """The SQL truth about one collection's chunks under one embedder, as indexes follow it."""

    @property
    def dim(self) -> int: ...

    def position(self) -> int:
        """The position of the last committed change."""
        ...

    def changes(self, after: int, upto: int, batch: int = 4096) -> Iterator[ChangeBatch]:
        """What leads from the state at `after` to the state at `upto`, in batches of at most `batch` added chunks.
        `after=0` gives every chunk alive at `upto`."""
        ...

    def live_ids(self, at: int) -> Ids:
        """The chunk ids alive at a position, ascending; what an index at that position must hold."""
        ...

    def languages(self, at: int) -> tuple[str, ...]:
        """The languages of the chunks alive at a position, each once, in alphabetical order."""
        ...


class Retriever(Protocol):
    """Questions become rankings. Dense, Keyword, Fused(…), Reranked(…), Diverse(…) all keep this shape."""

    def retrieve(self, questions: Sequence[str], k: int, permitted: Permitted) -> list[Ranking]: ...


class Reranker(Protocol):
    """How relevant a text is to a question, judged by a model that reads both."""

    @property
    def name(self) -> str: ...

    def relevance(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """One score a (question, text) pair, higher is better, comparable between pairs.  → (n,)"""
        ...


# ── passages, prompts, answers ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Place:
    """A live, permitted document that holds a text."""

    document_id: int
    uri: str
    external_id: str | None
    title: str  # the content's own title, else the place's name
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk as evidence: `text` is the document's text[start:end]."""

    hit: Hit
    text: str
    title: str
    headings: tuple[str, ...]
    places: tuple[Place, ...]  # never empty; ordered by document id
    page: int | None
    start: int
    end: int
    content_id: int


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt template: what a model is told around the question, in Jinja2; see rag/answers/templating.py."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        """Of the text, 8 hexadecimal digits (BLAKE2b); no secret is in it, so that it is the same everywhere."""
        return blake2b(self.text.encode(), digest_size=4).hexdigest()

    @property
    def version(self) -> str:
        """The name and the digest of its text: "answer@1a2b3c4d"."""
        return f"{self.name}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Cut:
    """What a prompt had no room for of one passage: the document's text[start:end], the whole passage or its end."""

    rank: int  # of the passage among those that were found, from 1
    chunk_id: int
    content_id: int
    start: int
    end: int
    tokens: int  # of this text alone, as the generator counts them


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a prompt had no room for."""

    budget: int  # tokens that it could take
    passages: tuple[Cut, ...] = ()  # by rank
    turns: int = 0  # of the conversation, the oldest


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a generator is given. Passage n of the prompt is cited as [n], 1-based."""

    question: str
    messages: tuple[Message, ...]
    passages: tuple[Passage, ...]  # packed whole by rank; those that did not fit are in `left_out`
    template: str  # "name@digest"
    tokens: int  # of the messages, as the generator counts them
    left_out: LeftOut | None = None  # None: not known, in prompts that were logged before it was kept


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    max_tokens: int = 512
    temperature: float = 0.0  # 0 is greedy
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    grounded: bool = False  # numbers, names and quoted spans only as they stand in the passages or the question


AGAIN_TEMPERATURE = 0.7  # of an answer that is asked for again where answers are greedy: else it would be the same


@dataclass(frozen=True, slots=True)
class Text:
    """Some more of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int | None  # None where the generator has no tokens
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class Finish:
    """The last event of every generation that did not raise."""

    reason: Literal["stop", "length", "cancelled", "abstained"]
    at_stop: bool = False  # a stop string ended it

    @property
    def may_be_silent(self) -> bool:
        """Whether an answer without a word is one; from whoever just says nothing it is a failure."""
        return self.at_stop or self.reason == "cancelled"


@dataclass(frozen=True, slots=True)
class Fallback:
    """The first event where another generator answers in place of the one that was asked."""

    name: str  # of who speaks
    revision: str
    instead_of: str
    reason: str  # why that one does not, in words


Event = Text | Usage | Finish | Fallback


class Generator(Protocol):
    """A prompt becomes a stream of text. Raises GeneratorFailed, never a library's own error; Busy when it has as many
    requests as it may."""

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str:
        """Which weights or which server's model; "" only where there is none to name."""
        ...

    @property
    def context_tokens(self) -> int:
        """The longest prompt plus answer; packing and max_tokens must stay within it."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the messages as rendered for the model, template included."""
        ...

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        """Text events as they come, then one Usage, then one Finish. A set `cancel` ends it soon with "cancelled"; so
        does closing the iterator, without a word."""
        ...


Verdict = Literal["supported", "partly", "contradicted", "unsupported"]
SUPPORTING: tuple[Verdict, ...] = ("supported", "partly")  # of a text that bears a sentence out, at least in part

ReasonKind = Literal["number", "unit", "date", "name", "negation", "opinion", "words"]
"""What a sentence differs in from the text that should support it. "opinion": a speaker's own voice, or a question;
"words": words that the text does not have, or none that state anything."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a sentence is not, or not wholly, supported."""

    kind: ReasonKind
    text: str  # in words, for people


@dataclass(frozen=True, slots=True)
class Citation:
    """A sentence of an answer and the place in a passage that supports it best."""

    start: int  # of the sentence, in the answer's text
    end: int
    passage: int | None  # 1-based number in the prompt; None when nothing supports the sentence
    quote_start: int | None  # in the document's text, so that quote == document text[quote_start:quote_end]
    quote_end: int | None
    quote: str
    support: float  # 0…1
    verdict: Verdict
    marked: bool  # whether the answer itself pointed to this passage with [n]
    reasons: tuple[Reason, ...] = ()  # why it is not supported; empty when it is, and in logs older than reasons


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was looked for where nothing answers, and what came closest."""

    looked_for: tuple[str, ...]  # the words of the question that were searched for, as written
    missing: tuple[str, ...]  # of these, those that stand in no document that could be searched
    closest: int | None  # the number of the passage that came closest, 1-based; None where there is no passage


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    citations: tuple[Citation, ...]
    abstained: bool
    generator: str
    finish_reason: str
    usage: Usage
    confidence: float | None = None  # how likely the passages answer, 0…1; None where nobody asked
    refusal: Refusal | None = None  # where the house refused before a generator was asked
    removed: tuple[str, ...] = ()  # sentences that a strict answer leaves out, as the generator said them


# ── the log, scores, evaluation ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Score:
    """One judgement of one interaction. `value` None means that the metric does not apply, never zero."""

    name: str
    value: float | None
    label: str | None = None
    explanation: str | None = None
    annotator_kind: Literal["HUMAN", "LLM", "CODE"] = "CODE"
    identifier: str = ""  # which scorer and version, or who


TurnKind = Literal["first", "continuation", "branch", "regeneration"]
"""What a turn of a conversation is: the one that begins it, the first to continue its parent, a further one with the
same parent, or the same question asked again."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """One logged question and everything that led to its answer."""

    id: str  # ULID
    created_at: str  # UTC, RFC 3339
    tenant_id: int
    collection: str
    user: str
    conversation_id: str | None
    origin: Literal["human", "synthetic", "generated"]
    question: str
    search_query: str
    prompt: Prompt | None  # None when no generator was asked
    answer: Answer | None  # None when it failed
    error: str | None  # what failed, in words
    passages: tuple[Passage, ...]  # in prompt order: passage n is cited as [n]
    candidates: Ranking  # the other hits, with rank and score in every stage
    model: str
    revision: str
    template: str
    settings: Mapping[str, MetadataValue]
    position: int
    generation: int
    timings_ms: Mapping[str, float]
    scores: tuple[Score, ...] = ()
    parent_id: str | None = None  # the interaction that this one continues
    regenerates_id: str | None = None  # the interaction whose question this one asks again
    turn: int | None = None  # 1, 2, … in its conversation, in the order in which turns were logged
    kind: TurnKind | None = None  # None: asked by itself
    replays_id: str | None = None  # the interaction that this one runs again


@dataclass(frozen=True, slots=True)
class Example:
    """A judged question."""

    id: str
    question: str
    answers: tuple[str, ...] = ()
    relevant: Mapping[str, int] = field(default_factory=dict)  # external id → grade


class Scorer(Protocol):
    """A metric over logged interactions, so that a new one can be applied to the whole history."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        """One score an interaction; None, or a Score whose value is None, where the metric does not apply."""
        ...


# ── models ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Running:
    """How a model runs in this process."""

    device: str = "auto"  # as torch names it; auto: CUDA where there is one
    dtype: str = "auto"  # auto, float32, bfloat16, float16
    bits: int = 0  # of a quantised weight: 4 or 8; 0: not quantised
    batch: int = 8  # requests that are decoded at once
    queue: int = 32  # further requests that may wait
    lookup: bool = False  # propose what may come next from the prompt


@dataclass(frozen=True, slots=True)
class Models:
    """What a scorer or generator may use besides itself."""

    embedder: Embedder
    running: Running = field(default_factory=Running)
    stored: Callable[[Sequence[int]], Mapping[int, Vectors]] | None = None  # of chunks by id, (d,), those there are
    judge: Callable[[], Generator] | None = None  # who judges, where a scorer asks somebody; opened when first needed
