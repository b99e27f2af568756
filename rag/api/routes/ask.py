"""POST /api/ask: an answer with checked citations, whole or streamed."""

from collections.abc import Generator

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from rag.api.answers import documented
from rag.api.fusing import fusion
from rag.api.house import House
from rag.api.models.answers import AskRequest, AskResult
from rag.api.refining import check_reranker, refining
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.api.streams import EventStream, Whole, wants_events
from rag.ask import Answering, Question, Step, stream
from rag.errors import NotPermitted
from rag.store.filters.tree import Filter
from rag.types import CancelToken, Principal

router = APIRouter(tags=["ask"], route_class=StrictRoute)

OPEN_GENERATORS = frozenset({"auto", "extractive"})
EVENTS = {
    "description": "the answer: one JSON object, or with `Accept: text/event-stream` the events `started` "
    "(interaction_id, passages), `text` (text: some more of the answer), `done` (the object) or `error` (a problem)",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.post("/api/ask", response_model=AskResult, responses={200: EVENTS, **documented(404, 413, 422, 502)})
async def ask(asked: AskRequest, request: Request, house: TheHouse, principal: Asker) -> Response:
    """Answer a question from the documents that the asker may see; the interaction is logged whatever happens."""
    answering, question = await to_thread.run_sync(prepared, asked, house, principal, limiter=house.answers)

    def steps(cancel: CancelToken) -> Generator[Step, None, None]:
        return stream(answering, question, principal, cancel)

    def told(outcome: str) -> None:
        house.metrics.asked(answering.generator.name, outcome)

    kind = EventStream if wants_events(request.headers.get("accept", "")) else Whole
    return kind(steps, house.answers, told)


def prepared(asked: AskRequest, house: House, principal: Principal) -> tuple[Answering, Question]:
    """Who answers, and what; a request that cannot be answered is in the log as well."""
    with house.refusal(principal, asked.question or "", asked.collection):
        house.check_question(asked.question or "")
        check_generator(asked.generator, house)
        check_reranker(asked.rerank, house)
        question = to_question(asked, house, principal)
        return open_answering(house, asked, principal), question


def check_generator(name: str | None, house: House) -> None:
    """Raise NotPermitted for a generator that whoever runs the server has not chosen: a name can hold a path or URL."""
    if name is not None and name not in OPEN_GENERATORS | {house.app.settings.generator}:
        raise NotPermitted(f"a request may name the generators auto and extractive, or the settings' own, not {name!r}")


def open_answering(house: House, asked: AskRequest, principal: Principal) -> Answering:
    return house.app.answering(asked.collection, principal.tenant_id, asked.generator, asked.rerank, asked.template)


def to_question(asked: AskRequest, house: House, principal: Principal) -> Question:
    """The request with the settings' own values where it names none."""
    from ulid import ULID

    settings = house.app.settings
    return Question(
        text=asked.question or "",  # what is asked again is in the log
        k=asked.k or settings.passages,
        mode=asked.mode or settings.mode,  # settings check the mode
        where=None if asked.filter is None else Filter.parse(asked.filter),
        fusion=fusion(asked, house, principal),
        generation=house.app.generation(asked.seed, asked.temperature),
        conversation_id=str(ULID()) if asked.conversation == "new" else asked.conversation_id,
        parent=asked.parent,
        regenerates=asked.regenerate,
        refining=refining(asked, house),
        strict=settings.strict == "on" if asked.strict is None else asked.strict,
        abstaining=house.app.abstaining(
            asked.collection,
            principal.tenant_id,
            asked={"mode": asked.mode, "abstain": asked.abstain, "abstain_threshold": asked.abstain_threshold},
        ),
    )
