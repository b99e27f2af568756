"""The log: one row a question, with the evidence that led to its answer, its scores and what people said of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from rag.errors import NotFound, WrongUsage
from rag.store.conversations import linked
from rag.store.database import Database, now
from rag.store.tables import (
    contents,
    feedback,
    interaction_passages,
    interactions,
    scores,
    texts,
)
from rag.types import (
    Answer,
    Citation,
    Cut,
    Hit,
    Interaction,
    LeftOut,
    Message,
    Part,
    Passage,
    Place,
    Prompt,
    Reason,
    Refusal,
    Score,
    Usage,
)


@dataclass(frozen=True, slots=True)
class Query:
    """Which interactions to list. Every condition given must hold."""

    text: str | None = None  # found in question or answer, whatever the case
    model: str | None = None
    user: str | None = None
    conversation_id: str | None = None
    collection: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    score: str | None = None  # the name of a score …
    score_min: float | None = None  # … whose value is at least
    score_max: float | None = None  # … at most this
    abstained: bool | None = None
    failed: bool | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    id: int
    user: str
    rating: int | None
    label: str | None
    comment: str | None
    created_at: datetime


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def record(connection: Connection, database: Database, entry: Interaction, collection_id: int | None) -> Interaction:
    """Write one interaction whole: the prompt's text once, passages as rows, candidates as one column, scores.

    The result is the interaction with its place in its conversation. Raises NotFound for the conversation of another
    user, or a parent that is not in it.
    """
    entry = linked(connection, entry)
    prompt_id = None
    if entry.prompt is not None:
        prompt_id = _text_id(connection, database, entry.tenant_id, _messages_json(entry.prompt))
    answer, total = entry.answer, entry.timings_ms.get("total", 0.0)
    connection.execute(
        insert(interactions).values(
            id=entry.id,
            tenant_id=entry.tenant_id,
            collection_id=collection_id,
            collection=entry.collection,
            conversation_id=entry.conversation_id,
            user=entry.user,
            origin=entry.origin,
            question=entry.question,
            search_query=entry.search_query,
            prompt_id=prompt_id,
            prompt_tokens_packed=None if entry.prompt is None else entry.prompt.tokens,
            answer=None if answer is None else answer.text,
            abstained=None if answer is None else answer.abstained,
            finish_reason=None if answer is None else answer.finish_reason,
            error=entry.error,
            citations=[] if answer is None else [citation_json(citation) for citation in answer.citations],
            candidates=[[hit.chunk_id, hit.score, parts_json(hit.parts)] for hit in entry.candidates],
            model=entry.model,
            revision=entry.revision,
            template=entry.template,
            settings={**entry.settings, **_confidence_json(answer)},
            position=entry.position,
            generation=entry.generation,
            prompt_tokens=None if answer is None else answer.usage.prompt_tokens,
            completion_tokens=None if answer is None else answer.usage.completion_tokens,
            timings_ms=dict(entry.timings_ms),
            total_ms=total,
            left_out=None if entry.prompt is None else left_out_json(entry.prompt.left_out),
            parent_id=entry.parent_id,
            regenerates_id=entry.regenerates_id,
            turn=entry.turn,
            kind=entry.kind,
            created_at=datetime.fromisoformat(entry.created_at),
        )
    )
    cited = set() if answer is None else {citation.passage for citation in answer.citations}
    if entry.passages:
        connection.execute(
            insert(interaction_passages),
            [
                {
                    "interaction_id": entry.id,
                    "number": number,
                    "chunk_id": passage.hit.chunk_id,
                    "content_id": passage.content_id,
                    "start": passage.start,
                    "end": passage.end,
                    "title": passage.title,
                    "headings": list(passage.headings),
                    "page": passage.page,
                    "places": [place_json(place) for place in passage.places],
                    "score": passage.hit.score,
                    "parts": parts_json(passage.hit.parts),
                    "cited": number in cited,
                }
                for number, passage in enumerate(entry.passages, 1)
            ],
        )
    add_scores(connection, entry.id, entry.scores)
    return entry


def add_scores(connection: Connection, interaction_id: str, new: Sequence[Score]) -> None:
    """Add judgements to an interaction; earlier ones stay."""
    if new:
        connection.execute(
            insert(scores),
            [
                {
                    "interaction_id": interaction_id,
                    "name": score.name,
                    "value": score.value,
                    "label": score.label,
                    "explanation": score.explanation,
                    "annotator_kind": score.annotator_kind,
                    "identifier": score.identifier,
                    "created_at": now(),
                }
                for score in new
            ],
        )


def add_feedback(
    connection: Connection,
    tenant_id: int,
    interaction_id: str,
    *,
    user: str,
    rating: int | None,
    label: str | None,
    comment: str | None,
) -> int:
    """Keep what somebody said of an answer. Raises NotFound, or WrongUsage when nothing was said."""
    if rating is None and not label and not comment:
        raise WrongUsage("feedback needs a rating (-1, 0 or 1), a label or a comment")
    if rating not in (None, -1, 0, 1):
        raise WrongUsage(f"a rating is -1, 0 or 1, not {rating}")
    interaction_id = _require(connection, tenant_id, interaction_id)
    key = connection.execute(
        insert(feedback).values(
            interaction_id=interaction_id, user=user, rating=rating, label=label, comment=comment, created_at=now()
        )
    ).inserted_primary_key
    assert key is not None
    return int(key[0])


def _text_id(connection: Connection, database: Database, tenant_id: int, text: str) -> int:
    digest = database.digest(text)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(texts).values(tenant_id=tenant_id, digest=digest, text=text).on_conflict_do_nothing()
    )
    return int(
        connection.execute(
            select(texts.c.id).where(texts.c.tenant_id == tenant_id, texts.c.digest == digest)
        ).scalar_one()
    )


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def listing(
    connection: Connection, tenant_id: int, query: Query, *, limit: int, before: str | None = None
) -> list[Interaction]:
    """The newest interactions first, beginning behind the id `before`; without passages, candidates or prompt."""
    where = conditions(tenant_id, query)
    if before is not None:
        where.append(interactions.c.id < before)
    rows = connection.execute(
        select(interactions).where(and_(*where)).order_by(interactions.c.id.desc()).limit(limit)
    ).all()
    judged = _scores(connection, [row.id for row in rows])
    return [_value(row, None, (), judged.get(row.id, ())) for row in rows]


def get(connection: Connection, tenant_id: int, interaction_id: str) -> Interaction:
    """One interaction whole. Accepts the beginning of an id when only one interaction has it. Raises NotFound."""
    found = whole(connection, _require(connection, tenant_id, interaction_id))
    assert found is not None
    return found


def whole(connection: Connection, interaction_id: str) -> Interaction | None:
    """The interaction of exactly this id; None where there is none."""
    row = connection.execute(select(interactions).where(interactions.c.id == interaction_id)).one_or_none()
    if row is None:
        return None
    prompt = None
    if row.prompt_id is not None:
        prompt = connection.execute(select(texts.c.text).where(texts.c.id == row.prompt_id)).scalar_one()
    passages = _passages(connection, interaction_id)
    return _value(row, prompt, passages, _scores(connection, [interaction_id]).get(interaction_id, ()))


def feedback_of(connection: Connection, interaction_id: str) -> list[Feedback]:
    rows = connection.execute(
        select(
            feedback.c.id,
            feedback.c.user,
            feedback.c.rating,
            feedback.c.label,
            feedback.c.comment,
            feedback.c.created_at,
        )
        .where(feedback.c.interaction_id == interaction_id)
        .order_by(feedback.c.id)
    )
    return [Feedback(*row) for row in rows]


def count(connection: Connection, tenant_id: int, query: Query) -> int:
    found = connection.scalar(select(func.count()).select_from(interactions).where(and_(*conditions(tenant_id, query))))
    return int(found or 0)


def _require(connection: Connection, tenant_id: int, interaction_id: str) -> str:
    found = connection.scalars(
        select(interactions.c.id)
        .where(
            interactions.c.tenant_id == tenant_id,
            interactions.c.id.startswith(interaction_id.upper(), autoescape=True),
        )
        .limit(2)
    ).all()
    if len(found) == 1:
        return str(found[0])
    what = (
        f"several interactions begin with {interaction_id!r}; give more of the id"
        if found
        else (f"no interaction {interaction_id!r}; `rag logs` lists them")
    )
    raise NotFound(what)


def conditions(tenant_id: int, query: Query) -> list[ColumnElement[bool]]:
    """What a row of the log must fulfil."""
    columns = interactions.c
    where: list[ColumnElement[bool]] = [columns.tenant_id == tenant_id]
    if query.text:
        where.append(
            or_(
                columns.question.icontains(query.text, autoescape=True),
                columns.answer.icontains(query.text, autoescape=True),
            )
        )
    for column, value in (
        (columns.model, query.model),
        (columns.user, query.user),
        (columns.conversation_id, query.conversation_id),
        (columns.collection, query.collection),
        (columns.abstained, query.abstained),
    ):
        if value is not None:
            where.append(column == value)
    if query.since is not None:
        where.append(columns.created_at >= query.since.astimezone(UTC))
    if query.until is not None:
        where.append(columns.created_at < query.until.astimezone(UTC))
    if query.failed is not None:
        where.append(columns.error.is_not(None) if query.failed else columns.error.is_(None))
    if query.score is not None:
        terms = [scores.c.interaction_id == columns.id, scores.c.name == query.score, scores.c.value.is_not(None)]
        if query.score_min is not None:
            terms.append(scores.c.value >= query.score_min)
        if query.score_max is not None:
            terms.append(scores.c.value <= query.score_max)
        where.append(exists().where(and_(*terms)).correlate(interactions))
    elif query.score_min is not None or query.score_max is not None:
        raise WrongUsage("a lowest or highest score needs the name of the score")
    return where


def _scores(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[Score, ...]]:
    found: dict[str, tuple[Score, ...]] = {}
    if not ids:
        return found
    for row in connection.execute(
        select(
            scores.c.interaction_id,
            scores.c.name,
            scores.c.value,
            scores.c.label,
            scores.c.explanation,
            scores.c.annotator_kind,
            scores.c.identifier,
        )
        .where(scores.c.interaction_id.in_(ids))
        .order_by(scores.c.id)
    ):
        found[row[0]] = (*found.get(row[0], ()), Score(*row[1:]))
    return found


def _passages(connection: Connection, interaction_id: str) -> tuple[Passage, ...]:
    table = interaction_passages.c
    rows = connection.execute(
        select(
            interaction_passages,
            func.substr(contents.c.text, table.start + 1, table.end - table.start).label("text"),
        )
        .join(contents, contents.c.id == table.content_id)
        .where(table.interaction_id == interaction_id)
        .order_by(table.number)
    )
    return tuple(
        Passage(
            hit=Hit(row.chunk_id, row.score, parts_value(row.parts)),
            text=row.text,
            title=row.title,
            headings=tuple(row.headings),
            places=tuple(Place(**place) for place in row.places),
            page=row.page,
            start=row.start,
            end=row.end,
            content_id=row.content_id,
        )
        for row in rows
    )


def _value(
    row: Row[Any], prompt_text: str | None, passages: tuple[Passage, ...], judged: tuple[Score, ...]
) -> Interaction:
    answer = None
    if row.answer is not None:
        answer = Answer(
            text=row.answer,
            citations=tuple(_citation(citation) for citation in row.citations),
            abstained=row.abstained,
            generator=row.model,
            finish_reason=row.finish_reason,
            usage=Usage(row.prompt_tokens, row.completion_tokens),
            confidence=row.settings.get("confidence"),
            refusal=_refusal(row.settings.get("refusal")),
            removed=tuple(row.settings.get("removed", ())),
        )
    prompt = None
    if prompt_text is not None:
        messages = tuple(Message(**message) for message in json.loads(prompt_text))
        left_out = None if row.left_out is None else left_out_value(row.left_out)
        prompt = Prompt(row.search_query, messages, passages, row.template, row.prompt_tokens_packed or 0, left_out)
    return Interaction(
        id=row.id,
        created_at=row.created_at.isoformat(timespec="milliseconds"),
        tenant_id=row.tenant_id,
        collection=row.collection,
        user=row.user,
        conversation_id=row.conversation_id,
        origin=row.origin,
        question=row.question,
        search_query=row.search_query,
        prompt=prompt,
        answer=answer,
        error=row.error,
        passages=passages,
        candidates=tuple(Hit(c[0], c[1], parts_value(c[2])) for c in row.candidates),
        model=row.model,
        revision=row.revision,
        template=row.template,
        settings={key: value for key, value in row.settings.items() if key not in _OF_ANSWERS},
        position=row.position,
        generation=row.generation,
        timings_ms=row.timings_ms,
        scores=judged,
        parent_id=row.parent_id,
        regenerates_id=row.regenerates_id,
        turn=row.turn,
        kind=row.kind,
    )


# ── values as JSON ──────────────────────────────────────────────────────────────────────────────────────────────────


def parts_json(parts: Mapping[str, Part]) -> dict[str, list[float]]:
    return {name: [part.rank, part.score] for name, part in parts.items()}


def parts_value(parts: Mapping[str, Sequence[float]]) -> dict[str, Part]:
    return {name: Part(int(rank), score) for name, (rank, score) in parts.items()}


def left_out_json(left_out: LeftOut | None) -> dict[str, object] | None:
    if left_out is None:
        return None
    cuts = [[getattr(cut, name) for name in Cut.__slots__] for cut in left_out.passages]
    return {"budget": left_out.budget, "passages": cuts, "turns": left_out.turns}


def left_out_value(stored: Mapping[str, Any]) -> LeftOut:
    return LeftOut(stored["budget"], tuple(Cut(*cut) for cut in stored["passages"]), stored["turns"])


def place_json(place: Place) -> dict[str, object]:
    return {
        "document_id": place.document_id,
        "uri": place.uri,
        "external_id": place.external_id,
        "title": place.title,
        "metadata": dict(place.metadata),
    }


def citation_json(citation: Citation) -> dict[str, object]:
    told = {name: getattr(citation, name) for name in Citation.__slots__}
    return told | {"reasons": [{"kind": reason.kind, "text": reason.text} for reason in citation.reasons]}


def _citation(told: Mapping[str, Any]) -> Citation:
    """What `citation_json` wrote; rows from before there were reasons have none."""
    reasons = tuple(Reason(each["kind"], each["text"]) for each in told.get("reasons", ()))
    return Citation(**{**told, "reasons": reasons})


_OF_ANSWERS = ("confidence", "refusal", "removed")  # kept among the settings, as few rows have them


def _confidence_json(answer: Answer | None) -> dict[str, object]:
    """What settings keep of an answer: its confidence, a refusal, what was left out; nothing where there is none."""
    told: dict[str, object] = {}
    if answer is not None and answer.confidence is not None:
        told["confidence"] = answer.confidence
    if answer is not None and answer.removed:
        told["removed"] = list(answer.removed)
    if answer is not None and answer.refusal is not None:
        refusal = answer.refusal
        told["refusal"] = {
            "looked_for": list(refusal.looked_for),
            "missing": list(refusal.missing),
            "closest": refusal.closest,
        }
    return told


def _refusal(told: Mapping[str, Any] | None) -> Refusal | None:
    return None if told is None else Refusal(tuple(told["looked_for"]), tuple(told["missing"]), told["closest"])


def _messages_json(prompt: Prompt) -> str:
    return json.dumps([{"role": m.role, "content": m.content} for m in prompt.messages], ensure_ascii=False)
