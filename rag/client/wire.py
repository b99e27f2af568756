"""What goes over the wire between client and API: requests, pages of lists, problems as errors, events of a stream."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import httpx

from rag.api.models import Shape
from rag.api.models.conversations import Conversations
from rag.api.models.datasets import Datasets, DatasetVersion
from rag.api.models.documents import Documents
from rag.api.models.duplicates import Duplicates
from rag.api.models.evaluations import Evaluations
from rag.api.models.experiments import Experiments, Preferences
from rag.api.models.interactions import Interactions
from rag.api.models.jobs import JobItems
from rag.api.models.reviews import ReviewItems, Reviews
from rag.errors import NotReady, RagError
from rag.shapes.problems import PROBLEM, kebab
from rag.types import Metadata

S = TypeVar("S", bound=Shape)
P = TypeVar(  # what comes in pages
    "P",
    Conversations,
    Datasets,
    DatasetVersion,
    Documents,
    Duplicates,
    Evaluations,
    Experiments,
    Interactions,
    JobItems,
    Preferences,
    ReviewItems,
    Reviews,
)
Files = Sequence[tuple[str, tuple[str, bytes]]]


class Wire:
    """One server, reached with one token. Safe to share between threads.

    Every method raises the server's own RagError, or NotReady when the server cannot be reached.
    """

    def __init__(self, url: str, *, token: str | None, timeout_s: float, transport: httpx.BaseTransport | None) -> None:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, transport=transport)

    def close(self) -> None:
        self._http.close()

    def pages(self, shape: type[P], path: str, words: dict[str, object]) -> Iterator[P]:
        """Every page of a list."""
        while True:
            found = self.shaped(shape, "GET", path, params=words)
            yield found
            if found.next is None:
                return
            words["cursor"] = found.next

    def shaped(
        self,
        shape: type[S],
        method: str,
        path: str,
        *,
        json: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        files: Files | None = None,
    ) -> S:
        """The answer to a request."""
        return shape.model_validate_json(
            self.send(method, path, json=json, params=params, data=data, files=files).content
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        files: Files | None = None,
    ) -> httpx.Response:
        try:
            response = self._http.request(
                method,
                path,
                json=json,
                params=params,  # type: ignore[arg-type]  # words of a query, made by `given`
                data=data,
                files=files,
            )
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise error_of(response.status_code, response.text)
        return response

    def events(self, path: str, body: Mapping[str, object]) -> Generator[tuple[str, str], None, None]:
        """The events that answer a request, as they come; closing it closes the connection."""
        try:
            with self._http.stream("POST", path, json=body, headers={"accept": "text/event-stream"}) as response:
                if response.is_error:
                    response.read()
                    raise error_of(response.status_code, response.text)
                yield from events(response.iter_lines())
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx.HTTPError) -> NotReady:
        return NotReady(f"no answer from {self._http.base_url} ({error or type(error).__name__}); is `rag serve` up?")


def form(
    paths: Sequence[Path], collection: str | None, metadata: Metadata | None, labels: Sequence[str]
) -> tuple[list[tuple[str, tuple[str, bytes]]], dict[str, object]]:
    """The files and fields of a multipart upload."""
    files = [("file", (path.name, path.read_bytes())) for path in paths]
    said = None if metadata is None else json.dumps(dict(metadata))
    return files, given(collection=collection, metadata=said, label=list(labels) or None)


def given(**values: object) -> dict[str, object]:
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
