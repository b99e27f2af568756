"""The read route to the end: search, pack a prompt, generate, check citations, score, log."""

import threading
from collections.abc import Generator as Running
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from rag.citations import cite
from rag.errors import GeneratorFailed, RagError
from rag.prompt import pack, version
from rag.search import Clock, Found, Fusion, OpenCollection, Refining, Search, search
from rag.store import interactions as interaction_store
from rag.store.database import Database, now
from rag.store.filters import Filter
from rag.support import ABSTENTION, is_abstention
from rag.types import (
    Answer,
    CancelToken,
    Finish,
    GenerationSettings,
    Generator,
    Interaction,
    MetadataValue,
    Mode,
    Principal,
    Prompt,
    Reranker,
    Score,
    Scorer,
    Text,
    Usage,
)

ANSWER_SHARE = 0.5  # of a generator's context that may be kept free for the answer, at most


@dataclass(frozen=True, slots=True)
class Question:
    """One request for an answer."""

    text: str
    k: int = 8  # passages
    mode: Mode = "hybrid"
    where: Filter | None = None
    fusion: Fusion = field(default_factory=Fusion)
    refining: Refining = field(default_factory=Refining, kw_only=True)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    conversation_id: str | None = None
    origin: Literal["human", "synthetic", "generated"] = "human"


@dataclass(frozen=True, slots=True)
class Answering:
    """Everything that answers: made once, safe to share between threads."""

    opened: OpenCollection
    generator: Generator
    scorers: Sequence[Scorer]
    reranker: Reranker | None = None

    @property
    def database(self) -> Database:
        return self.opened.database


@dataclass(frozen=True, slots=True)
class Started:
    """What was found, before the first word is spoken."""

    interaction_id: str
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Done:
    """The answer, checked, scored and logged."""

    interaction: Interaction


Step = Started | Text | Done


def ask(answering: Answering, question: Question, principal: Principal) -> Interaction:
    """The logged interaction of one question. Raises what `stream` raises."""
    for step in stream(answering, question, principal):
        if isinstance(step, Done):
            return step.interaction
    raise AssertionError("a stream ends with Done or raises")


def answer(answering: Answering, question: Question, principal: Principal) -> Interaction:
    """As `ask`, but nothing is logged: for evaluation, whose questions nobody asked. A failure is raised."""
    told = Telling(answering, question, principal)
    for _ in told.events(told.search(), threading.Event()):
        pass
    return told.finish()


def stream(
    answering: Answering, question: Question, principal: Principal, cancel: CancelToken | None = None
) -> Running[Step, None, None]:
    """Answer a question in steps: Started, some Text, Done. One log row is written before Done, whatever happens.

    A set `cancel`, or closing the iterator, ends generation soon; what was said until then is logged as cancelled.
    A failure is logged and raised: GeneratorFailed, or what the search raises.
    """
    cancel = cancel or threading.Event()
    told = Telling(answering, question, principal)
    try:
        prompt = told.search()
        yield Started(told.id, prompt)
        for event in told.events(prompt, cancel):
            if isinstance(event, Text):
                yield event
    except GeneratorExit:
        cancel.set()
        told.finish_reason = "cancelled"
        told.log()
        raise
    except RagError as error:
        told.log(error=str(error))
        raise
    except Exception as error:
        told.log(error=f"{type(error).__name__}: {error}")
        raise
    yield Done(told.log())


def fitted(wanted: GenerationSettings, generator: Generator) -> GenerationSettings:
    """The settings, with an answer no longer than half the generator's context."""
    return replace(wanted, max_tokens=max(1, min(wanted.max_tokens, int(generator.context_tokens * ANSWER_SHARE))))


class Telling:
    """One question on its way: gathers what each stage yields until it is logged."""

    def __init__(self, answering: Answering, question: Question, principal: Principal) -> None:
        from ulid import ULID

        self.id = str(ULID())
        self._answering, self._question, self._principal = answering, question, principal
        self._created = now().isoformat(timespec="milliseconds")
        self._clock = Clock()
        self._found: Found | None = None
        self._prompt: Prompt | None = None
        self._said: list[str] = []
        self._usage = Usage(None, None)
        self.finish_reason = "stop"

    def search(self) -> Prompt:
        """Find the passages and pack the prompt."""
        asked, generator = self._question, self._answering.generator
        with self._clock.stage("search"):
            self._found = search(
                self._answering.opened,
                Search(asked.text, asked.k, asked.mode, asked.where, asked.fusion, asked.refining),
                self._principal,
                self._answering.reranker,
            )
        with self._clock.stage("prompt"):
            self._prompt = pack(
                asked.text,
                self._found.passages,
                count_tokens=generator.count_tokens,
                context_tokens=generator.context_tokens,
                max_tokens=self._generation().max_tokens,
            )
        return self._prompt

    def events(self, prompt: Prompt, cancel: CancelToken) -> Iterator[Text]:
        """Speak. Without any passage nobody is asked: the house itself says that it does not know."""
        if not prompt.passages:
            self.finish_reason = "abstained"
            self._said.append(ABSTENTION)
            yield Text(ABSTENTION)
            return
        with self._clock.stage("generate"):
            for event in self._answering.generator.generate(prompt, self._generation(), cancel):
                if isinstance(event, Text):
                    self._said.append(event.text)
                    yield event
                elif isinstance(event, Usage):
                    self._usage = event
                elif isinstance(event, Finish):
                    self.finish_reason = event.reason
        if not "".join(self._said).strip() and self.finish_reason != "cancelled":
            raise GeneratorFailed(f"{self._answering.generator.name} gave an empty answer")

    def finish(self, error: str | None = None) -> Interaction:
        """Check and score what there is."""
        entry = self._interaction(error)
        if entry.answer is not None and entry.error is None:
            with self._clock.stage("score"):
                entry = replace(entry, scores=self._scores(entry))
        return replace(entry, timings_ms=self._clock.rounded())

    def log(self, error: str | None = None) -> Interaction:
        """Check, score and write what there is; the one place where an interaction is recorded."""
        entry = self.finish(error)
        opened = self._answering.opened
        with opened.database.write() as connection:
            interaction_store.record(connection, opened.database, entry, opened.collection.id)
        return entry

    def _generation(self) -> GenerationSettings:
        return fitted(self._question.generation, self._answering.generator)

    def _interaction(self, error: str | None) -> Interaction:
        found, prompt, generator = self._found, self._prompt, self._answering.generator
        shown = () if prompt is None else prompt.passages
        return Interaction(
            id=self.id,
            created_at=self._created,
            tenant_id=self._principal.tenant_id,
            collection=self._answering.opened.collection.name,
            user=self._principal.user,
            conversation_id=self._question.conversation_id,
            origin=self._question.origin,
            question=self._question.text,
            search_query=self._question.text,
            prompt=prompt,
            answer=self._answer(prompt),
            error=error,
            passages=shown,
            candidates=() if found is None else (*(p.hit for p in found.passages[len(shown) :]), *found.candidates),
            model=generator.name,
            revision=generator.revision,
            template=version() if prompt is None else prompt.template,
            settings=self._settings(),
            position=0 if found is None else found.position,
            generation=0 if found is None else found.generation,
            timings_ms={},
        )

    def _answer(self, prompt: Prompt | None) -> Answer | None:
        text = "".join(self._said)
        if prompt is None or (not text and self.finish_reason != "cancelled"):
            return None
        with self._clock.stage("cite"):
            citations = cite(text, prompt.passages)
        return Answer(
            text=text,
            citations=citations,
            abstained=self.finish_reason == "abstained" or is_abstention(text),
            generator=self._answering.generator.name,
            finish_reason=self.finish_reason,
            usage=self._usage,
        )

    def _scores(self, entry: Interaction) -> tuple[Score, ...]:
        scores = []
        for scorer in self._answering.scorers:
            judged = scorer.score([entry])[0]
            scores.append(judged or Score(scorer.name, None, identifier=f"{scorer.name}@{scorer.version}"))
        return tuple(scores)

    def _settings(self) -> Mapping[str, MetadataValue]:
        asked, generation = self._question, self._generation()
        return {
            "k": asked.k,
            "mode": asked.mode,
            "filter": None if asked.where is None else asked.where.canonical,
            "fusion": asked.fusion.method,
            "alpha": asked.fusion.alpha,
            "rrf_k": asked.fusion.rrf_k,
            "depth": asked.fusion.depth,
            "reranker": None if self._answering.reranker is None else self._answering.reranker.name,
            "rerank_depth": asked.refining.rerank_depth,
            "diversify": asked.refining.diversify,
            "per_document": asked.refining.per_document,
            "neighbours": asked.refining.neighbours,
            "max_tokens": generation.max_tokens,
            "temperature": generation.temperature,
            "top_p": generation.top_p,
            "seed": generation.seed,
            "stop": list(generation.stop),
        }
