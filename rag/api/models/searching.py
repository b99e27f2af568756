"""How a question is searched: requests for passages, what they find, and why a document is not among it."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, JsonValue

from rag.api.models import MAX_K, CollectionName, Given, Shape
from rag.types import Mode

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


class Retrieving(Given):
    """How passages are found, fused and arranged."""

    mode: Mode | None = None
    collection: CollectionName | None = None
    fusion: FusionMethod | None = None
    alpha: Alpha | None = None
    rrf_k: RrfK | None = None
    depth: Depth | None = None
    rerank: Rerank | None = None
    diversify: Diversify | None = None
    per_document: PerDocument | None = None
    neighbours: Neighbours | None = None


class Generating(Retrieving):
    """How an answer is made of them besides."""

    generator: Annotated[
        str | None, Field(max_length=500, description="auto, extractive, or the one the settings name")
    ] = None
    template: Annotated[
        str | None, Field(min_length=1, max_length=100, description="of the prompt, name or name@digest")
    ] = None


class Searching(Retrieving):
    """How a question is searched; what is left out is as the collection and the settings say."""

    mode: Annotated[Mode | None, Field(description="else the settings' own")] = None
    filter: Filter | None = None


class SearchRequest(Searching):
    query: Annotated[str, Field(min_length=1, description="words or a question", examples=["path parameters"])]
    k: Annotated[int, Field(ge=1, le=MAX_K, description="passages wanted")] = 10


class WhyRequest(Searching):
    query: Annotated[str, Field(min_length=1, description="words or a question", examples=["path parameters"])]
    document: Annotated[str, Field(min_length=1, max_length=2000, description="its id, uri or external id")]
    k: Annotated[int | None, Field(ge=1, le=100, description="passages; else as many as an answer is given")] = None


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
