"""The one place where settings become objects: a database, embedders, indexes, generators, and the two routes.

Models and indexes are made when first used, and what only one route needs is imported there: `rag search` must answer
from a cold start in well under a second.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.access import Access
from rag.config import Settings, overruled
from rag.engines import Engines
from rag.errors import NotFound, StoreNotReady, WrongUsage
from rag.folders import make_folder
from rag.rankings.beside import Beside
from rag.store import collections as collection_store
from rag.store import database as database_store
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.membership import Membership
from rag.store.vectors import CollectionFeed
from rag.types import (
    Embedder,
    GenerationSettings,
    Generator,
    Interaction,
    MetadataValue,
    Principal,
    Reranker,
    Score,
    Scorer,
    Template,
)

if TYPE_CHECKING:
    from ingest.reading.pool import Pool
    from rag.answers.confidence import Abstaining
    from rag.ask import Answering
    from rag.corpus import Corpus
    from rag.indexes.snapshots import Indexes
    from rag.insight.spans import Spans
    from rag.insight.topics import QuestionVectors
    from rag.outgoing.outbox import Counted, Outcome
    from rag.outgoing.wanted import Outgoing
    from rag.search import Fusion, OpenCollection, Refining, Search
    from rag.types import Passage, Prompt, Vectors
    from rag.why import Why

log = logging.getLogger(__name__)

TENANT = "default"
PATIENCE_S = 10.0  # for which scores that are given later wait for room to be told of
FUSION = ("fusion", "alpha", "rrf_k", "depth")  # the settings that a collection may have of its own


class App:
    """An installation, open. Safe to share between threads; make one a process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.access = Access()
        self._membership = Membership()
        self._beside = Beside(settings.threads or os.cpu_count() or 1)
        self.engines = Engines()
        self._lock = threading.RLock()
        self._indexes: dict[tuple[int, str], Indexes] = {}
        self._outboxes: Outgoing | None = None
        # Told of every interaction, in the thread that answers; and of what left the house, or did not.
        self.listeners: list[Callable[[Interaction], None]] = []
        self.counters: list[Counted] = []
        self._spans: Spans | None = None
        self._question_vectors: QuestionVectors | None = None

    # ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def open(cls, settings: Settings, *, create: bool = False) -> "App":
        """Open the installation that the settings name; with `create`, one that is not there yet is made.

        Raises StoreNotReady when it is missing, or its database is of another version than this program.
        """
        if create:
            make_folder(settings.data)
            _keep_out(settings.data)
        elif not settings.database and not (settings.data / "rag.db").is_file():
            raise StoreNotReady(f"nothing was ingested into {settings.data.absolute()} yet; run `rag ingest PATH`")
        database = database_store.connect(settings.database_url)
        if create and database_store.current(database) is None:
            database_store.upgrade(database)
        database_store.require_current(database)
        return cls(settings, database)

    def close(self) -> None:
        for outbox in self._outboxes or ():
            outbox.close()
        self.engines.close()
        self._beside.close()
        self.database.close()

    def with_settings(self, settings: Settings) -> "App":
        """The same installation, asked by other settings; what is open is shared, and whoever judges answers here
        judges them there, unless the settings name a judge. Close this one, not that."""
        self.outboxes()  # else each of them would open its own
        self.spans()
        self.question_vectors()
        other = copy(self)
        other.settings = replace(settings, judge=settings.judge or self.settings.generator)
        return other

    @property
    def tenant_id(self) -> int:
        """The tenant of the command line and of an API without tokens."""
        with self.database.read() as connection:
            found = collection_store.tenant(connection, TENANT)
        if found is None:
            with self.database.write() as connection:
                found = collection_store.ensure_tenant(connection, TENANT)
        return found

    def local(self) -> Principal:
        """Whoever holds the data folder: sees everything."""
        return Principal(self.tenant_id, "local")

    # ── models ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def embedder(self) -> Embedder:
        return self.engines.embedder(self.settings)

    def generator(self, name: str | None = None) -> Generator:
        """The generator of this name, else the settings'; `auto` is the installed transformer model, else the
        extractive one. Behind it stands the settings' fallback, if there is one."""
        return self.engines.generator(self.settings, name)

    def scorers(self, names: Sequence[str] | None = None) -> list[Scorer]:
        """The scorers of these names, else the settings' own. Raises WrongSetting for one of these that needs a
        reference."""
        return self.engines.scorers(self.settings, names, self._stored)

    def _stored(self, chunk_ids: Sequence[int]) -> "Mapping[int, Vectors]":
        """The vectors of these chunks by the present embedder, those that there are."""
        from rag.store.vectors import of_chunks

        with self.database.read() as connection:
            return of_chunks(connection, chunk_ids, self.embedder().fingerprint)

    def reranker(self, name: str | None = None) -> Reranker | None:
        """The reranker of this name, else the settings' own; None where that is off."""
        return self.engines.reranker(self.settings, name)

    def pool(self) -> "Pool":
        """The child processes that read sources; they start with the first."""
        return self.engines.pool(self.settings)

    def let_go_of_models(self) -> None:
        """Forget the models and end the child processes; what is needed again is opened again."""
        self.engines.let_go()

    # ── collections ─────────────────────────────────────────────────────────────────────────────────────────────────

    def collection(self, name: str | None = None, tenant_id: int | None = None) -> Collection:
        with self.database.read() as connection:
            return collection_store.get(connection, tenant_id or self._tenant(), name or self.settings.collection)

    def _tenant(self) -> int:
        with self.database.read() as connection:
            found = collection_store.tenant(connection, TENANT)
        if found is None:
            raise NotFound("nothing was ingested yet; run `rag ingest PATH`")
        return found

    def indexes(self, collection: Collection) -> "Indexes":
        """The indexes of a collection, shared by all threads of this process."""
        from rag.indexes.snapshots import Indexes

        key = (collection.id, collection.fingerprint)
        with self._lock:
            if key not in self._indexes:
                folder = self.settings.indexes / str(collection.id)
                folder.mkdir(parents=True, exist_ok=True)
                self._indexes[key] = Indexes(
                    folder,
                    CollectionFeed(self.database, collection),
                    vectors=self.settings.vectors,
                    keywords=self.settings.keywords,
                    fingerprint=collection.fingerprint,
                    recall=lambda: self._recall(collection.id),
                )
            return self._indexes[key]

    def _recall(self, collection_id: int) -> float:
        """The share of the true nearest that searches of this collection are to find."""
        from rag.vectors.tuning import RECALL

        with self.database.read() as connection:
            asked = collection_store.by_id(connection, collection_id).settings.get("recall", RECALL)
        return float(str(asked))

    def tune_index(self, collection: Collection, recall: float | None = None) -> int | None:
        """Settle anew how the collection's vectors are searched, for this recall, or for the one asked before. Gives
        the new generation of its index, None when another process is writing it. Raises WrongUsage for a recall below
        0.5 or above 1, or NaN."""
        if recall is not None:
            if not 0.5 <= recall <= 1:
                raise WrongUsage(f"the recall lies between 0.5 and 1, not {recall}")
            with self.database.write() as connection:
                collection_store.change_settings(connection, collection.id, {"recall": recall})
        return self.indexes(collection).publish(tune=True)

    def opened(self, name: str | None = None, tenant_id: int | None = None) -> "OpenCollection":
        """A collection open for reading. Raises NotFound."""
        from rag.search import OpenCollection

        collection = self.collection(name, tenant_id)
        return OpenCollection(
            self.database,
            collection,
            self.indexes(collection),
            self.access,
            lambda: self._embedder_of(collection),
            self._membership,
            self._beside,
        )

    def _embedder_of(self, collection: Collection) -> Embedder:
        collection_store.require_embedder(collection, self.embedder())
        return self.embedder()

    def corpus(self, name: str | None = None, tenant: str = TENANT) -> "Corpus":
        """A collection open for writing; made when it is not there."""
        return self._corpus_in(self.database, name, tenant)

    @contextmanager
    def trying(self, name: str | None = None) -> "Iterator[Corpus]":
        """A collection open for writing of which nothing stays. It embeds nothing, unless duplicates of meaning are
        looked for; vectors that are not needed all are one."""
        from rag.rankings.wrapped import Unembedded
        from rag.store.trial import trial

        with trial(self.database) as database:
            corpus = self._corpus_in(database, name, TENANT)
            if any(rule.level == "semantic" for rule in (*corpus.policies.document, *corpus.policies.chunk)):
                yield corpus
            else:
                yield replace(corpus, embedder=Unembedded(self.embedder()))

    def _corpus_in(self, database: Database, name: str | None, tenant: str) -> "Corpus":
        from rag.corpus import open_corpus

        return open_corpus(
            database,
            tenant,
            name or self.settings.collection,
            self.embedder(),
            chunk_tokens=min(self.settings.chunk_tokens, self.embedder().max_tokens),
            overlap_tokens=self.settings.chunk_overlap_tokens,
            dedup=self._dedup(),
            pool=self.pool(),
        )

    def _dedup(self) -> dict[str, MetadataValue]:
        """The policies on duplicates of a new collection."""
        from rag.store.duplicates.policies import DEFAULTS

        return {name: getattr(self.settings, name) for name in DEFAULTS}

    def answering(
        self,
        name: str | None = None,
        tenant_id: int | None = None,
        generator: str | None = None,
        reranker: str | None = None,
        template: str | None = None,
    ) -> "Answering":
        """Everything that answers questions from a collection. A template that is named is used for follow-ups too."""
        from rag.ask import Answering

        opened = self.opened(name, tenant_id)
        chosen = self.template(template, tenant_id)
        settings = self.settings
        conversing = None if template else self.template(settings.conversation_template, tenant_id)
        speaker, ranks = self.generator(generator), self.reranker(reranker)
        self.outboxes()  # what is wrong with them is said now, not in an answer's way
        return Answering(opened, speaker, self.scorers(), ranks, chosen, conversing, settings.rewrite, self.heard)

    # ── what leaves the house ───────────────────────────────────────────────────────────────────────────────────────

    def heard(self, entry: Interaction) -> None:
        """Tell whoever listens of an interaction that was logged; no answer waits for it or fails with it."""
        for listener in self.listeners:
            try:
                listener(entry)
            except Exception:
                log.exception("a listener could not hear of interaction %s", entry.id)
        for outbox in self._outboxes or ():
            outbox.put(entry)

    def rescored(self, entry: Interaction, new: Sequence[Score]) -> None:
        """Tell the webhook of scores that an interaction was given later, `entry` being as it stood before. Waits a
        while where many are told at once; nobody's answer hangs on it."""
        webhook = self.outboxes().webhook
        if webhook is not None:
            from rag.outgoing.webhooks import Rescored

            webhook.put(Rescored(entry, tuple(new)), wait_s=PATIENCE_S)

    def outboxes(self) -> "Outgoing":
        """Where interactions go from here: a collector of traces, a webhook. Raises WrongSetting, NotReady for settings
        that cannot work."""
        with self._lock:
            if self._outboxes is None:
                from rag.outgoing.wanted import outboxes

                self._outboxes = outboxes(self.settings, self._counted)
            return self._outboxes

    def _counted(self, name: str, outcome: "Outcome", n: int) -> None:
        for counter in self.counters:
            counter(name, outcome, n)

    # ── templates and reasons ───────────────────────────────────────────────────────────────────────────────────────

    def template(self, named: str | None = None, tenant_id: int | None = None) -> Template:
        """The prompt template that NAME or NAME@DIGEST means, else that of the settings. Raises NotFound."""
        from rag.prompt import built_ins
        from rag.store import templates as template_store

        with self.database.read() as connection:
            tenant = tenant_id or collection_store.tenant(connection, TENANT) or 0
            chosen = named or self.settings.prompt_template
            return template_store.find(connection, tenant, chosen, built_ins()).template

    def why(
        self,
        asked: "Search",
        document: str,
        asker: Principal,
        *,
        told: Principal | None = None,
        collection: str | None = None,
        reranker: str | None = None,
    ) -> "Why":
        """What became of a document when this is asked, up to the prompt of the settings' generator and template."""
        from rag.answers.telling import fitted
        from rag.prompt import pack
        from rag.why import why

        template = self.template(tenant_id=asker.tenant_id)

        def packed(passages: "Sequence[Passage]") -> "Prompt":
            generator = self.generator()
            return pack(
                asked.query,
                passages,
                count_tokens=generator.count_tokens,
                context_tokens=generator.context_tokens,
                max_tokens=fitted(self.generation(), generator).max_tokens,
                template=template,
            )

        opened = self.opened(collection, asker.tenant_id)
        return why(opened, asked, document, asker, told=told, reranker=self.reranker(reranker), pack=packed)

    def publish_due(self, collection: Collection) -> int | None:
        """Fold the changes since the last index generation into a new one if that pays; the generation, or None."""
        indexes = self.indexes(collection)
        return indexes.publish() if indexes.due(indexes.view()) else None

    # ── the log as a whole ──────────────────────────────────────────────────────────────────────────────────────────

    def spans(self) -> "Spans":
        """The figures of the log by day, shared by all threads of this process."""
        from rag.insight.spans import Spans

        with self._lock:
            if self._spans is None:
                self._spans = Spans(self.database)
            return self._spans

    def question_vectors(self) -> "QuestionVectors":
        """Vectors of questions of the log, shared by all threads of this process."""
        from rag.insight.topics import QuestionVectors

        with self._lock:
            if self._question_vectors is None:
                self._question_vectors = QuestionVectors()
            return self._question_vectors

    # ── defaults of a request ───────────────────────────────────────────────────────────────────────────────────────

    def fusion(
        self, name: str | None = None, tenant_id: int | None = None, *, asked: Mapping[str, object] | None = None
    ) -> "Fusion":
        """How a collection's rankings are fused: as `asked` (fusion, alpha, rrf_k, depth; None for what is not), else
        as was tuned for the collection, else as the settings say. Raises WrongSetting for a value that does not
        fit."""
        from rag.search import Fusion

        found = self._collection_if_any(name, tenant_id)
        own = {} if found is None else {key: found.settings.get(key) for key in FUSION}
        settings = overruled(self.settings, own, f"collection {name or self.settings.collection!r}")
        settings = overruled(settings, asked or {}, "the request")
        return Fusion(settings.fusion, settings.alpha, settings.rrf_k, settings.depth)

    def abstaining(
        self, name: str | None = None, tenant_id: int | None = None, *, asked: Mapping[str, object] | None = None
    ) -> "Abstaining | None":
        """When a question is refused: as `asked` (mode, abstain, abstain_threshold; None for what is not), else as was
        calibrated for the collection, else as the settings say. None where nothing tells; with `never` the confidence
        is told, and nothing refused."""
        from rag.answers.confidence import Abstaining, default, kept

        settings = overruled(self.settings, asked or {}, "the request")
        found = self._collection_if_any(name, tenant_id)
        own = None if found is None else kept(found.settings, settings.mode)
        if own is None:
            model = default(settings.mode, "" if found is None else found.fingerprint)
            own = None if model is None else Abstaining(model, settings.abstain_threshold)
        if own is None:
            return None
        threshold = own.threshold if (asked or {}).get("abstain_threshold") is None else settings.abstain_threshold
        return Abstaining(own.model, 0.0 if settings.abstain == "never" else threshold)

    def _collection_if_any(self, name: str | None, tenant_id: int | None) -> Collection | None:
        with self.database.read() as connection:
            tenant_id = tenant_id or collection_store.tenant(connection, TENANT)
            if tenant_id is None:
                return None
            return collection_store.find(connection, tenant_id, name or self.settings.collection)

    def refining(
        self, diversify: float | None = None, per_document: int | None = None, neighbours: int | None = None
    ) -> "Refining":
        from rag.search import Refining

        settings = self.settings
        return Refining(
            settings.rerank_depth,
            settings.diversify if diversify is None else diversify,
            settings.per_document if per_document is None else per_document,
            settings.neighbours if neighbours is None else neighbours,
        )

    def generation(self, seed: int | None = None, temperature: float | None = None) -> GenerationSettings:
        settings = self.settings
        return GenerationSettings(
            max_tokens=settings.max_answer_tokens,
            temperature=settings.temperature if temperature is None else temperature,
            top_p=settings.top_p,
            seed=settings.seed if seed is None else seed,
            grounded=settings.grounded_decoding == "on",
        )


@contextmanager
def opening(settings: Settings, *, create: bool = False) -> Iterator[App]:
    """An App that is closed when the block ends."""
    app = App.open(settings, create=create)
    try:
        yield app
    finally:
        app.close()


def _keep_out(data: Path) -> None:
    """Mark the data folder as nothing to ingest, so that `rag ingest .` passes over it."""
    ignore = data / ".ragignore"
    if ignore.exists():
        return
    try:
        ignore.write_text("# The data folder of rag: its files are no documents.\n*\n", encoding="utf-8")
    except OSError as error:
        raise StoreNotReady(f"the folder {data.absolute()} cannot be written: {error.strerror}") from error
