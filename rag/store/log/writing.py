"""The log written: an interaction whole, in one go, and what is said of it afterwards."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Executable, bindparam, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from rag.errors import WrongUsage
from rag.rankings.arrays import columns
from rag.store.database import Database, now
from rag.store.log import prompts
from rag.store.log.conversations import linked
from rag.store.log.reading import require, standing, turns_before
from rag.store.log.values import (
    citation_json,
    left_out_json,
    of_answer_json,
    parts_json,
    said_json,
    shown_json,
)
from rag.store.tables import feedback, interaction_passages, interactions, scores, texts
from rag.types import Interaction, Score

# Written once: SQLAlchemy takes longer to make a statement of so many columns than the database to run it.
_INTERACTION, _PASSAGES = insert(interactions), insert(interaction_passages)
_SCORES = insert(scores).returning(scores.c.id)  # so rows become one statement: PostgreSQL's trigger runs once
_TEXTS_UNKNOWN: Mapping[str, Executable] = {
    "sqlite": sqlite.insert(texts).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(texts).on_conflict_do_nothing(),
}
_TEXTS_KNOWN = select(texts.c.digest, texts.c.id).where(
    texts.c.tenant_id == bindparam("tenant_id"), texts.c.digest.in_(bindparam("digests", expanding=True))
)


def record(connection: Connection, database: Database, entry: Interaction, collection_id: int | None) -> Interaction:
    """Write one interaction whole: the prompt's text once, passages as rows, candidates as one column, scores.

    The result is the interaction with its place in its conversation. Raises NotFound for the conversation of another
    user, or a parent that is not in it.
    """
    entry = linked(connection, entry)
    said_once = [shown_json(passage) for passage in entry.passages]
    if entry.prompt is not None:
        turns = turns_before(connection, standing(connection, entry).parent_id)
        sources = prompts.Sources(entry.question, entry.search_query, entry.passages, turns)
        said_once.append(prompts.folded(entry.prompt.messages, sources))
    text_ids = _text_ids(connection, database, entry.tenant_id, said_once)
    answer, total = entry.answer, entry.timings_ms.get("total", 0.0)
    said = said_json(entry.question, entry.search_query, None if answer is None else answer.text, entry.error)
    connection.execute(
        _INTERACTION,
        {
            "id": entry.id,
            "tenant_id": entry.tenant_id,
            "collection_id": collection_id,
            "collection": entry.collection,
            "conversation_id": entry.conversation_id,
            "user": entry.user,
            "origin": entry.origin,
            "question": entry.question,
            "search_query": entry.search_query,
            "prompt_id": None if entry.prompt is None else text_ids[-1],
            "prompt_digest": None if entry.prompt is None else database.digest(prompts.written(entry.prompt.messages)),
            "said_digest": database.digest(said),
            "prompt_tokens_packed": None if entry.prompt is None else entry.prompt.tokens,
            "answer": None if answer is None else answer.text,
            "abstained": None if answer is None else answer.abstained,
            "finish_reason": None if answer is None else answer.finish_reason,
            "error": entry.error,
            "citations": [] if answer is None else [citation_json(one, entry.passages) for one in answer.citations],
            "candidates": columns(entry.candidates),
            "model": entry.model,
            "revision": entry.revision,
            "template": entry.template,
            "settings": {**entry.settings, **of_answer_json(answer)},
            "position": entry.position,
            "generation": entry.generation,
            "prompt_tokens": None if answer is None else answer.usage.prompt_tokens,
            "completion_tokens": None if answer is None else answer.usage.completion_tokens,
            "timings_ms": dict(entry.timings_ms),
            "total_ms": total,
            "left_out": None if entry.prompt is None else left_out_json(entry.prompt.left_out),
            "parent_id": entry.parent_id,
            "regenerates_id": entry.regenerates_id,
            "turn": entry.turn,
            "kind": entry.kind,
            "replays_id": entry.replays_id,
            "created_at": datetime.fromisoformat(entry.created_at),
        },
    )
    cited = set() if answer is None else {citation.passage for citation in answer.citations}
    if entry.passages:
        connection.execute(
            _PASSAGES,
            [
                {
                    "interaction_id": entry.id,
                    "number": number,
                    "chunk_id": passage.hit.chunk_id,
                    "content_id": passage.content_id,
                    "start": passage.start,
                    "end": passage.end,
                    "title": passage.title,
                    "shown_id": text_ids[number - 1],
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
        at = now()
        rows = [
            {
                "interaction_id": interaction_id,
                "name": score.name,
                "value": score.value,
                "label": score.label,
                "explanation": score.explanation,
                "annotator_kind": score.annotator_kind,
                "identifier": score.identifier,
                "created_at": at,
            }
            for score in new
        ]
        connection.execute(_SCORES, rows)


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
    interaction_id = require(connection, tenant_id, interaction_id)
    key = connection.execute(
        insert(feedback).values(
            interaction_id=interaction_id, user=user, rating=rating, label=label, comment=comment, created_at=now()
        )
    ).inserted_primary_key
    assert key is not None
    return int(key[0])


def _text_ids(connection: Connection, database: Database, tenant_id: int, said: Sequence[str]) -> list[int]:
    """The ids of these texts, which are kept once each."""
    if not said:
        return []
    digests = {text: database.digest(text) for text in said}
    connection.execute(
        _TEXTS_UNKNOWN[connection.dialect.name],
        [{"tenant_id": tenant_id, "digest": digest, "text": text} for text, digest in digests.items()],
    )
    rows = connection.execute(_TEXTS_KNOWN, {"tenant_id": tenant_id, "digests": list(digests.values())})
    ids = {bytes(row[0]): int(row[1]) for row in rows}
    return [ids[digests[text]] for text in said]
