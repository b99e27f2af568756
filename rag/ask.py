"""The read route to the end: search, pack a prompt, generate, check citations, score, log."""

import threading
from collections.abc import Generator as Running
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rag.answers.telling import Answering as Answering
from rag.answers.telling import Origin, Telling
from rag.answers.telling import Question as Question
from rag.errors import RagError
from rag.store import interactions as interaction_store
from rag.store.database import Database, now
from rag.types import CancelToken, Interaction, Principal, Prompt, Text

LONGEST_REFUSED = 10_000  # characters of a refused question that are kept: it may be refused for its length


@dataclass(frozen=True, slots=True)
class Started:
    """What was found, before the first word is spoken."""

    interaction_id: str
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Done:
    """The answer, checked, scored and logged."""

    interaction: Interaction


Step = Started | Text | Done


def ask(answering: Answering, question: Question, principal: Principal) -> Interaction:
    """The logged interaction of one question. Raises what `stream` raises."""
    for step in stream(answering, question, principal):
        if isinstance(step, Done):
            return step.interaction
    raise AssertionError("a stream ends with Done or raises")


def answer(answering: Answering, question: Question, principal: Principal) -> Interaction:
    """As `ask`, but nothing is logged: for evaluation, whose questions nobody asked. A failure is raised."""
    told = Telling(answering, question, principal)
    told.search()
    for _ in told.events(told.begin(threading.Event())):
        pass
    return told.finish()


def stream(
    answering: Answering, question: Question, principal: Principal, cancel: CancelToken | None = None
) -> Running[Step, None, None]:
    """Answer a question in steps: Started, some Text, Done. One log row is written before Done, whatever happens; of a
    conversation, parent or question to ask again that is not the asker's, which raises NotFound, it names none.

    A set `cancel`, or closing the iterator, ends generation soon; what was said until then is logged as cancelled.
    A failure is logged and raised: GeneratorFailed, or what the search raises.
    """
    cancel = cancel or threading.Event()
    collection = answering.opened.collection.name
    with logged_refusal(answering.database, principal, question.text, collection, origin=question.origin):
        told = Telling(answering, question, principal)
    try:
        prompt = told.search(cancel)
        beginning = told.begin(cancel)
        yield Started(told.id, prompt)
        for event in told.events(beginning):
            if isinstance(event, Text):
                yield event
    except GeneratorExit:
        cancel.set()
        told.finish_reason = "cancelled"
        told.log()
        raise
    except Exception as error:
        told.log(error=_said(error))
        raise
    yield Done(told.log())


@contextmanager
def logged_refusal(
    database: Database, principal: Principal, asked: str, collection: str, *, origin: Origin = "human"
) -> Iterator[None]:
    """Whatever is raised within is logged as the failure of a question that was asked, and raised on. For all that
    happens before `stream`, which logs by itself."""
    try:
        yield
    except Exception as error:
        refused(database, principal, asked, collection, _said(error), origin=origin)
        raise


def refused(
    database: Database, principal: Principal, asked: str, collection: str, reason: str, *, origin: Origin = "human"
) -> None:
    """Log a question that nobody was asked, and why."""
    from ulid import ULID

    entry = Interaction(
        id=str(ULID()),
        created_at=now().isoformat(timespec="milliseconds"),
        tenant_id=principal.tenant_id,
        collection=collection,
        user=principal.user,
        conversation_id=None,
        origin=origin,
        question=asked[:LONGEST_REFUSED],
        search_query=asked[:LONGEST_REFUSED],
        prompt=None,
        answer=None,
        error=reason,
        passages=(),
        candidates=(),
        model="",
        revision="",
        template="",
        settings={},
        position=0,
        generation=0,
        timings_ms={},
    )
    with database.write() as connection:
        interaction_store.record(connection, database, entry, None)


def _said(error: Exception) -> str:
    """What failed, in words."""
    return str(error) if isinstance(error, RagError) else f"{type(error).__name__}: {error}"
