"""What an assistant can do here, whatever protocol it speaks: list collections, search, ask, read a document.

A tool answers twice: in words for the model that reads them, and with the JSON of the API.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, JsonValue

from rag.api.house import House
from rag.api.models import CollectionName, Given
from rag.api.models.answers import AskRequest
from rag.api.models.searching import Filter, SearchRequest
from rag.api.routes.ask import open_answering, to_question
from rag.api.routes.search import searched
from rag.ask import Done, stream
from rag.errors import NotFound
from rag.shapes import Json
from rag.shapes.answers import ask_json
from rag.shapes.documents import collection_json, document_json
from rag.store import collections as collection_store
from rag.store import documents as document_store
from rag.store import whereabouts
from rag.store.collections import Collection
from rag.store.documents import StoredDocument
from rag.store.permitted import Predicate
from rag.types import CancelToken, Interaction, Mode, Principal

PIECE = 10_000  # characters of a document in one answer, where no other number is asked


@dataclass(frozen=True, slots=True)
class Said:
    """What a tool answers."""

    text: str
    data: Json


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing that can be done. `call` raises ValidationError for arguments that do not fit, and what ours raise."""

    name: str
    title: str
    description: str
    arguments: type[Given]
    call: Callable[[Mapping[str, JsonValue], House, Principal, CancelToken], Said]
    speaks: bool = False  # whether a generator is asked, which takes its time and is logged


# ── arguments ───────────────────────────────────────────────────────────────────────────────────────────────────────


class ListCollections(Given):
    pass


class Search(Given):
    query: Annotated[str, Field(min_length=1, description="words or a question")]
    k: Annotated[int, Field(ge=1, le=50, description="passages wanted")] = 5
    collection: CollectionName | None = None
    filter: Filter | None = None
    mode: Annotated[Mode | None, Field(description="hybrid by meaning and words, semantic, keyword")] = None


class Ask(Given):
    question: Annotated[str, Field(min_length=1, description="one question, understandable by itself")]
    collection: CollectionName | None = None
    filter: Filter | None = None


class ReadDocument(Given):
    document: Annotated[
        Annotated[int, Field(ge=1)] | Annotated[str, Field(min_length=1, max_length=2000)],
        Field(description="its document_id, uri or external id, as a search names it"),
    ]
    collection: CollectionName | None = None
    start: Annotated[int, Field(ge=0, description="first character wanted, from 0")] = 0
    length: Annotated[int, Field(ge=1, le=100_000, description="characters wanted")] = PIECE


# ── what they do ────────────────────────────────────────────────────────────────────────────────────────────────────


def _list_collections(given: Mapping[str, JsonValue], house: House, principal: Principal, _: CancelToken) -> Said:
    ListCollections.model_validate(given)
    with house.app.database.read() as connection:
        found = [
            collection_json(each, collection_store.counts(connection, each.id))
            for each in collection_store.listing(connection, principal.tenant_id)
        ]
    own = house.app.settings.collection
    lines = [
        f"{each['name']}: {each['documents']} documents{' (used when none is named)' if each['name'] == own else ''}"
        for each in found
    ]
    return Said("\n".join(lines) or "there are no collections", {"collections": found})


def _search(given: Mapping[str, JsonValue], house: House, principal: Principal, _: CancelToken) -> Said:
    asked = Search.model_validate(given)
    found = searched(SearchRequest.model_validate(asked.model_dump()), house, principal)
    hits = found["hits"]
    assert isinstance(hits, list)
    return Said("\n\n".join(map(_hit, hits)) or "nothing was found", found)


def _hit(hit: Mapping[str, JsonValue]) -> str:
    headings = hit["headings"]
    assert isinstance(headings, list)
    title = " › ".join(str(part) for part in (hit["title"], *headings) if part)
    page = f", page {hit['page']}" if hit["page"] is not None else ""
    where = f"document {hit['document_id']}, {hit['uri']}{page}, characters {hit['start']} to {hit['end']}"
    return f"[{hit['rank']}] {title}\n{where}\n{hit['text']}"


def _ask(given: Mapping[str, JsonValue], house: House, principal: Principal, cancel: CancelToken) -> Said:
    text, collection = given.get("question"), given.get("collection")
    told = text if isinstance(text, str) else ""
    with house.refusal(principal, told, collection if isinstance(collection, str) else None):
        asked = AskRequest.model_validate(Ask.model_validate(given).model_dump())
        house.check_question(asked.question or "")
        answering = open_answering(house, asked, principal)
        question = to_question(asked, house, principal)
    outcome = "failed"
    try:
        for step in stream(answering, question, principal, cancel):
            if isinstance(step, Done):
                answer = step.interaction.answer
                outcome = "abstained" if answer is not None and answer.abstained else "answered"
                outcome = "cancelled" if cancel.is_set() else outcome
                return Said(_answer(step.interaction), ask_json(step.interaction))
    finally:
        house.metrics.asked(answering.generator.name, outcome)
    raise AssertionError("a stream ends with Done or raises")


def _answer(entry: Interaction) -> str:
    """The answer, the words that support it, what nothing supports, and what a strict one leaves out."""
    assert entry.answer is not None, "what is done has an answer, else it raised"
    lines = [entry.answer.text]
    for citation in entry.answer.citations:
        if citation.passage is None:
            said = entry.answer.text[citation.start : citation.end]
            lines.append(f"Not supported by the documents: {said}")
            continue
        place = entry.passages[citation.passage - 1].places[0]
        where = f"{place.title}, document {place.document_id}, {place.uri}"
        lines.append(f"[{citation.passage}] {citation.verdict}: “{citation.quote}” ({where})")
    lines += [f"Left out, since no document bears it out: {sentence}" for sentence in entry.answer.removed]
    return "\n".join([*lines, f"Logged as {entry.id}"])


def _read_document(given: Mapping[str, JsonValue], house: House, principal: Principal, _: CancelToken) -> Said:
    asked = ReadDocument.model_validate(given)
    collection = house.collection(principal, asked.collection)
    document, text = _document(house, principal, collection, str(asked.document))
    end = min(len(text), asked.start + asked.length)
    more = end if end < len(text) else None
    piece = text[asked.start : end]
    data = document_json(document, collection.name) | {
        "text": piece,
        "start": asked.start,
        "end": asked.start + len(piece),
        "next": more,
    }
    head = f"{document.title}\n{document.uri}, characters {asked.start} to {data['end']} of {len(text)}"
    return Said(f"{head}\n\n{piece}" + (f"\n\n(goes on at start={more})" if more is not None else ""), data)


def _document(house: House, principal: Principal, collection: Collection, named: str) -> tuple[StoredDocument, str]:
    """The document of this name that the asker may see, and its text. Raises NotFound alike for one that is not
    theirs."""
    seen = Predicate(collection.id, principal.labels)
    with house.app.database.read() as connection:
        at = collection_store.position(connection, collection.id)
        for each in whereabouts.look(connection, collection.id, named):
            if each.id is not None and whereabouts.stands(connection, seen, at, each.id):
                document = document_store.get(connection, seen, at, each.id)
                return document, document_store.text_of(connection, document.content_id)
    raise NotFound(f"no document {named!r} in the collection {collection.name}; search names those that there are")


TOOLS: tuple[Tool, ...] = (
    Tool(
        "search",
        "Search the documents",
        "Find the passages of the user's own documents that match a query, best first, with the place of each.",
        Search,
        _search,
    ),
    Tool(
        "ask",
        "Ask the documents",
        "Answer a question from the user's own documents. Every sentence comes with the words that support it and a "
        "verdict; where the documents do not answer, it says so.",
        Ask,
        _ask,
        speaks=True,
    ),
    Tool(
        "read_document",
        "Read a document",
        "Read a document that a search or an answer named, in pieces.",
        ReadDocument,
        _read_document,
    ),
    Tool(
        "list_collections",
        "List the collections",
        "Say which collections of documents there are, for the other tools' argument `collection`.",
        ListCollections,
        _list_collections,
    ),
)
