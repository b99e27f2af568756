"""Background work: what there is to do. A kind of job is one function from a Task to what it tells in the end.

`KINDS` names them; rag.workers does them. What only one kind needs is imported there: whoever asks for an ingest must
not wait for what measures answers.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ingest.errors import IngestError, Refused, Unreadable
from ingest.types import Source
from rag.app import App
from rag.config import overruled
from rag.corpus import Arrival, Corpus, Origin, Progress
from rag.corpus import sync as syncing
from rag.errors import Conflict, NotFound, NotReady
from rag.store import collections as collection_store
from rag.store import datasets as dataset_store
from rag.store import documents as document_store
from rag.store import jobs as job_store
from rag.store import syncs as sync_store
from rag.store.collections import Collection
from rag.store.database import Connection
from rag.store.datasets import Split
from rag.store.jobs import Job, Upload
from rag.store.syncs import StoredSync
from rag.store.writing import Record
from rag.types import Metadata, MetadataValue, Principal

if TYPE_CHECKING:
    from rag.evaluation.gating import Demand

log = logging.getLogger(__name__)

MEBIBYTE = 2**20


class Unfinished(Exception):
    """The work stopped before its end, as `Task.stopping` told it to."""


@dataclass(frozen=True, slots=True)
class Task:
    """A job as the function that does it sees it.

    `progress` must be called often (every source or so) and `record` in every transaction that writes for the job, if
    only with nothing; what they raise ends the work and must not be caught. When `stopping` says so, the work finishes
    its batch and raises Unfinished.
    """

    app: App
    job: Job
    progress: Callable[[Progress], None]
    record: Record
    stopping: Callable[[], bool]

    def corpus(self) -> Corpus:
        """The job's collection, open for writing; made when it is not there."""
        return self.app.corpus(self.job.collection, tenant=self.tenant)

    @property
    def tenant(self) -> str:
        with self.app.database.read() as connection:
            return collection_store.tenant_name(connection, self.job.tenant_id)

    def publish(self, collection: Collection) -> None:
        """Fold what was written into the index when that pays. Failing at it is no failure of the job: searches read
        from SQL what the index does not hold."""
        try:
            self.app.publish_due(collection)
        except Exception:
            log.exception("the index of %r could not be published; searches read its changes from SQL", collection.name)


Kind = Callable[[Task], Metadata]
"""Does a job and gives its result, a JSON object. Run again after a crash it must end as one whole run would.

What it raises ends the job as failed, but for Unfinished, and for NotReady and faults of the program, which are tried
again."""


# ── ingest ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def ingest(task: Task) -> Metadata:
    """Take in the files and folders of payload `paths`, or what was uploaded with the job."""
    payload, corpus = task.job.payload, task.corpus()
    origin = Origin(task.job.user, _object(payload.get("metadata")), frozenset(_texts(payload.get("labels"))))
    if "paths" in payload:
        paths = [Path(path) for path in _texts(payload["paths"])]
        limit = task.app.settings.max_file_mb * MEBIBYTE
        report = corpus.add_paths(
            paths, origin, max_bytes=limit, progress=task.progress, record=task.record, stopping=task.stopping
        )
    else:
        with task.app.database.read() as connection:
            ids = job_store.upload_ids(connection, task.job.id)
        unread = _unread(payload)
        arrivals = _arrivals(task, corpus, ids, unread)
        total = len(ids) + len(unread)
        report = corpus.add_sources(
            arrivals, origin, total=total, progress=task.progress, record=task.record, stopping=task.stopping
        )
    if report.stopped:
        raise Unfinished
    task.publish(corpus.collection)
    return {"documents": report.documents, "chunks": report.chunks}


def ask_paths(
    connection: Connection,
    principal: Principal,
    collection: str,
    paths: Sequence[Path],
    *,
    metadata: Metadata,
    labels: Sequence[str] = (),
) -> Job:
    """Ask for files and folders to be taken in. The worker must find them under the same paths.

    Raises WrongUsage for a collection's name that cannot be one.
    """
    collection_store.check_name(collection)
    payload: Metadata = {
        "paths": [str(path.resolve()) for path in paths],
        "metadata": dict(metadata),
        "labels": [*sorted(set(labels))],
    }
    return job_store.enqueue(
        connection, principal.tenant_id, "ingest", payload, user=principal.user, collection=collection
    )


def ask_arrivals(
    connection: Connection,
    principal: Principal,
    collection: str,
    arrivals: Sequence[Arrival],
    *,
    metadata: Metadata,
    labels: Sequence[str] = (),
) -> Job:
    """Ask for what arrived to be taken in; its bytes are kept in SQL until that is done. Raises WrongUsage."""
    collection_store.check_name(collection)
    uploads = [
        Upload(arrival.uri, source.media_type, source.content, arrival.title, arrival.external_id)
        for arrival in arrivals
        if isinstance(source := arrival.source, Source)
    ]
    unread = [[arrival.uri, str(arrival.source)] for arrival in arrivals if isinstance(arrival.source, IngestError)]
    payload: Metadata = {
        "uploads": len(uploads),
        "unread": [[*pair] for pair in unread],
        "metadata": dict(metadata),
        "labels": [*sorted(set(labels))],
        "bound": principal.labels is not None,  # may replace its own documents only
    }
    return job_store.enqueue(
        connection,
        principal.tenant_id,
        "ingest",
        payload,
        user=principal.user,
        collection=collection,
        uploads=uploads,
    )


def _arrivals(task: Task, corpus: Corpus, ids: Sequence[int], unread: Sequence[tuple[str, str]]) -> Iterator[Arrival]:
    """What was uploaded, one file at a time in memory."""
    for key in ids:
        with task.app.database.read() as connection:
            found = job_store.upload(connection, key)
            owners = document_store.owners_of(connection, corpus.collection.id, [found.uri])
        source: Source | IngestError = Source(found.uri, found.media_type, found.content)
        if task.job.payload.get("bound") and owners - {task.job.user}:
            source = Refused(
                f"{found.uri}: a document of this name was added by somebody else; choose another name or uri"
            )
        yield Arrival(found.uri, source, title=found.title, external_id=found.external_id)
    for uri, reason in unread:
        yield Arrival(uri, Unreadable(reason))


def _unread(payload: Metadata) -> list[tuple[str, str]]:
    pairs = payload.get("unread") or []
    assert isinstance(pairs, list)
    return [(str(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, list)]


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _object(value: object) -> Metadata:
    return value if isinstance(value, dict) else {}


# ── sync ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sync(task: Task) -> Metadata:
    """Run the sync that payload `sync` names."""
    with task.app.database.read() as connection:
        name, collection = str(task.job.payload["sync"]), task.job.collection or ""
        stored = sync_store.get(connection, task.job.tenant_id, name, collection)
    corpus = task.corpus()
    options = syncing.Options(task.app.settings.max_file_mb * MEBIBYTE)
    try:
        difference = syncing.run(
            corpus, stored, options, progress=task.progress, record=task.record, stopping=task.stopping
        )
    except Conflict as error:  # somebody runs it at this moment
        raise NotReady(str(error)) from error
    if difference.stopped:
        raise Unfinished
    task.publish(corpus.collection)
    return difference.result() | {"documents": difference.documents, "chunks": difference.chunks}


def ask_sync(connection: Connection, principal: Principal, stored: StoredSync) -> Job:
    """Ask for a sync to be run. The worker must find its places under the same paths."""
    payload: Metadata = {"sync": stored.name}
    return job_store.enqueue(
        connection, principal.tenant_id, "sync", payload, user=principal.user, collection=stored.collection
    )


# ── datasets and gates ──────────────────────────────────────────────────────────────────────────────────────────────


def synthesize(task: Task) -> Metadata:
    """Make a version of a dataset of questions from the documents of the job's collection."""
    from rag.evaluation.synthesizing import By, make
    from rag.exports.splits import Shares

    payload, job = task.job.payload, task.job
    train, validation, test = cast(list[float], payload["shares"])
    made = make(
        task.app,
        _asker(job),
        str(payload["name"]),
        cast(int, payload["questions"]),
        by=cast(By, payload["by"]),
        collection=job.collection,
        shares=Shares.of(train, validation, test),
        progress=_steps(task, "questions"),
    )
    dropped = cast(Metadata, made.version.card["dropped"])
    return {"dataset": made.version.named, "items": made.version.items, "new": made.new, "dropped": dict(dropped)}


def ask_synthesis(
    connection: Connection,
    principal: Principal,
    collection: str,
    name: str,
    *,
    questions: int,
    by: str,
    shares: tuple[float, float, float],
) -> Job:
    """Ask for a dataset of questions that nobody asked; see `synthesizing`. Raises WrongUsage for its name."""
    dataset_store.check_name(name)
    payload: Metadata = {"name": name, "questions": questions, "by": by, "shares": [*shares]}
    return job_store.enqueue(
        connection, principal.tenant_id, "synthesize", payload, user=principal.user, collection=collection
    )


def gate(task: Task) -> Metadata:
    """Put a dataset's questions to the present settings, and hold what came of it: the gate, with its report."""
    from rag.evaluation import gating
    from rag.evaluation.gate import markdown
    from rag.evaluation.questions import of_dataset
    from rag.shapes.gates import gate_json

    payload, job, asker = task.job.payload, task.job, _asker(task.job)
    app = task.app.with_settings(overruled(task.app.settings, _object(payload["settings"]), "the gate"))
    splits = cast(Sequence[Split], _texts(payload["splits"]))
    questions = of_dataset(app.database, job.tenant_id, str(payload["set"]), splits)
    collection = str(payload["collection"] or questions.collection)
    way = gating.way(app, collection, job.tenant_id, _object(payload["fusing"]))
    demand = _demand(payload, job.id)
    if demand.name is not None and _kept_before(task, demand.name):
        demand = replace(demand, name=None)
    steps = {what: _steps(task, what) for what in ("queries", "answers")}
    found = gating.run(
        app, asker, questions, collection, way, demand, lambda what, done, total: steps[what](done, total)
    )
    return cast(Metadata, gate_json(found) | {"report": markdown(found)})


def ask_gate(
    app: App,
    principal: Principal,
    named: str,
    demand: "Demand",
    *,
    splits: Sequence[str] = (),
    collection: str | None = None,
    settings: Mapping[str, MetadataValue],
    fusing: Mapping[str, MetadataValue],
) -> Job:
    """Ask for a gate over a dataset, after all was checked that can be without asking a question; `settings` and
    `fusing` (fusion, alpha, rrf_k, depth) stand for those of the installation. Raises what a gate raises before it
    begins, and NotFound."""
    from rag.evaluation import gating
    from rag.evaluation.questions import GATING, chosen, of_dataset

    overruled(app.settings, settings, "the gate")
    wanted = chosen(splits, GATING)
    questions = of_dataset(app.database, principal.tenant_id, named, wanted)
    gating.checked(app, principal, demand)
    with app.database.write() as connection:
        held_in = collection_store.get(connection, principal.tenant_id, collection or questions.collection).name
        payload: Metadata = {
            "set": questions.name,  # NAME@NUMBER: what is asked for now, whatever is made until it is begun
            "bounds": [[one.metric, one.least, one.most] for one in demand.bounds],
            "metrics": [*demand.metrics],
            "against": demand.against,
            "max_drop": demand.max_drop,
            "answers": demand.with_answers,
            "name": demand.name,
            "worst": demand.worst,
            "splits": [*wanted],
            "collection": held_in,
            "settings": dict(settings),
            "fusing": dict(fusing),
        }
        return job_store.enqueue(
            connection, principal.tenant_id, "gate", payload, user=principal.user, collection=held_in
        )


def _demand(payload: Metadata, job_id: int) -> "Demand":
    from rag.evaluation.gate import Bound
    from rag.evaluation.gating import Demand

    bounds = cast(list[tuple[str, float | None, float | None]], payload["bounds"])
    return Demand(
        bounds=tuple(Bound(*one) for one in bounds),
        metrics=tuple(_texts(payload["metrics"])),
        against=cast(str | None, payload["against"]),
        max_drop=cast(float, payload["max_drop"]),
        with_answers=bool(payload["answers"]),
        name=cast(str | None, payload["name"]),
        worst=cast(int, payload["worst"]),
        job=job_id,
    )


def _kept_before(task: Task, name: str) -> bool:
    """Whether this very job has kept the run of this name already, and was cut short behind that."""
    from rag.evaluation.measuring import stored

    try:
        return stored(task.app.database, task.job.tenant_id, name)[0].run.settings.get("job") == task.job.id
    except NotFound:
        return False


def _asker(job: Job) -> Principal:
    """Whoever asked for a job that no token bound to labels may ask for."""
    return Principal(job.tenant_id, job.user)


def _steps(task: Task, what: str) -> Callable[[int, int], None]:
    """Says how far a job is, and ends it where that was asked for."""

    def step(done: int, total: int) -> None:
        task.progress(Progress(done, total, 0, 0, what))
        if task.stopping():
            raise Unfinished

    return step


KINDS: Mapping[str, Kind] = {"ingest": ingest, "sync": sync, "synthesize": synthesize, "gate": gate}
