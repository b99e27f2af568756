"""One question on its way: what each stage of the read route yields is gathered until it can be logged."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from rag.answers.claims import is_abstention
from rag.answers.confidence import FEATURES, Abstaining, Weighed, refusal, refusal_details, refusal_text, refuses, weigh
from rag.answers.conversation import Turn, messages_of, turns_of
from rag.answers.rewriting import Rewrite, Rewritten, rewritten
from rag.answers.templating import uses
from rag.citations import cite, only_supported
from rag.errors import GeneratorFailed, WrongUsage
from rag.prompt import built_in, pack
from rag.rankings.arrays import joined
from rag.scorers import EARLY, begin, scores
from rag.search import Clock, Found, Fusion, OpenCollection, Refining, Search, search
from rag.store import interactions as interaction_store
from rag.store import templates as template_store
from rag.store.database import Database, now
from rag.store.filters.tree import Filter
from rag.store.log import conversations as conversation_store
from rag.types import (
    Answer,
    CancelToken,
    Event,
    Fallback,
    Finish,
    GenerationSettings,
    Generator,
    Hit,
    Interaction,
    Message,
    MetadataValue,
    Mode,
    Passage,
    Principal,
    Prompt,
    Refusal,
    Reranker,
    Scorer,
    Template,
    Text,
    Usage,
)

Origin = Literal["human", "synthetic", "generated"]
ANSWER_SHARE = 0.5  # of a generator's context that may be kept free for the answer, at most


def _nobody(_: Interaction) -> None:
    """Told of an interaction, and does nothing."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request for an answer."""

    text: str  # "" where an earlier question is asked again
    k: int = 8  # passages
    mode: Mode = "hybrid"
    where: Filter | None = None
    fusion: Fusion = field(default_factory=Fusion)
    refining: Refining = field(default_factory=Refining, kw_only=True)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    conversation_id: str | None = None  # begins with its first turn
    origin: Origin = "human"
    abstaining: Abstaining | None = field(default=None, kw_only=True)  # None: what was found is not weighed
    parent: str | None = field(default=None, kw_only=True)  # the interaction it continues, or "root"; None: the last
    regenerates: str | None = field(default=None, kw_only=True)  # the interaction whose question is asked again
    strict: bool = field(default=False, kw_only=True)  # nothing is said that no passage bears out
    history: tuple[Message, ...] = field(default=(), kw_only=True)  # said before, in place of what the log knows
    at: int | None = field(default=None, kw_only=True)  # the collection as it stood at this position; None: as it does
    replays: str | None = field(default=None, kw_only=True)  # the interaction that is run again
    turns: tuple[Turn, ...] = field(default=(), kw_only=True)  # said before, as the log knows it; like `history`


@dataclass(frozen=True, slots=True)
class Answering:
    """Everything that answers: made once, safe to share between threads."""

    opened: OpenCollection
    generator: Generator
    scorers: Sequence[Scorer]
    reranker: Reranker | None = None
    template: Template = field(default_factory=built_in)
    conversing: Template | None = None  # where something was said before and the other has no place for it
    rewrite: Rewrite = "auto"
    heard: Callable[[Interaction], None] = field(default=_nobody)  # told of every interaction once it is logged

    @property
    def database(self) -> Database:
        return self.opened.database


def unshown(found: Sequence[Passage], shown: Sequence[Passage]) -> list[Hit]:
    """The hits of the passages that the prompt holds nothing of, by rank."""
    held = {passage.hit.chunk_id for passage in shown}
    return [passage.hit for passage in found if passage.hit.chunk_id not in held]


def _place(answering: Answering, question: Question, asker: Principal) -> conversation_store.Placed:
    """Where a question stands. Raises NotFound, or WrongUsage for one that is asked again in other words."""
    if question.conversation_id is None and question.parent is None and question.regenerates is None:
        return conversation_store.Placed()
    with answering.database.read() as connection:
        placed = conversation_store.place(
            connection,
            asker,
            conversation_id=question.conversation_id,
            parent=question.parent,
            regenerates=question.regenerates,
        )
    if placed.question is not None and question.text not in ("", placed.question):
        raise WrongUsage("a question that is asked again has the words that it had: leave the text out")
    return placed


def fitted(wanted: GenerationSettings, generator: Generator) -> GenerationSettings:
    """The settings, with an answer no longer than half the generator's context."""
    return replace(wanted, max_tokens=max(1, min(wanted.max_tokens, int(generator.context_tokens * ANSWER_SHARE))))


class Telling:
    """One question on its way: gathers what each stage yields until it is logged."""

    def __init__(self, answering: Answering, question: Question, principal: Principal) -> None:
        from ulid import ULID

        self.id = str(ULID())
        self._answering, self._principal = answering, principal
        self._placed = _place(answering, question, principal)
        self._question = replace(question, text=self._placed.question or question.text)
        self._turns = question.turns or self._placed.turns
        self._history = question.history or messages_of(self._turns)
        self._rewritten = Rewritten(self._question.text)
        self._created = now().isoformat(timespec="milliseconds")
        self._clock = Clock()
        self._found: Found | None = None
        self._prompt: Prompt | None = None
        self._said: list[str] = []
        self._usage = Usage(None, None)
        self._fallback: Fallback | None = None
        self._weighed: Weighed | None = None
        self._confidence: float | None = None
        self._refusal: Refusal | None = None
        self._removed: tuple[str, ...] = ()
        self._told = 0  # characters
        self._scored_to = 0  # of these, those that scorers have begun with
        self._scoring: threading.Thread | None = None  # the scorers that began last
        self._may_be_silent = False
        self.finish_reason = "stop"

    def search(self, cancel: CancelToken | None = None) -> Prompt:
        """Find the passages and pack the prompt."""
        asked, generator = self._question, self._answering.generator
        if self._history:
            with self._clock.stage("rewrite"):
                turns = turns_of(asked.history) or self._turns
                cancel = cancel or threading.Event()
                self._rewritten = rewritten(asked.text, turns, self._answering.rewrite, generator, cancel)
        with self._clock.stage("search"):
            self._found = search(
                self._answering.opened,
                Search(self._rewritten.text, asked.k, asked.mode, asked.where, asked.fusion, asked.refining, asked.at),
                self._principal,
                self._answering.reranker,
            )
        with self._clock.stage("prompt"):
            packed = pack(
                asked.text,
                self._found.passages,
                count_tokens=generator.count_tokens,
                context_tokens=generator.context_tokens,
                max_tokens=self._generation().max_tokens,
                template=self._template(),
                history=self._history,
            )
            self._prompt = replace(packed, question=self._rewritten.text)
        if asked.abstaining is not None or not self._prompt.passages:
            with self._clock.stage("weigh"):
                self._weigh(self._found, self._prompt)
        return self._prompt

    def _weigh(self, found: Found, prompt: Prompt) -> None:
        """How likely the passages answer; and where that is too little, or there are none, what to say instead."""
        assert found.held is not None
        abstaining, embedder = self._question.abstaining, None
        if abstaining is not None and abstaining.model.looks_closer and self._question.mode != "keyword":
            embedder = self._answering.opened.embedder()
        self._weighed = weigh(self._rewritten.text, found.passages, found.candidates, found.held, embedder)
        if abstaining is not None:
            self._confidence = abstaining.model.confidence(self._weighed)
        if not prompt.passages or refuses(abstaining, self._confidence):
            self._refusal = refusal(self._weighed, found.held.seen, prompt.passages)

    def begin(self, cancel: CancelToken) -> Iterator[Event] | None:
        """Ask the generator for what was found; one that is too busy says so here, before anything is told. None
        where too little was found: then nobody is asked."""
        prompt = self._prompt
        if prompt is None or self._refusal is not None:
            return None
        return self._answering.generator.generate(prompt, self._generation(), cancel)

    def events(self, beginning: Iterator[Event] | None) -> Iterator[Text]:
        """Speak. Where nobody was asked, the house itself says that it does not know; where a generator says so, the
        house adds what was looked for and what came closest."""
        if beginning is None:
            assert self._prompt is not None
            assert self._refusal is not None
            self.finish_reason = "abstained"
            self._said.append(refusal_text(self._refusal, self._prompt.passages))
            yield Text(self._said[-1])
            return
        with self._clock.stage("generate"):
            for event in beginning:
                if isinstance(event, Fallback):
                    self._fallback = event
                elif isinstance(event, Text):
                    if self._told >= self._scored_to + EARLY:
                        self._score_early()  # of what was told before: no text waits for it
                    self._said.append(event.text)
                    self._told += len(event.text)
                    if not self._question.strict:  # a strict answer is told once it is checked
                        yield event
                elif isinstance(event, Usage):
                    self._usage = event
                elif isinstance(event, Finish):
                    self.finish_reason, self._may_be_silent = event.reason, event.may_be_silent
        whole = "".join(self._said)
        if not whole.strip() and not self._may_be_silent:
            raise GeneratorFailed(f"{self._speaker().name} gave an empty answer")
        if self._scored_to == 0 and whole.strip() and not is_abstention(whole):
            self._score_early(ended=True)
        if self._question.strict and whole:
            whole = self._borne_out(whole)
            yield Text(whole)
        if self._weighed is not None and self.finish_reason in ("stop", "abstained") and is_abstention(whole):
            assert self._found is not None
            assert self._found.held is not None
            assert self._prompt is not None
            self._refusal = refusal(self._weighed, self._found.held.seen, self._prompt.passages)
            self._said.append("\n\n" + refusal_details(self._refusal, self._prompt.passages))
            yield Text(self._said[-1])

    def _score_early(self, *, ended: bool = False) -> None:
        """Let scorers begin; of a strict answer something may be left out."""
        if self._prompt is None or self._question.strict:
            return
        if self._scoring is None or not self._scoring.is_alive():  # one at a time, however fast somebody speaks
            self._scoring = begin(self._answering.scorers, "".join(self._said), self._prompt.passages, ended=ended)
            self._scored_to = 0 if ended else self._told

    def _borne_out(self, whole: str) -> str:
        """What is left of an answer without the sentences that nothing bears out; they are kept beside it."""
        assert self._prompt is not None
        with self._clock.stage("cite"):
            left = only_supported(whole, cite(whole, self._prompt.passages))
        self._said, self._removed = [left.text], left.removed
        return left.text

    def finish(self, error: str | None = None) -> Interaction:
        """Check and score what there is."""
        entry = self._interaction(error)
        if entry.answer is not None and entry.error is None:
            with self._clock.stage("score"):
                ahead = self._scored_to > 0
                entry = replace(entry, scores=scores(self._answering.scorers, entry, ahead=ahead))
        return replace(entry, timings_ms=self._clock.rounded())

    def log(self, error: str | None = None) -> Interaction:
        """Check, score and write what there is; the one place where an interaction is recorded."""
        entry = self.finish(error)
        opened = self._answering.opened
        with opened.database.write() as connection:
            template_store.keep(connection, entry.tenant_id, self._template())
            logged = interaction_store.record(connection, opened.database, entry, opened.collection.id)
        self._answering.heard(logged)
        return logged

    def _template(self) -> Template:
        """The answering's own, unless it has no place for what was said before and another one does."""
        chosen, conversing = self._answering.template, self._answering.conversing
        return conversing if conversing is not None and self._history and not uses(chosen, "history") else chosen

    def _speaker(self) -> Fallback | Generator:
        """Who answers: the generator, or the one behind it."""
        return self._fallback or self._answering.generator

    def _generation(self) -> GenerationSettings:
        return fitted(self._question.generation, self._answering.generator)

    def _interaction(self, error: str | None) -> Interaction:
        found, prompt, speaker = self._found, self._prompt, self._speaker()
        shown = () if prompt is None else prompt.passages
        return Interaction(
            id=self.id,
            created_at=self._created,
            tenant_id=self._principal.tenant_id,
            collection=self._answering.opened.collection.name,
            user=self._principal.user,
            conversation_id=self._placed.conversation_id,
            origin=self._question.origin,
            question=self._question.text,
            search_query=self._rewritten.text,
            prompt=prompt,
            answer=self._answer(prompt),
            error=error,
            passages=shown,
            candidates=() if found is None else joined(unshown(found.passages, shown), found.candidates),
            model=speaker.name,
            revision=speaker.revision,
            template=self._template().version,
            settings=self._settings(),
            position=0 if found is None else found.position,
            generation=0 if found is None else found.generation,
            timings_ms={},
            parent_id=self._placed.parent_id,
            regenerates_id=self._placed.regenerates_id,
            replays_id=self._question.replays,
        )

    def _answer(self, prompt: Prompt | None) -> Answer | None:
        text = "".join(self._said)
        if prompt is None or not (text or self._may_be_silent or self.finish_reason == "cancelled"):
            return None
        with self._clock.stage("cite"):
            citations = () if self._refusal is not None else cite(text, prompt.passages)
        return Answer(
            text=text,
            citations=citations,
            abstained=self.finish_reason == "abstained" or is_abstention(text),
            generator=self._speaker().name,
            finish_reason=self.finish_reason,
            usage=self._usage,
            confidence=self._confidence,
            refusal=self._refusal,
            removed=self._removed,
        )

    def _settings(self) -> Mapping[str, MetadataValue]:
        asked, generation, told = self._question, self._generation(), self._weighed
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
            "grounded": generation.grounded,
            "strict": asked.strict,
            "fallback_from": None if self._fallback is None else self._fallback.instead_of,
            "fallback_reason": None if self._fallback is None else self._fallback.reason,
            "abstain_threshold": None if asked.abstaining is None else asked.abstaining.threshold,
            "evidence": None if told is None else dict(zip(FEATURES, told.features, strict=True)),
            "rewrite": self._answering.rewrite,
            "rewritten_by": self._rewritten.by,
            "rewrite_failure": self._rewritten.failure,
            **({} if asked.at is None else {"at_position": asked.at}),
        }
