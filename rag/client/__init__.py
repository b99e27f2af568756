"""A small typed client of the API. Errors come back as the classes of rag.errors that the server raised.

with Client("http://127.0.0.1:8000") as rag:
    rag.add_text("Otters hold hands while they sleep.", title="Otters")
    print(rag.ask("What do otters do while they sleep?").answer)
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, Unpack
from urllib.parse import quote

import httpx

from rag.api.models.answers import AskResult
from rag.api.models.conversations import ConversationLine, Conversations, ConversationWhole
from rag.api.models.documents import Collection, Collections, DocumentLine, Documents, DocumentWhole, IngestResult
from rag.api.models.duplicates import Duplicate, Duplicates
from rag.api.models.evaluations import Evaluation, EvaluationComparison, EvaluationRun, Evaluations
from rag.api.models.interactions import FeedbackResult, InteractionLine, Interactions, InteractionWhole
from rag.api.models.jobs import Job, JobItem, JobItems
from rag.api.models.prompts import TemplateAdded, Templates, TemplateVersion, TemplateWhole
from rag.api.models.searching import Hit, SearchResult, WhyResult
from rag.api.models.syncs import Sync, SyncDifference, Syncs
from rag.client.comparing import Comparing, Otherwise
from rag.client.datasets import Curating, Held
from rag.client.insight import Insight, Spanning
from rag.client.reviews import Reviewing
from rag.client.switches import Generating, Retrieving
from rag.client.wire import Wire, error_of, events, form, given
from rag.errors import NotReady
from rag.types import Metadata

__all__ = [
    "Answering",
    "Asking",
    "Client",
    "Comparing",
    "Curating",
    "Event",
    "Held",
    "How",
    "Insight",
    "Otherwise",
    "Reviewing",
    "Spanning",
    "Started",
    "Text",
    "error_of",
    "events",
]

TIMEOUT_S = 60.0

Word = str | int | float | bool | None


class How(Retrieving, total=False):
    """How a question is searched. What is left out, or None, is as the collection and the server's settings say."""

    filter: Metadata | None


class Answering(How, Generating, total=False):
    """How a question is answered; the same of what is left out."""

    k: int | None  # passages
    seed: int | None
    temperature: float | None
    strict: bool | None  # leave out sentences that no passage bears out
    abstain: Literal["auto", "never"] | None
    abstain_threshold: float | None


class Asking(Answering, total=False):
    """Where a question stands in a conversation besides."""

    conversation: Literal["new"] | None
    conversation_id: str | None
    parent: str | None  # the interaction it continues, other than the last turn for a branch; "root": none


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
        self._wire = Wire(url, token=token, timeout_s=timeout_s, transport=transport)
        self.reviews = Reviewing(self._wire)
        self.datasets = Curating(self._wire)
        self.comparing = Comparing(self._wire)
        self.insight = Insight(self._wire)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._wire.close()

    # ── search and ask ──────────────────────────────────────────────────────────────────────────────────────────────

    def search(self, query: str, *, k: int = 10, **how: Unpack[How]) -> SearchResult:
        """The best passages, best first, and what each stage did."""
        return self._wire.shaped(SearchResult, "POST", "/api/search", json=given(query=query, k=k, **how))

    def why(self, query: str, document: str | int, *, k: int | None = None, **how: Unpack[How]) -> WhyResult:
        """Which stage lost a document (its id, uri or external id) when this is asked, or where it is found. Without k
        as many passages as an answer is given."""
        body = given(query=query, document=str(document), k=k, **how)
        return self._wire.shaped(WhyResult, "POST", "/api/why", json=body)

    def ask(self, question: str, **how: Unpack[Asking]) -> AskResult:
        """An answer with its citations, passages and scores. `conversation="new"` begins a conversation; further
        questions name its `conversation_id`, and a `parent` other than its last turn for a branch."""
        body = given(question=question, **how)
        return self._wire.shaped(AskResult, "POST", "/api/ask", json=body)

    def stream(self, question: str, **how: Unpack[Asking]) -> Iterator[Event]:
        """The same in steps: Started, some Text, the AskResult. Closing the iterator ends the answer on the server.
        Raises NotReady where the answer breaks off before its AskResult."""
        body = given(question=question, **how)
        with closing(self._wire.events("/api/ask", body)) as told:
            for name, data in told:
                event = _event(name, data)
                yield event
                if isinstance(event, AskResult):
                    return
        raise NotReady("the answer broke off before its end; is `rag serve` still up?")

    def regenerate(self, interaction_id: str, **how: Unpack[Answering]) -> AskResult:
        """The answer to the same question once more, with other settings or another seed; linked as a regeneration."""
        body = given(regenerate=interaction_id, **how)
        return self._wire.shaped(AskResult, "POST", "/api/ask", json=body)

    def conversations(self, *, page: int = 50) -> Iterator[ConversationLine]:
        """One's own conversations, the newest first; fetched `page` at a time."""
        for found in self._wire.pages(Conversations, "/api/conversations", given(limit=page)):
            yield from found.conversations

    def conversation(self, conversation_id: str) -> ConversationWhole:
        """A conversation as a tree of its turns."""
        return self._wire.shaped(ConversationWhole, "GET", f"/api/conversations/{_part(conversation_id)}")

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
        files, data = form(paths, collection, metadata, labels)
        return self._wire.shaped(IngestResult, "POST", "/api/documents", files=files, data=data)

    def submit_files(
        self,
        paths: Sequence[Path],
        *,
        collection: str | None = None,
        metadata: Metadata | None = None,
        labels: Sequence[str] = (),
    ) -> Job:
        """Upload files to be taken in by a background job; `job` says how far it is."""
        files, data = form(paths, collection, metadata, labels)
        return self._wire.shaped(Job, "POST", "/api/documents", params={"background": "true"}, files=files, data=data)

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
        body = given(
            text=text,
            title=title,
            media_type=media_type,
            uri=uri,
            external_id=external_id,
            collection=collection,
            metadata=metadata,
            labels=list(labels) or None,
        )
        return self._wire.shaped(IngestResult, "POST", "/api/documents", json=body)

    def documents(
        self,
        *,
        collection: str | None = None,
        filter: Metadata | None = None,
        page: int = 100,
    ) -> Iterator[DocumentLine]:
        """Every document of a collection, without its text; fetched `page` at a time."""
        words = given(collection=collection, filter=None if filter is None else json.dumps(dict(filter)), limit=page)
        for found in self._wire.pages(Documents, "/api/documents", words):
            yield from found.documents

    def document(self, document_id: int) -> DocumentWhole:
        """One document with its text and chunks."""
        return self._wire.shaped(DocumentWhole, "GET", f"/api/documents/{document_id}")

    def delete(self, document_id: int) -> None:
        """Take a document out of search and answers."""
        self._wire.send("DELETE", f"/api/documents/{document_id}")

    def collections(self) -> list[Collection]:
        return self._wire.shaped(Collections, "GET", "/api/collections").collections

    def duplicates(
        self, *, collection: str | None = None, level: str | None = None, page: int = 100
    ) -> Iterator[Duplicate]:
        """Every decision on duplicates that holds; fetched `page` at a time."""
        words = given(collection=collection, level=level, limit=page)
        for found in self._wire.pages(Duplicates, "/api/duplicates", words):
            yield from found.duplicates

    # ── background jobs ─────────────────────────────────────────────────────────────────────────────────────────────

    def job(self, job_id: int) -> Job:
        """A job and how far it is."""
        return self._wire.shaped(Job, "GET", f"/api/jobs/{job_id}")

    def job_items(self, job_id: int, *, page: int = 100) -> Iterator[JobItem]:
        """What became of every file of a job; fetched `page` at a time."""
        words = given(limit=page)
        for found in self._wire.pages(JobItems, f"/api/jobs/{job_id}/items", words):
            yield from found.items

    def cancel(self, job_id: int) -> None:
        """End a job after the batch at hand; what was stored stays."""
        self._wire.send("DELETE", f"/api/jobs/{job_id}")

    # ── what a collection follows ───────────────────────────────────────────────────────────────────────────────────

    def syncs(self, *, collection: str | None = None) -> list[Sync]:
        """The places that collections follow, and how each was run last."""
        return self._wire.shaped(Syncs, "GET", "/api/syncs", params=given(collection=collection)).syncs

    def run_sync(self, name: str, *, collection: str | None = None) -> Job:
        """Make a collection what stands where a sync looks, in a background job; `job` says how far it is."""
        return self._wire.shaped(Job, "POST", f"/api/syncs/{_part(name)}/run", params=given(collection=collection))

    def preview_sync(self, name: str, *, collection: str | None = None) -> SyncDifference:
        """What a run of a sync would do; nothing is changed."""
        words = given(collection=collection, dry_run="true")
        return self._wire.shaped(SyncDifference, "POST", f"/api/syncs/{_part(name)}/run", params=words)

    # ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def interactions(self, *, page: int = 50, **conditions: Word) -> Iterator[InteractionLine]:
        """The log, newest first: conditions are text, model, user, conversation, collection, since, until, score,
        score_min, score_max, abstained, failed."""
        words = given(limit=page, **conditions)
        for found in self._wire.pages(Interactions, "/api/interactions", words):
            yield from found.interactions

    def interaction(self, interaction_id: str) -> InteractionWhole:
        """One interaction with everything that led to its answer."""
        return self._wire.shaped(InteractionWhole, "GET", f"/api/interactions/{interaction_id}")

    def feedback(
        self, interaction_id: str, *, rating: int | None = None, label: str | None = None, comment: str | None = None
    ) -> int:
        """Say what an answer is worth; the id of what was said."""
        body = given(rating=rating, label=label, comment=comment)
        path = f"/api/interactions/{interaction_id}/feedback"
        return self._wire.shaped(FeedbackResult, "POST", path, json=body).feedback_id

    # ── prompt templates ────────────────────────────────────────────────────────────────────────────────────────────

    def prompts(self) -> list[TemplateVersion]:
        """Every version of every prompt template, of each name the current one first."""
        return self._wire.shaped(Templates, "GET", "/api/prompts").templates

    def prompt(self, name: str) -> TemplateWhole:
        """The text that a name, or a name@digest, means."""
        return self._wire.shaped(TemplateWhole, "GET", f"/api/prompts/{_part(name)}")

    def add_prompt(self, name: str, text: str) -> TemplateAdded:
        """Keep a text as the newest version of a template."""
        return self._wire.shaped(TemplateAdded, "POST", "/api/prompts", json={"name": name, "text": text})

    # ── evaluations ─────────────────────────────────────────────────────────────────────────────────────────────────

    def evaluations(self, *, folder: str | None = None, page: int = 100) -> Iterator[Evaluation]:
        """The runs over judged queries that are kept, newest first; fetched `page` at a time."""
        for found in self._wire.pages(Evaluations, "/api/evaluations", given(folder=folder, limit=page)):
            yield from found.runs

    def evaluation(self, run: str | int, *, metrics: Sequence[str] = (), lowest: int = 10) -> EvaluationRun:
        """A run by name or id, with its `lowest` worst queries by the first metric; by others than were measured when
        `metrics` names some."""
        words = given(metric=list(metrics) or None, lowest=lowest)
        return self._wire.shaped(EvaluationRun, "GET", f"/api/evaluations/{_part(run)}", params=words)

    def comparison(
        self, run: str | int, against: str | int, *, metrics: Sequence[str] = (), losses: int = 10
    ) -> EvaluationComparison:
        """A run held against an earlier one, over the queries that both have: differences with intervals and p-values,
        and the queries that lost most."""
        words = given(against=str(against), metric=list(metrics) or None, losses=losses)
        path = f"/api/evaluations/{_part(run)}/comparison"
        return self._wire.shaped(EvaluationComparison, "GET", path, params=words)


def _part(name: str | int) -> str:
    """A name as one part of an address."""
    return quote(str(name), safe="")


def _event(name: str, data: str) -> Event:
    if name == "done":
        return AskResult.model_validate_json(data)
    body = json.loads(data)
    if name == "started":
        return Started(body["interaction_id"], tuple(Hit.model_validate(hit) for hit in body["passages"]))
    if name == "error":
        raise error_of(body["status"], data)
    return Text(body["text"])
