"""Running an experiment: every question is put to every configuration, and every answer logged.

Question by question, all configurations in turn, so that whatever slows the machine slows all of them alike; each is
asked the first question once before, unlogged, so that none pays for opening its models.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from rag import __version__
from rag.app import App
from rag.ask import Answering, Question, answer, ask
from rag.config import overruled
from rag.errors import GeneratorFailed, NotFound, NotReady, RagError, WrongUsage
from rag.evaluate import documents
from rag.evaluation.metrics import by_query
from rag.experiments.plans import digest_of
from rag.scorers import WITH_REFERENCE
from rag.store import documents as document_store
from rag.store import experiments as store
from rag.store.experiments import Answered, Configured, Experiment
from rag.types import CancelToken, Example, Interaction, Principal, Scorer

METRICS = ("ndcg_cut_10", "recall_10", "recip_rank", "success_1")
"""Retrieval metrics of a question whose documents are judged, over everything that its search ranked."""

Progress = Callable[[int, int], None]  # (answers done, answers)
Origin = Literal["human", "synthetic", "generated"]
AskFor = Callable[[str, Origin], Question]
"""How a text becomes a question of a configuration."""


def run(
    app: App,
    configured: Sequence[Configured],
    examples: Sequence[Example],
    asker: Principal,
    *,
    name: str | None,
    questions: str,
    cancel: CancelToken,
    progress: Progress = lambda done, total: None,
) -> Experiment:
    """Put the questions to every configuration and keep what came of it. A set `cancel` ends it after the question
    that is being asked; what was answered until then is kept.

    Raises WrongUsage for no questions, Conflict for a name that is taken, and before anything is logged what keeps a
    configuration from answering, which is named.
    """
    if not examples:
        raise WrongUsage(f"{questions} holds no question")
    ready = [_opened(app, each, asker) for each in configured]
    for each, (answering, ask_for) in zip(configured, ready, strict=True):
        try:
            answer(answering, ask_for(examples[0].question, "synthetic"), asker)
        except (GeneratorFailed, NotReady) as error:
            raise RagError(f"the configuration {each.name!r} cannot answer: {error}") from error
        except RagError:  # of this question, perhaps; it is asked again, and what comes of it is kept
            continue
    references = app.scorers(list(WITH_REFERENCE)) if any(one.answers for one in examples) else []
    with app.database.write() as connection:
        kept = store.add(
            connection,
            asker.tenant_id,
            name or store.free_name(connection, asker.tenant_id, questions),
            questions=questions,
            digest=digest_of(examples),
            configurations=configured,
            version=__version__,
            user=asker.user,
        )
    for number, example in enumerate(examples, 1):
        if cancel.is_set():
            break
        made = []
        for place, (answering, ask_for) in enumerate(ready, 1):
            entry, failure = _asked(answering, ask_for(example.question, "synthetic"), asker)
            made.append(_answered(answering, entry, failure, example, place, number, references, asker))
            progress((number - 1) * len(ready) + place, len(ready) * len(examples))
        with app.database.write() as connection:
            store.add_answers(connection, kept.id, made)
    with app.database.read() as connection:
        return store.get(connection, asker.tenant_id, str(kept.id))


def _opened(app: App, configured: Configured, asker: Principal) -> tuple[Answering, AskFor]:
    """`opened`; what it raises says which configuration that is."""
    try:
        return opened(app, configured, asker)
    except (GeneratorFailed, NotFound, NotReady, WrongUsage) as error:  # and whatever is one of these
        raise RagError(f"the configuration {configured.name!r} cannot answer: {error}") from error


def opened(app: App, configured: Configured, asker: Principal) -> tuple[Answering, AskFor]:
    """Who answers under a configuration, and how a text becomes a question of it."""
    settings = overruled(app.settings, configured.overrides, f"the configuration {configured.name!r}")
    other = app.with_settings(settings)
    fusing = {key: configured.overrides.get(key) for key in ("fusion", "alpha", "rrf_k", "depth")}
    threshold = configured.overrides.get("abstain_threshold")
    fusion = other.fusion(tenant_id=asker.tenant_id, asked=fusing)
    abstaining = other.abstaining(tenant_id=asker.tenant_id, asked={"abstain_threshold": threshold})
    answering = other.answering(
        tenant_id=asker.tenant_id,
        template=settings.prompt_template if "prompt_template" in configured.overrides else None,
    )

    def ask_for(text: str, origin: Origin) -> Question:
        return Question(
            text,
            settings.passages,
            settings.mode,
            fusion=fusion,
            generation=other.generation(),
            origin=origin,
            refining=other.refining(),
            abstaining=abstaining,
            strict=settings.strict == "on",
        )

    return answering, ask_for


def _asked(answering: Answering, question: Question, asker: Principal) -> tuple[Interaction | None, str | None]:
    """The logged interaction, or why there is none that was answered."""
    logged: list[Interaction] = []

    def heard(entry: Interaction) -> None:
        logged.append(entry)
        answering.heard(entry)

    try:
        return ask(replace(answering, heard=heard), question, asker), None
    except RagError as error:
        return (logged[-1] if logged else None), str(error)


def _answered(
    answering: Answering,
    entry: Interaction | None,
    failure: str | None,
    example: Example,
    place: int,
    number: int,
    references: Sequence[Scorer],
    asker: Principal,
) -> Answered:
    values: dict[str, float | None] = {}
    if entry is not None and failure is None:
        values = {score.name: score.value for score in entry.scores}
        values["abstained"] = float(entry.answer is not None and entry.answer.abstained)
        if example.answers:
            values |= {scorer.name: _value(scorer, entry, example) for scorer in references}
        if example.relevant:
            values |= _retrieval(answering, entry, example, asker)
    return Answered(
        place,
        number,
        example.id,
        example.question,
        None if entry is None else entry.id,
        values,
        0.0 if entry is None else entry.timings_ms.get("total", 0.0),
        failure,
    )


def _value(scorer: Scorer, entry: Interaction, example: Example) -> float | None:
    found = scorer.score([entry], [example])[0]
    return None if found is None else found.value


def _retrieval(
    answering: Answering, entry: Interaction, example: Example, asker: Principal
) -> Mapping[str, float | None]:
    """The metrics of everything that a search ranked, by the documents that its chunks stand in."""
    opened = answering.opened
    with opened.database.read() as connection:
        permitted = opened.access.permitted(connection, asker, opened.collection.id)
        rest = document_store.passages(connection, entry.candidates, permitted.predicate, entry.position)
    ranking = documents([*entry.passages, *rest])
    return {name: by_query(name, {example.id: example.relevant}, {example.id: ranking})[example.id] for name in METRICS}
