"""The texts that reviewers judge: passages of an answer, and better ones that a search names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from rag.errors import WrongUsage
from rag.store.collections import position
from rag.store.permitted import Predicate, permitted_ids
from rag.store.tables import chunks, contents, interaction_passages, interactions
from rag.types import Principal

GRADES = range(4)  # 0 not relevant, 1 relevant, 2 answers in part, 3 answers


@dataclass(frozen=True, slots=True)
class Judged:
    """How relevant a reviewer finds a text: a passage of the answer by its number, or a better one, found by a search,
    by its chunk."""

    grade: int
    number: int | None = None
    chunk_id: int | None = None


@dataclass(frozen=True, slots=True)
class Grade:
    """A judged text: that of the content from `start` to `end`."""

    content_id: int
    start: int
    end: int
    grade: int  # 0 … 3
    number: int | None  # cited as [number]; None: a better one, named from a search


def graded(connection: Connection, asker: Principal, interaction_id: str, judged: Sequence[Judged]) -> list[Grade]:
    """The judged texts by content and place, each once. Raises WrongUsage."""
    if not judged:
        return []
    table = interaction_passages.c
    rows = connection.execute(
        select(table.number, table.chunk_id, table.content_id, table.start, table.end).where(
            table.interaction_id == interaction_id
        )
    ).all()
    shown = {row.number: row for row in rows}
    found = _chunks(connection, asker, interaction_id, [one.chunk_id for one in judged if one.chunk_id is not None])
    grades: dict[tuple[int, int, int], Grade] = {}
    for one in judged:
        if one.grade not in GRADES:
            raise WrongUsage(f"a passage is graded 0 (not relevant) to 3 (answers the question), not {one.grade}")
        if (one.number is None) == (one.chunk_id is None):
            raise WrongUsage("a judged passage is named by its number in the answer, or by its chunk, not by both")
        if one.number is not None:
            if one.number not in shown:
                raise WrongUsage(f"the answer has no passage {one.number}; it has {len(shown)}")
            row = shown[one.number]
            grade = Grade(row.content_id, row.start, row.end, one.grade, one.number)
        else:
            assert one.chunk_id is not None
            if one.chunk_id not in found:
                raise WrongUsage(f"no chunk {one.chunk_id} that you may see; a search names chunks")
            grade = Grade(*found[one.chunk_id], one.grade, None)
        place = (grade.content_id, grade.start, grade.end)
        if place in grades and grades[place].grade != grade.grade:
            raise WrongUsage("one passage has two different grades")
        grades.setdefault(place, grade)
    return list(grades.values())


def _chunks(
    connection: Connection, asker: Principal, interaction_id: str, chunk_ids: Sequence[int]
) -> Mapping[int, tuple[int, int, int]]:
    """Content and place of those of these chunks, of the interaction's collection, that the asker may see now."""
    collection = connection.scalar(select(interactions.c.collection_id).where(interactions.c.id == interaction_id))
    if not chunk_ids or collection is None:
        return {}
    rows = connection.execute(
        select(chunks.c.id, chunks.c.content_id, chunks.c.start, chunks.c.end).where(
            chunks.c.collection_id == collection, chunks.c.id.in_(sorted(set(chunk_ids)))
        )
    ).all()
    may = Predicate(collection, asker.labels)
    seen_now = set(
        permitted_ids(connection, may, position(connection, collection), [row.content_id for row in rows]).tolist()
    )
    return {row.id: (row.content_id, row.start, row.end) for row in rows if row.id in seen_now}


def texts_of(connection: Connection, grades: Sequence[Grade]) -> list[tuple[str, str]]:
    """Title and text of judged passages, in their order; erased ones are empty."""
    found = []
    for grade in grades:
        length = grade.end - grade.start
        row = connection.execute(
            select(contents.c.title, func.substr(contents.c.text, grade.start + 1, length)).where(
                contents.c.id == grade.content_id
            )
        ).one()
        found.append((str(row[0]), str(row[1])))
    return found


@dataclass(frozen=True, slots=True)
class Named:
    """A chunk that a search has named, as a page shows it."""

    chunk_id: int
    title: str
    text: str
    grade: int


def named(connection: Connection, asker: Principal, interaction_id: str, grades: Mapping[int, int]) -> list[Named]:
    """The chunks of these grades that the asker may see now, of the interaction's collection, with their texts."""
    places = _chunks(connection, asker, interaction_id, list(grades))
    found = [(key, Grade(*place, grades[key], None)) for key, place in places.items()]
    texts = texts_of(connection, [grade for _, grade in found])
    return [Named(key, title, text, grade.grade) for (key, grade), (title, text) in zip(found, texts, strict=True)]


def chunks_of(connection: Connection, grades: Sequence[Grade]) -> dict[int, int]:
    """The grades of better passages by the chunks that they were named by; those that were cut anew are left out."""
    found: dict[int, int] = {}
    for grade in grades:
        if grade.number is None:
            columns = chunks.c
            place = (columns.start == grade.start) & (columns.end == grade.end)
            live = columns.removed_position.is_(None)
            key = connection.scalar(
                select(columns.id).where(columns.content_id == grade.content_id, place, live).limit(1)
            )
            if key is not None:
                found[int(key)] = grade.grade
    return found
