"""The page Ask: a conversation with its branches, answers with their verdicts, what people say of them.

With scripts the answer is streamed from POST /api/ask and shown by ask.js, which then fetches the turn from here;
without them the form is posted and the page comes when the answer is whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from rag.api.house import House
from rag.api.models import ULID
from rag.api.models.answers import AskRequest
from rag.api.pages import shown
from rag.api.pages.forms import Form, Given
from rag.api.pages.rendering import PageRoute, page, see
from rag.api.requests import Asker, TheHouse
from rag.api.routes.ask import OPEN_GENERATORS, check_generator, prepared
from rag.api.routes.interactions import check_seen
from rag.api.streams import ending
from rag.ask import ask
from rag.errors import NotFound, RagError
from rag.store import collections as collection_store
from rag.store import interactions as interaction_store
from rag.store.interactions import Feedback
from rag.store.log import conversations as conversation_store
from rag.store.log.conversations import ROOT, Conversation, Node
from rag.types import AGAIN_TEMPERATURE, Interaction, Principal, Verdict

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LISTED = 30  # conversations beside the page, and further ones at a time
WHOLE = 12  # turns of a branch that are shown with all their evidence, the last ones; earlier ones as text
MODES = (("hybrid", "Hybrid"), ("semantic", "Semantic"), ("keyword", "Keyword"))

ConversationId = Annotated[str, Path(min_length=1, max_length=100)]
TurnId = Annotated[str, Path(pattern=ULID)]
Turn = Annotated[str | None, Query(pattern=ULID)]


@dataclass(frozen=True, slots=True)
class Shown:
    """A turn with what stands beside it in its conversation."""

    interaction: Interaction
    segments: Sequence[shown.Segment]
    feedback: Feedback | None  # the last that the asker gave
    siblings: Sequence[str]  # ids of the turns with the same parent, itself among them, in order
    again: int  # how often its question was asked again
    again_temperature: float  # for the next time

    @property
    def checked(self) -> list[shown.Sentence]:
        return shown.sentences(self.segments)

    @property
    def tally(self) -> dict[Verdict, int]:
        return shown.tally(self.checked)

    @property
    def cited(self) -> frozenset[int]:
        """The numbers of the passages that the answer cites."""
        answer = self.interaction.answer
        numbers = () if answer is None else (each.passage for each in answer.citations if each.passage is not None)
        return frozenset(numbers)


@router.get("/ask")
def new(
    request: Request,
    house: TheHouse,
    principal: Asker,
    collection: str | None = None,
    mode: str | None = None,
    q: Annotated[str, Query(max_length=20000)] = "",
    before: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """A conversation that has not begun."""
    chosen = {"collection": collection or house.app.settings.collection, "mode": mode or house.app.settings.mode}
    return page(request, "ask.html", **_beside(house, principal, None, before), **chosen, **_nothing(), question=q)


@router.get("/ask/conversations")
def beside(
    request: Request, house: TheHouse, principal: Asker, current: str | None = None, before: str | None = None
) -> Response:
    """The asker's conversations, as a part of the page."""
    return page(request, "_conversations.html", **_listed(house, principal, current, before))


@router.get("/ask/turns/{interaction_id}")
def turn(interaction_id: TurnId, request: Request, house: TheHouse, principal: Asker) -> Response:
    """One turn, as a part of the page: what ask.js puts in the place of a streamed answer."""
    return page(request, "_turn.html", turn=_turn(house, principal, interaction_id), last=True)


@router.post("/ask/turns/{interaction_id}/feedback")
def say(interaction_id: TurnId, request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Say what an answer is worth: a thumb, a comment or both."""
    found = _seen(house, principal, interaction_id)
    with house.app.database.write() as connection:
        interaction_store.add_feedback(
            connection,
            principal.tenant_id,
            found.id,
            user=principal.user,
            rating=given.whole("rating"),
            label=None,
            comment=given.given("comment"),
        )
    if request.headers.get("hx-request") == "true":
        return page(request, "_feedback.html", turn=_turn(house, principal, found.id), thanked=True)
    return see(request, f"{_address(found)}#turn-{found.id}", "Thank you: what you said is kept with the answer.")


@router.get("/ask/{conversation_id}")
def conversation(
    conversation_id: ConversationId,
    request: Request,
    house: TheHouse,
    principal: Asker,
    turn: Turn = None,
    upto: Annotated[str | None, Query(pattern=f"{ULID}|^{ROOT}$")] = None,
    before: str | None = None,
) -> Response:
    """One branch of a conversation: the one that `turn` is on, else the newest; with `upto` it ends there, so that the
    next question begins a branch."""
    with house.app.database.read() as connection:
        nodes = conversation_store.turns_of(connection, principal, conversation_id)
    if not nodes:  # all that was said in it was erased
        raise NotFound(f"no conversation {conversation_id!r}")
    path = branch(nodes, turn, upto)
    whole = [_turn(house, principal, node.id, nodes) for node in path[-WHOLE:]]
    last = path[-1] if path else nodes[-1]
    return page(
        request,
        "ask.html",
        **_beside(house, principal, conversation_id, before),
        title=nodes[0].question,
        earlier=path[:-WHOLE],
        turns=whole,
        parent=path[-1].id if path else ROOT,
        branching=upto is not None,
        collection=last.collection,
        mode=house.app.settings.mode,
        question="",
    )


@router.post("/ask")
async def answer(request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Answer without scripts: the page comes when the answer is whole. Rejections are the API's."""
    asked = _asked(given)
    house.check_question(asked.question or "")
    check_generator(asked.generator, house)
    entry = await to_thread.run_sync(_answered, house, principal, asked, limiter=house.answers)
    return see(request, f"{_address(entry)}#turn-{entry.id}")


def branch(nodes: Sequence[Node], turn: str | None = None, upto: str | None = None) -> list[Node]:
    """The turns from the first to the end of one branch. Raises NotFound for a turn of another conversation.

    turn: one that the branch goes through; from it on, and without it, the newest children lead on. upto: where the
    branch ends; ROOT: before the first.
    """
    if upto == ROOT:
        return []
    known = {node.id: node for node in nodes}
    at = upto or turn
    if at is None:
        at = nodes[-1].id
    elif at.upper() not in known:
        raise NotFound(f"no turn {at!r} in this conversation")
    path: list[Node] = []
    step: str | None = at.upper()
    while step is not None and step in known:
        path.append(known[step])
        step = known[step].parent_id
    path.reverse()
    if upto is None:
        newest = {node.parent_id: node for node in nodes if node.parent_id is not None}  # in order: the last one stays
        while (child := newest.get(path[-1].id)) is not None:
            path.append(child)
    return path


# ── what pages show ─────────────────────────────────────────────────────────────────────────────────────────────────


def _turn(house: House, principal: Principal, interaction_id: str, nodes: Sequence[Node] | None = None) -> Shown:
    found = _seen(house, principal, interaction_id)
    with house.app.database.read() as connection:
        said = [each for each in interaction_store.feedback_of(connection, found.id) if each.user == principal.user]
        if nodes is None:
            nodes = []
            if found.conversation_id is not None and found.user == principal.user:
                nodes = conversation_store.turns_of(connection, principal, found.conversation_id)
    beside = [node.id for node in nodes if node.parent_id == found.parent_id]
    origin = found.regenerates_id or found.id
    again = sum(node.regenerates_id == origin for node in nodes)
    temperature = house.app.settings.temperature or AGAIN_TEMPERATURE
    mine = said[-1] if said else None
    return Shown(found, shown.segments(found), mine, beside or [found.id], again, temperature)


def _seen(house: House, principal: Principal, interaction_id: str) -> Interaction:
    with house.app.database.read() as connection:
        found = interaction_store.get(connection, principal.tenant_id, interaction_id)
    check_seen(found, principal)
    return found


def _address(interaction: Interaction) -> str:
    """The page that shows an interaction in its conversation."""
    if interaction.conversation_id is None:
        return f"/log/{interaction.id}"
    return f"/ask/{interaction.conversation_id}?turn={interaction.id}"


def _nothing() -> dict[str, object]:
    """What the page of a conversation that has not begun shows of turns."""
    return {"title": "Ask", "earlier": [], "turns": [], "parent": "", "branching": False}


def _beside(house: House, principal: Principal, current: str | None, before: str | None) -> dict[str, object]:
    """What stands around every conversation: the others, and what can be chosen."""
    settings = house.app.settings
    with house.app.database.read() as connection:
        found = collection_store.listing(connection, principal.tenant_id)
    own = settings.generator
    return _listed(house, principal, current, before) | {
        "collections": [(each.name, each.name) for each in found],
        "modes": MODES,
        "generators": [("", own), *((name, name) for name in sorted(OPEN_GENERATORS - {own}))],
        "longest": settings.max_question_chars,
    }


def _listed(house: House, principal: Principal, current: str | None, before: str | None) -> dict[str, object]:
    with house.app.database.read() as connection:
        found: list[Conversation] = conversation_store.listing(
            connection, principal, limit=LISTED + 1, before=before or None
        )
    more = found[LISTED - 1].id if len(found) > LISTED else None
    return {"conversations": found[:LISTED], "more": more, "current": current, "before": before}


# ── answering without scripts ───────────────────────────────────────────────────────────────────────────────────────


def _asked(given: Form) -> AskRequest:
    """The form as the API's request. Raises RequestValidationError."""
    regenerate, conversation_id = given.given("regenerate"), given.given("conversation_id")
    values: dict[str, object] = {
        "question": None if regenerate else given.text("question"),
        "regenerate": regenerate,
        "collection": given.given("collection"),
        "mode": given.given("mode"),
        "generator": given.given("generator"),
        "conversation": None if regenerate or conversation_id else "new",
        "conversation_id": None if regenerate else conversation_id,
        "parent": None if regenerate else given.given("parent"),
        "seed": given.whole("seed"),
        "temperature": given.real("temperature"),
    }
    try:
        return AskRequest.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def _answered(house: House, principal: Principal, asked: AskRequest) -> Interaction:
    answering, question = prepared(asked, house, principal)
    try:
        entry = ask(answering, question, principal)
    except RagError:
        house.metrics.asked(answering.generator.name, "failed")
        raise
    house.metrics.asked(answering.generator.name, ending(entry))
    return entry
