"""The log as records: answers with all that people said of them, deduplicated, scrubbed if asked, and split.

What is dropped is counted under the reason why. Real and synthetic questions are never mixed unless both are asked for.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import fsum

from rag.exports.records import Record, Shown, rewritten
from rag.exports.splits import Shares, normal, split
from rag.scrubbing import Kind, Scrubber
from rag.store import interactions as interaction_store
from rag.store.database import Connection, Database
from rag.store.datasets import Origin
from rag.store.interactions import Query
from rag.store.reviews import evidence as evidence_store
from rag.store.reviews.evidence import Evidence, Which
from rag.types import Interaction

AT_ONCE = 100  # interactions that are read together


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers a dataset is made of, and how."""

    query: Query
    which: Which = "judged"
    origins: tuple[Origin, ...] = ("human",)
    shares: Shares = field(default_factory=Shares)
    scrub: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    """Records in the order of the log, and what became of the others."""

    records: tuple[Record, ...]
    dropped: dict[str, int]  # reason → how many
    scrubbed: dict[str, int]  # kind of personal data → how often it was replaced
    guidelines: tuple[str, ...]  # what reviewers were told


def collect(database: Database, tenant_id: int, wanted: Wanted) -> Collected:
    """Read the log. Interactions without a question of their own, or that failed, are dropped, and so are those of
    other origins and those that say no more than another one does."""
    dropped: Counter[str] = Counter()
    records: list[Record] = []
    told: set[int] = set()
    with database.read() as connection:
        found = evidence_store.ids(connection, tenant_id, wanted.query, wanted.which)
        for begin in range(0, len(found), AT_ONCE):
            batch = found[begin : begin + AT_ONCE]
            said = evidence_store.of(connection, batch)
            told |= {review.guidelines_id for each in said.values() for review in each.reviews}
            for interaction_id in batch:
                one = _record(connection, interaction_id, said[interaction_id], wanted.origins)
                if isinstance(one, Record):
                    records.append(one)
                else:
                    dropped[one] += 1
        guidelines = evidence_store.guidelines(connection, sorted(told))
    kept = deduplicated(records)
    if len(kept) < len(records):
        dropped["says no more than another"] = len(records) - len(kept)
    kept, scrubbed = scrubbed_of(kept, wanted.scrub)
    return Collected(tuple(placed(kept, wanted.shares)), dict(dropped), scrubbed, tuple(guidelines))


def placed(records: Sequence[Record], shares: Shares) -> list[Record]:
    """The records, each in its split."""
    splits = split([one.question for one in records], [one.conversation_id for one in records], shares)
    return [replace(one, split=where) for one, where in zip(records, splits, strict=True)]


def _record(connection: Connection, interaction_id: str, said: Evidence, origins: Sequence[Origin]) -> Record | str:
    """The record of an interaction, or why there is none."""
    entry = interaction_store.whole(connection, interaction_id)
    if entry is None:
        return "is no longer in the log"
    if entry.origin not in origins:
        return f"its origin is {entry.origin}"
    if entry.error is not None or entry.answer is None:
        return "failed"
    if not entry.question:
        return "was erased"
    if entry.answer.finish_reason == "cancelled":
        return "was cancelled"
    answer, worse = entry.answer.text, evidence_store.answers(connection, said.better_than)
    # A replay's prompt repeats the conversation that it was asked in, so it must not go to another split.
    entry = replace(entry, conversation_id=interaction_store.standing(connection, entry).conversation_id)
    return record_of_answer(entry, said, tuple(text for text in worse.values() if text != answer))


def record_of_answer(entry: Interaction, said: Evidence, worse: tuple[str, ...] = ()) -> Record:
    """An answered interaction with what was said of it."""
    assert entry.answer is not None
    values = [review.value for review in said.reviews if review.value is not None]
    corrected = [review.corrected_answer for review in said.reviews if review.corrected_answer]
    record = Record(
        key=entry.id,
        question=entry.search_query or entry.question,
        asked=entry.question if entry.search_query not in ("", entry.question) else "",
        origin=entry.origin,
        references=tuple(dict.fromkeys(corrected)),
        answer=entry.answer.text,
        abstained=entry.answer.abstained,
        value=round(fsum(values) / len(values), 6) if values else None,
        rating=round(fsum(said.ratings) / len(said.ratings), 6) if said.ratings else None,
        labels=tuple(review.label for review in said.reviews),
        worse=worse,
        messages=() if entry.prompt is None else entry.prompt.messages,
        interaction_id=entry.id,
        conversation_id=entry.conversation_id,
        created_at=entry.created_at,
        model=entry.model,
        template=entry.template,
    )
    record = replace(record, passages=_passages(entry, said, cited_are_relevant=record.verdict == "good"))
    return replace(record, answerable=_answerable(record))


def _passages(entry: Interaction, said: Evidence, *, cited_are_relevant: bool) -> tuple[Shown, ...]:
    """What was shown, and what reviewers found beyond it; of several grades the mean of reviewers, half a grade up.

    Where nobody graded a passage, those that an answer judged good cites count as relevant.
    """
    grades: dict[int | tuple[int, str], list[int]] = {}
    further: dict[tuple[int, str], Shown] = {}
    for review in said.reviews:
        for graded in review.graded:
            if graded.number is not None:
                grades.setdefault(graded.number, []).append(graded.grade)
            else:
                key = (graded.content_id, graded.text)
                grades.setdefault(key, []).append(graded.grade)
                further[key] = Shown(graded.document, graded.title, graded.text, shown=False, by="reviewer")
    assert entry.answer is not None
    cited = {citation.passage for citation in entry.answer.citations if citation.passage is not None}
    infer = cited_are_relevant and not grades and not entry.answer.abstained
    found = []
    for number, passage in enumerate(entry.passages, 1):
        place = passage.places[0]
        one = Shown(place.external_id or place.uri, passage.title or place.title, passage.text)
        if number in grades:
            one = replace(one, grade=_grade(grades[number]), by="reviewer")
        elif infer and number in cited:
            one = replace(one, grade=1, by="citation")
        found.append(one)
    return (*found, *(replace(one, grade=_grade(grades[key])) for key, one in further.items()))


def _grade(given: Sequence[int]) -> int:
    return int(fsum(given) / len(given) + 0.5)


def _answerable(record: Record) -> bool | None:
    """Whether the documents answer: so somebody said, or it follows from what they said."""
    if record.references or any(grade > 0 for grade in record.relevant.values()):
        return True
    if record.verdict == "good":
        return not record.abstained
    return None


def deduplicated(records: Sequence[Record]) -> list[Record]:
    """Of records that ask the same and were answered the same, the one of which most was said, with all answers that
    were liked less than this one; of equals the newest."""
    best: dict[tuple[str, str], Record] = {}
    worse: dict[tuple[str, str], dict[str, None]] = {}
    for record in records:
        key = (normal(record.question), normal(record.answer or ""))
        worse.setdefault(key, {}).update(dict.fromkeys(record.worse))
        if key not in best or _weight(record) >= _weight(best[key]):
            best[key] = record
    kept = {record.key: replace(record, worse=tuple(worse[key])) for key, record in best.items()}
    return [kept[record.key] for record in records if record.key in kept]


def _weight(record: Record) -> tuple[bool, int, bool]:
    graded = sum(passage.by == "reviewer" for passage in record.passages)
    return bool(record.references), len(record.labels) + graded, record.rating is not None


def scrubbed_of(records: Sequence[Record], kinds: Sequence[Kind]) -> tuple[list[Record], dict[str, int]]:
    """The records with personal data replaced, consistently within a conversation, and how often each kind was."""
    if not kinds:
        return list(records), {}
    scrubbers: dict[str, Scrubber] = {}
    found = []
    for record in records:
        scrubber = scrubbers.setdefault(record.conversation_id or record.key, Scrubber(kinds))
        found.append(rewritten(record, scrubber.scrub))
    counts = {kind: sum(scrubber.replaced[kind] for scrubber in scrubbers.values()) for kind in kinds}
    return found, {kind: count for kind, count in counts.items() if count}
