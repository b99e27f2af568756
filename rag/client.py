"""A small typed client of the API. Errors come back as the classes of rag.errors that the server raised.

with Client("http://127.0.0.1:8000") as rag:
    rag.add_text("Otters hold hands while they sleep.", title="Otters")
    print(rag.ask("What do otters do while they sleep?").answer)
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx

from rag.api.models import (
    AskResult,
    Collection,
    Collections,
    DocumentLine,
    Documents,
    DocumentWhole,
    Duplicate,
    Duplicates,
    FeedbackResult,
    Hit,
    IngestResult,
    InteractionLine,
    Interactions,
    InteractionWhole,
    Job,
    JobItem,
    JobItems,
    SearchResult,
    Shape,
)
from rag.errors import NotReady, RagError
from rag.shapes import PROBLEM, kebab
from rag.types import Metadata

TIMEOUT_S = 60.0

Word = str | int | float | bool | None
S = TypeVar("S", bound=Shape)
P = TypeVar("P", Documents, Duplicates, Interactions, JobItems)  # what comes in pages


@dataclass(frozen=True, slots=True)
class Started:
    """What was found, before the first word."""

    interaction_id: str
    passages: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Some more of the answer."""

    text: str


Event = Started | Text | AskResult


class Client:
    """One server, reached with one token. Close it, or use it in a `with` block. Safe to share between threads.

    Every method raises a RagError: the server's own (NotFound, WrongUsage, GeneratorFailed, …), or NotReady when the
    server cannot be reached.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # ── search and ask ──────────────────────────────────────────────────────────────────────────────────────────────

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        mode: str | None = None,
        collection: str | None = None,
        filter: Metadata | None = None,  # the API's own name for it
    ) -> SearchResult:
        """The best passages, best first."""
        body = _given(query=query, k=k, mode=mode, collection=collection, filter=filter)
        return self._json(SearchResult, "POST", "/api/search", json=body)

    def ask(
        self,
        question: str,
        *,
        k: int | None = None,
        mode: str | None = None,
        collection: str | None = None,
        filter: Metadata | None = None,
        generator: str | None = None,
        conversation_id: str | None = None,
    ) -> AskResult:
        """An answer with its citations, passages and scores."""
        body = _given(
            question=question,
            k=k,
            mode=mode,
            collection=collection,
            filter=filter,
            generator=generator,
            conversation_id=conversation_id,
        )
        return self._json(AskResult, "POST", "/api/ask", json=body)

    def stream(
        self,
        question: str,
        *,
        k: int | None = None,
        mode: str | None = None,
        collection: str | None = None,
        filter: Metadata | None = None,
        generator: str | None = None,
        conversation_id: str | None = None,
    ) -> Iterator[Event]:
        """The same in steps: Started, some Text, the AskResult. Closing the iterator ends the answer on the server."""
        body = _given(
            question=question,
            k=k,
            mode=mode,
            collection=collection,
            filter=filter,
            generator=generator,
            conversation_id=conversation_id,
        )
        try:
            with self._http.stream("POST", "/api/ask", json=body, headers={"accept": "text/event-stream"}) as response:
                if response.is_error:
                    response.read()
                    raise error_of(response.status_code, response.text)
                yield from (_event(name, data) for name, data in events(response.iter_lines()))
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    # ── documents ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add_files(
        self,
        paths: Sequence[Path],
        *,
        collection: str | None = None,
        metadata: Metadata | None = None,
        labels: Sequence[str] = (),
    ) -> IngestResult:
        """Upload files; they can be found when this returns. Those that could not be read are in `failures`."""
        files, data = _form(paths, collection, metadata, labels)
        return self._json(IngestResult, "POST", "/api/documents", files=files, data=data)

    def submit_files(
        self,
        paths: Sequence[Path],
        *,
        collection: str | None = None,
        metadata: Metadata | None = None,
        labels: Sequence[str] = (),
    ) -> Job:
        """Upload files to be taken in by a background job; `job` says how far it is."""
        files, data = _form(paths, collection, metadata, labels)
        return self._json(Job, "POST", "/api/documents", params={"background": "true"}, files=files, data=data)

    def add_text(
        self,
        text: str,
        *,
        title: str = "",
        media_type: str | None = None,
        uri: str | None = None,
        external_id: str | None = None,
        collection: str | None = None,
        metadata: Metadata | None = None,
        labels: Sequence[str] = (),
    ) -> IngestResult:
        """Add one text, or update it when its uri is known; it can be found when this returns."""
        body = _given(
            text=text,
            title=title,
            media_type=media_type,
            uri=uri,
            external_id=external_id,
            collection=collection,
            metadata=metadata,
            labels=list(labels) or None,
        )
        return self._json(IngestResult, "POST", "/api/documents", json=body)

    def documents(
        self,
        *,
        collection: str | None = None,
        filter: Metadata | None = None,
        page: int = 100,
    ) -> Iterator[DocumentLine]:
        """Every document of a collection, without its text; fetched `page` at a time."""
        words = _given(collection=collection, filter=None if filter is None else json.dumps(dict(filter)), limit=page)
        for found in self._pages(Documents, "/api/documents", words):
            yield from found.documents

    def document(self, document_id: int) -> DocumentWhole:
        """One document with its text and chunks."""
        return self._json(DocumentWhole, "GET", f"/api/documents/{document_id}")

    def delete(self, document_id: int) -> None:
        """Take a document out of search and answers."""
        self._send("DELETE", f"/api/documents/{document_id}")

    def collections(self) -> list[Collection]:
        return self._json(Collections, "GET", "/api/collections").collections

    def duplicates(
        self, *, collection: str | None = None, level: str | None = None, page: int = 100
    ) -> Iterator[Duplicate]:
        """Every decision on duplicates that holds; fetched `page` at a time."""
        words = _given(collection=collection, level=level, limit=page)
        for found in self._pages(Duplicates, "/api/duplicates", words):
            yield from found.duplicates

    # ── background jobs ─────────────────────────────────────────────────────────────────────────────────────────────

    def job(self, job_id: int) -> Job:
        """A job and how far it is."""
        return self._json(Job, "GET", f"/api/jobs/{job_id}")

    def job_items(self, job_id: int, *, page: int = 100) -> Iterator[JobItem]:
        """What became of every file of a job; fetched `page` at a time."""
        words = _given(limit=page)
        for found in self._pages(JobItems, f"/api/jobs/{job_id}/items", words):
            yield from found.items

    def cancel(self, job_id: int) -> None:
        """End a job after the batch at hand; what was stored stays."""
        self._send("DELETE", f"/api/jobs/{job_id}")

    # ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def interactions(self, *, page: int = 50, **conditions: Word) -> Iterator[InteractionLine]:
        """The log, newest first: conditions are text, model, user, conversation, collection, since, until, score,
        score_min, score_max, abstained, failed."""
        words = _given(limit=page, **conditions)
        for found in self._pages(Interactions, "/api/interactions", words):
            yield from found.interactions

    def interaction(self, interaction_id: str) -> InteractionWhole:
        """One interaction with everything that led to its answer."""
        return self._json(InteractionWhole, "GET", f"/api/interactions/{interaction_id}")

    def feedback(
        self, interaction_id: str, *, rating: int | None = None, label: str | None = None, comment: str | None = None
    ) -> int:
        """Say what an answer is worth; the id of what was said."""
        body = _given(rating=rating, label=label, comment=comment)
        path = f"/api/interactions/{interaction_id}/feedback"
        return self._json(FeedbackResult, "POST", path, json=body).feedback_id

    # ── the wire ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pages(self, shape: type[P], path: str, words: dict[str, object]) -> Iterator[P]:
        """Every page of a list."""
        while True:
            found = self._json(shape, "GET", path, params=words)
            yield found
            if found.next is None:
                return
            words["cursor"] = found.next

    def _json(
        self,
        shape: type[S],
        method: str,
        path: str,
        *,
        json: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        files: Sequence[tuple[str, tuple[str, bytes]]] | None = None,
    ) -> S:
        return shape.model_validate_json(
            self._send(method, path, json=json, params=params, data=data, files=files).content
        )

    def _send(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        files: Sequence[tuple[str, tuple[str, bytes]]] | None = None,
    ) -> httpx.Response:
        try:
            response = self._http.request(
                method,
                path,
                json=json,
                params=params,  # type: ignore[arg-type]  # words of a query, made by _given
                data=data,
                files=files,
            )
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise error_of(response.status_code, response.text)
        return response

    def _unreachable(self, error: httpx.HTTPError) -> NotReady:
        return NotReady(f"no answer from {self._http.base_url} ({error or type(error).__name__}); is `rag serve` up?")


def _form(
    paths: Sequence[Path], collection: str | None, metadata: Metadata | None, labels: Sequence[str]
) -> tuple[list[tuple[str, tuple[str, bytes]]], dict[str, object]]:
    """The files and fields of a multipart upload."""
    files = [("file", (path.name, path.read_bytes())) for path in paths]
    said = None if metadata is None else json.dumps(dict(metadata))
    return files, _given(collection=collection, metadata=said, label=list(labels) or None)


def _given(**values: object) -> dict[str, object]:
    """The values that are not None, as the API leaves out what takes its default."""
    return {name: value for name, value in values.items() if value is not None}


def error_of(status: int, text: str) -> RagError:
    """The error that a problem document tells of: of the class that it names, else of the one that has its status."""
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    found = body if isinstance(body, dict) else {}
    detail = str(found.get("detail") or f"the server answered {status}: {text[:200]}")
    named = {PROBLEM + kebab(kind.__name__): kind for kind in _tree(RagError)}
    by_status: dict[int, type[RagError]] = {}
    for kind in _tree(RagError):
        by_status.setdefault(kind.status, kind)
    return named.get(str(found.get("type")), by_status.get(status, RagError))(detail)


def _tree(root: type[RagError]) -> Iterator[type[RagError]]:
    """A class and all below it, parents first."""
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


def events(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """The events of a stream (WHATWG HTML, 9.2) as pairs of name and data."""
    name, data = "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield name, "\n".join(data)
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)


def _event(name: str, data: str) -> Event:
    if name == "done":
        return AskResult.model_validate_json(data)
    body = json.loads(data)
    if name == "started":
        return Started(body["interaction_id"], tuple(Hit.model_validate(hit) for hit in body["passages"]))
    if name == "error":
        raise error_of(body["status"], data)
    return Text(body["text"])
