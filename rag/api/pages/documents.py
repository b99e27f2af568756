"""The pages Documents: collections, a list with search and filters, upload, one document with all that surrounds it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from rag.api.house import House
from rag.api.models import MAX_ID
from rag.api.pages import cut
from rag.api.pages.forms import Given
from rag.api.pages.rendering import PageRoute, page, query, see
from rag.api.requests import Asker, TheHouse
from rag.api.routes.documents import ask_for, collection_of, put_back, read_form, remove
from rag.api.routes.duplicates import undo
from rag.store import collections as collection_store
from rag.store import documents as document_store
from rag.store import finding, histories
from rag.store.collections import Collection
from rag.store.documents import StoredDocument
from rag.store.duplicates import decisions as decision_store
from rag.store.filters.tree import Filter
from rag.store.permitted import Predicate
from rag.types import Principal

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LISTED = 50
CITING = 20
MAX_CHARS = 1000

Id = Annotated[int, Path(ge=1, le=MAX_ID)]
Words = Annotated[str, Query(max_length=MAX_CHARS)]


@router.get("/documents")
def listing(
    request: Request,
    house: TheHouse,
    principal: Asker,
    collection: Words = "",
    q: Words = "",
    label: Words = "",
    media_type: Words = "",
    owner: Words = "",
    filter: Annotated[str, Query(max_length=10000)] = "",  # the name of the parameter
    removed: bool = False,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    after: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Response:
    """The documents of a collection, the newest first, from behind the one named by `before`, or else the last ones
    newer than `after`; those that were removed in the order of their arrival."""
    collections = _collections(house, principal)
    name = collection or house.app.settings.collection
    asked = {"collection": collection, "q": q, "label": label, "media_type": media_type, "owner": owner}
    asked |= {"filter": filter, "removed": "true" if removed else ""}
    back = after is not None and before is None and not removed
    found: list[StoredDocument] = []
    if any(each.name == name for each, _ in collections) or collection:
        found = _found(house, principal, name, asked, after if back else before, back=back)
    if back and len(found) <= LISTED:
        return see(request, "/documents" + query(asked))  # the newest, as many as a page has
    rows = found[-LISTED:] if back else found[:LISTED]
    behind = back or before is not None
    return page(
        request,
        "documents.html",
        collections=collections,
        collection=name,
        rows=rows,
        asked=asked,
        removed=removed,
        largest_mb=house.app.settings.max_upload_mb,
        filtered=any(asked[each] for each in ("q", "label", "media_type", "owner", "filter")),
        first="/documents" + query(asked) if behind else None,
        previous="/documents" + query(asked | {"after": str(rows[0].id)}) if behind and rows and not removed else None,
        next="/documents" + query(asked | {"before": str(rows[-1].id)}) if back or len(found) > LISTED else None,
    )


@router.post("/documents/upload")
async def upload(request: Request, house: TheHouse, principal: Asker) -> Response:
    """Take files in, in the background; the job's page shows how far it is."""
    given = await read_form(request, principal)
    labels = frozenset(part.strip() for label in given.labels for part in label.split(",") if part.strip())
    job = await to_thread.run_sync(ask_for, house, principal, replace(given, labels=labels), limiter=house.writers)
    return see(request, f"/documents/jobs/{job.id}")


@router.get("/documents/{document_id:int}")
def one(
    document_id: Id,
    request: Request,
    house: TheHouse,
    principal: Asker,
    at: Annotated[str | None, Query(pattern=r"^\d{1,12}-\d{1,12}$")] = None,
    start: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
) -> Response:
    """One document: its text as it was cut, with the words `at` marked, and what surrounds it. One that was removed, or
    followed by a newer version, is shown as it was."""
    collection = collection_of(house, principal, document_id)
    mark = None if at is None else (int(at.partition("-")[0]), int(at.partition("-")[2]))
    predicate = Predicate(collection.id, principal.labels)
    with house.app.database.read() as connection:
        document = histories.one(connection, collection, principal, document_id)
        text = document_store.text_of(connection, document.content_id)
        chunks = document_store.chunks_of(connection, document.content_id)
        versions = histories.versions(connection, collection, principal, document)
        places = histories.places(connection, predicate, collection.position, document)
        decisions = decision_store.of_document(connection, predicate, collection.position, document_id)
    return page(
        request,
        "document.html",
        document=document,
        collection=collection.name,
        view=cut.view(text, chunks, start, mark),
        marked=mark is not None,
        chunks=chunks,
        characters=len(text),
        versions=versions,
        present=next((each for each in versions if each.removed_at is None), None),
        places=places,
        decisions=decisions,
    )


@router.get("/documents/{document_id:int}/citing")
def citing(
    document_id: Id,
    request: Request,
    house: TheHouse,
    principal: Asker,
    before: Annotated[str | None, Query(max_length=26)] = None,
) -> Response:
    """The answers that were shown this document's text: a part of its page, or a page where there are no scripts."""
    collection = collection_of(house, principal, document_id)
    with house.app.database.read() as connection:
        document = histories.one(connection, collection, principal, document_id)
        rows = histories.citing(connection, principal, document.content_id, limit=CITING + 1, before=before)
    more = rows[CITING - 1].interaction_id if len(rows) > CITING else None
    name = "_citing.html" if request.headers.get("hx-request") == "true" else "citing.html"
    return page(request, name, document=document, rows=rows[:CITING], more=more, before=before)


@router.post("/documents/{document_id:int}/remove")
def removing(document_id: Id, request: Request, house: TheHouse, principal: Asker) -> Response:
    remove(document_id, house, principal)
    said = "Removed: it is found no more. What is in the log stays."
    return see(request, f"/documents/{document_id}", said)


@router.post("/documents/{document_id:int}/restore")
def restoring(document_id: Id, request: Request, house: TheHouse, principal: Asker) -> Response:
    written = put_back(house, principal, document_id)
    if written.document_id is None:
        return see(request, f"/documents/{document_id}", f"Held back as a duplicate: {written.reason}")
    return see(request, f"/documents/{written.document_id}", "Restored: it is found again.")


@router.post("/documents/{document_id:int}/decisions/{decision_id:int}/undo")
def undoing(
    document_id: Id, decision_id: Id, request: Request, house: TheHouse, principal: Asker, given: Given
) -> Response:
    undo(decision_id, house, principal, given.given("collection"))
    return see(request, f"/documents/{document_id}", "Undone: the two documents stand beside each other.")


def _collections(house: House, principal: Principal) -> Sequence[tuple[Collection, collection_store.CollectionCounts]]:
    with house.app.database.read() as connection:
        return [
            (each, collection_store.counts(connection, each.id))
            for each in collection_store.listing(connection, principal.tenant_id)
        ]


def _found(
    house: House, principal: Principal, name: str, asked: dict[str, str], cursor: int | None, *, back: bool
) -> list[StoredDocument]:
    """A page of documents and one more, the newest first, from behind the cursor; `back`: before it. Raises NotFound
    for a collection that is not there, WrongFilter."""
    found = house.collection(principal, name)
    terms: list[object] = [{key: asked[key]} for key in ("media_type", "owner") if asked[key]]
    written = Filter.parse(asked["filter"]).canonical if asked["filter"] else None
    where = None
    if terms or written:
        where = Filter.parse({"$and": [*terms, *([json.loads(written)] if written else [])]})
    predicate = Predicate(found.id, principal.labels, where)
    with house.app.database.read() as connection:
        if asked["removed"]:
            return document_store.removed(connection, predicate, after=cursor or 0, limit=LISTED + 1)
        at = collection_store.position(connection, found.id)
        rows = finding.found(
            connection,
            predicate,
            at,
            words=asked["q"],
            label=asked["label"] or None,
            order="arrival" if back else "newest",
            after=cursor,
            limit=LISTED + 1,
        )
        return rows[::-1] if back else rows
