"""What requests must look like, and what responses do look like: the schemas of the OpenAPI document.

Requests are checked against these. Responses are made by rag.shapes; a test holds them to these schemas and finds no
field that is not written down here. Whoever reads responses must expect further fields: they may be added later.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue

from rag.types import FileState, Mode, Verdict

MAX_ID = 2**63 - 1
MAX_K = 1000  # rag.search's own, not imported: a client reads this file and needs no search
ULID = r"^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"

CollectionName = Annotated[str, Field(min_length=1, max_length=100, description="collection; else the settings' own")]
DocumentId = Annotated[int, Field(ge=1, le=MAX_ID)]
Filter = Annotated[
    dict[str, JsonValue],
    Field(
        description="conditions on metadata (tags: a list matches by its items) and on uri, external_id, title, "
        "media_type, owner, language, source, origin (file, web, upload, …) and added_at (a date or time), with $eq "
        "$ne $gt $gte $lt $lte $in $nin $exists $and $or $not; a key that no document has which the asker may see is "
        "refused (422), unless $exists or null asks whether it is there",
        examples=[{"year": {"$gte": 2020}}],
    ),
]


class Given(BaseModel):
    """Part of a request: strict types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Shape(BaseModel):
    """Part of a response; a reader passes over fields that it does not know."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Rerank = Annotated[
    str, Field(max_length=500, description="cross-encoder that reorders the candidates: off, or the settings' own")
]
FusionMethod = Annotated[
    Literal["weighted", "rrf"],
    Field(description="how the two rankings become one; else what was tuned for the collection, else the settings'"),
]
Alpha = Annotated[
    FiniteFloat, Field(ge=0, le=1, description="weight of meaning in weighted fusion; else as with fusion")
]
RrfK = Annotated[int, Field(ge=1, le=10_000, description="k of reciprocal rank fusion; else as with fusion")]
Depth = Annotated[
    int, Field(ge=1, le=MAX_K, description="candidates that each ranking brings to the fusion; else as with fusion")
]
Diversify = Annotated[
    FiniteFloat, Field(ge=0, le=1, description="relevance against variety among the passages; 1 keeps their order")
]
PerDocument = Annotated[int, Field(ge=0, le=MAX_K, description="passages of one document, at most; 0: any number")]
Neighbours = Annotated[
    int, Field(ge=0, le=10, description="chunks before and behind a passage that it is widened by; else the settings'")
]


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────────


class SearchRequest(Given):
    query: Annotated[str, Field(min_length=1, description="words or a question", examples=["path parameters"])]
    k: Annotated[int, Field(ge=1, le=MAX_K, description="passages wanted")] = 10
    mode: Annotated[Mode | None, Field(description="else the settings' own")] = None
    collection: CollectionName | None = None
    filter: Filter | None = None
    fusion: FusionMethod | None = None
    alpha: Alpha | None = None
    rrf_k: RrfK | None = None
    depth: Depth | None = None
    rerank: Rerank | None = None
    diversify: Diversify | None = None
    per_document: PerDocument | None = None
    neighbours: Neighbours | None = None


class WhyRequest(Given):
    query: Annotated[str, Field(min_length=1, description="words or a question", examples=["path parameters"])]
    document: Annotated[str, Field(min_length=1, max_length=2000, description="its id, uri or external id")]
    k: Annotated[int | None, Field(ge=1, le=100, description="passages; else as many as an answer is given")] = None
    mode: Annotated[Mode | None, Field(description="else the settings' own")] = None
    collection: CollectionName | None = None
    filter: Filter | None = None
    fusion: FusionMethod | None = None
    alpha: Alpha | None = None
    rrf_k: RrfK | None = None
    depth: Depth | None = None
    rerank: Rerank | None = None
    diversify: Diversify | None = None
    per_document: PerDocument | None = None
    neighbours: Neighbours | None = None


class AskRequest(Given):
    question: Annotated[str, Field(min_length=1, examples=["How are path parameters declared?"])]
    k: Annotated[int | None, Field(ge=1, le=100, description="passages; else the settings' own")] = None
    mode: Annotated[Mode | None, Field(description="else the settings' own")] = None
    collection: CollectionName | None = None
    filter: Filter | None = None
    fusion: FusionMethod | None = None
    alpha: Alpha | None = None
    rrf_k: RrfK | None = None
    depth: Depth | None = None
    rerank: Rerank | None = None
    diversify: Diversify | None = None
    per_document: PerDocument | None = None
    neighbours: Neighbours | None = None
    generator: Annotated[
        str | None, Field(max_length=500, description="auto, extractive, or the one the settings name")
    ] = None
    conversation_id: Annotated[
        str | None,
        Field(min_length=1, max_length=100, description="your own name for what belongs together in the log"),
    ] = None
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1, description="of sampled answers")] = None
    temperature: Annotated[FiniteFloat | None, Field(ge=0, le=2, description="0 is greedy")] = None


class TextRequest(Given):
    text: Annotated[str, Field(min_length=1, description="the document's text")]
    media_type: Annotated[
        Literal["text/plain", "text/markdown", "text/html"], Field(description="what the text is written in")
    ] = "text/plain"
    title: Annotated[str, Field(max_length=1000)] = ""
    uri: Annotated[
        str | None,
        Field(min_length=1, max_length=2000, description="names the document: sending it again updates it"),
    ] = None
    external_id: Annotated[str | None, Field(min_length=1, max_length=1000, description="your own id of it")] = None
    metadata: Annotated[dict[str, JsonValue], Field(description="yours, for filters")] = Field(default_factory=dict)
    labels: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]],
        Field(max_length=50, description="only holders of one of them may see it; none: all of the tenant"),
    ] = Field(default_factory=list)
    collection: CollectionName | None = None


File = Annotated[str, Field(json_schema_extra={"format": "binary"})]


class UploadRequest(BaseModel):
    """A multipart form."""

    file: Annotated[list[File], Field(min_length=1, description="one or several files")]
    metadata: Annotated[str | None, Field(description="a JSON object, for all of the files")] = None
    label: Annotated[list[str], Field(description="only holders of one of them may see the files; repeated")] = Field(
        default_factory=list
    )
    collection: CollectionName | None = None


class FeedbackRequest(Given):
    rating: Annotated[Literal[-1, 0, 1] | None, Field(description="-1 bad, 0 neither, 1 good")] = None
    label: Annotated[str | None, Field(max_length=200)] = None
    comment: Annotated[str | None, Field(max_length=20000)] = None


# ── responses ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class Part(Shape):
    rank: int
    score: float | None


class Place(Shape):
    document_id: int
    uri: str
    external_id: str | None
    title: str
    metadata: dict[str, JsonValue]


class Hit(Shape):
    rank: int
    chunk_id: int
    document_id: int
    external_id: str | None
    uri: str
    title: str
    text: str
    start: Annotated[int, Field(description="text == document text[start:end], in code points")]
    end: int
    score: float | None
    parts: Annotated[dict[str, Part], Field(description="rank and score in every stage")]
    headings: list[str]
    page: int | None
    places: Annotated[list[Place], Field(description="every document that holds this text")]


class Stage(Shape):
    stage: Annotated[str, Field(description="dense, bm25, fused, rerank, per_document, diverse, duplicates, passages")]
    given: Annotated[int, Field(description="chunks it chose among; for dense and bm25 those that may be seen")]
    kept: Annotated[int, Field(description="chunks it handed on")]
    dropped: int
    ms: Annotated[float, Field(description="of its own, without the stages before it")]


class Collapsed(Shape):
    chunk_id: Annotated[int, Field(description="of a hit")]
    duplicates: Annotated[list[int], Field(description="chunks that say the same, for which it stands")]


class Corrected(Shape):
    word: str
    taken_for: list[str]


class SearchResult(Shape):
    query: str
    mode: Mode
    k: int
    hits: Annotated[list[Hit], Field(description="best first")]
    position: Annotated[int, Field(description="number of the last change of the collection that was seen")]
    generation: Annotated[int, Field(description="of the index; 0 without one")]
    timings_ms: dict[str, float]
    stages: Annotated[list[Stage], Field(description="what each stage did, in the order in which they ran")]
    collapsed: list[Collapsed]
    corrected: Annotated[list[Corrected], Field(description="words of the query that no document holds")]


class WhyDocument(Shape):
    document_id: Annotated[int | None, Field(description="null where a policy on duplicates holds it back")]
    uri: str
    external_id: str | None
    title: str


class StandIn(Shape):
    document_id: int
    uri: str
    level: Literal["exact", "near", "semantic"]
    policy: Literal["keep", "alias", "skip", "newest"]
    similarity: Annotated[float, Field(description="exact: 1; near: Jaccard of 5-word shingles; semantic: cosine")]


class TrueRank(Shape):
    stage: Literal["dense", "bm25"]
    rank: Annotated[int | None, Field(description="of its best chunk, exactly; null: no word of the question is in it")]
    score: float | None
    among: Annotated[int, Field(description="chunks that may be seen")]
    depth: Annotated[int, Field(description="candidates that this ranking brings")]


class WhyResult(Shape):
    query: str
    mode: Mode
    k: int
    document: WhyDocument
    stage: Annotated[
        Literal[
            "found",
            "not_permitted",
            "removed",
            "merged",
            "filtered",
            "empty",
            "phrase",
            "retrieval",
            "fused",
            "rerank",
            "diverse",
            "cut",
            "budget",
        ],
        Field(description="the stage that lost it, or found; not_permitted is told on the command line only"),
    ]
    explanation: str
    rank: Annotated[int | None, Field(description="of the passage that shows it, from 1")]
    chunk_id: Annotated[int | None, Field(description="its best placed chunk")]
    start: Annotated[int | None, Field(description="of that chunk, in the document's text")]
    end: int | None
    stands_for_it: Annotated[StandIn | None, Field(description="the document it was merged into")]
    conditions: Annotated[list[dict[str, JsonValue]], Field(description="of the filter, that it does not pass")]
    arms: Annotated[list[TrueRank], Field(description="its true place among everything that may be seen")]
    parts: Annotated[dict[str, Part], Field(description="where each stage placed that chunk")]
    stages: list[Stage]


class Citation(Shape):
    start: Annotated[int, Field(description="of the sentence, in the answer")]
    end: int
    passage: Annotated[int | None, Field(description="its number in `passages`, from 1")]
    uri: str | None
    places: list[Place]
    quote: str
    quote_start: Annotated[int | None, Field(description="quote == document text[quote_start:quote_end]")]
    quote_end: int | None
    support: Annotated[float | None, Field(description="0 to 1")]
    verdict: Verdict
    marked: Annotated[bool, Field(description="whether the answer itself points to this passage with [n]")]


class Usage(Shape):
    prompt_tokens: int | None
    completion_tokens: int | None


class AskResult(Shape):
    interaction_id: str
    question: str
    answer: str | None
    abstained: Annotated[bool | None, Field(description="the passages do not answer, and the answer says so")]
    generator: Annotated[str, Field(description="who answered")]
    citations: list[Citation]
    passages: list[Hit]
    scores: Annotated[dict[str, float | None], Field(description="null: the metric does not apply")]
    model: str
    revision: str
    usage: Usage
    finish_reason: str | None
    timings_ms: dict[str, float]
    collection: str
    conversation_id: str | None
    created_at: datetime


class InteractionLine(Shape):
    interaction_id: str
    created_at: datetime
    collection: str
    user: str
    conversation_id: str | None
    origin: str
    question: str
    answer: str | None
    abstained: bool | None
    finish_reason: str | None
    error: str | None
    generator: str
    model: str
    revision: str
    scores: dict[str, float | None]
    usage: Usage
    timings_ms: dict[str, float]


class Message(Shape):
    role: str
    content: str


class Prompt(Shape):
    messages: list[Message]
    template: str
    tokens: int


class Candidate(Shape):
    chunk_id: int
    score: float | None
    parts: dict[str, Part]


class Judgement(Shape):
    name: str
    value: float | None
    label: str | None
    explanation: str | None
    annotator_kind: Literal["HUMAN", "LLM", "CODE"]
    identifier: str


class Feedback(Shape):
    feedback_id: int
    user: str
    rating: int | None
    label: str | None
    comment: str | None
    created_at: datetime


class InteractionWhole(InteractionLine):
    search_query: str
    template: str
    settings: dict[str, JsonValue]
    position: int
    generation: int
    prompt: Prompt | None
    citations: list[Citation]
    passages: list[Hit]
    candidates: list[Candidate]
    judgements: list[Judgement]
    feedback: list[Feedback]


class Interactions(Shape):
    interactions: list[InteractionLine]
    next: Annotated[str | None, Field(description="cursor of the next page; null on the last")]


class FeedbackResult(Shape):
    feedback_id: int


class DocumentLine(Shape):
    document_id: int
    collection: str
    uri: str
    external_id: str | None
    title: str
    media_type: str
    metadata: dict[str, JsonValue]
    owner: str
    labels: list[str]
    characters: int
    created_at: datetime
    removed_at: Annotated[datetime | None, Field(description="null while it stands")]


class Restored(Shape):
    removed_id: Annotated[int, Field(description="the document that was removed")]
    document_id: Annotated[int | None, Field(description="as which it stands again; null: a policy holds it back")]
    uri: str
    state: Literal["added", "updated", "unchanged", "duplicate"]
    reason: Annotated[str, Field(description="what it duplicates, if anything")]


class Chunk(Shape):
    chunk_id: int
    ordinal: int
    start: int
    end: int
    headings: list[str]
    page: int | None


class DocumentWhole(DocumentLine):
    text: str
    chunks: list[Chunk]


class Documents(Shape):
    documents: list[DocumentLine]
    next: Annotated[str | None, Field(description="cursor of the next page; null on the last")]


class Failure(Shape):
    uri: str
    reason: str


class IngestResult(Shape):
    added: Annotated[int, Field(description="documents with a text that is new")]
    updated: Annotated[int, Field(description="documents whose text or metadata changed")]
    unchanged: int
    duplicate: Annotated[int, Field(description="documents with a text that was there already")]
    skipped: int
    failed: Annotated[int, Field(description="files, or documents in them, that could not be read")]
    documents: Annotated[int, Field(description="alive in the collection afterwards")]
    chunks: int
    embedded: Annotated[int, Field(description="texts that went through the embedding model")]
    seconds: float
    failures: list[Failure]
    document_ids: Annotated[list[int], Field(description="of what was written; empty where nothing had changed")]


class SyncLocation(Shape):
    kind: Literal["path", "page", "sitemap"]
    place: Annotated[str, Field(description="an absolute path on the server, or a URL")]


class SyncResult(Shape):
    added: int
    updated: int
    moved: int
    removed: int
    unchanged: int
    skipped: int
    failed: int
    embedded: int
    seconds: float
    failures: Annotated[list[Failure], Field(description="the first of them")]


class Sync(Shape):
    name: str
    collection: str
    locations: list[SyncLocation]
    owner: str
    metadata: dict[str, JsonValue]
    labels: list[str]
    hosts: list[str]
    sources: Annotated[int, Field(description="files and pages that it looks after")]
    result: Annotated[SyncResult | None, Field(description="of the last run that ended")]
    created_at: datetime
    ran_at: datetime | None


class Syncs(Shape):
    syncs: list[Sync]


class SyncMove(Shape):
    uri: str
    moved_from: str


class SyncDifference(Shape):
    sync: str
    collection: str
    dry_run: bool
    added: list[str]
    updated: list[str]
    moved: list[SyncMove]
    removed: list[str]
    unchanged: int
    skipped: int
    failed: int
    failures: list[Failure]
    documents: int
    chunks: int
    embedded: int
    seconds: float


class JobProgress(Shape):
    done: Annotated[int, Field(description="files")]
    total: Annotated[int | None, Field(description="files; null until it is known")]
    documents: Annotated[int, Field(description="written since it was begun for the last time")]
    uri: Annotated[str, Field(description="the file that was finished last")]


class JobCounts(Shape):
    added: int
    updated: int
    unchanged: int
    duplicate: int
    skipped: int
    failed: int


class Job(Shape):
    job_id: int
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    collection: str | None
    user: str
    paths: list[str]
    progress: JobProgress
    counts: Annotated[JobCounts, Field(description="what became of its files, each counted once")]
    result: Annotated[dict[str, JsonValue] | None, Field(description="null until it is done")]
    error: Annotated[str | None, Field(description="why it failed; while it waits or runs: why the last try ended")]
    attempts: Annotated[int, Field(description="beginnings since it last got any further")]
    cancel_asked: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Jobs(Shape):
    jobs: list[Job]
    next: Annotated[str | None, Field(description="cursor of the next page; null on the last")]


class JobItem(Shape):
    uri: str
    state: FileState
    reason: str
    documents: int
    created_at: datetime


class JobItems(Shape):
    items: list[JobItem]
    next: Annotated[str | None, Field(description="cursor of the next page; null on the last")]


class Collection(Shape):
    name: str
    documents: int
    chunks: int
    embedder: str
    dim: int
    settings: dict[str, JsonValue]
    position: int
    created_at: datetime


class Collections(Shape):
    collections: list[Collection]


DuplicateLevel = Literal["exact", "near", "semantic"]
DuplicateScope = Literal["document", "chunk"]


class DuplicateCount(Shape):
    scope: DuplicateScope
    level: DuplicateLevel
    policy: Literal["keep", "alias", "skip", "newest"]
    decisions: int


class Duplicate(Shape):
    decision_id: int
    scope: DuplicateScope
    level: DuplicateLevel
    policy: Literal["keep", "alias", "skip", "newest"]
    similarity: Annotated[float, Field(description="exact: 1; near: Jaccard of 5-word shingles; semantic: cosine")]
    uri: Annotated[str, Field(description="which document")]
    document_id: Annotated[int | None, Field(description="null where the policy holds it back")]
    against_uri: Annotated[str, Field(description="the one that stands")]
    against_id: int | None
    actor: str
    created_at: datetime


class Duplicates(Shape):
    collection: str
    counts: list[DuplicateCount]
    duplicates: list[Duplicate]
    next: Annotated[str | None, Field(description="the `cursor` of the next page")]


class Undone(Shape):
    decision_id: int
    document_id: Annotated[int | None, Field(description="of the document that stands for itself now")]


class Interval(Shape):
    low: float
    high: float


class Latency(Shape):
    p50: float
    p95: float
    mean: float


class Evaluation(Shape):
    run_id: int
    name: str
    folder: str
    folder_digest: Annotated[str, Field(description="of the judged queries and their judgements")]
    collection: Annotated[str | None, Field(description="null: the run came from a run file")]
    mode: str
    queries: int
    metrics: Annotated[dict[str, float], Field(description="trec_eval's name → mean over every judged query")]
    intervals: Annotated[dict[str, Interval], Field(description="95 %, by bootstrap over queries")]
    latency_ms: Annotated[
        Latency | None,
        Field(
            description="of a search for 10 passages, embedding its question left out; null: the run came from a run "
            "file"
        ),
    ]
    settings: dict[str, JsonValue]
    position: int | None
    generation: int | None
    version: str
    user: str
    created_at: datetime


class Evaluations(Shape):
    runs: list[Evaluation]
    next: Annotated[int | None, Field(description="the `cursor` of the next page")]


class RankedRelevant(Shape):
    external_id: str
    grade: int
    rank: Annotated[int | None, Field(description="null: not found")]


class RankedFirst(Shape):
    external_id: str
    grade: Annotated[int | None, Field(description="null: not judged")]
    score: float


class JudgedQuery(Shape):
    query_id: str
    question: str
    metrics: dict[str, float]
    latency_ms: float | None
    relevant: list[RankedRelevant]
    found: Annotated[list[RankedFirst], Field(description="the first five")]


class EvaluationRun(Evaluation):
    worst: list[JudgedQuery]


class ComparedRun(Shape):
    run_id: int
    name: str
    mode: str


class ComparedMetric(Shape):
    metric: str
    first: float
    second: float
    difference: Annotated[float, Field(description="second minus first")]
    low: Annotated[float, Field(description="of the difference's 95 % interval, by bootstrap over queries")]
    high: float
    p: Annotated[float, Field(description="two-sided paired randomisation test")]
    p_holm: Annotated[float | None, Field(description="corrected for the number of metrics; null where there is one")]
    wins: int
    losses: int
    ties: int


class ComparedQuery(Shape):
    query_id: str
    question: str
    first: float
    second: float


class EvaluationComparison(Shape):
    first: ComparedRun
    second: ComparedRun
    queries: Annotated[int, Field(description="that both have, judged alike")]
    only_first: int
    only_second: int
    judged_otherwise: int
    metrics: list[ComparedMetric]
    losses: Annotated[list[ComparedQuery], Field(description="those that lost most, by the first metric")]


class Health(Shape):
    status: Literal["ok"]


class Check(Shape):
    name: str
    ok: bool
    detail: str


class Readiness(Shape):
    ready: bool
    checks: list[Check]
