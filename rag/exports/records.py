"""A record: one question with all that a dataset knows of it, of which every format takes its part."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rag.answers.claims import ABSTENTION, without_markers
from rag.store.datasets import Item, Origin, Split
from rag.types import Example, Message

GOOD = 0.5  # the mean of reviews above which an answer is good, and below which it is bad


@dataclass(frozen=True, slots=True)
class Shown:
    """A text that was shown with the question, or that a reviewer named as a better one."""

    document: str  # external id, or else the address
    title: str
    text: str
    grade: int | None = None  # 0 irrelevant … 3; None: nobody judged it
    shown: bool = True  # False: a reviewer found it, the prompt did not hold it
    by: Literal["reviewer", "citation", "origin"] | None = None  # who says so; citation: of an answer judged good


@dataclass(frozen=True, slots=True)
class Record:
    """One question."""

    key: str
    question: str  # one that can be understood by itself
    origin: Origin
    split: Split = "test"
    references: tuple[str, ...] = ()  # answers that are right
    passages: tuple[Shown, ...] = ()
    answerable: bool | None = None  # whether the documents answer; None: nobody said
    answer: str | None = None  # that was given
    abstained: bool = False
    value: float | None = None  # mean of the reviews' values, 0…1
    rating: float | None = None  # mean of people's feedback, -1…1
    labels: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()  # answers that somebody liked less than the one that was given, blind
    messages: tuple[Message, ...] = ()  # the prompt as the generator had it
    asked: str = ""  # as it was typed, where that is a follow-up that needs what was said before
    interaction_id: str | None = None
    conversation_id: str | None = None
    created_at: str = ""
    model: str = ""
    template: str = ""

    @property
    def relevant(self) -> dict[str, int]:
        """Document → grade, of all that were judged; of several texts of one document the highest."""
        found: dict[str, int] = {}
        for passage in self.passages:
            if passage.grade is not None:
                found[passage.document] = max(passage.grade, found.get(passage.document, 0))
        return found

    @property
    def verdict(self) -> Literal["good", "bad"] | None:
        """What people think of the answer that was given: reviews go before feedback. None: nothing, or neither."""
        told = self.value if self.value is not None else None if self.rating is None else (self.rating + 1) / 2
        if self.answer is None or told is None or told == GOOD:
            return None
        return "good" if told > GOOD else "bad"

    @property
    def best(self) -> str | None:
        """The best answer there is: a corrected one, or else the given one if it is good; a good refusal is the
        refusal's sentence alone."""
        if self.references:
            return self.references[0]
        if self.verdict != "good":
            return None
        return ABSTENTION if self.abstained else self.answer

    @property
    def gold(self) -> tuple[str, ...]:
        """The answers that are right, without citation markers; none where the documents have no answer."""
        given = (self.answer,) if self.verdict == "good" and self.answer and not self.abstained else ()
        return tuple(without_markers(text) for text in self.references or given)

    @property
    def prompt(self) -> tuple[Message, ...]:
        """What led to the answer; the question alone where no prompt was logged."""
        return self.messages or (Message("user", self.question),)

    def example(self) -> Example:
        """As evaluation, tuning and calibration read it."""
        return Example(self.key, self.question, self.gold, self.relevant)


def item_of(record: Record) -> Item:
    """As a dataset keeps it."""
    content: dict[str, object] = {
        "question": record.question,
        "asked": record.asked,
        "references": list(record.references),
        "passages": [
            {
                "document": passage.document,
                "title": passage.title,
                "text": passage.text,
                "grade": passage.grade,
                "shown": passage.shown,
                "by": passage.by,
            }
            for passage in record.passages
        ],
        "answerable": record.answerable,
        "answer": record.answer,
        "abstained": record.abstained,
        "value": record.value,
        "rating": record.rating,
        "labels": list(record.labels),
        "worse": list(record.worse),
        "messages": messages_json(record.messages),
        "conversation_id": record.conversation_id,
        "created_at": record.created_at,
        "model": record.model,
        "template": record.template,
    }
    return Item(record.key, record.split, record.origin, content, record.interaction_id)


def record_of(item: Item) -> Record:
    """What `item_of` wrote."""
    held: Mapping[str, Any] = item.content
    return Record(
        key=item.key,
        question=held["question"],
        asked=held["asked"],
        origin=item.origin,
        split=item.split,
        references=tuple(held["references"]),
        passages=tuple(Shown(**passage) for passage in held["passages"]),
        answerable=held["answerable"],
        answer=held["answer"],
        abstained=held["abstained"],
        value=held["value"],
        rating=held["rating"],
        labels=tuple(held["labels"]),
        worse=tuple(held["worse"]),
        messages=tuple(Message(each["role"], each["content"]) for each in held["messages"]),
        interaction_id=item.interaction_id,
        conversation_id=held["conversation_id"],
        created_at=held["created_at"],
        model=held["model"],
        template=held["template"],
    )


def messages_json(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def rewritten(record: Record, scrub: Callable[[str], str]) -> Record:
    """The record with every text of it rewritten, first the question."""
    return replace(
        record,
        question=scrub(record.question),
        asked=scrub(record.asked),
        messages=tuple(Message(message.role, scrub(message.content)) for message in record.messages),
        answer=None if record.answer is None else scrub(record.answer),
        references=tuple(scrub(text) for text in record.references),
        worse=tuple(scrub(text) for text in record.worse),
        passages=tuple(
            replace(passage, title=scrub(passage.title), text=scrub(passage.text)) for passage in record.passages
        ),
    )
