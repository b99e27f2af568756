"""A logged pair run again, retrieval included, and what is different then.

Everything that the log tells is as it was: question, mode, filter, fusion, reranker, refinements, template, generator,
seed, threshold of refusal, what was said before; but for what the asker changes. Permissions are always those of who
replays, now. `at_original_index` asks the collection as it stood at the logged position: texts that were removed or
replaced since are found again, but never to somebody who could not see them today. What cannot be had: texts that
were erased, vectors that are no longer kept (the collection was embedded anew), a history that came with the request,
a generator or reranker that is not installed any more; each is said. Duplicates are brought together as today's
decisions say, and the metrics are those of today's settings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from rag.answers.confidence import Abstaining
from rag.answers.conversation import Turn
from rag.app import App
from rag.ask import Answering, Question, ask
from rag.config import overruled
from rag.errors import Conflict, NotFound, RagError, WrongUsage
from rag.experiments.differences import Difference, difference
from rag.indexes.snapshots import Indexes
from rag.search import MAX_K, Fusion, OpenCollection, Refining
from rag.store import interactions as interaction_store
from rag.store.filters.tree import Filter
from rag.store.log import conversations as conversation_store
from rag.types import GenerationSettings, Interaction, MetadataValue, Mode, Principal

__all__ = ["AS_LOGGED", "Difference", "Otherwise", "Replayed", "difference", "replay", "replays"]


# ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What a replay changes; None leaves a thing as it was."""

    model: str | None = None
    template: str | None = None
    collection: str | None = None
    mode: str | None = None
    passages: int | None = None
    reranker: str | None = None  # "off": none
    fusion: str | None = None
    alpha: float | None = None
    rrf_k: int | None = None
    depth: int | None = None
    diversify: float | None = None
    per_document: int | None = None
    neighbours: int | None = None
    seed: int | None = None
    temperature: float | None = None
    at_original_index: bool = False

    def settings(self) -> dict[str, object]:
        """Those that are settings, under their names, checked like all settings by whoever uses them."""
        names = ("mode", "passages", "fusion", "alpha", "rrf_k", "depth", "diversify", "per_document", "neighbours")
        return {name: getattr(self, name) for name in (*names, "seed", "temperature")}


AS_LOGGED = Otherwise()


def replay(
    app: App, entry: Interaction, asker: Principal, otherwise: Otherwise = AS_LOGGED
) -> tuple[Interaction, Difference]:
    """Run a logged pair again and log it as an interaction that names it; with what is different.

    Raises Conflict where the pair cannot be run again, WrongSetting, NotFound, and what answering raises.
    """
    again, opened = _again(app, entry, asker, otherwise)
    opened.indexes.let_go()
    return again, difference(app.database, app.access, entry, again, asker)


def _again(app: App, entry: Interaction, asker: Principal, otherwise: Otherwise) -> tuple[Interaction, OpenCollection]:
    question, answering = prepared(app, entry, asker, otherwise)
    return ask(answering, question, asker), answering.opened


@dataclass(frozen=True, slots=True)
class Replayed:
    """One pair of many: its replay and difference, or why there is none."""

    entry: Interaction
    again: Interaction | None
    difference: Difference | None
    failure: str | None = None


def replays(
    app: App, entries: Sequence[Interaction], asker: Principal, otherwise: Otherwise = AS_LOGGED
) -> Iterator[Replayed]:
    """Replay many, one after the other, at the original index in the order of their positions."""
    if otherwise.at_original_index:
        entries = sorted(entries, key=lambda entry: (entry.collection, entry.position))
    used: set[Indexes] = set()
    try:
        for entry in entries:
            try:
                again, opened = _again(app, entry, asker, otherwise)
            except RagError as error:
                yield Replayed(entry, None, None, str(error))
                continue
            used.add(opened.indexes)
            yield Replayed(entry, again, difference(app.database, app.access, entry, again, asker))
    finally:
        for indexes in used:
            indexes.let_go()


def prepared(app: App, entry: Interaction, asker: Principal, otherwise: Otherwise) -> tuple[Question, Answering]:
    """The question as it was asked and who answers it, but for what is changed."""
    if not entry.question.strip():
        raise Conflict(f"the question of interaction {entry.id} was erased: there is nothing to ask again")
    known, chosen = entry.settings, overruled(app.settings, otherwise.settings(), "the replay")
    collection = otherwise.collection or entry.collection
    if otherwise.at_original_index:
        if collection != entry.collection:
            raise WrongUsage("another collection has no original index: leave out either of the two")
        if entry.error is not None and not entry.position:
            raise Conflict(f"interaction {entry.id} failed before it searched, so no position of the index is known")
    reranker = otherwise.reranker if otherwise.reranker is not None else cast(str | None, known.get("reranker"))
    answering = app.answering(
        collection,
        asker.tenant_id,
        otherwise.model or _generator(entry),
        reranker or "off",
        otherwise.template or entry.template or None,
    )
    if rewrite := known.get("rewrite"):
        answering = replace(answering, rewrite=overruled(app.settings, {"rewrite": rewrite}, entry.id).rewrite)

    def set_to(name: str, logged: str = "") -> MetadataValue:
        """A setting as it is changed, else as it was logged, else, in logs older than it, as it is."""
        if getattr(otherwise, name, None) is not None:
            return cast(MetadataValue, getattr(chosen, name))
        return known.get(logged or name, cast(MetadataValue, getattr(app.settings, name)))

    mode = cast(Mode, set_to("mode"))
    if mode not in get_args(Mode):
        raise Conflict(f"interaction {entry.id} was logged with the mode {mode!r}, which there is not")
    where = known.get("filter")
    return (
        Question(
            text=entry.question,
            k=min(MAX_K, _whole(set_to("passages", "k"))),
            mode=mode,
            where=None if where is None else Filter.parse(cast(str, where)),
            fusion=Fusion(
                cast(Literal["weighted", "rrf"], set_to("fusion")),
                _real(set_to("alpha")),
                _whole(set_to("rrf_k")),
                _whole(set_to("depth")),
            ),
            refining=Refining(
                _whole(set_to("rerank_depth")),
                _real(set_to("diversify")),
                _whole(set_to("per_document")),
                _whole(set_to("neighbours")),
            ),
            generation=GenerationSettings(
                max_tokens=_whole(set_to("max_answer_tokens", "max_tokens")),
                temperature=_real(set_to("temperature")),
                top_p=_real(set_to("top_p")),
                seed=_whole(set_to("seed")),
                stop=tuple(cast(Sequence[str], known.get("stop") or ())),
                grounded=bool(known.get("grounded", False)),
            ),
            origin=entry.origin,
            abstaining=_abstaining(app, entry, collection, mode, asker),
            strict=bool(known.get("strict", False)),
            turns=_turns(app, entry),
            at=entry.position if otherwise.at_original_index else None,
            replays=entry.id,
        ),
        answering,
    )


def _whole(value: MetadataValue) -> int:
    return int(cast(int, value))


def _real(value: MetadataValue) -> float:
    return float(cast(float, value))


def _generator(entry: Interaction) -> str | None:
    """Who was asked, whoever answered in its place; None where that is not known."""
    return cast(str | None, entry.settings.get("fallback_from")) or entry.model or None


def _abstaining(app: App, entry: Interaction, collection: str, mode: str, asker: Principal) -> Abstaining | None:
    """The collection's own model of confidence with the threshold of then; None where nothing was weighed. Another mode
    or collection is weighed as it is now: a threshold of one says nothing in another."""
    found = app.abstaining(collection, asker.tenant_id, asked={"mode": mode})
    if (collection, mode) != (entry.collection, entry.settings.get("mode", mode)):
        return found
    threshold = entry.settings.get("abstain_threshold")
    return None if found is None or threshold is None else replace(found, threshold=_real(threshold))


def _turns(app: App, entry: Interaction) -> tuple[Turn, ...]:
    """What was said before in its conversation; before a replay, what was said before the question that it replays."""
    with app.database.read() as connection:
        parent_id = interaction_store.standing(connection, entry).parent_id
    if parent_id is None:
        if entry.settings.get("rewritten_by") is not None:
            raise Conflict(
                f"interaction {entry.id} came with a history of its own, which is not kept; ask its question "
                "anew, or replay one that was asked in a conversation"
            )
        return ()
    whoever = Principal(entry.tenant_id, entry.user)
    try:
        with app.database.read() as connection:
            return conversation_store.place(connection, whoever, parent=parent_id).turns
    except NotFound as error:
        raise Conflict(
            f"interaction {entry.id} continues {parent_id}, which the log no longer holds, so what was said "
            "before is not known; ask its question anew"
        ) from error
