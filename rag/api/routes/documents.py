"""Documents: POST files or texts, GET the list or one with its text and chunks, DELETE one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Annotated, Any
from urllib.parse import quote

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError
from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from ingest import sources
from ingest.errors import Unreadable
from ingest.types import Metadata
from rag.api.answers import Json, documented
from rag.api.house import House
from rag.api.models import MAX_ID, CollectionName, DocumentId
from rag.api.models.documents import Documents, DocumentWhole, IngestResult, Restored, TextRequest
from rag.api.models.jobs import Job
from rag.api.problems import response
from rag.api.requests import Asker, StrictRoute, TheHouse, strict_json
from rag.corpus import Arrival, Origin, Report
from rag.errors import NotFound, NotPermitted, WrongUsage
from rag.jobs import ask_arrivals
from rag.shapes.documents import document_json, document_whole_json, report_json, restored_json
from rag.shapes.jobs import job_json
from rag.shapes.problems import problem
from rag.store import collections as collection_store
from rag.store import documents as document_store
from rag.store import finding, writing
from rag.store.collections import Collection
from rag.store.duplicates import second_looks as review
from rag.store.filters.tree import Filter
from rag.store.finding import Order
from rag.store.jobs import Job as StoredJob
from rag.store.permitted import Predicate
from rag.store.writing import Written
from rag.types import Principal

router = APIRouter(tags=["documents"], route_class=StrictRoute)

MAX_FILES = 1000  # in one upload
MAX_FIELDS = 100  # besides the files: labels, mostly
TWICE = "{}: this name occurs twice in the upload; the first one is kept, give the other another name"
BODY: dict[str, Any] = {  # as FastAPI types it
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/TextRequest"}},
            "multipart/form-data": {"schema": {"$ref": "#/components/schemas/UploadRequest"}},
        },
    }
}
Id = Annotated[DocumentId, Path(description="a document's id")]


@router.post(
    "/api/documents",
    response_model=IngestResult,
    status_code=200,
    responses=documented(413, 415, 422)
    | {
        201: {"model": IngestResult, "description": "something was added or updated"},
        202: {"model": Job, "description": "with `background`: the job that does it, at `Location`"},
    },
    openapi_extra=BODY,
)
async def add(
    request: Request,
    house: TheHouse,
    principal: Asker,
    background: Annotated[bool, Query(description="answer at once with a job that takes it in")] = False,
) -> Response:
    """Take in files (multipart) or one text (JSON). What the report counts can be found when this answers.

    Files that cannot be read are in `failures`, the others go in; when none could be read the answer is a problem (422)
    with the whole `report`. With `background` the answer is a job (202), which says what became of every file.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        given = read_text(strict_json(await request.body()), principal)
    elif kind == "multipart/form-data":
        given = await read_form(request, principal)
    else:
        raise HTTPException(415, "send application/json or multipart/form-data")
    if background:
        job = await to_thread.run_sync(ask_for, house, principal, given, limiter=house.writers)
        return Json(job_json(job), status_code=202, headers={"location": f"/api/jobs/{job.id}"})
    report = await to_thread.run_sync(take_in, house, principal, given, limiter=house.writers)
    body = report_json(report) | {"document_ids": list(report.document_ids)}
    if report.failed and report.failed >= len(given.arrivals) and not report.document_ids and not report.unchanged:
        reasons = "; ".join(failure.reason for failure in report.failures[:3])
        return response(problem("Unreadable", 422, f"nothing could be read: {reasons}") | {"report": body})
    return Json(body, status_code=201 if report.added + report.updated + report.duplicate else 200)


@dataclass(frozen=True, slots=True)
class Upload:
    """What a request brings."""

    arrivals: list[Arrival]
    metadata: Metadata
    labels: frozenset[str]
    collection: str | None

    def check(self, principal: Principal) -> None:
        """Raise WrongUsage for metadata without names, NotPermitted for labels that the asker does not hold."""
        if "" in self.metadata:
            raise WrongUsage("the fields of metadata have names")
        if "" in self.labels:
            raise WrongUsage("a label is a text that is not empty")
        if principal.labels is not None and (other := sorted(self.labels - principal.labels)):
            raise NotPermitted(
                f"this token does not hold the label {other[0]!r}; its documents could not be seen by it"
            )


def read_text(value: object, principal: Principal) -> Upload:
    """The arrival that a JSON body describes. Raises RequestValidationError."""
    try:
        given = TextRequest.model_validate(value)
    except ValidationError as error:
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in error.errors()]) from error
    source = sources.from_text(given.text, uri=given.uri or own_uri(given, principal), media_type=given.media_type)
    arrival = Arrival(source.uri, source, title=given.title, external_id=given.external_id)
    return Upload([arrival], given.metadata, frozenset(given.labels), given.collection)


def own_uri(given: TextRequest, principal: Principal) -> str:
    """The address of a text that was sent without one: its id, else what it says, among the texts of its sender. So
    sending it again changes nothing."""
    name = given.external_id or blake2b(f"{given.title}\n{given.text}".encode(), digest_size=12).hexdigest()
    return f"text:{quote(principal.user, safe='')}/{quote(name, safe='')}"


async def read_form(request: Request, principal: Principal) -> Upload:
    """The arrivals that a multipart body holds. Raises WrongUsage for a field that does not fit."""
    try:
        form = await request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS)
    except (MultipartParseError, UnicodeError) as error:
        raise HTTPException(400, f"the multipart body is malformed: {error}") from error
    try:
        arrivals: dict[str, Arrival] = {}
        texts: dict[str, str] = {}
        labels: set[str] = set()
        for name, value in form.multi_items():
            if isinstance(value, UploadFile) and name in ("file", "files"):
                if not value.filename and not value.size:
                    continue  # what a browser sends where no file was chosen
                found = arrival(value.filename or "", await value.read(), value.content_type, principal)
                if found.uri in arrivals:
                    found = Arrival(f"{found.uri} (again)", Unreadable(TWICE.format(found.uri)))
                arrivals[found.uri] = found
            elif isinstance(value, str) and name == "label":
                labels.add(value)
            elif isinstance(value, str) and name in ("metadata", "collection") and name not in texts:
                texts[name] = value
            else:
                raise WrongUsage(
                    f"the form has a field {name[:50]!r}; it takes file and label (repeated), metadata, collection"
                )
    finally:
        await form.close()
    if not arrivals:
        raise WrongUsage("the form holds no file")
    return Upload(list(arrivals.values()), _metadata(texts.get("metadata")), frozenset(labels), texts.get("collection"))


def arrival(name: str, content: bytes, media_type: str | None, principal: Principal) -> Arrival:
    """An uploaded file, under the name of its sender: nobody replaces another's file by one of the same name."""
    source = sources.from_upload(name, content, media_type)
    place, _, rest = source.uri.partition(":")
    uri = f"{place}:{quote(principal.user, safe='')}/{rest}"
    return Arrival(uri, replace(source, uri=uri))


def _metadata(text: str | None) -> Metadata:
    value = {} if not text else strict_json(text.encode("utf-8", errors="surrogatepass"))
    if not isinstance(value, dict) or "" in value:
        raise WrongUsage('metadata is a JSON object with named fields, such as {"year": 2024}')
    return value


def take_in(house: House, principal: Principal, given: Upload) -> Report:
    """Write what arrived; runs in a thread, one writer a collection."""
    given.check(principal)
    name = given.collection or house.app.settings.collection
    with house.writing(principal.tenant_id, name):
        check_overwriting(house, principal, name, [arrival.uri for arrival in given.arrivals])
        corpus = house.app.corpus(name, tenant=house.tenant(principal))
        origin = Origin(principal.user, given.metadata, given.labels)
        return corpus.add_sources(given.arrivals, origin, total=len(given.arrivals))


def ask_for(house: House, principal: Principal, given: Upload) -> StoredJob:
    """Queue what arrived; runs in a thread."""
    given.check(principal)
    name = given.collection or house.app.settings.collection
    check_overwriting(house, principal, name, [arrival.uri for arrival in given.arrivals])
    with house.app.database.write() as connection:
        return ask_arrivals(
            connection, principal, name, given.arrivals, metadata=given.metadata, labels=sorted(given.labels)
        )


def check_overwriting(house: House, principal: Principal, collection: str, uris: Sequence[str]) -> None:
    """Raise NotPermitted where a token that is bound to labels would replace another's document: it may not even know
    that it is there."""
    if principal.labels is None:
        return
    with house.app.database.read() as connection:
        found = collection_store.find(connection, principal.tenant_id, collection)
        owners = set() if found is None else document_store.owners_of(connection, found.id, uris)
    if owners - {principal.user}:
        raise NotPermitted("a document of this name was added by somebody else; choose another name or uri")


@router.get("/api/documents", response_model=Documents, responses=documented(404, 422))
def listing(
    house: TheHouse,
    principal: Asker,
    collection: Annotated[CollectionName | None, Query()] = None,
    filter: Annotated[  # the name of the parameter
        str | None, Query(max_length=10000, description='as in a search, such as {"year": 2024}')
    ] = None,
    text: Annotated[
        str, Query(max_length=1000, description="words that each stand in title, address or external id")
    ] = "",
    label: Annotated[str | None, Query(min_length=1, max_length=200, description="one that they bear")] = None,
    order: Order = "arrival",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[int | None, Query(ge=1, le=MAX_ID, description="`next` of the page before")] = None,
) -> Json:
    """The documents of a collection that the asker may see, in the order of their arrival or the newest first, without
    their texts."""
    where = None if filter is None else Filter.parse(filter)
    with house.app.database.read() as connection:
        found = house.collection(principal, collection)
        at = collection_store.position(connection, found.id)
        predicate = Predicate(found.id, principal.labels, where)
        rows = finding.found(
            connection, predicate, at, words=text, label=label, order=order, after=cursor, limit=limit + 1
        )
    page = rows[:limit]
    return Json(
        {
            "documents": [document_json(document, found.name) for document in page],
            "next": str(page[-1].id) if len(rows) > limit else None,
        }
    )


@router.get("/api/documents/{document_id}", response_model=DocumentWhole, responses=documented(404, 422))
def one(document_id: Id, house: TheHouse, principal: Asker) -> Json:
    """One document with its text and the chunks it was cut into."""
    collection = collection_of(house, principal, document_id)
    with house.app.database.read() as connection:
        at = collection_store.position(connection, collection.id)
        document = document_store.get(connection, Predicate(collection.id, principal.labels), at, document_id)
        text = document_store.text_of(connection, document.content_id)
        chunks = document_store.chunks_of(connection, document.content_id)
    return Json(document_whole_json(document, collection.name, text, chunks))


@router.delete("/api/documents/{document_id}", status_code=204, responses=documented(404, 422))
def remove(document_id: Id, house: TheHouse, principal: Asker) -> Response:
    """Take a document out of search and answers, from the next request on. A text that other documents hold as well is
    still found under those; the log keeps its evidence."""
    collection = collection_of(house, principal, document_id)
    with house.app.database.read() as connection:
        at = collection_store.position(connection, collection.id)
        document_store.get(connection, Predicate(collection.id, principal.labels), at, document_id)
    with house.app.database.write() as connection:
        removed = writing.remove_documents(connection, collection, [document_id], actor=principal.user)
    if not removed:
        raise NotFound(f"no document {document_id}")
    return Response(status_code=204)


@router.post("/api/documents/{document_id}/restore", response_model=Restored, responses=documented(404, 409, 422))
def restore(document_id: Id, house: TheHouse, principal: Asker) -> Json:
    """Put a removed document back as it was; the collection's policies on duplicates are heard again. A document that
    the asker could not have seen is not there; one that stands, or whose address is taken, is a conflict."""
    return Json(restored_json(document_id, put_back(house, principal, document_id)))


def put_back(house: House, principal: Principal, document_id: int) -> Written:
    """What became of a removed document that was restored. Raises NotFound, NotPermitted, Conflict."""
    collection = collection_of(house, principal, document_id)
    predicate = Predicate(collection.id, principal.labels)
    with house.app.database.write() as connection:
        at = collection_store.position(connection, collection.id)
        try:
            found = document_store.get_removed(connection, predicate, document_id)
        except NotFound:
            found = document_store.get(connection, predicate, at, document_id)  # one that stands: a conflict, below
        if principal.labels is not None and found.owner != principal.user:
            raise NotPermitted("this token is bound to labels; it restores its own documents only")
        return review.restore_document(connection, collection, document_id, actor=principal.user)


def collection_of(house: House, principal: Principal, document_id: int) -> Collection:
    """The collection of a document of the asker's tenant. Raises NotFound alike for one of another tenant."""
    with house.app.database.read() as connection:
        collection = collection_store.by_id(connection, document_store.collection_of(connection, document_id))
    if collection.tenant_id != principal.tenant_id:
        raise NotFound(f"no document {document_id}")
    return collection
