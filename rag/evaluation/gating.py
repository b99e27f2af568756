"""A gate run: judged questions searched, and asked if that is wanted, by the present settings, and held to bounds; what
the command line and a job of the API share. The verdict itself is rag.evaluation.gate's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rag.app import App
from rag.errors import NotFound, WrongUsage
from rag.evaluate import Asking, Way, answered
from rag.evaluation import gate
from rag.evaluation.gate import MAX_DROP, WORST, Bound, Gate
from rag.evaluation.measuring import check_free, keep, searched_for, stored, way_json
from rag.evaluation.questions import QuestionSet, said
from rag.evaluation.runs import METRICS
from rag.evaluation.significance import mean
from rag.scorers import WITH_REFERENCE
from rag.scorers import names as scorer_names
from rag.store.evaluations import JudgedQuery
from rag.types import MetadataValue, Principal

Progress = Callable[[str, int, int], None]  # (what: "queries" or "answers", done, of how many)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a set of questions is held to."""

    bounds: tuple[Bound, ...] = ()
    metrics: tuple[str, ...] = ()  # that are held against the earlier run besides those of the bounds
    against: str | None = None  # an earlier run, by name or id
    max_drop: float = MAX_DROP
    with_answers: bool = False  # ask the questions even if no bound needs answers
    name: str | None = None  # keep the run under this name
    worst: int = WORST  # questions that are shown
    job: int | None = None  # that asked for it; a run that is kept says so

    @property
    def held(self) -> tuple[str, ...]:
        """The metrics that decide."""
        return tuple(dict.fromkeys([*(bound.metric for bound in self.bounds), *self.metrics])) or METRICS[:1]


def way(app: App, collection: str, tenant_id: int, fusing: Mapping[str, object]) -> Way:
    """How questions are searched by the app's settings; `fusing` as in `App.fusion`."""
    fusion = app.fusion(collection, tenant_id, asked=fusing)
    return Way(app.settings.mode, fusion, app.reranker(), app.refining())


def checked(app: App, asker: Principal, demand: Demand) -> list[JudgedQuery] | None:
    """What the earlier run found. Raises before the work what could only be raised behind it: WrongUsage for nothing to
    hold, for a metric and for an earlier run that there is not, Conflict for a name that is taken."""
    if not demand.bounds and demand.against is None:
        raise WrongUsage(
            "nothing to hold the set to: give a bound (--min METRIC=X, --max METRIC=X) or an earlier run "
            "(--against RUN)"
        )
    if demand.metrics and demand.against is None:
        raise WrongUsage("--metric names what is held against an earlier run: give --against RUN")
    for each in demand.held:
        gate.check(each, scorer_names())
    if demand.name is not None:
        check_free(app.database, asker.tenant_id, demand.name)
    if demand.against is None:
        return None
    try:
        return stored(app.database, asker.tenant_id, demand.against)[1]
    except NotFound as error:  # not a gate that is red
        raise WrongUsage(f"--against: {error}") from error


def run(
    app: App,
    asker: Principal,
    questions: QuestionSet,
    collection: str,
    way: Way,
    demand: Demand,
    progress: Progress = lambda what, done, total: None,
) -> Gate:
    """Search, ask, and hold what was measured against the bounds and the earlier run. Nothing is logged."""
    held, earlier = demand.held, checked(app, asker, demand)
    bounded = [one for one in held if not gate.of_answers(one, scorer_names())]
    names = tuple(dict.fromkeys([*bounded, *METRICS]))
    opened = app.opened(collection, asker.tenant_id)
    found, queries = searched_for(
        opened, questions.judged, way, names, asker, lambda done, total: progress("queries", done, total)
    )
    values: dict[str, Mapping[str, float]] = {}
    if queries:
        values |= gate.retrieved(queries, names)
    settings = way_json(app, opened, way)
    if demand.with_answers or len(bounded) < len(held):
        told, more = _answers(app, asker, questions, collection, way, held, progress)
        values |= told
        settings |= more
    if demand.name is not None:
        if not queries:
            raise WrongUsage("a run is kept of questions whose relevant documents are known; this set has none")
        kept, examples = [_with(query, values, names) for query in queries], questions.examples
        by: dict[str, MetadataValue] = {} if demand.job is None else {"job": demand.job}
        keep(app, asker, opened, found, kept, way, demand.name, names, questions.name, examples, settings | by)
    before = _comparable(questions, earlier) if earlier is not None else {}
    drops = gate.drops(values, before, demand.max_drop)
    of_drop = {one.metric: one for one in drops}
    means = {key: mean(list(each.values())) for key, each in values.items() if key not in held}
    worded = {one.id: one.question for one in questions.examples}
    return Gate(
        name=questions.name,
        collection=collection,
        questions=len(questions.examples),
        held=gate.hold(values, demand.bounds),
        drops=tuple(one for one in drops if one.metric in held),
        against=demand.against,
        worst_by=held[0],
        worst=gate.worst(worded, values.get(held[0], {}), before.get(held[0], {}), demand.worst),
        settings=settings,
        others=tuple(gate.Other(key, one, of_drop.get(key)) for key, one in means.items() if one is not None),
        uncompared=tuple(key for key in held if earlier is not None and key not in of_drop),
    )


def _answers(
    app: App,
    asker: Principal,
    questions: QuestionSet,
    collection: str,
    way: Way,
    wanted: Sequence[str],
    progress: Progress,
) -> tuple[dict[str, dict[str, float]], dict[str, MetadataValue]]:
    """Every question asked as everybody asks it: what came of it by metric and question, and who answered."""
    settings = app.settings
    further = [name for name in wanted if name.partition(":")[0] in scorer_names()]
    references = WITH_REFERENCE if any(one.answers or one.relevant for one in questions.examples) else ()
    scorers = app.scorers([*dict.fromkeys([*settings.scorers, *references, *further])])
    answering = app.answering(collection, asker.tenant_id)
    abstaining = app.abstaining(collection, asker.tenant_id)
    asking = Asking(settings.passages, abstaining, app.generation(), strict=settings.strict == "on")

    def tell(done: int, total: int) -> None:
        progress("answers", done, total)

    found = answered(answering, questions.examples, way, asking, asker, tell, scorers)
    return said(found), {
        "generator": answering.generator.name,
        "template": answering.template.version,
        "passages": settings.passages,
        "abstain_threshold": None if abstaining is None else abstaining.threshold,
    }


def _with(query: JudgedQuery, values: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> JudgedQuery:
    """The query with its answer's metrics beside those of its ranking."""
    told = {key: each[query.id] for key, each in values.items() if key not in names and query.id in each}
    return replace(query, metrics={**query.metrics, **told})


def _comparable(questions: QuestionSet, earlier: Sequence[JudgedQuery]) -> dict[str, dict[str, float]]:
    """The earlier run's metrics by question, of those that were judged as they are now. Raises WrongUsage where none
    was."""
    now = {one.id: one for one in questions.examples}
    before: dict[str, dict[str, float]] = {}
    for query in earlier:
        same = now.get(query.id)
        if same is not None and same.question == query.question and dict(same.relevant) == dict(query.relevant):
            for name, value in query.metrics.items():
                before.setdefault(name, {})[query.id] = value
    if not before:
        raise WrongUsage("the earlier run has no question that is judged as in this set; keep one of this set: --name")
    return before
