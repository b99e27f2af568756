"""Reviews: queues, items and their locks, what people say, how far they agree."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, JsonValue

from rag.api.models import MAX_ID, ULID, Given, Shape
from rag.api.models.interactions import InteractionWhole

QueueName = Annotated[str, Field(min_length=1, max_length=100)]
Rule = Annotated[
    dict[str, JsonValue],
    Field(
        description="`any`: clauses of which one must choose an interaction, each with a `kind` (low_score: score, "
        "below; thumbs_down; share: share, seed; disagreement: scores, distance; refused; failed; every), and "
        "perhaps a `quota` and a `priority`. `where`: conditions on the log that all must pass. `waiting`: so many "
        "may wait at once. `each`: so many of one template, model, collection or day",
        examples=[{"any": [{"kind": "low_score", "score": "faithfulness", "below": 0.5}, {"kind": "thumbs_down"}]}],
    ),
]
Guidelines = Annotated[str, Field(max_length=100_000, description="what reviewers are told, in Markdown")]
Reviewers = Annotated[int, Field(ge=1, le=20, description="so many different people review an item")]
ItemId = Annotated[int, Field(ge=1, le=MAX_ID)]
Owner = Annotated[str, Field(min_length=1, max_length=64, description="which window holds the lock, as it was told")]
LeaseS = Annotated[int, Field(ge=10, le=3600, description="seconds after which the lock ends by itself")]


class LabelGiven(Given):
    name: Annotated[str, Field(min_length=1, max_length=60)]
    value: Annotated[
        FiniteFloat | None, Field(ge=0, le=1, description="as a score; null: it does not say how good the answer is")
    ] = None


class QueueRequest(Given):
    name: QueueName
    rule: Rule
    guidelines: Guidelines = ""
    labels: Annotated[
        list[LabelGiven] | None,
        Field(min_length=2, max_length=9, description="else correct 1, partly 0.5, wrong 0, cannot judge"),
    ] = None
    reviewers: Reviewers = 1
    score: Annotated[
        str, Field(min_length=1, max_length=100, description="the name under which a label is a score of the answer")
    ] = "correctness"


class QueueChange(Given):
    rule: Rule | None = None
    guidelines: Guidelines | None = None
    reviewers: Reviewers | None = None


class ItemsRequest(Given):
    interaction_ids: Annotated[
        list[Annotated[str, Field(pattern=ULID)]], Field(min_length=1, max_length=500, description="put in by hand")
    ]
    reason: Annotated[str, Field(max_length=1000)] = "put in by hand"


class NextRequest(Given):
    skipped: Annotated[bool, Field(description="one of those that the reviewer has passed over")] = False
    lease_s: LeaseS = 600


class LockRequest(Given):
    owner: Annotated[Owner | None, Field(description="of the lock that is renewed; null: a new one")] = None
    lease_s: LeaseS = 600


class FreeRequest(Given):
    owner: Owner


class SkipRequest(Given):
    owner: Owner | None = None


class JudgedPassage(Given):
    number: Annotated[int | None, Field(ge=1, le=MAX_ID, description="of a passage of the answer")] = None
    chunk_id: Annotated[int | None, Field(ge=1, le=MAX_ID, description="of a better passage, as a search names it")] = (
        None
    )
    grade: Annotated[
        int, Field(ge=0, le=3, description="0 not relevant, 1 relevant, 2 answers in part, 3 answers the question")
    ]


class ReviewRequest(Given):
    item_id: ItemId
    label: Annotated[str, Field(min_length=1, max_length=60)]
    corrected_answer: Annotated[str | None, Field(max_length=100_000)] = None
    passages: Annotated[list[JudgedPassage], Field(max_length=1000, default_factory=list)]
    tags: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=50, default_factory=list)
    ]
    note: Annotated[str | None, Field(max_length=20_000)] = None


class ReviewLabel(Shape):
    name: str
    value: float | None


class QueueCounts(Shape):
    waiting: Annotated[int, Field(description="need further reviews, locked ones included")]
    locked: Annotated[int, Field(description="of these, worked on now")]
    done: int
    open: Annotated[int, Field(description="of those that wait, may be given to whoever asks")]
    skipped: Annotated[int, Field(description="of those that wait, passed over by whoever asks")]


class ReviewQueue(Shape):
    name: str
    rule: dict[str, JsonValue]
    score: str
    labels: list[ReviewLabel]
    reviewers: int
    guidelines: str
    guidelines_id: int
    user: str
    created_at: datetime
    filled_at: datetime | None
    counts: QueueCounts


class ReviewQueues(Shape):
    queues: list[ReviewQueue]


class QueueFilled(Shape):
    looked_at: Annotated[int, Field(description="interactions")]
    added: int
    by: Annotated[dict[str, int], Field(description="clause of the rule: interactions that it has put in now")]
    full: Annotated[bool, Field(description="ended because the queue or every quota was full")]
    notes: Annotated[list[str], Field(description="clauses that could not choose, and why")]


class ReviewItem(Shape):
    item_id: int
    queue: str
    interaction_id: str
    reasons: Annotated[list[str], Field(description="why it is in the queue")]
    priority: int
    state: Literal["waiting", "done"]
    reviewer: Annotated[str | None, Field(description="who works on it now")]
    until: Annotated[datetime | None, Field(description="when their lock ends, unless it is renewed")]
    reviews: int
    created_at: datetime


class ReviewItems(Shape):
    items: list[ReviewItem]
    next: Annotated[int | None, Field(description="cursor of the next page; null on the last")]


class ItemsAdded(Shape):
    added: Annotated[list[str], Field(description="the interactions that were not in the queue before")]


class ReviewLock(Shape):
    item_id: int
    owner: str
    until: datetime


class ReviewGrade(Shape):
    content_id: int
    start: int
    end: int
    grade: int
    number: Annotated[int | None, Field(description="of the passage in the answer; null: a better one")]


class Review(Shape):
    review_id: int
    item_id: int
    queue: str
    interaction_id: str
    guidelines_id: int
    reviewer: str
    label: str
    value: float | None
    corrected_answer: str | None
    passages: list[ReviewGrade]
    tags: list[str]
    note: str | None
    created_at: datetime
    replaced_at: Annotated[datetime | None, Field(description="null: it holds")]


class Reviews(Shape):
    reviews: list[Review]
    next: Annotated[int | None, Field(description="cursor of the next page; null on the last")]


class ReviewItemWhole(Shape):
    item: ReviewItem
    queue: ReviewQueue
    interaction: InteractionWhole
    review: Annotated[Review | None, Field(description="what the asker has said of it, if anything")]


class NextItem(Shape):
    item: Annotated[ReviewItem | None, Field(description="null: there is nothing for the asker")]
    lock: ReviewLock | None
    interaction: InteractionWhole | None


class Measure(Shape):
    value: Annotated[float | None, Field(description="null: not defined")]
    low: Annotated[float | None, Field(description="of the 95 % interval")]
    high: float | None
    items: Annotated[int, Field(description="with at least two labels")]
    labels: int


class PairAgreement(Shape):
    reviewers: Annotated[list[str], Field(description="two")]
    kappa: Annotated[Measure, Field(description="Cohen's")]
    agreement: Measure


class ReviewAgreement(Shape):
    alpha: Annotated[Measure, Field(description="Krippendorff's, every label a category of its own")]
    ordinal: Annotated[Measure | None, Field(description="with the labels in their order; null where they have none")]
    agreement: Annotated[Measure, Field(description="of two labels of one item, how often they are the same")]
    pairs: list[PairAgreement]
